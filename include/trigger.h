/* A command started for a client, and waited for. */
#ifndef NOMPD_TRIGGER_H
#define NOMPD_TRIGGER_H

#include "buf.h"
#include "error.h"

/* What a command may print, no more of it can be written; a SyncResult is a
 * line. */
#define MAX_TRIGGER_BYTES 65536
/* How long it is waited for; nompd-sync has a deadline of its own. */
#define MAX_TRIGGER_MS (24LL * 60 * 60 * 1000)

/*
 * Starts the command (NULL-terminated; found in PATH, no shell) in a session of
 * its own, so that whoever ends this process does not end it; with nothing on
 * its standard input, its log on ours, and of the environment only what a
 * program of ours may want, never what a client sent.  Waits for its end.
 *
 * *status is its exit status, or 128 and the signal; out what it printed (the
 * caller clears it).  -1: it could not be started, or was not waited for to its
 * end (it goes on then).
 */
int trigger_run(char *const command[], struct buf *out, int *status,
    struct error *err);

#endif
