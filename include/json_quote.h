/* Text as a JSON string. */
#ifndef NOMPD_JSON_QUOTE_H
#define NOMPD_JSON_QUOTE_H

#include <stddef.h>

struct buf;

/*
 * Appends the len bytes of UTF-8 at text in quotes, with the fewest escapes: of
 * the quote, the backslash and what is below U+0020, the short form where there
 * is one, else \u00xx in lower case (RFC 8785, 3.2.2.2).  A NUL may be among
 * the bytes.
 */
void json_quote_append(struct buf *out, const char *text, size_t len);

#endif
