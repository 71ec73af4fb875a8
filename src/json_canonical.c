#include <bson/bson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bson_member.h"
#include "bson_path.h"
#include "buf.h"
#include "hash.h"
#include "json_canonical.h"
#include "json_ecma.h"
#include "json_quote.h"
#include "limit.h"
#include "text.h"
#include "xalloc.h"

/* From so many bytes on the text goes into the hash. */
#define PIECE_BYTES    (16 * 1024)
/* Members that there is room for at first. */
#define MIN_MEMBERS    64
/* Bytes of a fact in a message; the place of it comes on top. */
#define MAX_FACT_BYTES 320
/* The lead bytes of U+E000 to U+FFFF in UTF-8 (RFC 3629, 3), and behind them
 * those of what is a surrogate pair in UTF-16. */
#define LEAD_PRIVATE   0xee
#define LEAD_PAIR      0xf0

/*
 * Invariants: members[0..n) belong to the objects that are open, outermost
 * first; path leads to the innermost one; out is borrowed for a call.
 */
struct json_canonical {
	struct buf	   *out;
	struct buf	    piece;
	struct hasher	   *hasher;
	bool		    is_hashed; /* else all stays in out */
	struct bson_member *members;
	size_t		    n;
	size_t		    cap;
	struct bson_path    path;
};

static int level_write(struct json_canonical *canonical, const uint8_t *data,
    size_t len, bool is_array, struct error *err);

struct json_canonical *
json_canonical_new(void)
{
	struct json_canonical *canonical;

	canonical = xcalloc(1, sizeof(*canonical));
	canonical->hasher = hasher_new();
	return canonical;
}

void
json_canonical_free(struct json_canonical *canonical)
{
	if (canonical == NULL)
		return;
	buf_clear(&canonical->piece);
	hasher_free(canonical->hasher);
	free(canonical->members);
	free(canonical);
}

static int
fail(const struct json_canonical *canonical, const char *fact,
    struct error *err)
{
	char path[MAX_PATH_SHOWN];

	bson_path_format(&canonical->path, path);
	return error_set(err, STATUS_PROTOCOL, "%s (%s%s), so that the document"
	    " has no canonical JSON (RFC 8785)", fact,
	    canonical->path.depth > 0 ? "in " : "at its top", path);
}

static int
fail_not_sound(const struct json_canonical *canonical, struct error *err)
{
	return fail(canonical, "the document is not sound BSON", err);
}

/* No more is done with the path after that. */
static int
fail_member(struct json_canonical *canonical, const struct bson_member *member,
    bool is_element, const char *fact, struct error *err)
{
	bson_path_push(&canonical->path, member, is_element);
	return fail(canonical, fact, err);
}

static void
piece_pass(struct json_canonical *canonical, size_t min)
{
	struct buf *piece = canonical->out;

	if (!canonical->is_hashed || piece->len < min)
		return;
	hash_add(canonical->hasher, piece->data, piece->len);
	piece->len = 0;
}

static void
literal_append(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

/* Numbers are in little-endian order (bsonspec.org, 1.1). */
static uint64_t
uint64_read(const uint8_t *data)
{
	uint64_t number;

	memcpy(&number, data, sizeof(number));
	return BSON_UINT64_FROM_LE(number);
}

static int64_t
int32_read(const uint8_t *data)
{
	uint32_t number;

	memcpy(&number, data, sizeof(number));
	return (int32_t)BSON_UINT32_FROM_LE(number);
}

static double
double_read(const uint8_t *data)
{
	uint64_t bits = uint64_read(data);
	double	 number;

	memcpy(&number, &bits, sizeof(number));
	return number;
}

static int
double_write(struct json_canonical *canonical, const struct bson_member *member,
    bool is_element, struct error *err)
{
	double number = double_read(bson_member_value(member));

	if (json_ecma_append_double(canonical->out, number) == 0)
		return 0;
	return fail_member(canonical, member, is_element,
	    "a number is infinite or not a number", err);
}

static int
decimal_write(struct json_canonical *canonical,
    const struct bson_member *member, bool is_element, struct error *err)
{
	const uint8_t	 *value = bson_member_value(member);
	bson_decimal128_t decimal;
	char		  digits[BSON_DECIMAL128_STRING];
	char		  fact[MAX_FACT_BYTES];

	decimal.low = uint64_read(value);
	decimal.high = uint64_read(value + sizeof(uint64_t));
	if (json_ecma_append_decimal(canonical->out, &decimal) == 0)
		return 0;
	bson_decimal128_to_string(&decimal, digits);
	(void)snprintf(fact, sizeof(fact), "the number %s is beyond what a"
	    " double can hold", digits);
	return fail_member(canonical, member, is_element, fact, err);
}

static int
text_write(struct json_canonical *canonical, const struct bson_member *member,
    bool is_element, struct error *err)
{
	const uint8_t *text = bson_member_value(member) + BSON_LENGTH_BYTES;
	size_t	       len = member->value_len - BSON_LENGTH_BYTES - 1;

	if (!text_is_utf8(text, len))
		return fail_member(canonical, member, is_element,
		    "a string is not UTF-8", err);
	json_quote_append(canonical->out, (const char *)text, len);
	return 0;
}

static int
level_enter(struct json_canonical *canonical, const struct bson_member *member,
    bool is_element, struct error *err)
{
	char fact[MAX_FACT_BYTES];

	/* The document itself is the first of MAX_NESTING, without a step. */
	if (canonical->path.depth + 1 >= MAX_NESTING) {
		(void)snprintf(fact, sizeof(fact), "objects and arrays are"
		    " nested deeper than %d", MAX_NESTING);
		return fail(canonical, fact, err);
	}
	bson_path_push(&canonical->path, member, is_element);
	if (level_write(canonical, bson_member_value(member), member->value_len,
	    bson_member_type(member) == BSON_TYPE_ARRAY, err) == -1)
		return -1;
	canonical->path.depth--;
	return 0;
}

static int
fail_type(struct json_canonical *canonical, const struct bson_member *member,
    bool is_element, struct error *err)
{
	char fact[MAX_FACT_BYTES];

	(void)snprintf(fact, sizeof(fact), "a value is of the BSON type 0x%02x,"
	    " which is none of JSON's", bson_member_type(member));
	return fail_member(canonical, member, is_element, fact, err);
}

static int
value_write(struct json_canonical *canonical, const struct bson_member *member,
    bool is_element, struct error *err)
{
	const uint8_t *value = bson_member_value(member);
	struct buf    *out = canonical->out;

	switch (bson_member_type(member)) {
	case BSON_TYPE_UTF8:
		return text_write(canonical, member, is_element, err);
	case BSON_TYPE_INT32:
		json_ecma_append_integer(out, int32_read(value));
		return 0;
	case BSON_TYPE_INT64:
		json_ecma_append_integer(out, (int64_t)uint64_read(value));
		return 0;
	case BSON_TYPE_DOUBLE:
		return double_write(canonical, member, is_element, err);
	case BSON_TYPE_DECIMAL128:
		return decimal_write(canonical, member, is_element, err);
	case BSON_TYPE_BOOL:
		literal_append(out, *value != 0 ? "true" : "false");
		return 0;
	case BSON_TYPE_NULL:
		literal_append(out, "null");
		return 0;
	case BSON_TYPE_DOCUMENT:
	case BSON_TYPE_ARRAY:
		return level_enter(canonical, member, is_element, err);
	default:
		return fail_type(canonical, member, is_element, err);
	}
}

/* What bson_members_next() does, for a double: no parser of ours makes one,
 * but whoever else wrote the document may have. */
static int
double_next(struct bson_members *members, struct bson_member *member)
{
	const uint8_t *start = members->at, *name_end;

	name_end = memchr(start + 1, '\0', (size_t)(members->end - start - 1));
	if (name_end == NULL ||
	    (size_t)(members->end - name_end - 1) < sizeof(double))
		return -1;
	member->start = start;
	member->name_len = (uint32_t)(name_end - start) - 1;
	member->value_len = sizeof(double);
	members->at = name_end + 1 + sizeof(double);
	return 1;
}

static int
member_next(struct bson_members *members, struct bson_member *member)
{
	if (members->at != members->end && *members->at == BSON_TYPE_DOUBLE)
		return double_next(members, member);
	return bson_members_next(members, member);
}

/*
 * Code units of UTF-16, the shorter name first.  The bytes of UTF-8 have the
 * order of code points, which is the same but for surrogate pairs: these are
 * below U+E000.  Where two names part, both bytes are the first of a character
 * or both are not.
 */
static int
name_compare(const void *a, const void *b)
{
	const char *one = bson_member_name(a), *other = bson_member_name(b);
	uint8_t	    x, y;

	while (*one == *other && *one != '\0') {
		one++;
		other++;
	}
	x = (uint8_t)*one;
	y = (uint8_t)*other;
	if (x >= LEAD_PRIVATE && y >= LEAD_PRIVATE &&
	    (x >= LEAD_PAIR) != (y >= LEAD_PAIR))
		return x >= LEAD_PAIR ? -1 : 1;
	return x - y;
}

static void
member_add(struct json_canonical *canonical, const struct bson_member *member)
{
	if (canonical->n == canonical->cap) {
		canonical->cap = canonical->cap > 0 ? 2 * canonical->cap :
		    MIN_MEMBERS;
		canonical->members = xrealloc(canonical->members,
		    canonical->cap * sizeof(*canonical->members));
	}
	canonical->members[canonical->n++] = *member;
}

/* Orders the members from first on, and refuses two of the same name. */
static int
members_sort(struct json_canonical *canonical, size_t first, struct error *err)
{
	struct bson_member *member;
	char		    fact[MAX_FACT_BYTES];
	size_t		    i;

	bson_members_sort(canonical->members + first, canonical->n - first,
	    name_compare);
	for (i = first + 1; i < canonical->n; i++) {
		member = &canonical->members[i];
		if (name_compare(member - 1, member) != 0)
			continue;
		(void)snprintf(fact, sizeof(fact), "an object has two members"
		    " named \"%.*s\"", bson_path_name_len(member),
		    bson_member_name(member));
		return fail_member(canonical, member, false, fact, err);
	}
	return 0;
}

/* Adds the members of an object, ordered, behind those of its parents. */
static int
members_read(struct json_canonical *canonical, struct bson_members *members,
    struct error *err)
{
	struct bson_member last = { 0 }, member;
	size_t		   first = canonical->n;
	bool		   is_ordered = true;
	int		   found;

	while ((found = member_next(members, &member)) == 1) {
		if (!text_is_utf8((const uint8_t *)bson_member_name(&member),
		    member.name_len))
			return fail(canonical, "a member's name is not UTF-8",
			    err);
		if (is_ordered && canonical->n > first)
			is_ordered = name_compare(&last, &member) < 0;
		member_add(canonical, &member);
		last = member;
	}
	if (found == -1)
		return fail_not_sound(canonical, err);
	return is_ordered ? 0 : members_sort(canonical, first, err);
}

static int
object_write(struct json_canonical *canonical, struct bson_members *members,
    struct error *err)
{
	struct bson_member member;
	size_t		   i, first = canonical->n, last;

	if (members_read(canonical, members, err) == -1)
		return -1;
	last = canonical->n;
	for (i = first; i < last; i++) {
		/* A copy: members below may move the array. */
		member = canonical->members[i];
		if (i > first)
			buf_append_byte(canonical->out, ',');
		json_quote_append(canonical->out, bson_member_name(&member),
		    member.name_len);
		buf_append_byte(canonical->out, ':');
		if (value_write(canonical, &member, false, err) == -1)
			return -1;
		piece_pass(canonical, PIECE_BYTES);
	}
	canonical->n = first;
	return 0;
}

static int
array_write(struct json_canonical *canonical, struct bson_members *elements,
    struct error *err)
{
	struct bson_member element;
	bool		   is_first = true;
	int		   found;

	while ((found = member_next(elements, &element)) == 1) {
		if (!is_first)
			buf_append_byte(canonical->out, ',');
		is_first = false;
		if (value_write(canonical, &element, true, err) == -1)
			return -1;
		piece_pass(canonical, PIECE_BYTES);
	}
	return found == 0 ? 0 : fail_not_sound(canonical, err);
}

static int
level_write(struct json_canonical *canonical, const uint8_t *data, size_t len,
    bool is_array, struct error *err)
{
	struct bson_members members;
	int		    rc;

	if (!bson_members_init(&members, data, len))
		return fail_not_sound(canonical, err);
	buf_append_byte(canonical->out, is_array ? '[' : '{');
	rc = is_array ? array_write(canonical, &members, err) :
	    object_write(canonical, &members, err);
	buf_append_byte(canonical->out, is_array ? ']' : '}');
	return rc;
}

static int
document_write(struct json_canonical *canonical, const uint8_t *data,
    size_t len, struct error *err)
{
	if (len > MAX_RECORD_BYTES)
		return error_set(err, STATUS_PROTOCOL, "the document has %zu"
		    " bytes, more than the %d that a record may have", len,
		    MAX_RECORD_BYTES);
	canonical->n = 0;
	canonical->path.depth = 0;
	return level_write(canonical, data, len, false, err);
}

int
json_canonical_append(struct json_canonical *canonical, const uint8_t *data,
    size_t len, struct buf *out, struct error *err)
{
	size_t before = out->len;

	canonical->out = out;
	canonical->is_hashed = false;
	if (document_write(canonical, data, len, err) == 0)
		return 0;
	out->len = before;
	return -1;
}

int
json_canonical_hash(struct json_canonical *canonical, const uint8_t *data,
    size_t len, uint8_t hash[HASH_BYTES], struct error *err)
{
	canonical->piece.len = 0;
	canonical->out = &canonical->piece;
	canonical->is_hashed = true;
	hash_begin(canonical->hasher);
	if (document_write(canonical, data, len, err) == -1)
		return -1;
	piece_pass(canonical, 1);
	hash_end(canonical->hasher, hash);
	return 0;
}
