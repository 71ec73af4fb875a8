/* A JSON number as BSON, digit for digit. */
#ifndef NOMPD_JSON_NUMBER_H
#define NOMPD_JSON_NUMBER_H

#include <bson/bson.h>
#include <stddef.h>
#include <stdint.h>

struct json_number {
	bson_type_t	  type; /* INT32, INT64 or DECIMAL128 */
	int64_t		  integer;
	bson_decimal128_t decimal;
};

/*
 * The number whose JSON text (RFC 8259, 6) is the len bytes at text.  Integers
 * become int32 or int64 by size; a number with a fraction or an exponent, one
 * beyond int64, and -0 a Decimal128.  -1: a Decimal128 cannot hold it digit for
 * digit (34 digits after leading zeros, exponent -6176 to 6111).
 */
int json_number_parse(const char *text, size_t len, struct json_number *out);

#endif
