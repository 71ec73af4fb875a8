#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "trigger.h"

/* Starts it with its standard output on out_fd. */
static int
start(char *const command[], int out_fd, pid_t *pid, struct error *err)
{
	char **environment;
	int    rc;

	environment = child_environment("NOMPD_*", NULL);
	rc = child_start(&(struct child){ .command = command,
	    .environment = environment, .in_fd = -1, .out_fd = out_fd }, pid,
	    err);
	free((void *)environment);
	return rc;
}

static int
wait_end(pid_t pid, int *status, struct error *err)
{
	switch (child_wait(pid, clock_monotonic_ms() + MAX_TRIGGER_MS,
	    status)) {
	case CHILD_ENDED:
		return 0;
	case CHILD_LATE:
		return error_set(err, STATUS_STORE, "not waited for any"
		    " longer than %lld hours; it goes on",
		    MAX_TRIGGER_MS / (60 * 60 * 1000));
	case CHILD_SIGNALLED:
		return error_set(err, STATUS_STORE, "not waited for, because"
		    " this process is to end; it goes on");
	case CHILD_LOST:
		break;
	}
	return error_set(err, STATUS_STORE, "waiting for its end: %s",
	    strerror(errno));
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
		rc = wait_end(pid, status, err);
		if (rc == 0)
			rc = read_output(fd, out, err);
		if (rc == -1)
			(void)error_prefix(err, "process %ld", (long)pid);
	}
	(void)close(fd);
	return rc;
}
