#include "number.h"
#include "testlib.h"

/* A value that no row gives. */
#define UNTOUCHED 4711

static const struct {
	const char *text;
	uint64_t    max;
	bool	    is_read;
	uint64_t    number;
	const char *rest;
} reads[] = {
	{ "0", 0, true, 0, "" },
	{ "1", 0, false, 0, NULL },
	{ "7", 7, true, 7, "" },
	{ "8", 7, false, 0, NULL },
	{ "10", 9, false, 0, NULL },
	{ "19", 19, true, 19, "" },
	{ "20", 19, false, 0, NULL },
	{ "100", 100, true, 100, "" },
	{ "101", 100, false, 0, NULL },
	{ "110", 100, false, 0, NULL },
	{ "007", 7, true, 7, "" },
	{ "0000000000000000000000000000000000000000000000001", 1, true, 1,
	    "" },
	{ "12ab", 100, true, 12, "ab" },
	{ "12 3", 100, true, 12, " 3" },
	{ "12/", 100, true, 12, "/" },
	{ "12:", 100, true, 12, ":" },
	{ "9x9", 9, true, 9, "x9" },
	{ "9223372036854775807", INT64_MAX, true, INT64_MAX, "" },
	{ "9223372036854775808", INT64_MAX, false, 0, NULL },
	{ "9223372036854775817", INT64_MAX, false, 0, NULL },
	{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX, "" },
	{ "18446744073709551616", UINT64_MAX, false, 0, NULL },
	{ "18446744073709551620", UINT64_MAX, false, 0, NULL },
	{ "99999999999999999999", UINT64_MAX, false, 0, NULL },
	{ "", 9, false, 0, NULL },
	{ " 1", 9, false, 0, NULL },
	{ "+1", 9, false, 0, NULL },
	{ "-1", UINT64_MAX, false, 0, NULL },
	{ "x1", 9, false, 0, NULL },
	{ "/", 9, false, 0, NULL },
	{ ":", 9, false, 0, NULL },
	/* ARABIC-INDIC DIGIT ONE: not ASCII. */
	{ "\xd9\xa1", 9, false, 0, NULL },
};

START_TEST(read_values)
{
	const char *at = reads[_i].text;
	uint64_t    number = UNTOUCHED;

	ck_assert(number_read(&at, reads[_i].max, &number) ==
	    reads[_i].is_read);
	if (reads[_i].is_read) {
		ck_assert_uint_eq(number, reads[_i].number);
		ck_assert_str_eq(at, reads[_i].rest);
	} else {
		ck_assert_uint_eq(number, UNTOUCHED);
		ck_assert_ptr_eq(at, reads[_i].text);
	}
}
END_TEST

static const struct {
	const char *text;
	uint64_t    min;
	uint64_t    max;
	bool	    is_good;
	unsigned    number;
} wholes[] = {
	{ "0", 0, 0, true, 0 },
	{ "1", 0, 0, false, 0 },
	{ "0", 1, 64, false, 0 },
	{ "1", 1, 64, true, 1 },
	{ "64", 1, 64, true, 64 },
	{ "65", 1, 64, false, 0 },
	{ "00064", 1, 64, true, 64 },
	{ "4294967295", 0, UINT32_MAX, true, UINT32_MAX },
	{ "4294967296", 0, UINT32_MAX, false, 0 },
	{ "18446744073709551617", 0, UINT32_MAX, false, 0 },
	{ "", 0, 9, false, 0 },
	{ " 1", 0, 9, false, 0 },
	{ "1 ", 0, 9, false, 0 },
	{ "1\n", 0, 9, false, 0 },
	{ "1x", 0, 9, false, 0 },
	{ "1.0", 0, 9, false, 0 },
	{ "1,0", 0, 100, false, 0 },
	{ "1e1", 0, 100, false, 0 },
	{ "0x1", 0, 100, false, 0 },
	{ "+1", 0, 9, false, 0 },
	{ "-1", 0, 9, false, 0 },
	{ "-0", 0, 9, false, 0 },
};

START_TEST(parse_values)
{
	unsigned number = UNTOUCHED;

	ck_assert(number_parse(wholes[_i].text, wholes[_i].min,
	    wholes[_i].max, &number) == wholes[_i].is_good);
	ck_assert_uint_eq(number,
	    wholes[_i].is_good ? wholes[_i].number : UNTOUCHED);
}
END_TEST

#define DAY_MS (24LL * 60 * 60 * 1000)

static const struct {
	const char *text;
	int64_t	    min;
	int64_t	    max;
	bool	    is_good;
	int64_t	    ms;
} durations[] = {
	{ "500ms", 0, DAY_MS, true, 500 },
	{ "30s", 0, DAY_MS, true, 30000 },
	{ "5m", 0, DAY_MS, true, 300000 },
	{ "1h", 0, DAY_MS, true, 3600000 },
	{ "2d", 0, 2 * DAY_MS, true, 2 * DAY_MS },
	{ "7", 0, DAY_MS, true, 7000 },
	{ "0", 0, DAY_MS, true, 0 },
	{ "0ms", 0, 0, true, 0 },
	{ "0d", 0, 0, true, 0 },
	{ "1ms", 0, 0, false, 0 },
	{ "005m", 0, DAY_MS, true, 300000 },
	/* Both borders, in each unit. */
	{ "0ms", 1, DAY_MS, false, 0 },
	{ "0", 1, DAY_MS, false, 0 },
	{ "1ms", 1, DAY_MS, true, 1 },
	{ "86400000ms", 1, DAY_MS, true, DAY_MS },
	{ "86400001ms", 1, DAY_MS, false, 0 },
	{ "86400s", 1, DAY_MS, true, DAY_MS },
	{ "86401s", 1, DAY_MS, false, 0 },
	{ "86400", 1, DAY_MS, true, DAY_MS },
	{ "86401", 1, DAY_MS, false, 0 },
	{ "1440m", 1, DAY_MS, true, DAY_MS },
	{ "1441m", 1, DAY_MS, false, 0 },
	{ "24h", 1, DAY_MS, true, DAY_MS },
	{ "25h", 1, DAY_MS, false, 0 },
	{ "1d", 1, DAY_MS, true, DAY_MS },
	{ "2d", 1, DAY_MS, false, 0 },
	{ "1s", 1000, 1000, true, 1000 },
	{ "1s", 1001, 2000, false, 0 },
	{ "1s", 0, 999, false, 0 },
	{ "9223372036854775807ms", 0, INT64_MAX, true, INT64_MAX },
	{ "9223372036854775808ms", 0, INT64_MAX, false, 0 },
	{ "9223372036854775s", 0, INT64_MAX, true, 9223372036854775000 },
	{ "9223372036854776s", 0, INT64_MAX, false, 0 },
	{ "106751991167d", 0, INT64_MAX, true, 9223372036828800000 },
	{ "106751991168d", 0, INT64_MAX, false, 0 },
	{ "213503982335d", 0, INT64_MAX, false, 0 },
	{ "9223372036854775807d", 0, INT64_MAX, false, 0 },
	{ "99999999999999999999d", 0, INT64_MAX, false, 0 },
	/* Nothing else. */
	{ "", 0, DAY_MS, false, 0 },
	{ "s", 0, DAY_MS, false, 0 },
	{ "ms", 0, DAY_MS, false, 0 },
	{ "1 s", 0, DAY_MS, false, 0 },
	{ " 1s", 0, DAY_MS, false, 0 },
	{ "1s ", 0, DAY_MS, false, 0 },
	{ "1S", 0, DAY_MS, false, 0 },
	{ "1M", 0, DAY_MS, false, 0 },
	{ "1Ms", 0, DAY_MS, false, 0 },
	{ "1w", 0, DAY_MS, false, 0 },
	{ "1us", 0, DAY_MS, false, 0 },
	{ "1min", 0, DAY_MS, false, 0 },
	{ "1h30m", 0, DAY_MS, false, 0 },
	{ "1.5h", 0, DAY_MS, false, 0 },
	{ "-1s", 0, DAY_MS, false, 0 },
	{ "+1s", 0, DAY_MS, false, 0 },
	{ "0x1s", 0, DAY_MS, false, 0 },
};

START_TEST(duration_values)
{
	int64_t ms = UNTOUCHED;

	ck_assert(number_parse_duration(durations[_i].text, durations[_i].min,
	    durations[_i].max, &ms) == durations[_i].is_good);
	ck_assert_int_eq(ms,
	    durations[_i].is_good ? durations[_i].ms : UNTOUCHED);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("number");
	TCase *tests = tcase_create("number");

	tcase_add_loop_test(tests, read_values, 0, LENGTH_OF(reads));
	tcase_add_loop_test(tests, parse_values, 0, LENGTH_OF(wholes));
	tcase_add_loop_test(tests, duration_values, 0, LENGTH_OF(durations));
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
