#include "optionslib.h"

static const struct {
	const char *words;
	bool	    is_percent;
	uint64_t    value;
} max_deletes[] = {
	{ "0", false, 0 }, { "50", false, 50 },
	{ "1000000000", false, 1000000000 }, { "0%", true, 0 },
	{ "20%", true, 20 }, { "100%", true, 100 }, { "007%", true, 7 },
};

START_TEST(max_delete_values)
{
	char words[64];

	(void)snprintf(words, sizeof(words), GOOD "--max-delete %s",
	    max_deletes[_i].words);
	assert_good(words);
	ck_assert(opts.max_delete.is_percent == max_deletes[_i].is_percent);
	ck_assert_uint_eq(opts.max_delete.value, max_deletes[_i].value);
}
END_TEST

static const struct {
	const char *text;
	int64_t	    ms;
} durations[] = {
	{ "0", 0 }, { "0s", 0 }, { "0d", 0 }, { "1ms", 1 }, { "500ms", 500 },
	{ "7", 7000 }, { "30s", 30000 }, { "5m", 300000 }, { "1h", 3600000 },
	{ "2d", 172800000 }, { "7d", 604800000 }, { "168h", 604800000 },
	{ "604800000ms", 604800000 },
};

START_TEST(duration_values)
{
	char words[64];

	(void)snprintf(words, sizeof(words), GOOD "--wait %s",
	    durations[_i].text);
	assert_good(words);
	ck_assert_int_eq(opts.wait_ms, durations[_i].ms);
}
END_TEST

static const char *const good_words[] = {
	GOOD "--retries 100",
	GOOD "--timeout 1ms --deadline 1ms",
	GOOD "--timeout 1d --deadline 7d",
	GOOD "--timeout 86400000ms",
	GOOD "--upstream-key-header !#$%&'*+-.^_`|~aZ9",
	GOOD "--store sqlite:/a:b/c.db",
	GOOD "--log-level error --log-level warn --progress auto",
	GOOD "--",
	GOOD "--dry-run --dry-run",
	"history --limit 1 --limit 1000000",
	"init --store=sqlite:x --log-level=debug",
	"reconvert --dry-run --plan --deadline=1h --wait=1m",
	"--store sqlite:x show PlanDefinitions k",
	"show --store sqlite:x TreatmentGroups --progress never k",
	"show -- ReimbursementGroups --help",
	"show ActivityDefinitions -- -",
	"show RegulatedAuthorizations -",
	"-- init",
	"--no-upstream-key --upstream http://h",
	"--no-upstream-key --upstream https://h/",
	"--no-upstream-key --upstream https://h.example:1/a/b/",
	"--no-upstream-key --upstream https://h:65535",
	"--no-upstream-key --upstream https://[::1]:8080/x",
	"--no-upstream-key --upstream HTTPS://10.0.0.1/a%20b@c",
	"--upstream file:///\xc3\xb8",
};

START_TEST(good)
{
	assert_good(good_words[_i]);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

static const struct {
	const char *words;
	const char *name;
	const char *part;
} faults[] = {
	/* Numbers and times at their borders. */
	{ GOOD "--retries 101", "--retries: ", "have \"101\"" },
	{ GOOD "--retries -1", "--retries: ", "have \"-1\"" },
	{ GOOD "--retries +1", "--retries: ", "0 to 100" },
	{ GOOD "--retries 1x", "--retries: ", "0 to 100" },
	{ GOOD "--retries 0x1", "--retries: ", "0 to 100" },
	{ GOOD "--retries 99999999999999999999", "--retries: ", "0 to 100" },
	{ GOOD "--retries 18446744073709551617", "--retries: ", "0 to 100" },
	{ GOOD "--timeout 0", "--timeout: ", "1ms to 1d" },
	{ GOOD "--timeout 0ms", "--timeout: ", "1ms to 1d" },
	{ GOOD "--timeout 86400001ms", "--timeout: ", "1ms to 1d" },
	{ GOOD "--timeout 25h", "--timeout: ", "1ms to 1d" },
	{ GOOD "--timeout 1.5s", "--timeout: ", "1ms to 1d" },
	{ GOOD "--timeout 1h30m", "--timeout: ", "1ms to 1d" },
	{ GOOD "--timeout s", "--timeout: ", "1ms to 1d" },
	{ GOOD "--timeout 5M", "--timeout: ", "1ms to 1d" },
	{ GOOD "--deadline 0", "--deadline: ", "1ms to 7d" },
	{ GOOD "--deadline 8d", "--deadline: ", "1ms to 7d" },
	{ GOOD "--deadline 9223372036854775807d", "--deadline: ", "to 7d" },
	{ GOOD "--deadline 213503982335d", "--deadline: ", "1ms to 7d" },
	{ GOOD "--wait 604801", "--wait: ", "0s to 7d" },
	{ GOOD "--wait -1", "--wait: ", "0s to 7d" },
	{ GOOD "--max-delete 101%", "--max-delete: ", "100%" },
	{ GOOD "--max-delete 1000000001", "--max-delete: ", "percentage" },
	{ GOOD "--max-delete %", "--max-delete: ", "percentage" },
	{ GOOD "--max-delete 5%%", "--max-delete: ", "percentage" },
	{ GOOD "--max-delete 2.5%", "--max-delete: ", "percentage" },
	{ GOOD "--max-delete -1", "--max-delete: ", "percentage" },
	{ "history --limit 0", "--limit: ", "1 to 1000000" },
	{ "history --limit 1000001", "--limit: ", "1 to 1000000" },
	{ "history --format csv", "--format: ", "table or json" },
	/* Names and files. */
	{ GOOD "--log-level INFO", "--log-level: ", "error, warn" },
	{ GOOD "--log-format xml", "--log-format: ", "text or json" },
	{ GOOD "--progress yes", "--progress: ", "auto, always" },
	{ GOOD "--ca-file /nonexistent", "--ca-file: ", "can be read" },
	{ GOOD "--ca-file /tmp", "--ca-file: ", "can be read" },
	{ GOOD "--metrics-file /tmp", "--metrics-file: ", "may be replaced" },
	{ GOOD "--metrics-file /dev/null", "--metrics-file: ",
	    "have \"/dev/null\"" },
	{ GOOD "--metrics-file /none/", "--metrics-file: ", "or none yet" },
	{ GOOD "--metrics-file /etc/passwd", "--metrics-file: ",
	    "want a metrics file of ours, or none" },
	{ GOOD "--notify-command []", "--notify-command: ",
	    "at most 64 words" },
	{ "history --metrics-file m", "--metrics-file does not apply",
	    "'history'" },
	/* Not shown: a key may stand behind the colon. */
	{ GOOD "--upstream-key-header X:", "--upstream-key-header: ",
	    "want the name of a request header" },
	{ GOOD "--upstream-key-header \xc3\xb8", "--upstream-key-header: ",
	    "request header" },
	{ GOOD "--store nompd.db", "--store: ", "write sqlite:PATH" },
	{ GOOD "--store sqlite:", "--store: ", "sqlite:PATH" },
	{ GOOD "--store SQLITE:x", "--store: ", "sqlite:PATH" },
	{ GOOD "--store mysql:x", "--store: ", "have \"mysql:x\"" },
	/* Flags as such. */
	{ GOOD "--retries", "--retries: want a value", "have none" },
	{ GOOD "--retries=", "--retries: want a value", "have none" },
	{ GOOD "--retries ''", "--retries: want a value", "have none" },
	{ GOOD "--retries --dry-run", "--retries: want a value", "none" },
	{ GOOD "--plan=", "--plan: want a value", "have none" },
	{ GOOD "--dry-run=1", "--dry-run: want no value", "" },
	{ GOOD "--no-upstream-key=", "--no-upstream-key: want no", "" },
	{ GOOD "--retri 3", "--retri: no such option", "--help" },
	{ GOOD "--retries2", "--retries2: no such option", "--help" },
	{ GOOD "--dry", "--dry: no such option", "" },
	{ GOOD "-h", "-h: no such option", "--help" },
	{ GOOD "--key=tOpSeCrEt", "--key: no such option", "" },
	{ "init --key tOpSeCrEt", "--key: no such option", "" },
	{ "--key tOpSeCrEt history --limit 3", "--key: no such option", "" },
	{ "--verbose history --limit 3", "--verbose: no such option", "" },
	/* Commands. */
	{ "run", "\"run\": no such command", "--help" },
	{ "--limit 3 histroy", "\"histroy\": no such command", "" },
	{ "''", "\"\": no such command", "" },
	{ "history extra", "history: want nothing", "\"extra\"" },
	{ "init a b c d e f g", "init: want nothing", "\"a\"" },
	{ "reconvert PlanDefinitions", "reconvert: want nothing", "" },
	{ "show", "show: want COLLECTION KEY", "have none" },
	{ "show PlanDefinitions", "show: want COLLECTION KEY", "have 1" },
	{ "show PlanDefinitions a b", "show: want COLLECTION KEY", "have 3" },
	{ "show Plan-Definition a", "show: want a collection (PlanDefinitions, "
	    "ActivityDefinitions, RegulatedAuthorizations, TreatmentGroups, "
	    "ReimbursementGroups, or a FHIR type)",
	    "have \"Plan-Definition\"" },
	{ "show plandefinitions a", "show: want a collection", "" },
	{ "show PlanDefinitions ''", "show: want a key", "" },
	/* Flags of other commands. */
	{ "history --plan", "--plan does not apply to 'history'", "" },
	{ "history --dry-run", "--dry-run does not apply to 'history'", "" },
	{ GOOD "--limit 3", "--limit does not apply to a run", "" },
	{ GOOD "--format json", "--format does not apply to a run", "" },
	{ "init --retries 3", "--retries does not apply to 'init'", "" },
	{ "init --dry-run", "--dry-run does not apply to 'init'", "" },
	{ "show PlanDefinitions k --limit 1", "--limit does not apply to "
	    "'show'", "" },
	{ "reconvert --upstream file:///u", "--upstream does not apply to "
	    "'reconvert'", "" },
	{ "reconvert --max-delete 1", "--max-delete does not apply", "" },
	/* The upstream. */
	{ "", "--upstream: ", "NOMPD_UPSTREAM_URL" },
	{ "--upstream h.example", "--upstream: ", "https://" },
	{ "--upstream ftp://h", "--upstream: ", "https://" },
	{ "--upstream http:/h", "--upstream: ", "https://" },
	{ "--upstream https://", "--upstream: ", "want a host" },
	{ "--upstream https:///p", "--upstream: ", "want a host" },
	{ "--upstream https://:80/", "--upstream: ", "want a host" },
	{ "--upstream https://h:/", "--upstream: ", "want a host" },
	{ "--upstream https://h:0/", "--upstream: ", "want a host" },
	{ "--upstream https://h:65536/", "--upstream: ", "want a host" },
	{ "--upstream https://h:8x/", "--upstream: ", "want a host" },
	{ "--upstream https://[::1/", "--upstream: ", "want a host" },
	{ "--upstream https://[]/", "--upstream: ", "want a host" },
	{ "--upstream https://h/\xc3\xb8", "--upstream: ", "not ASCII" },
	{ "--upstream https://h/a\tb", "--upstream: ", "a?b" },
	{ "--upstream file://u", "--upstream: ", "file:///PATH" },
	{ "--upstream file:///u\x7f", "--upstream: ", "control" },
	{ "--upstream https://h/?q=tOpSeCrEt", "--upstream: ",
	    "\"https://h/\"" },
	{ "--upstream https://h/#tOpSeCrEt", "--upstream: ", "\"https://h/\"" },
	{ "--upstream file:///u?x", "--upstream: ", "query" },
	{ "--upstream https://u:tOpSeCrEt@h/x", "--upstream: ",
	    "\"https://...@h/x\"" },
	{ "--upstream https://u:tOpSeCrEt/?#@h/x", "--upstream: ", "" },
	{ "--upstream https://u:tOpSeCrEt@x@h/x", "--upstream: ",
	    "NOMPD_UPSTREAM_API_KEY_FILE" },
	{ "--upstream https://tOpSeCrEt@h/", "--upstream: ", "user" },
	{ GOOD "--store mongodb://u:tOp/SeCrEt@h/db", "--store: ",
	    "\"mongodb://...@h/db\"" },
	{ GOOD "--store mongodb://u:tOpSeCrEt%0@h/db", "--store: ",
	    "hex digits" },
	{ GOOD "--store mongodb://:tOpSeCrEt@h/db", "--store: ",
	    "user's name" },
	{ GOOD "--store u:tOpSeCrEt@h", "--store: ", "\"...@h\"" },
	/* The key. */
	{ "--upstream https://h/", "NOMPD_UPSTREAM_API_KEY: ",
	    "--no-upstream-key" },
	{ "--upstream http://h/", "NOMPD_UPSTREAM_API_KEY: ",
	    "NOMPD_UPSTREAM_API_KEY_FILE" },
};

START_TEST(one_fault)
{
	assert_fault(faults[_i].words, faults[_i].name, faults[_i].part);
	ck_assert_ptr_null(strstr(err.text, "tOpSeCrEt"));
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(all_faults_at_once)
{
	setenv("NOMPD_TIMEOUT", "soon", 1);
	setenv("NOMPD_UPSTREAM_API_KEY", "tOp\nSeCrEt", 1);
	ck_assert_int_eq(parse("--bogus --upstream=x --retries 900 "
	    "--limit 1 --plan= --store=x"), -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_int_eq(count_lines(err.text), 8);
	ck_assert_ptr_eq(strstr(err.text, "--bogus: "), err.text);
	ck_assert_ptr_nonnull(strstr(err.text, "\n--plan: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\n--upstream: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\n--store: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\n--retries: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\nNOMPD_TIMEOUT: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\n--limit does not apply"));
	ck_assert_ptr_nonnull(strstr(err.text, "\nNOMPD_UPSTREAM_API_KEY: "));
	ck_assert_ptr_null(strstr(err.text, "SeCrEt"));
}
END_TEST

/* More than a struct error holds: whole lines, and how many are missing. */
START_TEST(too_many_faults)
{
	char words[MAX_TEXT] = "";
	int  i, shown, more = 0;

	for (i = 0; i < 46; i++)
		(void)snprintf(words + strlen(words), 260, "--%0250d ", i);
	ck_assert_int_eq(parse(words), -1);
	ck_assert_uint_gt(strlen(err.text), MAX_ERROR_TEXT - 256);
	ck_assert_uint_lt(strlen(err.text), MAX_ERROR_TEXT - 1);
	shown = count_lines(err.text) - 1;
	ck_assert_int_eq(sscanf(strrchr(err.text, '\n'), " and %d more", &more),
	    1);
	/* The missing upstream is one of them. */
	ck_assert_int_eq(shown + more, 47);
}
END_TEST

static TCase *
cases(void)
{
	TCase *tcase = tcase_create("values");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, max_delete_values, 0, LENGTH(max_deletes));
	tcase_add_loop_test(tcase, duration_values, 0, LENGTH(durations));
	tcase_add_loop_test(tcase, good, 0, LENGTH(good_words));
	tcase_add_loop_test(tcase, one_fault, 0, LENGTH(faults));
	tcase_add_test(tcase, all_faults_at_once);
	tcase_add_test(tcase, too_many_faults);
	return tcase;
}

int
main(void)
{
	Suite *suite = suite_create("options_values");

	suite_add_tcase(suite, cases());
	return test_run(suite);
}
