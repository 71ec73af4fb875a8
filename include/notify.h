/* A command that is told how a run ended. */
#ifndef NOMPD_NOTIFY_H
#define NOMPD_NOTIFY_H

#include <stdint.h>

#include "error.h"
#include "job.h"

/* How long the command may take, and how long it then has to end. */
#define MAX_NOTIFY_MS	    60000
#define MAX_NOTIFY_GRACE_MS 5000

/*
 * Starts the command (NULL-terminated; found in PATH, no shell) with the job on
 * its standard input, as one line of JSON in a file in memory: it need not be
 * read.  What it prints goes to our standard error.  Of our environment it gets
 * no NOMPD_ variable: some hold secrets, and others would bind a run that it
 * starts.  It gets SYNC_JOB_ID, SYNC_JOB_STATE and SYNC_EXIT_STATUS instead.
 * Waits for its end, for limit_ms or for a signal; what has not ended then is
 * ended, with its process group.
 *
 * -1 (STATUS_STORE): it could not be started, did not end in time, or not with
 * status 0.  The sentence names the program, not its arguments: a URL of a chat
 * is a secret.
 */
int notify_run(char *const command[], const struct job *job, int64_t limit_ms,
    struct error *err);

#endif
