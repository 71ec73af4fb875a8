#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* Waits until the process of pid_fd has ended: 0, or -1 when it is enough. */
static int
wait_process(int pid_fd, int64_t end_ms, struct error *err)
{
	struct pollfd poll_fds[] = {
		{ .fd = pid_fd, .events = POLLIN },
		{ .fd = stop_fd(), .events = POLLIN },
	};
	struct timespec left;
	sigset_t	none;
	int64_t		left_ms;

	left_ms = end_ms - clock_monotonic_ms();
	if (left_ms <= 0)
		return error_set(err, STATUS_STORE, "not waited for any"
		    " longer than %lld hours; it goes on",
		    MAX_TRIGGER_MS / (60 * 60 * 1000));
	left = (struct timespec){ .tv_sec = left_ms / 1000,
		.tv_nsec = left_ms % 1000 * 1000000L };
	/* Signals may be blocked while an answer is made; here they count. */
	(void)sigemptyset(&none);
	(void)ppoll(poll_fds, 2, &left, &none);
	if (stop_is_signalled())
		return error_set(err, STATUS_STORE, "not waited for, because"
		    " this process is to end; it goes on");
	return 0;
}

static int
wait_end(pid_t pid, int *status, struct error *err)
{
	int64_t end_ms = clock_monotonic_ms() + MAX_TRIGGER_MS;
	pid_t	ended = 0;
	int	fd, wait_status = 0, rc = 0;

	fd = pidfd_open(pid, 0);
	while (rc == 0 && ended == 0) {
		/* Without such a descriptor the wait below is a plain one. */
		if (fd != -1)
			rc = wait_process(fd, end_ms, err);
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

/*
 * What the command prints into: a file in memory that cannot grow.  A pipe
 * would kill a command that goes on when nobody waits for it any more.
 */
static int
open_output(struct error *err)
{
	int fd;

	fd = memfd_create("nompd-serve-output", MFD_CLOEXEC |
	    MFD_ALLOW_SEALING);
	if (fd != -1 && ftruncate(fd, MAX_TRIGGER_BYTES) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0)
		return fd;
	(void)error_set(err, STATUS_STORE, "cannot make room for the result of"
	    " a command: %s", strerror(errno));
	if (fd != -1)
		(void)close(fd);
	return -1;
}

/* All that was printed: the file's position is where the last byte went. */
static int
read_output(int fd, struct buf *out, struct error *err)
{
	off_t	len;
	ssize_t n;

	len = lseek(fd, 0, SEEK_CUR);
	while (len != -1 && out->len < (size_t)len) {
		n = pread(fd, buf_reserve(out, (size_t)len - out->len),
		    (size_t)len - out->len, (off_t)out->len);
		if (n <= 0)
			len = -1;
		else
			out->len += (size_t)n;
	}
	return len != -1 ? 0 : error_set(err, STATUS_STORE, "reading its"
	    " result: %s", strerror(errno));
}

int
trigger_run(char *const command[], struct buf *out, int *status,
    struct error *err)
{
	pid_t pid;
	int   fd, rc;

	/* What was not waited for any more, and has ended since. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	fd = open_output(err);
	if (fd == -1)
		return -1;
	rc = start(command, fd, &pid, err);
	if (rc == 0) {
		log_info("started %s as process %ld", command[0], (long)pid);
		rc = wait_end(pid, status, err);
		if (rc == 0)
			rc = read_output(fd, out, err);
		if (rc == -1)
			(void)error_prefix(err, "process %ld", (long)pid);
	}
	(void)close(fd);
	return rc;
}
