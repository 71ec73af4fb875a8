#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "url.h"
#include "xalloc.h"

/* Bytes of a link that a message shows. */
#define MAX_SHOWN_URL 256

static CURLU *
handle_new(void)
{
	CURLU *handle;

	handle = curl_url();
	if (handle == NULL)
		xalloc_end();
	return handle;
}

/* A part of the URL as libcurl's text (curl_free), or NULL. */
static char *
part_get(CURLU *handle, CURLUPart part, unsigned flags)
{
	char *text;

	return curl_url_get(handle, part, &text, flags) == CURLUE_OK ? text :
	    NULL;
}

static bool
is_same_part(CURLU *one, CURLU *other, CURLUPart part)
{
	char *a, *b;
	bool  is_same;

	a = part_get(one, part, CURLU_DEFAULT_PORT);
	b = part_get(other, part, CURLU_DEFAULT_PORT);
	is_same = a != NULL && b != NULL && strcasecmp(a, b) == 0;
	curl_free(a);
	curl_free(b);
	return is_same;
}

static bool
has_part(CURLU *handle, CURLUPart part)
{
	char *text;
	bool  has;

	text = part_get(handle, part, 0);
	has = text != NULL;
	curl_free(text);
	return has;
}

char *
url_below(const char *base, const char *path)
{
	size_t len = strlen(base);

	while (len > 0 && base[len - 1] == '/')
		len--;
	return xasprintf("%.*s/%s", (int)len, base, path);
}

/* Bytes of what is no URL that a message shows; its query may be a secret. */
static int
shown_bytes(const char *reference)
{
	size_t len = strcspn(reference, "?");

	return (int)(len < MAX_SHOWN_URL ? len : MAX_SHOWN_URL);
}

int
url_resolve(const char *base, const char *reference, char **out,
    struct error *err)
{
	CURLU	 *handle;
	CURLUcode code;
	char	 *text = NULL;
	int	  rc = -1;

	*out = NULL;
	handle = handle_new();
	if (strlen(reference) > MAX_URL_BYTES) {
		error_set(err, STATUS_PROTOCOL, "a link over the limit of %d"
		    " bytes", MAX_URL_BYTES);
		goto out;
	}
	code = curl_url_set(handle, CURLUPART_URL, base, 0);
	if (code == CURLUE_OK)
		code = curl_url_set(handle, CURLUPART_URL, reference,
		    CURLU_URLENCODE | CURLU_ALLOW_SPACE);
	if (code == CURLUE_OK)
		code = curl_url_set(handle, CURLUPART_FRAGMENT, NULL, 0);
	if (code != CURLUE_OK) {
		error_set(err, STATUS_PROTOCOL, "a link that is no http(s)"
		    " URL (%s): %.*s", curl_url_strerror(code),
		    shown_bytes(reference), reference);
		goto out;
	}
	if (has_part(handle, CURLUPART_USER) ||
	    has_part(handle, CURLUPART_PASSWORD)) {
		error_set(err, STATUS_PROTOCOL, "a link with a user name or"
		    " password in it");
		goto out;
	}
	text = part_get(handle, CURLUPART_URL, 0);
	if (text == NULL)
		xalloc_end();
	if (strlen(text) > MAX_URL_BYTES) {
		error_set(err, STATUS_PROTOCOL, "a link over the limit of %d"
		    " bytes", MAX_URL_BYTES);
		goto out;
	}
	*out = xstrdup(text);
	rc = 0;
out:
	curl_free(text);
	curl_url_cleanup(handle);
	return rc;
}

bool
url_is_same_origin(const char *one, const char *other)
{
	CURLU *a, *b;
	bool   is_same;

	a = handle_new();
	b = handle_new();
	is_same = curl_url_set(a, CURLUPART_URL, one, 0) == CURLUE_OK &&
	    curl_url_set(b, CURLUPART_URL, other, 0) == CURLUE_OK &&
	    is_same_part(a, b, CURLUPART_SCHEME) &&
	    is_same_part(a, b, CURLUPART_HOST) &&
	    is_same_part(a, b, CURLUPART_PORT);
	curl_url_cleanup(a);
	curl_url_cleanup(b);
	return is_same;
}

static bool
has_scheme(const char *url, const char *scheme)
{
	return strncasecmp(url, scheme, strlen(scheme)) == 0;
}

int
url_resolve_http(const char *base, const char *reference, char **out,
    struct error *err)
{
	int len;

	if (url_resolve(base, reference, out, err) == -1)
		return -1;
	/* A query may be a secret. */
	len = (int)strcspn(*out, "?");
	if (!has_scheme(*out, "https:") && !has_scheme(*out, "http:"))
		error_set(err, STATUS_PROTOCOL, "a link that is no http(s)"
		    " URL: %.*s", len, *out);
	else if (has_scheme(base, "https:") && !has_scheme(*out, "https:"))
		error_set(err, STATUS_PROTOCOL, "a link from https to http"
		    " (%.*s), where anybody could read it", len, *out);
	else
		return 0;
	free(*out);
	*out = NULL;
	return -1;
}

void
url_append_escaped(struct buf *out, const char *text)
{
	char *escaped;

	escaped = curl_easy_escape(NULL, text, 0);
	if (escaped == NULL)
		xalloc_end();
	buf_append(out, escaped, strlen(escaped));
	curl_free(escaped);
}

bool
url_has_scheme(const char *reference)
{
	size_t len = strcspn(reference, ":/?#");

	return reference[len] == ':' || strncmp(reference, "//", 2) == 0;
}

bool
url_is_file(const char *url)
{
	return strncasecmp(url, "file:", strlen("file:")) == 0;
}

bool
url_is_https(const char *url)
{
	return strncasecmp(url, "https:", strlen("https:")) == 0;
}

static bool
is_loopback(const char *host)
{
	struct in6_addr six;
	struct in_addr	four;
	char		text[INET6_ADDRSTRLEN];
	size_t		len = strlen(host);

	if (strcasecmp(host, "localhost") == 0)
		return true;
	/* libcurl has a number in its usual form, and one of IPv6 in []. */
	if (inet_pton(AF_INET, host, &four) == 1)
		return (ntohl(four.s_addr) >> 24) == IN_LOOPBACKNET;
	if (len < 2 || len - 2 >= sizeof(text) || host[0] != '[')
		return false;
	memcpy(text, host + 1, len - 2);
	text[len - 2] = '\0';
	return inet_pton(AF_INET6, text, &six) == 1 &&
	    IN6_IS_ADDR_LOOPBACK(&six);
}

bool
url_is_loopback(const char *url)
{
	CURLU *handle;
	char  *host = NULL;
	bool   is_own;

	handle = handle_new();
	if (curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK)
		host = part_get(handle, CURLUPART_HOST, 0);
	is_own = host != NULL && is_loopback(host);
	curl_free(host);
	curl_url_cleanup(handle);
	return is_own;
}

int
url_file_path(const char *url, char **path, struct error *err)
{
	CURLU *handle;
	char  *text = NULL, *decoded = NULL;
	int    len = 0, rc = -1;

	*path = NULL;
	handle = handle_new();
	if (curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK)
		text = part_get(handle, CURLUPART_PATH, 0);
	if (text != NULL)
		decoded = curl_easy_unescape(NULL, text, 0, &len);
	if (decoded == NULL || strlen(decoded) != (size_t)len) {
		error_set(err, STATUS_USAGE, "no usable file URL (write"
		    " file:///absolute/folder): %.256s", url);
		goto out;
	}
	*path = xstrdup(decoded);
	rc = 0;
out:
	curl_free(decoded);
	curl_free(text);
	curl_url_cleanup(handle);
	return rc;
}
