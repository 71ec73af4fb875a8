#include <poll.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "clock.h"
#include "report.h"
#include "reportlib.h"

#define ASIDE ".nompd.prom.nompd-new"
#define OURS  METRICS_OF_RUN "nompd_program_info 1\n"

/* Runs that end over and over again, and what each writes then. */
#define WRITERS	 3
#define ROUNDS	 60
#define LONGEST	 200000

/* How long another run has the file in these tests. */
#define OTHER_MS 300

static struct error err;
static struct buf   text;
static char	   *path; /* of the metrics file */
static char	   *aside;

static void
setup(void)
{
	setup_report();
	path = xasprintf("%s/nompd.prom", folder);
	aside = xasprintf("%s/" ASIDE, folder);
	text = (struct buf){ 0 };
	memset(&err, 0, sizeof(err));
}

static void
teardown(void)
{
	buf_clear(&text);
	free(aside);
	free(path);
	teardown_report();
}

static void
make_file(const char *name, const char *all)
{
	FILE *file = fopen(name, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ne(fputs(all, file), EOF);
	ck_assert_int_eq(fclose(file), 0);
}

static bool
is_there(const char *name)
{
	struct stat info;

	return lstat(name, &info) == 0;
}

static int
replace(const char *all)
{
	text.len = 0;
	buf_append(&text, all, strlen(all));
	return report_replace(path, &text, &err);
}

static void
assert_replaced(const char *name)
{
	ck_assert_msg(replace("new\n") == 0, "%s", err.text);
	ck_assert_str_eq(read_in_folder(name), "new\n");
	ck_assert(!is_there(aside));
}

static void
assert_refused(const char *part)
{
	ck_assert_int_eq(replace("new\n"), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
}

static const struct {
	const char *all;
	bool	    is_ours;
} contents[] = {
	{ "", true },
	{ OURS, true },
	{ METRICS_OF_RUN, true },
	{ "# TYPE nompd_program_info gauge", false },
	{ "# TYPE nompd_program_info", false },
	{ "# TYPE nompd_program_infos gauge\n", false },
	{ "\n" OURS, false },
	{ "# TYPE node_up gauge\n", false },
	{ "SQLite format 3", false },
	{ "x", false },
};

START_TEST(only_ours)
{
	int rc;

	make_file(path, contents[_i].all);
	rc = report_may_replace(path, &err);
	ck_assert_msg(rc == (contents[_i].is_ours ? 0 : -1), "\"%s\": %d",
	    contents[_i].all, rc);
	if (rc == 0)
		return;
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "nompd.prom: is no metrics file"
	    " of ours, and is not overwritten"));
}
END_TEST

START_TEST(none_yet)
{
	ck_assert_int_eq(report_may_replace(path, &err), 0);
	ck_assert_int_eq(report_may_replace("/nonexistent/m", &err), 0);
	ck_assert_int_eq(symlink("loop", path), 0);
	ck_assert_int_eq(report_may_replace(path, &err), 0);
}
END_TEST

/* The file has become another one since the options were read. */
START_TEST(foreign_is_kept)
{
	struct options opts = { .metrics_file = path };
	struct job     job;

	make_file(path, "a key\n");
	ck_assert_ptr_null(store_place_set(&opts.store, "sqlite:s.db"));
	make_job(&job, "job-1", STATUS_OK, 0);
	report_run(&opts, &job, NULL);
	ck_assert_str_eq(read_in_folder("nompd.prom"), "a key\n");
	ck_assert_ptr_nonnull(strstr(read_log(), " warn  --metrics-file: "));
	ck_assert_ptr_nonnull(strstr(content, "not overwritten"));
	ck_assert(!is_there(aside));
	job_clear(&job);
	store_place_clear(&opts.store);
}
END_TEST

/* A link leads to where the file is to be, there or not. */
START_TEST(dangling_link)
{
	struct stat info;
	char	   *second = xasprintf("%s/second", folder);

	ck_assert_int_eq(symlink("second", path), 0);
	ck_assert_int_eq(symlink("third", second), 0);
	assert_replaced("third");
	ck_assert_int_eq(lstat(path, &info), 0);
	ck_assert(S_ISLNK(info.st_mode));
	ck_assert_int_eq(lstat(second, &info), 0);
	ck_assert(S_ISLNK(info.st_mode));
	free(second);
}
END_TEST

START_TEST(link_in_a_circle)
{
	ck_assert_int_eq(symlink("nompd.prom", path), 0);
	assert_refused("nompd.prom: cannot follow it: ");
}
END_TEST

/* What a killed run has left is taken, not added to. */
START_TEST(left_by_a_killed_run)
{
	make_file(aside, METRICS_OF_RUN "much longer than what comes now\n");
	assert_replaced("nompd.prom");
}
END_TEST

START_TEST(link_aside)
{
	char *target = xasprintf("%s/target", folder);

	make_file(target, "precious\n");
	ck_assert_int_eq(symlink("target", aside), 0);
	assert_refused("no run has left ");
	ck_assert_int_eq(unlink(aside), 0);
	ck_assert_int_eq(link(target, aside), 0);
	assert_refused(ASIDE "; look at it, and remove it");
	ck_assert_str_eq(read_in_folder("target"), "precious\n");
	ck_assert(!is_there(path));
	free(target);
}
END_TEST

/* Another run, which has its file half written; it ends so in a while. */
static pid_t
start_other(bool is_renaming)
{
	pid_t pid;
	int   fd;

	fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(write(fd, "half", 4), 4);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		(void)poll(NULL, 0, OTHER_MS);
		if (write(fd, " whole", 6) != 6)
			_exit(1);
		_exit(is_renaming && rename(aside, path) == -1);
	}
	(void)close(fd);
	return pid;
}

static void
assert_ended_well(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* Of two at once both files are whole, and the last one stays. */
START_TEST(two_at_once)
{
	int64_t start_ms = clock_monotonic_ms();
	pid_t	pid = start_other(_i == 1);

	assert_replaced("nompd.prom");
	ck_assert_int_ge(clock_monotonic_ms() - start_ms, OTHER_MS - 10);
	assert_ended_well(pid);
	ck_assert_str_eq(read_in_folder("nompd.prom"), "new\n");
}
END_TEST

static void
write_often(int letter)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		text.len = 0;
		memset(buf_reserve(&text, LONGEST), letter, LONGEST);
		text.len = LONGEST;
		if (report_replace(path, &text, &err) == -1) {
			(void)fprintf(stderr, "%s\n", err.text);
			_exit(1);
		}
		(void)poll(NULL, 0, 1 + (i + letter) % 5);
	}
	_exit(0);
}

/* Whoever looks finds the whole text of one of them. */
static void
assert_whole(void)
{
	const char *all = read_in_folder("nompd.prom");
	size_t	    len = strlen(all);

	ck_assert_uint_eq(len, LONGEST);
	ck_assert_uint_eq(strspn(all, (char[]){ all[0], '\0' }), len);
}

START_TEST(many_at_once)
{
	pid_t pids[WRITERS];
	int   i, left = WRITERS, status;

	for (i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		ck_assert_int_ne(pids[i], -1);
		if (pids[i] == 0)
			write_often('a' + i);
	}
	while (left > 0) {
		if (is_there(path))
			assert_whole();
		if (waitpid(-1, &status, WNOHANG) > 0) {
			ck_assert_msg(status == 0, "%s", read_log());
			left--;
		}
	}
	assert_whole();
	ck_assert(!is_there(aside));
}
END_TEST

/* One that hangs is not waited for without end; its file is its own. */
START_TEST(other_hangs)
{
	int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(write(fd, "half", 4), 4);
	assert_refused("cannot write a new one beside it: ");
	ck_assert_str_eq(read_in_folder(ASIDE), "half");
	ck_assert(!is_there(path));
	(void)close(fd);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("report_file");
	TCase *tests = tcase_create("files");

	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_loop_test(tests, only_ours, 0, LENGTH_OF(contents));
	tcase_add_test(tests, none_yet);
	tcase_add_test(tests, foreign_is_kept);
	tcase_add_test(tests, dangling_link);
	tcase_add_test(tests, link_in_a_circle);
	tcase_add_test(tests, left_by_a_killed_run);
	tcase_add_test(tests, link_aside);
	tcase_add_loop_test(tests, two_at_once, 0, 2);
	tcase_add_test(tests, many_at_once);
	tcase_add_test(tests, other_hangs);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
