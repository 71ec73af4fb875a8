#include "clock.h"
#include "http.h"
#include "http_call.h"
#include "outcome.h"
#include "serverlib.h"

static struct server	  server, other;
static struct http_answer answer;
static struct error	  err;

/* What authorize() was asked, and how much was under way then. */
static struct {
	int  asked;
	int  anew;
	int  ended;
	int  most;
	char url[128];
} hook;

static int
authorize(void *ctx, const char *url, bool anew, char **value,
    struct error *error)
{
	const char *fault = ctx;

	hook.asked++;
	hook.anew += anew;
	if (hook.asked - hook.ended > hook.most)
		hook.most = hook.asked - hook.ended;
	(void)snprintf(hook.url, sizeof(hook.url), "%s", url);
	if (fault != NULL)
		return error_set(error, STATUS_REFUSED, "%s", fault);
	*value = xasprintf("Bearer t%d", hook.asked);
	return 0;
}

static struct http_config config = {
	.key_header = "X-API-KEY",
	.key = "k3y",
	.timeout_ms = 10000,
	.authorize = authorize,
};

static void
setup(void)
{
	memset(&hook, 0, sizeof(hook));
	config.retries = 0;
	config.authorize_ctx = NULL;
	server_open(&server);
	server_open(&other);
}

static void
teardown(void)
{
	http_answer_clear(&answer);
	server_clear(&server);
	server_clear(&other);
}

/* Starts the servers, makes the call to path of the first, ends them. */
static int
make(const char *path, struct http_call call)
{
	char *url = xasprintf("%s%s", server.base, path);
	int   rc;

	call.url = url;
	call.name = "the test";
	if (call.method == NULL)
		call.method = "GET";
	if (call.max_body == 0)
		call.max_body = 100;
	server_start(&server);
	server_start(&other);
	rc = http_call(&config, &call, &answer, &err);
	server_stop(&server);
	server_stop(&other);
	free(url);
	return rc;
}

static void
body_is(const char *text)
{
	ck_assert_uint_eq(answer.body.len, strlen(text));
	ck_assert(memcmp(answer.body.data, text, strlen(text)) == 0);
}

START_TEST(get)
{
	char *url = xasprintf("%s/a?b", server.base);

	server_add(&server, "202 Accepted\r\nContent-Location: /poll\r\n"
	    "X-Progress: 10%\r\nX-Export-Status: 202\r\n"
	    "Retry-After: 120\r\n", "text");
	ck_assert_int_eq(make("/a?b", (struct http_call){ 0 }), 0);
	ck_assert_int_eq(answer.status, 202);
	body_is("text");
	ck_assert_int_eq(answer.retry_after_ms, 120000);
	ck_assert_int_eq(answer.date_skew_ms, 0);
	ck_assert_str_eq(answer.content_location, "/poll");
	ck_assert_str_eq(answer.progress, "10%");
	ck_assert_str_eq(answer.export_status, "202");
	ck_assert_str_eq(answer.url, url);
	server_was_asked(&server, 0, "GET /a?b HTTP/1.1\r\n",
	    "\r\nX-API-KEY: k3y\r\nAuthorization: Bearer t1\r\n");
	server_was_asked(&server, 0, "", "\r\nAccept-Encoding: gzip\r\n");
	ck_assert_str_eq(hook.url, url);
	free(url);
}
END_TEST

START_TEST(post)
{
	static const char *const headers[] = { "Accept: text/x",
		"Content-Type: text/y", NULL };

	server_add(&server, "200 OK\r\n", "");
	ck_assert_int_eq(make("/p", (struct http_call){ .method = "POST",
	    .headers = headers, .body = "hello", .body_len = 5 }), 0);
	server_was_asked(&server, 0, "POST /p HTTP/1.1\r\n",
	    "\r\nAccept: text/x\r\n");
	server_was_asked(&server, 0, "", "\r\nContent-Type: text/y\r\n");
	server_was_asked(&server, 0, "", "\r\n\r\nhello");
	ck_assert_ptr_null(strstr(server.requests[0], "application/"));
	ck_assert_uint_eq(answer.body.len, 0);
	ck_assert_int_eq(answer.retry_after_ms, -1);
}
END_TEST

START_TEST(delete)
{
	server_add(&server, "202 Accepted\r\n", "");
	ck_assert_int_eq(make("/d", (struct http_call){ .method = "DELETE" }),
	    0);
	server_was_asked(&server, 0, "DELETE /d HTTP/1.1\r\n", "");
}
END_TEST

START_TEST(open_call)
{
	server_add(&server, "200 OK\r\n", "");
	ck_assert_int_eq(make("/o", (struct http_call){ .is_open = true,
	    .is_secret = true }), 0);
	ck_assert_int_eq(hook.asked, 0);
	ck_assert_ptr_null(strstr(server.requests[0], "X-API-KEY"));
	ck_assert_ptr_null(strstr(server.requests[0], "Authorization"));
	server_was_asked(&server, 0, "", "\r\nAccept-Encoding: identity\r\n");
}
END_TEST

/* A 401 is asked again with another token, at once, and but once. */
START_TEST(renewal)
{
	server_add(&server, "401 Unauthorized\r\n", "no");
	server_add(&server, _i == 0 ? "200 OK\r\n" : "401 Unauthorized\r\n",
	    "yes");
	server_add(&server, "200 OK\r\n", "late");
	ck_assert_int_eq(make("/", (struct http_call){
	    .tells_all = _i == 2 }), _i == 1 ? -1 : 0);
	ck_assert_int_eq(server.n_requests, 2);
	ck_assert_int_eq(hook.asked, 2);
	ck_assert_int_eq(hook.anew, 1);
	server_was_asked(&server, 1, "", "\r\nAuthorization: Bearer t2\r\n");
	if (_i != 1)
		body_is("yes");
	if (_i == 2)
		ck_assert_int_eq(answer.status, 401);
	if (_i == 1) {
		ck_assert_int_eq(err.status, STATUS_REFUSED);
		ck_assert_ptr_nonnull(strstr(err.text, "refuses the token"));
	}
}
END_TEST

START_TEST(no_token)
{
	config.authorize_ctx = xstrdup("no token today");
	ck_assert_int_eq(make("/", (struct http_call){ 0 }), -1);
	ck_assert_int_eq(server.n_requests, 0);
	ck_assert_int_eq(err.status, STATUS_REFUSED);
	ck_assert_ptr_nonnull(strstr(err.text, "no token today"));
	free(config.authorize_ctx);
}
END_TEST

/* To another origin: never with the key, and for an open GET alone. */
START_TEST(redirect_away)
{
	static const struct http_call calls[] = {
		{ .method = "GET", .is_open = true },
		{ .method = "GET" },
		{ .method = "POST", .is_open = true, .body = "x",
		    .body_len = 1 },
	};
	char *head;

	head = xasprintf("307 Temporary Redirect\r\nLocation: %s/new?s=s\r\n",
	    other.base);
	server_add(&server, head, "");
	server_add(&other, "200 OK\r\n", "there");
	ck_assert_int_eq(make("/", calls[_i]), _i == 0 ? 0 : -1);
	free(head);
	ck_assert_int_eq(other.n_requests, _i == 0);
	if (_i == 0) {
		body_is("there");
		return;
	}
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	ck_assert_ptr_nonnull(strstr(err.text, "to another origin"));
}
END_TEST

START_TEST(redirect_near)
{
	static const char *const heads[] = {
		"307 Temporary Redirect\r\nLocation: /new\r\n",
		"308 Permanent Redirect\r\nLocation: /new\r\n",
		"302 Found\r\nLocation: /new\r\n",
	};

	server_add(&server, heads[_i], "");
	server_add(&server, "200 OK\r\n", "there");
	ck_assert_int_eq(make("/", (struct http_call){ .method = "POST",
	    .body = "x", .body_len = 1 }), _i < 2 ? 0 : -1);
	if (_i == 2) {
		ck_assert_ptr_nonnull(strstr(err.text, "302: a POST is not"));
		return;
	}
	server_was_asked(&server, 1, "POST /new ", "\r\n\r\nx");
	server_was_asked(&server, 1, "", "Authorization: Bearer t2\r\n");
	ck_assert_ptr_nonnull(strstr(answer.url, "/new"));
	ck_assert_ptr_nonnull(strstr(hook.url, "/new"));
}
END_TEST

static const struct {
	const char *head;
	bool	    tells_all;
	int	    rc;
	size_t	    len; /* of a body of 200 bytes */
	const char *message;
} limits[] = {
	{ "200 OK\r\n", false, -1, 0, "an answer over the limit of 100" },
	{ "200 OK\r\n", true, -1, 0, "an answer over the limit of 100" },
	{ "404 Not Found\r\n", true, 0, 100, "" },
	{ "503 Busy\r\n", true, 0, 100, "" },
	{ "429 Slow\r\n", true, 0, 100, "" },
	{ "503 Busy\r\n", false, -1, 0, "no usable answer in 1 attempt" },
	{ "404 Not Found\r\n", false, -1, 0, "status 404" },
};

START_TEST(limit)
{
	char text[201];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	server_add(&server, limits[_i].head, text);
	ck_assert_int_eq(make("/", (struct http_call){
	    .tells_all = limits[_i].tells_all }), limits[_i].rc);
	if (limits[_i].rc == 0)
		ck_assert_uint_eq(answer.body.len, limits[_i].len);
	else
		ck_assert_msg(strstr(err.text, limits[_i].message) != NULL,
		    "%s", err.text);
}
END_TEST

/* Retry-After, the server's clock being so many seconds ahead of ours. */
static const struct {
	const char *value; /* NULL: a date ... */
	int	    after; /* ... so many seconds after the server's time */
	int	    ahead;
	int64_t	    least_ms;
	int64_t	    most_ms;
} waits[] = {
	{ "0", 0, 0, 0, 0 },
	{ "7", 0, 0, 7000, 7000 },
	{ "7", 0, 3600, 7000, 7000 },
	{ "-5", 0, 0, -1, -1 },
	{ "soon", 0, 0, -1, -1 },
	{ "9999999999", 0, 0, MAX_HEADER_WAIT_MS,
	    MAX_HEADER_WAIT_MS },
	{ NULL, 30, 0, 28000, 31000 },
	{ NULL, 30, 3600, 28000, 31000 },
	{ NULL, 3630, -3600, 3628000, 3631000 },
	{ NULL, -30, 0, -1, -1 },
	{ NULL, -30, 3600, -1, -1 },
};

START_TEST(retry_after)
{
	char	date[CLOCK_TEXT_BYTES], until[CLOCK_TEXT_BYTES], head[256];
	int64_t now = clock_now_ms() + waits[_i].ahead * 1000;

	clock_format_http(now, date);
	clock_format_http(now + waits[_i].after * 1000, until);
	(void)snprintf(head, sizeof(head), "200 OK\r\nDate: %s\r\n"
	    "Retry-After: %s\r\n", date, waits[_i].value != NULL ?
	    waits[_i].value : until);
	server_add(&server, head, "");
	ck_assert_int_eq(make("/", (struct http_call){ 0 }), 0);
	ck_assert_int_ge(answer.retry_after_ms, waits[_i].least_ms);
	ck_assert_int_le(answer.retry_after_ms, waits[_i].most_ms);
	if (waits[_i].ahead == 0)
		ck_assert_int_eq(answer.date_skew_ms, 0);
	else
		ck_assert_int_le(llabs(answer.date_skew_ms -
		    waits[_i].ahead * 1000), 2000);
}
END_TEST

/* A server that takes the connection and says nothing. */
START_TEST(last_word)
{
	struct http_call call = { .method = "DELETE", .url = server.base,
		.name = "the test", .outlives_stop_ms = 300 };
	int64_t		 start_ms = clock_monotonic_ms();

	config.retries = 3;
	ck_assert_int_eq(http_call(&config, &call, &answer, &err), -1);
	ck_assert_int_lt(clock_monotonic_ms() - start_ms, 3000);
	ck_assert_int_eq(err.status, STATUS_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "no answer in 0.3 s"));
	close(server.fd);
}
END_TEST

/* Several chains: what their sink counts. */
struct counts {
	int    ended;
	int    refused;
	size_t bytes;
};

static int
begin(void *ctx, struct error *error)
{
	(void)ctx;
	(void)error;
	return 0;
}

static int
body(void *ctx, const uint8_t *data, size_t len, struct error *error)
{
	struct counts *counts = ctx;

	(void)data;
	(void)error;
	counts->bytes += len;
	return 0;
}

static int
end(void *ctx, const char *url, char **next, struct error *error)
{
	struct counts *counts = ctx;

	(void)url;
	(void)next;
	(void)error;
	counts->ended++;
	hook.ended++;
	return 0;
}

/* The first refusal has another way, the second has none. */
static int
refused(void *ctx, long status, char **url, struct error *error)
{
	struct counts *counts = ctx;

	(void)error;
	ck_assert_int_eq(status, 403);
	if (++counts->refused > 1)
		return 0;
	*url = xasprintf("%s/fresh", server.base);
	return 1;
}

static const struct http_sink sink = {
	.begin = begin,
	.body = body,
	.end = end,
	.describe = outcome_describe_body,
	.refused = refused,
};

static int
run(struct http_request *requests, size_t n)
{
	int rc;

	server_start(&server);
	server_start(&other);
	rc = http_run(&config, requests, n, &err);
	server_stop(&server);
	server_stop(&other);
	return rc;
}

START_TEST(another_way)
{
	struct counts	    counts = { 0 };
	struct http_request request = { .name = "file 1", .sink = &sink,
		.ctx = &counts, .is_open = true };
	char		   *url = xasprintf("%s/old?sig=s3cret", server.base);

	request.url = url;
	server_add(&server, "403 Forbidden\r\n", "");
	server_add(&server, _i == 0 ? "200 OK\r\n" : "403 Forbidden\r\n",
	    "file");
	ck_assert_int_eq(run(&request, 1), _i == 0 ? 0 : -1);
	server_was_asked(&server, 0, "GET /old?sig=s3cret ", "");
	server_was_asked(&server, 1, "GET /fresh ", "");
	ck_assert_int_eq(counts.ended, _i == 0);
	ck_assert_int_eq(counts.refused, 1 + _i);
	if (_i == 1) {
		ck_assert_int_eq(err.status, STATUS_UNAVAILABLE);
		ck_assert_ptr_nonnull(strstr(err.text, "/fresh): status 403"));
	}
	free(url);
}
END_TEST

START_TEST(away_and_hidden)
{
	struct counts	    counts = { .refused = 1 };
	struct http_request request = { .name = "file 1", .sink = &sink,
		.ctx = &counts, .may_leave = true, .accept = "text/x" };
	char		   *head;

	head = xasprintf("302 Found\r\nLocation: %s/s?sig=s3cret\r\n",
	    other.base);
	server_add(&server, head, "");
	server_add(&other, "403 Forbidden\r\n", "");
	request.url = server.base;
	ck_assert_int_eq(run(&request, 1), -1);
	free(head);
	server_was_asked(&server, 0, "GET / ", "Authorization: Bearer t1\r\n");
	server_was_asked(&server, 0, "GET / ", "Accept: text/x\r\n");
	server_was_asked(&other, 0, "GET /s?sig=s3cret ", "");
	ck_assert_ptr_null(strstr(other.requests[0], "Authorization"));
	ck_assert_ptr_null(strstr(other.requests[0], "X-API-KEY"));
	ck_assert_int_eq(hook.asked, 1);
	ck_assert_ptr_null(strstr(err.text, "s3cret"));
	ck_assert_ptr_nonnull(strstr(err.text, "/s): status 403"));
}
END_TEST

START_TEST(side_by_side)
{
	struct counts	    counts = { 0 };
	struct http_request requests[SERVER_ANSWERS];
	size_t		    i;

	for (i = 0; i < SERVER_ANSWERS; i++) {
		requests[i] = (struct http_request){ .url = server.base,
			.name = "file", .sink = &sink, .ctx = &counts };
		server_add(&server, "200 OK\r\n", "file");
	}
	ck_assert_int_eq(run(requests, SERVER_ANSWERS), 0);
	ck_assert_int_eq(counts.ended, SERVER_ANSWERS);
	ck_assert_uint_eq(counts.bytes, 4 * SERVER_ANSWERS);
	ck_assert_int_eq(hook.most, SERVER_ANSWERS);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_call");
	TCase *tests = tcase_create("http_call");

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, get);
	tcase_add_test(tests, post);
	tcase_add_test(tests, delete);
	tcase_add_test(tests, open_call);
	tcase_add_loop_test(tests, renewal, 0, 3);
	tcase_add_test(tests, no_token);
	tcase_add_loop_test(tests, redirect_away, 0, 3);
	tcase_add_loop_test(tests, redirect_near, 0, 3);
	tcase_add_loop_test(tests, limit, 0, LENGTH_OF(limits));
	tcase_add_loop_test(tests, retry_after, 0, LENGTH_OF(waits));
	tcase_add_test(tests, last_word);
	tcase_add_loop_test(tests, another_way, 0, 2);
	tcase_add_test(tests, away_and_hidden);
	tcase_add_test(tests, side_by_side);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
