#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "json_text.h"
#include "notify.h"
#include "private_file.h"
#include "xalloc.h"

/* The job as a line; the caller frees it. */
static char *
line_of(const struct job *job)
{
	char *text = json_text(job_to_json(job)), *line;

	line = xasprintf("%s\n", text);
	free(text);
	return line;
}

/*
 * A file in memory, not a pipe: a pipe makes us wait for who does not read, and
 * fails when he has gone.
 */
static int
open_input(const struct job *job, struct error *err)
{
	char *line = line_of(job);
	int   fd;

	fd = memfd_create("nompd-sync-job", MFD_CLOEXEC);
	if (fd == -1 || private_file_write(fd, line, strlen(line)) == -1 ||
	    lseek(fd, 0, SEEK_SET) == -1) {
		(void)error_set(err, STATUS_STORE, "cannot make room for the"
		    " job: %s", strerror(errno));
		if (fd != -1)
			(void)close(fd);
		fd = -1;
	}
	free(line);
	return fd;
}

static int
start(char *const command[], const struct job *job, int in_fd, pid_t *pid,
    struct error *err)
{
	char **environment, *added[4] = { NULL };
	size_t i;
	int    rc;

	added[0] = xasprintf("SYNC_JOB_ID=%s", job->id);
	added[1] = xasprintf("SYNC_JOB_STATE=%s", job_state_name(job->state));
	added[2] = xasprintf("SYNC_EXIT_STATUS=%d", (int)job->error.status);
	environment = child_environment(NULL, added);
	rc = child_start(&(struct child){ .command = command,
	    .environment = environment, .in_fd = in_fd,
	    .out_fd = STDERR_FILENO }, pid, err);
	free((void *)environment);
	for (i = 0; added[i] != NULL; i++)
		free(added[i]);
	return rc;
}

/* Until it has ended, by itself or by us. */
static int
finish(const char *name, pid_t pid, int64_t limit_ms, struct error *err)
{
	int status = 0;

	switch (child_wait(pid, clock_monotonic_ms() + limit_ms, &status)) {
	case CHILD_ENDED:
		return status == 0 ? 0 : error_set(err, STATUS_STORE,
		    "%s has ended with status %d", name, status);
	case CHILD_LATE:
		child_kill(pid, MAX_NOTIFY_GRACE_MS);
		return error_set(err, STATUS_STORE, "%s had not ended in %.1f s"
		    " and was ended", name, (double)limit_ms / 1000);
	case CHILD_SIGNALLED:
		child_kill(pid, MAX_NOTIFY_GRACE_MS);
		return error_set(err, STATUS_STORE, "%s was ended, because this"
		    " process is to end", name);
	case CHILD_LOST:
		break;
	}
	return error_set(err, STATUS_STORE, "%s: waiting for its end: %s", name,
	    strerror(errno));
}

int
notify_run(char *const command[], const struct job *job, int64_t limit_ms,
    struct error *err)
{
	pid_t pid;
	int   fd, rc;

	/* Who started us may have said that nobody waits for children; then
	 * nobody could. */
	(void)signal(SIGCHLD, SIG_DFL);
	fd = open_input(job, err);
	if (fd == -1)
		return -1;
	rc = start(command, job, fd, &pid, err);
	(void)close(fd);
	return rc == -1 ? -1 : finish(command[0], pid, limit_ms, err);
}
