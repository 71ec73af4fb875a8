/*
 * Moves bytes over HTTP: several chains of requests side by side, each to its
 * end, with limits, redirects, and retries.  It judges no content.  Nothing
 * below TLS 1.2 is spoken, and no redirect leads from https to http.  (RFC
 * 9110; limits and retries: nompd-sync(1), UPSTREAM)
 */
#ifndef NOMPD_HTTP_H
#define NOMPD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* One response, decoded. */
#define MAX_RESPONSE_BYTES (4 * UINT64_C(1024) * 1024 * 1024)
/* How much a response may grow when it is decoded ... */
#define MAX_DECODED_RATIO 200
/* ... beyond this many bytes. */
#define MAX_DECODED_SLACK (10 * UINT64_C(1024) * 1024)
/* Redirects of one request. */
#define MAX_REDIRECTS 5
/* Bytes of a refusal's body that are kept for the error message. */
#define MAX_REFUSAL_BYTES (16 * 1024)

struct http_config {
	const char *key_header; /* name of the header that carries ... */
	const char *key;	/* ... the key; NULL: none is sent */
	const char *ca_file;	/* PEM; NULL: the system's */
	unsigned    retries;	/* of one request */
	int64_t	    timeout_ms; /* of one attempt, to its last byte */
	/*
	 * Gives the value of the Authorization header for an attempt at url:
	 * *value is heap (wiped and freed by http), or NULL: none is sent.
	 * anew: the last one was refused with 401, get another (once for a
	 * request).  -1 with *err ends it all.  It may call http_call().  NULL:
	 * there is no such header.
	 */
	int (*authorize)(void *ctx, const char *url, bool anew, char **value,
	    struct error *err);
	void *authorize_ctx;
};

/* Who takes the bytes.  Each call gets the request's ctx; -1 ends it all. */
struct http_sink {
	/* A 2xx body begins; what an earlier attempt gave of it is void. */
	int (*begin)(void *ctx, struct error *err);
	int (*body)(void *ctx, const uint8_t *data, size_t len,
	    struct error *err);
	/*
	 * The body is complete.  Sets *next to the URL of the chain's next
	 * request (heap, taken over; same origin), or leaves it NULL: done.
	 */
	int (*end)(void *ctx, const char *url, char **next,
	    struct error *err);
	/*
	 * Called before end when nothing tells whether the body is complete: no
	 * length, no chunks, no gzip.  NULL: that does not matter.
	 */
	void (*unmeasured)(void *ctx);
	/* After -1 from end: did the body stop in the middle of its text? */
	bool (*is_cut)(void *ctx);
	/* Words for an error message from the body of a refusal; may be empty.
	 * text has room for MAX_OUTCOME_TEXT bytes. */
	void (*describe)(const uint8_t *body, size_t len, char *text);
	/*
	 * A final refusal: the status is not 2xx, after the retries.  1: the
	 * chain goes on with *url (heap, taken over) instead, which it is for
	 * the sink to bound; 0: it is the error it is; -1 with *err.  NULL: 0.
	 */
	int (*refused)(void *ctx, long status, char **url, struct error *err);
};

struct http_request {
	const char	       *url;  /* of the chain's first request */
	const char	       *name; /* for messages; may change in end */
	const struct http_sink *sink;
	void		       *ctx;
	const char	       *accept; /* media types; NULL: JSON, NDJSON */
	/*
	 * No key and no Authorization header is sent, redirects may leave the
	 * origin, and the query of the URL, which may be a secret, is in no
	 * message.  It may change in end and refused, with the URL.
	 */
	bool is_open;
	/* Redirects may leave the origin; beyond it the same holds.  No
	 * message has its query in any case. */
	bool may_leave;
};

/*
 * Carries out all chains.  -1 as soon as one has failed for good, with its
 * name and URL in the sentence and the status of nompd-sync(1).
 */
int http_run(const struct http_config *config,
    const struct http_request *requests, size_t count, struct error *err);

/* What to do about a 401 or 403 where key or token went along, in words to put
 * behind the sentence, with a blank before them. */
const char *http_advice(const struct http_config *config);

#endif
