#include <stdio.h>
#include <string.h>

#include "bulk_int.h"
#include "bulk_job.h"
#include "bulk_manifest.h"
#include "http.h"
#include "http_call.h"
#include "log.h"
#include "number.h"
#include "outcome.h"
#include "url.h"

#define POLL_NAME "the status of the export"

static const char *const poll_headers[] = {
	"Accept: application/json", "Cache-Control: no-cache", NULL,
};

/* Free text of the server's; to be seen, not to be understood. */
static void
show_progress(const char *progress)
{
	char   text[MAX_PROGRESS_BYTES + 1];
	size_t i, len = strnlen(progress, MAX_PROGRESS_BYTES);

	/* No character is cut in two. */
	while (len > 0 && ((uint8_t)progress[len] & 0xc0) == 0x80)
		len--;
	for (i = 0; i < len; i++)
		text[i] = (uint8_t)progress[i] < ' ' || progress[i] == 0x7f ?
		    ' ' : progress[i];
	text[len] = '\0';
	log_debug(POLL_NAME ": %s", text);
	log_progress("the upstream exports: %s", text);
}

/* The job's status: that of the answer, unless the server tells them apart
 * (Prefer: separate-export-status). */
static long
job_status(const struct http_answer *answer)
{
	unsigned status;

	if (answer->status <= 299 && answer->export_status != NULL &&
	    number_parse(answer->export_status, 100, 599, &status))
		return (long)status;
	return answer->status;
}

/* The body of a job that is complete: a manifest, or a failure after all. */
static int
take_manifest(struct bulk_wait *wait, const struct http_answer *answer,
    struct bulk_manifest *manifest, struct error *err)
{
	const struct buf *body = &answer->body;

	if (bulk_manifest_add(manifest, body->data, body->len, answer->url,
	    err) == 0)
		return 0;
	bulk_manifest_clear(manifest);
	if (outcome_judge_body(body->data, body->len) == OUTCOME_NONE)
		return -1;
	return bulk_refused(wait, answer, BULK_HTTP_OK, err);
}

/* What an answer means: 0, 1 and -1 as bulk_poll(), BULK_AGAIN: not yet. */
static int
judge_status(struct bulk_wait *wait, const struct http_answer *answer,
    struct bulk_manifest *manifest, struct error *err)
{
	long status = job_status(answer);
	int  rc;

	if (status == BULK_HTTP_ACCEPTED) {
		wait->failures = 0;
		if (answer->progress != NULL)
			show_progress(answer->progress);
		return BULK_AGAIN;
	}
	if (status == BULK_HTTP_OK)
		return take_manifest(wait, answer, manifest, err);
	rc = bulk_refused(wait, answer, status, err);
	if (rc == BULK_AGAIN || (status != BULK_HTTP_NOT_FOUND &&
	    status != BULK_HTTP_GONE))
		return rc;
	err->status = STATUS_UNAVAILABLE;
	error_put_before(err, "the server does not know the job any more");
	return 1;
}

static int
judge(void *ctx, struct bulk_wait *wait, const struct http_call *call,
    const struct http_answer *answer, struct error *err)
{
	int rc;

	rc = judge_status(wait, answer, ctx, err);
	if (rc == -1 || rc == 1)
		error_put_before(err, "%s (%.*s)", wait->name,
		    (int)strcspn(call->url, "?"), call->url);
	return rc;
}

/* Asks until there is an answer other than "not yet". */
static int
wait_for_job(struct bulk_wait *wait, const char *poll_url,
    struct bulk_manifest *manifest, struct error *err)
{
	const struct http_call call = {
		.method = "GET",
		.url = poll_url,
		.name = wait->name,
		.headers = poll_headers,
		.max_body = MAX_MANIFEST_BYTES,
		.tells_all = true,
	};

	return bulk_ask(wait, &call, judge, manifest, err);
}

/* The pages after the first.  One of another origin gets neither key nor
 * token. */
static int
read_pages(const struct http_config *config, const char *poll_url,
    struct bulk_manifest *manifest, struct error *err)
{
	struct http_answer answer;
	struct http_call   call = {
		.method = "GET",
		.headers = poll_headers,
		.max_body = MAX_MANIFEST_BYTES,
	};
	char name[48];
	int  rc = 0;

	call.name = name;
	while (rc == 0 && manifest->next != NULL) {
		(void)snprintf(name, sizeof(name), "page %zu of the manifest",
		    manifest->n_pages + 1);
		call.url = manifest->next;
		call.is_open = !url_is_same_origin(poll_url, manifest->next);
		rc = http_call(config, &call, &answer, err);
		if (rc == 0 && bulk_manifest_add(manifest, answer.body.data,
		    answer.body.len, answer.url, err) == -1)
			rc = error_prefix(err, "%s", name);
		http_answer_clear(&answer);
	}
	return rc;
}

int
bulk_poll(const struct http_config *config, const char *poll_url,
    int64_t max_wait_ms, struct bulk_manifest *manifest, struct error *err)
{
	struct bulk_wait wait = {
		.config = config,
		.name = POLL_NAME,
		.max_wait_ms = max_wait_ms,
	};
	int rc;

	memset(manifest, 0, sizeof(*manifest));
	rc = wait_for_job(&wait, poll_url, manifest, err);
	if (rc == 0)
		rc = read_pages(config, poll_url, manifest, err);
	if (rc != 0)
		bulk_manifest_clear(manifest);
	log_progress_end();
	return rc;
}

void
bulk_delete(const struct http_config *config, const char *poll_url)
{
	static const char *const headers[] = {
		"Accept: application/fhir+json", NULL,
	};
	struct http_config once = *config;
	struct http_answer answer;
	struct http_call   call = {
		.method = "DELETE",
		.url = poll_url,
		.name = "deleting the export on the server",
		.headers = headers,
		.max_body = MAX_JOB_ANSWER_BYTES,
		.tells_all = true,
		.outlives_stop_ms = MAX_DELETE_WAIT_MS,
	};
	struct bulk_wait never = { .config = &once, .name = call.name };
	struct error	 err;
	int		 rc;

	once.retries = 0;
	rc = http_call(&once, &call, &answer, &err);
	if (rc == 0 && answer.status > 299 &&
	    answer.status != BULK_HTTP_NOT_FOUND &&
	    answer.status != BULK_HTTP_GONE) {
		(void)bulk_refused(&never, &answer, answer.status, &err);
		rc = error_prefix(&err, "%s", call.name);
	}
	if (rc == -1)
		log_warn("%s (it may keep its files for some time; nothing is"
		    " lost)", err.text);
	http_answer_clear(&answer);
}
