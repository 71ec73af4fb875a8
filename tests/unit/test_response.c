#include "wirelib.h"

static void
begin(bool is_head)
{
	wire_begin(is_head ? "HEAD" : "GET");
}

static void
set_up(void)
{
	begin(false);
}

static void
tear_down(void)
{
	response_clear(&response);
	buf_clear(&wire.sent);
}

static void
sent_is(const char *expected)
{
	buf_append_byte(&wire.sent, '\0');
	ck_assert_str_eq((const char *)wire.sent.data, expected);
	wire.sent.len--;
}

START_TEST(nothing_begun)
{
	ck_assert_int_eq(response.status, 0);
	ck_assert_uint_eq(response.bytes, 0);
	ck_assert_uint_eq(response.items, 0);
	ck_assert(!response.is_head && !response.is_gone && !response.is_sent);
	ck_assert(!cgi.is_broken);
	ck_assert_ptr_eq(response.cgi, &cgi);
	ck_assert_str_eq(response.id, "r-1");
	ck_assert_int_eq(wire.writes, 0);
}
END_TEST

START_TEST(in_pieces)
{
	response_start(&response, 200, "text/plain", "private, no-cache");
	ck_assert_int_eq(response.status, 200);
	response_header(&response, "ETag", "W/\"5\"");
	response_body(&response);
	/* Headers go with the first piece of the body, not before. */
	ck_assert_int_eq(wire.writes, 0);
	ck_assert(!response.is_sent);
	ck_assert_uint_eq(response.bytes, 0);
	ck_assert_int_eq(response_write(&response, "one", 3), 0);
	ck_assert(response.is_sent);
	ck_assert_int_eq(response_write(&response, "", 0), 0);
	ck_assert_int_eq(response_write(&response, "t\0o", 3), 0);
	ck_assert_uint_eq(response.bytes, 6);
	/* The end adds nothing to what has left. */
	response_end(&response);
	ck_assert_uint_ge(wire.sent.len, 6);
	ck_assert_int_eq(memcmp(wire.sent.data + wire.sent.len - 6,
	    "onet\0o", 6), 0);
	wire.sent.len -= 3;
	sent_is("Status: 200 OK\r\n"
	    "Content-Type: text/plain\r\n"
	    "Cache-Control: private, no-cache\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "X-Request-Id: r-1\r\n"
	    "ETag: W/\"5\"\r\n"
	    "\r\n"
	    "one");
	ck_assert(!response.is_gone && !cgi.is_broken);
}
END_TEST

START_TEST(without_type)
{
	response_start(&response, 304, NULL, "private, no-cache");
	response_body(&response);
	ck_assert_int_eq(wire.writes, 0);
	response_end(&response);
	ck_assert(response.is_sent);
	response_end(&response);
	ck_assert_int_eq(wire.writes, 1);
	sent_is("Status: 304 Not Modified\r\n"
	    "Cache-Control: private, no-cache\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "X-Request-Id: r-1\r\n"
	    "\r\n");
	ck_assert_int_eq(response.status, 304);
	ck_assert_uint_eq(response.bytes, 0);
}
END_TEST

START_TEST(head_has_no_body)
{
	begin(true);
	response_start(&response, 200, "text/plain", "no-store");
	response_body(&response);
	ck_assert_int_eq(response_write(&response, "one", 3), 0);
	ck_assert_int_eq(wire.writes, 0);
	response_end(&response);
	ck_assert_int_eq(wire.writes, 1);
	ck_assert_uint_eq(response.bytes, 0);
	sent_is("Status: 200 OK\r\n"
	    "Content-Type: text/plain\r\n"
	    "Cache-Control: no-store\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "X-Request-Id: r-1\r\n"
	    "\r\n");
}
END_TEST

#define JSON_HEAD(status) \
	"Status: " status "\r\n" \
	"Content-Type: application/json\r\n" \
	"Cache-Control: no-store\r\n" \
	"X-Content-Type-Options: nosniff\r\n" \
	"X-Request-Id: r-1\r\n"

START_TEST(json_whole)
{
	/* So many bytes, whatever stands behind them. */
	response_json(&response, 200, "{\"status\":\"live\"}...", 17);
	ck_assert_int_eq(response.status, 200);
	ck_assert_uint_eq(response.bytes, 17);
	sent_is(JSON_HEAD("200 OK") "Content-Length: 17\r\n\r\n"
	    "{\"status\":\"live\"}");
}
END_TEST

START_TEST(json_empty)
{
	response_json(&response, 200, "", 0);
	ck_assert_uint_eq(response.bytes, 0);
	sent_is(JSON_HEAD("200 OK") "Content-Length: 0\r\n\r\n");
}
END_TEST

/* HEAD: the length that GET would have, and no byte of it. */
START_TEST(json_head)
{
	begin(true);
	response_json(&response, 200, "{\"status\":\"live\"}", 17);
	response_end(&response);
	ck_assert_uint_eq(response.bytes, 0);
	sent_is(JSON_HEAD("200 OK") "Content-Length: 17\r\n\r\n");
}
END_TEST

/* The phrases of RFC 9110, 15. */
static const struct {
	int	    status;
	const char *line;
} statuses[] = {
	{ 200, "Status: 200 OK\r\n" },
	{ 304, "Status: 304 Not Modified\r\n" },
	{ 400, "Status: 400 Bad Request\r\n" },
	{ 401, "Status: 401 Unauthorized\r\n" },
	{ 403, "Status: 403 Forbidden\r\n" },
	{ 404, "Status: 404 Not Found\r\n" },
	{ 405, "Status: 405 Method Not Allowed\r\n" },
	{ 409, "Status: 409 Conflict\r\n" },
	{ 414, "Status: 414 URI Too Long\r\n" },
	{ 422, "Status: 422 Unprocessable Content\r\n" },
	{ 500, "Status: 500 Internal Server Error\r\n" },
	{ 502, "Status: 502 Bad Gateway\r\n" },
	{ 503, "Status: 503 Service Unavailable\r\n" },
};

START_TEST(error_of_each_status)
{
	static const char body[] = "\r\n\r\n{\"error\":\"No such path.\"}";
	const char	 *text;

	response_error(&response, statuses[_i].status, "No such path.");
	buf_append_byte(&wire.sent, '\0');
	text = (const char *)wire.sent.data;
	ck_assert_ptr_eq(strstr(text, statuses[_i].line), text);
	ck_assert_ptr_nonnull(strstr(text, "\r\nContent-Length: 25\r\n"));
	ck_assert_str_eq(strstr(text, "\r\n\r\n"), body);
	/* With a 503, and with no other. */
	if (statuses[_i].status == 503)
		ck_assert_ptr_nonnull(strstr(text, "\r\nRetry-After: 30\r\n"));
	else
		ck_assert_ptr_null(strstr(text, "Retry-After"));
	ck_assert_int_eq(response.status, statuses[_i].status);
	ck_assert_uint_eq(response.bytes, 25);
}
END_TEST

START_TEST(error_whole)
{
	response_error(&response, 403, "This API key may not start a run.");
	sent_is(JSON_HEAD("403 Forbidden") "Content-Length: 45\r\n\r\n"
	    "{\"error\":\"This API key may not start a run.\"}");
}
END_TEST

START_TEST(error_with_header)
{
	response_error_header(&response, 405, "Method not allowed.", "Allow",
	    "GET, HEAD");
	sent_is(JSON_HEAD("405 Method Not Allowed") "Allow: GET, HEAD\r\n"
	    "Content-Length: 31\r\n\r\n{\"error\":\"Method not allowed.\"}");
}
END_TEST

START_TEST(error_head)
{
	begin(true);
	response_error(&response, 404, "No such path.");
	response_end(&response);
	ck_assert_uint_eq(response.bytes, 0);
	sent_is(JSON_HEAD("404 Not Found") "Content-Length: 25\r\n\r\n");
}
END_TEST

/* With every 503, whatever else its text says. */
START_TEST(json_that_is_unready)
{
	response_json(&response, 503, "{\"status\":\"unready\"}", 20);
	sent_is(JSON_HEAD("503 Service Unavailable") "Retry-After: 30\r\n"
	    "Content-Length: 20\r\n\r\n{\"status\":\"unready\"}");
}
END_TEST

/* Nothing of an answer that another one takes the place of. */
static const char instead[] = JSON_HEAD("503 Service Unavailable")
    "Retry-After: 30\r\nContent-Length: 22\r\n\r\n"
    "{\"error\":\"Not today.\"}";

START_TEST(begun_anew)
{
	begin(_i == 1);
	response_start(&response, 200, "text/plain", "private, no-cache");
	response_header(&response, "ETag", "W/\"5\"");
	response_body(&response);
	response.items = 7;
	if (_i == 1)
		ck_assert_int_eq(response_write(&response, "one", 3), 0);
	ck_assert(!response.is_sent);
	response_error(&response, 503, "Not today.");
	response_end(&response);
	ck_assert_int_eq(response.status, 503);
	ck_assert_uint_eq(response.items, 0);
	ck_assert_uint_eq(response.bytes, _i == 1 ? 0 : 22);
	/* To HEAD without the body. */
	if (_i == 1)
		buf_append(&wire.sent, "{\"error\":\"Not today.\"}", 22);
	sent_is(instead);
}
END_TEST

/* A sentence longer than any: nothing is cut. */
START_TEST(error_long)
{
	char  sentence[5000], *expected;

	memset(sentence, 'e', sizeof(sentence) - 1);
	sentence[sizeof(sentence) - 1] = '\0';
	response_error(&response, 500, sentence);
	expected = xasprintf(JSON_HEAD("500 Internal Server Error")
	    "Content-Length: 5011\r\n\r\n{\"error\":\"%s\"}", sentence);
	sent_is(expected);
	free(expected);
}
END_TEST

START_TEST(gone_at_headers)
{
	wire.last = 1;
	response_start(&response, 200, "text/plain", "no-store");
	response_body(&response);
	ck_assert_int_eq(response_write(&response, "one", 3), -1);
	ck_assert(response.is_gone && response.is_sent);
	ck_assert_uint_eq(response.bytes, 0);
	ck_assert_int_eq(response_write(&response, "two", 3), -1);
	response_end(&response);
	/* Nobody is asked twice. */
	ck_assert_int_eq(wire.writes, 1);
	ck_assert_uint_eq(wire.sent.len, 0);
}
END_TEST

START_TEST(gone_in_body)
{
	wire.last = 3;
	response_start(&response, 200, "text/plain", "no-store");
	response_body(&response);
	ck_assert_int_eq(response_write(&response, "one", 3), 0);
	ck_assert(!response.is_gone);
	ck_assert_int_eq(response_write(&response, "two", 3), -1);
	ck_assert(response.is_gone);
	ck_assert_int_eq(response_write(&response, "three", 5), -1);
	response_end(&response);
	ck_assert_int_eq(wire.writes, 3);
	ck_assert_uint_eq(response.bytes, 3);
}
END_TEST

START_TEST(gone_at_head)
{
	begin(true);
	wire.last = 1;
	response_start(&response, 200, "text/plain", "no-store");
	response_body(&response);
	ck_assert_int_eq(response_write(&response, "one", 3), 0);
	response_end(&response);
	ck_assert(response.is_gone);
	response_end(&response);
	ck_assert_int_eq(wire.writes, 1);
}
END_TEST

START_TEST(gone_at_whole_answer)
{
	wire.last = 1;
	response_json(&response, 200, "{}", 2);
	ck_assert(response.is_gone);
	ck_assert_int_eq(response.status, 200);
	ck_assert_int_eq(wire.writes, 1);
}
END_TEST

static TCase *
cases(void)
{
	TCase *tests = tcase_create("response");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, nothing_begun);
	tcase_add_test(tests, in_pieces);
	tcase_add_test(tests, without_type);
	tcase_add_test(tests, head_has_no_body);
	tcase_add_test(tests, json_whole);
	tcase_add_test(tests, json_empty);
	tcase_add_test(tests, json_head);
	tcase_add_loop_test(tests, error_of_each_status, 0,
	    LENGTH_OF(statuses));
	tcase_add_test(tests, error_whole);
	tcase_add_test(tests, error_with_header);
	tcase_add_test(tests, error_head);
	tcase_add_test(tests, json_that_is_unready);
	tcase_add_loop_test(tests, begun_anew, 0, 2);
	tcase_add_test(tests, error_long);
	tcase_add_test(tests, gone_at_headers);
	tcase_add_test(tests, gone_in_body);
	tcase_add_test(tests, gone_at_head);
	tcase_add_test(tests, gone_at_whole_answer);
	return tests;
}

int
main(void)
{
	Suite *suite = suite_create("response");

	suite_add_tcase(suite, cases());
	return test_run(suite);
}
