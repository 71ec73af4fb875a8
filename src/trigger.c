#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
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

/* A job has one run: an id that we were given is not for those we start. */
#define JOB_ID_PREFIX "NOMPD_JOB_ID="
/* How often a process is looked at that has no descriptor. */
#define LOOK_MS 100

static bool
is_kept(const char *entry)
{
	const char *name;
	size_t	    len, i;

	if (strncmp(entry, JOB_ID_PREFIX, strlen(JOB_ID_PREFIX)) == 0)
		return false;
	for (i = 0; i < sizeof(kept_names) / sizeof(kept_names[0]); i++) {
		name = kept_names[i];
		len = strcspn(name, "*");
		if (strncmp(entry, name, len) == 0 &&
		    (name[len] == '*' || entry[len] == '='))
			return true;
	}
	return false;
}

/* An array of borrowed entries, more (NULL: none) being the last; the caller
 * frees it. */
static char **
make_environment(char *more)
{
	char **out;
	size_t count = 0, n = 0;

	while (environ[count] != NULL)
		count++;
	out = xcalloc(count + 2, sizeof(*out));
	for (count = 0; environ[count] != NULL; count++) {
		if (is_kept(environ[count]))
			out[n++] = environ[count];
	}
	out[n] = more;
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

/* Starts it with its standard output on out_fd, and more in its environment. */
static int
start(char *const command[], char *more, int out_fd, pid_t *pid,
    struct error *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t	   attributes;
	char			 **environment;
	int			   code;

	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawnattr_init(&attributes) != 0 ||
	    prepare(&actions, &attributes, out_fd) == -1)
		xalloc_end();
	environment = make_environment(more);
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

/* Waits until it has ended, or ms have passed, or less. */
static int
wait_process(const struct trigger *trigger, int64_t ms, struct error *err)
{
	struct pollfd poll_fds[] = {
		{ .fd = trigger->pid_fd, .events = POLLIN },
		{ .fd = stop_fd(), .events = POLLIN },
	};
	struct timespec left;
	sigset_t	none;

	if (trigger->pid_fd == -1 && ms > LOOK_MS)
		ms = LOOK_MS;
	left = (struct timespec){ .tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L };
	/* Signals may be blocked while an answer is made; here they count. */
	(void)sigemptyset(&none);
	(void)ppoll(poll_fds, 2, &left, &none);
	if (stop_is_signalled())
		return error_set(err, STATUS_STORE, "process %ld: not waited"
		    " for, because this process is to end; it goes on",
		    (long)trigger->pid);
	return 0;
}

/* Has it ended?  1, 0 or -1. */
static int
take_status(struct trigger *trigger, int *status, struct error *err)
{
	int   wait_status;
	pid_t ended;

	ended = waitpid(trigger->pid, &wait_status, WNOHANG);
	if (ended == 0)
		return 0;
	if (ended == -1)
		return error_set(err, STATUS_STORE, "process %ld: waiting for"
		    " its end: %s", (long)trigger->pid, strerror(errno));
	*status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) :
	    128 + WTERMSIG(wait_status);
	trigger->pid = 0;
	return 1;
}

int
trigger_wait(struct trigger *trigger, int64_t ms, int *status,
    struct error *err)
{
	int64_t end_ms = clock_monotonic_ms() + ms, left_ms = ms;
	int	rc;

	for (;;) {
		rc = take_status(trigger, status, err);
		if (rc != 0 || left_ms <= 0)
			return rc;
		if (wait_process(trigger, left_ms, err) == -1)
			return -1;
		left_ms = end_ms - clock_monotonic_ms();
	}
}

/* A thread's: waits for the end of a process that nobody asks for any more. */
static void *
take_end(void *ctx)
{
	(void)waitpid((pid_t)(intptr_t)ctx, NULL, 0);
	return NULL;
}

/* All signals are for the other threads. */
static int
start_reaper(pid_t pid)
{
	pthread_attr_t attributes;
	pthread_t      thread;
	sigset_t       all;
	int	       code;

	(void)sigfillset(&all);
	if (pthread_attr_init(&attributes) != 0)
		xalloc_end();
	code = pthread_attr_setsigmask_np(&attributes, &all);
	if (code == 0)
		code = pthread_attr_setdetachstate(&attributes,
		    PTHREAD_CREATE_DETACHED);
	if (code == 0)
		code = pthread_create(&thread, &attributes, take_end,
		    (void *)(intptr_t)pid);
	(void)pthread_attr_destroy(&attributes);
	return code;
}

void
trigger_leave(struct trigger *trigger)
{
	int code = 0;

	(void)close(trigger->out_fd);
	if (trigger->pid_fd != -1)
		(void)close(trigger->pid_fd);
	if (trigger->pid != 0)
		code = start_reaper(trigger->pid);
	if (code != 0)
		log_warn("process %ld: its end will not be taken notice of: %s",
		    (long)trigger->pid, strerror(code));
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
trigger_start(char *const command[], const char *job_id, struct trigger *out,
    struct error *err)
{
	char *more = NULL;
	int   rc;

	out->out_fd = open_output(err);
	if (out->out_fd == -1)
		return -1;
	if (job_id != NULL)
		more = xasprintf(JOB_ID_PREFIX "%s", job_id);
	rc = start(command, more, out->out_fd, &out->pid, err);
	free(more);
	if (rc == -1) {
		(void)close(out->out_fd);
		return -1;
	}
	out->pid_fd = pidfd_open(out->pid, 0);
	log_info("started %s as process %ld", command[0], (long)out->pid);
	return 0;
}

int
trigger_run(char *const command[], struct buf *out, int *status,
    struct error *err)
{
	struct trigger trigger;
	int	       rc;

	if (trigger_start(command, NULL, &trigger, err) == -1)
		return -1;
	rc = trigger_wait(&trigger, MAX_TRIGGER_MS, status, err);
	if (rc == 0)
		rc = error_set(err, STATUS_STORE, "process %ld: not waited for"
		    " any longer than %lld hours; it goes on",
		    (long)trigger.pid, MAX_TRIGGER_MS / (60 * 60 * 1000));
	else if (rc == 1) {
		rc = read_output(trigger.out_fd, out, err);
		if (rc == -1)
			(void)error_prefix(err, "%s", command[0]);
	}
	trigger_leave(&trigger);
	return rc;
}
