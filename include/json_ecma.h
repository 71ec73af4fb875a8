/*
 * Numbers as ECMAScript's Number::toString() writes them, which RFC 8785,
 * 3.2.2.3 wants: the fewest digits that give the same double again and, of
 * these, the ones nearest to it; as "1e+21" from 1e21 on and as "1e-7" below
 * 1e-6, else without an exponent; -0 as "0".
 *
 * No locale has a say.  The rounding mode is that of a process's start, to
 * nearest.
 */
#ifndef NOMPD_JSON_ECMA_H
#define NOMPD_JSON_ECMA_H

#include <bson/bson.h>
#include <stdint.h>

struct buf;

/* Appends the double nearest to value. */
void json_ecma_append_integer(struct buf *out, int64_t value);
/* Appends value.  -1, and nothing is appended: it is not finite. */
int json_ecma_append_double(struct buf *out, double value);
/*
 * Appends the double nearest to value; "0" for what is nearer to 0 than to the
 * smallest double.  -1, and nothing is appended: there is no finite one (from
 * about 1.8e308 on), or value is infinite or no number.
 */
int json_ecma_append_decimal(struct buf *out, const bson_decimal128_t *value);

#endif
