/* Jobs to report, and a folder and a log to look at. */
#ifndef NOMPD_REPORTLIB_H
#define NOMPD_REPORTLIB_H

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job.h"
#include "log.h"
#include "testlib.h"

#define MAX_READ (1024 * 1024)

static char folder[] = "/tmp/nompd-report-XXXXXX";
static char content[MAX_READ];
static int  saved_stderr = -1;

/* What a file of that name in the folder holds; "" when there is none. */
static inline const char *
read_in_folder(const char *name)
{
	char   *path = xasprintf("%s/%s", folder, name);
	ssize_t n = 0;
	int	fd;

	fd = open(path, O_RDONLY);
	if (fd != -1) {
		n = read(fd, content, sizeof(content) - 1);
		close(fd);
	}
	content[n > 0 ? n : 0] = '\0';
	free(path);
	return content;
}

/* What went to standard error. */
static inline const char *
read_log(void)
{
	return read_in_folder("log");
}

static inline void
setup_report(void)
{
	char *path;
	int   fd;

	(void)snprintf(folder, sizeof(folder), "/tmp/nompd-report-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	path = xasprintf("%s/log", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	ck_assert_int_ne(fd, -1);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	free(path);
	log_init(LOG_LEVEL_WARN, LOG_FORMAT_TEXT, false);
}

/* The folder goes with the files in it. */
static inline void
teardown_report(void)
{
	struct dirent *entry;
	DIR	      *dir;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	ck_assert_int_eq(chmod(folder, 0700), 0);
	dir = opendir(folder);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* A job that ended so; the caller clears it. */
static inline void
make_job(struct job *job, const char *id, enum status status, size_t n_counts)
{
	struct error end = { .status = status };
	size_t	     i;

	if (status != STATUS_OK)
		(void)snprintf(end.text, sizeof(end.text), "it failed");
	*job = (struct job){ 0 };
	job_init(job, id, "run", 1000000000000);
	job->counts = xcalloc(n_counts + 1, sizeof(*job->counts));
	job->n_counts = n_counts;
	for (i = 0; i < n_counts; i++) {
		(void)snprintf(job->counts[i].name,
		    sizeof(job->counts[i].name), "Collection%zu", i);
		job->counts[i].fetched = job->counts[i].expected = -1;
	}
	job_set_end(job, &end, 1000000012500);
}

#endif
