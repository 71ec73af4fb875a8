#include <check.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "testlib.h"

#define TIME	  "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z "
#define MAX_WRITE 65536

/*
 * Standard error is one end of a packet socket, so that each write is one
 * packet at the other.
 */
static int  reader = -1, saved = -1;
static char packet[MAX_WRITE];

static void
setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	saved = dup(STDERR_FILENO);
	dup2(pair[0], STDERR_FILENO);
	close(pair[0]);
	reader = pair[1];
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, false);
}

static void
teardown(void)
{
	log_forget_secret();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(reader);
}

/* The next write as text; "" when there was none. */
static const char *
next_write(void)
{
	ssize_t n;

	n = recv(reader, packet, sizeof(packet) - 1, MSG_DONTWAIT);
	packet[n > 0 ? n : 0] = '\0';
	return packet;
}

static void
assert_matches(const char *text, const char *pattern)
{
	regex_t regex;

	ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	ck_assert_msg(regexec(&regex, text, 0, NULL, 0) == 0,
	    "\"%s\" does not match %s", text, pattern);
	regfree(&regex);
}

/* What of the next write comes behind the text line's time and level. */
static const char *
next_message(void)
{
	const char *text;

	text = next_write();
	ck_assert_uint_gt(strlen(text), 27);
	return text + 27;
}

START_TEST(text_lines)
{
	log_init(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, false);
	log_error("one %d", 1);
	assert_matches(next_write(), TIME "error one 1\n$");
	log_warn("two");
	assert_matches(next_write(), TIME "warn  two\n$");
	log_info("three");
	assert_matches(next_write(), TIME "info  three\n$");
	log_debug("four");
	assert_matches(next_write(), TIME "debug four\n$");
	ck_assert_str_eq(next_write(), "");
}
END_TEST

START_TEST(levels)
{
	log_debug("not at the level info");
	ck_assert_str_eq(next_write(), "");
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
	log_warn("not at the level error");
	ck_assert_str_eq(next_write(), "");
	log_error("x");
	assert_matches(next_write(), "error x\n$");
}
END_TEST

START_TEST(json_lines)
{
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_JSON, false);
	log_warn("say \"%s\"", "a\\b\n\x1b\xff" "\xc3\xb8");
	assert_matches(next_write(),
	    "^\\{\"time\":\"[-0-9]{10}T[:0-9]{8}Z\",\"level\":\"warn\","
	    "\"message\":\"");
	ck_assert_str_eq(strstr(packet, "\"message\""),
	    "\"message\":\"say \\\"a\\\\b\\\\n\\\\x1b\\\\xff\xc3\xb8\\\"\"}\n");
}
END_TEST

START_TEST(json_lines_of_a_job)
{
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_JSON, false);
	log_set_job("job-1", "writing");
	log_info("x");
	ck_assert_str_eq(strstr(next_write(), "\"level\""),
	    "\"level\":\"info\",\"job\":\"job-1\",\"stage\":\"writing\","
	    "\"message\":\"x\"}\n");
	log_set_job(NULL, NULL);
	log_info("x");
	ck_assert_str_eq(strstr(next_write(), "\"level\""),
	    "\"level\":\"info\",\"message\":\"x\"}\n");
	/* Text lines are for people, who know. */
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, false);
	log_set_job("job-1", "writing");
	log_info("x");
	assert_matches(next_write(), "Z info  x\n$");
	log_set_job(NULL, NULL);
}
END_TEST

static const struct {
	const char *in;
	const char *out;
} visible[] = {
	{ "plain ~", "plain ~" },
	{ "a\nb", "a\\nb" },
	{ "a\r\tb", "a\\x0d\\x09b" },
	{ "\x1b[31m", "\\x1b[31m" },
	{ "\x01\x1f\x7f", "\\x01\\x1f\\x7f" },
	{ "\xc3\xb8 \xe2\x82\xac \xf0\x9f\x98\x80",
	    "\xc3\xb8 \xe2\x82\xac \xf0\x9f\x98\x80" },
	/* Control characters of Latin-1: a terminal obeys them, too. */
	{ "\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0",
	    "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f\xc2\xa0" },
	/* Cut short, overlong, a surrogate, beyond Unicode. */
	{ "\xc3", "\\xc3" },
	{ "\xe2\x82", "\\xe2\\x82" },
	{ "\xe2\x82z", "\\xe2\\x82z" },
	{ "\xc0\xaf", "\\xc0\\xaf" },
	{ "\xe0\x9f\xbf", "\\xe0\\x9f\\xbf" },
	{ "\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
	{ "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf",
	    "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf" },
	{ "\x80\xfe", "\\x80\\xfe" },
};

START_TEST(control_characters_visible)
{
	char want[128];

	log_info("%s", visible[_i].in);
	(void)snprintf(want, sizeof(want), "%s\n", visible[_i].out);
	ck_assert_str_eq(next_message(), want);
}
END_TEST

static const struct {
	const char *in;
	const char *out;
} hidden[] = {
	{ "k3y", "[secret]\n" },
	{ "a k3y, k3yk3y.", "a [secret], [secret][secret].\n" },
	{ "k3 k3k3y", "k3 k3[secret]\n" },
	{ "nothing k3", "nothing k3\n" },
	{ "k3y\n", "[secret]\\n\n" },
};

START_TEST(secret_hidden)
{
	log_hide_secret("k3y");
	log_info("%s", hidden[_i].in);
	ck_assert_str_eq(next_message(), hidden[_i].out);
}
END_TEST

START_TEST(secret_empty_or_forgotten)
{
	log_hide_secret("");
	log_hide_secret(NULL);
	log_info("k3y");
	ck_assert_str_eq(next_message(), "k3y\n");
	log_hide_secret("k3y");
	log_forget_secret();
	log_info("k3y");
	ck_assert_str_eq(next_message(), "k3y\n");
}
END_TEST

START_TEST(secret_hidden_in_long_message)
{
	char *text;

	text = calloc(1, 40000);
	memset(text, '.', 30000);
	memcpy(text + 20000, "k3y", 3);
	memcpy(text + 30000, "k3y", 4);
	log_hide_secret("k3y");
	log_info("%s", text);
	ck_assert_uint_eq(strlen(next_message()), 30000 + 2 * 8 - 3 + 1);
	ck_assert_ptr_null(strstr(packet, "k3y"));
	free(text);
}
END_TEST

/* Foreign text may have been cut anywhere: a piece from the key's start that
 * is long enough to be one is hidden, too. */
START_TEST(secret_piece_hidden)
{
	log_hide_secret("a-long-secret-key");
	log_info("x a-long-s\"; y");
	ck_assert_str_eq(next_message(), "x [secret]\"; y\n");
	log_info("x a-long- y");
	ck_assert_str_eq(next_message(), "x a-long- y\n");
	log_info("a-long-a-long-secret-key");
	ck_assert_str_eq(next_message(), "a-long-[secret]\n");
}
END_TEST

/* A sentence that was cut to fit a struct error, in the middle of the key. */
START_TEST(secret_hidden_where_it_was_cut)
{
	struct error err;

	log_hide_secret("a-long-secret-key");
	error_set(&err, STATUS_USAGE, "%*s %s", MAX_ERROR_TEXT - 10, "x",
	    "a-long-secret-key");
	log_error("%s", err.text);
	ck_assert_ptr_null(strstr(next_write(), "a-long"));
	ck_assert_ptr_nonnull(strstr(packet, "x [secret]\n"));
}
END_TEST

/* Tokens beside the key: the last ones, and each to its own length. */
START_TEST(tokens_hidden)
{
	char token[] = "token-0";
	int  i;

	log_hide_secret("k3y");
	for (i = 0; i <= MAX_LOG_TOKENS; i++) {
		token[6] = (char)('0' + i);
		log_hide_token(token);
	}
	memset(token, 'x', sizeof(token) - 1);
	log_info("token-4 token-3 token-2 token-1 token-0 k3y");
	ck_assert_str_eq(next_message(), "[secret] [secret] [secret] [secret]"
	    " token-0 [secret]\n");
	log_hide_token("a-long-secret-token");
	log_info("x a-long-secret-key");
	ck_assert_str_eq(next_message(), "x [secret]key\n");
	log_forget_secret();
	log_info("token-4 k3y");
	ck_assert_str_eq(next_message(), "token-4 k3y\n");
}
END_TEST

START_TEST(cleaned)
{
	char text[64] = "k3y and\n\x1b\xff", small[8];

	log_hide_secret("k3y");
	log_clean(text, sizeof(text), text);
	ck_assert_str_eq(text, "[secret] and\\n\\x1b\\xff");
	log_clean(small, sizeof(small), "k3y");
	ck_assert_str_eq(small, "[secret");
	/* A character is not cut. */
	log_clean(small, sizeof(small), "abcdef\xc3\xb8");
	ck_assert_str_eq(small, "abcdef");
	ck_assert_str_eq(next_write(), "");
}
END_TEST

START_TEST(raw_lines)
{
	log_hide_secret("k3y");
	log_raw("{\"key\":\"k3y\"}\n{}\n");
	ck_assert_str_eq(next_write(), "{\"key\":\"[secret]\"}\n{}\n");
}
END_TEST

START_TEST(no_progress_unless_asked_for)
{
	ck_assert(!log_has_progress());
	log_progress("x");
	log_progress_end();
	ck_assert_str_eq(next_write(), "");
}
END_TEST

START_TEST(progress_goes_before_a_line)
{
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, true);
	log_hide_secret("k3y");
	ck_assert(log_has_progress());
	log_progress("%d of k3y\n", 7);
	ck_assert_str_eq(next_write(), "\r\033[K7 of [secret]\\n");
	log_info("line");
	assert_matches(next_write(), "^\r\033\\[K[^\r\033]*line\n$");
	log_info("another");
	assert_matches(next_write(), "^2[^\r\033]*another\n$");
	log_progress_end();
	ck_assert_str_eq(next_write(), "");
}
END_TEST

START_TEST(progress_end_and_raw_erase)
{
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, true);
	log_progress("x");
	next_write();
	log_progress_end();
	ck_assert_str_eq(next_write(), "\r\033[K");
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, true);
	log_progress("x");
	next_write();
	log_raw("{}\n");
	ck_assert_str_eq(next_write(), "\r\033[K{}\n");
}
END_TEST

START_TEST(progress_fits_a_line)
{
	char text[2 * 100 + 1] = "", want[4 + 2 * 79 + 1];
	int  i;

	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, true);
	for (i = 0; i < 100; i++)
		memcpy(text + 2L * i, "\xc3\xb8", 3);
	log_progress("%s", text);
	(void)snprintf(want, sizeof(want), "\r\033[K%.158s", text);
	ck_assert_str_eq(next_write(), want);
}
END_TEST

START_TEST(progress_is_rare)
{
	int64_t start, end;
	int	n = 0;

	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, true);
	(void)next_write();
	start = clock_monotonic_ms();
	do {
		log_progress("x");
		n += next_write()[0] != '\0';
		end = clock_monotonic_ms();
	} while (end - start < 250);
	ck_assert_int_ge(n, 2);
	/* Ten a second, however slow the machine is. */
	ck_assert_int_le(n, (end - start) / 100 + 1);
}
END_TEST

static const struct {
	int64_t	    ms;
	const char *text;
} times[] = {
	{ 0, "1970-01-01T00:00:00.000Z" },
	{ 1744273800123, "2025-04-10T08:30:00.123Z" },
	{ -1, "1969-12-31T23:59:59.999Z" },
	{ -1000, "1969-12-31T23:59:59.000Z" },
	{ 951782400000, "2000-02-29T00:00:00.000Z" },
	{ 253402300799999, "9999-12-31T23:59:59.999Z" },
};

START_TEST(time_format)
{
	char text[CLOCK_TEXT_BYTES];

	clock_format(times[_i].ms, text);
	ck_assert_str_eq(text, times[_i].text);
}
END_TEST

START_TEST(time_beyond_sense)
{
	char text[CLOCK_TEXT_BYTES];

	clock_format(INT64_MAX, text);
	ck_assert_uint_lt(strlen(text), sizeof(text));
	clock_format(INT64_MIN, text);
	ck_assert_uint_lt(strlen(text), sizeof(text));
}
END_TEST

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

int
main(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("log");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, text_lines);
	tcase_add_test(tcase, levels);
	tcase_add_test(tcase, json_lines);
	tcase_add_test(tcase, json_lines_of_a_job);
	tcase_add_test(tcase, cleaned);
	tcase_add_loop_test(tcase, control_characters_visible, 0,
	    LENGTH(visible));
	tcase_add_loop_test(tcase, secret_hidden, 0, LENGTH(hidden));
	tcase_add_test(tcase, secret_empty_or_forgotten);
	tcase_add_test(tcase, secret_hidden_in_long_message);
	tcase_add_test(tcase, secret_hidden_where_it_was_cut);
	tcase_add_test(tcase, secret_piece_hidden);
	tcase_add_test(tcase, tokens_hidden);
	tcase_add_test(tcase, raw_lines);
	tcase_add_test(tcase, no_progress_unless_asked_for);
	tcase_add_test(tcase, progress_goes_before_a_line);
	tcase_add_test(tcase, progress_end_and_raw_erase);
	tcase_add_test(tcase, progress_fits_a_line);
	tcase_add_test(tcase, progress_is_rare);
	tcase_add_loop_test(tcase, time_format, 0, LENGTH(times));
	tcase_add_test(tcase, time_beyond_sense);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
