#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "testlib.h"

/* The status of a program that is out of memory. */
#define NO_MEMORY 71

START_TEST(error_is_set)
{
	struct error err;

	ck_assert_int_eq(error_set(&err, STATUS_HELD, "%s of %d", "one", 3),
	    -1);
	ck_assert_int_eq(err.status, STATUS_HELD);
	ck_assert_str_eq(err.text, "one of 3");
	ck_assert_int_eq(error_set(&err, STATUS_USAGE, "%s", ""), -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_str_eq(err.text, "");
}
END_TEST

START_TEST(error_is_prefixed)
{
	struct error err;

	error_set(&err, STATUS_STORE, "disk full");
	ck_assert_int_eq(error_prefix(&err, "page %d", 2), -1);
	ck_assert_int_eq(error_prefix(&err, "100%%"), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_str_eq(err.text, "100%: page 2: disk full");
	/* A sentence may be made of itself. */
	error_set(&err, STATUS_STORE, "x%%s");
	error_prefix(&err, "%s", "y%s");
	ck_assert_str_eq(err.text, "y%s: x%s");
}
END_TEST

/* Sentences around the limit: cut, and never without their NUL. */
START_TEST(long_error)
{
	struct error err;
	char	    *text;
	size_t	     len;

	for (len = MAX_ERROR_TEXT - 4; len < MAX_ERROR_TEXT + 4; len++) {
		text = xcalloc(1, len + 1);
		memset(text, 'x', len);
		error_set(&err, STATUS_STORE, "%s", text);
		ck_assert_uint_eq(strlen(err.text), len < MAX_ERROR_TEXT ?
		    len : MAX_ERROR_TEXT - 1);
		error_prefix(&err, "page");
		ck_assert_uint_eq(strlen(err.text), MAX_ERROR_TEXT - 1);
		ck_assert_int_eq(strncmp(err.text, "page: xxx", 9), 0);
		error_set(&err, STATUS_STORE, "short");
		error_prefix(&err, "%s", text);
		ck_assert_uint_eq(strlen(err.text), MAX_ERROR_TEXT - 1);
		ck_assert_int_eq(err.text[MAX_ERROR_TEXT - 5], 'x');
		free(text);
	}
}
END_TEST

START_TEST(buf_grows)
{
	struct buf buf = { 0 };
	uint8_t	  *at;
	size_t	   i;

	buf_append(&buf, NULL, 0);
	ck_assert_ptr_null(buf.data);
	for (i = 0; i < 3000; i++)
		buf_append_byte(&buf, (uint8_t)i);
	buf_append(&buf, "end", 3);
	buf_append(&buf, "", 0);
	ck_assert_uint_eq(buf.len, 3003);
	ck_assert_uint_le(buf.len, buf.cap);
	for (i = 0; i < 3000; i++)
		ck_assert_uint_eq(buf.data[i], (uint8_t)i);
	ck_assert_int_eq(memcmp(buf.data + 3000, "end", 3), 0);
	/* Room is no content. */
	at = buf_reserve(&buf, 100000);
	ck_assert_ptr_eq(at, buf.data + 3003);
	ck_assert_uint_eq(buf.len, 3003);
	ck_assert_uint_ge(buf.cap, 103003);
	memset(at, 'x', 100000);
	ck_assert_ptr_eq(buf_reserve(&buf, 100000), at);
	buf_clear(&buf);
	ck_assert_ptr_null(buf.data);
	ck_assert_uint_eq(buf.len + buf.cap, 0);
	buf_clear(&buf);
	buf_append(&buf, "again", 5);
	ck_assert_uint_eq(buf.len, 5);
	buf_clear(&buf);
}
END_TEST

START_TEST(texts_are_copied)
{
	char *text, *other;

	text = xstrdup("abc");
	other = xstrndup(text, 2);
	ck_assert_str_eq(other, "ab");
	free(other);
	other = xstrndup(text, 0);
	ck_assert_str_eq(other, "");
	free(other);
	other = xasprintf("%s-%d", text, 7);
	ck_assert_str_eq(other, "abc-7");
	free(other);
	other = xstrdup("");
	ck_assert_str_eq(other, "");
	free(other);
	free(text);
}
END_TEST

START_TEST(memory_of_nothing)
{
	unsigned char *memory;
	int	       i;

	memory = xcalloc(0, 8);
	ck_assert_ptr_nonnull(memory);
	free(memory);
	memory = xcalloc(4, 4);
	for (i = 0; i < 16; i++)
		ck_assert_int_eq(memory[i], 0);
	memory = xrealloc(memory, 0);
	ck_assert_ptr_nonnull(memory);
	memory = xrealloc(memory, 32);
	memory[31] = 1;
	free(memory);
}
END_TEST

/* One line on standard error, and the end. */
START_TEST(out_of_memory)
{
	char	text[64] = "";
	int	ends[2], status;
	pid_t	child;
	ssize_t len;

	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)dup2(ends[1], STDERR_FILENO);
		xalloc_end();
	}
	(void)close(ends[1]);
	len = read(ends[0], text, sizeof(text) - 1);
	(void)close(ends[0]);
	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), NO_MEMORY);
	ck_assert_str_eq(text, "nompd: out of memory\n");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("error");
	TCase *tests = tcase_create("error");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, error_is_set);
	tcase_add_test(tests, error_is_prefixed);
	tcase_add_test(tests, long_error);
	tcase_add_test(tests, buf_grows);
	tcase_add_test(tests, texts_are_copied);
	tcase_add_test(tests, memory_of_nothing);
	tcase_add_test(tests, out_of_memory);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
