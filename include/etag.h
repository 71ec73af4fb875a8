/* Entity tags (RFC 9110, 8.8.3 and 13.1.2), compared weakly. */
#ifndef NOMPD_ETAG_H
#define NOMPD_ETAG_H

#include <stdbool.h>

/*
 * True when the value of If-None-Match (NULL: there is none) is * or has the
 * tag opaque, which stands there without its quotes; one to which the web
 * server has added the coding that it used ("-gzip") is the same.
 */
bool etag_matches(const char *header, const char *opaque);

#endif
