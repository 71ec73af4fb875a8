/* The metrics of a run (nompd-sync(1), METRICS). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "text.h"
#include "xalloc.h"

/* How a run may end. */
static const enum job_state ends[] = { JOB_COMPLETED, JOB_HELD, JOB_FAILED,
	JOB_ABORTED };

/* label="value" behind what is there; the caller frees it. */
static char *
with_label(const char *labels, const char *label, const char *value)
{
	struct buf text = { 0 };
	char	  *out;

	buf_print(&text, "%s%s%s=\"", labels, labels[0] != '\0' ? "," : "",
	    label);
	metrics_escape(&text, value);
	buf_append(&text, "\"", sizeof("\""));
	out = xstrdup((const char *)text.data);
	buf_clear(&text);
	return out;
}

static void
put_labelled(struct buf *out, const char *name, const char *labels,
    const char *label, const char *value, int64_t number)
{
	char *more = with_label(labels, label, value);

	metrics_number(out, name, more, number);
	free(more);
}

static void
put_one(struct buf *out, const char *labels, const char *name,
    const char *help, int64_t number)
{
	metrics_head(out, name, NULL, help);
	metrics_number(out, name, labels, number);
}

static void
put_times(struct buf *out, const char *labels, const struct job *job)
{
	int64_t duration_ms = job->ended_at_ms - job->created_at_ms;

	metrics_head(out, "nompd_run_end_timestamp_seconds", "seconds",
	    "When the last run ended, however it did (UTC).");
	metrics_seconds(out, "nompd_run_end_timestamp_seconds", labels,
	    job->ended_at_ms);
	metrics_head(out, "nompd_run_duration_seconds", "seconds",
	    "How long that run took, its wait for another one included.");
	metrics_seconds(out, "nompd_run_duration_seconds", labels,
	    duration_ms > 0 && job->created_at_ms > 0 ? duration_ms : 0);
}

static void
put_end(struct buf *out, const char *labels, const struct job *job)
{
	size_t i;

	put_one(out, labels, "nompd_run_success",
	    "1 when that run was published, else 0.",
	    job->state == JOB_COMPLETED);
	put_one(out, labels, "nompd_run_held",
	    "1 when the guard held that run, else 0.",
	    job->state == JOB_HELD);
	put_one(out, labels, "nompd_run_exit_status",
	    "The exit status of that run.", (int64_t)job->error.status);
	metrics_head(out, "nompd_run_state", NULL,
	    "1 for the state in which that run ended, 0 for the others.");
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		put_labelled(out, "nompd_run_state", labels, "state",
		    job_state_name(ends[i]), job->state == ends[i]);
	put_one(out, labels, "nompd_run_retries",
	    "Requests that that run made again.", (int64_t)job->retries);
}

/* -1: there is no such number. */
static void
put_step(struct buf *out, const char *labels, const char *step,
    int64_t number)
{
	if (number != -1)
		put_labelled(out, "nompd_run_records", labels, "step", step,
		    number);
}

static void
put_records(struct buf *out, const char *labels, const struct job *job)
{
	const struct job_count *count;
	char		       *more;
	size_t			i;

	if (job->n_counts == 0)
		return;
	metrics_head(out, "nompd_run_records", NULL, "Records of that run, by"
	    " how far it came with them; expected: as the upstream says.");
	for (i = 0; i < job->n_counts; i++) {
		count = &job->counts[i];
		more = with_label(labels, "collection", count->name);
		put_step(out, more, "fetched", count->fetched);
		put_step(out, more, "expected", count->expected);
		put_step(out, more, "processed", count->processed);
		put_step(out, more, "written", count->written);
		free(more);
	}
}

static void
put_result(struct buf *out, const char *labels, const struct job *job)
{
	static const char	 name[] = "nompd_run_acts";
	const struct run_result *result = &job->result;

	if (!job->has_result)
		return;
	metrics_head(out, name, NULL, "What that run did to records.");
	put_labelled(out, name, labels, "act", "added",
	    (int64_t)result->added);
	put_labelled(out, name, labels, "act", "updated",
	    (int64_t)result->updated);
	put_labelled(out, name, labels, "act", "unchanged",
	    (int64_t)result->unchanged);
	put_labelled(out, name, labels, "act", "deleted",
	    (int64_t)result->deleted);
}

char *
report_labels(const char *store)
{
	char name[MAX_STORE_NAME_BYTES + 1];

	text_copy(name, sizeof(name), store);
	return with_label("", "store", name);
}

void
report_metrics(struct buf *out, const char *labels, const struct job *job,
    const struct metrics_last *last)
{
	/* METRICS_OF_RUN tells by this line that the file is ours. */
	metrics_head(out, "nompd_program_info", NULL,
	    "The program that wrote this.");
	put_labelled(out, "nompd_program_info", labels, "version",
	    NOMPD_VERSION, 1);
	put_times(out, labels, job);
	put_end(out, labels, job);
	put_records(out, labels, job);
	put_result(out, labels, job);
	if (last != NULL)
		metrics_last_put(out, labels, last);
	metrics_end(out);
}
