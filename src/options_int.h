/* The option table, shared by the files that make up the options module. */
#ifndef NOMPD_OPTIONS_INT_H
#define NOMPD_OPTIONS_INT_H

#include <stddef.h>

#include "buf.h"
#include "options.h"

/* The key has no flag, for anyone on the machine can read a command line. */
#define KEY_VARIABLE	  "NOMPD_UPSTREAM_API_KEY"
#define KEY_FILE_VARIABLE "NOMPD_UPSTREAM_API_KEY_FILE"

/* The password for a store's URI that names a user and has none itself. */
#define PASSWORD_FILE_VARIABLE "NOMPD_STORE_PASSWORD_FILE"
/* The same for the two stores of a copy, where one file does not do. */
#define FROM_FILE_VARIABLE     "NOMPD_COPY_FROM_PASSWORD_FILE"
#define TO_FILE_VARIABLE       "NOMPD_COPY_TO_PASSWORD_FILE"

/* A command as one bit of option_row's commands. */
#define FOR(command) (1U << (command))
/* Beside them: a wrong value may hold a secret and is not shown. */
#define HIDE_VALUE   FOR(COMMAND__MAX)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Takes value into opts; NULL, or the rule that it breaks ("want ...").  opts
 * is only touched by a good one.
 */
typedef const char *(*option_set_fn)(struct options *opts, const char *value);

/*
 * Invariants: fallback is a good value; a switch has no argument; an argument
 * starts with a space, or with [= when it may be left out (then "-" is set).
 * Several rows may have one flag, if no command has two of them.
 */
struct option_row {
	const char   *flag;
	const char   *variable; /* NULL: none */
	const char   *argument; /* NULL: a switch, set to "1" */
	const char   *fallback; /* the default; NULL: none */
	option_set_fn set;
	unsigned      commands; /* FOR() bits */
	const char   *help;
};

#define MAX_OPTIONS 96
extern const struct option_row option_rows[];
extern const size_t	       option_count; /* at most MAX_OPTIONS */

struct command_row {
	const char *name;      /* NULL: none; else one or two words */
	const char *arguments; /* as --help shows them */
	int	    min_arguments;
	int	    max_arguments;
	const char *help;
};

extern const struct command_row command_rows[COMMAND__MAX];

/* Bytes of a value that a fault shows. */
#define MAX_SHOWN_BYTES 64
/* A command and its arguments; one more, to show what is too much. */
#define MAX_WORDS 4

/*
 * One parse of the command line and the environment.
 *
 * Invariants: flags[i] is NULL or the value of row i's flag; n_words may pass
 * MAX_WORDS, words does not; command is COMMAND__MAX when it is not known, or
 * not yet, and arguments are the words behind it.
 */
struct parse {
	struct options	     *opts;
	const struct program *program;
	const char	     *flags[MAX_OPTIONS];
	const char	     *words[MAX_WORDS];
	int		      n_words;
	enum command	      command;
	const char	    **arguments;
	int		      n_arguments;
	struct buf	      faults;	/* whole lines */
	unsigned	      n_unsaid; /* faults that did not fit */
};

struct status_row {
	int	    status;
	const char *help;
};

struct program {
	const char  *name;
	unsigned     commands; /* FOR() bits */
	enum command unnamed;  /* the command without a name */
	const char  *unnamed_text; /* what faults call it */
	/* What the rows cannot say; called for a command that is known and
	 * has as many arguments as it wants. */
	void (*check)(struct parse *parse);
	/* What the help text says behind the options; NULL: nothing. */
	void (*help)(FILE *out);
	const struct status_row *statuses;
	size_t			 n_statuses;
};

/* Statuses that come from where no struct error is. */
#define STATUS_MEMORY	   71
#define STATUS_SIGINT	   130
#define STATUS_SIGTERM	   143

/* Adds a fault: one line that names its flag or variable. */
void options_fault(struct parse *parse, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/*
 * A value fit for a fault: the start of it, on one line, and of a URL nothing
 * that may be a password or a token.
 */
const char *options_shown(char shown[MAX_SHOWN_BYTES], const char *value);
/* The variable's value; NULL when it is unset or empty. */
const char *options_variable(const char *name);
/* Was it given as a flag? */
bool options_is_flag(const struct parse *parse, const char *flag);
/* Was it given, as a flag or a variable, be it good or not? */
bool options_is_given(const struct parse *parse, const char *flag);
/* Reads the password that the place of flag may want from the file that
 * variable names, if it is set. */
void options_read_password(struct parse *parse, const char *flag,
    const char *variable, struct store_place *place);
/* Prints what the help text says of that file. */
void options_help_password(FILE *out);
/* Prints text, indented and broken between words. */
void options_help_text(FILE *out, const char *text);

/* The index of value among n names, or n. */
unsigned options_find_name(const char *const names[], unsigned n,
    const char *value);
/* An option_set_fn for a switch, but for where it is kept. */
const char *options_set_switch(bool *out, const char *value);
/* The same for a command, which words_free() frees. */
const char *options_set_command(char ***out, const char *value);
/* Of both programs (options_values.c): option_set_fn each. */
const char *options_set_upstream(struct options *opts, const char *value);
const char *options_set_upstream_key_header(struct options *opts,
    const char *value);
const char *options_set_no_upstream_key(struct options *opts,
    const char *value);
const char *options_set_store(struct options *opts, const char *value);
const char *options_set_from(struct options *opts, const char *value);
const char *options_set_to(struct options *opts, const char *value);
const char *options_set_dry_run(struct options *opts, const char *value);
const char *options_set_plan(struct options *opts, const char *value);
const char *options_set_max_delete(struct options *opts, const char *value);
const char *options_set_retries(struct options *opts, const char *value);
const char *options_set_timeout(struct options *opts, const char *value);
const char *options_set_deadline(struct options *opts, const char *value);
const char *options_set_wait(struct options *opts, const char *value);
const char *options_set_queue(struct options *opts, const char *value);
const char *options_set_job_id(struct options *opts, const char *value);
const char *options_set_ca_file(struct options *opts, const char *value);
const char *options_set_log_level(struct options *opts, const char *value);
const char *options_set_log_format(struct options *opts, const char *value);
const char *options_set_progress(struct options *opts, const char *value);
const char *options_set_limit(struct options *opts, const char *value);
const char *options_set_format(struct options *opts, const char *value);
const char *options_set_api_keys_file(struct options *opts, const char *value);
const char *options_set_sync_command(struct options *opts, const char *value);
const char *options_set_workers(struct options *opts, const char *value);
const char *options_set_scope(struct options *opts, const char *value);
const char *options_set_version(struct options *opts, const char *value);
const char *options_set_help(struct options *opts, const char *value);
/* Of what is told of a run: option_set_fn each. */
const char *options_set_metrics_file(struct options *opts, const char *value);
const char *options_set_notify_command(struct options *opts,
    const char *value);
/* Of the bulk mode: option_set_fn each, and what the rows cannot say. */
const char *options_set_mode(struct options *opts, const char *value);
const char *options_set_type(struct options *opts, const char *value);
const char *options_set_patients(struct options *opts, const char *value);
const char *options_set_group(struct options *opts, const char *value);
const char *options_set_type_filter(struct options *opts, const char *value);
const char *options_set_elements(struct options *opts, const char *value);
const char *options_set_kick_off(struct options *opts, const char *value);
const char *options_set_max_downloads(struct options *opts, const char *value);
const char *options_set_max_poll_wait(struct options *opts, const char *value);
const char *options_set_save(struct options *opts, const char *value);
const char *options_set_since(struct options *opts, const char *value);
const char *options_set_full_refresh(struct options *opts, const char *value);
const char *options_set_overlap(struct options *opts, const char *value);
const char *options_set_reconcile_every(struct options *opts,
    const char *value);
const char *options_set_on_bad_record(struct options *opts, const char *value);
const char *options_set_max_bad(struct options *opts, const char *value);
const char *options_set_no_resume(struct options *opts, const char *value);
const char *options_set_spool(struct options *opts, const char *value);
const char *options_set_client_id(struct options *opts, const char *value);
const char *options_set_private_key_file(struct options *opts,
    const char *value);
const char *options_set_public_jwks_file(struct options *opts,
    const char *value);
const char *options_set_token_url(struct options *opts, const char *value);
const char *options_set_token_scope(struct options *opts, const char *value);
const char *options_set_alg(struct options *opts, const char *value);
void options_check_bulk(struct parse *parse);
/* Of the commands that look at jobs, the same; and the job that may be named
 * behind one. */
const char *options_set_max_age(struct options *opts, const char *value);
const char *options_set_watch(struct options *opts, const char *value);
const char *options_set_abort_wait(struct options *opts, const char *value);
const char *options_set_reason(struct options *opts, const char *value);
void options_check_job(struct parse *parse);
/* Of the commands that ask for other times, or for proof; the same. */
const char *options_set_from_version(struct options *opts, const char *value);
const char *options_set_to_version(struct options *opts, const char *value);
const char *options_set_since_version(struct options *opts,
    const char *value);
const char *options_set_as_of(struct options *opts, const char *value);
const char *options_set_with_history(struct options *opts, const char *value);
const char *options_set_history_age(struct options *opts, const char *value);
const char *options_set_tombstones_age(struct options *opts,
    const char *value);
const char *options_set_states_age(struct options *opts, const char *value);
const char *options_set_repair(struct options *opts, const char *value);
const char *options_set_head(struct options *opts, const char *value);
const char *options_set_seal_key_file(struct options *opts,
    const char *value);
void options_check_show(struct parse *parse);
void options_check_diff(struct parse *parse);
void options_check_rollback(struct parse *parse);
void options_check_prune(struct parse *parse);
void options_check_verify(struct parse *parse);
void options_check_export(struct parse *parse);

#endif
