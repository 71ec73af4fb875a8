#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"
#include "private_file.h"
#include "report.h"
#include "stop.h"
#include "xalloc.h"

/* For everybody: the collector runs as a user of its own. */
#define METRICS_MODE 0644

static int
fail(const char *path, const char *doing, struct error *err)
{
	return error_set(err, STATUS_STORE, "%s: cannot %s: %s", path, doing,
	    strerror(errno));
}

/* A file with that text beside path, to be renamed. */
static int
write_aside(const char *path, char *aside, const struct buf *text,
    struct error *err)
{
	int fd, rc = 0;

	fd = mkostemp(aside, O_CLOEXEC);
	if (fd == -1)
		return fail(path, "write a new one beside it", err);
	if (fchmod(fd, METRICS_MODE) == -1 ||
	    private_file_write(fd, text->data, text->len) == -1 ||
	    fsync(fd) == -1)
		rc = fail(path, "write a new one beside it", err);
	(void)close(fd);
	if (rc == 0 && rename(aside, path) == -1)
		rc = fail(path, "replace it", err);
	if (rc == -1)
		(void)unlink(aside);
	return rc;
}

int
report_replace(const char *path, const struct buf *text, struct error *err)
{
	char	    resolved[PATH_MAX];
	struct stat info;
	char	   *aside;
	int	    rc;

	if (text->len > MAX_METRICS_BYTES)
		return error_set(err, STATUS_STORE, "%s: it would be larger"
		    " than %d bytes", path, MAX_METRICS_BYTES);
	/* Through a link the file is replaced, not the link. */
	if (realpath(path, resolved) != NULL)
		path = resolved;
	if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
		return error_set(err, STATUS_STORE, "%s: is no file, and is not"
		    " replaced by one", path);
	aside = xasprintf("%s.XXXXXX", path);
	rc = write_aside(path, aside, text, err);
	free(aside);
	return rc;
}

/* What the file at path says of the last finished run of the store; false: it
 * does not say, or cannot be read. */
static bool
read_last(const char *path, const char *labels, struct metrics_last *last)
{
	struct buf old = { 0 };
	ssize_t	   n;
	bool	   is_found;
	int	   fd;

	/* A named pipe must not make anyone wait. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return false;
	n = private_file_read(fd, buf_reserve(&old, MAX_METRICS_BYTES + 1),
	    MAX_METRICS_BYTES + 1);
	(void)close(fd);
	is_found = n >= 0 && n <= MAX_METRICS_BYTES;
	if (is_found) {
		old.data[n] = '\0';
		is_found = metrics_last_find((const char *)old.data, labels,
		    last);
	}
	buf_clear(&old);
	return is_found;
}

/* Best the store says it, else the run itself, else the one before. */
static bool
find_last(const char *path, const char *labels, const struct job *job,
    const struct store_versions *versions, struct metrics_last *last)
{
	if (versions != NULL) {
		*last = (struct metrics_last){ versions->finished,
			versions->finished_at_ms };
		return true;
	}
	if (job->state == JOB_COMPLETED && job->has_result) {
		*last = (struct metrics_last){ job->result.version,
			job->ended_at_ms };
		return true;
	}
	return read_last(path, labels, last);
}

static void
write_metrics(const struct options *opts, const struct job *job,
    const struct store_versions *versions)
{
	const char	   *path = opts->metrics_file;
	struct metrics_last last;
	struct error	    err;
	struct buf	    text = { 0 };
	char		   *name, *labels;
	bool		    has_last;

	name = store_place_name(&opts->store);
	labels = report_labels(name);
	has_last = find_last(path, labels, job, versions, &last);
	report_metrics(&text, labels, job, has_last ? &last : NULL);
	if (report_replace(path, &text, &err) == -1)
		log_warn("--metrics-file: %s; the run is as it is", err.text);
	buf_clear(&text);
	free(labels);
	free(name);
}

void
report_run(const struct options *opts, const struct job *job,
    const struct store_versions *versions)
{
	struct error err;

	if (opts->metrics_file != NULL)
		write_metrics(opts, job, versions);
	if (opts->notify_command == NULL)
		return;
	stop_renew();
	if (notify_run(opts->notify_command, job, MAX_NOTIFY_MS, &err) == -1)
		log_warn("--notify-command: %s; the run is as it is", err.text);
}
