/*
 * JSON text in chunks in, BSON documents out.
 *
 * Nothing is ever held but the document that is being built.  Numbers keep
 * their digits: integers become int32 or int64 by size, every other number a
 * Decimal128; one that does not fit digit for digit is refused.  So are invalid
 * UTF-8, unpaired surrogate escapes, a NUL in a member name, more than
 * MAX_NESTING levels and documents over MAX_DOCUMENT_BYTES.  Names with `$` or
 * `.` are plain data.  Several top-level values are NDJSON: each on a line of
 * its own (blank lines are fine).  Two members of one name are not found here
 * but by hash_document().
 */
#ifndef NOMPD_JSON_BSON_H
#define NOMPD_JSON_BSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* What came to its end. */
enum json_part {
	/* An element of the `entry` array of a top-level object. */
	JSON_PART_ENTRY,
	/* An element of a top-level array. */
	JSON_PART_ITEM,
	/* A top-level object, whole. */
	JSON_PART_OBJECT,
	/* A top-level object without the `entry` whose elements were given. */
	JSON_PART_ENVELOPE,
	/* A top-level array; there is no document. */
	JSON_PART_ARRAY,
};

/*
 * Called for each part; doc is BSON of len bytes, borrowed until the call
 * returns.  position counts the bytes of text from its start to where the part
 * begins.  -1 ends the parse with the callback's error.
 */
struct json_part_info {
	enum json_part part;
	uint64_t       position;
	const uint8_t *doc;
	size_t	       len;
};
typedef int (*json_part_fn)(void *ctx, const struct json_part_info *info,
    struct error *err);

struct json_bson;

/*
 * fn and ctx are borrowed.  is_whole: every top-level object is given whole,
 * also a Bundle.  The caller frees the result.
 */
struct json_bson *json_bson_new(json_part_fn fn, void *ctx, bool is_whole);
void json_bson_free(struct json_bson *json);

/* Makes it ready for another text. */
void json_bson_reset(struct json_bson *json);

/*
 * Takes the next len bytes.  -1: they are not sound (STATUS_PROTOCOL), or the
 * callback said so; then only _position, _partial, _reset and _free may follow.
 */
int json_bson_feed(struct json_bson *json, const uint8_t *data, size_t len,
    struct error *err);
/*
 * The text is at its end.  -1 when it is cut (json_bson_is_cut() then says
 * true) or there was none.
 */
int json_bson_finish(struct json_bson *json, struct error *err);

/* True after _finish failed because the text ended in the middle. */
bool json_bson_is_cut(const struct json_bson *json);
/* Bytes of text up to where the parser stands. */
uint64_t json_bson_position(const struct json_bson *json);
/*
 * After a failure: what there is of the element or object being built, closed
 * so that it is sound BSON.  Borrowed.  False when nothing was being built.
 */
bool json_bson_partial(struct json_bson *json, struct json_part_info *info);

#endif
