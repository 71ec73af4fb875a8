#include <curl/curl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "clock.h"
#include "gunzip.h"
#include "http.h"
#include "log.h"
#include "outcome.h"
#include "retry.h"
#include "stop.h"
#include "url.h"
#include "xalloc.h"

/* Setting up a connection, TLS included. */
#define MAX_CONNECT_MS (30 * 1000)
/* Bytes that libcurl hands over at once. */
#define RECEIVE_BYTES (64 * 1024)
/* How long the loop sleeps when nothing is due. */
#define MAX_SLEEP_MS 1000

enum http_status {
	HTTP_NO_CONTENT = 204,
	HTTP_REDIRECT_MIN = 300,
	HTTP_REDIRECT_MAX = 399,
	HTTP_UNAUTHORIZED = 401,
	HTTP_FORBIDDEN = 403,
};

enum phase { PHASE_FLYING, PHASE_WAITING, PHASE_DONE };

/*
 * One chain.  Invariant: handle is in the multi handle exactly in
 * PHASE_FLYING.  page_url is what was asked for, url what is being asked for
 * after redirects; both are owned.
 */
struct transfer {
	const struct http_config  *config;
	const struct http_request *request;
	CURL		  *handle;
	struct curl_slist *headers;
	char		  *page_url;
	char		  *url;
	enum phase	   phase;
	int64_t		   due_ms;
	unsigned	   attempt;
	unsigned	   redirects;

	/* of the attempt */
	bool	       has_begun;
	bool	       is_gzip;
	bool	       is_failed; /* err is final */
	uint64_t       encoded;
	uint64_t       decoded;
	struct gunzip *gunzip;
	struct buf     refusal;
	char	       curl_text[CURL_ERROR_SIZE];
	struct error   err;
};

static long
response_status(const struct transfer *transfer)
{
	long status = 0;

	(void)curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE,
	    &status);
	return status;
}

static bool
is_success(long status)
{
	return status >= 200 && status <= 299;
}

/* The value of a response header, or NULL; borrowed from libcurl. */
static const char *
response_header(const struct transfer *transfer, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(transfer->handle, name, 0, CURLH_HEADER, -1,
	    &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

/* The end of the body is only marked by the end of the connection. */
static bool
is_length_unknown(const struct transfer *transfer)
{
	long version = 0;

	/* It has no body, and that is complete (RFC 9110, 15.3.5). */
	if (response_status(transfer) == HTTP_NO_CONTENT)
		return false;
	(void)curl_easy_getinfo(transfer->handle, CURLINFO_HTTP_VERSION,
	    &version);
	return version <= CURL_HTTP_VERSION_1_1 &&
	    response_header(transfer, "Content-Length") == NULL &&
	    response_header(transfer, "Transfer-Encoding") == NULL;
}

static int
begin_body(struct transfer *transfer)
{
	const char *encoding;

	transfer->has_begun = true;
	encoding = response_header(transfer, "Content-Encoding");
	transfer->is_gzip = encoding != NULL &&
	    (strcasecmp(encoding, "gzip") == 0 ||
	    strcasecmp(encoding, "x-gzip") == 0);
	if (encoding != NULL && !transfer->is_gzip &&
	    strcasecmp(encoding, "identity") != 0)
		return error_set(&transfer->err, STATUS_PROTOCOL,
		    "Content-Encoding \"%.64s\" (only gzip was asked for)",
		    encoding);
	gunzip_reset(transfer->gunzip);
	return transfer->request->sink->begin(transfer->request->ctx,
	    &transfer->err);
}

static int
take_decoded(void *ctx, const uint8_t *data, size_t len, struct error *err)
{
	struct transfer *transfer = ctx;

	transfer->decoded += len;
	if (transfer->decoded > MAX_RESPONSE_BYTES)
		return error_set(err, STATUS_PROTOCOL,
		    "a response over the limit of 4 GiB");
	if (transfer->decoded > MAX_DECODED_SLACK +
	    MAX_DECODED_RATIO * transfer->encoded)
		return error_set(err, STATUS_PROTOCOL, "a response that grows"
		    " more than %d times when decoded (%" PRIu64 " bytes of"
		    " gzip gave %" PRIu64 ")", MAX_DECODED_RATIO,
		    transfer->encoded, transfer->decoded);
	return transfer->request->sink->body(transfer->request->ctx, data, len,
	    err);
}

static int
take_body(struct transfer *transfer, const uint8_t *data, size_t len)
{
	if (!transfer->has_begun && begin_body(transfer) == -1)
		return -1;
	transfer->encoded += len;
	if (transfer->is_gzip)
		return gunzip_feed(transfer->gunzip, data, len, take_decoded,
		    transfer, &transfer->err);
	return take_decoded(transfer, data, len, &transfer->err);
}

/* libcurl's write callback; anything but the full length ends the attempt. */
static size_t
on_write(char *data, size_t size, size_t count, void *ctx)
{
	struct transfer *transfer = ctx;
	size_t		 len = size * count, room;

	if (is_success(response_status(transfer))) {
		if (take_body(transfer, (uint8_t *)data, len) == 0)
			return len;
		transfer->is_failed = true;
		return CURL_WRITEFUNC_ERROR;
	}
	room = MAX_REFUSAL_BYTES - transfer->refusal.len;
	buf_append(&transfer->refusal, data, len < room ? len : room);
	return len;
}

static void
set_common_options(struct transfer *transfer)
{
	CURL *handle = transfer->handle;

	curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(handle, CURLOPT_USERAGENT,
	    "nompd-sync/" NOMPD_VERSION);
	curl_easy_setopt(handle, CURLOPT_HTTPHEADER, transfer->headers);
	/* The key is not for a proxy on the way. */
	curl_easy_setopt(handle, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(handle, CURLOPT_HTTP_CONTENT_DECODING, 0L);
	curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
	curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)MAX_CONNECT_MS);
	curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(handle, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(handle, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, transfer->curl_text);
	curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
	if (transfer->config->ca_file != NULL) {
		curl_easy_setopt(handle, CURLOPT_CAINFO,
		    transfer->config->ca_file);
		curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
	}
}

static void
add_header(struct transfer *transfer, const char *line)
{
	struct curl_slist *longer;

	longer = curl_slist_append(transfer->headers, line);
	if (longer == NULL)
		xalloc_end();
	transfer->headers = longer;
}

static void
set_headers(struct transfer *transfer)
{
	char *line;

	add_header(transfer, "Accept: application/fhir+json, application/json,"
	    " application/fhir+ndjson, application/ndjson");
	add_header(transfer, "Accept-Encoding: gzip");
	if (transfer->config->key == NULL)
		return;
	line = xasprintf("%s: %s", transfer->config->key_header,
	    transfer->config->key);
	add_header(transfer, line);
	sodium_memzero(line, strlen(line));
	free(line);
}

static void
transfer_init(struct transfer *transfer, const struct http_config *config,
    const struct http_request *request)
{
	transfer->config = config;
	transfer->request = request;
	transfer->handle = curl_easy_init();
	if (transfer->handle == NULL)
		xalloc_end();
	transfer->gunzip = gunzip_new();
	transfer->page_url = xstrdup(request->url);
	transfer->url = xstrdup(request->url);
	transfer->phase = PHASE_WAITING;
	set_headers(transfer);
	set_common_options(transfer);
}

static void
transfer_clear(struct transfer *transfer)
{
	struct curl_slist *header;

	/* One of them holds the key. */
	for (header = transfer->headers; header != NULL; header = header->next)
		sodium_memzero(header->data, strlen(header->data));
	curl_easy_cleanup(transfer->handle);
	curl_slist_free_all(transfer->headers);
	gunzip_free(transfer->gunzip);
	buf_clear(&transfer->refusal);
	free(transfer->page_url);
	free(transfer->url);
}

/* Starts the attempt that is due. */
static void
start(struct transfer *transfer, CURLM *multi)
{
	int64_t timeout_ms = transfer->config->timeout_ms;

	transfer->has_begun = transfer->is_gzip = transfer->is_failed = false;
	transfer->encoded = transfer->decoded = 0;
	transfer->refusal.len = 0;
	transfer->curl_text[0] = '\0';
	if (timeout_ms > stop_remaining_ms())
		timeout_ms = stop_remaining_ms() + 1;
	curl_easy_setopt(transfer->handle, CURLOPT_URL, transfer->url);
	curl_easy_setopt(transfer->handle, CURLOPT_TIMEOUT_MS,
	    (long)timeout_ms);
	log_debug("%s: GET %s", transfer->request->name, transfer->url);
	transfer->phase = PHASE_FLYING;
	if (curl_multi_add_handle(multi, transfer->handle) != CURLM_OK)
		xalloc_end();
}

/* The next request of the chain, at once. */
static void
go_on(struct transfer *transfer, char *url)
{
	free(transfer->page_url);
	free(transfer->url);
	transfer->page_url = url;
	transfer->url = xstrdup(url);
	transfer->attempt = transfer->redirects = 0;
	transfer->due_ms = 0;
	transfer->phase = PHASE_WAITING;
}

/* How long to wait before the attempt after this one. */
static int64_t
wait_before_next(const struct transfer *transfer)
{
	curl_off_t seconds = 0;

	(void)curl_easy_getinfo(transfer->handle, CURLINFO_RETRY_AFTER,
	    &seconds);
	if (seconds > MAX_RETRY_AFTER_MS / 1000)
		log_warn("%s: the upstream asks to wait %" PRId64 " s; waiting"
		    " %d s", transfer->request->name, (int64_t)seconds,
		    MAX_RETRY_AFTER_MS / 1000);
	return retry_wait_ms(transfer->attempt, seconds);
}

/* The attempt failed in a way that may pass: waits, or gives up. */
static int
retry(struct transfer *transfer)
{
	int64_t	 wait_ms;
	unsigned attempts = transfer->config->retries + 1;

	if (transfer->attempt >= transfer->config->retries)
		return error_prefix(&transfer->err, "no usable answer in %u"
		    " attempt%s", attempts, attempts == 1 ? "" : "s");
	wait_ms = wait_before_next(transfer);
	if (wait_ms >= stop_remaining_ms())
		return error_prefix(&transfer->err, "the deadline"
		    " (--deadline) passes before the next attempt");
	transfer->attempt++;
	log_warn("%s: %s; trying again in %.1f s (attempt %u of %u)",
	    transfer->request->name, transfer->err.text,
	    (double)wait_ms / 1000, transfer->attempt + 1, attempts);
	free(transfer->url);
	transfer->url = xstrdup(transfer->page_url);
	transfer->redirects = 0;
	transfer->due_ms = clock_monotonic_ms() + wait_ms;
	transfer->phase = PHASE_WAITING;
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
	error_set(&transfer->err, STATUS_UNAVAILABLE, "%s",
	    transfer->curl_text[0] != '\0' ? transfer->curl_text :
	    curl_easy_strerror(code));
	if (stop_check(STATUS_UNAVAILABLE, &transfer->err) == -1)
		return -1;
	return is_code_retried(code) ? retry(transfer) : -1;
}

/* A redirect is followed within the origin, because the key goes along. */
static int
finish_redirect(struct transfer *transfer)
{
	char *location = NULL, *url;

	(void)curl_easy_getinfo(transfer->handle, CURLINFO_REDIRECT_URL,
	    &location);
	if (location == NULL)
		return error_set(&transfer->err, STATUS_UNAVAILABLE,
		    "status %ld", response_status(transfer));
	if (url_resolve(transfer->url, location, &url, &transfer->err) == -1)
		return error_prefix(&transfer->err, "redirect");
	if (!url_is_same_origin(transfer->url, url)) {
		error_set(&transfer->err, STATUS_PROTOCOL, "a redirect to"
		    " another origin (%s); the key would go with it", url);
		free(url);
		return -1;
	}
	free(transfer->url);
	transfer->url = url;
	if (++transfer->redirects > MAX_REDIRECTS)
		return error_set(&transfer->err, STATUS_PROTOCOL,
		    "more than %d redirects", MAX_REDIRECTS);
	transfer->due_ms = 0;
	transfer->phase = PHASE_WAITING;
	return 0;
}

static int
finish_refused(struct transfer *transfer, long status)
{
	char text[MAX_OUTCOME_TEXT];
	bool is_key;

	transfer->request->sink->describe(transfer->refusal.data,
	    transfer->refusal.len, text);
	is_key = status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN;
	error_set(&transfer->err, is_key ? STATUS_REFUSED : STATUS_UNAVAILABLE,
	    "status %ld%s%s%s", status, text[0] != '\0' ? ": " : "", text,
	    !is_key ? "" : transfer->config->key == NULL ?
	    " (no key was sent; set NOMPD_UPSTREAM_API_KEY_FILE)" :
	    " (the upstream refuses the key; check"
	    " NOMPD_UPSTREAM_API_KEY_FILE)");
	return retry_is_status(status) ? retry(transfer) : -1;
}

/* A whole body, as far as HTTP can tell. */
static int
finish_success(struct transfer *transfer)
{
	const struct http_request *request = transfer->request;
	char			  *next = NULL;

	if (!transfer->has_begun && begin_body(transfer) == -1)
		return -1;
	if (transfer->is_gzip && transfer->encoded > 0 &&
	    !gunzip_is_whole(transfer->gunzip)) {
		error_set(&transfer->err, STATUS_UNAVAILABLE,
		    "the body is cut off: gzip without its end");
		return retry(transfer);
	}
	if (request->sink->end(request->ctx, transfer->url, &next,
	    &transfer->err) == -1) {
		/* A gzip trailer, too, says that the body is complete. */
		if (!is_length_unknown(transfer) || transfer->is_gzip ||
		    (transfer->decoded > 0 &&
		    !request->sink->is_cut(request->ctx)))
			return -1;
		transfer->err.status = STATUS_UNAVAILABLE;
		error_prefix(&transfer->err, "the body is cut off");
		return retry(transfer);
	}
	if (next != NULL)
		go_on(transfer, next);
	else
		transfer->phase = PHASE_DONE;
	return 0;
}

static int
finish(struct transfer *transfer, CURLcode code)
{
	long status = response_status(transfer);

	if (transfer->is_failed)
		return -1;
	if (code != CURLE_OK)
		return finish_broken(transfer, code);
	if (is_success(status))
		return finish_success(transfer);
	if (status >= HTTP_REDIRECT_MIN && status <= HTTP_REDIRECT_MAX)
		return finish_redirect(transfer);
	return finish_refused(transfer, status);
}

/* Deals with what libcurl says has ended. */
static int
finish_ended(CURLM *multi, struct error *err)
{
	struct transfer *transfer;
	CURLMsg		*message;
	CURLcode	 code;
	int		 left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL) {
		if (message->msg != CURLMSG_DONE)
			continue;
		code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
		    &transfer);
		curl_multi_remove_handle(multi, transfer->handle);
		if (finish(transfer, code) == 0)
			continue;
		transfer->phase = PHASE_DONE;
		*err = transfer->err;
		return error_prefix(err, "%s (%s)", transfer->request->name,
		    transfer->url);
	}
	return 0;
}

/* Starts what is due; *sleep_ms until the next, or -1 when all is done. */
static void
start_due(struct transfer *transfers, size_t count, CURLM *multi,
    int64_t *sleep_ms)
{
	int64_t now = clock_monotonic_ms();
	size_t	i;

	*sleep_ms = -1;
	for (i = 0; i < count; i++) {
		if (transfers[i].phase == PHASE_WAITING &&
		    transfers[i].due_ms <= now)
			start(&transfers[i], multi);
		if (transfers[i].phase == PHASE_FLYING && *sleep_ms == -1)
			*sleep_ms = MAX_SLEEP_MS;
		if (transfers[i].phase == PHASE_WAITING && (*sleep_ms == -1 ||
		    transfers[i].due_ms - now < *sleep_ms))
			*sleep_ms = transfers[i].due_ms - now;
	}
}

static int
run_loop(struct transfer *transfers, size_t count, CURLM *multi,
    struct error *err)
{
	struct curl_waitfd wake = {
		.fd = stop_fd(),
		.events = CURL_WAIT_POLLIN,
	};
	int64_t sleep_ms;
	int	running;

	for (;;) {
		if (stop_check(STATUS_UNAVAILABLE, err) == -1)
			return -1;
		start_due(transfers, count, multi, &sleep_ms);
		if (sleep_ms == -1)
			return 0;
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			xalloc_end();
		if (finish_ended(multi, err) == -1)
			return -1;
		start_due(transfers, count, multi, &sleep_ms);
		if (sleep_ms > stop_remaining_ms())
			sleep_ms = stop_remaining_ms();
		if (sleep_ms > MAX_SLEEP_MS)
			sleep_ms = MAX_SLEEP_MS;
		if (sleep_ms >= 0 && curl_multi_poll(multi, &wake,
		    wake.fd >= 0 ? 1 : 0, (int)sleep_ms, NULL) != CURLM_OK)
			xalloc_end();
	}
}

int
http_run(const struct http_config *config, const struct http_request *requests,
    size_t count, struct error *err)
{
	struct transfer *transfers;
	CURLM		*multi;
	size_t		 i;
	int		 rc;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(err, STATUS_UNAVAILABLE,
		    "cannot set up libcurl");
	multi = curl_multi_init();
	if (multi == NULL)
		xalloc_end();
	transfers = xcalloc(count, sizeof(*transfers));
	for (i = 0; i < count; i++)
		transfer_init(&transfers[i], config, &requests[i]);
	rc = run_loop(transfers, count, multi, err);
	for (i = 0; i < count; i++) {
		if (transfers[i].phase == PHASE_FLYING)
			curl_multi_remove_handle(multi, transfers[i].handle);
		transfer_clear(&transfers[i]);
	}
	free(transfers);
	curl_multi_cleanup(multi);
	curl_global_cleanup();
	return rc;
}
