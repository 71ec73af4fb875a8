/* A job as the ledger keeps it (nompd-store(7), SyncJobs). */
#include <stdio.h>
#include <string.h>

#include "job.h"
#include "store.h"
#include "xalloc.h"

/* Exit statuses are bytes. */
#define MAX_STATUS 255

/* libbson gives false only when a document would be too large for BSON; a job
 * has at most a row for each collection. */
static void
must(bool is_appended)
{
	if (!is_appended)
		xalloc_end();
}

static void
append_time(bson_t *doc, const char *name, int64_t ms)
{
	if (ms != 0)
		must(BSON_APPEND_DATE_TIME(doc, name, ms));
}

static void
append_text(bson_t *doc, const char *name, const char *text)
{
	must(BSON_APPEND_UTF8(doc, name, text));
}

/* -1 stands for what there is not. */
static void
append_number(bson_t *doc, const char *name, int64_t number)
{
	if (number != -1)
		must(BSON_APPEND_INT64(doc, name, number));
}

static void
append_counts(bson_t *doc, const struct job *job)
{
	const struct job_count *count;
	bson_t			all, one;
	size_t			i;

	must(BSON_APPEND_DOCUMENT_BEGIN(doc, "Collections", &all));
	for (i = 0; i < job->n_counts; i++) {
		count = &job->counts[i];
		must(BSON_APPEND_DOCUMENT_BEGIN(&all, count->name, &one));
		append_number(&one, "Fetched", count->fetched);
		append_number(&one, "Expected", count->expected);
		append_number(&one, "Processed", count->processed);
		append_number(&one, "Written", count->written);
		must(bson_append_document_end(&all, &one));
	}
	must(bson_append_document_end(doc, &all));
}

static void
append_error(bson_t *doc, const struct error *err)
{
	bson_t one;

	if (err->status == STATUS_OK)
		return;
	must(BSON_APPEND_DOCUMENT_BEGIN(doc, "Error", &one));
	append_number(&one, "Status", (int64_t)err->status);
	append_text(&one, "Text", err->text);
	must(bson_append_document_end(doc, &one));
}

static void
append_result(bson_t *doc, const struct run_result *result)
{
	bson_t one;

	must(BSON_APPEND_DOCUMENT_BEGIN(doc, "Result", &one));
	append_number(&one, "Version", result->version);
	append_number(&one, "Added", (int64_t)result->added);
	append_number(&one, "Updated", (int64_t)result->updated);
	append_number(&one, "Unchanged", (int64_t)result->unchanged);
	append_number(&one, "Deleted", (int64_t)result->deleted);
	append_number(&one, "DurationMs", result->duration_ms);
	must(bson_append_document_end(doc, &one));
}

void
job_to_bson(const struct job *job, bson_t *out)
{
	bson_init(out);
	append_text(out, "Command", job->command);
	append_text(out, "Host", job->host);
	append_number(out, "Process", job->process);
	append_text(out, "ProgramVersion", job->program_version);
	append_time(out, "CreatedAt", job->created_at_ms);
	append_time(out, "StartedAt", job->started_at_ms);
	append_time(out, "EndedAt", job->ended_at_ms);
	append_text(out, "Stage", job_stage_name(job->stage));
	append_number(out, "Retries", (int64_t)job->retries);
	append_counts(out, job);
	append_error(out, &job->error);
	if (job->is_lost)
		must(BSON_APPEND_BOOL(out, "Lost", true));
	if (job->has_result)
		append_result(out, &job->result);
}

static int64_t
number_of(const bson_t *doc, const char *name, int64_t none)
{
	bson_iter_t iter;

	if (!bson_iter_init_find(&iter, doc, name) ||
	    !BSON_ITER_HOLDS_INT(&iter))
		return none;
	return bson_iter_as_int64(&iter);
}

/* What is counted is never negative. */
static int64_t
count_of(const bson_t *doc, const char *name, int64_t none)
{
	int64_t number = number_of(doc, name, none);

	return number >= 0 ? number : none;
}

static int64_t
time_of(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	if (!bson_iter_init_find(&iter, doc, name) ||
	    !BSON_ITER_HOLDS_DATE_TIME(&iter))
		return 0;
	return bson_iter_date_time(&iter);
}

static void
take_text(char *out, size_t size, const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	out[0] = '\0';
	if (bson_iter_init_find(&iter, doc, name) &&
	    BSON_ITER_HOLDS_UTF8(&iter))
		text_copy(out, size, bson_iter_utf8(&iter, NULL));
}

static bool
find_document(const bson_t *doc, const char *name, bson_t *out)
{
	bson_iter_t    iter;
	const uint8_t *data;
	uint32_t       len;

	if (!bson_iter_init_find(&iter, doc, name) ||
	    !BSON_ITER_HOLDS_DOCUMENT(&iter))
		return false;
	bson_iter_document(&iter, &len, &data);
	return bson_init_static(out, data, len);
}

static void
take_count(struct job *job, const bson_iter_t *at)
{
	struct job_count *count;
	const uint8_t	 *data;
	uint32_t	  len;
	bson_t		  one;

	if (!BSON_ITER_HOLDS_DOCUMENT(at) || job->n_counts == MAX_COLLECTIONS)
		return;
	bson_iter_document(at, &len, &data);
	if (!bson_init_static(&one, data, len))
		return;
	job->counts = xrealloc(job->counts,
	    (job->n_counts + 1) * sizeof(*job->counts));
	count = &job->counts[job->n_counts++];
	text_copy(count->name, sizeof(count->name), bson_iter_key(at));
	count->fetched = count_of(&one, "Fetched", -1);
	count->expected = count_of(&one, "Expected", -1);
	count->processed = count_of(&one, "Processed", 0);
	count->written = count_of(&one, "Written", 0);
}

static void
take_counts(struct job *job, const bson_t *doc)
{
	bson_iter_t iter;
	bson_t	    all;

	if (!find_document(doc, "Collections", &all) ||
	    !bson_iter_init(&iter, &all))
		return;
	while (bson_iter_next(&iter))
		take_count(job, &iter);
}

static enum job_stage
find_stage(const bson_t *doc)
{
	char text[MAX_JOB_WORD + 1];
	int  i;

	take_text(text, sizeof(text), doc, "Stage");
	for (i = 0; i < JOB_STAGE__MAX; i++) {
		if (strcmp(text, job_stage_name(i)) == 0)
			return (enum job_stage)i;
	}
	return JOB_STAGE_WAITING;
}

static void
take_result(struct job *job, const bson_t *doc)
{
	struct run_result *result = &job->result;
	bson_t		   one;

	job->has_result = find_document(doc, "Result", &one);
	if (!job->has_result)
		return;
	result->version = count_of(&one, "Version", 0);
	result->added = (uint64_t)count_of(&one, "Added", 0);
	result->updated = (uint64_t)count_of(&one, "Updated", 0);
	result->unchanged = (uint64_t)count_of(&one, "Unchanged", 0);
	result->deleted = (uint64_t)count_of(&one, "Deleted", 0);
	result->duration_ms = count_of(&one, "DurationMs", 0);
}

static void
take_error(struct error *err, const bson_t *doc)
{
	bson_t	one;
	int64_t status;

	if (!find_document(doc, "Error", &one))
		return;
	status = count_of(&one, "Status", STATUS_OK);
	if (status <= MAX_STATUS)
		err->status = (enum status)status;
	take_text(err->text, sizeof(err->text), &one, "Text");
}

void
job_from_bson(struct job *job, const bson_t *doc)
{
	bson_iter_t iter;

	job->is_lost = bson_iter_init_find(&iter, doc, "Lost") &&
	    BSON_ITER_HOLDS_BOOL(&iter) && bson_iter_bool(&iter);
	take_text(job->command, sizeof(job->command), doc, "Command");
	take_text(job->host, sizeof(job->host), doc, "Host");
	take_text(job->program_version, sizeof(job->program_version), doc,
	    "ProgramVersion");
	job->process = number_of(doc, "Process", 0);
	job->created_at_ms = time_of(doc, "CreatedAt");
	job->started_at_ms = time_of(doc, "StartedAt");
	job->ended_at_ms = time_of(doc, "EndedAt");
	job->stage = find_stage(doc);
	job->retries = (uint64_t)count_of(doc, "Retries", 0);
	take_counts(job, doc);
	take_error(&job->error, doc);
	take_result(job, doc);
}
