/* A job as nompd-sync(1), nompd-api(7) and a notify command have it. */
#include <jansson.h>

#include "clock.h"
#include "job.h"
#include "xalloc.h"

static json_t *
whole(json_t *value)
{
	if (value == NULL)
		xalloc_end();
	return value;
}

static json_t *
time_of(int64_t ms)
{
	char text[CLOCK_TEXT_BYTES];

	if (ms == 0)
		return json_null();
	clock_format(ms, text);
	return whole(json_string(text));
}

/* -1 stands for what there is not. */
static json_t *
number_of(int64_t number)
{
	return number == -1 ? json_null() : whole(json_integer(number));
}

static json_t *
counts_of(const struct job *job)
{
	const struct job_count *count;
	json_t		       *list = whole(json_array());
	size_t			i;

	for (i = 0; i < job->n_counts; i++) {
		count = &job->counts[i];
		if (json_array_append_new(list, whole(json_pack(
		    "{s:s, s:o, s:o, s:o, s:o}", "collection", count->name,
		    "fetched", number_of(count->fetched),
		    "expected", number_of(count->expected),
		    "processed", number_of(count->processed),
		    "written", number_of(count->written)))) == -1)
			xalloc_end();
	}
	return list;
}

static json_t *
abort_of(const struct job *job)
{
	if (job->abort_at_ms == 0)
		return json_null();
	return whole(json_pack("{s:o, s:s, s:s}", "at",
	    time_of(job->abort_at_ms), "by", job->abort_by,
	    "reason", job->abort_reason));
}

static json_t *
error_of(const struct job *job)
{
	if (job->error.status == STATUS_OK)
		return json_null();
	return whole(json_pack("{s:i, s:s}", "status",
	    (int)job->error.status, "text", job->error.text));
}

static json_t *
result_of(const struct job *job)
{
	const struct run_result *result = &job->result;

	if (!job->has_result)
		return json_null();
	return whole(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}",
	    "version", (json_int_t)result->version,
	    "added", (json_int_t)result->added,
	    "updated", (json_int_t)result->updated,
	    "unchanged", (json_int_t)result->unchanged,
	    "deleted", (json_int_t)result->deleted,
	    "durationMs", (json_int_t)result->duration_ms));
}

json_t *
job_to_json(const struct job *job)
{
	return whole(json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:I, s:s,"
	    " s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o}",
	    "id", job->id,
	    "state", job_state_name(job->state),
	    "lost", (int)job->is_lost,
	    "stage", job_stage_name(job->stage),
	    "command", job->command,
	    "host", job->host,
	    "process", (json_int_t)job->process,
	    "programVersion", job->program_version,
	    "createdAt", time_of(job->created_at_ms),
	    "startedAt", time_of(job->started_at_ms),
	    "renewedAt", time_of(job->renewed_at_ms),
	    "endedAt", time_of(job->ended_at_ms),
	    "retries", (json_int_t)job->retries,
	    "collections", counts_of(job),
	    "abort", abort_of(job),
	    "error", error_of(job),
	    "result", result_of(job)));
}
