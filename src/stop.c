#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "stop.h"

static volatile sig_atomic_t caught;
static int wake_fds[2] = { -1, -1 };
static int64_t deadline = INT64_MAX;
static int64_t allowed_ms;

/* An order is written once, before it is given; none is when all is over. */
enum { ORDER_NONE, ORDER_WRITTEN, ORDER_GIVEN, ORDERS_END };
static struct error order_given;
static atomic_int order_state;

/* Of the main thread. */
static void (*watch_fn)(void *ctx);
static void *watch_ctx;

static void
on_signal(int number)
{
	int saved = errno;

	caught = number;
	/* A full pipe has woken the reader already. */
	if (write(wake_fds[1], "", 1) == -1)
		errno = saved;
	errno = saved;
}

static void
handle(int number, void (*handler)(int))
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	sigemptyset(&action.sa_mask);
	(void)sigaction(number, &action, NULL);
}

int
stop_init(int64_t deadline_ms, struct error *err)
{
	if (pipe2(wake_fds, O_CLOEXEC | O_NONBLOCK) == -1)
		return error_set(err, STATUS_STORE, "cannot make a pipe: %s",
		    strerror(errno));
	handle(SIGTERM, on_signal);
	handle(SIGINT, on_signal);
	handle(SIGPIPE, SIG_IGN);
	/* A write beyond a file size limit is to fail, not to kill. */
	handle(SIGXFSZ, SIG_IGN);
	allowed_ms = deadline_ms;
	if (deadline_ms > 0)
		deadline = clock_monotonic_ms() + deadline_ms;
	return 0;
}

void
stop_ignore_signals(void)
{
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	caught = 0;
	atomic_store(&order_state, ORDERS_END);
}

void
stop_order(const struct error *order)
{
	int state = ORDER_NONE;

	if (!atomic_compare_exchange_strong(&order_state, &state,
	    ORDER_WRITTEN))
		return;
	order_given = *order;
	state = ORDER_WRITTEN;
	if (!atomic_compare_exchange_strong(&order_state, &state,
	    ORDER_GIVEN))
		return;
	/* A full pipe has woken the reader already. */
	if (write(wake_fds[1], "", 1) == -1)
		return;
}

void
stop_set_watch(void (*fn)(void *ctx), void *ctx)
{
	watch_fn = fn;
	watch_ctx = ctx;
}

bool
stop_is_signalled(void)
{
	return caught != 0;
}

int
stop_check(enum status late, struct error *err)
{
	if (watch_fn != NULL)
		watch_fn(watch_ctx);
	if (caught != 0)
		return error_set(err, STATUS_INTERRUPTED + (unsigned)caught,
		    "interrupted by signal %d (%s)", (int)caught,
		    strsignal(caught));
	if (atomic_load(&order_state) == ORDER_GIVEN) {
		*err = order_given;
		return -1;
	}
	if (deadline != INT64_MAX && clock_monotonic_ms() >= deadline)
		return error_set(err, late, "the deadline (--deadline) of %.1f"
		    " s has passed; allow more", (double)allowed_ms / 1000);
	return 0;
}

int64_t
stop_remaining_ms(void)
{
	int64_t now;

	if (deadline == INT64_MAX)
		return INT64_MAX;
	now = clock_monotonic_ms();
	return now < deadline ? deadline - now : 0;
}

int
stop_fd(void)
{
	return wake_fds[0];
}

void
stop_sleep(int64_t ms)
{
	struct pollfd poll_fd = { .fd = wake_fds[0], .events = POLLIN };

	if (ms > stop_remaining_ms())
		ms = stop_remaining_ms();
	if (ms > INT32_MAX)
		ms = INT32_MAX;
	(void)poll(&poll_fd, 1, (int)ms);
}

void
stop_renew(void)
{
	char bytes[64];

	while (read(wake_fds[0], bytes, sizeof(bytes)) > 0)
		;
	caught = 0;
	handle(SIGTERM, on_signal);
	handle(SIGINT, on_signal);
}

int
stop_end_status(enum status status)
{
	int number = (int)status - (int)STATUS_INTERRUPTED;

	if (number > 0) {
		(void)signal(number, SIG_DFL);
		(void)raise(number);
	}
	return (int)status;
}
