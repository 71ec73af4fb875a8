#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "clock.h"
#include "collection.h"
#include "log.h"
#include "query.h"
#include "route.h"

/* Bytes of a path that the log shows when it leads nowhere. */
#define MAX_PATH_SHOWN 128
/* Bytes of a part of it; a longer one may be a secret. */
#define MAX_PART_SHOWN 24

enum method { METHOD_GET, METHOD_POST, METHOD_DELETE, METHOD__MAX };
static const struct {
	const char *allow;   /* as the header has it */
	const char *refusal; /* of a key without the scope; NULL: any will do */
} method_rows[METHOD__MAX] = {
	[METHOD_GET] = { "GET, HEAD", NULL },
	[METHOD_POST] = { "POST", "This API key may not start a run." },
	[METHOD_DELETE] = { "DELETE", "This API key may not end a run." },
};
/* Bytes of all of them in one header, with its NUL. */
#define MAX_ALLOW_TEXT 64

/* No key is asked for. */
#define NO_KEY APIKEY_SCOPE__MAX

/* Rows of one path stand together. */
static const struct route {
	const char	 *path;
	enum method	  method;
	enum apikey_scope scope;
	page_fn		  page;
	int		  argument;
} routes[] = {
	{ "/api/v1/treatmentGroup", METHOD_GET, APIKEY_READ, page_diff,
	    TREATMENT_GROUPS },
	{ "/api/v1/reimbursementGroup", METHOD_GET, APIKEY_READ, page_diff,
	    REIMBURSEMENT_GROUPS },
	{ "/api/v1/resource/{type}", METHOD_GET, APIKEY_READ, page_diff,
	    COLLECTION__MAX },
	{ "/api/v1/jobs", METHOD_GET, APIKEY_READ, page_jobs, 0 },
	{ "/api/v1/jobs", METHOD_POST, APIKEY_SYNC, page_job_start, 0 },
	{ "/api/v1/jobs/{id}", METHOD_GET, APIKEY_READ, page_job, 0 },
	{ "/api/v1/jobs/{id}", METHOD_DELETE, APIKEY_SYNC, page_job_abort, 0 },
	{ "/api/internal/sync", METHOD_POST, APIKEY_SYNC, page_sync, 0 },
	{ "/health/live", METHOD_GET, NO_KEY, page_live, 0 },
	{ "/health/ready", METHOD_GET, NO_KEY, page_ready, 0 },
	{ "/metrics", METHOD_GET, APIKEY_READ, page_metrics, 0 },
	{ "/openapi.json", METHOD_GET, NO_KEY, page_openapi, 0 },
};

/* What a path has; of one path several rows may be. */
struct match {
	const struct route *path;  /* the first row; NULL: no such path */
	const struct route *route; /* that with the method; NULL: none */
	char		    allow[MAX_ALLOW_TEXT];
};

static bool
is_letters(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!(text[i] >= 'A' && text[i] <= 'Z') &&
		    !(text[i] >= 'a' && text[i] <= 'z'))
			return false;
	}
	return len > 0 && len <= MAX_COLLECTION_NAME;
}

/* Takes what stands for {type} or {id} out of a path, and gives what comes
 * behind it; NULL: it is not what may stand there. */
static const char *
take_part(const char *asked, const char *what, char part[MAX_PART_BYTES + 1])
{
	size_t len = strcspn(asked, "/");

	if (strcmp(what, "{id}") == 0 ? !text_is_label(asked, len) :
	    !is_letters(asked, len))
		return NULL;
	memcpy(part, asked, len);
	part[len] = '\0';
	return asked + len;
}

/* Case is ignored, and one slash at the end. */
static bool
is_path(const char *asked, const char *path, char part[MAX_PART_BYTES + 1])
{
	size_t len = strcspn(path, "{");

	if (strncasecmp(asked, path, len) != 0)
		return false;
	asked += len;
	if (path[len] == '{')
		asked = take_part(asked, path + len, part);
	return asked != NULL && (asked[0] == '\0' ||
	    (asked[0] == '/' && asked[1] == '\0'));
}

static bool
is_method(const struct route *route, const char *method)
{
	switch (route->method) {
	case METHOD_POST:
		return strcmp(method, "POST") == 0;
	case METHOD_DELETE:
		return strcmp(method, "DELETE") == 0;
	case METHOD_GET:
	case METHOD__MAX:
	default:
		return strcmp(method, "GET") == 0 ||
		    strcmp(method, "HEAD") == 0;
	}
}

static void
add_route(struct match *match, const struct route *route, const char *method)
{
	size_t len = strlen(match->allow);

	if (match->path == NULL)
		match->path = route;
	if (is_method(route, method))
		match->route = route;
	(void)snprintf(match->allow + len, sizeof(match->allow) - len, "%s%s",
	    len > 0 ? ", " : "", method_rows[route->method].allow);
}

static void
find_route(struct exchange *exchange, struct match *match)
{
	const struct request *request = exchange->request;
	size_t		      i;

	*match = (struct match){ 0 };
	if (strlen(request->path) > MAX_PATH_BYTES)
		return;
	for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		/* Without a command to start there is nothing to be
		 * started. */
		if ((routes[i].method != METHOD_POST ||
		    exchange->service->opts->sync_command != NULL) &&
		    is_path(request->path, routes[i].path, exchange->part))
			add_route(match, &routes[i], request->method);
	}
}

/* True when the key is good enough; else the refusal is sent. */
static bool
check_key(struct exchange *exchange, struct request *request,
    const struct route *route)
{
	struct response *response = &exchange->response;
	struct error	 err;
	int		 rc;

	if (route->scope == NO_KEY)
		return true;
	rc = apikey_check(exchange->service->opts->api_keys_file, request->key,
	    &request->holder, &err);
	if (rc == -1) {
		log_error("request %s: %s", request->id, err.text);
		response_error(response, 503, "The service cannot check API"
		    " keys now; try again later.");
	} else if (rc == 0) {
		response_error_header(response, 401, "Invalid or missing API"
		    " key.", "WWW-Authenticate", "ApiKey realm=\"nompd\"");
	} else if (request->holder.scope < route->scope) {
		response_error(response, 403,
		    method_rows[route->method].refusal);
	} else
		return true;
	return false;
}

/* What a page could not answer. */
static void
answer_failure(struct exchange *exchange, const struct error *err)
{
	struct response *response = &exchange->response;

	log_error("request %s: %s", exchange->request->id, err->text);
	if (response->is_sent)
		response->cgi->is_broken = true;
	else if (err->status == STATUS_STORE || err->status == STATUS_REFUSED)
		response_error(response, 503, "The store is not available; try"
		    " again later.");
	else
		response_error(response, 500, "Internal error.");
}

static void
answer(struct exchange *exchange, struct request *request,
    const struct match *match)
{
	const struct route *route = match->route;
	struct response	   *response = &exchange->response;
	struct error	    err;

	if (match->path == NULL)
		response_error(response, 404, "No such path.");
	else if (route == NULL)
		response_error_header(response, 405, "Method not allowed.",
		    "Allow", match->allow);
	else if (check_key(exchange, request, route)) {
		exchange->argument = route->argument;
		if (strlen(request->query) > MAX_QUERY_BYTES)
			response_error(response, 414, "The query string is too"
			    " long.");
		else if (route->page(exchange, &err) == -1)
			answer_failure(exchange, &err);
	}
}

/* Is it one of RFC 9110, 9.3, or PATCH (RFC 5789)?  Any other word may be a
 * secret. */
static bool
is_standard(const char *method)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT",
		"DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH" };
	size_t			 i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(method, methods[i]) == 0)
			return true;
	}
	return false;
}

/* An unknown path, but for what may be a secret that got into it. */
static void
show_path(struct buf *out, const char *path)
{
	size_t len;

	if (apikey_is_in(path)) {
		buf_print(out, "(a path with a key in it)");
		return;
	}
	while (*path != '\0' && out->len < MAX_PATH_SHOWN) {
		len = strcspn(path, "/");
		if (len <= MAX_PART_SHOWN)
			buf_append(out, path, len);
		else
			buf_append(out, "...", 3);
		path += len;
		if (*path == '/')
			buf_append_byte(out, (uint8_t)*path++);
	}
	if (out->len > MAX_PATH_SHOWN)
		out->len = MAX_PATH_SHOWN;
}

/* One line a request. */
static void
log_answer(const struct exchange *exchange, const struct route *route,
    int64_t took_ms)
{
	const struct request  *request = exchange->request;
	const struct response *response = &exchange->response;
	const char	      *method = request->method, *end = "";
	char		       items[32] = "";
	struct buf	       path = { 0 };

	if (!is_standard(method))
		method = "another method";
	if (route != NULL)
		buf_print(&path, "%s", route->path);
	else
		show_path(&path, request->path);
	if (response->items > 0)
		(void)snprintf(items, sizeof(items), " %" PRIu64 " items,",
		    response->items);
	if (response->cgi->is_broken)
		end = ", broken off";
	else if (response->is_gone)
		end = ", the client is gone";
	log_info("request %s: %s %.*s%s: %d,%s %" PRIu64 " bytes, %" PRId64
	    " ms%s%s%s", request->id, method, (int)path.len,
	    path.len > 0 ? (const char *)path.data : "", exchange->question,
	    response->status, items, response->bytes, took_ms,
	    request->holder.name[0] != '\0' ? ", consumer " : "",
	    request->holder.name, end);
	buf_clear(&path);
}

void
route_serve(void *ctx, struct cgi *cgi)
{
	struct request	request;
	struct exchange exchange = { .service = ctx, .request = &request };
	struct match	match;
	int64_t		start_ms = clock_monotonic_ms();

	request_read(&request, cgi);
	response_init(&exchange.response, cgi, &request);
	find_route(&exchange, &match);
	answer(&exchange, &request, &match);
	response_end(&exchange.response);
	log_answer(&exchange, match.path, clock_monotonic_ms() - start_ms);
	response_clear(&exchange.response);
}
