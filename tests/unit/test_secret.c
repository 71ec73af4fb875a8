#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secret.h"
#include "testlib.h"

#define VARIABLE "NOMPD_TEST_KEY"
#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

static char path[] = "/tmp/nompd-test-secret-XXXXXX";

static void
setup(void)
{
	int fd;

	memset(path + strlen(path) - 6, 'X', 6);
	fd = mkstemp(path);
	ck_assert_int_ne(fd, -1);
	close(fd);
	unsetenv(VARIABLE);
}

static void
teardown(void)
{
	unlink(path);
}

static void
write_file(const char *data, size_t len)
{
	FILE *file;

	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, len, file), len);
	fclose(file);
}

/* n times x. */
static const char *
long_key(size_t n)
{
	static char key[MAX_SECRET_BYTES + 8];

	ck_assert_uint_lt(n, sizeof(key));
	memset(key, 'x', n);
	key[n] = '\0';
	return key;
}

START_TEST(variable_taken_and_wiped)
{
	struct secret *secret = NULL;
	struct error   err;
	const char    *value;
	size_t	       i;

	setenv(VARIABLE, "s3cret \"~", 1);
	value = getenv(VARIABLE);
	ck_assert_int_eq(secret_from_variable(VARIABLE, &secret, &err), 0);
	ck_assert_str_eq(secret_text(secret), "s3cret \"~");
	ck_assert_ptr_eq(getenv(VARIABLE), value);
	for (i = 0; i < strlen("s3cret \"~"); i++)
		ck_assert_int_eq(value[i], '\0');
	secret_free(secret);
}
END_TEST

START_TEST(variable_unset_or_empty)
{
	struct secret *secret = (struct secret *)path;
	struct error   err;

	ck_assert_int_eq(secret_from_variable(VARIABLE, &secret, &err), 0);
	ck_assert_ptr_null(secret);
	setenv(VARIABLE, "", 1);
	ck_assert_int_eq(secret_from_variable(VARIABLE, &secret, &err), 0);
	ck_assert_ptr_null(secret);
	secret_free(NULL);
}
END_TEST

static const char *const bad_tokens[] = { "a b", " a", "a\tb", "a\nb", "\x7f",
	"caf\xc3\xa9" };

START_TEST(token_refused)
{
	struct secret *secret = (struct secret *)path;
	struct error   err;

	ck_assert_int_eq(secret_from_token("it", bad_tokens[_i], &secret,
	    &err), -1);
	ck_assert_ptr_null(secret);
	ck_assert_ptr_eq(strstr(err.text, "it: want "), err.text);
}
END_TEST

/* A token may be longer than a key. */
START_TEST(token_length)
{
	struct secret *secret;
	struct error   err;
	char	       token[MAX_TOKEN_BYTES + 2];

	memset(token, 'x', sizeof(token));
	token[MAX_TOKEN_BYTES] = '\0';
	ck_assert_int_eq(secret_from_token("it", token, &secret, &err), 0);
	ck_assert_str_eq(secret_text(secret), token);
	secret_free(secret);
	token[MAX_TOKEN_BYTES] = 'x';
	token[MAX_TOKEN_BYTES + 1] = '\0';
	ck_assert_int_eq(secret_from_token("it", token, &secret, &err), -1);
	ck_assert_str_eq(err.text, "it: want at most 16384 bytes; it is"
	    " longer");
}
END_TEST

static const char *const bad_values[] = { "a\nb", "a\rX: y", "a\n", "\x01",
	"\x1f", "\x7f", "caf\xc3\xa9", "\x80", "\tkey" };

START_TEST(variable_refused_and_wiped)
{
	struct secret *secret = NULL;
	struct error   err;

	setenv(VARIABLE, bad_values[_i], 1);
	ck_assert_int_eq(secret_from_variable(VARIABLE, &secret, &err), -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_ptr_eq(strstr(err.text, VARIABLE ": "), err.text);
	ck_assert_ptr_null(strstr(err.text, bad_values[_i]));
	ck_assert_ptr_null(secret);
	ck_assert_str_eq(getenv(VARIABLE), "");
}
END_TEST

START_TEST(variable_length)
{
	struct secret *secret = NULL;
	struct error   err;

	setenv(VARIABLE, long_key(MAX_SECRET_BYTES), 1);
	ck_assert_int_eq(secret_from_variable(VARIABLE, &secret, &err), 0);
	ck_assert_uint_eq(strlen(secret_text(secret)), MAX_SECRET_BYTES);
	secret_free(secret);
	setenv(VARIABLE, long_key(MAX_SECRET_BYTES + 1), 1);
	ck_assert_int_eq(secret_from_variable(VARIABLE, &secret, &err), -1);
	ck_assert_ptr_null(secret);
	ck_assert_ptr_nonnull(strstr(err.text, "at most 4096"));
	ck_assert_ptr_null(strstr(err.text, "xxx"));
}
END_TEST

static const struct {
	const char *data;
	size_t	    len;
	const char *secret; /* NULL: refused */
} files[] = {
	{ "key", 3, "key" },
	{ "key\n", 4, "key" },
	{ "key\r\n", 5, "key" },
	{ " key ", 5, " key " },
	{ "", 0, NULL },
	{ "\n", 1, NULL },
	{ "\r\n", 2, NULL },
	{ "key\n\n", 5, NULL },
	{ "key\r", 4, NULL },
	{ "a\nb\n", 4, NULL },
	{ "a\0b", 3, NULL },
	{ "key\0", 4, NULL },
	{ "\0", 1, NULL },
	{ "\xef\xbb\xbfkey\n", 7, NULL },
};

START_TEST(file_contents)
{
	struct secret *secret = NULL;
	struct error   err;
	int	       rc;

	write_file(files[_i].data, files[_i].len);
	rc = secret_from_file(VARIABLE, path, SECRET_KEY, &secret, &err);
	if (files[_i].secret != NULL) {
		ck_assert_int_eq(rc, 0);
		ck_assert_str_eq(secret_text(secret), files[_i].secret);
		secret_free(secret);
		return;
	}
	ck_assert_int_eq(rc, -1);
	ck_assert_ptr_null(secret);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_ptr_nonnull(strstr(err.text, VARIABLE));
	ck_assert_ptr_nonnull(strstr(err.text, path));
}
END_TEST

static const struct {
	size_t	    len;
	const char *end;
	bool	    is_good;
} lengths[] = {
	{ MAX_SECRET_BYTES, "", true },
	{ MAX_SECRET_BYTES, "\n", true },
	{ MAX_SECRET_BYTES, "\r\n", true },
	{ MAX_SECRET_BYTES + 1, "", false },
	{ MAX_SECRET_BYTES + 1, "\n", false },
	{ MAX_SECRET_BYTES + 1, "\r\n", false },
	{ MAX_SECRET_BYTES + 2, "", false },
	{ MAX_SECRET_BYTES + 5, "\n", false },
};

START_TEST(file_length)
{
	struct secret *secret = NULL;
	struct error   err;
	char	       data[2 * MAX_SECRET_BYTES];
	int	       rc;

	(void)snprintf(data, sizeof(data), "%s%s", long_key(lengths[_i].len),
	    lengths[_i].end);
	write_file(data, strlen(data));
	rc = secret_from_file(VARIABLE, path, SECRET_KEY, &secret, &err);
	ck_assert_int_eq(rc, lengths[_i].is_good ? 0 : -1);
	if (rc == 0)
		ck_assert_uint_eq(strlen(secret_text(secret)),
		    MAX_SECRET_BYTES);
	else
		ck_assert_ptr_nonnull(strstr(err.text, "at most 4096"));
	secret_free(secret);
}
END_TEST

static const char *const unreadable[] = { "/tmp", "/nonexistent/key",
	"/proc/self/mem" };

START_TEST(file_unreadable)
{
	struct secret *secret = NULL;
	struct error   err;

	ck_assert_int_eq(secret_from_file(VARIABLE, unreadable[_i],
	    SECRET_KEY, &secret, &err), -1);
	ck_assert_ptr_null(secret);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_ptr_nonnull(strstr(err.text, "readable"));
	ck_assert_ptr_nonnull(strstr(err.text, VARIABLE));
	ck_assert_ptr_nonnull(strstr(err.text, unreadable[_i]));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("secret");
	TCase *tcase = tcase_create("secret");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, variable_taken_and_wiped);
	tcase_add_test(tcase, variable_unset_or_empty);
	tcase_add_loop_test(tcase, variable_refused_and_wiped, 0,
	    LENGTH(bad_values));
	tcase_add_test(tcase, variable_length);
	tcase_add_loop_test(tcase, file_contents, 0, LENGTH(files));
	tcase_add_loop_test(tcase, file_length, 0, LENGTH(lengths));
	tcase_add_loop_test(tcase, file_unreadable, 0, LENGTH(unreadable));
	tcase_add_loop_test(tcase, token_refused, 0, LENGTH_OF(bad_tokens));
	tcase_add_test(tcase, token_length);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
