#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "response.h"
#include "text.h"
#include "xalloc.h"

/* RFC 9110, 15. */
static const struct {
	int	    status;
	const char *phrase;
} phrases[] = {
	{ 200, "OK" },
	{ 202, "Accepted" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 414, "URI Too Long" },
	{ 422, "Unprocessable Content" },
	{ 500, "Internal Server Error" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
};

static const char *
find_phrase(int status)
{
	size_t i;

	for (i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "";
}

void
response_init(struct response *response, struct cgi *cgi,
    const struct request *request)
{
	*response = (struct response){
		.cgi = cgi,
		.id = request->id,
		.is_head = strcmp(request->method, "HEAD") == 0,
	};
}

void
response_clear(struct response *response)
{
	buf_clear(&response->head);
}

void
response_header(struct response *response, const char *name, const char *value)
{
	buf_append(&response->head, name, strlen(name));
	buf_append(&response->head, ": ", 2);
	buf_append(&response->head, value, strlen(value));
	buf_append(&response->head, "\r\n", 2);
}

void
response_start(struct response *response, int status, const char *type,
    const char *cache)
{
	char line[64];

	response->status = status;
	response->head.len = 0;
	response->bytes = response->items = 0;
	(void)snprintf(line, sizeof(line), "%d %s", status,
	    find_phrase(status));
	response_header(response, "Status", line);
	if (type != NULL)
		response_header(response, "Content-Type", type);
	response_header(response, "Cache-Control", cache);
	response_header(response, "X-Content-Type-Options", "nosniff");
	response_header(response, "X-Request-Id", response->id);
}

static int
put(struct response *response, const void *data, size_t len)
{
	if (!response->is_gone &&
	    response->cgi->write(response->cgi->ctx, data, len) == -1)
		response->is_gone = true;
	return response->is_gone ? -1 : 0;
}

void
response_body(struct response *response)
{
	buf_append(&response->head, "\r\n", 2);
}

/* The headers go out, once. */
static int
send_head(struct response *response)
{
	if (response->is_sent)
		return response->is_gone ? -1 : 0;
	response->is_sent = true;
	return put(response, response->head.data, response->head.len);
}

int
response_write(struct response *response, const void *data, size_t len)
{
	if (response->is_head)
		return 0;
	if (send_head(response) == -1 || put(response, data, len) == -1)
		return -1;
	response->bytes += len;
	return 0;
}

/* The length is told, so that a short answer is one piece on the wire. */
static void
write_whole(struct response *response, const char *text, size_t len)
{
	char number[32];

	(void)snprintf(number, sizeof(number), "%zu", len);
	response_header(response, "Content-Length", number);
	response_body(response);
	(void)response_write(response, text, len);
}

void
response_end(struct response *response)
{
	(void)send_head(response);
}

static void
start_json(struct response *response, int status)
{
	response_start(response, status, "application/json", "no-store");
	if (status == 503)
		response_header(response, "Retry-After",
		    TEXT_OF(RETRY_AFTER_S));
}

void
response_json_header(struct response *response, int status, const char *text,
    size_t len, const char *name, const char *value)
{
	start_json(response, status);
	if (name != NULL)
		response_header(response, name, value);
	write_whole(response, text, len);
}

void
response_json(struct response *response, int status, const char *text,
    size_t len)
{
	response_json_header(response, status, text, len, NULL, NULL);
}

void
response_error_header(struct response *response, int status,
    const char *sentence, const char *name, const char *value)
{
	char *text;

	text = xasprintf("{\"error\":\"%s\"}", sentence);
	response_json_header(response, status, text, strlen(text), name,
	    value);
	free(text);
}

void
response_error(struct response *response, int status, const char *sentence)
{
	response_error_header(response, status, sentence, NULL, NULL);
}
