#include <curl/curl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "http.h"
#include "http_call.h"
#include "http_int.h"
#include "outcome.h"
#include "xalloc.h"

#define MS_PER_SECOND 1000

/* Takes the body of an answer. */
struct taker {
	const struct http_call *call;
	struct http_answer     *answer;
};

static int
begin_answer(void *ctx, struct error *err)
{
	struct taker *taker = ctx;

	(void)err;
	taker->answer->body.len = 0;
	return 0;
}

static int
take_body(void *ctx, const uint8_t *data, size_t len, struct error *err)
{
	struct taker *taker = ctx;
	struct buf   *body = &taker->answer->body;
	size_t	      room = taker->call->max_body - body->len;
	long	      status = taker->answer->status;

	if (len > room && status >= 200 && status <= 299)
		return error_set(err, STATUS_PROTOCOL, "an answer over the"
		    " limit of %zu bytes", taker->call->max_body);
	buf_append(body, data, len < room ? len : room);
	return 0;
}

static int
end_answer(void *ctx, const char *url, char **next, struct error *err)
{
	struct taker *taker = ctx;

	(void)next;
	(void)err;
	(void)snprintf(taker->answer->url, sizeof(taker->answer->url), "%s",
	    url);
	return 0;
}

static void
describe_nothing(const uint8_t *body, size_t len, char *text)
{
	(void)body;
	(void)len;
	text[0] = '\0';
}

/* is_cut is for an end that fails, and end_answer() does not. */
static const struct http_sink open_sink = {
	.begin = begin_answer,
	.body = take_body,
	.end = end_answer,
	.describe = outcome_describe_body,
};
static const struct http_sink secret_sink = {
	.begin = begin_answer,
	.body = take_body,
	.end = end_answer,
	.describe = describe_nothing,
};

/* A copy of a response header, or NULL. */
static char *
take_header(const struct transfer *transfer, const char *name)
{
	const char *value = http_transfer_header(transfer, name);

	return value != NULL ? xstrndup(value, strnlen(value,
	    MAX_HEADER_BYTES)) : NULL;
}

/* The server's clock minus ours, when it says a time and they differ. */
static int64_t
date_skew_ms(const struct transfer *transfer)
{
	const char *value = http_transfer_header(transfer, "Date");
	time_t	    date;
	int64_t	    skew;

	date = value != NULL ? curl_getdate(value, NULL) : -1;
	if (date == -1)
		return 0;
	skew = (int64_t)date * MS_PER_SECOND - clock_now_ms();
	return skew > -MIN_DATE_SKEW_MS && skew < MIN_DATE_SKEW_MS ? 0 : skew;
}

/* libcurl measures a date against our clock. */
static int64_t
retry_after_ms(const struct transfer *transfer, int64_t skew_ms)
{
	const char *value = http_transfer_header(transfer, "Retry-After");
	int64_t	    wait_ms = http_retry_after_ms(transfer);

	if (value == NULL || (value[0] >= '0' && value[0] <= '9'))
		return wait_ms;
	if (wait_ms == -1 || wait_ms <= skew_ms)
		return -1;
	return wait_ms - skew_ms;
}

static void
clear_headers(struct http_answer *answer)
{
	free(answer->content_location);
	free(answer->progress);
	free(answer->export_status);
	answer->content_location = NULL;
	answer->progress = NULL;
	answer->export_status = NULL;
}

void
http_answer_fill(const struct transfer *transfer)
{
	struct http_answer *answer = transfer->answer;

	answer->status = http_transfer_status(transfer);
	answer->date_skew_ms = date_skew_ms(transfer);
	answer->retry_after_ms = retry_after_ms(transfer,
	    answer->date_skew_ms);
	clear_headers(answer);
	answer->content_location = take_header(transfer, "Content-Location");
	answer->progress = take_header(transfer, "X-Progress");
	answer->export_status = take_header(transfer, "X-Export-Status");
}

int
http_call(const struct http_config *config, const struct http_call *call,
    struct http_answer *answer, struct error *err)
{
	struct taker	    taker = { .call = call, .answer = answer };
	struct http_request request = {
		.url = call->url,
		.name = call->name,
		.sink = call->is_secret ? &secret_sink : &open_sink,
		.ctx = &taker,
		.is_open = call->is_open,
	};
	struct transfer transfer = { .call = call, .answer = answer };

	memset(answer, 0, sizeof(*answer));
	answer->retry_after_ms = -1;
	/* In one piece, so that growing leaves no copies behind. */
	if (call->is_secret)
		buf_grow(&answer->body, call->max_body);
	if (call->outlives_stop_ms != 0)
		transfer.last_ms = clock_monotonic_ms() +
		    call->outlives_stop_ms;
	http_transfer_init(&transfer, config, &request);
	return http_run_transfers(&transfer, 1, err);
}

void
http_answer_clear(struct http_answer *answer)
{
	if (answer->body.data != NULL)
		sodium_memzero(answer->body.data, answer->body.cap);
	buf_clear(&answer->body);
	clear_headers(answer);
}
