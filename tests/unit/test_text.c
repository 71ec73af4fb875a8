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

/* The length of the control character that the text begins with. */
static const struct {
	const char *text;
	size_t	    len;
} controls[] = {
	{ "", 0 },
	{ " ", 0 },
	{ "~", 0 },
	{ "\x01", 1 },
	{ "\t", 1 },
	{ "\n", 1 },
	{ "\x1b", 1 },
	{ "\x1f", 1 },
	{ "\x7f", 1 },
	{ "\xc2\x80", 2 },
	{ "\xc2\x9f", 2 },
	{ "\xc2\xa0", 0 },
	{ "\xc3\x80", 0 },
	{ "\xd8\x9b", 0 },
	{ "\xd8\x9c", 2 },
	{ "\xd8\x9d", 0 },
	/* A joiner, which makes one sign of two; then the marks. */
	{ "\xe2\x80\x8d", 0 },
	{ "\xe2\x80\x8e", 3 },
	{ "\xe2\x80\x8f", 3 },
	{ "\xe2\x80\x90", 0 },
	{ "\xe2\x80\xa9", 0 },
	{ "\xe2\x80\xaa", 3 },
	{ "\xe2\x80\xae", 3 },
	{ "\xe2\x80\xaf", 0 },
	{ "\xe2\x81\xa5", 0 },
	{ "\xe2\x81\xa6", 3 },
	{ "\xe2\x81\xa9", 3 },
	{ "\xe2\x81\xaa", 0 },
	{ "\xe2\x82\xac", 0 },
	/* Parts of one. */
	{ "\xc2", 0 },
	{ "\xd8", 0 },
	{ "\xe2", 0 },
	{ "\xe2\x80", 0 },
	{ "\xe2\x81", 0 },
};

START_TEST(control)
{
	char text[16];

	ck_assert_uint_eq(text_control_len(controls[_i].text),
	    controls[_i].len);
	if (controls[_i].len == 0)
		return;
	(void)snprintf(text, sizeof(text), "x%s", controls[_i].text);
	ck_assert(!text_is_plain(text));
	(void)snprintf(text, sizeof(text), "x%sy", controls[_i].text);
	text_make_plain(text);
	ck_assert_str_eq(text, "x?y");
	(void)snprintf(text, sizeof(text), "\xc3\xa5%sx", controls[_i].text);
	ck_assert(!text_is_plain(text));
}
END_TEST

START_TEST(plain)
{
	static const char *const good[] = { "", "a b~", "\xc2\xa0",
		"\xc3\xa5\xe2\x80\x8d\xf0\x9f\x92\x8a", "\"'\\n" };
	static const char *const bad[] = { "\xff", "a\x80", "\xc3", "\xe2\x80",
		"\xc0\x80", "\xed\xa0\x80", "a\xf4\x90\x80\x80" };
	size_t			 i;

	for (i = 0; i < LENGTH_OF(good); i++)
		ck_assert_msg(text_is_plain(good[i]), "%zu", i);
	for (i = 0; i < LENGTH_OF(bad); i++)
		ck_assert_msg(!text_is_plain(bad[i]), "%zu", i);
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
	tcase_add_loop_test(tests, control, 0, LENGTH_OF(controls));
	tcase_add_test(tests, plain);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
