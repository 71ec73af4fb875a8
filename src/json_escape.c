#include <string.h>

#include "json_escape.h"
#include "text.h"

/* state: 0 outside, 1 after the backslash, 2 to 5 expecting a hex digit. */
#define AFTER_BACKSLASH 1
#define FIRST_DIGIT 2
#define LAST_DIGIT 5

/* A whole \uXXXX was read.  False: it is not paired. */
static bool
take_code(struct json_escape *escape)
{
	bool is_high, is_low;

	is_high = escape->code >= 0xd800 && escape->code <= 0xdbff;
	is_low = escape->code >= 0xdc00 && escape->code <= 0xdfff;
	if (is_low != escape->has_high)
		return false;
	escape->has_high = is_high;
	return true;
}

static bool
take_byte(struct json_escape *escape, uint8_t byte)
{
	int digit;

	if (escape->state == 0) {
		escape->state = byte == '\\' ? AFTER_BACKSLASH : 0;
		return escape->state != 0 || !escape->has_high;
	}
	if (escape->state == AFTER_BACKSLASH) {
		escape->state = byte == 'u' ? FIRST_DIGIT : 0;
		escape->code = 0;
		return byte == 'u' || !escape->has_high;
	}
	digit = text_hex_value(byte);
	if (digit < 0) {
		/* Not an escape at all: the parser will say so. */
		escape->state = 0;
		return true;
	}
	escape->code = escape->code << 4 | (unsigned)digit;
	if (escape->state++ < LAST_DIGIT)
		return true;
	escape->state = 0;
	return take_code(escape);
}

size_t
json_escape_scan(struct json_escape *escape, const uint8_t *data, size_t len)
{
	const uint8_t *next;
	size_t	       i;

	for (i = 0; i < len; i++) {
		if (escape->state == 0 && !escape->has_high) {
			next = memchr(data + i, '\\', len - i);
			if (next == NULL)
				return len;
			i = (size_t)(next - data);
		}
		if (!take_byte(escape, data[i]))
			return i;
	}
	return len;
}
