/*
 * What the files of the HTTP family share: one transfer, which is a chain of
 * requests.  http.c runs them, http_transfer.c carries out an attempt,
 * http_finish.c judges what came of it, http_call.c makes a single request.
 */
#ifndef NOMPD_HTTP_INT_H
#define NOMPD_HTTP_INT_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "http.h"

struct gunzip;
struct http_answer;
struct http_call;

enum http_status {
	HTTP_NO_CONTENT = 204,
	HTTP_REDIRECT_MIN = 300,
	HTTP_TEMPORARY_REDIRECT = 307,
	HTTP_PERMANENT_REDIRECT = 308,
	HTTP_REDIRECT_MAX = 399,
	HTTP_UNAUTHORIZED = 401,
	HTTP_FORBIDDEN = 403,
};

enum http_phase { PHASE_WAITING, PHASE_FLYING, PHASE_DONE };

/*
 * One chain.  Invariants: handle, gunzip, err and headers are there only
 * between the first start and PHASE_DONE, for many may wait; handle is in the
 * multi handle exactly in PHASE_FLYING.  page_url is what was asked for, url
 * what is being asked for after redirects; both are owned.
 */
struct transfer {
	const struct http_config  *config;
	const struct http_request *request;
	const struct http_call	  *call; /* NULL: a chain of http_run() */
	struct http_answer	  *answer; /* of the call */
	int64_t			   last_ms; /* if the call outlives a stop */
	CURL			  *handle;
	struct curl_slist	  *headers; /* some hold secrets */
	char			  *page_url;
	char			  *url;
	enum http_phase		   phase;
	int64_t			   due_ms;
	unsigned		   attempt;
	unsigned		   redirects;
	bool			   is_away;	/* a redirect left the origin */
	bool			   was_renewed; /* a 401 of this request */
	bool			   wants_anew;	/* of authorize */

	/* of the attempt */
	bool	       is_authorized; /* an Authorization header was sent */
	bool	       has_begun;
	bool	       is_gzip;
	bool	       is_failed; /* err is final */
	uint64_t       encoded;
	uint64_t       decoded;
	struct gunzip *gunzip;
	struct buf     refusal;
	char	       curl_text[CURL_ERROR_SIZE];
	struct error  *err; /* owned */
};

/* Zeroed memory becomes a transfer that waits to be started. */
void http_transfer_init(struct transfer *transfer,
    const struct http_config *config, const struct http_request *request);
void http_transfer_clear(struct transfer *transfer);
/* Starts the attempt that is due.  -1: there is no authorization for it. */
int http_transfer_start(struct transfer *transfer, CURLM *multi,
    struct error *err);
/* The attempt has ended, as libcurl sees it with code: the next phase.  -1: for
 * good, with transfer->err. */
int http_transfer_finish(struct transfer *transfer, CURLcode code);
/* Puts what the request is called and where it went before the sentence. */
int http_transfer_prefix(const struct transfer *transfer, struct error *err);

/* It goes on after a signal and past the deadline. */
bool http_transfer_outlives_stop(const struct transfer *transfer);
/* Is there a reason to stop it?  As stop_check(). */
int http_transfer_check(const struct transfer *transfer, struct error *err);
/* Milliseconds it still may take. */
int64_t http_transfer_remaining_ms(const struct transfer *transfer);
/* Neither key nor authorization may go with it. */
bool http_transfer_is_bare(const struct transfer *transfer);
/* How many bytes of the URL a message may show. */
int http_shown_bytes(const struct transfer *transfer, const char *url);

/* A 2xx body begins, or one of a call that wants all of them. */
int http_transfer_begin(struct transfer *transfer);
/* Whether bodies with this status go to the sink. */
bool http_transfer_takes(const struct transfer *transfer, long status);
long http_transfer_status(const struct transfer *transfer);
/* The value of a response header, or NULL; borrowed from libcurl. */
const char *http_transfer_header(const struct transfer *transfer,
    const char *name);
/* Milliseconds that Retry-After asks for, or -1. */
int64_t http_retry_after_ms(const struct transfer *transfer);

/* Runs the transfers to their end and clears them. */
int http_run_transfers(struct transfer *transfers, size_t count,
    struct error *err);
/* Puts status and headers into the answer of the transfer's call. */
void http_answer_fill(const struct transfer *transfer);

#endif
