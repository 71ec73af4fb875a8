#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "job_keeper.h"
#include "stop.h"
#include "ticker.h"
#include "xalloc.h"

/* How often the ledger is told, and asked. */
#define KEEP_EVERY_MS 1000

/*
 * ledger is taken for each use of jobs, renewed_ms and is_lost, values for each
 * of job; who wants both takes ledger first.
 */
struct job_keeper {
	struct jobs    *jobs;
	int64_t		renewed_ms; /* last sign of life, by our own clock */
	bool		is_lost;    /* that was too long ago */
	pthread_mutex_t ledger;
	struct job	job;
	pthread_mutex_t values;
	struct ticker  *ticker; /* NULL: no job was added */
};

int
job_keeper_open(const struct store_place *place, struct job_keeper **out,
    struct error *err)
{
	struct job_keeper *keeper;
	struct jobs	  *jobs;

	*out = NULL;
	if (jobs_open(place, true, &jobs, err) == -1)
		return -1;
	*out = keeper = xcalloc(1, sizeof(*keeper));
	keeper->jobs = jobs;
	(void)pthread_mutex_init(&keeper->ledger, NULL);
	(void)pthread_mutex_init(&keeper->values, NULL);
	return 0;
}

int64_t
job_keeper_now_ms(struct job_keeper *keeper)
{
	return jobs_now_ms(keeper->jobs);
}

int
job_keeper_ahead(struct job_keeper *keeper, const char *id, uint64_t *count,
    struct error *err)
{
	int rc;

	(void)pthread_mutex_lock(&keeper->ledger);
	rc = jobs_ahead(keeper->jobs, id, count, err);
	(void)pthread_mutex_unlock(&keeper->ledger);
	return rc;
}

int
job_keeper_sweep(struct job_keeper *keeper, const char *own, struct error *err)
{
	int rc;

	(void)pthread_mutex_lock(&keeper->ledger);
	rc = jobs_sweep(keeper->jobs, own, err);
	(void)pthread_mutex_unlock(&keeper->ledger);
	return rc;
}

/* Why the ledger does not take the job as it was any more. */
static void
explain(const struct job_keeper *keeper, const struct job *found,
    bool is_there, struct error *err)
{
	if (is_there && found->state == JOB_ABORT_INITIATED)
		error_fill(err, STATUS_ABORTED, "%s asked for the end of this"
		    " run%s%s", found->abort_by,
		    found->abort_reason[0] != '\0' ? ": " : "",
		    found->abort_reason);
	else
		error_fill(err, STATUS_STORE, "store %s: another run has taken"
		    " the lease, or may have, for the list of jobs %s: it was"
		    " held up for too long, or somebody has written there; it"
		    " stops here, and the next one begins anew",
		    jobs_name(keeper->jobs), is_there ?
		    "says that this run has ended" : "has this run no more");
}

/* The job as it was is not what the ledger has: what is it?  1 = its end, or
 * -1. */
static int
look(struct job_keeper *keeper, struct job *job, struct error *err)
{
	struct job found;
	int	   rc;

	rc = jobs_get(keeper->jobs, job->id, &found, err);
	if (rc == 1 && found.state == JOB_ABORT_INITIATED) {
		(void)pthread_mutex_lock(&keeper->values);
		keeper->job.state = JOB_ABORT_INITIATED;
		(void)pthread_mutex_unlock(&keeper->values);
	}
	if (rc == -1)
		return -1;
	explain(keeper, &found, rc == 1, err);
	job_clear(&found);
	return 1;
}

/*
 * One sign of life; the caller has the ledger.  0 = the job goes on, 1 = it is
 * to end, with *err, -1 = the ledger failed, with *err.
 */
static int
renew(struct job_keeper *keeper, struct error *err)
{
	struct job job = { 0 };
	int64_t	   held_ms = clock_boottime_ms() - keeper->renewed_ms;
	int	   rc;

	if (held_ms >= JOB_LEASE_MS) {
		keeper->is_lost = true;
		error_fill(err, STATUS_STORE, "store %s: another run has taken"
		    " the lease, or may have: this run was held up for"
		    " %" PRId64 " seconds and counts as lost; it stops here,"
		    " and the next one begins anew", jobs_name(keeper->jobs),
		    held_ms / 1000);
		return 1;
	}
	(void)pthread_mutex_lock(&keeper->values);
	job_copy(&job, &keeper->job);
	(void)pthread_mutex_unlock(&keeper->values);
	rc = jobs_put(keeper->jobs, &job, JOB_IN(job.state), err);
	if (rc == 0)
		rc = look(keeper, &job, err);
	else if (rc == 1) {
		keeper->renewed_ms = clock_boottime_ms();
		rc = 0;
	}
	job_clear(&job);
	return rc;
}

/* The thread.  What fails is tried again, as long as the job counts as alive
 * without it. */
static void
keep(void *ctx)
{
	struct job_keeper *keeper = ctx;
	struct error	   err;
	bool		   is_late;
	int		   rc;

	(void)pthread_mutex_lock(&keeper->ledger);
	rc = renew(keeper, &err);
	is_late = clock_boottime_ms() - keeper->renewed_ms >=
	    JOB_LEASE_MS - 2 * KEEP_EVERY_MS;
	/* Before the ledger is let go: job_keeper_check() relies on it. */
	if (rc == 1 || (rc == -1 && is_late))
		stop_order(&err);
	(void)pthread_mutex_unlock(&keeper->ledger);
}

int
job_keeper_add(struct job_keeper *keeper, const struct job *job,
    struct error *err)
{
	struct error late;
	int	     rc;

	job_copy(&keeper->job, job);
	(void)pthread_mutex_lock(&keeper->ledger);
	rc = jobs_add(keeper->jobs, &keeper->job, err);
	keeper->renewed_ms = clock_boottime_ms();
	(void)pthread_mutex_unlock(&keeper->ledger);
	if (rc == -1 || ticker_start(keep, keeper, KEEP_EVERY_MS,
	    &keeper->ticker, err) == 0)
		return rc;
	/* Nobody is to wait for it. */
	job_set_end(&keeper->job, err, jobs_now_ms(keeper->jobs));
	(void)jobs_put(keeper->jobs, &keeper->job, JOB_ACTIVE, &late);
	return -1;
}

void
job_keeper_note(struct job_keeper *keeper, const struct job *job)
{
	enum job_state state;

	(void)pthread_mutex_lock(&keeper->values);
	state = keeper->job.state;
	job_copy(&keeper->job, job);
	keeper->job.state = state;
	(void)pthread_mutex_unlock(&keeper->values);
}

int
job_keeper_start(struct job_keeper *keeper, struct error *err)
{
	struct job job = { 0 };
	int	   rc;

	(void)pthread_mutex_lock(&keeper->ledger);
	(void)pthread_mutex_lock(&keeper->values);
	job_copy(&job, &keeper->job);
	(void)pthread_mutex_unlock(&keeper->values);
	job.state = JOB_RUNNING;
	rc = jobs_put(keeper->jobs, &job, JOB_IN(JOB_QUEUED), err);
	if (rc == 0)
		rc = look(keeper, &job, err);
	else if (rc == 1) {
		(void)pthread_mutex_lock(&keeper->values);
		keeper->job.state = JOB_RUNNING;
		(void)pthread_mutex_unlock(&keeper->values);
		rc = 0;
	}
	(void)pthread_mutex_unlock(&keeper->ledger);
	job_clear(&job);
	return rc == 0 ? 0 : -1;
}

int
job_keeper_check(struct job_keeper *keeper, struct error *err)
{
	int rc;

	(void)pthread_mutex_lock(&keeper->ledger);
	rc = renew(keeper, err);
	(void)pthread_mutex_unlock(&keeper->ledger);
	return rc == 0 ? 0 : -1;
}

/* Who asked for the end of the job is what the ledger alone knows. */
static int
take_abort(struct job_keeper *keeper, struct job *job, struct error *err)
{
	struct job found;
	int	   rc;

	rc = jobs_get(keeper->jobs, job->id, &found, err);
	if (rc != 1)
		return rc;
	job->renewed_at_ms = found.renewed_at_ms;
	job->abort_at_ms = found.abort_at_ms;
	memcpy(job->abort_by, found.abort_by, sizeof(job->abort_by));
	memcpy(job->abort_reason, found.abort_reason,
	    sizeof(job->abort_reason));
	job_clear(&found);
	return 0;
}

int
job_keeper_end(struct job_keeper *keeper, struct job *job, struct error *err)
{
	/* What is published is so, whatever somebody has written there. */
	unsigned before = job->state == JOB_COMPLETED ? JOB_ANY : JOB_ACTIVE;
	int	 rc;

	if (keeper->ticker == NULL)
		return 0;
	ticker_stop(keeper->ticker);
	keeper->ticker = NULL;
	/* Whoever has looked meanwhile was told so. */
	if (job->state == JOB_FAILED)
		job->is_lost = keeper->is_lost;
	job_copy(&keeper->job, job);
	rc = jobs_put(keeper->jobs, &keeper->job, before, err);
	if (rc == 0)
		return error_set(err, STATUS_STORE, "the list of jobs has"
		    " another end of job %s, or has it no more", job->id);
	return rc == -1 ? -1 : take_abort(keeper, job, err);
}

void
job_keeper_close(struct job_keeper *keeper)
{
	if (keeper == NULL)
		return;
	ticker_stop(keeper->ticker);
	jobs_close(keeper->jobs);
	job_clear(&keeper->job);
	(void)pthread_mutex_destroy(&keeper->ledger);
	(void)pthread_mutex_destroy(&keeper->values);
	free(keeper);
}
