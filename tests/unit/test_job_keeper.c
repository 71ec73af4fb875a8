/* The job of this process in the ledger: signs of life, and reasons to end. */
#include <check.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "job_keeper.h"
#include "stop.h"
#include "store_place.h"
#include "testlib.h"

/* How long a test waits for the thread, in steps of 10 ms. */
#define MAX_STEPS 6000

#define CHECK(call) ck_assert_msg((call) == 0, "%s", err.text)

static const char	  folder_pattern[] = "/tmp/nompd-test-keeper-XXXXXX";
static char		  folder[sizeof(folder_pattern)];
static char		  uri[sizeof("sqlite:") + sizeof(folder) + 8];
static struct store_place place = { uri, NULL };
static struct error	  err;
static struct job	  job;
static struct job_keeper *keeper;
static struct jobs	 *other; /* another process */

/* In the place of src/stop.c. */
static struct error order;
static atomic_int   n_orders;

void
stop_order(const struct error *given)
{
	order = *given;
	atomic_fetch_add(&n_orders, 1);
}

bool
stop_is_signalled(void)
{
	return false;
}

/* In the place of src/clock.c: time goes on, and jumps. */
static atomic_llong jump_ms;

int64_t
clock_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int64_t
clock_monotonic_ms(void)
{
	return clock_now_ms();
}

int64_t
clock_boottime_ms(void)
{
	return clock_now_ms() + jump_ms;
}

void
clock_format_seconds(int64_t ms, char text[CLOCK_TEXT_BYTES])
{
	(void)snprintf(text, CLOCK_TEXT_BYTES, "%lld", (long long)ms);
}

static void
set_up(void)
{
	memcpy(folder, folder_pattern, sizeof(folder));
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(uri, sizeof(uri), "sqlite:%s/db", folder);
	jump_ms = 0;
	n_orders = 0;
	CHECK(job_keeper_open(&place, &keeper, &err));
	CHECK(jobs_open(&place, true, &other, &err));
	job_init(&job, "one", "run", job_keeper_now_ms(keeper));
}

static void
tear_down(void)
{
	static const char *const names[] = { "db-jobs", "db-jobs-wal",
		"db-jobs-shm" };
	char			*path;
	size_t			 i;

	job_keeper_close(keeper);
	jobs_close(other);
	job_clear(&job);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path = xasprintf("%s/%s", folder, names[i]);
		ck_assert_int_eq(unlink(path), 0);
		free(path);
	}
	ck_assert_int_eq(rmdir(folder), 0);
}

static void
add(enum job_state state)
{
	job.state = state;
	CHECK(job_keeper_add(keeper, &job, &err));
}

/* What the ledger has; the caller clears it. */
static struct job
look(void)
{
	struct job found;

	ck_assert_msg(jobs_get(other, "one", &found, &err) == 1, "%s",
	    err.text);
	return found;
}

static enum job_state
state_of(void)
{
	struct job     found = look();
	enum job_state state = found.state;

	job_clear(&found);
	return state;
}

static void
ask_for_end(void)
{
	struct job found;

	ck_assert_int_eq(jobs_abort(other, "one", "somebody", "enough", &found,
	    &err), 1);
	job_clear(&found);
}

static void
await_order(void)
{
	int i;

	for (i = 0; i < MAX_STEPS && n_orders == 0; i++)
		(void)usleep(10000);
	ck_assert_int_gt(n_orders, 0);
}

START_TEST(is_there_at_once)
{
	struct job found;

	add(JOB_RUNNING);
	found = look();
	ck_assert_int_eq(found.state, JOB_RUNNING);
	ck_assert_str_eq(found.command, "run");
	ck_assert_int_eq(found.process, getpid());
	ck_assert_str_eq(found.program_version, NOMPD_VERSION);
	ck_assert_str_ne(found.host, "");
	ck_assert_int_eq(found.is_lost, false);
	job_clear(&found);
	CHECK(job_keeper_check(keeper, &err));
	ck_assert_int_eq(n_orders, 0);
}
END_TEST

/* A job that is there already is somebody else's. */
START_TEST(id_is_taken)
{
	struct job first = { 0 };

	job_init(&first, "one", "run", 1);
	ck_assert_int_eq(jobs_add(other, &first, &err), 0);
	ck_assert_int_eq(job_keeper_add(keeper, &job, &err), -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_ptr_nonnull(strstr(err.text, "--job-id"));
	/* It is not ours to end. */
	job.state = JOB_COMPLETED;
	CHECK(job_keeper_end(keeper, &job, &err));
	ck_assert_int_eq(state_of(), JOB_QUEUED);
	job_clear(&first);
}
END_TEST

START_TEST(progress_comes_out)
{
	struct job found = { 0 };
	int64_t	   fetched = 0;
	int	   i;

	add(JOB_RUNNING);
	job_count_of(&job, "PlanDefinitions")->fetched = 7;
	job.stage = JOB_STAGE_FETCHING;
	job.retries = 3;
	/* The state is not the run's to say. */
	job.state = JOB_HELD;
	job_keeper_note(keeper, &job);
	for (i = 0; i < MAX_STEPS && fetched != 7; i++) {
		(void)usleep(10000);
		job_clear(&found);
		found = look();
		if (found.n_counts > 0)
			fetched = found.counts[0].fetched;
	}
	ck_assert_int_eq(fetched, 7);
	ck_assert_int_eq(found.stage, JOB_STAGE_FETCHING);
	ck_assert_uint_eq(found.retries, 3);
	ck_assert_int_eq(found.state, JOB_RUNNING);
	ck_assert_int_ge(found.renewed_at_ms, found.created_at_ms);
	job_clear(&found);
}
END_TEST

START_TEST(end_is_asked_for)
{
	add(JOB_RUNNING);
	ask_for_end();
	await_order();
	ck_assert_int_eq(order.status, STATUS_ABORTED);
	ck_assert_str_eq(order.text, "somebody asked for the end of this run:"
	    " enough");
	/* It lives on until it has ended. */
	ck_assert_int_eq(state_of(), JOB_ABORT_INITIATED);
	job_set_end(&job, &order, 5);
	CHECK(job_keeper_end(keeper, &job, &err));
	ck_assert_int_eq(state_of(), JOB_ABORTED);
	ck_assert_int_eq(job.state, JOB_ABORTED);
	ck_assert_str_eq(job.abort_by, "somebody");
	ck_assert_str_eq(job.abort_reason, "enough");
}
END_TEST

/* Nobody asked the thread in between. */
START_TEST(end_is_asked_for_before_a_check)
{
	add(JOB_RUNNING);
	ask_for_end();
	ck_assert(job_keeper_check(keeper, &err) == -1 || n_orders > 0);
	if (n_orders == 0)
		ck_assert_int_eq(err.status, STATUS_ABORTED);
}
END_TEST

START_TEST(turn_comes)
{
	uint64_t ahead;

	add(JOB_QUEUED);
	CHECK(job_keeper_ahead(keeper, "one", &ahead, &err));
	ck_assert_uint_eq(ahead, 0);
	CHECK(job_keeper_ahead(keeper, "two", &ahead, &err));
	ck_assert_uint_eq(ahead, 1);
	CHECK(job_keeper_start(keeper, &err));
	ck_assert_int_eq(state_of(), JOB_RUNNING);
	CHECK(job_keeper_check(keeper, &err));
}
END_TEST

START_TEST(turn_comes_too_late)
{
	add(JOB_QUEUED);
	ask_for_end();
	ck_assert_int_eq(job_keeper_start(keeper, &err), -1);
	ck_assert_int_eq(err.status, STATUS_ABORTED);
	ck_assert_int_eq(state_of(), JOB_ABORT_INITIATED);
}
END_TEST

START_TEST(is_held_up)
{
	add(JOB_RUNNING);
	jump_ms = JOB_LEASE_MS + 1000;
	ck_assert_int_eq(job_keeper_check(keeper, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "held up for 31 seconds"));
	await_order();
	ck_assert_int_eq(order.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(order.text, "held up"));
}
END_TEST

/* Another run has the lease, and has said that this one is lost. */
START_TEST(is_given_up)
{
	add(JOB_RUNNING);
	CHECK(jobs_sweep(other, "two", &err));
	await_order();
	ck_assert_int_eq(order.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(order.text, "has ended"));
	ck_assert_int_eq(job_keeper_check(keeper, &err), -1);
	/* What it says of itself now comes too late, but stays its own. */
	job_set_end(&job, &order, 5);
	job.state = JOB_ABORTED;
	ck_assert_int_eq(job_keeper_end(keeper, &job, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "another end of job one"));
	ck_assert_int_eq(state_of(), JOB_FAILED);
	ck_assert_int_eq(job.state, JOB_ABORTED);
	ck_assert_str_eq(job.error.text, order.text);
}
END_TEST

/* But what was published is so. */
START_TEST(is_given_up_and_published)
{
	struct error none = { .status = STATUS_OK };

	add(JOB_RUNNING);
	CHECK(jobs_sweep(other, "two", &err));
	job_set_end(&job, &none, 5);
	CHECK(job_keeper_end(keeper, &job, &err));
	ck_assert_int_eq(state_of(), JOB_COMPLETED);
}
END_TEST

START_TEST(is_dropped)
{
	sqlite3 *db;
	char	*path = xasprintf("%s/db-jobs", folder);

	add(JOB_RUNNING);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_busy_timeout(db, 10000), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, "DELETE FROM SyncJobs", NULL, NULL,
	    NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	free(path);
	ck_assert_int_eq(job_keeper_check(keeper, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "has this run no more"));
}
END_TEST

START_TEST(ends)
{
	struct error none = { .status = STATUS_OK };
	struct job   found;

	add(JOB_RUNNING);
	job.has_result = true;
	job.result.version = 5;
	job_set_end(&job, &none, 99);
	CHECK(job_keeper_end(keeper, &job, &err));
	found = look();
	ck_assert_int_eq(found.state, JOB_COMPLETED);
	ck_assert_int_eq(found.ended_at_ms, 99);
	ck_assert_int_eq(found.result.version, 5);
	job_clear(&found);
	ck_assert_int_eq(n_orders, 0);
}
END_TEST

int
main(void)
{
	Suite	*suite = suite_create("job_keeper");
	TCase	*tcase = tcase_create("job_keeper");
	SRunner *runner;
	int	 failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, is_there_at_once);
	tcase_add_test(tcase, id_is_taken);
	tcase_add_test(tcase, progress_comes_out);
	tcase_add_test(tcase, end_is_asked_for);
	tcase_add_test(tcase, end_is_asked_for_before_a_check);
	tcase_add_test(tcase, turn_comes);
	tcase_add_test(tcase, turn_comes_too_late);
	tcase_add_test(tcase, is_held_up);
	tcase_add_test(tcase, is_given_up);
	tcase_add_test(tcase, is_given_up_and_published);
	tcase_add_test(tcase, is_dropped);
	tcase_add_test(tcase, ends);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
