/* What the server says at .well-known/smart-configuration (HL7 SMART App
 * Launch 2.2, Conformance). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http_call.h"
#include "jwk.h"
#include "log.h"
#include "smart_int.h"
#include "url.h"
#include "xalloc.h"

#define WELL_KNOWN ".well-known/smart-configuration"

static const char *const headers[] = { "Accept: application/json", NULL };

const char *
smart_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* Does the list with that name have the text? */
static bool
has_text(const json_t *object, const char *name, const char *text)
{
	const json_t *list = json_object_get(object, name), *item;
	size_t	      i;

	json_array_foreach(list, i, item) {
		if (json_is_string(item) &&
		    strcmp(json_string_value(item), text) == 0)
			return true;
	}
	return false;
}

/* Servers that do without them are many, so that these are but hints. */
static void
warn_of_missing(const json_t *json, const char *alg)
{
	const struct {
		const char *list;
		const char *item; /* NULL: any */
	} wanted[] = {
		{ "token_endpoint_auth_methods_supported", "private_key_jwt" },
		{ "token_endpoint_auth_signing_alg_values_supported", alg },
		{ "scopes_supported", NULL },
		{ "capabilities", "client-confidential-asymmetric" },
	};
	struct buf missing = { 0 };
	size_t	   i;

	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (wanted[i].item != NULL ?
		    has_text(json, wanted[i].list, wanted[i].item) :
		    json_array_size(json_object_get(json, wanted[i].list)) > 0)
			continue;
		buf_print(&missing, "%s%s%s%s", missing.len > 0 ? ", " : "",
		    wanted[i].list, wanted[i].item != NULL ? ": " : "",
		    wanted[i].item != NULL ? wanted[i].item : "");
	}
	if (missing.len > 0)
		log_warn("SMART discovery: the server does not show what a"
		    " client like this one needs (%.*s); trying all the same",
		    (int)missing.len, (const char *)missing.data);
	buf_clear(&missing);
}

/* The URL is absolute, and nobody on the way can read what goes there. */
static int
check_url(const struct smart *smart, const char *url, struct error *err)
{
	char *whole;

	if (strchr(url, '#') != NULL ||
	    url_resolve(url, url, &whole, err) == -1)
		return error_set(err, STATUS_PROTOCOL, "token_endpoint: want"
		    " an absolute URL; have \"%.256s\"", url);
	free(whole);
	if (url_is_https(url) || (!url_is_https(smart->base) &&
	    strncasecmp(url, "http:", strlen("http:")) == 0 &&
	    url_is_loopback(url)))
		return 0;
	return error_set(err, STATUS_PROTOCOL, "token_endpoint: want https,"
	    " else the token could be read on its way; have \"%.256s\"", url);
}

static int
take(const struct smart *smart, const struct buf *body,
    struct smart_found *found, struct error *err)
{
	const char *url;
	json_t	   *json;
	int	    rc = -1;

	json = json_loadb((const char *)body->data, body->len, 0, NULL);
	url = smart_text(json, "token_endpoint");
	if (!json_is_object(json))
		(void)error_set(err, STATUS_PROTOCOL, "want a JSON object");
	else if (url == NULL)
		(void)error_set(err, STATUS_PROTOCOL, "want a"
		    " token_endpoint; there is none");
	else
		rc = check_url(smart, url, err);
	if (rc == 0) {
		found->token_url = xstrdup(url);
		found->is_v1 = has_text(json, "capabilities",
		    "permission-v1") &&
		    !has_text(json, "capabilities", "permission-v2");
		warn_of_missing(json, jwk_alg_name(jwk_alg(smart->key)));
	}
	json_decref(json);
	return rc;
}

int
smart_discover(const struct smart *smart, struct smart_found *found,
    struct error *err)
{
	struct http_answer answer;
	struct http_call   call = {
		.method = "GET",
		.name = "SMART discovery",
		.headers = headers,
		.max_body = MAX_SMART_ANSWER_BYTES,
		.is_open = true,
	};
	char *url;
	int   rc;

	*found = (struct smart_found){ .token_url = NULL };
	url = url_below(smart->base, WELL_KNOWN);
	call.url = url;
	rc = http_call(&smart->http, &call, &answer, err);
	if (rc == 0) {
		rc = take(smart, &answer.body, found, err);
		if (rc == -1)
			(void)error_prefix(err, "%s (%s)", call.name, url);
	}
	http_answer_clear(&answer);
	free(url);
	return rc;
}
