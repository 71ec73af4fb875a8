#include "testlib.h"
#include "text.h"

/* Into eight bytes, of which one is the NUL's. */
static const struct {
	const char *text;
	const char *copy;
} copies[] = {
	{ "", "" },
	{ "abc", "abc" },
	{ "abcdefg", "abcdefg" },
	{ "abcdefgh", "abcdefg" },
	{ "abcde\xc3\xa6", "abcde\xc3\xa6" },
	/* No part of a character. */
	{ "abcdef\xc3\xa6", "abcdef" },
	{ "abcdef\xc3\xa6\xc3\xa6", "abcdef" },
	{ "abcdefg\xc3\xa6", "abcdefg" },
	{ "abcd\xe2\x82\xac", "abcd\xe2\x82\xac" },
	{ "abcde\xe2\x82\xac", "abcde" },
	{ "abcdef\xe2\x82\xac", "abcdef" },
	{ "abc\xf0\x9f\x98\x80", "abc\xf0\x9f\x98\x80" },
	{ "abcd\xf0\x9f\x98\x80", "abcd" },
	{ "abcdef\xf0\x9f\x98\x80", "abcdef" },
	/* No UTF-8: a byte alone, overlong, a surrogate, cut by its writer. */
	{ "a\xff" "b", "a?b" },
	{ "\xc0\x80", "??" },
	{ "\xed\xa0\x80", "???" },
	{ "a\xc3", "a?" },
	{ "\xc3\xa6\xff", "???" },
	{ "\x80\x80\x80\x80\x80\x80\x80", "???????" },
	{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff", "???????" },
	/* What is cut off does not count. */
	{ "abcdefg\xff", "abcdefg" },
};

START_TEST(copy)
{
	char out[9];

	memset(out, 'x', sizeof(out));
	text_copy(out, 8, copies[_i].text);
	ck_assert_str_eq(out, copies[_i].copy);
	ck_assert_int_eq(out[8], 'x');
}
END_TEST

/* As many as there may be: of bytes that begin no character up to three go. */
START_TEST(copy_garbage)
{
	char text[64], out[33];

	memset(text, 0x80, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	text_copy(out, sizeof(out), text);
	ck_assert_uint_ge(strlen(out), sizeof(out) - 1 - 3);
	ck_assert_uint_eq(strspn(out, "?"), strlen(out));
}
END_TEST

START_TEST(copy_smallest)
{
	char out[2] = "xy";

	text_copy(out, 1, "abc");
	ck_assert_str_eq(out, "");
	ck_assert_int_eq(out[1], 'y');
	text_copy(out, 2, "\xc3\xa6");
	ck_assert_str_eq(out, "");
	text_copy(out, 2, "abc");
	ck_assert_str_eq(out, "a");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("text");
	TCase *tests = tcase_create("text");

	tcase_add_loop_test(tests, copy, 0, LENGTH_OF(copies));
	tcase_add_test(tests, copy_garbage);
	tcase_add_test(tests, copy_smallest);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
