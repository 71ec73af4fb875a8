#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "stop.h"
#include "trigger.h"
#include "xalloc.h"

/*
 * What a command gets of our environment; a name that ends in * stands for all
 * that begin so.  A list of what is good: a web server puts the request, with
 * its key, beside these.
 */
static const char *const kept_names[] = { "PATH", "HOME", "USER", "LOGNAME",
	"LANG", "LC_*", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"http_proxy", "https_proxy", "all_proxy", "no_proxy", "NOMPD_*" };

static bool
is_kept(const char *entry)
{
	const char *name;
	size_t	    len, i;

	for (i = 0; i < sizeof(kept_names) / sizeof(kept_names[0]); i++) {
		name = kept_names[i];
		len = strcspn(name, "*");
		if (strncmp(entry, name, len) == 0 &&
		    (name[len] == '*' || entry[len] == '='))
			return true;
	}
	return false;
}

/* An array of borrowed entries; the caller frees it. */
static char **
make_environment(void)
{
	char **out;
	size_t count = 0, n = 0;

	while (environ[count] != NULL)
		count++;
	out = xcalloc(count + 1, sizeof(*out));
	for (count = 0; environ[count] != NULL; count++) {
		if (is_kept(environ[count]))
			out[n++] = environ[count];
	}
	return out;
}

/* All descriptors but the three closed, all signals as they were born. */
static int
prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
    int out_fd)
{
	sigset_t all, none;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	if (posix_spawnattr_setsigdefault(attributes, &all) != 0 ||
	    posix_spawnattr_setsigmask(attributes, &none) != 0 ||
	    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID |
	    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK) != 0)
		return -1;
	if (posix_spawn_file_actions_addopen(actions, STDIN_FILENO,
	    "/dev/null", O_RDONLY, 0) != 0 ||
	    posix_spawn_file_actions_adddup2(actions, out_fd,
	    STDOUT_FILENO) != 0 ||
	    posix_spawn_file_actions_addclosefrom_np(actions,
	    STDERR_FILENO + 1) != 0)
		return -1;
	return 0;
}

/* Starts it with its standard output on out_fd. */
static int
start(char *const command[], int out_fd, pid_t *pid, struct error *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t	   attributes;
	char			 **environment;
	int			   code;

	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawnattr_init(&attributes) != 0 ||
	    prepare(&actions, &attributes, out_fd) == -1)
		xalloc_end();
	environment = make_environment();
	code = posix_spawnp(pid, command[0], &actions, &attributes, command,
	    environment);
	free((void *)environment);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (code == 0)
		return 0;
	return error_set(err, STATUS_STORE, "cannot start %s: %s", command[0],
	    strerror(code));
}

/* Waits until fd has something: 0, or -1 when it is enough. */
static int
wait_readable(int fd, int64_t end_ms, struct error *err)
{
	struct pollfd poll_fds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = stop_fd(), .events = POLLIN },
	};
	int64_t left_ms;

	left_ms = end_ms - clock_monotonic_ms();
	if (left_ms <= 0)
		return error_set(err, STATUS_STORE, "not waited for any"
		    " longer than %lld hours; it goes on",
		    MAX_TRIGGER_MS / (60 * 60 * 1000));
	(void)poll(poll_fds, 2, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
	if (stop_is_signalled())
		return error_set(err, STATUS_STORE, "not waited for, because"
		    " this process is to end; it goes on");
	return 0;
}

/* What it prints, to its end; what goes beyond the limit by far is thrown
 * away. */
static int
read_output(int fd, int64_t end_ms, struct buf *out, struct error *err)
{
	char	piece[4096];
	ssize_t n;

	for (;;) {
		if (wait_readable(fd, end_ms, err) == -1)
			return -1;
		n = read(fd, piece, sizeof(piece));
		if (n == 0)
			return 0;
		if (n == -1 && errno != EINTR && errno != EAGAIN)
			return error_set(err, STATUS_STORE, "reading its"
			    " result: %s", strerror(errno));
		if (n > 0 && out->len <= MAX_TRIGGER_BYTES)
			buf_append(out, piece, (size_t)n);
	}
}

/* One that has closed its output may still go on. */
static int
wait_end(pid_t pid, int64_t end_ms, int *status, struct error *err)
{
	pid_t ended = 0;
	int   fd, wait_status = 0, rc = 0;

	fd = pidfd_open(pid, 0);
	while (rc == 0 && ended == 0) {
		/* Without such a descriptor the wait below is a plain one. */
		if (fd != -1)
			rc = wait_readable(fd, end_ms, err);
		if (rc == 0)
			ended = waitpid(pid, &wait_status,
			    fd != -1 ? WNOHANG : 0);
	}
	if (fd != -1)
		(void)close(fd);
	if (rc == -1)
		return -1;
	if (ended == -1)
		return error_set(err, STATUS_STORE, "waiting for its end: %s",
		    strerror(errno));
	*status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) :
	    128 + WTERMSIG(wait_status);
	return 0;
}

int
trigger_run(char *const command[], struct buf *out, int *status,
    struct error *err)
{
	int64_t end_ms = clock_monotonic_ms() + MAX_TRIGGER_MS;
	pid_t	pid;
	int	fds[2], rc;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return error_set(err, STATUS_STORE, "cannot make a pipe: %s",
		    strerror(errno));
	rc = start(command, fds[1], &pid, err);
	(void)close(fds[1]);
	if (rc == 0) {
		log_info("started %s as process %ld", command[0], (long)pid);
		if (fcntl(fds[0], F_SETFL, O_NONBLOCK) == -1)
			log_debug("pipe: %s", strerror(errno));
		rc = read_output(fds[0], end_ms, out, err);
		if (rc == 0)
			rc = wait_end(pid, end_ms, status, err);
		if (rc == -1)
			(void)error_prefix(err, "process %ld", (long)pid);
	}
	(void)close(fds[0]);
	return rc;
}
