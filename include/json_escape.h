/*
 * Finds unpaired surrogate escapes (\ud800 without its low half, or a low half
 * alone) in JSON text that comes in chunks.  The JSON parser would turn them
 * into a question mark without a word (RFC 8259, 8.2).
 */
#ifndef NOMPD_JSON_ESCAPE_H
#define NOMPD_JSON_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed is the state at the start of a text. */
struct json_escape {
	unsigned state;	   /* bytes of the escape seen so far */
	unsigned code;	   /* value of its hex digits so far */
	bool	 has_high; /* a high surrogate waits for its low half */
};

/*
 * Looks at the next len bytes.  Returns how many are sound: len, or the offset
 * of the byte at which an escape proves to be unpaired.
 */
size_t json_escape_scan(struct json_escape *escape, const uint8_t *data,
    size_t len);

#endif
