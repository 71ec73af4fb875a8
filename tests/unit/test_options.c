#include "optionslib.h"
#include "secret.h"

START_TEST(defaults)
{
	assert_good(GOOD);
	ck_assert_int_eq(opts.command, COMMAND_RUN);
	ck_assert(!opts.help && !opts.version);
	ck_assert_str_eq(opts.upstream, "file:///u");
	ck_assert_ptr_null(opts.upstream_key);
	ck_assert_str_eq(opts.upstream_key_header, "X-API-KEY");
	ck_assert(!opts.no_upstream_key);
	ck_assert_str_eq(opts.store.uri, "sqlite:nompd.db");
	ck_assert(!opts.dry_run && !opts.plan);
	ck_assert_ptr_null(opts.plan_file);
	ck_assert(opts.max_delete.is_percent);
	ck_assert_uint_eq(opts.max_delete.value, 20);
	ck_assert_uint_eq(opts.retries, 4);
	ck_assert_int_eq(opts.timeout_ms, 5 * 60 * 1000);
	ck_assert_int_eq(opts.deadline_ms, 60 * 60 * 1000);
	ck_assert_int_eq(opts.wait_ms, 0);
	ck_assert_ptr_null(opts.ca_file);
	ck_assert_ptr_null(opts.metrics_file);
	ck_assert_ptr_null(opts.notify_command);
	ck_assert_int_eq(opts.log_level, LOG_LEVEL_INFO);
	ck_assert_int_eq(opts.log_format, LOG_FORMAT_TEXT);
	ck_assert_int_eq(opts.progress, PROGRESS_AUTO);
	assert_good("history");
	ck_assert_uint_eq(opts.limit, 10);
	ck_assert_int_eq(opts.format, OUTPUT_TABLE);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(all_flags)
{
	assert_good("--upstream file:///u --upstream-key-header X "
	    "--no-upstream-key --store sqlite:s --dry-run --plan=p "
	    "--max-delete 7 --retries 0 --timeout 2s --deadline 3s --wait 4s "
	    "--ca-file /etc/passwd --metrics-file /none/m.prom "
	    "--notify-command [\"a\",\"b\"] --log-level debug "
	    "--log-format json --progress never");
	ck_assert_str_eq(opts.upstream_key_header, "X");
	ck_assert(opts.no_upstream_key);
	ck_assert_str_eq(opts.store.uri, "sqlite:s");
	ck_assert(opts.dry_run && opts.plan);
	ck_assert_str_eq(opts.plan_file, "p");
	ck_assert(!opts.max_delete.is_percent);
	ck_assert_uint_eq(opts.max_delete.value, 7);
	ck_assert_uint_eq(opts.retries, 0);
	ck_assert_int_eq(opts.timeout_ms, 2000);
	ck_assert_int_eq(opts.deadline_ms, 3000);
	ck_assert_int_eq(opts.wait_ms, 4000);
	ck_assert_str_eq(opts.ca_file, "/etc/passwd");
	ck_assert_str_eq(opts.metrics_file, "/none/m.prom");
	ck_assert_str_eq(opts.notify_command[0], "a");
	ck_assert_str_eq(opts.notify_command[1], "b");
	ck_assert_ptr_null(opts.notify_command[2]);
	ck_assert_int_eq(opts.log_level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(opts.log_format, LOG_FORMAT_JSON);
	ck_assert_int_eq(opts.progress, PROGRESS_NEVER);
	assert_good("--limit=3 history --format=json");
	ck_assert_int_eq(opts.command, COMMAND_HISTORY);
	ck_assert_uint_eq(opts.limit, 3);
	ck_assert_int_eq(opts.format, OUTPUT_JSON);
}
END_TEST

static const struct {
	const char *variable;
	const char *value;
	const char *words;
	const char *fault; /* NULL: good */
} variables[] = {
	{ "NOMPD_UPSTREAM_URL", "file:///v", "", NULL },
	{ "NOMPD_UPSTREAM_URL", "ftp://v", "", "https" },
	{ "NOMPD_UPSTREAM_KEY_HEADER", "a b", GOOD, "header" },
	{ "NOMPD_NO_UPSTREAM_KEY", "maybe", GOOD, "true or false" },
	{ "NOMPD_STORE", "x", GOOD, "sqlite:PATH" },
	{ "NOMPD_DRY_RUN", "2", GOOD, "1 or 0" },
	{ "NOMPD_MAX_DELETE", "x", GOOD, "percentage" },
	{ "NOMPD_RETRIES", "x", GOOD, "0 to 100" },
	{ "NOMPD_TIMEOUT", "x", GOOD, "1ms to 1d" },
	{ "NOMPD_DEADLINE", "x", GOOD, "1ms to 7d" },
	{ "NOMPD_WAIT", "x", GOOD, "0s to 7d" },
	{ "NOMPD_CA_FILE", "/x", GOOD, "can be read" },
	{ "NOMPD_METRICS_FILE", "/tmp", GOOD, "may be replaced" },
	{ "NOMPD_METRICS_FILE", "/etc/passwd", "reconvert", "not overwritten" },
	{ "NOMPD_METRICS_FILE", "/none/m.prom", "reconvert", NULL },
	{ "NOMPD_METRICS_FILE", "/tmp", "history", NULL },
	{ "NOMPD_NOTIFY_COMMAND", "[1]", GOOD, "array of texts" },
	{ "NOMPD_NOTIFY_COMMAND", "a b", "reconvert", NULL },
	{ "NOMPD_LOG_LEVEL", "x", GOOD, "warn" },
	{ "NOMPD_LOG_FORMAT", "x", GOOD, "json" },
	{ "NOMPD_PROGRESS", "x", GOOD, "always" },
	{ "NOMPD_LIMIT", "x", "history", "1 to" },
	{ "NOMPD_FORMAT", "x", "history", "table" },
	/* An empty one is unset; one of another command is not looked at. */
	{ "NOMPD_STORE", "", GOOD, NULL },
	{ "NOMPD_PLAN", "", GOOD, NULL },
	{ "NOMPD_LIMIT", "x", GOOD, NULL },
	{ "NOMPD_FORMAT", "x", GOOD, NULL },
	{ "NOMPD_UPSTREAM_URL", "x", "init", NULL },
	{ "NOMPD_RETRIES", "x", "history", NULL },
	{ "NOMPD_UPSTREAM_API_KEY", "\n", "history", NULL },
};

START_TEST(variable_alone)
{
	setenv(variables[_i].variable, variables[_i].value, 1);
	if (variables[_i].fault == NULL)
		assert_good(variables[_i].words);
	else
		assert_fault(variables[_i].words, variables[_i].variable,
		    variables[_i].fault);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(flag_over_variable_over_default)
{
	assert_good(GOOD);
	ck_assert_uint_eq(opts.retries, 4);
	setenv("NOMPD_RETRIES", "5", 1);
	assert_good(GOOD);
	ck_assert_uint_eq(opts.retries, 5);
	assert_good(GOOD "--retries=6");
	ck_assert_uint_eq(opts.retries, 6);
	/* Not even looked at when the flag is there. */
	setenv("NOMPD_RETRIES", "x", 1);
	assert_good(GOOD "--retries=6 --retries 7");
	ck_assert_uint_eq(opts.retries, 7);
}
END_TEST

static const struct {
	const char *value;
	bool	    is_on;
} switches[] = {
	{ "1", true }, { "true", true }, { "yes", true }, { "TRUE", true },
	{ "0", false }, { "false", false }, { "no", false }, { "No", false },
};

START_TEST(switch_values)
{
	setenv("NOMPD_DRY_RUN", switches[_i].value, 1);
	setenv("NOMPD_NO_UPSTREAM_KEY", switches[_i].value, 1);
	assert_good(GOOD);
	ck_assert(opts.dry_run == switches[_i].is_on);
	ck_assert(opts.no_upstream_key == switches[_i].is_on);
	assert_good(GOOD "--dry-run");
	ck_assert(opts.dry_run);
}
END_TEST

static const struct {
	const char *words;
	const char *variable;
	const char *file; /* "": no plan; NULL: standard error */
} plans[] = {
	{ GOOD, NULL, "" },
	{ GOOD "--plan", NULL, NULL },
	{ GOOD "--plan=-", NULL, NULL },
	{ GOOD "--plan=a=b", NULL, "a=b" },
	{ GOOD, "-", NULL },
	{ GOOD, "f", "f" },
	{ GOOD "--plan", "f", NULL },
	{ "--plan " GOOD, NULL, NULL },
	{ "--plan=r reconvert", NULL, "r" },
};

START_TEST(plan_files)
{
	if (plans[_i].variable != NULL)
		setenv("NOMPD_PLAN", plans[_i].variable, 1);
	assert_good(plans[_i].words);
	if (plans[_i].file == NULL) {
		ck_assert(opts.plan);
		ck_assert_ptr_null(opts.plan_file);
	} else if (plans[_i].file[0] == '\0') {
		ck_assert(!opts.plan);
	} else {
		ck_assert(opts.plan);
		ck_assert_str_eq(opts.plan_file, plans[_i].file);
	}
}
END_TEST

START_TEST(help_and_version_win)
{
	assert_good("--bogus --help nonsense --retries");
	ck_assert(opts.help);
	assert_good("--version --limit=x");
	ck_assert(opts.version && !opts.help);
	setenv("NOMPD_BOGUS", "1", 1);
	assert_good("--help");
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(key_from_variable)
{
	const char *value;
	char	    text[4];

	setenv("NOMPD_UPSTREAM_API_KEY", "k3y", 1);
	value = getenv("NOMPD_UPSTREAM_API_KEY");
	assert_good("--upstream https://h/");
	ck_assert_str_eq(secret_text(opts.upstream_key), "k3y");
	memcpy(text, value, sizeof(text));
	ck_assert_int_eq(memcmp(text, "\0\0\0\0", 4), 0);
	log_info("the k3y");
	ck_assert_ptr_nonnull(strstr(read_log(), "the [secret]"));
	options_clear(&opts);
	ck_assert_ptr_null(opts.upstream_key);
	log_info("after k3y");
	ck_assert_ptr_nonnull(strstr(read_log(), "after k3y"));
}
END_TEST

START_TEST(key_from_file)
{
	char path[] = "/tmp/nompd-test-options-XXXXXX";
	int  fd;

	fd = mkstemp(path);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, "k3y\r\n", 5), 5);
	close(fd);
	setenv("NOMPD_UPSTREAM_API_KEY_FILE", path, 1);
	assert_good("--upstream https://h/");
	ck_assert_str_eq(secret_text(opts.upstream_key), "k3y");
	unlink(path);
	assert_fault("--upstream https://h/", "NOMPD_UPSTREAM_API_KEY_FILE: ",
	    path);
	/* A folder takes no key, so it is not looked for. */
	assert_good(GOOD);
	ck_assert_ptr_null(opts.upstream_key);
}
END_TEST

START_TEST(key_given_twice)
{
	setenv("NOMPD_UPSTREAM_API_KEY", "tOpSeCrEt", 1);
	setenv("NOMPD_UPSTREAM_API_KEY_FILE", "/etc/passwd", 1);
	assert_fault("--upstream https://h/", "NOMPD_UPSTREAM_API_KEY_FILE: ",
	    "want one key; NOMPD_UPSTREAM_API_KEY is set as well");
	ck_assert_ptr_null(strstr(err.text, "tOpSeCrEt"));
	ck_assert_ptr_null(opts.upstream_key);
	/* An empty one is unset. */
	setenv("NOMPD_UPSTREAM_API_KEY_FILE", "", 1);
	assert_good("--upstream https://h/");
	ck_assert_str_eq(secret_text(opts.upstream_key), "tOpSeCrEt");
}
END_TEST

START_TEST(key_against_no_key)
{
	setenv("NOMPD_UPSTREAM_API_KEY", "tOpSeCrEt", 1);
	assert_fault("--upstream https://h/ --no-upstream-key",
	    "--no-upstream-key: ", "NOMPD_UPSTREAM_API_KEY is set");
	ck_assert_ptr_null(strstr(err.text, "tOpSeCrEt"));
}
END_TEST

static const struct {
	const char *name;
	bool	    is_warned;
} names[] = {
	{ "NOMPD_UPSTREAM_UR", true },
	{ "NOMPD_", true },
	{ "NOMPD_retries", true },
	{ "NOMPD_UPSTREAM_KEY", true },
	{ "NOMPD_SERVICE", true },
	{ "NOMPD_SERVICE_HOSTS", true },
	{ "NOMPD_X_SERVICE_PORT_", true },
	{ "NOMPD_PORT_80", true },
	{ "NOMPD_PORT_80_ICMP", true },
	{ "NOMPD_PORT_X_TCP", true },
	{ "NOMPD_PORT_80_TCP_NAME", true },
	{ "NOMPDX", false },
	{ "XNOMPD_Y", false },
	{ "nompd_x", false },
	{ "NOMPD_API_KEYS_FILE", false },
	{ "NOMPD_SYNC_COMMAND", false },
	{ "NOMPD_STORE_TRACE", false },
	{ "NOMPD_STORE_KILL_AT", false },
	{ "NOMPD_STORE_STOP_AT", false },
	{ "NOMPD_STORE_LOSE_AT", false },
	{ "NOMPD_SERVICE_HOST", false },
	{ "NOMPD_SERVICE_PORT", false },
	{ "NOMPD_SERVICE_PORT_HTTP_1", false },
	{ "NOMPD_PORT", false },
	{ "NOMPD_PORT_80_TCP", false },
	{ "NOMPD_PORT_80_TCP_PROTO", false },
	{ "NOMPD_PORT_80_TCP_PORT", false },
	{ "NOMPD_PORT_80_TCP_ADDR", false },
	{ "NOMPD_DIFF_API_SERVICE_HOST", false },
	{ "NOMPD_DIFF_API_SERVICE_PORT", false },
	{ "NOMPD_DIFF_API_PORT", false },
	{ "NOMPD_DIFF_API_PORT_53_UDP", false },
	{ "NOMPD_DIFF_API_PORT_53_UDP_ADDR", false },
	{ "NOMPD_DIFF_API_PORT_53_SCTP_PROTO", false },
};

START_TEST(unknown_variables)
{
	assert_warned("history", names[_i].name, names[_i].is_warned);
}
END_TEST

START_TEST(unknown_variable_among_faults)
{
	setenv("NOMPD_UPSTREAM_UR", "x", 1);
	assert_fault("--log-format=json", "--upstream: ", "have none");
	ck_assert_ptr_nonnull(strstr(read_log(),
	    "\"level\":\"warn\",\"message\":\"NOMPD_UPSTREAM_UR: "));
}
END_TEST

START_TEST(unknown_variable_empty)
{
	setenv("NOMPD_BOGUS", "", 1);
	assert_good("history");
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(progress_modes)
{
	assert_good(GOOD "--progress always");
	ck_assert(log_has_progress());
	/* Standard error is a file here. */
	assert_good(GOOD);
	ck_assert(!log_has_progress());
	assert_good(GOOD "--progress never");
	ck_assert(!log_has_progress());
}
END_TEST

START_TEST(no_arguments_at_all)
{
	char *argv[] = { NULL };

	ck_assert_int_eq(options_parse(&opts, &program_sync, 0, argv, &err),
	    -1);
}
END_TEST

/* Every variable is there, no line is wider than a terminal. */
START_TEST(help_text)
{
	FILE *file;
	char  text[MAX_TEXT], *at, *end;
	int   i;

	file = tmpfile();
	options_help(&program_sync, file);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	for (at = text; (end = strchr(at, '\n')) != NULL; at = end + 1)
		ck_assert_int_lt(end - at, 80);
	ck_assert_int_eq(*at, '\0');
	for (i = 0; i < LENGTH(variables); i++)
		ck_assert_ptr_nonnull(strstr(text, variables[i].variable));
	ck_assert_ptr_nonnull(strstr(text, "NOMPD_UPSTREAM_API_KEY_FILE"));
	ck_assert_ptr_nonnull(strstr(text, "default sqlite:nompd.db\n"));
	ck_assert_ptr_nonnull(strstr(text, "show [OPTION ...] COLLECTION"));
}
END_TEST

static TCase *
cases(void)
{
	TCase *tcase = tcase_create("options");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, all_flags);
	tcase_add_loop_test(tcase, variable_alone, 0, LENGTH(variables));
	tcase_add_test(tcase, flag_over_variable_over_default);
	tcase_add_loop_test(tcase, switch_values, 0, LENGTH(switches));
	tcase_add_loop_test(tcase, plan_files, 0, LENGTH(plans));
	tcase_add_test(tcase, help_and_version_win);
	tcase_add_test(tcase, key_from_variable);
	tcase_add_test(tcase, key_from_file);
	tcase_add_test(tcase, key_given_twice);
	tcase_add_test(tcase, key_against_no_key);
	tcase_add_loop_test(tcase, unknown_variables, 0, LENGTH(names));
	tcase_add_test(tcase, unknown_variable_among_faults);
	tcase_add_test(tcase, unknown_variable_empty);
	tcase_add_test(tcase, progress_modes);
	tcase_add_test(tcase, no_arguments_at_all);
	tcase_add_test(tcase, help_text);
	return tcase;
}

int
main(void)
{
	Suite *suite = suite_create("options");

	suite_add_tcase(suite, cases());
	return test_run(suite);
}
