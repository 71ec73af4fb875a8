#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "log.h"
#include "stop.h"
#include "xalloc.h"

/* How often a command is looked at where its end wakes nobody (a kernel, or a
 * sandbox, without pidfd_open(2)). */
#define LOOK_EVERY_MS 100
/* A killed process that does not go has a disk that does not answer. */
#define MAX_KILL_MS 1000

/*
 * A list of what is good; a name that ends in * stands for all that begin so.
 * A web server puts the request, with its key, beside these, and an operator
 * our own keys.
 */
static const char *const kept_names[] = { "PATH", "HOME", "USER", "LOGNAME",
	"LANG", "LC_*", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"http_proxy", "https_proxy", "all_proxy", "no_proxy" };

/* A job has one run: an id that we were given is not for those we start. */
#define OWN_NAME "NOMPD_JOB_ID"

static bool
has_name(const char *entry, const char *name)
{
	size_t len = strcspn(name, "*");

	return strncmp(entry, name, len) == 0 &&
	    (name[len] == '*' || entry[len] == '=');
}

static bool
is_kept(const char *entry, const char *extra)
{
	size_t i;

	if (has_name(entry, OWN_NAME))
		return false;
	for (i = 0; i < sizeof(kept_names) / sizeof(kept_names[0]); i++) {
		if (has_name(entry, kept_names[i]))
			return true;
	}
	return extra != NULL && has_name(entry, extra);
}

char **
child_environment(const char *extra, char *const *added)
{
	char **out;
	size_t count = 0, i, n = 0;

	while (environ != NULL && environ[count] != NULL)
		count++;
	for (i = 0; added != NULL && added[i] != NULL; i++)
		;
	out = xcalloc(count + i + 1, sizeof(*out));
	for (i = 0; i < count; i++) {
		if (is_kept(environ[i], extra))
			out[n++] = environ[i];
	}
	for (i = 0; added != NULL && added[i] != NULL; i++)
		out[n++] = added[i];
	return out;
}

/* All descriptors but the three closed, all signals as they were born. */
static int
prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
    const struct child *child)
{
	sigset_t all, none;
	int	 code;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	if (posix_spawnattr_setsigdefault(attributes, &all) != 0 ||
	    posix_spawnattr_setsigmask(attributes, &none) != 0 ||
	    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID |
	    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK) != 0)
		return -1;
	code = child->in_fd == -1 ? posix_spawn_file_actions_addopen(actions,
	    STDIN_FILENO, "/dev/null", O_RDONLY, 0) :
	    posix_spawn_file_actions_adddup2(actions, child->in_fd,
	    STDIN_FILENO);
	if (code != 0 || posix_spawn_file_actions_adddup2(actions,
	    child->out_fd, STDOUT_FILENO) != 0 ||
	    posix_spawn_file_actions_addclosefrom_np(actions,
	    STDERR_FILENO + 1) != 0)
		return -1;
	return 0;
}

int
child_start(const struct child *child, pid_t *pid, struct error *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t	   attributes;
	const char		  *name = child->command[0];
	int			   code;

	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawnattr_init(&attributes) != 0 ||
	    prepare(&actions, &attributes, child) == -1)
		xalloc_end();
	code = posix_spawnp(pid, name, &actions, &attributes, child->command,
	    child->environment);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (code != 0)
		return error_set(err, STATUS_STORE, "cannot start %s: %s",
		    name, strerror(code));
	log_info("started %s as process %ld", name, (long)*pid);
	return 0;
}

/* Has it ended?  It is left to be waited for, so that its number stays its
 * own.  *is_lost: there is no such child. */
static bool
has_ended(pid_t pid, bool *is_lost)
{
	siginfo_t info = { .si_signo = 0 };

	*is_lost = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG |
	    WNOWAIT) == -1 && errno == ECHILD;
	return *is_lost || info.si_signo == SIGCHLD;
}

/* Until the process of pid_fd has ended, the fd stop wakes, or left_ms. */
static void
sleep_beside(int pid_fd, int stop, int64_t left_ms)
{
	struct pollfd poll_fds[] = {
		{ .fd = pid_fd, .events = POLLIN },
		{ .fd = stop, .events = POLLIN },
	};
	struct timespec left;
	sigset_t	none;

	if (pid_fd == -1 && left_ms > LOOK_EVERY_MS)
		left_ms = LOOK_EVERY_MS;
	left = (struct timespec){ .tv_sec = left_ms / 1000,
		.tv_nsec = left_ms % 1000 * 1000000L };
	/* Signals may be blocked while an answer is made; here they count. */
	(void)sigemptyset(&none);
	(void)ppoll(poll_fds, 2, &left, &none);
}

/* Waits, but not beyond a signal when heeds_signals. */
static enum child_end
await(pid_t pid, int64_t end_ms, bool heeds_signals)
{
	enum child_end end = CHILD_ENDED;
	int64_t	       left_ms;
	bool	       is_lost;
	int	       fd, stop = heeds_signals ? stop_fd() : -1;

	fd = pidfd_open(pid, 0);
	while (end == CHILD_ENDED && !has_ended(pid, &is_lost)) {
		left_ms = end_ms - clock_monotonic_ms();
		if (left_ms <= 0)
			end = CHILD_LATE;
		else
			sleep_beside(fd, stop, left_ms);
		if (heeds_signals && stop_is_signalled())
			end = CHILD_SIGNALLED;
	}
	if (fd != -1)
		(void)close(fd);
	if (end == CHILD_ENDED && is_lost) {
		errno = ECHILD;
		end = CHILD_LOST;
	}
	return end;
}

enum child_end
child_wait(pid_t pid, int64_t end_ms, int *status)
{
	enum child_end end;
	int	       wait_status;

	end = await(pid, end_ms, true);
	if (end != CHILD_ENDED)
		return end;
	if (TEMP_FAILURE_RETRY(waitpid(pid, &wait_status, 0)) == -1)
		return CHILD_LOST;
	*status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) :
	    128 + WTERMSIG(wait_status);
	return CHILD_ENDED;
}

void
child_kill(pid_t pid, int64_t grace_ms)
{
	(void)kill(-pid, SIGTERM);
	(void)await(pid, clock_monotonic_ms() + grace_ms, false);
	/* It is not waited for yet, so the number is no other group's. */
	(void)kill(-pid, SIGKILL);
	if (await(pid, clock_monotonic_ms() + MAX_KILL_MS, false) ==
	    CHILD_ENDED)
		(void)waitpid(pid, NULL, 0);
}
