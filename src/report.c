#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"
#include "private_file.h"
#include "report.h"
#include "stop.h"
#include "xalloc.h"

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

/* Best the store says it, else the run itself when it has fetched, else the one
 * before. */
static bool
find_last(const char *path, const char *labels, const struct job *job,
    const struct metrics_last *known, struct metrics_last *last)
{
	if (known != NULL) {
		*last = *known;
		return true;
	}
	if (job->state == JOB_COMPLETED && job->has_result &&
	    strcmp(job->command, JOB_COMMAND_RUN) == 0) {
		*last = (struct metrics_last){ job->result.version,
			job->ended_at_ms };
		return true;
	}
	return read_last(path, labels, last);
}

static void
write_metrics(const struct options *opts, const struct job *job,
    const struct metrics_last *known)
{
	const char	   *path = opts->metrics_file;
	struct metrics_last last;
	struct error	    err;
	struct buf	    text = { 0 };
	char		   *name, *labels;
	bool		    has_last;

	name = store_place_name(&opts->store);
	labels = report_labels(name);
	has_last = find_last(path, labels, job, known, &last);
	report_metrics(&text, labels, job, has_last ? &last : NULL);
	if (report_may_replace(path, &err) == -1 ||
	    report_replace(path, &text, &err) == -1)
		log_warn("--metrics-file: %s; the run is as it is", err.text);
	buf_clear(&text);
	free(labels);
	free(name);
}

void
report_run(const struct options *opts, const struct job *job,
    const struct metrics_last *last)
{
	struct error err;

	if (opts->metrics_file != NULL)
		write_metrics(opts, job, last);
	if (opts->notify_command == NULL)
		return;
	stop_renew();
	if (notify_run(opts->notify_command, job, MAX_NOTIFY_MS, &err) == -1)
		log_warn("--notify-command: %s; the run is as it is", err.text);
}
