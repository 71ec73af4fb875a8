/*
 * The ledger of a store's jobs.  It is beside the records, with a connection of
 * its own, so that it can be written and read while a run is in the middle of
 * its one transaction; what is in it: nompd-store(7).
 *
 * A connection serves one thread at a time; the main thread opens and closes
 * it.
 */
#ifndef NOMPD_JOBS_H
#define NOMPD_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "job.h"

/* How long a job counts as alive after its last sign of life. */
#define JOB_LEASE_MS 30000
/* Jobs that wait for their turn. */
#define MAX_JOBS_QUEUED 100
/* Ended jobs that are kept, the newest ones. */
#define MAX_JOBS_KEPT 1000

struct jobs;
struct store_place;

/* A state as one bit of a set. */
#define JOB_IN(state) (1U << (state))
#define JOB_ACTIVE \
	(JOB_IN(JOB_QUEUED) | JOB_IN(JOB_RUNNING) | \
	JOB_IN(JOB_ABORT_INITIATED))
#define JOB_ANY (JOB_IN(JOB_STATE__MAX) - 1)

/*
 * Opens the ledger of the store at place; is_writer: jobs may be added, written
 * and aborted, and one that is not there is made.  To a reader it is an empty
 * one then.  Whether there is a store is not looked at.
 */
int jobs_open(const struct store_place *place, bool is_writer,
    struct jobs **out, struct error *err);
/* NULL is fine. */
void jobs_close(struct jobs *jobs);
/* The store's name for messages, without secrets; borrowed. */
const char *jobs_name(const struct jobs *jobs);
/* The clock by which jobs live and die (UTC ms): the server's, or ours. */
int64_t jobs_now_ms(struct jobs *jobs);

/*
 * Adds the job, alive from now on; its created_at_ms, by jobs_now_ms(), is its
 * place in the order of arrival.  -1 (STATUS_USAGE): there is one of that id.
 */
int jobs_add(struct jobs *jobs, struct job *job, struct error *err);
/*
 * Writes job as it is, alive now, if its state in the ledger is one of before
 * (JOB_IN() bits): 1.  Else 0, with nothing written; also when it is not
 * there.
 */
int jobs_put(struct jobs *jobs, struct job *job, unsigned before,
    struct error *err);
/* The job of that id: 1 = *out is filled, for job_clear(), 0 = none, -1. */
int jobs_get(struct jobs *jobs, const char *id, struct job *out,
    struct error *err);
/* Takes a job, borrowed; false: no more of them. */
typedef bool (*job_fn)(void *ctx, const struct job *job);
/* The newest limit jobs (0: all), newest first, in order of arrival. */
int jobs_walk(struct jobs *jobs, int64_t limit, job_fn fn, void *ctx,
    struct error *err);
/* The active job (the running one, else the first in the queue), or the last
 * one: 1 = *out is filled, for job_clear(), 0 = there is none, -1. */
int jobs_current(struct jobs *jobs, struct job *out, struct error *err);
/* Fails (STATUS_NOT_FOUND): the ledger has no such job; hint is more to say, or
 * empty. */
int jobs_fail_unknown(const struct jobs *jobs, const char *id,
    const char *hint, struct error *err);
/*
 * How many live jobs are queued that came before the one of id, or, when that
 * is not queued, at all.
 */
int jobs_ahead(struct jobs *jobs, const char *id, uint64_t *count,
    struct error *err);
/*
 * Asks the job to end.  1 = it was asked, now or before, 0 = it has ended; *out
 * is the job as it is then, for job_clear().  -1: also (STATUS_NOT_FOUND) when
 * there is none of that id.
 */
int jobs_abort(struct jobs *jobs, const char *id, const char *by,
    const char *reason, struct job *out, struct error *err);
/*
 * For the one run of the store, the job own: of all others that have begun, and
 * not ended, the ledger says from now on that they are lost.
 * Drops what is beyond MAX_JOBS_KEPT.
 */
int jobs_sweep(struct jobs *jobs, const char *own, struct error *err);

#endif
