#include "outcome.h"
#include "testlib.h"

#define ISSUE(severity, code) \
	"{'severity':'" severity "','code':'" code "'}"
#define OUTCOME(issues) \
	"{'resourceType':'OperationOutcome','issue':[" issues "]}"

static const struct {
	const char *body;
	const char *text;
	bool	    is_error;
	enum outcome_kind kind;
} bodies[] = {
	{ OUTCOME(ISSUE("error", "invalid")), "error/invalid", true,
	    OUTCOME_FINAL },
	{ OUTCOME(ISSUE("fatal", "security")), "fatal/security", true,
	    OUTCOME_FINAL },
	{ OUTCOME(ISSUE("warning", "invalid")), "warning/invalid", false,
	    OUTCOME_FINAL },
	{ OUTCOME(ISSUE("information", "informational")),
	    "information/informational", false, OUTCOME_FINAL },
	{ OUTCOME(ISSUE("ERROR", "invalid")), "ERROR/invalid", false,
	    OUTCOME_FINAL },
	{ OUTCOME(ISSUE("warning", "invalid") "," ISSUE("error", "invalid")),
	    "warning/invalid; error/invalid", true, OUTCOME_FINAL },
	{ OUTCOME(""), "", false, OUTCOME_FINAL },
	{ "{'resourceType':'OperationOutcome'}", "", false, OUTCOME_FINAL },
	{ "{'resourceType':'OperationOutcome','issue':'error'}", "", false,
	    OUTCOME_FINAL },
	{ OUTCOME("'error',1,null"), "", false, OUTCOME_FINAL },
	{ OUTCOME("{}"), "/", false, OUTCOME_FINAL },
	{ OUTCOME("{'severity':1,'code':'x'}"), "/x", false, OUTCOME_FINAL },
	/* What it says, from the best place. */
	{ OUTCOME("{'severity':'error','code':'x','diagnostics':'d',"
	    "'details':{'text':'t'}}"), "error/x: d", true, OUTCOME_FINAL },
	{ OUTCOME("{'severity':'error','code':'x','details':{'text':'t',"
	    "'coding':[{'display':'c'}]}}"), "error/x: t", true,
	    OUTCOME_FINAL },
	{ OUTCOME("{'severity':'error','code':'x','diagnostics':'',"
	    "'details':{'coding':[{'display':'c'}]}}"), "error/x: c", true,
	    OUTCOME_FINAL },
	/* What may pass: each error has a code of that family. */
	{ OUTCOME(ISSUE("error", "transient")), "error/transient", true,
	    OUTCOME_PASSING },
	{ OUTCOME(ISSUE("error", "lock-error") ","
	    ISSUE("fatal", "no-store")), "error/lock-error; fatal/no-store",
	    true, OUTCOME_PASSING },
	{ OUTCOME(ISSUE("error", "exception") "," ISSUE("error", "timeout")),
	    "error/exception; error/timeout", true, OUTCOME_PASSING },
	{ OUTCOME(ISSUE("error", "incomplete") ","
	    ISSUE("error", "throttled") "," ISSUE("warning", "invalid")),
	    "error/incomplete; error/throttled; warning/invalid", true,
	    OUTCOME_PASSING },
	{ OUTCOME(ISSUE("error", "transient") "," ISSUE("error", "invalid")),
	    "error/transient; error/invalid", true, OUTCOME_FINAL },
	{ OUTCOME(ISSUE("error", "invalid") "," ISSUE("error", "transient")),
	    "error/invalid; error/transient", true, OUTCOME_FINAL },
	{ OUTCOME(ISSUE("warning", "transient")), "warning/transient", false,
	    OUTCOME_FINAL },
};

START_TEST(outcomes)
{
	char   text[MAX_OUTCOME_TEXT];
	char  *body = test_quotes(bodies[_i].body);
	bson_t *doc = test_bson(bodies[_i].body);

	outcome_describe(doc, text);
	ck_assert_str_eq(text, bodies[_i].text);
	outcome_describe_body((const uint8_t *)body, strlen(body), text);
	ck_assert_str_eq(text, bodies[_i].text);
	ck_assert_int_eq(outcome_is_error(doc), bodies[_i].is_error);
	ck_assert_int_eq(outcome_judge_body((const uint8_t *)body,
	    strlen(body)), bodies[_i].kind);
	bson_destroy(doc);
	free(body);
}
END_TEST

/* A body may be anything. */
static const char *const others[] = {
	"",
	"Internal Server Error",
	"<html><body>error</body></html>",
	"{}",
	"[" OUTCOME(ISSUE("error", "transient")) "]",
	"{'issue':[" ISSUE("error", "transient") "]}",
	"{'resourceType':'Patient','issue':[" ISSUE("error", "transient") "]}",
	"{'resourceType':'OperationOutcome','issue':["
	    ISSUE("error", "transient"),
	"\xff\xfe",
};

START_TEST(no_outcome)
{
	char  text[MAX_OUTCOME_TEXT] = "left over";
	char *body = test_quotes(others[_i]);

	outcome_describe_body((const uint8_t *)body, strlen(body), text);
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(outcome_judge_body((const uint8_t *)body,
	    strlen(body)), OUTCOME_NONE);
	free(body);
}
END_TEST

START_TEST(cut_text)
{
	char   long_text[2 * MAX_OUTCOME_TEXT], text[MAX_OUTCOME_TEXT];
	char  *json;
	bson_t *doc;

	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	json = test_put(OUTCOME("{'severity':'error','code':'x',"
	    "'diagnostics':'%s'}," ISSUE("error", "y")), long_text);
	doc = test_bson(json);
	outcome_describe(doc, text);
	ck_assert_uint_eq(strlen(text), MAX_OUTCOME_TEXT - 1);
	ck_assert_int_eq(strncmp(text, "error/x: xxx", 12), 0);
	bson_destroy(doc);
	free(json);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("outcome");
	TCase *tests = tcase_create("outcome");

	tcase_add_loop_test(tests, outcomes, 0, LENGTH_OF(bodies));
	tcase_add_loop_test(tests, no_outcome, 0, LENGTH_OF(others));
	tcase_add_test(tests, cut_text);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
