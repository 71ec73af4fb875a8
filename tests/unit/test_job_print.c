#include "job.h"
#include "job_print.h"
#include "testlib.h"

/* 2026-11-22T02:00:00Z */
#define START 1795312800000LL
#define HEAD "JOB                        STATE           STAGE       " \
	"CREATED AT                    TOOK  VERSION  ERROR\n"

static struct buf out;

/* What was printed, whole. */
static void
assert_out(const char *want)
{
	buf_append_byte(&out, '\0');
	ck_assert_str_eq((const char *)out.data, want);
	buf_clear(&out);
}

static struct job
make_job(enum job_state state)
{
	struct job job = { .id = "night-1", .state = state,
		.command = "run", .host = "db1", .process = 4711,
		.program_version = "0.1.0", .created_at_ms = START,
		.renewed_at_ms = START + 30000, .retries = 2,
		.stage = JOB_STAGE_FETCHING };

	if (state != JOB_QUEUED)
		job.started_at_ms = START + 10000;
	if (!job_is_active(&job))
		job.ended_at_ms = START + 215000;
	return job;
}

static const struct {
	int64_t	    ms;
	const char *text;
} durations[] = {
	{ INT64_MIN, "0.0 s" }, { -1, "0.0 s" }, { 0, "0.0 s" },
	{ 99, "0.0 s" }, { 850, "0.8 s" }, { 59999, "59.9 s" },
	{ 60000, "1 min 0 s" }, { 3599999, "59 min 59 s" },
	{ 3600000, "1 h 0 min" }, { 26 * 3600000LL, "26 h 0 min" },
	{ 172799999, "47 h 59 min" }, { 172800000, "2 d 0 h" },
	{ INT64_MAX, "106751991167 d 7 h" },
};

START_TEST(duration)
{
	job_print_duration(&out, durations[_i].ms);
	assert_out(durations[_i].text);
}
END_TEST

START_TEST(state)
{
	struct job job = { .state = JOB_ABORT_INITIATED };

	ck_assert_str_eq(job_print_state(&job), "AbortInitiated");
	job.state = JOB_FAILED;
	ck_assert_str_eq(job_print_state(&job), "Failed");
	job.is_lost = true;
	ck_assert_str_eq(job_print_state(&job), "Failed (lost)");
}
END_TEST

START_TEST(block_of_one_that_runs)
{
	struct job job = make_job(JOB_ABORT_INITIATED);

	job.abort_at_ms = START + 20000;
	(void)snprintf(job.abort_by, sizeof(job.abort_by), "ops@db2");
	job_print_block(&out, &job, 7, START + 40000);
	assert_out(
	    "job         night-1\n"
	    "state       AbortInitiated\n"
	    "stage       fetching\n"
	    "command     run, process 4711 on db1, version 0.1.0\n"
	    "created at  2026-11-22T02:00:00Z\n"
	    "started at  2026-11-22T02:00:10Z\n"
	    "seen at     2026-11-22T02:00:30Z\n"
	    "running     30.0 s\n"
	    "retries     2\n"
	    "abort       asked for at 2026-11-22T02:00:20Z by ops@db2\n");
}
END_TEST

START_TEST(block_of_one_that_waits)
{
	struct job job = make_job(JOB_QUEUED);

	job.stage = JOB_STAGE_WAITING;
	job_print_block(&out, &job, 7, START + 40000);
	assert_out(
	    "job         night-1\n"
	    "state       Queued, 7 before it\n"
	    "stage       waiting\n"
	    "command     run, process 4711 on db1, version 0.1.0\n"
	    "created at  2026-11-22T02:00:00Z\n"
	    "seen at     2026-11-22T02:00:30Z\n"
	    "waiting     40.0 s\n"
	    "retries     2\n");
}
END_TEST

START_TEST(block_of_one_that_has_ended)
{
	struct job job = make_job(JOB_FAILED);

	job.abort_at_ms = START + 20000;
	(void)snprintf(job.abort_by, sizeof(job.abort_by), "ops@db2");
	(void)snprintf(job.abort_reason, sizeof(job.abort_reason),
	    "too\nlate");
	error_fill(&job.error, STATUS_STORE, "one\ntwo\nC:\\new");
	job.has_result = true;
	job.result = (struct run_result){ .version = 5, .added = 1,
		.updated = 2, .unchanged = 3, .deleted = 4 };
	job_print_block(&out, &job, 0, START + 400000);
	assert_out(
	    "job         night-1\n"
	    "state       Failed\n"
	    "stage       fetching\n"
	    "command     run, process 4711 on db1, version 0.1.0\n"
	    "created at  2026-11-22T02:00:00Z\n"
	    "started at  2026-11-22T02:00:10Z\n"
	    "ended at    2026-11-22T02:03:35Z\n"
	    "took        3 min 25 s\n"
	    "retries     2\n"
	    "abort       asked for at 2026-11-22T02:00:20Z by ops@db2: too\n"
	    "            late\n"
	    "error       status 74: one\n"
	    "            two\n"
	    "            C:\\new\n"
	    "result      version 5: 1 added, 2 updated, 3 unchanged,"
	    " 4 deleted\n");
}
END_TEST

START_TEST(harmless)
{
	job_print_line(&out, "x", "a\x1b[31m\x7f\t\xc2\x9b"
	    "b\xc3\xa5\xc2\xa0");
	assert_out("x           a?[31m???b\xc3\xa5\xc2\xa0\n");
	job_print_line(&out, "x", "a\xe2\x80\xae" "b\xe2\x81\xa9\xe2\x80\x8d");
	assert_out("x           a?b?\xe2\x80\x8d\n");
	job_print_text(&out, "a\x1b[31m\xc2\x9b" "b\xe2\x80\x8f\r\nc");
	buf_append_byte(&out, ';');
	assert_out("a?[31m?b??;");
	job_print_line(&out, "x", "\\");
	assert_out("x           \\\n");
	job_print_line(&out, "x", "");
	assert_out("x           \n");
}
END_TEST

START_TEST(counts)
{
	struct job_count list[] = {
		{ "PlanDefinitions", 120, 500, 0, 0 },
		{ "T", -1, -1, 12345678901, 7 },
	};
	struct job	 job = { .id = "x" };

	job_print_counts(&out, &job);
	assert_out("");
	job.counts = list;
	job.n_counts = 2;
	job_print_counts(&out, &job);
	assert_out("\n"
	    "COLLECTION          FETCHED    EXPECTED   PROCESSED     WRITTEN\n"
	    "PlanDefinitions         120         500           0           0\n"
	    "T                         -           -  12345678901"
	    "           7\n");
}
END_TEST

START_TEST(rows)
{
	struct job job = make_job(JOB_COMPLETED);

	job_print_head(&out);
	job.has_result = true;
	job.result.version = 1234;
	job_print_row(&out, &job, START);
	job = make_job(JOB_FAILED);
	job.is_lost = true;
	memset(job.id, 'i', 30);
	error_fill(&job.error, STATUS_UNAVAILABLE, "no\x1b answer \\n\nagain");
	job_print_row(&out, &job, START);
	job = make_job(JOB_QUEUED);
	job.created_at_ms = 0;
	job_print_row(&out, &job, START);
	assert_out(HEAD
	    "night-1                    Completed       fetching    "
	    "2026-11-22T02:00:00Z    3 min 25 s     1234\n"
	    "iiiiiiiiiiiiiiiiiiiiiiiiiiiiii  Failed (lost)   fetching    "
	    "2026-11-22T02:00:00Z    3 min 25 s        -  69: no? answer \\n\n"
	    "night-1                    Queued          fetching    "
	    "-                            0.0 s        -\n");
}
END_TEST

/* Times that no job of ours has. */
START_TEST(odd_times)
{
	static const int64_t times[] = { INT64_MIN, -1, 0, INT64_MAX };
	struct job	     job = make_job(JOB_FAILED);

	job.created_at_ms = job.started_at_ms = times[_i / 4];
	job.ended_at_ms = times[_i % 4];
	job_print_row(&out, &job, START);
	job_print_block(&out, &job, 0, START);
	ck_assert_uint_gt(out.len, 0);
	buf_clear(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("job_print");
	TCase *tcase = tcase_create("job_print");

	tcase_add_loop_test(tcase, duration, 0, LENGTH_OF(durations));
	tcase_add_test(tcase, state);
	tcase_add_test(tcase, block_of_one_that_runs);
	tcase_add_test(tcase, block_of_one_that_waits);
	tcase_add_test(tcase, block_of_one_that_has_ended);
	tcase_add_test(tcase, harmless);
	tcase_add_test(tcase, counts);
	tcase_add_test(tcase, rows);
	tcase_add_loop_test(tcase, odd_times, 0, 16);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
