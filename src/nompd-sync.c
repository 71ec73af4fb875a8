#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "command_keygen.h"
#include "copy.h"
#include "error.h"
#include "log.h"
#include "options.h"
#include "run.h"
#include "standard.h"
#include "stop.h"
#include "xalloc.h"

/* A run's (nompd-sync(1), THE RESULT). */
static int
print_result(const struct run_result *result, struct error *err)
{
	json_t *object;

	object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}",
	    "version", (json_int_t)result->version,
	    "added", (json_int_t)result->added,
	    "updated", (json_int_t)result->updated,
	    "unchanged", (json_int_t)result->unchanged,
	    "deleted", (json_int_t)result->deleted,
	    "durationMs", (json_int_t)result->duration_ms);
	return command_print(object, err);
}

static int (*const runs[COMMAND__MAX])(const struct options *opts,
    struct run_result *result, struct error *err) = {
	[COMMAND_RUN] = run_sync,
	[COMMAND_RECONVERT] = run_reconvert,
	[COMMAND_ROLLBACK] = run_rollback,
};

static int
command_run(const struct options *opts, struct error *err)
{
	struct run_result result = { 0 };
	int		  rc;

	if (runs[opts->command](opts, &result, err) == -1)
		return -1;
	rc = print_result(&result, err);
	if (rc == 0 || opts->dry_run)
		return rc;
	/* What is published stays so: a run that is done is no failure. */
	log_error("%s; version %lld is published all the same (see nompd-sync"
	    " history)", err->text, (long long)result.version);
	return 0;
}

static int
command_copy(const struct options *opts, struct error *err)
{
	struct copy_result result;
	json_t		  *object;

	if (copy_store(opts, &result, err) == -1)
		return -1;
	object = json_pack("{s:I, s:I, s:I, s:I, s:s, s:I}",
	    "version", (json_int_t)result.version,
	    "records", (json_int_t)result.digest.records,
	    "copied", (json_int_t)result.copied,
	    "runs", (json_int_t)result.digest.runs,
	    "digest", result.digest.text,
	    "durationMs", (json_int_t)result.duration_ms);
	return command_print(object, err);
}

static int (*const commands[COMMAND__MAX])(const struct options *opts,
    struct error *err) = {
	[COMMAND_RUN] = command_run,
	[COMMAND_INIT] = command_init,
	[COMMAND_HISTORY] = command_history,
	[COMMAND_SHOW] = command_show,
	[COMMAND_RECONVERT] = command_run,
	[COMMAND_COPY] = command_copy,
	[COMMAND_KEYGEN] = command_keygen,
	[COMMAND_STATUS] = command_status,
	[COMMAND_JOBS] = command_jobs,
	[COMMAND_ABORT] = command_abort,
	[COMMAND_DIFF] = command_diff,
	[COMMAND_ROLLBACK] = command_run,
	[COMMAND_PRUNE] = command_prune,
	[COMMAND_VERIFY] = command_verify,
	[COMMAND_EXPORT] = command_export,
};

static int
carry_out(const struct options *opts, struct error *err)
{
	if (options_answer(opts, &program_sync, stdout))
		return command_flush(err);
	if (stop_init(opts->deadline_ms, err) == -1)
		return -1;
	return commands[opts->command](opts, err);
}

int
main(int argc, char *argv[])
{
	struct options opts;
	struct error   err = { .status = STATUS_OK };
	int	       rc;

	standard_open();
	/* Tokens and private keys are JSON as well. */
	json_set_alloc_funcs(xalloc_wiped, xfree_wiped);
	if (sodium_init() == -1)
		xalloc_end();
	rc = options_parse(&opts, &program_sync, argc, argv, &err);
	if (rc == 0)
		rc = carry_out(&opts, &err);
	if (rc == -1)
		log_lines(err.text);
	options_clear(&opts);
	return rc == 0 ? EXIT_SUCCESS : stop_end_status(err.status);
}
