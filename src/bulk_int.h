/* What starting an export and asking for it have in common: patience. */
#ifndef NOMPD_BULK_INT_H
#define NOMPD_BULK_INT_H

#include <stdint.h>

#include "error.h"

struct http_answer;
struct http_call;
struct http_config;

enum bulk_http_status {
	BULK_HTTP_OK = 200,
	BULK_HTTP_ACCEPTED = 202,
	BULK_HTTP_NO_CONTENT = 204,
	BULK_HTTP_BAD_REQUEST = 400,
	BULK_HTTP_UNAUTHORIZED = 401,
	BULK_HTTP_FORBIDDEN = 403,
	BULK_HTTP_NOT_FOUND = 404,
	BULK_HTTP_NOT_ALLOWED = 405,
	BULK_HTTP_GONE = 410,
	BULK_HTTP_URI_TOO_LONG = 414,
	BULK_HTTP_TOO_MANY = 429,
	BULK_HTTP_SERVER_ERROR = 500,
};

/* Answers of a function that may want to be called again. */
#define BULK_AGAIN 2

struct bulk_wait {
	const struct http_config *config;
	const char		 *name; /* of what is asked, for messages */
	int64_t			  max_wait_ms;
	int64_t			  logged_ms; /* the Retry-After that was cut */
	unsigned		  asked;     /* times, for the backoff */
	unsigned		  failures;  /* in a row */
};

/*
 * Waits for what the answer's Retry-After asks for, at most max_wait_ms, or
 * else a little longer each time.  -1 as stop_check().
 */
int bulk_wait(struct bulk_wait *wait, int64_t retry_after_ms,
    struct error *err);

/*
 * Makes the call until judge says something else than BULK_AGAIN of an answer,
 * waiting in between; gives what it says, or -1 as http_call() and bulk_wait().
 */
int bulk_ask(struct bulk_wait *wait, const struct http_call *call,
    int (*judge)(void *ctx, struct bulk_wait *wait,
    const struct http_call *call, const struct http_answer *answer,
    struct error *err), void *ctx, struct error *err);

/*
 * The answer, taken as having that status, is not what was hoped for.
 * BULK_AGAIN: it may pass, and there are retries left, or it is 429 with
 * Retry-After.  -1: STATUS_REFUSED (401, 403), STATUS_UNAVAILABLE (it may pass,
 * but not now), STATUS_PROTOCOL (any other).
 */
int bulk_refused(struct bulk_wait *wait, const struct http_answer *answer,
    long status, struct error *err);

#endif
