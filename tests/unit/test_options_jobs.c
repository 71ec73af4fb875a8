#include "job.h"
#include "optionslib.h"

#define ID_64 "a23456789.123456789-123456789_1234567890123456789012345678901234"

START_TEST(defaults)
{
	assert_good("status");
	ck_assert_int_eq(opts.command, COMMAND_STATUS);
	ck_assert_ptr_null(opts.job);
	ck_assert_int_eq(opts.max_age_ms, 26LL * 60 * 60 * 1000);
	ck_assert(!opts.watch);
	ck_assert_int_eq(opts.format, OUTPUT_TABLE);
	assert_good("jobs");
	ck_assert_int_eq(opts.command, COMMAND_JOBS);
	ck_assert_uint_eq(opts.limit, 10);
	assert_good("abort");
	ck_assert_int_eq(opts.command, COMMAND_ABORT);
	ck_assert_ptr_null(opts.job);
	ck_assert_ptr_null(opts.reason);
	ck_assert(!opts.waits);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(all_flags)
{
	assert_good("status --max-age 2d --watch --format=json " ID_64);
	ck_assert_str_eq(opts.job, ID_64);
	ck_assert_int_eq(opts.max_age_ms, 2LL * 24 * 60 * 60 * 1000);
	ck_assert(opts.watch);
	ck_assert_int_eq(opts.format, OUTPUT_JSON);
	assert_good("jobs --limit 7 --format json");
	ck_assert_uint_eq(opts.limit, 7);
	assert_good("abort --reason why -- --wait");
	ck_assert_str_eq(opts.reason, "why");
	ck_assert_str_eq(opts.job, "--wait");
	ck_assert(!opts.waits);
}
END_TEST

/* One flag, two rows: the command's own says what it takes, wherever the
 * command stands. */
static const struct {
	const char *words;
	const char *job; /* NULL: none */
	int64_t	    wait_ms;
} waits[] = {
	{ "abort --wait", NULL, INT64_MAX },
	{ "abort --wait x", "x", INT64_MAX },
	{ "abort x --wait", "x", INT64_MAX },
	{ "abort --wait 5m", "5m", INT64_MAX },
	{ "abort --wait=5m", NULL, 300000 },
	{ "abort x --wait=0s", "x", 0 },
	{ "--wait=5m abort x", "x", 300000 },
	{ "abort --wait=7d --wait", NULL, INT64_MAX },
};

START_TEST(wait_of_abort)
{
	/* A variable of the others. */
	setenv("NOMPD_WAIT", "9h", 1);
	assert_good(waits[_i].words);
	ck_assert_int_eq(opts.command, COMMAND_ABORT);
	ck_assert(opts.waits);
	ck_assert_int_eq(opts.wait_ms, waits[_i].wait_ms);
	if (waits[_i].job == NULL)
		ck_assert_ptr_null(opts.job);
	else
		ck_assert_str_eq(opts.job, waits[_i].job);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(wait_of_runs)
{
	static const char *const words[] = {
		GOOD "--wait 5m", GOOD "--wait=5m", "reconvert --wait 5m",
		"--wait 5m reconvert", "--wait=5m reconvert",
		"copy --from sqlite:a --to sqlite:b --wait 5m",
	};

	setenv("NOMPD_ABORT_WAIT", "x", 1);
	assert_good(words[_i]);
	ck_assert(!opts.waits);
	ck_assert_int_eq(opts.wait_ms, 300000);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(environment)
{
	setenv("NOMPD_MAX_AGE", "90m", 1);
	setenv("NOMPD_WATCH", "yes", 1);
	setenv("NOMPD_ABORT_WAIT", "90m", 1);
	setenv("NOMPD_ABORT_REASON", "because", 1);
	assert_good("status");
	ck_assert_int_eq(opts.max_age_ms, 5400000);
	ck_assert(opts.watch && !opts.waits);
	assert_good("abort");
	ck_assert(opts.waits);
	ck_assert_int_eq(opts.wait_ms, 5400000);
	ck_assert_str_eq(opts.reason, "because");
	setenv("NOMPD_ABORT_WAIT", "-", 1);
	assert_good("abort");
	ck_assert_int_eq(opts.wait_ms, INT64_MAX);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

static const struct {
	const char *words;
	const char *name;
	const char *part;
} faults[] = {
	{ "status a b", "status: want [JOB] behind it", "have 2" },
	{ "status a b c d", "status: want [JOB] behind it", "have 4" },
	{ "abort a b", "abort: want [JOB] behind it", "have 2" },
	{ "jobs a", "jobs: want nothing behind it", "\"a\"" },
	{ "status ''", "status: want the id of a job", "\"\"" },
	{ "status a/b", "status: want the id of a job", "\"a/b\"" },
	{ "abort \xc3\xa5", "abort: want the id of a job", "1 to 64" },
	{ "abort " ID_64 "5", "abort: want the id of a job", "1 to 64" },
	{ "status --wait=5m", "--wait does not apply to 'status'", "" },
	{ "history --wait", "--wait: want a value; have none", "" },
	{ "jobs --wait=5m", "--wait does not apply to 'jobs'", "" },
	{ "abort --wait=x", "--wait: want a time", "\"x\"" },
	{ "abort --wait=8d", "--wait: want a time", "0s to 7d" },
	{ "abort --wait=", "--wait: want a value", "" },
	{ "--wait abort", "--wait: want a time", "\"abort\"" },
	{ "--wait 5m abort", "\"5m\": no such command", "" },
	{ GOOD "--wait", "--wait: want a value; have none", "" },
	{ "reconvert --wait", "--wait: want a value; have none", "" },
	{ "abort --max-age 1h", "--max-age does not apply", "'abort'" },
	{ "abort --watch", "--watch does not apply", "'abort'" },
	{ "status --watch=1", "--watch: want no value", "" },
	{ "status --max-age 3651d", "--max-age: want a time", "3650d" },
	{ "status --max-age -1", "--max-age: want a time", "\"-1\"" },
	{ "status --reason x", "--reason does not apply", "'status'" },
	{ "status --limit 3", "--limit does not apply", "'status'" },
	{ "abort --reason \xff", "--reason: want a text in UTF-8", "500" },
	{ "abort --reason \x1b[2J", "--reason: want a text in UTF-8",
	    "without control characters" },
	{ "abort --reason a\xc2\x9b" "b", "--reason: want a text", "500" },
	{ "abort --reason a\xe2\x80\xae", "--reason: want a text", "500" },
	{ "abort --reason", "--reason: want a value", "" },
	{ "--reason --wait=3 abort", "--reason: want a value", "" },
	{ "status --format xml", "--format: want table or json", "" },
};

START_TEST(fault)
{
	if (strcmp(faults[_i].words, "--wait abort") == 0)
		setenv("NOMPD_UPSTREAM_URL", "file:///u", 1);
	assert_fault(faults[_i].words, faults[_i].name, faults[_i].part);
}
END_TEST

START_TEST(long_reason)
{
	char words[MAX_TEXT], reason[MAX_JOB_REASON + 2];

	memset(reason, 'x', sizeof(reason));
	reason[MAX_JOB_REASON] = '\0';
	(void)snprintf(words, sizeof(words), "abort --reason %s", reason);
	assert_good(words);
	ck_assert_str_eq(opts.reason, reason);
	reason[MAX_JOB_REASON] = 'x';
	reason[MAX_JOB_REASON + 1] = '\0';
	(void)snprintf(words, sizeof(words), "abort --reason %s", reason);
	assert_fault(words, "--reason: ", "at most 500 bytes");
}
END_TEST

/* Faults of the first reading, which knows no command, do not count twice. */
START_TEST(faults_once)
{
	ck_assert_int_eq(parse("abort --bogus --wait=x --nonsense"), -1);
	ck_assert_int_eq(count_lines(err.text), 3);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("options_jobs");
	TCase *tcase = tcase_create("options_jobs");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, all_flags);
	tcase_add_loop_test(tcase, wait_of_abort, 0, LENGTH(waits));
	tcase_add_loop_test(tcase, wait_of_runs, 0, 6);
	tcase_add_test(tcase, environment);
	tcase_add_loop_test(tcase, fault, 0, LENGTH(faults));
	tcase_add_test(tcase, long_reason);
	tcase_add_test(tcase, faults_once);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
