/*
 * One HTTP request and its small answer, held in memory: kick-offs, polls,
 * manifests, tokens.  (RFC 9110)
 */
#ifndef NOMPD_HTTP_CALL_H
#define NOMPD_HTTP_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "url.h"

struct http_config;

/* Bytes of a response header that is kept. */
#define MAX_HEADER_BYTES 8192
/* What a Retry-After is taken for at most: a year. */
#define MAX_HEADER_WAIT_MS (INT64_C(365) * 24 * 3600 * 1000)
/* A clock that is less wrong than this counts as right: Date has whole
 * seconds and was some time on its way. */
#define MIN_DATE_SKEW_MS 2000

/* All of it is borrowed until http_call() returns. */
struct http_call {
	const char	  *method; /* "GET", "POST", "DELETE" */
	const char	  *url;	   /* no message has its query */
	const char	  *name;    /* for messages, as in "the kick-off" */
	/* "Name: value" lines, NULL-terminated, without secrets; NULL: none. */
	const char *const *headers;
	const char	  *body;    /* NULL: none */
	size_t		   body_len;
	size_t		   max_body; /* of the answer, decoded, in bytes */
	bool		   is_open;  /* as in struct http_request */
	/* Nothing of the body and the answer is logged.  (The answer is wiped
	 * in any case; the body is the caller's to wipe.) */
	bool is_secret;
	/* 429 and 5xx are answers, not tried again: the caller judges them. */
	bool tells_all;
	/* Other than 0: it goes on after a signal and past the deadline, for
	 * this long in all. */
	int64_t outlives_stop_ms;
};

struct http_answer {
	long	   status;
	struct buf body; /* decoded */
	/* From Retry-After, both forms; a date is measured against the
	 * server's own Date.  -1: none that can be read. */
	int64_t retry_after_ms;
	int64_t date_skew_ms; /* the server's Date minus ours; 0: none */
	char	url[MAX_URL_BYTES + 1]; /* that answered, after redirects */
	/* Heap; NULL: none. */
	char *content_location;
	char *progress;	     /* X-Progress */
	char *export_status; /* X-Export-Status */
};

/*
 * Carries the request out; what fails on the way is tried again as in
 * http_run().  0 = there is an answer: 2xx, or with tells_all any status but a
 * redirect.  -1 as http_run(), and without tells_all for any other status,
 * which the sentence then has with the issues of an OperationOutcome.  A
 * non-2xx body over max_body is cut, a 2xx one is an error (STATUS_PROTOCOL).
 * Only a GET follows a redirect out of the origin, and what is no GET follows
 * only 307 and 308.  The caller clears *answer, also after -1.
 */
int http_call(const struct http_config *config, const struct http_call *call,
    struct http_answer *answer, struct error *err);
/* Wipes and frees what is in it. */
void http_answer_clear(struct http_answer *answer);

#endif
