/*
 * BSON as JSON text: strings and numbers as they are (a Decimal128 as its
 * digits), dates as RFC 3339 text in UTC with milliseconds.  This is plain
 * JSON, not MongoDB's extended JSON.
 */
#ifndef NOMPD_BSON_JSON_H
#define NOMPD_BSON_JSON_H

#include <bson/bson.h>

#include "buf.h"

struct bson_member;

/*
 * Appends doc as one line of compact JSON text (no newline).  Members keep
 * their order.  Returns -1 when doc is not sound BSON or holds a type that no
 * store of ours holds; what was appended by then is of no use.
 */
int bson_json_append(struct buf *out, const bson_t *doc);
/* The same for the one value on which an iterator stands. */
int bson_json_append_value(struct buf *out, const bson_iter_t *value);
/* The same for a member's value. */
int bson_json_append_member(struct buf *out, const struct bson_member *member);

#endif
