#include "etag.h"
#include "testlib.h"

/* ' stands for ". */
static const struct {
	const char *header;
	bool	    is_match;
} matches[] = {
	/* Weak or strong is all the same (RFC 9110, 13.1.2). */
	{ "'5-a'", true },
	{ "W/'5-a'", true },
	{ "*", true },
	{ " * ", true },
	{ "\t*\t", true },
	{ "  W/'5-a'  ", true },
	/* Anywhere in a list, with blanks or without, with empty elements. */
	{ "'x', '5-a'", true },
	{ "'5-a', 'x'", true },
	{ "'x','5-a','y'", true },
	{ "W/'x'\t,\tW/'5-a'", true },
	{ ", 'x', , '5-a',", true },
	{ "'', '5-a'", true },
	{ "'a,b', '5-a'", true },
	/* A coding that the web server added. */
	{ "'5-a-gzip'", true },
	{ "W/'5-a-gzip'", true },
	{ "'5-a-br'", true },
	{ "'5-a-deflate'", true },
	{ "'5-a-zstd'", true },
	{ "'x', W/'5-a-gzip'", true },
	/* No other one. */
	{ "", false },
	{ " ", false },
	{ "''", false },
	{ "'5'", false },
	{ "'5-'", false },
	{ "'5-A'", false },
	{ "'5-ab'", false },
	{ "'x5-a'", false },
	{ "' 5-a'", false },
	{ "'5-a '", false },
	{ "'5-a-'", false },
	{ "'5-a-gzi'", false },
	{ "'5-a-gzip2'", false },
	{ "'5-a-GZIP'", false },
	{ "'5-a-gzip-gzip'", false },
	{ "'5-a-identity'", false },
	{ "'5-agzip'", false },
	{ "'-gzip'", false },
	{ "'W/5-a'", false },
	{ "'*'", false },
	{ "W/*", false },
	/* The tag is not one when it stands without its quotes. */
	{ "5-a", false },
	{ "W/5-a", false },
	{ "'5-a", false },
	{ "5-a'", false },
	{ "'x' 5-a", false },
	{ "'x', 5-a, 'y'", false },
	{ "'x'5-a'y'", false },
	{ "'x, '5-a, 'y'", false },
	{ "* 5-a", false },
	{ "*, 'x'", false },
	{ "**", false },
};

START_TEST(match_values)
{
	char *header = test_quotes(matches[_i].header);

	ck_assert_msg(etag_matches(header, "5-a") == matches[_i].is_match,
	    "%s", header);
	free(header);
}
END_TEST

START_TEST(no_header)
{
	ck_assert(!etag_matches(NULL, "5-a"));
}
END_TEST

/* A tag of ours that ends like a coding is not cut. */
START_TEST(tag_like_coding)
{
	ck_assert(etag_matches("\"5-gzip\"", "5-gzip"));
	ck_assert(etag_matches("\"5-gzip-gzip\"", "5-gzip"));
	ck_assert(!etag_matches("\"5\"", "5-gzip"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("etag");
	TCase *tests = tcase_create("etag");

	tcase_add_loop_test(tests, match_values, 0, LENGTH_OF(matches));
	tcase_add_test(tests, no_header);
	tcase_add_test(tests, tag_like_coding);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
