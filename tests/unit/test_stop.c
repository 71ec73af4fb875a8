/* Reasons to stop: a signal, the order of another thread, the deadline. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "stop.h"

/* Each test is a process of its own, for what is tested is state of the
 * process; where Check may not fork, the tests follow each other. */
static struct error err;

static bool
is_awake(void)
{
	struct pollfd poll_fd = { .fd = stop_fd(), .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static void
count_call(void *ctx)
{
	++*(int *)ctx;
}

START_TEST(nothing)
{
	int calls = 0;

	ck_assert_int_eq(stop_init(0, &err), 0);
	ck_assert_int_eq(stop_check(STATUS_STORE, &err), 0);
	ck_assert(!is_awake());
	ck_assert(stop_remaining_ms() == INT64_MAX);
	stop_set_watch(count_call, &calls);
	ck_assert_int_eq(stop_check(STATUS_STORE, &err), 0);
	ck_assert_int_eq(stop_check(STATUS_STORE, &err), 0);
	ck_assert_int_eq(calls, 2);
	stop_set_watch(NULL, NULL);
	ck_assert_int_eq(stop_check(STATUS_STORE, &err), 0);
	ck_assert_int_eq(calls, 2);
}
END_TEST

static void *
give_order(void *ctx)
{
	stop_order(ctx);
	return NULL;
}

START_TEST(order)
{
	struct error first = { STATUS_ABORTED, "enough" };
	struct error second = { STATUS_STORE, "lost" };
	pthread_t    thread;

	ck_assert_int_eq(stop_init(0, &err), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, give_order, &first), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	stop_order(&second);
	ck_assert(is_awake());
	ck_assert_int_eq(stop_check(STATUS_STORE, &err), -1);
	ck_assert_int_eq(err.status, STATUS_ABORTED);
	ck_assert_str_eq(err.text, "enough");
	/* No signal has come: who asks for that alone goes on. */
	ck_assert(!stop_is_signalled());
	stop_ignore_signals();
	ck_assert_int_eq(stop_check(STATUS_STORE, &err), 0);
	stop_order(&second);
	ck_assert_int_eq(stop_check(STATUS_STORE, &err), 0);
}
END_TEST

START_TEST(signal_first)
{
	ck_assert_int_eq(stop_init(0, &err), 0);
	ck_assert_int_eq(raise(SIGTERM), 0);
	ck_assert_int_eq(stop_check(STATUS_STORE, &err), -1);
	ck_assert_int_eq(err.status, STATUS_INTERRUPTED + SIGTERM);
	ck_assert(stop_is_signalled());
	stop_ignore_signals();
	ck_assert_int_eq(stop_check(STATUS_STORE, &err), 0);
}
END_TEST

START_TEST(deadline)
{
	ck_assert_int_eq(stop_init(1, &err), 0);
	stop_sleep(20);
	ck_assert_int_eq(stop_check(STATUS_BUSY, &err), -1);
	ck_assert_int_eq(err.status, STATUS_BUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "--deadline"));
	ck_assert_int_eq(stop_remaining_ms(), 0);
}
END_TEST

int
main(void)
{
	Suite	*suite = suite_create("stop");
	TCase	*tcase = tcase_create("stop");
	SRunner *runner;
	int	 failed;

	tcase_add_test(tcase, nothing);
	tcase_add_test(tcase, order);
	tcase_add_test(tcase, signal_first);
	tcase_add_test(tcase, deadline);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
