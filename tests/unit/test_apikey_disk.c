/* Keys changed on a disk that fails. */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "apikeylib.h"

/* What the disk says to a folder; 0: done. */
static int folder_error;

/* In the place of the C library's. */
int
fsync(int fd)
{
	struct stat info;

	if (folder_error != 0 && fstat(fd, &info) == 0 &&
	    S_ISDIR(info.st_mode)) {
		errno = folder_error;
		return -1;
	}
	return fdatasync(fd);
}

/* A disk that takes no more leaves the file as it was, and nothing beside. */
START_TEST(disk_is_full)
{
	struct rlimit before, small;
	char	      key[APIKEY_TEXT_BYTES], *aside;

	write_file(LINE_ABC "\n");
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = sizeof(LINE_ABC) + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	failed(apikey_add(path, "b", APIKEY_READ, key, &err), STATUS_STORE,
	    "cannot write");
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	file_is(LINE_ABC "\n");
	aside = xasprintf("%s.new", path);
	ck_assert_int_eq(access(aside, F_OK), -1);
	free(aside);
}
END_TEST

/* Runs fn with standard error in memory; what was written, the caller frees
 * it. */
static char *
log_of(void (*fn)(void))
{
	char *text;
	off_t len;
	int   saved, fd;

	fd = memfd_create("log", 0);
	saved = dup(STDERR_FILENO);
	ck_assert(fd != -1 && saved != -1);
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	fn();
	ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	len = lseek(fd, 0, SEEK_END);
	text = xcalloc((size_t)len + 1, 1);
	ck_assert_int_eq(pread(fd, text, (size_t)len, 0), len);
	close(fd);
	return text;
}

static char added[APIKEY_TEXT_BYTES];

static void
add_b(void)
{
	add("b", APIKEY_READ, added);
}

static void
revoke_a(void)
{
	CHECK(apikey_revoke(path, "a", &err));
}

/* It warned, once, of the folder, and names the file and no key. */
static void
warned(char *log)
{
	ck_assert_ptr_nonnull(strstr(log, path));
	ck_assert_ptr_nonnull(strstr(log, "cannot bring its folder to the"
	    " disk: Input/output error"));
	ck_assert_ptr_eq(strchr(log, '\n') + 1, strchr(log, '\0'));
	ck_assert_ptr_null(strstr(log, APIKEY_PREFIX));
	free(log);
}

/* After the renaming there is no way back: the change holds for everybody. */
START_TEST(folder_does_not_reach_the_disk)
{
	struct apikey_holder holder;

	write_file(LINE_ABC "\n");
	folder_error = EIO;
	warned(log_of(add_b));
	list_is("a:read b:read ");
	ck_assert_int_eq(apikey_check(path, added, &holder, &err), 1);
	warned(log_of(revoke_a));
	list_is("b:read ");
	folder_error = 0;
	ck_assert_int_eq(access(beside("keys.new"), F_OK), -1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("apikey_disk");
	TCase *tests = tcase_create("apikey_disk");

	if (sodium_init() == -1)
		return EXIT_FAILURE;
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, disk_is_full);
	tcase_add_test(tests, folder_does_not_reach_the_disk);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
