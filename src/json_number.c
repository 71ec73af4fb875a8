#include <stdbool.h>
#include <string.h>

#include "json_number.h"

/* IEEE 754-2008 decimal128: digits, and the exponent of the last digit. */
#define MAX_DECIMAL_DIGITS 34
#define MIN_DECIMAL_EXPONENT (-6176)
#define MAX_DECIMAL_EXPONENT 6111
/* An explicit exponent beyond this cannot be made good by any fraction that
 * MAX_NUMBER_BYTES leaves room for. */
#define MAX_WRITTEN_EXPONENT 100000
/* A number's text; leading zeros of a fraction are why it may be long. */
#define MAX_NUMBER_BYTES 8192

/* True when the integer (no fraction, no exponent) fits int64; gives it. */
static bool
parse_integer(const char *text, size_t len, int64_t *out)
{
	bool	 is_negative;
	uint64_t value = 0, limit;
	unsigned digit;
	size_t	 i;

	is_negative = text[0] == '-';
	limit = (uint64_t)INT64_MAX + (is_negative ? 1 : 0);
	for (i = is_negative ? 1 : 0; i < len; i++) {
		digit = (unsigned)(text[i] - '0');
		if (digit > 9 || value > (limit - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (is_negative && value == 0)
		return false;
	*out = is_negative ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}

/* The explicit exponent at text[0..len), without its `e`; clamped. */
static int
parse_exponent(const char *text, size_t len)
{
	bool   is_negative;
	int    value = 0;
	size_t i;

	is_negative = len > 0 && text[0] == '-';
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			continue;
		if (value < MAX_WRITTEN_EXPONENT)
			value = value * 10 + (text[i] - '0');
	}
	return is_negative ? -value : value;
}

/* True when a Decimal128 holds the number digit for digit. */
static bool
fits_decimal(const char *text, size_t len)
{
	bool   in_fraction = false;
	int    digits = 0, exponent = 0;
	size_t i;

	for (i = 0; i < len && text[i] != 'e' && text[i] != 'E'; i++) {
		if (text[i] == '.')
			in_fraction = true;
		if (text[i] < '0' || text[i] > '9')
			continue;
		if (in_fraction)
			exponent--;
		if (text[i] != '0' || digits > 0)
			digits++;
	}
	if (i < len)
		exponent += parse_exponent(text + i + 1, len - i - 1);
	return digits <= MAX_DECIMAL_DIGITS &&
	    exponent >= MIN_DECIMAL_EXPONENT &&
	    exponent <= MAX_DECIMAL_EXPONENT;
}

int
json_number_parse(const char *text, size_t len, struct json_number *out)
{
	char copy[MAX_NUMBER_BYTES];

	if (len == 0 || len >= sizeof(copy))
		return -1;
	if (parse_integer(text, len, &out->integer)) {
		out->type = out->integer >= INT32_MIN &&
		    out->integer <= INT32_MAX ? BSON_TYPE_INT32 :
		    BSON_TYPE_INT64;
		return 0;
	}
	out->type = BSON_TYPE_DECIMAL128;
	if (!fits_decimal(text, len))
		return -1;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return bson_decimal128_from_string(copy, &out->decimal) ? 0 : -1;
}
