/* How the metrics file is replaced. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "private_file.h"
#include "report.h"
#include "xalloc.h"

/* For everybody: the collector runs as a user of its own. */
#define METRICS_MODE 0644

/* How often it is looked whether another run has written its own. */
#define ASIDE_POLL_NS 20000000

static int
fail(const char *path, const char *doing, struct error *err)
{
	return error_set(err, STATUS_STORE, "%s: cannot %s: %s", path, doing,
	    strerror(errno));
}

int
report_may_replace(const char *path, struct error *err)
{
	char	    start[sizeof(METRICS_OF_RUN)];
	struct stat info;
	ssize_t	    n;
	int	    fd;

	/* A named pipe must not make anyone wait. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1)
		return fail(path, "see whether it may be replaced", err);
	/* report_replace() has more to say of what is no file. */
	if (fstat(fd, &info) == 0 && !S_ISREG(info.st_mode)) {
		(void)close(fd);
		return 0;
	}
	n = private_file_read(fd, start, strlen(METRICS_OF_RUN));
	(void)close(fd);
	if (n == -1)
		return fail(path, "see whether it may be replaced", err);
	if (n == 0 || (n == (ssize_t)strlen(METRICS_OF_RUN) &&
	    memcmp(start, METRICS_OF_RUN, (size_t)n) == 0))
		return 0;
	return error_set(err, STATUS_STORE, "%s: is no metrics file of ours,"
	    " and is not overwritten; name another one", path);
}

/* The file that path leads to, there or not; the caller frees it. */
static char *
follow_links(const char *path, struct error *err)
{
	char	target[PATH_MAX];
	char   *at = xstrdup(path), *next, *copy;
	ssize_t n;
	int	i;

	for (i = 0; i < MAX_METRICS_LINKS; i++) {
		n = readlink(at, target, sizeof(target) - 1);
		if (n == -1)
			return at;
		target[n] = '\0';
		copy = xstrdup(at);
		next = target[0] == '/' ? xstrdup(target) :
		    xasprintf("%s/%s", dirname(copy), target);
		free(copy);
		free(at);
		at = next;
	}
	free(at);
	errno = ELOOP;
	(void)fail(path, "follow it", err);
	return NULL;
}

/* Beside path; hidden, and with an ending that no collector takes. */
static char *
name_aside(const char *path)
{
	char *folder = xstrdup(path), *name = xstrdup(path);
	char *aside;

	aside = xasprintf("%s/.%s.nompd-new", dirname(folder), basename(name));
	free(name);
	free(folder);
	return aside;
}

/* 1: fd is locked and is the file at aside; 0: somebody else's, or gone by now;
 * -1: it is nothing that a run has left. */
static int
lock_aside(int fd, const char *aside)
{
	struct stat mine, there;

	if (fstat(fd, &mine) == -1)
		return -1;
	/* Whoever may write in the folder must not have us write elsewhere. */
	if (!S_ISREG(mine.st_mode) || mine.st_uid != geteuid() ||
	    mine.st_nlink > 1) {
		errno = EEXIST;
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		return errno == EWOULDBLOCK ? 0 : -1;
	return lstat(aside, &there) == 0 && there.st_dev == mine.st_dev &&
	    there.st_ino == mine.st_ino;
}

/*
 * Opens the file at aside, empty and locked until it is closed: one that a
 * killed run has left is taken, one that a run is writing is waited for.
 */
static int
open_aside(const char *aside)
{
	struct timespec pause = { .tv_nsec = ASIDE_POLL_NS };
	int64_t		end_ms = clock_monotonic_ms() + MAX_ASIDE_WAIT_MS;
	int		fd, rc;

	for (;;) {
		fd = open(aside, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC |
		    O_NOCTTY | O_NONBLOCK, 0600);
		if (fd == -1)
			return -1;
		rc = lock_aside(fd, aside);
		if (rc == 1 && ftruncate(fd, 0) == 0)
			return fd;
		if (rc == 0 && clock_monotonic_ms() >= end_ms) {
			errno = EBUSY;
			rc = -1;
		}
		(void)close(fd);
		if (rc != 0)
			return -1;
		(void)nanosleep(&pause, NULL);
	}
}

/* The lock is held until the name is free again: who gets it then sees that it
 * has another file than the one there. */
static int
write_aside(const char *path, const char *aside, const struct buf *text,
    struct error *err)
{
	int fd, rc = 0;

	fd = open_aside(aside);
	if (fd == -1 && (errno == EEXIST || errno == ELOOP))
		return error_set(err, STATUS_STORE, "%s: no run has left %s;"
		    " look at it, and remove it", path, aside);
	if (fd == -1)
		return fail(path, "write a new one beside it", err);
	if (fchmod(fd, METRICS_MODE) == -1 ||
	    private_file_write(fd, text->data, text->len) == -1 ||
	    fsync(fd) == -1)
		rc = fail(path, "write a new one beside it", err);
	if (rc == 0 && rename(aside, path) == -1)
		rc = fail(path, "replace it", err);
	if (rc == -1)
		(void)unlink(aside);
	(void)close(fd);
	return rc;
}

int
report_replace(const char *path, const struct buf *text, struct error *err)
{
	struct stat info;
	char	   *target, *aside;
	int	    rc;

	if (text->len > MAX_METRICS_BYTES)
		return error_set(err, STATUS_STORE, "%s: it would be larger"
		    " than %d bytes", path, MAX_METRICS_BYTES);
	if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
		return error_set(err, STATUS_STORE, "%s: is no file, and is not"
		    " replaced by one", path);
	target = follow_links(path, err);
	if (target == NULL)
		return -1;
	aside = name_aside(target);
	rc = write_aside(target, aside, text, err);
	free(aside);
	free(target);
	return rc;
}
