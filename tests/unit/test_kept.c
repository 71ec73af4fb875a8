/* Answers kept in files of a folder that each test has for itself. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kept.h"
#include "wirelib.h"

#define TAG "5.1967c5b40.t.all"
#define OTHER_TAG "6.1967c5b40.t.all"

static struct kept kept, next;
static char	   folder[64];
static char	  *tmpdir; /* as it was; NULL: unset */
static int	   open_files;

/* The lowest number that is free tells whether one was left open. */
static int
lowest_free(void)
{
	int fd;

	fd = open("/dev/null", O_RDONLY);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(close(fd), 0);
	return fd;
}

static bool
can_keep_in(const char *path)
{
	int fd;

	fd = open(path, O_TMPFILE | O_RDWR | O_EXCL, 0600);
	if (fd != -1)
		(void)close(fd);
	return fd != -1;
}

static void
begin_response(void)
{
	response_clear(&response);
	buf_clear(&wire.sent);
	wire_begin("GET");
	response_start(&response, 200, "application/json", "no-store");
	response_body(&response);
}

static void
set_up(void)
{
	const char *old = getenv("TMPDIR");

	tmpdir = old == NULL ? NULL : xstrdup(old);
	/* Not every file system knows files without a name. */
	(void)snprintf(folder, sizeof(folder), "%s/nompd-test-XXXXXX",
	    can_keep_in("/tmp") ? "/tmp" : "/dev/shm");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(setenv("TMPDIR", folder, 1), 0);
	open_files = lowest_free();
	begin_response();
}

/* Nothing is left in the folder, nor open. */
static void
tear_down(void)
{
	kept_clear(&kept);
	kept_clear(&next);
	response_clear(&response);
	buf_clear(&wire.sent);
	ck_assert_int_eq(lowest_free(), open_files);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(tmpdir == NULL ? unsetenv("TMPDIR") :
	    setenv("TMPDIR", tmpdir, 1), 0);
	free(tmpdir);
}

/* Its bytes differ from piece to piece; the caller frees it. */
static uint8_t *
make_bytes(size_t len)
{
	uint8_t *bytes = xcalloc(len, 1);
	size_t	 i;

	for (i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 251);
	return bytes;
}

static void
keep(struct kept *to, const char *tag, const char *text)
{
	kept_begin(to, tag);
	kept_add(to, text, strlen(text));
}

/* What is kept comes out as these bytes, from the first to the last. */
static void
sends(const void *bytes, size_t len)
{
	const uint8_t *body;

	begin_response();
	ck_assert_int_eq(kept_send(&kept, &response), 0);
	ck_assert_uint_eq(response.bytes, len);
	ck_assert_uint_ge(wire.sent.len, len + 4);
	body = wire.sent.data + wire.sent.len - len;
	ck_assert_int_eq(memcmp(body - 4, "\r\n\r\n", 4), 0);
	ck_assert_int_eq(memcmp(body, bytes, len), 0);
	ck_assert_uint_eq(response.items, kept.items);
	ck_assert(!response.is_gone && !cgi.is_broken);
}

/* Known as one that is not to be tried again; its file is gone. */
static void
is_given_up(const char *tag)
{
	ck_assert(kept_is(&kept, tag));
	ck_assert(!kept_has(&kept));
	ck_assert_int_eq(kept.fd, -1);
	ck_assert_int_eq(lowest_free(), open_files);
	kept_add(&kept, "more", 4);
	ck_assert(kept_is(&kept, tag) && !kept_has(&kept));
}

START_TEST(zeroed_is_empty)
{
	ck_assert(!kept_has(&kept));
	ck_assert(!kept_is(&kept, TAG));
	/* Also by a tag that is empty itself. */
	ck_assert(!kept_is(&kept, ""));
	/* Nothing is added to it, least of all to the file of number 0. */
	kept_add(&kept, "x", 1);
	ck_assert_int_eq(kept.bytes, 0);
	kept_clear(&kept);
	ck_assert_int_ne(fcntl(STDIN_FILENO, F_GETFD), -1);
}
END_TEST

/* The longest one, of the longest type. */
#define LONG_TYPE "Abcdefghijklmnopqrstuvwxyzabcdef" \
	"abcdefghijklmnopqrstuvwxyzabcdef"
#define LONG_TAG "9223372036854775807.ffffffffffffffff." LONG_TYPE \
	".9223372036854775807" "01234567890123456789012345678901234567"
_Static_assert(sizeof(LONG_TAG) == MAX_ETAG_TEXT, "it is the longest");

static const char *const tags[] = { "x", TAG, LONG_TAG };

START_TEST(what_is_kept)
{
	const char *tag = tags[_i];
	char	    other[MAX_ETAG_TEXT];

	ck_assert_uint_lt(strlen(tag), MAX_ETAG_TEXT);
	keep(&kept, tag, "one");
	kept_add(&kept, "", 0);
	kept_add(&kept, "t\0o", 3);
	kept.items = 12;
	ck_assert(kept_has(&kept));
	ck_assert(kept_is(&kept, tag));
	(void)snprintf(other, sizeof(other), "%s", tag);
	other[strlen(other) - 1] ^= 1;
	ck_assert(!kept_is(&kept, other));
	other[strlen(other) - 1] = '\0';
	ck_assert(!kept_is(&kept, other));
	ck_assert_int_eq(kept.bytes, 6);
	sends("onet\0o", 6);
	ck_assert_uint_eq(response.items, 12);
	/* And again. */
	sends("onet\0o", 6);
}
END_TEST

START_TEST(nothing_is_kept_too)
{
	kept_begin(&kept, TAG);
	ck_assert(kept_has(&kept));
	ck_assert_int_eq(kept_send(&kept, &response), 0);
	ck_assert_int_eq(wire.writes, 0);
}
END_TEST

/* Around the sizes in which it is read. */
static const size_t sizes[] = { 1, 4095, 4096, 65535, 65536, 65537, 131072,
	200001, 1048576 };

START_TEST(kept_in_pieces)
{
	size_t	 len = sizes[_i], at, piece;
	uint8_t *bytes = make_bytes(len);

	kept_begin(&kept, TAG);
	for (at = 0; at < len; at += piece) {
		piece = len - at < 40000 ? len - at : 40000;
		kept_add(&kept, bytes + at, piece);
	}
	ck_assert_int_eq(kept.bytes, (int64_t)len);
	sends(bytes, len);
	free(bytes);
}
END_TEST

/* A file without a name, of its owner's alone, that no command inherits. */
START_TEST(file_of_nobody_else)
{
	char	    name[32], path[256];
	struct stat info;
	mode_t	    old = umask(0);
	ssize_t	    len;

	keep(&kept, TAG, "one");
	(void)umask(old);
	ck_assert(kept_has(&kept));
	ck_assert_int_eq(fstat(kept.fd, &info), 0);
	ck_assert_uint_eq(info.st_nlink, 0);
	ck_assert_uint_eq(info.st_mode & 07777, 0600);
	ck_assert(fcntl(kept.fd, F_GETFD) & FD_CLOEXEC);
	/* In the folder that TMPDIR names, and nobody can give it a name. */
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", kept.fd);
	len = readlink(name, path, sizeof(path) - 1);
	ck_assert_int_gt(len, 0);
	path[len] = '\0';
	ck_assert_int_eq(strncmp(path, folder, strlen(folder)), 0);
	(void)snprintf(path, sizeof(path), "%s/name", folder);
	ck_assert_int_eq(linkat(AT_FDCWD, name, AT_FDCWD, path,
	    AT_SYMLINK_FOLLOW), -1);
}
END_TEST

START_TEST(without_tmpdir)
{
	bool can = can_keep_in("/tmp");

	ck_assert_int_eq(_i == 0 ? unsetenv("TMPDIR") :
	    setenv("TMPDIR", "", 1), 0);
	keep(&kept, TAG, "one");
	ck_assert(kept_is(&kept, TAG));
	ck_assert_int_eq(kept_has(&kept), can);
}
END_TEST

/* A folder that is none, or where there are no files without a name. */
static const char *const no_folders[] = { "/nonexistent", "/dev/null",
	"/proc", "relative/nonexistent" };

START_TEST(unusable_tmpdir)
{
	ck_assert_int_eq(setenv("TMPDIR", no_folders[_i], 1), 0);
	keep(&kept, TAG, "one");
	is_given_up(TAG);
	/* A later one, elsewhere, is kept again. */
	ck_assert_int_eq(setenv("TMPDIR", folder, 1), 0);
	keep(&next, OTHER_TAG, "two");
	kept_take(&kept, &next);
	sends("two", 3);
}
END_TEST

START_TEST(up_to_the_limit)
{
	size_t	 len = MAX_KEPT_BYTES;
	uint8_t *bytes = make_bytes(len);

	kept_begin(&kept, TAG);
	kept_add(&kept, bytes, len - 100000);
	kept_add(&kept, bytes + len - 100000, 100000);
	ck_assert(kept_has(&kept));
	ck_assert_int_eq(kept.bytes, MAX_KEPT_BYTES);
	sends(bytes, len);
	kept_add(&kept, "x", 1);
	is_given_up(TAG);
	free(bytes);
}
END_TEST

START_TEST(beyond_the_limit_at_once)
{
	size_t	 len = MAX_KEPT_BYTES + 1;
	uint8_t *bytes = make_bytes(len);

	kept_begin(&kept, TAG);
	kept_add(&kept, bytes, len);
	is_given_up(TAG);
	free(bytes);
}
END_TEST

/* As on a full disk: a write that takes less than all, then none. */
START_TEST(file_cannot_grow)
{
	struct rlimit limit, small;
	void	    (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	uint8_t	     *bytes = make_bytes(10000);

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 5000;
	kept_begin(&kept, TAG);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	kept_add(&kept, bytes, 4000);
	ck_assert(kept_has(&kept));
	kept_add(&kept, bytes, 10000);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	(void)signal(SIGXFSZ, old);
	is_given_up(TAG);
	free(bytes);
}
END_TEST

START_TEST(taking_the_next)
{
	int number;

	keep(&kept, TAG, "one");
	keep(&next, OTHER_TAG, "three");
	next.items = 3;
	number = kept.fd;
	kept_take(&kept, &next);
	/* The old one is closed, and the next one is empty. */
	ck_assert_int_eq(fcntl(number, F_GETFD), -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert(!kept_has(&next) && !kept_is(&next, OTHER_TAG));
	ck_assert(kept_is(&kept, OTHER_TAG) && !kept_is(&kept, TAG));
	kept_clear(&next);
	sends("three", 5);
	ck_assert_uint_eq(response.items, 3);
}
END_TEST

/* That it cannot be kept is known then, and the old one is gone. */
START_TEST(taking_one_that_was_given_up)
{
	keep(&kept, TAG, "one");
	ck_assert_int_eq(setenv("TMPDIR", "/nonexistent", 1), 0);
	keep(&next, OTHER_TAG, "three");
	kept_take(&kept, &next);
	is_given_up(OTHER_TAG);
	ck_assert(!kept_is(&kept, TAG));
}
END_TEST

START_TEST(cleared)
{
	keep(&kept, TAG, "one");
	kept_clear(&kept);
	ck_assert_int_eq(lowest_free(), open_files);
	ck_assert(!kept_has(&kept) && !kept_is(&kept, TAG));
	kept_clear(&kept);
	ck_assert_int_eq(setenv("TMPDIR", "/nonexistent", 1), 0);
	keep(&kept, TAG, "one");
	kept_clear(&kept);
	ck_assert(!kept_is(&kept, TAG));
}
END_TEST

/* Nobody to read on for; that is no failure of the file. */
START_TEST(client_that_goes)
{
	uint8_t *bytes = make_bytes(200000);

	kept_begin(&kept, TAG);
	kept_add(&kept, bytes, 200000);
	kept.items = 5;
	wire.last = 3;
	ck_assert_int_eq(kept_send(&kept, &response), 0);
	ck_assert(response.is_gone);
	ck_assert_int_eq(wire.writes, 3);
	ck_assert_uint_lt(response.bytes, 200000);
	/* It is there for the next. */
	sends(bytes, 200000);
	free(bytes);
}
END_TEST

/* Before its first byte was read nothing is sent; behind it some is. */
START_TEST(file_that_cannot_be_read)
{
	uint8_t *bytes = make_bytes(200000);
	int	 none = open("/dev/null", O_WRONLY);

	ck_assert_int_ne(none, -1);
	kept_begin(&kept, TAG);
	kept_add(&kept, bytes, 200000);
	ck_assert_int_eq(ftruncate(kept.fd, _i == 0 ? 0 : 100000), 0);
	if (_i == 2)
		ck_assert_int_eq(dup2(none, kept.fd), kept.fd);
	ck_assert_int_eq(kept_send(&kept, &response), -1);
	ck_assert_int_eq(wire.writes, _i == 1 ? 3 : 0);
	ck_assert_uint_eq(response.bytes, _i == 1 ? 100000 : 0);
	ck_assert_uint_eq(response.items, 0);
	ck_assert_int_eq(response.is_sent, _i == 1);
	ck_assert_int_eq(close(none), 0);
	free(bytes);
}
END_TEST

static TCase *
cases(void)
{
	TCase *tests = tcase_create("kept");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, zeroed_is_empty);
	tcase_add_loop_test(tests, what_is_kept, 0, LENGTH_OF(tags));
	tcase_add_test(tests, nothing_is_kept_too);
	tcase_add_loop_test(tests, kept_in_pieces, 0, LENGTH_OF(sizes));
	tcase_add_test(tests, file_of_nobody_else);
	tcase_add_loop_test(tests, without_tmpdir, 0, 2);
	tcase_add_loop_test(tests, unusable_tmpdir, 0, LENGTH_OF(no_folders));
	tcase_add_test(tests, up_to_the_limit);
	tcase_add_test(tests, beyond_the_limit_at_once);
	tcase_add_test(tests, file_cannot_grow);
	tcase_add_test(tests, taking_the_next);
	tcase_add_test(tests, taking_one_that_was_given_up);
	tcase_add_test(tests, cleared);
	tcase_add_test(tests, client_that_goes);
	tcase_add_loop_test(tests, file_that_cannot_be_read, 0, 3);
	return tests;
}

int
main(void)
{
	Suite *suite = suite_create("kept");

	suite_add_tcase(suite, cases());
	return test_run(suite);
}
