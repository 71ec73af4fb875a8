/* What is nompd-sync's own among the options. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "collection.h"
#include "options_int.h"
#include "report.h"
#include "secret.h"
#include "url.h"

/* What is there is replaced; a folder cannot be, a device must not be, and of
 * files only our own. */
const char *
options_set_metrics_file(struct options *opts, const char *value)
{
	struct stat  info;
	struct error err;
	bool	     is_there = stat(value, &info) == 0;

	if (value[strlen(value) - 1] == '/' ||
	    (is_there && !S_ISREG(info.st_mode)))
		return "want a file that may be replaced, or none yet";
	if (is_there && report_may_replace(value, &err) == -1)
		return "want a metrics file of ours, or none: this one is"
		    " something else, and is not overwritten";
	opts->metrics_file = value;
	return NULL;
}

const char *
options_set_notify_command(struct options *opts, const char *value)
{
	return options_set_command(&opts->notify_command, value);
}

/* The key from the variable, or the file that file names. */
static void
read_key(struct parse *parse, const char *file)
{
	struct error err;
	int	     rc;

	if (file != NULL)
		rc = secret_from_file(KEY_FILE_VARIABLE, file, SECRET_KEY,
		    &parse->opts->upstream_key, &err);
	else
		rc = secret_from_variable(KEY_VARIABLE,
		    &parse->opts->upstream_key, &err);
	if (rc == -1)
		options_fault(parse, "%s", err.text);
	else if (parse->opts->upstream_key != NULL)
		log_hide_secret(secret_text(parse->opts->upstream_key));
}

/* A key is needed, or said not to be; a folder takes none. */
static void
check_key(struct parse *parse)
{
	const struct options *opts = parse->opts;
	const char	     *file;
	bool		      has_key;

	file = options_variable(KEY_FILE_VARIABLE);
	has_key = file != NULL || options_variable(KEY_VARIABLE) != NULL;
	if (file != NULL && options_variable(KEY_VARIABLE) != NULL) {
		options_fault(parse, "%s: want one key; %s is set as well",
		    KEY_FILE_VARIABLE, KEY_VARIABLE);
		return;
	}
	if (has_key && opts->no_upstream_key) {
		options_fault(parse, "--no-upstream-key: want no key beside "
		    "it; %s is set",
		    file != NULL ? KEY_FILE_VARIABLE : KEY_VARIABLE);
		return;
	}
	if (opts->upstream != NULL && url_is_file(opts->upstream))
		return;
	if (has_key)
		read_key(parse, file);
	else if (opts->mode == MODE_BULK &&
	    options_is_given(parse, "--client-id"))
		return;
	else if (opts->upstream != NULL && !opts->no_upstream_key)
		options_fault(parse, "%s: want the upstream's key, there or in "
		    "a file named by %s; say --no-upstream-key if it takes "
		    "none", KEY_VARIABLE, KEY_FILE_VARIABLE);
}

static void
check_run(struct parse *parse)
{
	if (!options_is_given(parse, "--upstream"))
		options_fault(parse, "--upstream: want the upstream's base "
		    "URL, there or in NOMPD_UPSTREAM_URL; have none");
	check_key(parse);
	options_check_bulk(parse);
}

static bool
wants_password(const struct store_place *place)
{
	return place->uri != NULL && store_place_wants_password(place);
}

/* One file serves both stores only if it is meant to. */
static void
read_passwords(struct parse *parse)
{
	struct store_place *from = &parse->opts->from, *to = &parse->opts->to;

	options_read_password(parse, "--from", FROM_FILE_VARIABLE, from);
	options_read_password(parse, "--to", TO_FILE_VARIABLE, to);
	if (wants_password(from) && wants_password(to) &&
	    options_variable(PASSWORD_FILE_VARIABLE) != NULL) {
		options_fault(parse, PASSWORD_FILE_VARIABLE ": want "
		    FROM_FILE_VARIABLE " and " TO_FILE_VARIABLE " for two"
		    " stores that want a password");
		return;
	}
	options_read_password(parse, "--from", PASSWORD_FILE_VARIABLE, from);
	options_read_password(parse, "--to", PASSWORD_FILE_VARIABLE, to);
}

static void
check_copy(struct parse *parse)
{
	if (parse->opts->from.uri == NULL)
		options_fault(parse, "--from: want the store to copy, there or"
		    " in NOMPD_COPY_FROM; have none");
	if (parse->opts->to.uri == NULL)
		options_fault(parse, "--to: want the store to make, there or"
		    " in NOMPD_COPY_TO; have none");
	read_passwords(parse);
}

static void
check(struct parse *parse)
{
	options_read_password(parse, "--store", PASSWORD_FILE_VARIABLE,
	    &parse->opts->store);
	if (parse->command == COMMAND_RUN)
		check_run(parse);
	else if (parse->command == COMMAND_SHOW)
		options_check_show(parse);
	else if (parse->command == COMMAND_COPY)
		check_copy(parse);
	else if (parse->command == COMMAND_STATUS ||
	    parse->command == COMMAND_ABORT)
		options_check_job(parse);
	else if (parse->command == COMMAND_DIFF)
		options_check_diff(parse);
	else if (parse->command == COMMAND_ROLLBACK)
		options_check_rollback(parse);
	else if (parse->command == COMMAND_PRUNE)
		options_check_prune(parse);
	else if (parse->command == COMMAND_VERIFY)
		options_check_verify(parse);
	else if (parse->command == COMMAND_EXPORT)
		options_check_export(parse);
}

static void
help(FILE *out)
{
	fprintf(out, "\nThe key has no flag:\n  %s\n  %s\n", KEY_VARIABLE,
	    KEY_FILE_VARIABLE);
	options_help_text(out, "The upstream's key, or a file that holds it; "
	    "one of them.");
	options_help_password(out);
	fprintf(out, "  %s\n  %s\n", FROM_FILE_VARIABLE, TO_FILE_VARIABLE);
	options_help_text(out, "The same for each of the two stores of a "
	    "copy.");
}

static const struct status_row statuses[] = {
	{ STATUS_OK, "done" },
	{ STATUS_STALE, "status: no finished run, or too old a one; verify: "
	    "findings" },
	{ STATUS_USAGE, "usage or configuration error" },
	{ STATUS_HELD, "held by the guard: too many deletions" },
	{ STATUS_NOT_FOUND, "there is no such record, version or job, or no "
	    "job that is active" },
	{ STATUS_UNAVAILABLE, "no usable answer from the upstream" },
	{ STATUS_UNBALANCED, "the run does not add up; nothing was published" },
	{ STATUS_MEMORY, "out of memory" },
	{ STATUS_STORE, "the store failed or is not ours" },
	{ STATUS_BUSY, "another run is active; abort: the job has not "
	    "ended in time" },
	{ STATUS_PROTOCOL, "the upstream answered something else" },
	{ STATUS_REFUSED, "the upstream refused the key, or the store the "
	    "password" },
	{ STATUS_ABORTED, "the run was asked to end (nompd-sync abort)" },
	{ STATUS_SIGINT, "interrupted (SIGINT)" },
	{ STATUS_SIGTERM, "terminated (SIGTERM)" },
};

const struct program program_sync = {
	.name = "nompd-sync",
	.commands = FOR(COMMAND_RUN) | FOR(COMMAND_INIT) |
	    FOR(COMMAND_HISTORY) | FOR(COMMAND_SHOW) | FOR(COMMAND_RECONVERT) |
	    FOR(COMMAND_DIFF) | FOR(COMMAND_ROLLBACK) | FOR(COMMAND_PRUNE) |
	    FOR(COMMAND_VERIFY) | FOR(COMMAND_EXPORT) |
	    FOR(COMMAND_COPY) | FOR(COMMAND_KEYGEN) | FOR(COMMAND_STATUS) |
	    FOR(COMMAND_JOBS) | FOR(COMMAND_ABORT),
	.unnamed = COMMAND_RUN,
	.unnamed_text = "a run",
	.check = check,
	.help = help,
	.statuses = statuses,
	.n_statuses = LENGTH(statuses),
};
