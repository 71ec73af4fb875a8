/* What an operator asks of a store besides a run. */
#ifndef NOMPD_COMMAND_H
#define NOMPD_COMMAND_H

#include <jansson.h>

#include "error.h"
#include "options.h"

/* Makes the store when it is not there; says so in the log. */
int command_init(const struct options *opts, struct error *err);
/* Prints the latest history entries, newest first, as a table or JSON. */
int command_history(const struct options *opts, struct error *err);
/*
 * Prints one record as JSON, as it is or was, or each state of it that is kept;
 * STATUS_NOT_FOUND when there is none.
 */
int command_show(const struct options *opts, struct error *err);
/*
 * Prints the active job, the last one or the one that is named, and when the
 * last run has finished; with opts->watch until the job has ended.  -1
 * (STATUS_STALE): all is printed, and that run is too old, or there is none;
 * STATUS_NOT_FOUND: there is no such job.  Where none is named, a list of jobs
 * that cannot be read is a warning.
 */
int command_status(const struct options *opts, struct error *err);
/* Prints the latest jobs, newest first, as a table or JSON. */
int command_jobs(const struct options *opts, struct error *err);
/*
 * Asks the job, or the active one, to end, and may wait until it has.
 * STATUS_NOT_FOUND: there is none, or it has ended; STATUS_BUSY: it has not
 * ended in time.
 */
int command_abort(const struct options *opts, struct error *err);

/*
 * Prints what changed for consumers, or in opts->diff_collection, between two
 * versions, as a table or as JSON lines.  STATUS_NOT_FOUND: there is no such
 * version or collection, or it cannot be shown any more.
 */
int command_diff(const struct options *opts, struct error *err);
/* A run that removes what is old. */
int command_prune(const struct options *opts, struct error *err);
/* Checks the whole store, or the history, and may mend it; -1 (STATUS_FINDINGS)
 * when something is not as it must be, and was not mended. */
int command_verify(const struct options *opts, struct error *err);
/*
 * Writes the records of each collection to a file in a folder, all of one
 * finished version.  -1: the files that were there are as they were.
 */
int command_export(const struct options *opts, struct error *err);

/* Prints the object on one line of standard output, and frees it; NULL is out
 * of memory. */
int command_print(json_t *object, struct error *err);
/* Flushes standard output: -1 (STATUS_STORE) when not all has arrived. */
int command_flush(struct error *err);

#endif
