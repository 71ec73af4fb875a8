#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "job.h"
#include "job_print.h"
#include "xalloc.h"

/* Wide enough for ids that are made here; a longer one moves its row. */
#define ID_COLUMNS    25
#define STATE_COLUMNS 14
#define STAGE_COLUMNS 10
#define TIME_COLUMNS  20
#define TOOK_COLUMNS  12
/* A block's names, and a count in its table. */
#define NAME_COLUMNS  12
#define COUNT_COLUMNS 10

#define MS_PER_SECOND 1000
#define MS_PER_MINUTE (60 * MS_PER_SECOND)
#define MS_PER_HOUR   (60 * MS_PER_MINUTE)
#define MS_PER_DAY    (24 * MS_PER_HOUR)
/* Up to here hours are told. */
#define MAX_TOLD_HOURS 48

void
job_print_duration(struct buf *out, int64_t ms)
{
	if (ms < 0)
		ms = 0;
	if (ms < MS_PER_MINUTE)
		buf_print(out, "%" PRId64 ".%" PRId64 " s", ms / MS_PER_SECOND,
		    ms % MS_PER_SECOND / 100);
	else if (ms < MS_PER_HOUR)
		buf_print(out, "%" PRId64 " min %" PRId64 " s",
		    ms / MS_PER_MINUTE, ms % MS_PER_MINUTE / MS_PER_SECOND);
	else if (ms < MAX_TOLD_HOURS * (int64_t)MS_PER_HOUR)
		buf_print(out, "%" PRId64 " h %" PRId64 " min",
		    ms / MS_PER_HOUR, ms % MS_PER_HOUR / MS_PER_MINUTE);
	else
		buf_print(out, "%" PRId64 " d %" PRId64 " h",
		    ms / MS_PER_DAY, ms % MS_PER_DAY / MS_PER_HOUR);
}

const char *
job_print_state(const struct job *job)
{
	if (job->is_lost && job->state == JOB_FAILED)
		return "Failed (lost)";
	return job_state_name(job->state);
}

/* Appends text to its first line break, or all of it with the further lines
 * indented by so many columns. */
static void
append_clean(struct buf *out, const char *text, int indent)
{
	size_t len;

	for (; *text != '\0'; text += len > 0 ? len : 1) {
		len = text_control_len(text);
		if (*text != '\n')
			buf_append_byte(out, len > 0 ? '?' : (uint8_t)*text);
		else if (indent == 0)
			return;
		else
			buf_print(out, "\n%*s", indent, "");
	}
}

void
job_print_text(struct buf *out, const char *text)
{
	append_clean(out, text, 0);
}

void
job_print_line(struct buf *out, const char *name, const char *text)
{
	buf_print(out, "%-*s", NAME_COLUMNS, name);
	append_clean(out, text, NAME_COLUMNS);
	buf_append_byte(out, '\n');
}

/* The line, and what it allocated. */
static void
take_line(struct buf *out, const char *name, char *text)
{
	job_print_line(out, name, text);
	free(text);
}

static void
print_time(struct buf *out, const char *name, int64_t ms)
{
	char text[CLOCK_TEXT_BYTES];

	if (ms == 0)
		return;
	clock_format_seconds(ms, text);
	job_print_line(out, name, text);
}

/* How long it works or has worked, or waits for its turn or has waited. */
static int64_t
duration_of(const struct job *job, int64_t now_ms)
{
	int64_t from_ms = job->started_at_ms != 0 ? job->started_at_ms :
	    job->created_at_ms;
	int64_t to_ms = job_is_active(job) ? now_ms : job->ended_at_ms;

	/* What a ledger holds may be anything. */
	return from_ms > 0 && to_ms > 0 ? to_ms - from_ms : 0;
}

static void
print_duration(struct buf *out, const struct job *job, int64_t now_ms)
{
	const char *name = job->started_at_ms == 0 ? "waited" : "took";

	if (job_is_active(job))
		name = job->started_at_ms == 0 ? "waiting" : "running";
	buf_print(out, "%-*s", NAME_COLUMNS, name);
	job_print_duration(out, duration_of(job, now_ms));
	buf_append_byte(out, '\n');
}

static void
print_abort(struct buf *out, const struct job *job)
{
	char time[CLOCK_TEXT_BYTES];

	if (job->abort_at_ms == 0)
		return;
	clock_format_seconds(job->abort_at_ms, time);
	take_line(out, "abort", xasprintf("asked for at %s by %s%s%s", time,
	    job->abort_by, job->abort_reason[0] != '\0' ? ": " : "",
	    job->abort_reason));
}

static void
print_end(struct buf *out, const struct job *job)
{
	const struct run_result *result = &job->result;

	if (job->error.status != STATUS_OK)
		take_line(out, "error", xasprintf("status %d: %s",
		    (int)job->error.status, job->error.text));
	if (job->has_result)
		take_line(out, "result", xasprintf("version %" PRId64 ": %"
		    PRIu64 " added, %" PRIu64 " updated, %" PRIu64
		    " unchanged, %" PRIu64 " deleted", result->version,
		    result->added, result->updated, result->unchanged,
		    result->deleted));
}

void
job_print_block(struct buf *out, const struct job *job, uint64_t ahead,
    int64_t now_ms)
{
	job_print_line(out, "job", job->id);
	if (job->state == JOB_QUEUED)
		take_line(out, "state", xasprintf("%s, %" PRIu64 " before it",
		    job_print_state(job), ahead));
	else
		job_print_line(out, "state", job_print_state(job));
	job_print_line(out, "stage", job_stage_name(job->stage));
	take_line(out, "command", xasprintf("%s, process %" PRId64
	    " on %s, version %s", job->command, job->process, job->host,
	    job->program_version));
	print_time(out, "created at", job->created_at_ms);
	print_time(out, "started at", job->started_at_ms);
	print_time(out, "seen at", job_is_active(job) ? job->renewed_at_ms :
	    0);
	print_time(out, "ended at", job->ended_at_ms);
	print_duration(out, job, now_ms);
	take_line(out, "retries", xasprintf("%" PRIu64, job->retries));
	print_abort(out, job);
	print_end(out, job);
}

/* -1 stands for what there is not. */
static void
print_count(struct buf *out, int64_t count)
{
	if (count == -1)
		buf_print(out, "  %*s", COUNT_COLUMNS, "-");
	else
		buf_print(out, "  %*" PRId64, COUNT_COLUMNS, count);
}

void
job_print_counts(struct buf *out, const struct job *job)
{
	const struct job_count *count;
	size_t			width = strlen("COLLECTION"), len, i;

	if (job->n_counts == 0)
		return;
	for (i = 0; i < job->n_counts; i++) {
		len = strlen(job->counts[i].name);
		width = len > width ? len : width;
	}
	buf_print(out, "\n%-*s  %*s  %*s  %*s  %*s\n", (int)width,
	    "COLLECTION", COUNT_COLUMNS, "FETCHED", COUNT_COLUMNS, "EXPECTED",
	    COUNT_COLUMNS, "PROCESSED", COUNT_COLUMNS, "WRITTEN");
	for (i = 0; i < job->n_counts; i++) {
		count = &job->counts[i];
		append_clean(out, count->name, 0);
		buf_print(out, "%*s", (int)(width - strlen(count->name)), "");
		print_count(out, count->fetched);
		print_count(out, count->expected);
		print_count(out, count->processed);
		print_count(out, count->written);
		buf_append_byte(out, '\n');
	}
}

void
job_print_head(struct buf *out)
{
	buf_print(out, "%-*s  %-*s  %-*s  %-*s  %*s  %7s  %s\n", ID_COLUMNS,
	    "JOB", STATE_COLUMNS, "STATE", STAGE_COLUMNS, "STAGE",
	    TIME_COLUMNS, "CREATED AT", TOOK_COLUMNS, "TOOK", "VERSION",
	    "ERROR");
}

/* What stands in a row behind the time. */
static void
print_outcome(struct buf *out, const struct job *job, int64_t now_ms)
{
	struct buf took = { 0 };

	job_print_duration(&took, duration_of(job, now_ms));
	buf_print(out, "  %*.*s", TOOK_COLUMNS, (int)took.len,
	    (const char *)took.data);
	buf_clear(&took);
	if (job->has_result)
		buf_print(out, "  %7" PRId64, job->result.version);
	else
		buf_print(out, "  %7s", "-");
	if (job->error.status == STATUS_OK)
		return;
	buf_print(out, "  %d: ", (int)job->error.status);
	append_clean(out, job->error.text, 0);
}

void
job_print_row(struct buf *out, const struct job *job, int64_t now_ms)
{
	char   time[CLOCK_TEXT_BYTES] = "-";
	size_t start = out->len;

	if (job->created_at_ms != 0)
		clock_format_seconds(job->created_at_ms, time);
	append_clean(out, job->id, 0);
	if (out->len - start < ID_COLUMNS)
		buf_print(out, "%*s", (int)(ID_COLUMNS - (out->len - start)),
		    "");
	buf_print(out, "  %-*s  %-*s  %-*s", STATE_COLUMNS,
	    job_print_state(job), STAGE_COLUMNS, job_stage_name(job->stage),
	    TIME_COLUMNS, time);
	print_outcome(out, job, now_ms);
	buf_append_byte(out, '\n');
}
