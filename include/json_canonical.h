/*
 * Canonical JSON (RFC 8785, JCS): one text for each document, whoever writes
 * it, so that it can be hashed or signed.
 *
 *	3.2.1	no white space
 *	3.2.2.1	null, true, false
 *	3.2.2.2	strings with the fewest escapes; invalid UTF-8 is an error
 *	3.2.2.3	numbers as the nearest double, as ECMAScript writes it
 *		(json_ecma.h); one that has none is an error
 *	3.2.3	members ordered by the UTF-16 code units of their names, so
 *		that U+10000 and above come before U+E000 to U+FFFF
 *	3.2.4	UTF-8
 *
 * That numbers are doubles is the RFC's: 1.50 and 1.5 give the same text, and
 * so do 9007199254740992 and 9007199254740993.  Two members of one name are an
 * error (3.1, after RFC 7493, 2.3).
 */
#ifndef NOMPD_JSON_CANONICAL_H
#define NOMPD_JSON_CANONICAL_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "hash.h"

struct buf;

/* Scratch memory that is used again for each document. */
struct json_canonical;

struct json_canonical *json_canonical_new(void);
void json_canonical_free(struct json_canonical *canonical);

/*
 * Appends the text of the BSON document of len bytes at data, which holds null,
 * booleans, int32, int64, double, Decimal128, UTF-8, arrays and documents.
 *
 * -1 with STATUS_PROTOCOL, and nothing is appended: the document is larger than
 * MAX_RECORD_BYTES, nested deeper than MAX_NESTING, not sound, or holds what
 * has no canonical text.  The sentence names the place, as in "action[2].code".
 */
int json_canonical_append(struct json_canonical *canonical,
    const uint8_t *data, size_t len, struct buf *out, struct error *err);
/*
 * SHA-256 of the same text, of which no more is held than a piece of some
 * kilobytes and the one string it ends in.
 */
int json_canonical_hash(struct json_canonical *canonical, const uint8_t *data,
    size_t len, uint8_t hash[HASH_BYTES], struct error *err);

#endif
