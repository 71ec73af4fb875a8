#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "bulk_int.h"
#include "bulk_job.h"
#include "http.h"
#include "http_call.h"
#include "log.h"
#include "url.h"
#include "xalloc.h"

#define OUTPUT_FORMAT "application/fhir+ndjson"

/* A value of a list.  A comma in it is no border between values, so it is
 * encoded once more. */
static void
append_value(struct buf *url, const char *value)
{
	char  *part;
	size_t len;

	for (;;) {
		len = strcspn(value, ",");
		part = xstrndup(value, len);
		url_append_escaped(url, part);
		free(part);
		if (value[len] == '\0')
			return;
		buf_print(url, "%%252C");
		value += len + 1;
	}
}

static void
append_list(struct buf *url, const char *name, const char *const *words,
    size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i == 0)
			buf_print(url, "&%s=", name);
		else
			buf_append_byte(url, ',');
		append_value(url, words[i]);
	}
}

/* The operation's URL; with_parameters: as a GET has it.  The caller frees
 * it. */
static char *
make_url(const struct bulk_request *request, bool with_parameters)
{
	struct buf url = { 0 };
	char	  *path, *text;

	path = request->level_path[0] == '\0' ? xstrdup("$export") :
	    xasprintf("%s/$export", request->level_path);
	text = url_below(request->base, path);
	buf_print(&url, "%s", text);
	free(text);
	free(path);
	if (with_parameters) {
		buf_print(&url, "?_outputFormat=");
		url_append_escaped(&url, OUTPUT_FORMAT);
		if (request->since != NULL) {
			buf_print(&url, "&_since=");
			url_append_escaped(&url, request->since);
		}
		append_list(&url, "_type", request->types, request->n_types);
		append_list(&url, "_typeFilter", request->filters,
		    request->n_filters);
		append_list(&url, "_elements", request->elements,
		    request->n_elements);
	}
	buf_append_byte(&url, '\0');
	return (char *)url.data;
}

static void
add_parameter(json_t *list, const char *name, const char *kind,
    const char *value)
{
	json_t *parameter;

	parameter = json_object();
	if (json_object_set_new(parameter, "name", json_string(name)) == -1 ||
	    json_object_set_new(parameter, kind,
	    json_string_nocheck(value)) == -1 ||
	    json_array_append_new(list, parameter) == -1)
		xalloc_end();
}

static void
add_parameters(json_t *list, const char *name, const char *const *words,
    size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		add_parameter(list, name, "valueString", words[i]);
}

/* The Parameters resource of a POST; the caller frees it.  NULL: a text that
 * is no UTF-8. */
static char *
make_body(const struct bulk_request *request)
{
	json_t *root, *list;
	char   *text;

	list = json_array();
	root = json_pack("{s:s,s:o}", "resourceType", "Parameters",
	    "parameter", list);
	if (root == NULL)
		xalloc_end();
	add_parameter(list, "_outputFormat", "valueString", OUTPUT_FORMAT);
	if (request->since != NULL)
		add_parameter(list, "_since", "valueInstant", request->since);
	add_parameters(list, "_type", request->types, request->n_types);
	add_parameters(list, "_typeFilter", request->filters,
	    request->n_filters);
	add_parameters(list, "_elements", request->elements,
	    request->n_elements);
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

/* Does one of these operations name version 4 of the export? */
static bool
names_version_4(const json_t *operations)
{
	const char *definition;
	size_t	    i;

	for (i = 0; i < json_array_size(operations); i++) {
		definition = json_string_value(json_object_get(
		    json_array_get(operations, i), "definition"));
		if (definition != NULL &&
		    strstr(definition, "OperationDefinition/") != NULL &&
		    strstr(definition, "export|4") != NULL)
			return true;
	}
	return false;
}

/* The same for a CapabilityStatement: there are operations of the server and
 * of each type. */
static bool
is_version_4(const json_t *statement)
{
	const json_t *rests, *rest, *resources, *resource;
	size_t	      i, at;

	rests = json_object_get(statement, "rest");
	for (i = 0; i < json_array_size(rests); i++) {
		rest = json_array_get(rests, i);
		if (names_version_4(json_object_get(rest, "operation")))
			return true;
		resources = json_object_get(rest, "resource");
		for (at = 0; at < json_array_size(resources); at++) {
			resource = json_array_get(resources, at);
			if (names_version_4(json_object_get(resource,
			    "operation")))
				return true;
		}
	}
	return false;
}

/* Version 4 knows POST alone.  A server that does not say so gets a GET. */
static bool
wants_post(const struct http_config *config, const char *base)
{
	static const char *const headers[] = {
		"Accept: application/fhir+json", NULL,
	};
	struct http_config once = *config;
	struct http_answer answer;
	struct http_call   call = {
		.method = "GET",
		.name = "the CapabilityStatement",
		.headers = headers,
		.max_body = MAX_METADATA_BYTES,
	};
	struct error err;
	char	    *url;
	json_t	    *statement = NULL;
	bool	     is_wanted = false;

	once.retries = 0;
	url = url_below(base, "metadata");
	call.url = url;
	if (http_call(&once, &call, &answer, &err) == 0)
		statement = json_loadb((char *)answer.body.data,
		    answer.body.len, 0, NULL);
	else
		log_debug("%s", err.text);
	if (statement != NULL)
		is_wanted = is_version_4(statement);
	json_decref(statement);
	http_answer_clear(&answer);
	free(url);
	return is_wanted;
}

/* Where to ask for the export, from the answer that it has begun. */
static int
take_poll_url(const struct http_config *config,
    const struct http_answer *answer, char **poll_url, struct error *err)
{
	if (answer->content_location == NULL)
		return error_set(err, STATUS_PROTOCOL, "status %ld without"
		    " Content-Location, so nobody knows where to ask for the"
		    " export", answer->status);
	if (url_resolve_http(answer->url, answer->content_location, poll_url,
	    err) == -1)
		return error_prefix(err, "Content-Location");
	if ((config->key == NULL && config->authorize == NULL) ||
	    url_is_same_origin(answer->url, *poll_url))
		return 0;
	error_set(err, STATUS_PROTOCOL, "Content-Location leads to another"
	    " origin (%.*s); key and token would go with it.  The server may"
	    " have to be told its own address", (int)strcspn(*poll_url, "?"),
	    *poll_url);
	free(*poll_url);
	*poll_url = NULL;
	return -1;
}

/* Whether the other way of asking may do better. */
static bool
is_form_refused(long status)
{
	return status == BULK_HTTP_BAD_REQUEST ||
	    status == BULK_HTTP_NOT_ALLOWED ||
	    status == BULK_HTTP_URI_TOO_LONG;
}

/* What the answer means.  0, -1, BULK_AGAIN; 1: -1, but the other way of asking
 * may do better. */
static int
judge(void *ctx, struct bulk_wait *wait, const struct http_call *call,
    const struct http_answer *answer, struct error *err)
{
	char **poll_url = ctx;
	int    rc;

	if (answer->status >= 200 && answer->status <= 299)
		rc = take_poll_url(wait->config, answer, poll_url, err);
	else
		rc = bulk_refused(wait, answer, answer->status, err);
	if (rc != -1)
		return rc;
	error_put_before(err, "%s (%s %.*s)%s", wait->name, call->method,
	    (int)strcspn(call->url, "?"), call->url,
	    answer->status == BULK_HTTP_BAD_REQUEST ||
	    answer->status == BULK_HTTP_NOT_FOUND ?
	    ", check --upstream, --group and --type" : "");
	if (answer->status < BULK_HTTP_BAD_REQUEST)
		return -1;
	/* Nothing was begun that could be broken. */
	if (err->status == STATUS_PROTOCOL)
		err->status = STATUS_UNAVAILABLE;
	return is_form_refused(answer->status) ? 1 : -1;
}

static int
kick_off(const struct http_config *config, const struct bulk_request *request,
    bool is_post, char **poll_url, struct error *err)
{
	const char *const headers[] = {
		"Accept: application/fhir+json", "Prefer: respond-async",
		"Cache-Control: no-cache",
		is_post ? "Content-Type: application/fhir+json" : NULL, NULL,
	};
	struct bulk_wait wait = {
		.config = config,
		.name = "the kick-off",
		.max_wait_ms = request->max_wait_ms,
	};
	struct http_call call = {
		.method = is_post ? "POST" : "GET",
		.name = wait.name,
		.headers = headers,
		.max_body = MAX_JOB_ANSWER_BYTES,
		.tells_all = true,
	};
	char *url, *body = NULL;
	int   rc;

	url = make_url(request, !is_post);
	if (is_post) {
		body = make_body(request);
		if (body == NULL) {
			free(url);
			return error_set(err, STATUS_USAGE, "the kick-off: a"
			    " type, filter or element is no UTF-8 text");
		}
		call.body = body;
		call.body_len = strlen(body);
	}
	call.url = url;
	rc = bulk_ask(&wait, &call, judge, poll_url, err);
	if (*poll_url != NULL)
		log_info("the export has begun (%s); its status: %.*s",
		    call.method, (int)strcspn(*poll_url, "?"), *poll_url);
	free(body);
	free(url);
	return rc;
}

int
bulk_kick_off(const struct http_config *config,
    const struct bulk_request *request, char **poll_url, struct error *err)
{
	struct error first;
	bool	     is_auto = request->kick_off == BULK_KICK_OFF_AUTO;
	bool	     is_post = request->kick_off == BULK_KICK_OFF_POST;
	int	     rc;

	*poll_url = NULL;
	if (is_auto)
		is_post = wants_post(config, request->base);
	rc = kick_off(config, request, is_post, poll_url, err);
	if (rc == 1 && is_auto) {
		first = *err;
		log_info("%s; trying %s", first.text, is_post ? "GET" :
		    "POST");
		rc = kick_off(config, request, !is_post, poll_url, err);
		if (rc != 0)
			error_put_before(err, "%s; and then", first.text);
	}
	return rc == 0 ? 0 : -1;
}
