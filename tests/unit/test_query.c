#include "query.h"
#include "testlib.h"

#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16
#define Z16 "0000000000000000"
#define Z63 Z16 Z16 Z16 "000000000000000"
/* Four letters of 12 bytes, encoded. */
#define E4  "%78%78%78%78"
#define E64 E4 E4 E4 E4 E4 E4 E4 E4 E4 E4 E4 E4 E4 E4 E4 E4

static const struct {
	const char *query;
	int	    rc;
	const char *value;
} values[] = {
	/* Not there. */
	{ "", 0, NULL },
	{ "&", 0, NULL },
	{ "&&&", 0, NULL },
	{ "=", 0, NULL },
	{ "=1", 0, NULL },
	{ "b=1", 0, NULL },
	{ "ab=1", 0, NULL },
	{ "ba=1", 0, NULL },
	{ "b=a", 0, NULL },
	{ "b=a=1", 0, NULL },
	{ "=a=1", 0, NULL },
	{ "+a=1", 0, NULL },
	{ "a+=1", 0, NULL },
	{ "?a=1", 0, NULL },
	{ "b=1;a=1", 0, NULL },
	{ "a%00=1", 0, NULL },
	{ "a%00b=1", 0, NULL },
	{ "%00a=1", 0, NULL },
	{ "a%=1", 0, NULL },
	{ "a%3D1", 0, NULL },
	{ "b%26a=1", 0, NULL },
	/* There. */
	{ "a=1", 1, "1" },
	{ "a=", 1, "" },
	{ "a", 1, "" },
	{ "A=1", 1, "1" },
	{ "%61=1", 1, "1" },
	{ "%41=1", 1, "1" },
	{ "&a=1", 1, "1" },
	{ "a=1&", 1, "1" },
	{ "&&a=1&&", 1, "1" },
	{ "b=2&a=1", 1, "1" },
	{ "a=1&b=2", 1, "1" },
	{ "a&b=2", 1, "" },
	{ "b&a", 1, "" },
	{ "aa=2&a=1", 1, "1" },
	{ "a=b=c", 1, "b=c" },
	{ "a==", 1, "=" },
	{ "a=1;b=2", 1, "1;b=2" },
	{ "a=?", 1, "?" },
	/* Decoded. */
	{ "a=b+c", 1, "b c" },
	{ "a=+", 1, " " },
	{ "a=%2B", 1, "+" },
	{ "a=%2b", 1, "+" },
	{ "a=%26b=%3D", 1, "&b==" },
	{ "a=%C3%B8", 1, "\xc3\xb8" },
	{ "a=\xc3\xb8", 1, "\xc3\xb8" },
	{ "a=%2541", 1, "%41" },
	{ "a=%01", 1, "\x01" },
	{ "a=%fF", 1, "\xff" },
	/* A % that begins nothing stands for itself. */
	{ "a=%", 1, "%" },
	{ "a=%4", 1, "%4" },
	{ "a=%zz", 1, "%zz" },
	{ "a=%4z", 1, "%4z" },
	{ "a=%z4", 1, "%z4" },
	{ "a=%%41", 1, "%A" },
	{ "a=%4%41", 1, "%4A" },
	{ "a=%&b=41", 1, "%" },
	{ "a=%4&1", 1, "%4" },
	{ "a=% 41", 1, "% 41" },
	{ "a=%+1", 1, "% 1" },
	{ "a=%-1", 1, "%-1" },
	/* Twice. */
	{ "a=1&a=2", -1, NULL },
	{ "a=1&a=1", -1, NULL },
	{ "a=1&A=1", -1, NULL },
	{ "a=1&%61=1", -1, NULL },
	{ "a&a", -1, NULL },
	{ "a=&a=1", -1, NULL },
	{ "a=1&b=2&c=3&a", -1, NULL },
	{ "a=1&a=%00", -1, NULL },
	{ "a=1&a=2&a=3", -1, NULL },
	/* A NUL. */
	{ "a=%00", -1, NULL },
	{ "a=1%00", -1, NULL },
	{ "a=%001", -1, NULL },
	/* As long as it may be, and one byte more, as decoded. */
	{ "a=" X64, 1, X64 },
	{ "a=" E64, 1, X64 },
	{ "a=" X64 "&b", 1, X64 },
	{ "a=" X64 "x", -1, NULL },
	{ "a=" E64 "%78", -1, NULL },
	{ "a=" X64 "%78&b", -1, NULL },
	{ "a=" X64 X64, -1, NULL },
	/* What is wrong with others is nobody's business. */
	{ "b=%00&a=1", 1, "1" },
	{ "b=1&b=2&a=1", 1, "1" },
	{ "b=" X64 "x&a=1", 1, "1" },
	{ X64 X64 "=2&a=1", 1, "1" },
	{ "a=1&" X64 X64 "=2", 1, "1" },
	{ "%00=2&a=1", 1, "1" },
	{ "b=%zz&a=1", 1, "1" },
};

START_TEST(get_values)
{
	char value[MAX_VALUE_BYTES + 1];
	int  rc;

	rc = query_get(values[_i].query, "a", value);
	ck_assert_msg(rc == values[_i].rc, "%s: %d", values[_i].query, rc);
	if (rc == 1)
		ck_assert_str_eq(value, values[_i].value);
}
END_TEST

/* The longest query that there may be: the last of all its parameters. */
START_TEST(longest_query)
{
	static const char last[] = "&sINCEvERSION=9";
	char		  query[MAX_QUERY_BYTES + 1];
	char		  value[MAX_VALUE_BYTES + 1];
	size_t		  i;

	for (i = 0; i < MAX_QUERY_BYTES; i++)
		query[i] = "b=1&"[i % 4];
	memcpy(query + sizeof(query) - sizeof(last), last, sizeof(last));
	ck_assert_uint_eq(strlen(query), MAX_QUERY_BYTES);
	ck_assert_int_eq(query_get(query, "sinceVersion", value), 1);
	ck_assert_str_eq(value, "9");
	memset(query, '%', MAX_QUERY_BYTES);
	ck_assert_int_eq(query_get(query, "sinceVersion", value), 0);
}
END_TEST

/* With room for eight bytes. */
static const struct {
	const char *query;
	int	    rc;
	const char *value;
} words[] = {
	{ "", 0, NULL },
	{ "b=x", 0, NULL },
	{ "a", 1, "" },
	{ "a=", 1, "" },
	{ "a=a+b%20c", 1, "a b c" },
	{ "a=12345678", 1, "12345678" },
	{ "a=%C3%A5%C3%A5%C3%A5%C3%A5", 1,
	    "\xc3\xa5\xc3\xa5\xc3\xa5\xc3\xa5" },
	{ "a=%F0%9F%92%8A", 1, "\xf0\x9f\x92\x8a" },
	{ "a=%22%5C%7E", 1, "\"\\~" },
	{ "a=%C2%A0", 1, "\xc2\xa0" },
	{ "a=%C3%80", 1, "\xc3\x80" },
	/* Too much. */
	{ "a=123456789", -1, NULL },
	{ "a=x%C3%A5%C3%A5%C3%A5%C3%A5", -1, NULL },
	/* Twice. */
	{ "a=x&A=x", -1, NULL },
	/* Control characters. */
	{ "a=%00", -1, NULL },
	{ "a=x%00", -1, NULL },
	{ "a=%1F", -1, NULL },
	{ "a=x%0A", -1, NULL },
	{ "a=%1B[2J", -1, NULL },
	{ "a=%7F", -1, NULL },
	{ "a=%C2%80", -1, NULL },
	{ "a=x%C2%9B", -1, NULL },
	{ "a=%C2%9F", -1, NULL },
	{ "a=x%E2%80%AE", -1, NULL },
	{ "a=%E2%81%A6x", -1, NULL },
	/* No UTF-8. */
	{ "a=%80", -1, NULL },
	{ "a=%FF", -1, NULL },
	{ "a=%C3", -1, NULL },
	{ "a=%C2", -1, NULL },
	{ "a=%C0%80", -1, NULL },
	{ "a=%C1%81", -1, NULL },
	{ "a=%ED%A0%80", -1, NULL },
	{ "a=%F4%90%80%80", -1, NULL },
};

START_TEST(words_values)
{
	char value[8 + 1];
	int  rc;

	rc = query_get_words(words[_i].query, "a", value, sizeof(value));
	ck_assert_msg(rc == words[_i].rc, "%s: %d", words[_i].query, rc);
	if (rc == 1)
		ck_assert_str_eq(value, words[_i].value);
}
END_TEST

static const struct {
	const char *query;
	int	    rc;
	int64_t	    number;
} numbers[] = {
	{ "", 0, 0 },
	{ "m=1", 0, 0 },
	{ "n=0", 1, 0 },
	{ "N=5", 1, 5 },
	{ "n=%35", 1, 5 },
	{ "n=005", 1, 5 },
	{ "n=" Z63 "5", 1, 5 },
	{ "n=" Z63 "05", 1, 5 },
	{ "n=" Z63 Z63 Z63 "9223372036854775808", -1, 0 },
	{ "n=2147483648", 1, 2147483648 },
	{ "n=9223372036854775807", 1, INT64_MAX },
	{ "n=9223372036854775808", -1, 0 },
	{ "n=18446744073709551616", -1, 0 },
	{ "n=18446744073709551621", -1, 0 },
	{ "n=", -1, 0 },
	{ "n", -1, 0 },
	{ "n=5&n=5", -1, 0 },
	{ "n=5&N=", -1, 0 },
	{ "n=-1", -1, 0 },
	{ "n=-0", -1, 0 },
	{ "n=+5", -1, 0 },
	{ "n=%2B5", -1, 0 },
	{ "n=5+", -1, 0 },
	{ "n=%205", -1, 0 },
	{ "n=5%20", -1, 0 },
	{ "n=5%0A", -1, 0 },
	{ "n=5%00", -1, 0 },
	{ "n=5.0", -1, 0 },
	{ "n=5,0", -1, 0 },
	{ "n=1e3", -1, 0 },
	{ "n=0x5", -1, 0 },
	{ "n=5L", -1, 0 },
	{ "n=abc", -1, 0 },
	{ "n=null", -1, 0 },
	/* ARABIC-INDIC DIGIT FIVE, FULLWIDTH DIGIT FIVE. */
	{ "n=%D9%A5", -1, 0 },
	{ "n=%EF%BC%95", -1, 0 },
};

START_TEST(int64_values)
{
	int64_t number;
	int	rc;

	rc = query_get_int64(numbers[_i].query, "n", &number);
	ck_assert_msg(rc == numbers[_i].rc, "%s: %d", numbers[_i].query, rc);
	if (rc == 1)
		ck_assert_int_eq(number, numbers[_i].number);
}
END_TEST

#define MAX_AGE_MS (26 * 60 * 60 * 1000)

static const struct {
	const char *query;
	int	    rc;
	int64_t	    ms;
} durations[] = {
	{ "", 0, 0 },
	{ "b=26h", 0, 0 },
	{ "maxAge=26h", 1, MAX_AGE_MS },
	{ "MAXage=%326h", 1, MAX_AGE_MS },
	{ "maxAge=0", 1, 0 },
	{ "maxAge=0ms", 1, 0 },
	{ "maxAge=500ms", 1, 500 },
	{ "maxAge=5m", 1, 300000 },
	{ "maxAge=1d", 1, 86400000 },
	{ "maxAge=61", 1, 61000 },
	{ "maxAge=93600000ms", 1, MAX_AGE_MS },
	{ "maxAge=93600001ms", -1, 0 },
	{ "maxAge=93600", 1, MAX_AGE_MS },
	{ "maxAge=93601", -1, 0 },
	{ "maxAge=27h", -1, 0 },
	{ "maxAge=2d", -1, 0 },
	{ "maxAge=9223372036854775807d", -1, 0 },
	{ "maxAge=", -1, 0 },
	{ "maxAge", -1, 0 },
	{ "maxAge=h", -1, 0 },
	{ "maxAge=1H", -1, 0 },
	{ "maxAge=-1s", -1, 0 },
	{ "maxAge=1.5h", -1, 0 },
	{ "maxAge=1+h", -1, 0 },
	{ "maxAge=1h%00", -1, 0 },
	{ "maxAge=1h&maxAge=1h", -1, 0 },
	{ "maxAge=1h&maxage=2h", -1, 0 },
};

START_TEST(duration_values)
{
	int64_t ms;
	int	rc;

	rc = query_get_duration(durations[_i].query, "maxAge", MAX_AGE_MS,
	    &ms);
	ck_assert_msg(rc == durations[_i].rc, "%s: %d", durations[_i].query,
	    rc);
	if (rc == 1)
		ck_assert_int_eq(ms, durations[_i].ms);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("query");
	TCase *tests = tcase_create("query");

	tcase_add_loop_test(tests, get_values, 0, LENGTH_OF(values));
	tcase_add_test(tests, longest_query);
	tcase_add_loop_test(tests, words_values, 0, LENGTH_OF(words));
	tcase_add_loop_test(tests, int64_values, 0, LENGTH_OF(numbers));
	tcase_add_loop_test(tests, duration_values, 0, LENGTH_OF(durations));
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
