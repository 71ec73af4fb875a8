/* Several processes at one socket, and one that looks after them. */
#ifndef NOMPD_WORKERS_H
#define NOMPD_WORKERS_H

#include "error.h"

/* What a worker does until SIGTERM or SIGINT; it may open what it likes, since
 * it runs in a process of its own. */
typedef int (*worker_fn)(void *ctx, struct error *err);

/*
 * Keeps count workers running; one that ends is started again, unless it ends
 * with STATUS_USAGE or STATUS_STORE: then all end, and this with that status.
 * SIGTERM and SIGINT are passed on to all and end this, when all have ended.  A
 * worker does not outlive this process.  The processes that are made return
 * from here as well, with what fn gives.
 */
int workers_run(unsigned count, worker_fn fn, void *ctx, struct error *err);

#endif
