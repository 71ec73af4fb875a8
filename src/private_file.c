#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private_file.h"
#include "xalloc.h"

/* A file that others may read or change guards nothing. */
static int
check(const struct stat *info, long max, enum status status,
    struct error *err)
{
	if (!S_ISREG(info->st_mode))
		return error_set(err, status, "not a file");
	if ((info->st_mode & (S_IWGRP | S_IRWXO)) != 0)
		return error_set(err, status, "open to others (mode"
		    " %04o); chmod 600 it, or 640 for a group that may read",
		    (unsigned)info->st_mode & 07777U);
	if (info->st_size > max)
		return error_set(err, status, "larger than %ld bytes", max);
	return 0;
}

int
private_file_open(const char *path, long max, enum status status,
    struct stat *info, struct error *err)
{
	int fd;

	/* A named pipe must not make anyone wait. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return error_set(err, status, "%s", strerror(errno));
	if (fstat(fd, info) == -1)
		(void)error_set(err, status, "%s", strerror(errno));
	else if (check(info, max, status, err) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

ssize_t
private_file_read(int fd, void *data, size_t size)
{
	size_t	len = 0;
	ssize_t n;

	while (len < size) {
		n = TEMP_FAILURE_RETRY(read(fd, (char *)data + len,
		    size - len));
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int
private_file_write(int fd, const void *data, size_t len)
{
	size_t	done = 0;
	ssize_t n;

	while (done < len) {
		n = TEMP_FAILURE_RETRY(write(fd, (const char *)data + done,
		    len - done));
		if (n == -1)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

/* A new file is there after a crash only if its folder knows it. */
static int
sync_folder(const char *path)
{
	char *copy;
	int   fd, rc;

	copy = xstrdup(path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (fd == -1)
		return -1;
	rc = fsync(fd);
	(void)close(fd);
	return rc;
}

int
private_file_make(const char *path, mode_t mode, const void *data, size_t len,
    struct error *err)
{
	int fd, rc;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1 && errno == EEXIST)
		return error_set(err, STATUS_USAGE, "%s: there is such a file"
		    " already, and none is overwritten; move it away or name"
		    " another", path);
	if (fd == -1)
		return error_set(err, STATUS_STORE, "%s: cannot make it: %s",
		    path, strerror(errno));
	rc = fchmod(fd, mode);
	if (rc == 0)
		rc = private_file_write(fd, data, len);
	if (rc == 0)
		rc = fsync(fd);
	if (rc == 0)
		rc = sync_folder(path);
	if (rc == -1) {
		(void)error_set(err, STATUS_STORE, "%s: cannot write it: %s",
		    path, strerror(errno));
		(void)unlink(path);
	}
	(void)close(fd);
	return rc;
}
