/*
 * What the tests of ledgers share: jobs in one, and a clock that stands still
 * until a test lets time pass.
 */
#ifndef NOMPD_JOBSLIB_H
#define NOMPD_JOBSLIB_H

#include <time.h>

#include "backendlib.h"
#include "clock.h"
#include "jobs.h"

#define START_MS INT64_C(1700000000000)
#define RUNNING	 JOB_IN(JOB_RUNNING)
#define QUEUED	 JOB_IN(JOB_QUEUED)

static int64_t passed_ms;

/* A program with a ledger has the store, too: the module for MongoDB finds
 * there what both need. */
static int (*const needed)(const struct store_place *, enum store_mode,
    struct store **, struct error *) __attribute__((used)) = store_open;

static inline void
start_clock(void)
{
	passed_ms = 0;
}

/* In the place of src/clock.c. */
int64_t
clock_now_ms(void)
{
	return START_MS + passed_ms;
}

int64_t
clock_boottime_ms(void)
{
	return passed_ms;
}

int64_t
clock_monotonic_ms(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
clock_format(int64_t ms, char text[CLOCK_TEXT_BYTES])
{
	(void)snprintf(text, CLOCK_TEXT_BYTES, "%lld", (long long)ms);
}

void
clock_format_seconds(int64_t ms, char text[CLOCK_TEXT_BYTES])
{
	clock_format(ms, text);
}

static inline struct jobs *
open_jobs(bool is_writer)
{
	struct jobs *jobs;

	CHECK(jobs_open(&place, is_writer, &jobs, &err));
	return jobs;
}

/* A job that arrives a moment after the one before. */
static inline void
add_job(struct jobs *jobs, const char *id, enum job_state state)
{
	struct job job = { 0 };

	passed_ms++;
	job_init(&job, id, "run", jobs_now_ms(jobs));
	job.state = state;
	if (state != JOB_QUEUED)
		job.started_at_ms = jobs_now_ms(jobs);
	CHECK(jobs_add(jobs, &job, &err));
	job_clear(&job);
}

static inline void
get_job(struct jobs *jobs, const char *id, struct job *out)
{
	int rc = jobs_get(jobs, id, out, &err);

	ck_assert_msg(rc == 1, "%s: %d, %s", id, rc, err.text);
	ck_assert_str_eq(out->id, id);
}

/* What jobs_put() makes of the job of that id in another state. */
static inline int
put_state(struct jobs *jobs, const char *id, enum job_state state,
    unsigned before)
{
	struct job job;
	int	   rc;

	get_job(jobs, id, &job);
	job.state = state;
	if (state == JOB_RUNNING)
		job.started_at_ms = jobs_now_ms(jobs);
	rc = jobs_put(jobs, &job, before, &err);
	ck_assert_msg(rc != -1, "%s", err.text);
	job_clear(&job);
	return rc;
}

/* A row of a list: "id:State", with "!" when it is lost. */
static inline bool
list_job(void *ctx, const struct job *job)
{
	struct buf *list = ctx;

	buf_print(list, "%s%s:%s%s", list->len > 0 ? " " : "", job->id,
	    job_state_name(job->state), job->is_lost ? "!" : "");
	return true;
}

static inline void
walk_is(struct jobs *jobs, int64_t limit, const char *expected)
{
	struct buf list = { 0 };
	int	   rc;

	rc = jobs_walk(jobs, limit, list_job, &list, &err);
	list_is(&list, rc, expected);
}

/* The job that jobs_current() gives; "": none. */
static inline void
current_is(struct jobs *jobs, const char *expected)
{
	struct job job;
	int	   rc;

	rc = jobs_current(jobs, &job, &err);
	ck_assert_msg(rc != -1, "%s", err.text);
	ck_assert_str_eq(job.id, expected);
	ck_assert_int_eq(rc, expected[0] != '\0');
	job_clear(&job);
}

static inline void
ahead_is(struct jobs *jobs, const char *id, uint64_t expected)
{
	uint64_t count = 99;

	CHECK(jobs_ahead(jobs, id, &count, &err));
	ck_assert_uint_eq(count, expected);
}

/* "e0", "e1" and so on: those from first on to before end. */
static inline void
add_ended(struct jobs *jobs, int first, int end)
{
	char id[16];
	int  i;

	for (i = first; i < end; i++) {
		(void)snprintf(id, sizeof(id), "e%d", i);
		add_job(jobs, id, JOB_COMPLETED);
	}
}

/* job_fn */
static inline bool
count_job(void *ctx, const struct job *job)
{
	(void)job;
	++*(int *)ctx;
	return true;
}

#endif
