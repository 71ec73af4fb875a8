#include <sodium.h>
#include <string.h>

#include "request.h"

/* Random bytes of an id that is made here. */
#define ID_BYTES 8

static const char *
read_param(const struct cgi *cgi, const char *name)
{
	const char *value;

	value = cgi->param(cgi->ctx, name);
	return value != NULL ? value : "";
}

static void
read_id(struct request *request, const struct cgi *cgi)
{
	const char *text;
	uint8_t	    random[ID_BYTES];

	text = read_param(cgi, "HTTP_X_REQUEST_ID");
	/* A key that was put there by mistake would stand in every log. */
	if (text_is_label(text, strlen(text)) && !apikey_is_in(text)) {
		memcpy(request->id, text, strlen(text) + 1);
		return;
	}
	randombytes_buf(random, sizeof(random));
	(void)sodium_bin2hex(request->id, sizeof(request->id), random,
	    sizeof(random));
}

/* A client may have written it in its own way: only what is the same in every
 * header and URL is told again. */
static bool
is_plain_path(const char *text)
{
	size_t i;

	for (i = 0; text[i] != '\0'; i++) {
		if (text[i] != '/' && !text_is_label(text + i, 1))
			return false;
	}
	/* "//host" would be another server. */
	return text[0] == '/' && text[1] != '/' && text[i - 1] != '/' &&
	    i <= MAX_PATH_BYTES;
}

void
request_read(struct request *request, const struct cgi *cgi)
{
	*request = (struct request){
		.method = read_param(cgi, "REQUEST_METHOD"),
		.path = read_param(cgi, "PATH_INFO"),
		.query = read_param(cgi, "QUERY_STRING"),
		.key = cgi->param(cgi->ctx, "HTTP_X_API_KEY"),
		.validator = cgi->param(cgi->ctx, "HTTP_IF_NONE_MATCH"),
	};
	request->prefix = "";
	if (request->path[0] == '\0')
		request->path = read_param(cgi, "SCRIPT_NAME");
	else if (is_plain_path(read_param(cgi, "SCRIPT_NAME")))
		request->prefix = read_param(cgi, "SCRIPT_NAME");
	if (request->validator != NULL &&
	    strlen(request->validator) > MAX_VALIDATOR_BYTES)
		request->validator = NULL;
	read_id(request, cgi);
}
