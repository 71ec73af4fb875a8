#include <signal.h>

#include "bulk_job.h"
#include "bulk_manifest.h"
#include "clock.h"
#include "http.h"
#include "serverlib.h"
#include "stop.h"

#define TIME	 "'transactionTime':'2025-04-10T08:30:00Z'"
#define MANIFEST "{" TIME ",'output':[{'type':'Patient','url':'f/1'}]}"
#define DONE	 "200 OK\r\n"
#define OUTCOME(severity, code)                            \
	"{'resourceType':'OperationOutcome','issue':[{'severity':'" \
	severity "','code':'" code "','diagnostics':'the reason'}]}"
#define STARTED "202 Accepted\r\nContent-Location: /poll\r\n"
/* So that nothing waits for long. */
#define SOON "Retry-After: 0\r\n"

static struct server	    server;
static struct bulk_manifest manifest;
static struct error	    err;
static char		   *url;
static struct http_config   config;
static struct bulk_request  request;

static void
setup(void)
{
	server_open(&server);
	config = (struct http_config){ .timeout_ms = 10000 };
	request = (struct bulk_request){ .base = server.base,
		.level_path = "", .kick_off = BULK_KICK_OFF_GET,
		.max_wait_ms = 200 };
	url = NULL;
}

static void
teardown(void)
{
	server_clear(&server);
	bulk_manifest_clear(&manifest);
	free(url);
}

static int
start(void)
{
	int rc;

	server_start(&server);
	rc = bulk_kick_off(&config, &request, &url, &err);
	server_stop(&server);
	return rc;
}

static int
poll_job(void)
{
	int rc;

	url = xasprintf("%s/jobs/1?a=b", server.base);
	server_start(&server);
	rc = bulk_poll(&config, url, 200, &manifest, &err);
	server_stop(&server);
	return rc;
}

static void
error_is(enum status status, const char *part)
{
	ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
	ck_assert_int_eq(err.status, status);
}

static void
url_is(const char *path)
{
	ck_assert_ptr_nonnull(url);
	ck_assert_int_eq(strncmp(url, server.base, strlen(server.base)), 0);
	ck_assert_str_eq(url + strlen(server.base), path);
}

static const char *const types[] = { "Patient", "Observation" };
static const char *const filters[] = { "Patient?a=b,c&d=e%20f",
	"Observation?x=1" };
static const char *const elements[] = { "id", "name" };

static void
ask_for_all(void)
{
	request.level_path = "Group/g1";
	request.since = "2025-04-10T08:30:00.5+02:00";
	request.types = types;
	request.n_types = LENGTH_OF(types);
	request.filters = filters;
	request.n_filters = LENGTH_OF(filters);
	request.elements = elements;
	request.n_elements = LENGTH_OF(elements);
}

START_TEST(get)
{
	server_add(&server, "202 Accepted\r\nContent-Location: status/1?x\r\n",
	    "");
	ask_for_all();
	ck_assert_int_eq(start(), 0);
	server_was_asked(&server, 0, "GET /Group/g1/$export"
	    "?_outputFormat=application%2Ffhir%2Bndjson"
	    "&_since=2025-04-10T08%3A30%3A00.5%2B02%3A00"
	    "&_type=Patient,Observation"
	    "&_typeFilter=Patient%3Fa%3Db%252Cc%26d%3De%2520f,"
	    "Observation%3Fx%3D1&_elements=id,name HTTP/1.1\r\n",
	    "\r\nPrefer: respond-async\r\n");
	server_was_asked(&server, 0, "", "\r\nCache-Control: no-cache\r\n");
	server_was_asked(&server, 0, "",
	    "\r\nAccept: application/fhir+json\r\n");
	url_is("/Group/g1/status/1?x");
}
END_TEST

START_TEST(post)
{
	char *body;

	server_add(&server, STARTED, "");
	ask_for_all();
	request.kick_off = BULK_KICK_OFF_POST;
	ck_assert_int_eq(start(), 0);
	server_was_asked(&server, 0, "POST /Group/g1/$export HTTP/1.1\r\n",
	    "\r\nContent-Type: application/fhir+json\r\n");
	server_was_asked(&server, 0, "", "\r\nPrefer: respond-async\r\n");
	body = test_quotes("\r\n\r\n{'resourceType':'Parameters',"
	    "'parameter':["
	    "{'name':'_outputFormat','valueString':'application/fhir+ndjson'},"
	    "{'name':'_since','valueInstant':'2025-04-10T08:30:00.5+02:00'},"
	    "{'name':'_type','valueString':'Patient'},"
	    "{'name':'_type','valueString':'Observation'},"
	    "{'name':'_typeFilter','valueString':'Patient?a=b,c&d=e%20f'},"
	    "{'name':'_typeFilter','valueString':'Observation?x=1'},"
	    "{'name':'_elements','valueString':'id'},"
	    "{'name':'_elements','valueString':'name'}]}");
	server_was_asked(&server, 0, "", body);
	free(body);
	url_is("/poll");
}
END_TEST

static const struct {
	const char *head;
	const char *metadata;
	const char *method;
} statements[] = {
	{ "404 Not Found\r\n", "", "GET" },
	{ "500 Broken\r\n", "", "GET" },
	{ "200 OK\r\n", "no JSON", "GET" },
	{ "200 OK\r\n", "{'rest':{}}", "GET" },
	{ "200 OK\r\n", "{'rest':[{'operation':[{'definition':'http://hl7.org"
	    "/fhir/uv/bulkdata/OperationDefinition/export'}]}]}", "GET" },
	{ "200 OK\r\n", "{'rest':[{'operation':[{'definition':'http://hl7.org"
	    "/fhir/uv/bulkdata/OperationDefinition/export|3.0.0'}]}]}",
	    "GET" },
	{ "200 OK\r\n", "{'rest':[{'operation':[{'definition':'http://hl7.org"
	    "/fhir/uv/bulkdata/OperationDefinition/export|4.0.0'}]}]}",
	    "POST" },
	{ "200 OK\r\n", "{'rest':[{'resource':[{'type':'A'},{'operation':"
	    "[{'definition':'http://hl7.org/fhir/uv/bulkdata/"
	    "OperationDefinition/patient-export|4.0.0-ballot'}]}]}]}",
	    "POST" },
};

START_TEST(automatic)
{
	char line[32];

	server_add(&server, statements[_i].head, statements[_i].metadata);
	server_add(&server, STARTED, "");
	request.kick_off = BULK_KICK_OFF_AUTO;
	request.level_path = "Patient";
	ck_assert_int_eq(start(), 0);
	server_was_asked(&server, 0, "GET /metadata HTTP/1.1\r\n", "");
	(void)snprintf(line, sizeof(line), "%s /Patient/$export",
	    statements[_i].method);
	server_was_asked(&server, 1, line, "");
}
END_TEST

static const struct {
	const char *head;
	bool	    has_second;
} forms[] = {
	{ "405 Not Allowed\r\n", true },
	{ "400 Bad Request\r\n", true },
	{ "414 Too Long\r\n", true },
	{ "404 Not Found\r\n", false },
	{ "422 Unprocessable\r\n", false },
};

START_TEST(other_form)
{
	server_add(&server, "404 Not Found\r\n", "");
	server_add(&server, forms[_i].head, OUTCOME("error", "invalid"));
	server_add(&server, STARTED, "");
	request.kick_off = BULK_KICK_OFF_AUTO;
	ck_assert_int_eq(start(), forms[_i].has_second ? 0 : -1);
	ck_assert_int_eq(server.n_requests, forms[_i].has_second ? 3 : 2);
	if (forms[_i].has_second)
		server_was_asked(&server, 2, "POST /$export HTTP/1.1\r\n",
		    "");
	else
		error_is(STATUS_UNAVAILABLE, "error/invalid: the reason");
}
END_TEST

START_TEST(neither_form)
{
	server_add(&server, "404 Not Found\r\n", "");
	server_add(&server, "400 Bad Request\r\n",
	    OUTCOME("error", "not-supported"));
	server_add(&server, "405 Not Allowed\r\n", "");
	request.kick_off = BULK_KICK_OFF_AUTO;
	ck_assert_int_eq(start(), -1);
	ck_assert_ptr_null(url);
	error_is(STATUS_UNAVAILABLE, "status 400: error/not-supported: the"
	    " reason; and then: the kick-off (POST ");
	error_is(STATUS_UNAVAILABLE, "$export): status 405");
}
END_TEST

START_TEST(form_is_said)
{
	server_add(&server, "405 Not Allowed\r\n", "");
	ck_assert_int_eq(start(), -1);
	ck_assert_int_eq(server.n_requests, 1);
	error_is(STATUS_UNAVAILABLE, "the kick-off (GET http://127.0.0.1:");
}
END_TEST

/* Another export is under way: a wait, as short as the limit. */
START_TEST(busy)
{
	int64_t start_ms = clock_monotonic_ms();

	server_add(&server, "429 Too Many\r\nRetry-After: 3600\r\n", "");
	server_add(&server, "429 Too Many\r\n" SOON, "");
	server_add(&server, STARTED, "");
	ck_assert_int_eq(start(), 0);
	ck_assert_int_eq(server.n_requests, 3);
	ck_assert_int_ge(clock_monotonic_ms() - start_ms, 300);
	ck_assert_int_lt(clock_monotonic_ms() - start_ms, 5000);
}
END_TEST

static const struct {
	const char *head;
	const char *body;
	enum status status;
	const char *message;
} kick_offs[] = {
	{ "429 Too Many\r\n", "", STATUS_UNAVAILABLE, "status 429" },
	{ "503 Busy\r\n", "", STATUS_UNAVAILABLE,
	    "no usable answer in 1 attempt: status 503" },
	{ "500 Broken\r\n", OUTCOME("fatal", "processing"),
	    STATUS_UNAVAILABLE, "status 500: fatal/processing: the reason" },
	{ "401 Unauthorized\r\n", "", STATUS_REFUSED, "no key was sent" },
	{ "403 Forbidden\r\n", OUTCOME("error", "forbidden"), STATUS_REFUSED,
	    "status 403: error/forbidden: the reason" },
	{ "202 Accepted\r\n", "", STATUS_PROTOCOL,
	    "status 202 without Content-Location" },
	{ "202 Accepted\r\nContent-Location: ftp://h/\r\n", "",
	    STATUS_PROTOCOL, "Content-Location: a link that is no http" },
	{ "422 No\r\n", "{'resourceType':'OperationOutcome','issue':["
	    "{'severity':'error','code':'invalid','diagnostics':'one'},"
	    "{'severity':'warning','code':'informational','details':"
	    "{'text':'two'}}]}", STATUS_UNAVAILABLE, "status 422:"
	    " error/invalid: one; warning/informational: two" },
};

START_TEST(no_start)
{
	server_add(&server, kick_offs[_i].head, kick_offs[_i].body);
	ck_assert_int_eq(start(), -1);
	ck_assert_int_eq(server.n_requests, 1);
	ck_assert_ptr_null(url);
	error_is(kick_offs[_i].status, kick_offs[_i].message);
}
END_TEST

START_TEST(other_origin)
{
	config.key_header = "X-API-KEY";
	config.key = _i == 0 ? "key" : NULL;
	server_add(&server, "202 Accepted\r\nContent-Location:"
	    " http://other:1/poll?x=y\r\n", "");
	ck_assert_int_eq(start(), _i == 0 ? -1 : 0);
	if (_i == 0)
		error_is(STATUS_PROTOCOL, "another origin"
		    " (http://other:1/poll); key");
	else
		ck_assert_str_eq(url, "http://other:1/poll?x=y");
}
END_TEST

START_TEST(polls)
{
	server_add(&server, "202 Accepted\r\nX-Progress: 10%\r\n" SOON, "");
	server_add(&server, "202 Accepted\r\nRetry-After: 3600\r\n",
	    "{'transactionTime':1}");
	server_add(&server, "429 Too Many\r\n" SOON, "");
	server_add(&server, DONE, MANIFEST);
	ck_assert_int_eq(poll_job(), 0);
	ck_assert_int_eq(server.n_requests, 4);
	server_was_asked(&server, 0, "GET /jobs/1?a=b HTTP/1.1\r\n",
	    "\r\nAccept: application/json\r\n");
	server_was_asked(&server, 3, "GET /jobs/1?a=b HTTP/1.1\r\n",
	    "\r\nCache-Control: no-cache\r\n");
	ck_assert_uint_eq(manifest.lists[BULK_OUTPUT].n, 1);
	ck_assert_ptr_nonnull(strstr(manifest.lists[BULK_OUTPUT].files[0].url,
	    "/jobs/f/1"));
}
END_TEST

/* One answer, then the manifest; with one retry or none. */
static const struct {
	const char *head;
	const char *body;
	int	    rc_once;	 /* without retries */
	enum status status_once; /* its error */
	bool	    is_retried;	 /* and so it goes well with one */
	const char *message;
} answers[] = {
	{ "500 Broken\r\n", "<html>", -1, STATUS_UNAVAILABLE, true,
	    "no usable answer in 1 attempt: status 500" },
	{ "503 Busy\r\n", "", -1, STATUS_UNAVAILABLE, true, "status 503" },
	{ "501 No\r\n", "", -1, STATUS_UNAVAILABLE, true, "status 501" },
	{ "429 Too Many\r\n", "", -1, STATUS_UNAVAILABLE, true,
	    "status 429" },
	{ "500 Broken\r\n", OUTCOME("error", "timeout"), -1,
	    STATUS_UNAVAILABLE, true, "error/timeout: the reason" },
	/* what the server says is for good, asked once more all the same */
	{ "500 Broken\r\n", OUTCOME("error", "processing"), -1,
	    STATUS_PROTOCOL, true, "error/processing: the reason" },
	{ "400 Bad\r\n", OUTCOME("error", "transient"), -1,
	    STATUS_UNAVAILABLE, true, "status 400: error/transient" },
	{ "400 Bad\r\n", OUTCOME("fatal", "lock-error"), -1,
	    STATUS_UNAVAILABLE, true, "fatal/lock-error" },
	{ "404 None\r\n", OUTCOME("error", "throttled"), 1,
	    STATUS_UNAVAILABLE, true, "does not know the job any more" },
	{ "400 Bad\r\n", OUTCOME("warning", "transient"), -1,
	    STATUS_PROTOCOL, false, "status 400" },
	{ "400 Bad\r\n", "{'resourceType':'OperationOutcome','issue':["
	    "{'severity':'error','code':'timeout'},"
	    "{'severity':'error','code':'invalid'}]}", -1, STATUS_PROTOCOL,
	    false, "error/timeout; error/invalid" },
	{ "422 Bad\r\n", "", -1, STATUS_PROTOCOL, false, "status 422" },
	{ "401 No\r\n", OUTCOME("error", "timeout"), -1, STATUS_REFUSED,
	    false, "status 401" },
	{ "403 No\r\n", "", -1, STATUS_REFUSED, false, "status 403" },
	{ "404 None\r\n", "", 1, STATUS_UNAVAILABLE, false,
	    "does not know the job any more: status 404" },
	{ "410 Gone\r\n", OUTCOME("error", "not-found"), 1,
	    STATUS_UNAVAILABLE, false, "status 410: error/not-found" },
	{ "204 Nothing\r\n", "", -1, STATUS_PROTOCOL, false, "status 204" },
	/* the failure of a job in an answer that is well */
	{ DONE, OUTCOME("error", "processing"), -1, STATUS_PROTOCOL, false,
	    "status 200: error/processing: the reason" },
	{ DONE, OUTCOME("error", "no-store"), -1, STATUS_UNAVAILABLE, true,
	    "status 200: error/no-store: the reason" },
	{ DONE, "{}", -1, STATUS_PROTOCOL, false,
	    "the manifest: transactionTime: want an instant" },
	{ DONE, "{", -1, STATUS_PROTOCOL, false,
	    "the manifest: no sound JSON" },
	/* separate-export-status */
	{ "200 OK\r\nX-Export-Status: 202\r\n" SOON, "", 0, STATUS_OK, true,
	    "" },
	{ "200 OK\r\nX-Export-Status: 500\r\n", "", -1, STATUS_UNAVAILABLE,
	    true, "status 500" },
	{ "202 Accepted\r\nX-Export-Status: 422\r\n",
	    OUTCOME("error", "processing"), -1, STATUS_PROTOCOL, false,
	    "status 422: error/processing" },
	{ "422 No\r\nX-Export-Status: 200\r\n", MANIFEST, -1,
	    STATUS_PROTOCOL, false, "status 422" },
};

START_TEST(answer_once)
{
	server_add(&server, answers[_i].head, answers[_i].body);
	server_add(&server, DONE, MANIFEST);
	ck_assert_int_eq(poll_job(), answers[_i].rc_once);
	if (answers[_i].rc_once == 0)
		return;
	ck_assert_int_eq(server.n_requests, 1);
	ck_assert_ptr_null(manifest.transaction_time);
	error_is(answers[_i].status_once, answers[_i].message);
	error_is(answers[_i].status_once, "/jobs/1)");
}
END_TEST

START_TEST(answer_retried)
{
	char *head;

	config.retries = 1;
	head = xasprintf("%s%s", answers[_i].head,
	    strstr(answers[_i].head, SOON) != NULL ? "" : SOON);
	server_add(&server, head, answers[_i].body);
	server_add(&server, DONE, MANIFEST);
	free(head);
	if (answers[_i].is_retried) {
		ck_assert_int_eq(poll_job(), 0);
		ck_assert_int_eq(server.n_requests, 2);
	} else {
		ck_assert_int_eq(poll_job(), answers[_i].rc_once);
		ck_assert_int_eq(server.n_requests, 1);
	}
}
END_TEST

/* What goes well in between begins the count anew. */
START_TEST(in_a_row)
{
	int i;

	config.retries = 2;
	for (i = 0; i < 6; i++)
		server_add(&server, i == 2 ? "202 Accepted\r\n" SOON :
		    "503 Busy\r\n" SOON, "");
	ck_assert_int_eq(poll_job(), -1);
	ck_assert_int_eq(server.n_requests, 6);
	error_is(STATUS_UNAVAILABLE, "no usable answer in 3 attempts");
}
END_TEST

START_TEST(backoff)
{
	int64_t start_ms = clock_monotonic_ms();

	server_add(&server, "202 Accepted\r\n", "");
	server_add(&server, DONE, MANIFEST);
	ck_assert_int_eq(poll_job(), 0);
	ck_assert_int_ge(clock_monotonic_ms() - start_ms, 700);
}
END_TEST

START_TEST(pages)
{
	server_add(&server, DONE, "{" TIME ",'output':[{'type':'A','url':'1'}"
	    "],'link':[{'relation':'next','url':'/page/2'}]}");
	server_add(&server, DONE, _i == 0 ? "{" TIME ",'deleted':[{'url':"
	    "'2'}],'link':[{'relation':'next','url':'/page/3'}]}" :
	    "{'transactionTime':'2025-04-10T08:30:01Z'}");
	server_add(&server, DONE, "{" TIME ",'output':[{'type':'B','url':'3'}"
	    "]}");
	ck_assert_int_eq(poll_job(), _i == 0 ? 0 : -1);
	server_was_asked(&server, 1, "GET /page/2 HTTP/1.1\r\n",
	    "\r\nCache-Control: no-cache\r\n");
	if (_i == 1) {
		error_is(STATUS_PROTOCOL, "page 2 of the manifest: the"
		    " manifest: transactionTime: 2025-04-10T08:30:01Z");
		return;
	}
	server_was_asked(&server, 2, "GET /page/3 HTTP/1.1\r\n", "");
	ck_assert_uint_eq(manifest.n_pages, 3);
	ck_assert_uint_eq(manifest.lists[BULK_OUTPUT].n, 2);
	ck_assert_uint_eq(manifest.lists[BULK_DELETED].n, 1);
}
END_TEST

START_TEST(page_elsewhere)
{
	struct server other;
	char	     *body;

	server_open(&other);
	server_add(&other, DONE, "{" TIME "}");
	body = xasprintf("{" TIME ",'link':[{'relation':'next','url':'%s/2'}"
	    "]}", other.base);
	server_add(&server, DONE, body);
	free(body);
	config.key_header = "X-API-KEY";
	config.key = "key";
	server_start(&other);
	ck_assert_int_eq(poll_job(), 0);
	server_stop(&other);
	server_was_asked(&server, 0, "", "X-API-KEY: key");
	server_was_asked(&other, 0, "GET /2 ", "");
	ck_assert_ptr_null(strstr(other.requests[0], "X-API-KEY"));
	server_clear(&other);
}
END_TEST

static void
delete(const char *head)
{
	server_add(&server, head, "");
	url = xasprintf("%s/jobs/1", server.base);
	server_start(&server);
	bulk_delete(&config, url);
	server_stop(&server);
	ck_assert_int_eq(server.n_requests, 1);
	server_was_asked(&server, 0, "DELETE /jobs/1 HTTP/1.1\r\n", "");
}

START_TEST(deleted)
{
	static const char *const heads[] = {
		"202 Accepted\r\n", "404 None\r\n", "500 Broken\r\n",
		"429 Too Many\r\nRetry-After: 60\r\n",
	};

	config.retries = 3;
	delete(heads[_i]);
}
END_TEST

/* A signal ends polls and not the DELETE.  Last, because it stays. */
START_TEST(signalled)
{
	ck_assert_int_eq(stop_init(0, &err), 0);
	ck_assert_int_eq(raise(SIGTERM), 0);
	ck_assert_int_eq(poll_job(), -1);
	ck_assert_int_eq(err.status, STATUS_INTERRUPTED + SIGTERM);
	ck_assert_int_eq(server.n_requests, 0);
	teardown();
	setup();
	delete("202 Accepted\r\n");
	stop_ignore_signals();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bulk_job");
	TCase *tests = tcase_create("bulk_job");

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, get);
	tcase_add_test(tests, post);
	tcase_add_loop_test(tests, automatic, 0, LENGTH_OF(statements));
	tcase_add_loop_test(tests, other_form, 0, LENGTH_OF(forms));
	tcase_add_test(tests, neither_form);
	tcase_add_test(tests, form_is_said);
	tcase_add_test(tests, busy);
	tcase_add_loop_test(tests, no_start, 0, LENGTH_OF(kick_offs));
	tcase_add_loop_test(tests, other_origin, 0, 2);
	tcase_add_test(tests, polls);
	tcase_add_loop_test(tests, answer_once, 0, LENGTH_OF(answers));
	tcase_add_loop_test(tests, answer_retried, 0, LENGTH_OF(answers));
	tcase_add_test(tests, in_a_row);
	tcase_add_test(tests, backoff);
	tcase_add_loop_test(tests, pages, 0, 2);
	tcase_add_test(tests, page_elsewhere);
	tcase_add_loop_test(tests, deleted, 0, 4);
	tcase_add_test(tests, signalled);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
