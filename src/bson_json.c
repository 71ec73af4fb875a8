#include <stdbool.h>
#include <string.h>

#include "bson_json.h"
#include "clock.h"
#include "limit.h"

/* A resource may use all of MAX_NESTING, and stands in a record. */
#define MAX_JSON_NESTING (MAX_NESTING + 1)
/* "-9223372036854775808" */
#define MAX_INTEGER_TEXT 20

static int level_append(struct buf *out, bson_iter_t *iter, bool is_array,
    unsigned level);

static void
literal_append(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

/* What RFC 8259, 7 wants escaped: controls, the quote and the backslash. */
static bool
is_plain(uint8_t byte)
{
	return byte >= 0x20 && byte != '"' && byte != '\\';
}

static size_t
plain_len(const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len && is_plain(data[i]); i++)
		;
	return i;
}

static void
escape_append(struct buf *out, uint8_t byte)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
		['\r'] = 'r', ['"'] = '"', ['\\'] = '\\',
	};
	char text[] = { '\\', letters[byte], '0', '0', '0', '0' };

	if (text[1] != '\0') {
		buf_append(out, text, 2);
		return;
	}
	text[1] = 'u';
	text[4] = hex[byte >> 4];
	text[5] = hex[byte & 0xf];
	buf_append(out, text, sizeof(text));
}

static void
text_append(struct buf *out, const char *text, size_t len)
{
	const uint8_t *data = (const uint8_t *)text;
	size_t	       run;

	/* Room for the whole of it, unless something has to be escaped. */
	(void)buf_reserve(out, len + 2);
	buf_append_byte(out, '"');
	for (;;) {
		run = plain_len(data, len);
		buf_append(out, data, run);
		if (run == len)
			break;
		escape_append(out, data[run]);
		data += run + 1;
		len -= run + 1;
	}
	buf_append_byte(out, '"');
}

static void
integer_append(struct buf *out, int64_t value)
{
	char	 text[MAX_INTEGER_TEXT];
	size_t	 at = sizeof(text);
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do
		text[--at] = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (value < 0)
		text[--at] = '-';
	buf_append(out, text + at, sizeof(text) - at);
}

/* -1: infinity and not-a-number, for which JSON has no text. */
static int
decimal_append(struct buf *out, const bson_iter_t *iter)
{
	bson_decimal128_t decimal;
	char		  text[BSON_DECIMAL128_STRING];
	const char	 *digits = text;

	(void)bson_iter_decimal128(iter, &decimal);
	bson_decimal128_to_string(&decimal, text);
	if (*digits == '-')
		digits++;
	if (*digits < '0' || *digits > '9')
		return -1;
	literal_append(out, text);
	return 0;
}

static void
date_append(struct buf *out, int64_t ms)
{
	char text[CLOCK_TEXT_BYTES];

	clock_format(ms, text);
	text_append(out, text, strlen(text));
}

static int
value_append(struct buf *out, const bson_iter_t *iter, unsigned level)
{
	bson_iter_t child;
	const char *text;
	uint32_t    len;
	bool	    is_array;

	/* Types that no store of ours holds end in the last line. */
	switch ((int)bson_iter_type(iter)) {
	case BSON_TYPE_UTF8:
		text = bson_iter_utf8(iter, &len);
		text_append(out, text, len);
		return 0;
	case BSON_TYPE_INT32:
		integer_append(out, bson_iter_int32(iter));
		return 0;
	case BSON_TYPE_INT64:
		integer_append(out, bson_iter_int64(iter));
		return 0;
	case BSON_TYPE_DECIMAL128:
		return decimal_append(out, iter);
	case BSON_TYPE_BOOL:
		literal_append(out, bson_iter_bool(iter) ? "true" : "false");
		return 0;
	case BSON_TYPE_NULL:
		literal_append(out, "null");
		return 0;
	case BSON_TYPE_DATE_TIME:
		date_append(out, bson_iter_date_time(iter));
		return 0;
	case BSON_TYPE_DOCUMENT:
	case BSON_TYPE_ARRAY:
		is_array = BSON_ITER_HOLDS_ARRAY(iter);
		if (level >= MAX_JSON_NESTING ||
		    !bson_iter_recurse(iter, &child))
			return -1;
		return level_append(out, &child, is_array, level + 1);
	default:
		return -1;
	}
}

/* Appends the members of an object or array that iter has not begun yet. */
static int
level_append(struct buf *out, bson_iter_t *iter, bool is_array, unsigned level)
{
	const char *separator = "";

	buf_append_byte(out, is_array ? '[' : '{');
	while (bson_iter_next(iter)) {
		literal_append(out, separator);
		separator = ",";
		if (!is_array) {
			text_append(out, bson_iter_key(iter),
			    bson_iter_key_len(iter));
			buf_append_byte(out, ':');
		}
		if (value_append(out, iter, level) == -1)
			return -1;
	}
	buf_append_byte(out, is_array ? ']' : '}');
	/* libbson stops at the end and at a fault; only this tells which. */
	return iter->err_off == 0 ? 0 : -1;
}

int
bson_json_append(struct buf *out, const bson_t *doc)
{
	bson_iter_t iter;

	if (!bson_iter_init(&iter, doc))
		return -1;
	return level_append(out, &iter, false, 1);
}

int
bson_json_append_value(struct buf *out, const bson_iter_t *value)
{
	return value_append(out, value, 1);
}
