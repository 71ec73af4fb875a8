/* A command started for a client, and waited for or left to itself. */
#ifndef NOMPD_TRIGGER_H
#define NOMPD_TRIGGER_H

#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "error.h"

/* What a command may print, no more of it can be written; a SyncResult is a
 * line. */
#define MAX_TRIGGER_BYTES 65536
/* How long it is waited for; nompd-sync has a deadline of its own. */
#define MAX_TRIGGER_MS (24LL * 60 * 60 * 1000)

/* A command that was started; for trigger_leave(). */
struct trigger {
	pid_t pid; /* 0: it has ended, and its status is taken */
	int   out_fd; /* what it prints into */
};

/*
 * Starts the command (NULL-terminated; found in PATH, no shell) in a session of
 * its own, so that whoever ends this process does not end it; with nothing on
 * its standard input, its log on ours, and of the environment only what a
 * program of ours may want, never what a client sent.  If it is nompd-sync its
 * job gets the id job_id; NULL: one of its own.  -1: it could not be started.
 */
int trigger_start(char *const command[], const char *job_id,
    struct trigger *out, struct error *err);
/*
 * Waits for its end, for ms at most.  1 = *status is its exit status, or 128
 * and the signal, 0 = it goes on, -1 = it goes on too, but this process is to
 * end, or nobody knows.
 */
int trigger_wait(struct trigger *trigger, int64_t ms, int *status,
    struct error *err);
/* Nothing more is wanted of it.  If it goes on it leaves no zombie behind, for
 * as long as this process lasts. */
void trigger_leave(struct trigger *trigger);

/*
 * Starts the command and waits for its end.  *status is as in trigger_wait();
 * out what it printed (the caller clears it).  -1: it could not be started, or
 * was not waited for to its end (it goes on then).
 */
int trigger_run(char *const command[], struct buf *out, int *status,
    struct error *err);

#endif
