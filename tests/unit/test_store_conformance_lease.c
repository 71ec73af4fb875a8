/*
 * The promises of store.h on each kind of store (backendlib.h says on which):
 * one run at a time, and versions that are given once.
 */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "backendlib.h"

static void
rest(void)
{
	static const struct timespec millisecond = { 0, 1000000 };

	(void)nanosleep(&millisecond, NULL);
}

static void
holder_is(const char *holder, pid_t pid)
{
	char expected[64];

	(void)snprintf(expected, sizeof(expected), "process %ld", (long)pid);
	ck_assert_msg(strncmp(holder, expected, strlen(expected)) == 0 &&
	    strchr(", ", holder[strlen(expected)]) != NULL, "%s", holder);
	ck_assert_msg(strstr(holder, ", since 20") != NULL, "%s", holder);
}

START_TEST(one_lease)
{
	struct store *one = open_store(STORE_WRITE);
	struct store *other = open_store(STORE_WRITE);
	char	      holder[MAX_HOLDER_TEXT], own[MAX_HOLDER_TEXT];
	int	      i;

	ck_assert_int_eq(store_lease_try(one, own, &err), 1);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(store_lease_try(other, holder, &err), 0);
		holder_is(holder, getpid());
		ck_assert_str_eq(holder, own);
	}
	store_close(one);
	take_lease(other);
	store_close(other);
}
END_TEST

/* A store that asked and was refused frees nothing when it closes. */
START_TEST(refused_frees_nothing)
{
	struct store *one = open_store(STORE_WRITE);
	struct store *other;
	char	      holder[MAX_HOLDER_TEXT];
	int	      i;

	take_lease(one);
	for (i = 0; i < 2; i++) {
		other = open_store(STORE_WRITE);
		ck_assert_int_eq(store_lease_try(other, holder, &err), 0);
		store_close(other);
	}
	store_close(one);
}
END_TEST

/* Readers need no lease, and keep nobody from it. */
START_TEST(readers_beside)
{
	static const char *const a[] = { "a", NULL };
	struct store		*writer, *reader;

	write_run(a, NULL, 1, true);
	reader = open_store(STORE_READ);
	CHECK(store_begin(reader, &err));
	writer = open_store(STORE_UPDATE);
	take_lease(writer);
	ck_assert(is_there(reader, PLANS, "a", 1));
	store_close(writer);
	write_run(NULL, a, 1, true);
	store_close(reader);
}
END_TEST

/* Starts a process that runs fn; what it writes to the other end of the pipe
 * comes out of *out. */
static pid_t
start(void (*fn)(int fd), int *out)
{
	int   ends[2];
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		(void)close(ends[0]);
		fn(ends[1]);
		_exit(0);
	}
	(void)close(ends[1]);
	*out = ends[0];
	return pid;
}

static void
hold_lease(int fd)
{
	struct store *store;
	char	      holder[MAX_HOLDER_TEXT];

	if (store_open(&place, STORE_WRITE, &store, &err) == -1 ||
	    store_lease_try(store, holder, &err) != 1 ||
	    write(fd, "!", 1) != 1)
		_exit(1);
	(void)pause();
}

/* The end of the process ends its lease, however it comes. */
START_TEST(holder_killed)
{
	struct store *store = open_store(STORE_WRITE);
	char	      holder[MAX_HOLDER_TEXT], taken;
	pid_t	      pid;
	int	      out, status;

	pid = start(hold_lease, &out);
	ck_assert_int_eq(read(out, &taken, 1), 1);
	(void)close(out);
	ck_assert_int_eq(store_lease_try(store, holder, &err), 0);
	holder_is(holder, pid);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	backend()->age_lease();
	take_lease(store);
	store_close(store);
}
END_TEST

#define PROCESSES 4
#define RAISES	  25

/* A run that waits for its turn, raises the version and changes nothing. */
static int64_t
raise_once(void)
{
	struct store *store;
	char	      holder[MAX_HOLDER_TEXT];
	int64_t	      version;
	int	      rc;

	if (store_open(&place, STORE_WRITE, &store, &err) == -1)
		return -1;
	while ((rc = store_lease_try(store, holder, &err)) == 0)
		rest();
	if (rc == -1 || store_begin(store, &err) == -1 ||
	    store_version_raise(store, 1, &version, &err) == -1)
		version = -1;
	else {
		put_history(store, version, version);
		if (store_publish(store, &err) == -1)
			version = -1;
	}
	store_close(store);
	return version;
}

static void
raise_many(int fd)
{
	int64_t version;
	int	i;

	for (i = 0; i < RAISES; i++) {
		version = raise_once();
		if (write(fd, &version, sizeof(version)) != sizeof(version))
			_exit(1);
		if (version == -1) {
			(void)fprintf(stderr, "%s\n", err.text);
			_exit(1);
		}
	}
}

START_TEST(versions_given_once)
{
	bool	      given[PROCESSES * RAISES + 1] = { false };
	struct store *store;
	int64_t	      version;
	pid_t	      pids[PROCESSES];
	int	      outs[PROCESSES], status, i, j;

	store_close(open_store(STORE_WRITE));
	for (i = 0; i < PROCESSES; i++)
		pids[i] = start(raise_many, &outs[i]);
	for (i = 0; i < PROCESSES; i++) {
		for (j = 0; j < RAISES; j++) {
			ck_assert_int_eq(read(outs[i], &version,
			    sizeof(version)), sizeof(version));
			ck_assert_int_ge(version, 1);
			ck_assert_int_lt(version, LENGTH_OF(given));
			ck_assert_msg(!given[version], "%lld came twice",
			    (long long)version);
			given[version] = true;
		}
		(void)close(outs[i]);
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, 0);
	}
	store = open_store(STORE_READ);
	versions_are(store, PROCESSES * RAISES, PROCESSES * RAISES);
	store_close(store);
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("store_conformance_lease", &tests);

	tcase_add_test(tests, one_lease);
	tcase_add_test(tests, refused_frees_nothing);
	tcase_add_test(tests, readers_beside);
	tcase_add_test(tests, holder_killed);
	tcase_add_test(tests, versions_given_once);
	return test_run(suite);
}
