/*
 * The promises of jobs.h on each kind of ledger (backendlib.h says on which):
 * jobs that are asked to end, are lost, or are too many.
 */
#include "jobslib.h"

static void
abort_is(const struct job *job, const char *by, const char *reason,
    int64_t at_ms)
{
	ck_assert_int_eq(job->state, JOB_ABORT_INITIATED);
	ck_assert_str_eq(job->abort_by, by);
	ck_assert_str_eq(job->abort_reason, reason);
	ck_assert_int_eq(job->abort_at_ms, at_ms);
}

/* One that waits, and one that runs. */
START_TEST(abort_active)
{
	enum job_state state = _i == 0 ? JOB_QUEUED : JOB_RUNNING;
	struct jobs   *jobs = open_jobs(true);
	struct job     job;
	int64_t	       now_ms;

	add_job(jobs, "j", state);
	passed_ms += 7;
	now_ms = jobs_now_ms(jobs);
	ck_assert_int_eq(jobs_abort(jobs, "j", "me", "why \xc3\xa6", &job,
	    &err), 1);
	abort_is(&job, "me", "why \xc3\xa6", now_ms);
	/* The asking is no sign of life. */
	ck_assert_int_eq(job.renewed_at_ms, now_ms - 7);
	job_clear(&job);
	/* Who asks again finds what was asked before. */
	passed_ms += 7;
	ck_assert_int_eq(jobs_abort(jobs, "j", "you", "so", &job, &err), 1);
	abort_is(&job, "me", "why \xc3\xa6", now_ms);
	job_clear(&job);
	/* The job finds that it is not what it was, and ends. */
	ck_assert_int_eq(put_state(jobs, "j", state, JOB_IN(state)), 0);
	ck_assert_int_eq(put_state(jobs, "j", JOB_ABORTED,
	    JOB_IN(JOB_ABORT_INITIATED)), 1);
	get_job(jobs, "j", &job);
	ck_assert_int_eq(job.state, JOB_ABORTED);
	ck_assert_str_eq(job.abort_by, "me");
	ck_assert_str_eq(job.abort_reason, "why \xc3\xa6");
	ck_assert_int_eq(job.abort_at_ms, now_ms);
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

START_TEST(abort_ended)
{
	enum job_state state = (enum job_state)(JOB_ABORTED + _i);
	struct jobs   *jobs = open_jobs(true);
	struct job     job;

	add_job(jobs, "j", state);
	ck_assert_int_eq(jobs_abort(jobs, "j", "me", "", &job, &err), 0);
	ck_assert_str_eq(job.id, "j");
	ck_assert_int_eq(job.state, state);
	job_clear(&job);
	get_job(jobs, "j", &job);
	ck_assert_int_eq(job.state, state);
	ck_assert_int_eq(job.abort_at_ms, 0);
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

START_TEST(abort_lost)
{
	struct jobs *jobs = open_jobs(true);
	struct job   job;

	add_job(jobs, "j", JOB_RUNNING);
	passed_ms += JOB_LEASE_MS;
	ck_assert_int_eq(jobs_abort(jobs, "j", "me", "", &job, &err), 0);
	ck_assert_int_eq(job.state, JOB_FAILED);
	ck_assert(job.is_lost);
	ck_assert_int_eq(job.abort_at_ms, 0);
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

/* What is too long is cut, and what is no UTF-8 becomes some. */
START_TEST(abort_texts)
{
	char	     by[3 * MAX_JOB_BY], reason[3 * MAX_JOB_REASON];
	struct jobs *jobs = open_jobs(true);
	struct job   job;

	memset(by, 0xff, sizeof(by) - 1);
	by[sizeof(by) - 1] = '\0';
	memset(reason, 'r', sizeof(reason) - 1);
	memcpy(reason + MAX_JOB_REASON - 1, "\xc3\xa6", 2);
	reason[sizeof(reason) - 1] = '\0';
	add_job(jobs, "j", JOB_QUEUED);
	ck_assert_int_eq(jobs_abort(jobs, "j", by, reason, &job, &err), 1);
	ck_assert_uint_eq(strlen(job.abort_by), MAX_JOB_BY);
	ck_assert_uint_eq(strspn(job.abort_by, "?"), MAX_JOB_BY);
	ck_assert_uint_eq(strlen(job.abort_reason), MAX_JOB_REASON - 1);
	ck_assert_uint_eq(strspn(job.abort_reason, "r"), MAX_JOB_REASON - 1);
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

/* They go into messages of one line, on a terminal. */
START_TEST(abort_texts_are_plain)
{
	struct jobs *jobs = open_jobs(true);
	struct job   job;

	add_job(jobs, "j", JOB_QUEUED);
	ck_assert_int_eq(jobs_abort(jobs, "j", "a\x1b[31m\xe2\x80\xae" "b",
	    "c\nd\xc2\x9b\xc3\xa6", &job, &err), 1);
	ck_assert_str_eq(job.abort_by, "a?[31m?b");
	ck_assert_str_eq(job.abort_reason, "c?d?\xc3\xa6");
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

/* How long ago the last sign of life was, and whether that is too long. */
static const struct {
	int64_t ago_ms;
	bool	is_lost;
} ages[] = {
	{ 0, false },
	{ JOB_LEASE_MS - 1, false },
	{ JOB_LEASE_MS, true },
	{ 1000 * INT64_C(86400000), true },
	/* By a clock that was put back. */
	{ 1 - JOB_LEASE_MS, false },
	{ -JOB_LEASE_MS, true },
	{ -1000 * INT64_C(86400000), true },
};

START_TEST(lost_by_age)
{
	enum job_state state = (enum job_state)(_i % JOB_STATE__MAX);
	int	       row = _i / JOB_STATE__MAX;
	struct jobs   *jobs = open_jobs(true);
	struct job     job;
	int64_t	       renewed_at_ms;
	bool	       is_lost;

	add_job(jobs, "j", state);
	renewed_at_ms = jobs_now_ms(jobs);
	passed_ms += ages[row].ago_ms;
	get_job(jobs, "j", &job);
	is_lost = ages[row].is_lost && state <= JOB_ABORT_INITIATED;
	ck_assert_int_eq(job.is_lost, is_lost);
	ck_assert_int_eq(job.state, is_lost ? JOB_FAILED : state);
	ck_assert_int_eq(job.error.status, is_lost ? STATUS_STORE : STATUS_OK);
	ck_assert_int_eq(job.ended_at_ms, is_lost ? renewed_at_ms : 0);
	ck_assert_int_eq(job.renewed_at_ms, renewed_at_ms);
	job_clear(&job);
	/* It is but shown so: with a sign of life it lives again. */
	passed_ms -= ages[row].ago_ms;
	get_job(jobs, "j", &job);
	ck_assert_int_eq(job.state, state);
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

START_TEST(sweep)
{
	struct jobs *jobs = open_jobs(true);
	struct job   job;
	int64_t	     lost_at_ms;

	add_job(jobs, "lost", JOB_QUEUED);
	add_job(jobs, "ran", JOB_RUNNING);
	lost_at_ms = jobs_now_ms(jobs);
	passed_ms += JOB_LEASE_MS;
	add_job(jobs, "ended", JOB_HELD);
	add_job(jobs, "waits", JOB_QUEUED);
	add_job(jobs, "claims", JOB_RUNNING);
	add_job(jobs, "asked", JOB_RUNNING);
	ck_assert_int_eq(jobs_abort(jobs, "asked", "me", "", &job, &err), 1);
	job_clear(&job);
	add_job(jobs, "leaves", JOB_QUEUED);
	ck_assert_int_eq(jobs_abort(jobs, "leaves", "me", "", &job, &err), 1);
	job_clear(&job);
	add_job(jobs, "own", JOB_RUNNING);
	passed_ms += 5;
	CHECK(jobs_sweep(jobs, "own", &err));
	/* It is written down now: no sign of life changes it. */
	passed_ms -= JOB_LEASE_MS;
	walk_is(jobs, 0, "own:Running leaves:AbortInitiated asked:Failed!"
	    " claims:Failed! waits:Queued ended:Held ran:Failed!"
	    " lost:Queued");
	get_job(jobs, "ran", &job);
	ck_assert_int_eq(job.ended_at_ms, lost_at_ms);
	ck_assert_int_eq(job.renewed_at_ms, lost_at_ms);
	ck_assert_int_eq(job.error.status, STATUS_STORE);
	job_clear(&job);
	ck_assert_int_eq(put_state(jobs, "ran", JOB_RUNNING, RUNNING), 0);
	get_job(jobs, "asked", &job);
	ck_assert_str_eq(job.abort_by, "me");
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

/* Its own job is not touched, not even when it seems lost. */
START_TEST(sweep_own)
{
	struct jobs *jobs = open_jobs(true);

	add_job(jobs, "own", JOB_RUNNING);
	passed_ms += JOB_LEASE_MS;
	CHECK(jobs_sweep(jobs, "own", &err));
	passed_ms -= JOB_LEASE_MS;
	walk_is(jobs, 0, "own:Running");
	jobs_close(jobs);
}
END_TEST

static void
is_gone(struct jobs *jobs, const char *id, bool expected)
{
	struct job job;

	ck_assert_int_eq(jobs_get(jobs, id, &job, &err), !expected);
	job_clear(&job);
}

/* Of the ended ones, lost ones among them, the oldest go. */
START_TEST(sweep_surplus)
{
	struct jobs *jobs = open_jobs(true);
	int	     count = 0;

	add_job(jobs, "own", JOB_COMPLETED);
	add_job(jobs, "lost", JOB_RUNNING);
	passed_ms += JOB_LEASE_MS;
	CHECK(jobs_sweep(jobs, "own", &err));
	add_job(jobs, "ran", JOB_RUNNING);
	add_ended(jobs, 0, 2);
	passed_ms += JOB_LEASE_MS;
	add_job(jobs, "waits", JOB_QUEUED);
	CHECK(jobs_sweep(jobs, "own", &err));
	walk_is(jobs, 0, "waits:Queued e1:Completed e0:Completed ran:Failed!"
	    " lost:Failed! own:Completed");
	/* With e1 there are MAX_JOBS_KEPT. */
	add_ended(jobs, 2, MAX_JOBS_KEPT + 1);
	ck_assert_int_eq(put_state(jobs, "waits", JOB_QUEUED, QUEUED), 1);
	CHECK(jobs_sweep(jobs, "own", &err));
	count = 0;
	CHECK(jobs_walk(jobs, 0, count_job, &count, &err));
	ck_assert_int_eq(count, MAX_JOBS_KEPT + 2);
	is_gone(jobs, "e1", false);
	is_gone(jobs, "waits", false);
	is_gone(jobs, "own", false);
	is_gone(jobs, "e0", true);
	is_gone(jobs, "ran", true);
	is_gone(jobs, "lost", true);
	jobs_close(jobs);
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("jobs_ends", &tests);

	tcase_add_checked_fixture(tests, start_clock, NULL);
	tcase_add_loop_test(tests, abort_active, 0, 2);
	tcase_add_loop_test(tests, abort_ended, 0,
	    JOB_STATE__MAX - JOB_ABORTED);
	tcase_add_test(tests, abort_lost);
	tcase_add_test(tests, abort_texts);
	tcase_add_test(tests, abort_texts_are_plain);
	tcase_add_loop_test(tests, lost_by_age, 0,
	    LENGTH_OF(ages) * JOB_STATE__MAX);
	tcase_add_test(tests, sweep);
	tcase_add_test(tests, sweep_own);
	tcase_add_test(tests, sweep_surplus);
	return test_run(suite);
}
