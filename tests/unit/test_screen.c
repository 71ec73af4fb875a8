#include <fcntl.h>
#include <unistd.h>

#include "screen.h"
#include "testlib.h"

static struct screen screen;
static struct buf    out;

static void
assert_drawn(const char *text, size_t rows, const char *want)
{
	struct buf copy = { 0 };

	buf_append(&copy, text, strlen(text));
	screen_draw(&screen, rows, &copy, &out);
	buf_append_byte(&out, '\0');
	ck_assert_str_eq((const char *)out.data, want);
	buf_clear(&out);
	buf_clear(&copy);
}

START_TEST(in_place)
{
	screen = (struct screen){ 0 };
	assert_drawn("a\nb\n", 24, "\033[?7la\nb\n\033[?7h");
	assert_drawn("c\n", 24, "\033[2A\r\033[J\033[?7lc\n\033[?7h");
	assert_drawn("", 24, "\033[1A\r\033[J\033[?7l\033[?7h");
	assert_drawn("d\n", 24, "\033[?7ld\n\033[?7h");
	screen_erase(&screen, &out);
	buf_append_byte(&out, '\0');
	ck_assert_str_eq((const char *)out.data, "\033[1A\r\033[J");
	buf_clear(&out);
	screen_erase(&screen, &out);
	ck_assert_uint_eq(out.len, 0);
}
END_TEST

/* The cursor needs a row for itself. */
START_TEST(too_low)
{
	screen = (struct screen){ 0 };
	assert_drawn("a\nb\nc\n", 4, "\033[?7la\nb\nc\n\033[?7h");
	assert_drawn("a\nb\nc\n", 3, "\033[3A\r\033[J\033[?7la\nb\n\033[?7h");
	assert_drawn("a\nb\nc\n", 1, "\033[2A\r\033[J\033[?7l\033[?7h");
	assert_drawn("a\nb\nc\n", 0, "\033[?7l\033[?7h");
}
END_TEST

START_TEST(rows_of_none)
{
	int fd = open("/dev/null", O_RDONLY);

	ck_assert_int_ne(fd, -1);
	ck_assert_uint_eq(screen_rows(fd), 24);
	close(fd);
	ck_assert_uint_eq(screen_rows(-1), 24);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("screen");
	TCase *tcase = tcase_create("screen");

	tcase_add_test(tcase, in_place);
	tcase_add_test(tcase, too_low);
	tcase_add_test(tcase, rows_of_none);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
