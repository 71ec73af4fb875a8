#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "gunzip.h"
#include "http.h"
#include "http_call.h"
#include "http_int.h"
#include "log.h"
#include "outcome.h"
#include "retry.h"
#include "stop.h"
#include "url.h"
#include "xalloc.h"

#define MS_PER_SECOND 1000

/* The end of the body is only marked by the end of the connection. */
static bool
is_length_unknown(const struct transfer *transfer)
{
	long version = 0;

	/* It has no body, and that is complete (RFC 9110, 15.3.5). */
	if (http_transfer_status(transfer) == HTTP_NO_CONTENT)
		return false;
	(void)curl_easy_getinfo(transfer->handle, CURLINFO_HTTP_VERSION,
	    &version);
	return version <= CURL_HTTP_VERSION_1_1 &&
	    http_transfer_header(transfer, "Content-Length") == NULL &&
	    http_transfer_header(transfer, "Transfer-Encoding") == NULL;
}

int
http_transfer_prefix(const struct transfer *transfer, struct error *err)
{
	return error_prefix(err, "%s (%.*s)", transfer->request->name,
	    http_shown_bytes(transfer, transfer->url), transfer->url);
}

int64_t
http_retry_after_ms(const struct transfer *transfer)
{
	const char *value = http_transfer_header(transfer, "Retry-After");
	curl_off_t  seconds = 0;

	if (value == NULL)
		return -1;
	/* 0 is also how libcurl says that it cannot read it. */
	(void)curl_easy_getinfo(transfer->handle, CURLINFO_RETRY_AFTER,
	    &seconds);
	if (seconds < 0 || (seconds == 0 && value[0] != '0'))
		return -1;
	return seconds > MAX_HEADER_WAIT_MS / MS_PER_SECOND ?
	    MAX_HEADER_WAIT_MS : (int64_t)seconds * MS_PER_SECOND;
}

/* The attempt after this one starts anew, after wait_ms. */
static void
begin_again(struct transfer *transfer, int64_t wait_ms)
{
	free(transfer->url);
	transfer->url = xstrdup(transfer->page_url);
	transfer->redirects = 0;
	transfer->is_away = false;
	transfer->due_ms = wait_ms > 0 ? clock_monotonic_ms() + wait_ms : 0;
	transfer->phase = PHASE_WAITING;
}

/* The next request of the chain, at once; takes url over. */
static void
go_on(struct transfer *transfer, char *url)
{
	free(transfer->page_url);
	transfer->page_url = url;
	transfer->attempt = 0;
	transfer->was_renewed = false;
	begin_again(transfer, 0);
}

/* How long to wait before the attempt after this one. */
static int64_t
wait_before_next(const struct transfer *transfer)
{
	int64_t asked_ms = http_retry_after_ms(transfer);

	if (asked_ms > MAX_RETRY_AFTER_MS)
		log_warn("%s: the upstream asks to wait %" PRId64 " s; waiting"
		    " %d s", transfer->request->name,
		    asked_ms / MS_PER_SECOND,
		    MAX_RETRY_AFTER_MS / MS_PER_SECOND);
	return retry_wait_ms(transfer->attempt, asked_ms / MS_PER_SECOND);
}

/* The attempt failed in a way that may pass: waits, or gives up. */
static int
retry(struct transfer *transfer)
{
	int64_t	 wait_ms;
	unsigned attempts = transfer->config->retries + 1;

	if (transfer->attempt >= transfer->config->retries)
		return error_prefix(transfer->err, "no usable answer in %u"
		    " attempt%s", attempts, attempts == 1 ? "" : "s");
	wait_ms = wait_before_next(transfer);
	if (wait_ms >= http_transfer_remaining_ms(transfer))
		return error_prefix(transfer->err, "the deadline"
		    " (--deadline) passes before the next attempt");
	transfer->attempt++;
	log_warn("%s: %s; trying again in %.1f s (attempt %u of %u)",
	    transfer->request->name, transfer->err->text,
	    (double)wait_ms / MS_PER_SECOND, transfer->attempt + 1, attempts);
	begin_again(transfer, wait_ms);
	return 0;
}

/* Faults that may pass; the others (a bad certificate) will not. */
static bool
is_code_retried(CURLcode code)
{
	static const CURLcode codes[] = {
		CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_RESOLVE_HOST,
		CURLE_COULDNT_CONNECT, CURLE_PARTIAL_FILE,
		CURLE_OPERATION_TIMEDOUT, CURLE_SSL_CONNECT_ERROR,
		CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR,
		CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_PROXY,
	};
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (code == codes[i])
			return true;
	}
	return false;
}

/* libcurl could not bring the response. */
static int
finish_broken(struct transfer *transfer, CURLcode code)
{
	error_set(transfer->err, STATUS_UNAVAILABLE, "%s",
	    transfer->curl_text[0] != '\0' ? transfer->curl_text :
	    curl_easy_strerror(code));
	if (http_transfer_check(transfer, transfer->err) == -1)
		return -1;
	return is_code_retried(code) ? retry(transfer) : -1;
}

/* May the request go from one URL to the other?  url is borrowed. */
static int
check_redirect(struct transfer *transfer, const char *url)
{
	const struct http_request *request = transfer->request;
	long			   status = http_transfer_status(transfer);
	bool			   is_get, is_same;

	is_get = transfer->call == NULL ||
	    strcmp(transfer->call->method, "GET") == 0;
	if (!is_get && status != HTTP_TEMPORARY_REDIRECT &&
	    status != HTTP_PERMANENT_REDIRECT)
		return error_set(transfer->err, STATUS_PROTOCOL, "status %ld:"
		    " a %s is not sent on to where that leads (only 307 and"
		    " 308 keep the method)", status, transfer->call->method);
	is_same = url_is_same_origin(transfer->url, url);
	if (!is_same && !(is_get && (request->is_open || request->may_leave)))
		return error_set(transfer->err, STATUS_PROTOCOL, "a redirect"
		    " to another origin (%.*s); the key would go with it",
		    http_shown_bytes(transfer, url), url);
	if (!is_same)
		transfer->is_away = true;
	return 0;
}

/* A redirect is followed within the origin, because the key goes along; beyond
 * it the key stays behind, for the rest of the way. */
static int
finish_redirect(struct transfer *transfer)
{
	char *location = NULL, *url;

	(void)curl_easy_getinfo(transfer->handle, CURLINFO_REDIRECT_URL,
	    &location);
	if (location == NULL)
		return error_set(transfer->err, STATUS_UNAVAILABLE,
		    "status %ld", http_transfer_status(transfer));
	if (url_resolve_http(transfer->url, location, &url, transfer->err) ==
	    -1)
		return error_prefix(transfer->err, "redirect");
	if (check_redirect(transfer, url) == -1) {
		free(url);
		return -1;
	}
	free(transfer->url);
	transfer->url = url;
	if (++transfer->redirects > MAX_REDIRECTS)
		return error_set(transfer->err, STATUS_PROTOCOL,
		    "more than %d redirects", MAX_REDIRECTS);
	transfer->due_ms = 0;
	transfer->phase = PHASE_WAITING;
	return 0;
}

const char *
http_advice(const struct http_config *config)
{
	if (config->authorize != NULL)
		return " (the upstream refuses the token; check its scopes and"
		       " what the client may read)";
	if (config->key == NULL)
		return " (no key was sent; set NOMPD_UPSTREAM_API_KEY_FILE)";
	return " (the upstream refuses the key; check"
	       " NOMPD_UPSTREAM_API_KEY_FILE)";
}

/* No more attempts: perhaps the sink knows another way. */
static int
finish_final(struct transfer *transfer, long status)
{
	const struct http_sink *sink = transfer->request->sink;
	struct error		err = *transfer->err;
	char		       *url = NULL;
	int			rc = 0;

	if (sink->refused != NULL)
		rc = sink->refused(transfer->request->ctx, status, &url, &err);
	if (rc == -1)
		*transfer->err = err;
	if (rc != 1)
		return -1;
	go_on(transfer, url);
	return 0;
}

static int
finish_refused(struct transfer *transfer, long status)
{
	char	    text[MAX_OUTCOME_TEXT];
	const char *advice = "";
	bool	    is_denied;

	transfer->request->sink->describe(transfer->refusal.data,
	    transfer->refusal.len, text);
	is_denied = status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN;
	/* Where no key belongs, none was refused. */
	if (is_denied && http_transfer_is_bare(transfer)) {
		advice = " (a link without key and token; it may have run"
			 " out)";
		is_denied = false;
	}
	/* A link may have run out, too. */
	if (is_denied && !transfer->request->may_leave)
		advice = http_advice(transfer->config);
	error_set(transfer->err, is_denied ? STATUS_REFUSED :
	    STATUS_UNAVAILABLE, "status %ld%s%s%s", status,
	    text[0] != '\0' ? ": " : "", text, advice);
	if (!retry_is_status(status))
		return finish_final(transfer, status);
	if (retry(transfer) == 0)
		return 0;
	return transfer->attempt >= transfer->config->retries ?
	    finish_final(transfer, status) : -1;
}

/* A whole body, as far as HTTP can tell. */
static int
finish_success(struct transfer *transfer)
{
	const struct http_request *request = transfer->request;
	char			  *next = NULL;

	if (!transfer->has_begun && http_transfer_begin(transfer) == -1)
		return -1;
	if (transfer->is_gzip && transfer->encoded > 0 &&
	    !gunzip_is_whole(transfer->gunzip)) {
		error_set(transfer->err, STATUS_UNAVAILABLE,
		    "the body is cut off: gzip without its end");
		return retry(transfer);
	}
	if (transfer->answer != NULL)
		http_answer_fill(transfer);
	if (request->sink->unmeasured != NULL && !transfer->is_gzip &&
	    is_length_unknown(transfer))
		request->sink->unmeasured(request->ctx);
	if (request->sink->end(request->ctx, transfer->url, &next,
	    transfer->err) == -1) {
		/* A gzip trailer, too, says that the body is complete. */
		if (!is_length_unknown(transfer) || transfer->is_gzip ||
		    (transfer->decoded > 0 &&
		    !request->sink->is_cut(request->ctx)))
			return -1;
		transfer->err->status = STATUS_UNAVAILABLE;
		error_prefix(transfer->err, "the body is cut off");
		return retry(transfer);
	}
	if (next != NULL)
		go_on(transfer, next);
	return 0;
}

/* A token that was refused, once: another one, at once. */
static bool
can_renew(const struct transfer *transfer, long status)
{
	return status == HTTP_UNAUTHORIZED && transfer->is_authorized &&
	    !transfer->was_renewed;
}

int
http_transfer_finish(struct transfer *transfer, CURLcode code)
{
	long status = http_transfer_status(transfer);

	if (transfer->is_failed)
		return -1;
	if (code != CURLE_OK)
		return finish_broken(transfer, code);
	if (can_renew(transfer, status)) {
		transfer->was_renewed = transfer->wants_anew = true;
		begin_again(transfer, 0);
		return 0;
	}
	if (http_transfer_takes(transfer, status))
		return finish_success(transfer);
	if (status >= HTTP_REDIRECT_MIN && status <= HTTP_REDIRECT_MAX)
		return finish_redirect(transfer);
	return finish_refused(transfer, status);
}
