#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "log.h"
#include "trigger.h"
#include "xalloc.h"

int
trigger_wait(struct trigger *trigger, int64_t ms, int *status,
    struct error *err)
{
	switch (child_wait(trigger->pid, clock_monotonic_ms() + ms, status)) {
	case CHILD_ENDED:
		trigger->pid = 0;
		return 1;
	case CHILD_LATE:
		return 0;
	case CHILD_SIGNALLED:
		return error_set(err, STATUS_STORE, "process %ld: not waited"
		    " for, because this process is to end; it goes on",
		    (long)trigger->pid);
	case CHILD_LOST:
		break;
	}
	return error_set(err, STATUS_STORE, "process %ld: waiting for its end:"
	    " %s", (long)trigger->pid, strerror(errno));
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

/* Starts it with its standard output on out->out_fd. */
static int
start(char *const command[], char *more, struct trigger *out,
    struct error *err)
{
	char  *added[] = { more, NULL };
	char **environment;
	int    rc;

	environment = child_environment("NOMPD_*", added);
	rc = child_start(&(struct child){ .command = command,
	    .environment = environment, .in_fd = -1, .out_fd = out->out_fd },
	    &out->pid, err);
	free((void *)environment);
	return rc;
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
		more = xasprintf("NOMPD_JOB_ID=%s", job_id);
	rc = start(command, more, out, err);
	free(more);
	if (rc == -1)
		(void)close(out->out_fd);
	return rc;
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
