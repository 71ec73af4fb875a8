#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "clock.h"
#include "gunzip.h"
#include "http.h"
#include "http_call.h"
#include "http_int.h"
#include "log.h"
#include "secret.h"
#include "stop.h"
#include "xalloc.h"

/* Setting up a connection, TLS included. */
#define MAX_CONNECT_MS (30 * 1000)
/* Bytes that libcurl hands over at once. */
#define RECEIVE_BYTES (64 * 1024)

long
http_transfer_status(const struct transfer *transfer)
{
	long status = 0;

	(void)curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE,
	    &status);
	return status;
}

const char *
http_transfer_header(const struct transfer *transfer, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(transfer->handle, name, 0, CURLH_HEADER, -1,
	    &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

bool
http_transfer_takes(const struct transfer *transfer, long status)
{
	if (status >= HTTP_REDIRECT_MIN && status <= HTTP_REDIRECT_MAX)
		return false;
	return (status >= 200 && status <= 299) ||
	    (transfer->call != NULL && transfer->call->tells_all);
}

bool
http_transfer_is_bare(const struct transfer *transfer)
{
	return transfer->request->is_open || transfer->is_away;
}

int
http_shown_bytes(const struct transfer *transfer, const char *url)
{
	bool is_secret = http_transfer_is_bare(transfer) ||
	    transfer->request->may_leave || transfer->call != NULL;

	return (int)(is_secret ? strcspn(url, "?") : strlen(url));
}

bool
http_transfer_outlives_stop(const struct transfer *transfer)
{
	return transfer->last_ms != 0;
}

int
http_transfer_check(const struct transfer *transfer, struct error *err)
{
	if (!http_transfer_outlives_stop(transfer))
		return stop_check(STATUS_UNAVAILABLE, err);
	return http_transfer_remaining_ms(transfer) > 0 ? 0 :
	    error_set(err, STATUS_UNAVAILABLE, "no answer in %.1f s",
	    (double)transfer->call->outlives_stop_ms / 1000);
}

int64_t
http_transfer_remaining_ms(const struct transfer *transfer)
{
	int64_t now;

	if (!http_transfer_outlives_stop(transfer))
		return stop_remaining_ms();
	now = clock_monotonic_ms();
	return now < transfer->last_ms ? transfer->last_ms - now : 0;
}

int
http_transfer_begin(struct transfer *transfer)
{
	const char *encoding;

	transfer->has_begun = true;
	if (transfer->answer != NULL)
		transfer->answer->status = http_transfer_status(transfer);
	encoding = http_transfer_header(transfer, "Content-Encoding");
	transfer->is_gzip = encoding != NULL &&
	    (strcasecmp(encoding, "gzip") == 0 ||
	    strcasecmp(encoding, "x-gzip") == 0);
	if (encoding != NULL && !transfer->is_gzip &&
	    strcasecmp(encoding, "identity") != 0)
		return error_set(transfer->err, STATUS_PROTOCOL,
		    "Content-Encoding \"%.64s\" (only gzip was asked for)",
		    encoding);
	gunzip_reset(transfer->gunzip);
	return transfer->request->sink->begin(transfer->request->ctx,
	    transfer->err);
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
	if (!transfer->has_begun && http_transfer_begin(transfer) == -1)
		return -1;
	transfer->encoded += len;
	if (transfer->is_gzip)
		return gunzip_feed(transfer->gunzip, data, len, take_decoded,
		    transfer, transfer->err);
	return take_decoded(transfer, data, len, transfer->err);
}

/* libcurl's write callback; anything but the full length ends the attempt. */
static size_t
on_write(char *data, size_t size, size_t count, void *ctx)
{
	struct transfer *transfer = ctx;
	size_t		 len = size * count, room;

	if (http_transfer_takes(transfer, http_transfer_status(transfer))) {
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
	curl_easy_setopt(handle, CURLOPT_SSLVERSION,
	    (long)CURL_SSLVERSION_TLSv1_2);
	if (transfer->config->ca_file != NULL) {
		curl_easy_setopt(handle, CURLOPT_CAINFO,
		    transfer->config->ca_file);
		curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
	}
}

static void
set_method(struct transfer *transfer)
{
	const struct http_call *call = transfer->call;

	if (call == NULL || strcmp(call->method, "GET") == 0)
		return;
	if (strcmp(call->method, "POST") == 0) {
		curl_easy_setopt(transfer->handle, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)call->body_len);
		curl_easy_setopt(transfer->handle, CURLOPT_POSTFIELDS,
		    call->body != NULL ? call->body : "");
		return;
	}
	curl_easy_setopt(transfer->handle, CURLOPT_CUSTOMREQUEST, call->method);
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
add_secret_header(struct transfer *transfer, const char *name,
    const char *value)
{
	char *line;

	if (value == NULL)
		return;
	line = xasprintf("%s: %s", name, value);
	add_header(transfer, line);
	secret_wipe(line);
	free(line);
}

static void
clear_headers(struct transfer *transfer)
{
	struct curl_slist *header;

	for (header = transfer->headers; header != NULL; header = header->next)
		secret_wipe(header->data);
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
}

/* Those that the call brings; true when Accept is one of them. */
static bool
add_call_headers(struct transfer *transfer)
{
	const char *const *line = transfer->call->headers;
	bool		   has_accept = false;

	for (; line != NULL && *line != NULL; line++) {
		if (strncasecmp(*line, "Accept:", strlen("Accept:")) == 0)
			has_accept = true;
		add_header(transfer, *line);
	}
	return has_accept;
}

static void
set_headers(struct transfer *transfer, const char *authorization)
{
	const char *accept = transfer->request->accept;
	bool	    is_secret;
	char	   *line;

	clear_headers(transfer);
	if (accept == NULL)
		accept = "application/fhir+json, application/json,"
			 " application/fhir+ndjson, application/ndjson";
	if (transfer->call == NULL || !add_call_headers(transfer)) {
		line = xasprintf("Accept: %s", accept);
		add_header(transfer, line);
		free(line);
	}
	/* A secret is not to linger in the window of the decoder. */
	is_secret = transfer->call != NULL && transfer->call->is_secret;
	add_header(transfer, is_secret ? "Accept-Encoding: identity" :
	    "Accept-Encoding: gzip");
	if (!http_transfer_is_bare(transfer)) {
		add_secret_header(transfer, transfer->config->key_header,
		    transfer->config->key);
		add_secret_header(transfer, "Authorization", authorization);
	}
	curl_easy_setopt(transfer->handle, CURLOPT_HTTPHEADER,
	    transfer->headers);
}

void
http_transfer_init(struct transfer *transfer, const struct http_config *config,
    const struct http_request *request)
{
	transfer->config = config;
	transfer->request = request;
	transfer->page_url = xstrdup(request->url);
	transfer->url = xstrdup(request->url);
	transfer->phase = PHASE_WAITING;
}

static void
open_handle(struct transfer *transfer)
{
	transfer->handle = curl_easy_init();
	if (transfer->handle == NULL)
		xalloc_end();
	transfer->gunzip = gunzip_new();
	transfer->err = xcalloc(1, sizeof(*transfer->err));
	set_common_options(transfer);
	set_method(transfer);
}

void
http_transfer_clear(struct transfer *transfer)
{
	curl_easy_cleanup(transfer->handle);
	transfer->handle = NULL;
	clear_headers(transfer);
	gunzip_free(transfer->gunzip);
	transfer->gunzip = NULL;
	free(transfer->err);
	transfer->err = NULL;
	buf_clear(&transfer->refusal);
	free(transfer->page_url);
	free(transfer->url);
	transfer->page_url = transfer->url = NULL;
}

/* Sets the headers, Authorization among them for those who may have it. */
static int
authorize(struct transfer *transfer, struct error *err)
{
	const struct http_config *config = transfer->config;
	char			 *value = NULL;

	if (config->authorize != NULL && !http_transfer_is_bare(transfer) &&
	    config->authorize(config->authorize_ctx, transfer->url,
	    transfer->wants_anew, &value, err) == -1)
		return -1;
	transfer->wants_anew = false;
	transfer->is_authorized = value != NULL;
	set_headers(transfer, value);
	if (value != NULL)
		secret_wipe(value);
	free(value);
	return 0;
}

int
http_transfer_start(struct transfer *transfer, CURLM *multi, struct error *err)
{
	int64_t timeout_ms = transfer->config->timeout_ms;
	int64_t remaining_ms;

	if (transfer->handle == NULL)
		open_handle(transfer);
	transfer->has_begun = transfer->is_gzip = transfer->is_failed = false;
	transfer->encoded = transfer->decoded = 0;
	transfer->refusal.len = 0;
	transfer->curl_text[0] = '\0';
	if (authorize(transfer, err) == -1)
		return -1;
	remaining_ms = http_transfer_remaining_ms(transfer);
	if (timeout_ms > remaining_ms)
		timeout_ms = remaining_ms + 1;
	curl_easy_setopt(transfer->handle, CURLOPT_URL, transfer->url);
	curl_easy_setopt(transfer->handle, CURLOPT_TIMEOUT_MS,
	    (long)timeout_ms);
	log_debug("%s: %s %.*s", transfer->request->name,
	    transfer->call != NULL ? transfer->call->method : "GET",
	    http_shown_bytes(transfer, transfer->url), transfer->url);
	transfer->phase = PHASE_FLYING;
	if (curl_multi_add_handle(multi, transfer->handle) != CURLM_OK)
		xalloc_end();
	return 0;
}
