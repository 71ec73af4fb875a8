#include <time.h>

#include "clock.h"
#include "testlib.h"

static const struct {
	int64_t	    ms;
	const char *text;
	const char *seconds;
} formats[] = {
	{ 0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z" },
	{ 1, "1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00Z" },
	{ 999, "1970-01-01T00:00:00.999Z", "1970-01-01T00:00:00Z" },
	{ 1000, "1970-01-01T00:00:01.000Z", "1970-01-01T00:00:01Z" },
	{ 1744273800000, "2025-04-10T08:30:00.000Z", "2025-04-10T08:30:00Z" },
	{ 1744273800123, "2025-04-10T08:30:00.123Z", "2025-04-10T08:30:00Z" },
	{ 1744273800999, "2025-04-10T08:30:00.999Z", "2025-04-10T08:30:00Z" },
	{ 951782400000, "2000-02-29T00:00:00.000Z", "2000-02-29T00:00:00Z" },
	{ 4107542399999, "2100-02-28T23:59:59.999Z", "2100-02-28T23:59:59Z" },
	{ 4107542400000, "2100-03-01T00:00:00.000Z", "2100-03-01T00:00:00Z" },
	/* No summer time, whatever the time zone. */
	{ 1751328000050, "2025-07-01T00:00:00.050Z", "2025-07-01T00:00:00Z" },
	{ 2147483648000, "2038-01-19T03:14:08.000Z", "2038-01-19T03:14:08Z" },
	{ 253402300799999, "9999-12-31T23:59:59.999Z",
	    "9999-12-31T23:59:59Z" },
	/* Rounded down before 1970 as well. */
	{ -1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59Z" },
	{ -999, "1969-12-31T23:59:59.001Z", "1969-12-31T23:59:59Z" },
	{ -1000, "1969-12-31T23:59:59.000Z", "1969-12-31T23:59:59Z" },
	{ -1001, "1969-12-31T23:59:58.999Z", "1969-12-31T23:59:58Z" },
	/* What a damaged store may hold: years of their own, but no harm. */
	{ INT64_MAX, "292278994-08-17T07:12:55.807Z",
	    "292278994-08-17T07:12:55Z" },
	{ INT64_MIN, "-292275055-05-16T16:47:04.192Z",
	    "-292275055-05-16T16:47:04Z" },
};

START_TEST(format_values)
{
	static const char *const zones[] = { "UTC0", "CET-1CEST,M3.5.0,M10.5.0",
		"NST3:30" };
	char			 text[CLOCK_TEXT_BYTES];
	int			 i;

	for (i = 0; i < LENGTH_OF(zones); i++) {
		ck_assert_int_eq(setenv("TZ", zones[i], 1), 0);
		tzset();
		clock_format(formats[_i].ms, text);
		ck_assert_str_eq(text, formats[_i].text);
		clock_format_seconds(formats[_i].ms, text);
		ck_assert_str_eq(text, formats[_i].seconds);
	}
}
END_TEST

/* RFC 9110, 5.6.7: always in English and of one length, for years of four
 * digits. */
static const struct {
	int64_t	    ms;
	const char *text;
} http_dates[] = {
	{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
	{ 784111777000, "Sun, 06 Nov 1994 08:49:37 GMT" },
	{ 784111777999, "Sun, 06 Nov 1994 08:49:37 GMT" },
	{ 951782400000, "Tue, 29 Feb 2000 00:00:00 GMT" },
	{ 1744273800123, "Thu, 10 Apr 2025 08:30:00 GMT" },
	{ 1751328000050, "Tue, 01 Jul 2025 00:00:00 GMT" },
	{ 1767225599999, "Wed, 31 Dec 2025 23:59:59 GMT" },
	{ 2147483648000, "Tue, 19 Jan 2038 03:14:08 GMT" },
	{ 253402300799999, "Fri, 31 Dec 9999 23:59:59 GMT" },
	{ -1, "Wed, 31 Dec 1969 23:59:59 GMT" },
	/* No harm. */
	{ INT64_MAX, "Sun, 17 Aug 292278994 07:12:55 GMT" },
	{ INT64_MIN, "Sun, 16 May -292275055 16:47:04 GMT" },
};

START_TEST(format_http)
{
	static const char *const zones[] = { "UTC0",
		"CET-1CEST,M3.5.0,M10.5.0", "NST3:30" };
	char			 text[CLOCK_TEXT_BYTES];
	int			 i;

	for (i = 0; i < LENGTH_OF(zones); i++) {
		ck_assert_int_eq(setenv("TZ", zones[i], 1), 0);
		tzset();
		memset(text, 'x', sizeof(text));
		clock_format_http(http_dates[_i].ms, text);
		ck_assert_str_eq(text, http_dates[_i].text);
	}
}
END_TEST

START_TEST(now_is_now)
{
	int64_t before, now, after;

	before = (int64_t)time(NULL);
	now = clock_now_ms();
	after = (int64_t)time(NULL);
	/* time() may lag behind by a tick. */
	ck_assert_int_ge(now, before * 1000);
	ck_assert_int_lt(now, (after + 2) * 1000);
}
END_TEST

START_TEST(monotonic_passes)
{
	static const struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
	int64_t			     start, last, now;
	int			     i;

	start = last = clock_monotonic_ms();
	for (i = 0; i < 1000; i++) {
		now = clock_monotonic_ms();
		ck_assert_int_ge(now, last);
		last = now;
	}
	ck_assert_int_eq(nanosleep(&nap, NULL), 0);
	ck_assert_int_ge(clock_monotonic_ms() - start, 19);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("clock");
	TCase *tests = tcase_create("clock");

	tcase_add_loop_test(tests, format_values, 0, LENGTH_OF(formats));
	tcase_add_loop_test(tests, format_http, 0, LENGTH_OF(http_dates));
	tcase_add_test(tests, now_is_now);
	tcase_add_test(tests, monotonic_passes);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
