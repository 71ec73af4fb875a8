/* The jobs of a store: the latest, one, and the end of one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "jobs.h"
#include "json_text.h"
#include "log.h"
#include "page_int.h"
#include "query.h"
#include "text.h"
#include "xalloc.h"

/* So many jobs are told without a limit=. */
#define DEFAULT_LIMIT 20

#define LIMIT_RULE "limit: want a whole number from 1 to " \
	TEXT_OF(MAX_JOBS_KEPT) ", once."
#define REASON_RULE "reason: want at most " TEXT_OF(MAX_JOB_REASON) \
	" bytes of UTF-8 without control characters, once."
#define NO_JOB "No such job."

/* It is opened for each request: one that is moved away, or made by the first
 * run, is seen; and jobs are not asked for often. */
static int
open_ledger(struct exchange *exchange, bool is_writer, struct jobs **out,
    struct error *err)
{
	return jobs_open(&exchange->service->opts->store, is_writer, out, err);
}

struct list {
	struct buf text;
	uint64_t   count;
};

/* job_fn */
static bool
add_job(void *ctx, const struct job *job)
{
	struct list *list = ctx;
	char	    *text = json_text(job_to_json(job));

	if (list->count++ > 0)
		buf_append_byte(&list->text, ',');
	buf_append(&list->text, text, strlen(text));
	free(text);
	return true;
}

int
page_jobs(struct exchange *exchange, struct error *err)
{
	struct list  list = { .count = 0 };
	struct jobs *jobs;
	int64_t	     limit = DEFAULT_LIMIT;
	int	     rc;

	rc = query_get_int64(exchange->request->query, "limit", &limit);
	if (rc == -1 || limit < 1 || limit > MAX_JOBS_KEPT) {
		response_error(&exchange->response, 400, LIMIT_RULE);
		return 0;
	}
	if (rc == 1)
		(void)snprintf(exchange->question, MAX_QUESTION_TEXT,
		    " limit=%" PRId64, limit);
	if (open_ledger(exchange, false, &jobs, err) == -1)
		return -1;
	buf_print(&list.text, "{\"jobs\":[");
	rc = jobs_walk(jobs, limit, add_job, &list, err);
	jobs_close(jobs);
	if (rc == 0) {
		buf_append(&list.text, "]}", 2);
		response_json(&exchange->response, 200,
		    (const char *)list.text.data, list.text.len);
		exchange->response.items = list.count;
	}
	buf_clear(&list.text);
	return rc;
}

/* For the log. */
static void
tell_id(struct exchange *exchange, const char *id)
{
	(void)snprintf(exchange->question, MAX_QUESTION_TEXT, " id=%s", id);
}

int
page_job_find(struct exchange *exchange, const char *id, struct job *out,
    struct error *err)
{
	struct jobs *jobs;
	int	     rc;

	if (open_ledger(exchange, false, &jobs, err) == -1)
		return -1;
	rc = jobs_get(jobs, id, out, err);
	jobs_close(jobs);
	/* What is no job's id may be a secret. */
	if (rc == 1)
		tell_id(exchange, id);
	return rc;
}

void
page_job_send(struct exchange *exchange, int status, const char *id,
    json_t *object, bool is_new)
{
	char *location, *text = json_text(object);

	location = xasprintf("%s/api/v1/jobs/%s", exchange->request->prefix,
	    id);
	tell_id(exchange, id);
	response_json_header(&exchange->response, status, text, strlen(text),
	    is_new ? "Location" : NULL, location);
	free(location);
	free(text);
}

int
page_job(struct exchange *exchange, struct error *err)
{
	struct job job = { .counts = NULL };
	int	   rc;

	rc = page_job_find(exchange, exchange->part, &job, err);
	if (rc == 1)
		page_job_send(exchange, 200, job.id, job_to_json(&job), false);
	else if (rc == 0)
		response_error(&exchange->response, 404, NO_JOB);
	job_clear(&job);
	return rc == -1 ? -1 : 0;
}

/* Asks the job to end.  1 = it was asked, 0 = it has ended; *job is as it is
 * then. */
static int
ask_to_end(struct exchange *exchange, const char *reason, struct job *job,
    struct error *err)
{
	struct jobs *jobs;
	char	    *by;
	int	     rc;

	/* Only the ledger of a job that is there is opened for writing: a new
	 * one would belong to our user, and not to that of the runs. */
	if (!job_is_active(job))
		return 0;
	if (open_ledger(exchange, true, &jobs, err) == -1)
		return -1;
	job_clear(job);
	by = xasprintf("consumer %s", exchange->request->holder.name);
	rc = jobs_abort(jobs, exchange->part, by, reason, job, err);
	free(by);
	jobs_close(jobs);
	return rc;
}

static void
answer_abort(struct exchange *exchange, const struct job *job, bool was_asked)
{
	char *text;

	if (was_asked) {
		log_info("request %s: job %s is asked to end",
		    exchange->request->id, job->id);
		page_job_send(exchange, 202, job->id, job_to_json(job), false);
		return;
	}
	text = xasprintf("The job has ended: %s%s.",
	    job_state_name(job->state), job->is_lost ? " (lost)" : "");
	response_error(&exchange->response, 409, text);
	free(text);
}

int
page_job_abort(struct exchange *exchange, struct error *err)
{
	char	   reason[MAX_JOB_REASON + 1] = "";
	struct job job = { .counts = NULL };
	bool	   is_good;
	int	   rc;

	is_good = query_get_words(exchange->request->query, "reason", reason,
	    sizeof(reason)) != -1;
	/* For a bad reason only so that the log can tell the job. */
	rc = page_job_find(exchange, exchange->part, &job, err);
	if (!is_good) {
		job_clear(&job);
		response_error(&exchange->response, 400, REASON_RULE);
		return 0;
	}
	if (rc == 0) {
		response_error(&exchange->response, 404, NO_JOB);
		return 0;
	}
	if (rc == 1)
		rc = ask_to_end(exchange, reason, &job, err);
	/* An empty one was taken from the list in the meantime. */
	if (rc == 0 && job.id[0] == '\0')
		response_error(&exchange->response, 404, NO_JOB);
	else if (rc != -1)
		answer_abort(exchange, &job, rc == 1);
	job_clear(&job);
	return rc == -1 ? -1 : 0;
}
