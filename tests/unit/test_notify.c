#include <signal.h>
#include <sys/wait.h>

#include "child.h"
#include "clock.h"
#include "notify.h"
#include "reportlib.h"
#include "stage.h"
#include "stop.h"
#include "words.h"

#define LONG_MS	 20000 /* more than anything here takes */
#define SHORT_MS 200
/* Signals 32 and 33, which glibc keeps to itself. */
#define OF_THE_C_LIBRARY (3ULL << 31)

static struct job   job;
static struct error err;

static void
setup(void)
{
	setup_report();
	make_job(&job, "job-1", STATUS_HELD, 2);
	memset(&err, 0, sizeof(err));
}

static void
teardown(void)
{
	stop_renew();
	job_clear(&job);
	teardown_report();
}

/* A script for the shell, run in the folder; for words_free(). */
static char **
shell(const char *script)
{
	char **words = words_parse("/bin/sh -c");
	char  *line = xasprintf("cd %s; %s", folder, script);

	words_add(&words, line);
	free(line);
	return words;
}

static int
notify(const char *script, int64_t limit_ms)
{
	char **words = shell(script);
	int    rc;

	rc = notify_run(words, &job, limit_ms, &err);
	words_free(words);
	return rc;
}

/* The same of a command that is no script. */
static int
notify_words(const char *text)
{
	char **words = words_parse(text);
	int    rc;

	rc = notify_run(words, &job, LONG_MS, &err);
	words_free(words);
	return rc;
}

/* Waits until the process whose number the file holds is gone. */
static void
assert_gone(const char *name)
{
	long pid;
	int  i;

	pid = strtol(read_in_folder(name), NULL, 10);
	ck_assert_int_gt(pid, 1);
	for (i = 0; i < 100 && kill((pid_t)pid, 0) == 0; i++)
		usleep(50 * 1000);
	ck_assert_int_eq(kill((pid_t)pid, 0), -1);
}

START_TEST(job_is_one_line)
{
	json_t *object, *expected = job_to_json(&job);

	ck_assert_int_eq(notify("cat >in; wc -l <in >lines", LONG_MS), 0);
	ck_assert_str_eq(read_in_folder("lines"), "1\n");
	object = json_loads(read_in_folder("in"), 0, NULL);
	ck_assert(json_equal(object, expected));
	ck_assert_str_eq(json_string_value(json_object_get(object, "state")),
	    "Held");
	json_decref(object);
	json_decref(expected);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(large_job)
{
	size_t i;

	job_clear(&job);
	make_job(&job, "job-2", STATUS_UNAVAILABLE, MAX_LISTS);
	for (i = 0; i < MAX_LISTS; i++)
		job.counts[i].fetched = job.counts[i].expected = INT64_MAX;
	memset(job.error.text, '"', sizeof(job.error.text) - 1);
	/* More than a pipe takes when nobody reads. */
	ck_assert_int_eq(notify("wc -c >bytes", LONG_MS), 0);
	ck_assert_int_gt(strtol(read_in_folder("bytes"), NULL, 10), 65536);
	ck_assert_int_eq(notify("exec <&-; exit 0", LONG_MS), 0);
	ck_assert_int_eq(notify("head -c 1 >/dev/null", LONG_MS), 0);
}
END_TEST

START_TEST(output_is_ours)
{
	ck_assert_int_eq(notify("echo one; echo two >&2;"
	    " echo three >>/dev/stdout", LONG_MS), 0);
	ck_assert_str_eq(read_log(), "one\ntwo\nthree\n");
}
END_TEST

static const struct {
	const char *script;
	const char *part;
} failures[] = {
	{ "exit 3", "/bin/sh has ended with status 3" },
	{ "kill -9 $$", "/bin/sh has ended with status 137" },
	{ "sleep 100", "/bin/sh had not ended in 0.2 s and was ended" },
	{ "exec sleep 100 </dev/null >/dev/null 2>&1",
	    "/bin/sh had not ended in 0.2 s and was ended" },
};

START_TEST(failed)
{
	int64_t start_ms = clock_monotonic_ms();

	ck_assert_int_eq(notify(failures[_i].script, SHORT_MS), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_str_eq(err.text, failures[_i].part);
	ck_assert_int_lt(clock_monotonic_ms() - start_ms, LONG_MS / 2);
}
END_TEST

START_TEST(group_is_ended)
{
	ck_assert_int_eq(notify("sleep 100 & echo $! >child; echo $$ >self;"
	    " wait", 5 * SHORT_MS), -1);
	assert_gone("self");
	assert_gone("child");
}
END_TEST

/* All of the group may tidy up, as long as the command itself is there. */
START_TEST(group_is_told)
{
	ck_assert_int_eq(notify("(trap 'echo told >mark; exit' TERM;"
	    " while :; do sleep 0.05; done) & echo $! >child;"
	    " trap 'sleep 1; exit' TERM; wait", 5 * SHORT_MS), -1);
	ck_assert_str_eq(read_in_folder("mark"), "told\n");
	assert_gone("child");
}
END_TEST

START_TEST(deaf_is_killed)
{
	struct child child = { .in_fd = -1, .out_fd = STDERR_FILENO };
	char	   **command = shell("trap '' TERM; echo $$ >self.new;"
		" mv self.new self; while :; do sleep 0.1; done");
	char	   **environment = child_environment(NULL, NULL);
	int64_t	     start_ms;
	pid_t	     pid;
	int	     i, status;

	child.command = command;
	child.environment = environment;
	ck_assert_int_eq(child_start(&child, &pid, &err), 0);
	for (i = 0; i < 200 && read_in_folder("self")[0] == '\0'; i++)
		usleep(50 * 1000);
	ck_assert_int_eq(child_wait(pid, clock_monotonic_ms() + 10, &status),
	    CHILD_LATE);
	start_ms = clock_monotonic_ms();
	child_kill(pid, SHORT_MS);
	ck_assert_int_ge(clock_monotonic_ms() - start_ms, SHORT_MS);
	assert_gone("self");
	/* It was waited for. */
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), -1);
	free((void *)environment);
	words_free(command);
}
END_TEST

/* The command cannot be started, and that is said.  Under valgrind, where a
 * process is not told of it, the command ends with 127. */
static void
assert_unstarted(const char *text, const char *reason)
{
	const char *preloaded = getenv("LD_PRELOAD");
	char	   *expected, **words = words_parse(text);

	ck_assert_int_eq(notify_words(text), -1);
	if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL)
		expected = xasprintf("%s has ended with status 127", words[0]);
	else
		expected = xasprintf("cannot start %s: %s", words[0], reason);
	ck_assert_str_eq(err.text, expected);
	free(expected);
	words_free(words);
}

START_TEST(not_started)
{
	char *path = xasprintf("%s/log", folder);

	assert_unstarted("/nonexistent/command", "No such file or directory");
	assert_unstarted("nompd-no-such-command", "No such file or directory");
	assert_unstarted("/tmp secret-argument", "Permission denied");
	/* A file that is no program. */
	assert_unstarted(path, "Permission denied");
	free(path);
}
END_TEST

START_TEST(environment_is_chosen)
{
	clearenv();
	setenv("NOMPD_UPSTREAM_API_KEY", "secret", 1);
	setenv("NOMPD_STORE_PASSWORD_FILE", "/secret", 1);
	setenv("NOMPD_STORE", "mongodb://u:secret@h/d", 1);
	setenv("NOMPD_NOTIFY_COMMAND", "env secret", 1);
	setenv("NOMPD_JOB_ID", "of-another", 1);
	setenv("CREDENTIALS_DIRECTORY", "/secret", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	setenv("PATHS", "no", 1);
	setenv("PATH", "/usr/bin", 1);
	setenv("LC_ALL", "C", 1);
	setenv("TZ", "UTC", 1);
	ck_assert_msg(notify_words("/usr/bin/env") == 0, "%s", err.text);
	ck_assert_str_eq(read_log(), "PATH=/usr/bin\nLC_ALL=C\nTZ=UTC\n"
	    "SYNC_JOB_ID=job-1\nSYNC_JOB_STATE=Held\n"
	    "SYNC_EXIT_STATUS=65\n");
}
END_TEST

START_TEST(descriptors_are_three)
{
	int fd = open("/dev/null", O_RDONLY), other = dup2(fd, 40);

	ck_assert_int_eq(other, 40);
	ck_assert_int_eq(notify_words("/bin/ls /proc/self/fd"), 0);
	/* The last one is the folder that is listed. */
	ck_assert_str_eq(read_log(), "0\n1\n2\n3\n");
	close(other);
	close(fd);
}
END_TEST

/* Its own session; every signal as it was born. */
START_TEST(state_is_fresh)
{
	const char *ignored;

	ck_assert_int_eq(stop_init(0, &err), 0);
	(void)signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(notify("echo $$; read -r _ _ _ _ _ session _"
	    " </proc/$$/stat; echo $session; grep SigIgn /proc/$$/status",
	    LONG_MS), 0);
	ck_assert_int_eq(strtol(read_log(), NULL, 10),
	    strtol(strchr(read_log(), '\n'), NULL, 10));
	ignored = strstr(content, "SigIgn:\t");
	ck_assert_ptr_nonnull(ignored);
	ck_assert_uint_eq(strtoull(ignored + strlen("SigIgn:\t"), NULL, 16) &
	    ~OF_THE_C_LIBRARY, 0);
}
END_TEST

START_TEST(nobody_waits_for_children)
{
	(void)signal(SIGCHLD, SIG_IGN);
	ck_assert_int_eq(notify("exit 4", LONG_MS), -1);
	ck_assert_str_eq(err.text, "/bin/sh has ended with status 4");
}
END_TEST

START_TEST(signal_before)
{
	ck_assert_int_eq(stop_init(0, &err), 0);
	ck_assert_int_eq(raise(SIGTERM), 0);
	ck_assert(stop_is_signalled());
	stop_renew();
	ck_assert(!stop_is_signalled());
	ck_assert_int_eq(notify("sleep 0.2; echo done", LONG_MS), 0);
	ck_assert_str_eq(read_log(), "done\n");
}
END_TEST

/* Also when the run was published, from when on signals were ignored. */
START_TEST(signal_meanwhile)
{
	int64_t start_ms = clock_monotonic_ms();

	ck_assert_int_eq(stop_init(0, &err), 0);
	stop_ignore_signals();
	stop_renew();
	ck_assert_int_eq(notify("echo $$ >self; kill -TERM $PPID; sleep 100",
	    LONG_MS), -1);
	ck_assert_str_eq(err.text, "/bin/sh was ended, because this process is"
	    " to end");
	ck_assert_int_lt(clock_monotonic_ms() - start_ms, LONG_MS / 2);
	assert_gone("self");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("notify");
	TCase *tests = tcase_create("notify");

	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, job_is_one_line);
	tcase_add_test(tests, large_job);
	tcase_add_test(tests, output_is_ours);
	tcase_add_loop_test(tests, failed, 0, LENGTH_OF(failures));
	tcase_add_test(tests, group_is_ended);
	tcase_add_test(tests, group_is_told);
	tcase_add_test(tests, deaf_is_killed);
	tcase_add_test(tests, not_started);
	tcase_add_test(tests, descriptors_are_three);
	tcase_add_test(tests, state_is_fresh);
	tcase_add_test(tests, nobody_waits_for_children);
	tcase_add_test(tests, signal_before);
	tcase_add_test(tests, signal_meanwhile);
	/* The last, for it leaves none of the environment. */
	tcase_add_test(tests, environment_is_chosen);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
