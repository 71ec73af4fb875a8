#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "workers.h"
#include "xalloc.h"

/* Before a worker that ended is started again: no faster than this. */
#define RESTART_PAUSE_MS 500

/*
 * Invariants: pids[i] is 0 while worker i does not run; awaited are the
 * signals that are blocked but in the workers.
 */
struct workers {
	pid_t	*pids;
	unsigned count;
	sigset_t awaited;
	sigset_t before;
	bool	 is_ending;
	int	 fault; /* the status of a worker that no restart mends */
};

/* What a worker's life begins with; false when it is over at once. */
static bool
begin_work(const struct workers *workers, pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)sigprocmask(SIG_SETMASK, &workers->before, NULL);
	/* The parent may have ended before the first line. */
	return getppid() == parent;
}

/* Starts those that do not run.  True in each that is started. */
static bool
start_missing(struct workers *workers)
{
	unsigned i;

	for (i = 0; i < workers->count; i++) {
		if (workers->pids[i] > 0)
			continue;
		workers->pids[i] = fork();
		if (workers->pids[i] == 0)
			return true;
		if (workers->pids[i] > 0)
			continue;
		log_warn("cannot start a worker: %s", strerror(errno));
		workers->pids[i] = 0;
	}
	return false;
}

/* A fault of the configuration or the socket meets all workers alike. */
static bool
is_lasting(int status)
{
	return WIFEXITED(status) && (WEXITSTATUS(status) == STATUS_USAGE ||
	    WEXITSTATUS(status) == STATUS_STORE);
}

static void
log_end(pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		log_error("worker %ld was ended by signal %d (%s); another one"
		    " takes its place", (long)pid, WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		log_error("worker %ld ended with status %d; another one takes"
		    " its place", (long)pid, WEXITSTATUS(status));
}

/* Forgets those that have ended; how many still run. */
static unsigned
reap(struct workers *workers)
{
	unsigned i, n = 0;
	int	 status;

	for (i = 0; i < workers->count; i++) {
		if (workers->pids[i] > 0 && waitpid(workers->pids[i], &status,
		    WNOHANG) == workers->pids[i]) {
			if (is_lasting(status))
				workers->fault = WEXITSTATUS(status);
			else if (!workers->is_ending)
				log_end(workers->pids[i], status);
			workers->pids[i] = 0;
		}
		n += workers->pids[i] > 0;
	}
	return n;
}

/* The signal that came, or 0 after ms milliseconds (-1: for ever). */
static int
wait_signal(const struct workers *workers, int ms)
{
	struct timespec time = { .tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L };
	int		number;

	number = ms == -1 ? sigwaitinfo(&workers->awaited, NULL) :
	    sigtimedwait(&workers->awaited, NULL, &time);
	return number > 0 ? number : 0;
}

static void
end_all(struct workers *workers)
{
	unsigned i;

	workers->is_ending = true;
	for (i = 0; i < workers->count; i++) {
		if (workers->pids[i] > 0)
			(void)kill(workers->pids[i], SIGTERM);
	}
	while (reap(workers) > 0)
		(void)wait_signal(workers, -1);
}

/* Looks after the workers until a signal; true in a worker. */
static bool
look_after(struct workers *workers)
{
	int number, pause_ms = -1;

	if (start_missing(workers))
		return true;
	do {
		number = wait_signal(workers, pause_ms);
		/* Only after a pause in which nothing else came. */
		if (number == 0 && start_missing(workers))
			return true;
		pause_ms = reap(workers) < workers->count ?
		    RESTART_PAUSE_MS : -1;
	} while (number != SIGTERM && number != SIGINT && workers->fault == 0);
	end_all(workers);
	return false;
}

int
workers_run(unsigned count, worker_fn fn, void *ctx, struct error *err)
{
	struct workers workers = { .count = count };
	pid_t	       parent = getpid();
	bool	       is_worker;

	(void)sigemptyset(&workers.awaited);
	(void)sigaddset(&workers.awaited, SIGTERM);
	(void)sigaddset(&workers.awaited, SIGINT);
	(void)sigaddset(&workers.awaited, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &workers.awaited, &workers.before) == -1)
		return error_set(err, STATUS_STORE, "cannot block signals: %s",
		    strerror(errno));
	workers.pids = xcalloc(count, sizeof(*workers.pids));
	is_worker = look_after(&workers);
	free(workers.pids);
	if (is_worker)
		return begin_work(&workers, parent) ? fn(ctx, err) : 0;
	if (workers.fault != 0)
		return error_set(err, (enum status)workers.fault, "the workers"
		    " cannot work; see above");
	return 0;
}
