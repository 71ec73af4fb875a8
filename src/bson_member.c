#include <bson/bson.h>
#include <limits.h>
#include <string.h>

#include "bson_member.h"

/* A length, no members, and a NUL. */
#define MIN_DOCUMENT (BSON_LENGTH_BYTES + 1)
#define NOT_SOUND    SIZE_MAX

static size_t
length_read(const uint8_t *data)
{
	uint32_t len;

	memcpy(&len, data, sizeof(len));
	return BSON_UINT32_FROM_LE(len);
}

bool
bson_members_init(struct bson_members *members, const uint8_t *data,
    size_t len)
{
	members->at = members->end = data;
	if (len < MIN_DOCUMENT || length_read(data) != len ||
	    data[len - 1] != '\0')
		return false;
	members->at = data + BSON_LENGTH_BYTES;
	members->end = data + len - 1;
	return true;
}

/* Bytes of the value that room bytes are left for, or NOT_SOUND. */
static size_t
value_bytes(uint8_t type, const uint8_t *value, size_t room)
{
	size_t len;

	switch (type) {
	case BSON_TYPE_NULL:
		return 0;
	case BSON_TYPE_BOOL:
		return 1;
	case BSON_TYPE_INT32:
		return sizeof(int32_t);
	case BSON_TYPE_INT64:
	case BSON_TYPE_DATE_TIME:
		return sizeof(int64_t);
	case BSON_TYPE_DECIMAL128:
		return 2 * sizeof(uint64_t);
	case BSON_TYPE_UTF8:
		len = room > BSON_LENGTH_BYTES ? length_read(value) : 0;
		if (len == 0 || len > room - BSON_LENGTH_BYTES ||
		    value[BSON_LENGTH_BYTES + len - 1] != '\0')
			return NOT_SOUND;
		return BSON_LENGTH_BYTES + len;
	case BSON_TYPE_DOCUMENT:
	case BSON_TYPE_ARRAY:
		len = room >= MIN_DOCUMENT ? length_read(value) : 0;
		return len >= MIN_DOCUMENT ? len : NOT_SOUND;
	default:
		return NOT_SOUND;
	}
}

/* The first NUL from at on; end when there is none before it.  Names are short:
 * eight bytes at a time this is faster than memchr(). */
static const uint8_t *
find_nul(const uint8_t *at, const uint8_t *end)
{
	static const uint64_t ones = UINT64_C(0x0101010101010101);
	static const uint64_t highs = UINT64_C(0x8080808080808080);
	uint64_t	      word, nuls;

	for (; (size_t)(end - at) >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		word = BSON_UINT64_FROM_LE(word);
		/* The lowest bit that is set is of the first NUL; those above
		 * may be due to what was borrowed for it. */
		nuls = (word - ones) & ~word & highs;
		if (nuls != 0)
			return at + __builtin_ctzll(nuls) / CHAR_BIT;
	}
	while (at < end && *at != '\0')
		at++;
	return at;
}

int
bson_members_next(struct bson_members *members, struct bson_member *member)
{
	const uint8_t *start = members->at, *end = members->end, *name_end;
	size_t	       room, len;

	if (start == end)
		return 0;
	name_end = find_nul(start + 1, end);
	if (name_end == end)
		return -1;
	room = (size_t)(end - name_end) - 1;
	len = value_bytes(start[0], name_end + 1, room);
	if (len > room)
		return -1;
	member->start = start;
	member->name_len = (uint32_t)(name_end - start) - 1;
	member->value_len = (uint32_t)len;
	members->at = name_end + 1 + len;
	return 1;
}
