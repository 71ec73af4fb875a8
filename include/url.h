/* URLs (RFC 3986), by libcurl's parser: the same one that fetches them. */
#ifndef NOMPD_URL_H
#define NOMPD_URL_H

#include <stdbool.h>

#include "error.h"

struct buf;

/* Bytes of a URL that is taken from a response. */
#define MAX_URL_BYTES 8192

/* path below base (which may end in a slash); the caller frees it. */
char *url_below(const char *base, const char *path);

/*
 * reference (absolute or relative) as seen from base, made absolute, without
 * its fragment.  The caller frees *out.  -1 with STATUS_PROTOCOL when it is no
 * URL, has a user name or password, or is longer than MAX_URL_BYTES.
 */
int url_resolve(const char *base, const char *reference, char **out,
    struct error *err);

/* True when scheme, host and port (default ports filled in) are the same. */
bool url_is_same_origin(const char *one, const char *other);

/*
 * The same for a link that http is to follow: -1 as well when it is neither
 * http nor https, or leads from https to http.
 */
int url_resolve_http(const char *base, const char *reference, char **out,
    struct error *err);
/* Appends text with all but the unreserved characters (RFC 3986, 2.3) percent-
 * encoded: a value of a query. */
void url_append_escaped(struct buf *out, const char *text);
/* True when reference is not relative. */
bool url_has_scheme(const char *reference);
/* True for a file: URL. */
bool url_is_file(const char *url);
/* True for an https: URL. */
bool url_is_https(const char *url);
/* True when its host is this machine by name or number: localhost, 127.0.0.0/8
 * or [::1]. */
bool url_is_loopback(const char *url);

/*
 * The path of a file: URL, its percent escapes decoded; the caller frees
 * *path.  -1 with STATUS_USAGE when it has a host other than localhost or a
 * NUL in its path.
 */
int url_file_path(const char *url, char **path, struct error *err);

#endif
