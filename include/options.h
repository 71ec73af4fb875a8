/*
 * The command line and the environment of both programs as one typed struct.
 * Every option is a row of one table in options_table.c: flag, variable,
 * default, help, parser and the commands it belongs to; a program is the set
 * of its commands.
 */
#ifndef NOMPD_OPTIONS_H
#define NOMPD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "apikey.h"
#include "bulk_job.h"
#include "error.h"
#include "log.h"
#include "store_place.h"

struct secret;

enum command { COMMAND_RUN, COMMAND_INIT, COMMAND_HISTORY, COMMAND_SHOW,
	COMMAND_RECONVERT, COMMAND_COPY, COMMAND_KEYGEN, COMMAND_STATUS,
	COMMAND_JOBS, COMMAND_ABORT, COMMAND_DIFF, COMMAND_ROLLBACK,
	COMMAND_PRUNE, COMMAND_VERIFY, COMMAND_EXPORT, COMMAND_SERVE,
	COMMAND_KEY_ADD, COMMAND_KEY_LIST, COMMAND_KEY_REVOKE,
	COMMAND__MAX };

struct program;
extern const struct program program_sync;  /* nompd-sync(1) */
extern const struct program program_serve; /* nompd-serve(8) */

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT__MAX };
enum progress_mode { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER,
	PROGRESS__MAX };

/* How many deletions a run may bring: "20%" or "50" (nompd-sync(1)). */
struct max_delete {
	bool	 is_percent;
	uint64_t value;
};

/* Files of an export that are fetched side by side; more is no faster, and less
 * polite. */
#define MAX_DOWNLOADS 32
/* The longest wait with a time, for another run or for a job to end: a week. */
#define MAX_WAIT_MS (7LL * 24 * 60 * 60 * 1000)

enum mode { MODE_API, MODE_BULK, MODE__MAX };
enum save { SAVE_BY_EXPORT, SAVE_OVERWRITE, SAVE_MERGE, SAVE__MAX };

/*
 * The bulk mode (nompd-bulk(7)) and its keys.  types are sorted, without
 * repetition, and like filters and elements NULL-terminated; NULL stands for
 * what was not given.
 */
struct bulk_options {
	char	    **types;
	bool	      patients;
	const char   *group;
	char	    **filters;
	char	    **elements;
	enum bulk_kick_off kick_off;
	unsigned      max_downloads;
	int64_t	      max_poll_wait_ms;
	enum save     save;
	const char   *since; /* "auto" or an instant */
	bool	      full_refresh;
	int64_t	      overlap_ms;
	unsigned      reconcile_every; /* 0: never */
	bool	      quarantines;
	unsigned      max_bad;
	bool	      no_resume;
	const char   *spool;
	const char   *client_id;
	const char   *private_key_file;
	const char   *public_jwks_file; /* keygen */
	const char   *alg;		/* keygen: "ES384" and others */
	const char   *token_url;
	const char   *token_scope;
};

/*
 * Texts are borrowed from argv and the environment; options_clear() frees the
 * rest.  Invariant after options_parse() gave 0: help or version is set, or
 * every value is within its range, for COMMAND_RUN upstream is set, for
 * COMMAND_SHOW both words are, for COMMAND_COPY from and to, and for the key
 * commands api_keys_file and key_name (but COMMAND_KEY_LIST has no name); job,
 * where there is one, is a label.
 */
struct options {
	enum command	   command;
	bool		   help;	    /* --help: print and end */
	bool		   version;	    /* --version: print and end */
	enum mode	   mode;
	const char	  *upstream;	    /* base URL */
	struct secret	  *upstream_key;    /* NULL: none */
	const char	  *upstream_key_header;
	bool		   no_upstream_key;
	struct store_place store;	    /* "sqlite:nompd.db" */
	struct store_place from;	    /* copy */
	struct store_place to;		    /* copy */
	bool		   dry_run;
	bool		   plan;	    /* list every change ... */
	const char	  *plan_file;	    /* ... here; NULL: standard error */
	struct max_delete  max_delete;
	unsigned	   retries;
	int64_t		   timeout_ms;	    /* one request */
	int64_t		   deadline_ms;	    /* the whole run */
	int64_t		   wait_ms;	    /* for another run to end; abort:
					     * for the job, or INT64_MAX */
	bool		   queue;	    /* wait as long as it takes */
	const char	  *job_id;	    /* NULL: one is made */
	const char	  *ca_file;	    /* NULL: the system's */
	const char	  *metrics_file;    /* NULL: none */
	char		 **notify_command;  /* NULL-terminated; NULL: none */
	struct bulk_options bulk;
	enum log_level	   log_level;
	enum log_format	   log_format;
	enum progress_mode progress;
	unsigned	   limit;	    /* history, jobs: entries shown */
	enum output_format format;	    /* of lists and jobs */
	const char	  *job;		    /* status, abort; NULL: none */
	int64_t		   max_age_ms;	    /* status */
	bool		   watch;	    /* status */
	bool		   waits;	    /* abort: for the job to end */
	const char	  *reason;	    /* abort, rollback; NULL: none */
	int64_t		   from_version;    /* diff */
	int64_t		   to_version;	    /* diff: 0: the last; rollback */
	int64_t		   since_version;   /* export; -1: all live records */
	int64_t		   as_of_version;   /* show: INT64_MAX: any ... */
	int64_t		   as_of_ms;	    /* ... and the same of the time */
	bool		   with_history;    /* show, verify */
	int64_t		   history_age_ms;  /* prune: what is older goes ... */
	int64_t		   tombstones_age_ms; /* ... of each kind; ... */
	int64_t		   states_age_ms;   /* ... -1: nothing */
	bool		   repair;	    /* verify */
	const char	  *seal_key_file;   /* NULL: none */
	const char	  *head;	    /* verify: a digest; NULL: none */
	const char	  *folder;	    /* export */
	const char	  *diff_collection; /* diff; NULL: all */
	const char	  *show_collection; /* show */
	const char	  *show_key;	    /* show */
	const char	  *api_keys_file;   /* NULL: none */
	char		 **sync_command;    /* NULL-terminated; NULL: none */
	unsigned	   workers;	    /* processes that serve FastCGI */
	enum apikey_scope  scope;	    /* key add */
	const char	  *key_name;	    /* key add, key revoke */
	char		 **blanked;	    /* words of argv, as they were */
};

/*
 * Fills opts from the command line, then the environment, then the defaults (a
 * flag wins over its variable; an empty variable is an unset one; of a flag
 * given twice the last one counts).  All faults are collected: err's text then
 * has one fault a line, to be logged line by line, each naming its flag or
 * variable; status STATUS_USAGE.  No fault shows a secret.
 *
 * A password in a store's URI is overwritten in argv with asterisks, for anyone
 * on the machine can read a command line.
 *
 * Starts the log as asked for (log_init()), also before it gives -1, and keeps
 * the key that a run uses out of it until options_clear().  Unknown NOMPD_
 * variables are warned of (but not those that Kubernetes sets beside a
 * service).  With --help or --version nothing else is looked at.  The caller
 * calls options_clear(), also after -1.
 */
int options_parse(struct options *opts, const struct program *program,
    int argc, char *argv[], struct error *err);
void options_clear(struct options *opts);
/* Writes the help text, made from the table. */
void options_help(const struct program *program, FILE *out);
/* Writes what --help or --version ask for; false when neither was given. */
bool options_answer(const struct options *opts, const struct program *program,
    FILE *out);

#endif
