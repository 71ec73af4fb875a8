#include <inttypes.h>

#include "bulk_int.h"
#include "bulk_job.h"
#include "http.h"
#include "http_call.h"
#include "log.h"
#include "outcome.h"
#include "retry.h"
#include "stop.h"

int
bulk_wait(struct bulk_wait *wait, int64_t retry_after_ms, struct error *err)
{
	int64_t wait_ms = retry_after_ms;

	if (retry_after_ms < 0)
		wait_ms = retry_poll_wait_ms(wait->asked);
	wait->asked++;
	if (retry_after_ms >= 0 && wait_ms < MIN_POLL_WAIT_MS)
		wait_ms = MIN_POLL_WAIT_MS;
	if (retry_after_ms > wait->max_wait_ms) {
		wait_ms = wait->max_wait_ms;
		if (retry_after_ms != wait->logged_ms)
			log_info("%s: the upstream asks to wait %.1f s; waiting"
			    " %.1f s (--max-poll-wait)", wait->name,
			    (double)retry_after_ms / 1000,
			    (double)wait_ms / 1000);
		wait->logged_ms = retry_after_ms;
	}
	log_debug("%s: asking again in %.1f s", wait->name,
	    (double)wait_ms / 1000);
	stop_sleep(wait_ms);
	return stop_check(STATUS_UNAVAILABLE, err);
}

static bool
is_asked_to_wait(const struct http_answer *answer, long status)
{
	return status == BULK_HTTP_TOO_MANY && answer->retry_after_ms >= 0;
}

int
bulk_refused(struct bulk_wait *wait, const struct http_answer *answer,
    long status, struct error *err)
{
	char		  text[MAX_OUTCOME_TEXT];
	enum outcome_kind kind;
	bool		  is_denied, may_pass;

	outcome_describe_body(answer->body.data, answer->body.len, text);
	kind = outcome_judge_body(answer->body.data, answer->body.len);
	is_denied = status == BULK_HTTP_UNAUTHORIZED ||
	    status == BULK_HTTP_FORBIDDEN;
	error_set(err, is_denied ? STATUS_REFUSED : STATUS_PROTOCOL,
	    "status %ld%s%s%s", status, text[0] != '\0' ? ": " : "", text,
	    is_denied ? http_advice(wait->config) : "");
	if (is_asked_to_wait(answer, status))
		return BULK_AGAIN;
	may_pass = kind == OUTCOME_PASSING || retry_is_status(status) ||
	    status >= BULK_HTTP_SERVER_ERROR;
	if (is_denied || !may_pass)
		return -1;
	if (wait->failures < wait->config->retries) {
		wait->failures++;
		log_warn("%s: %s; asking again (attempt %u of %u)",
		    wait->name, err->text, wait->failures + 1,
		    wait->config->retries + 1);
		return BULK_AGAIN;
	}
	/* A server that says what went wrong, and that it will stay so. */
	if (kind == OUTCOME_FINAL)
		return error_prefix(err, "it failed on the server (asked %u"
		    " time%s)", wait->failures + 1,
		    wait->failures == 0 ? "" : "s");
	err->status = STATUS_UNAVAILABLE;
	return error_prefix(err, "no usable answer in %u attempt%s",
	    wait->failures + 1, wait->failures == 0 ? "" : "s");
}

int
bulk_ask(struct bulk_wait *wait, const struct http_call *call,
    int (*judge)(void *ctx, struct bulk_wait *wait,
    const struct http_call *call, const struct http_answer *answer,
    struct error *err), void *ctx, struct error *err)
{
	struct http_answer answer;
	int64_t		   retry_after_ms;
	int		   rc;

	do {
		rc = http_call(wait->config, call, &answer, err);
		if (rc == 0)
			rc = judge(ctx, wait, call, &answer, err);
		retry_after_ms = answer.retry_after_ms;
		if (rc == BULK_AGAIN &&
		    is_asked_to_wait(&answer, answer.status))
			log_info("%s: %s; waiting", wait->name, err->text);
		http_answer_clear(&answer);
		if (rc == BULK_AGAIN && bulk_wait(wait, retry_after_ms,
		    err) == -1)
			rc = -1;
	} while (rc == BULK_AGAIN);
	return rc;
}
