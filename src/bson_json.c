#include <stdbool.h>
#include <string.h>

#include "bson_json.h"
#include "bson_member.h"
#include "clock.h"
#include "json_quote.h"
#include "limit.h"

/* A resource may use all of MAX_NESTING, and stands in a record. */
#define MAX_JSON_NESTING (MAX_NESTING + 1)
/* "-9223372036854775808" */
#define MAX_INTEGER_TEXT 20

static int level_append(struct buf *out, const uint8_t *data, size_t len,
    bool is_array, unsigned level);

static void
literal_append(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
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

/* Numbers are in little-endian order (bsonspec.org, 1.1). */
static int32_t
int32_read(const uint8_t *data)
{
	uint32_t number;

	memcpy(&number, data, sizeof(number));
	return (int32_t)BSON_UINT32_FROM_LE(number);
}

static uint64_t
uint64_read(const uint8_t *data)
{
	uint64_t number;

	memcpy(&number, data, sizeof(number));
	return BSON_UINT64_FROM_LE(number);
}

/* -1: infinity and not-a-number, for which JSON has no text. */
static int
decimal_append(struct buf *out, const uint8_t *value)
{
	bson_decimal128_t decimal;
	char		  text[BSON_DECIMAL128_STRING];
	const char	 *digits = text;

	decimal.low = uint64_read(value);
	decimal.high = uint64_read(value + sizeof(uint64_t));
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
	json_quote_append(out, text, strlen(text));
}

static int
value_append(struct buf *out, const struct bson_member *member, unsigned level)
{
	const uint8_t *value = bson_member_value(member);
	uint32_t       len = member->value_len;

	/* Types that no store of ours holds end in the last line. */
	switch (bson_member_type(member)) {
	case BSON_TYPE_UTF8:
		json_quote_append(out, (const char *)value + BSON_LENGTH_BYTES,
		    len - BSON_LENGTH_BYTES - 1);
		return 0;
	case BSON_TYPE_INT32:
		integer_append(out, int32_read(value));
		return 0;
	case BSON_TYPE_INT64:
		integer_append(out, (int64_t)uint64_read(value));
		return 0;
	case BSON_TYPE_DECIMAL128:
		return decimal_append(out, value);
	case BSON_TYPE_BOOL:
		literal_append(out, *value != 0 ? "true" : "false");
		return 0;
	case BSON_TYPE_NULL:
		literal_append(out, "null");
		return 0;
	case BSON_TYPE_DATE_TIME:
		date_append(out, (int64_t)uint64_read(value));
		return 0;
	case BSON_TYPE_DOCUMENT:
		return level_append(out, value, len, false, level + 1);
	case BSON_TYPE_ARRAY:
		return level_append(out, value, len, true, level + 1);
	default:
		return -1;
	}
}

/* Appends the object or array of len bytes at data. */
static int
level_append(struct buf *out, const uint8_t *data, size_t len, bool is_array,
    unsigned level)
{
	struct bson_members members;
	struct bson_member  member;
	bool		    is_first = true;
	int		    rc;

	if (level > MAX_JSON_NESTING ||
	    !bson_members_init(&members, data, len))
		return -1;
	buf_append_byte(out, is_array ? '[' : '{');
	while ((rc = bson_members_next(&members, &member)) == 1) {
		if (!is_first)
			buf_append_byte(out, ',');
		is_first = false;
		if (!is_array) {
			json_quote_append(out, bson_member_name(&member),
			    member.name_len);
			buf_append_byte(out, ':');
		}
		if (value_append(out, &member, level) == -1)
			return -1;
	}
	buf_append_byte(out, is_array ? ']' : '}');
	return rc;
}

int
bson_json_append(struct buf *out, const bson_t *doc)
{
	return level_append(out, bson_get_data(doc), doc->len, false, 1);
}

int
bson_json_append_value(struct buf *out, const bson_iter_t *value)
{
	struct bson_members members;
	struct bson_member  member;
	bson_t		    holder;
	int		    rc = -1;

	bson_init(&holder);
	if (bson_append_iter(&holder, "", 0, value) &&
	    bson_members_init(&members, bson_get_data(&holder), holder.len) &&
	    bson_members_next(&members, &member) == 1)
		rc = value_append(out, &member, 1);
	bson_destroy(&holder);
	return rc;
}

int
bson_json_append_member(struct buf *out, const struct bson_member *member)
{
	return value_append(out, member, 1);
}
