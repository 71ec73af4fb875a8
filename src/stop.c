#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "stop.h"

static volatile sig_atomic_t caught;
static int wake_fds[2] = { -1, -1 };
static int64_t deadline = INT64_MAX;
static int64_t allowed_ms;

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

int
stop_init(int64_t deadline_ms, struct error *err)
{
	struct sigaction action;

	if (pipe2(wake_fds, O_CLOEXEC | O_NONBLOCK) == -1)
		return error_set(err, STATUS_STORE, "cannot make a pipe: %s",
		    strerror(errno));
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	sigemptyset(&action.sa_mask);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	action.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &action, NULL);
	/* A write beyond a file size limit is to fail, not to kill. */
	(void)sigaction(SIGXFSZ, &action, NULL);
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
}

bool
stop_is_signalled(void)
{
	return caught != 0;
}

int
stop_check(enum status late, struct error *err)
{
	if (caught != 0)
		return error_set(err, STATUS_INTERRUPTED + (unsigned)caught,
		    "interrupted by signal %d (%s)", (int)caught,
		    strsignal(caught));
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
