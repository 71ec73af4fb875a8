#include <bson/bson.h>
#include <stdlib.h>
#include <string.h>

#include "bson_align.h"
#include "limit.h"
#include "xalloc.h"

/* Room for elements at first. */
#define MIN_ELEMENTS 16
/* What a pair of equal elements is worth; the best of others is below it. */
#define SCORE_EQUAL 1000
#define SCORE_ALIKE 900
/* FNV-1a, 64 bits (RFC 9923). */
#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x00000100000001b3)

/* An element, as it is compared: parts are the hashes of an object's members,
 * in ascending order; n_parts is 0 for anything else. */
struct weighed {
	uint64_t hash;
	size_t	 n_parts;
	uint64_t parts[MAX_ALIGN_PARTS];
};

/*
 * The part of two arrays that is weighed.
 *
 * Invariant: best[i * (n_to + 1) + j] is the most that the elements from i and
 * from j on can be worth.
 */
struct weighing {
	struct weighed *from;
	struct weighed *to;
	size_t		n_from;
	size_t		n_to;
	uint32_t       *best;
};

static int
compare_names(const void *one, const void *other)
{
	return strcmp(bson_member_name(one), bson_member_name(other));
}

/* Orders the members; false: two have one name. */
static bool
order_members(struct bson_elements *members)
{
	size_t i;

	if (members->n > 1)
		qsort(members->items, members->n, sizeof(*members->items),
		    compare_names);
	for (i = 1; i < members->n; i++) {
		if (compare_names(&members->items[i - 1],
		    &members->items[i]) == 0)
			return false;
	}
	return true;
}

int
bson_elements_read(struct bson_elements *out, const uint8_t *data, size_t len,
    bool by_name)
{
	struct bson_members members;
	struct bson_member  member;
	size_t		    cap = 0;
	int		    rc;

	*out = (struct bson_elements){ 0 };
	if (!bson_members_init(&members, data, len))
		return -1;
	while ((rc = bson_members_next(&members, &member)) == 1) {
		if (out->n == cap) {
			cap = cap > 0 ? 2 * cap : MIN_ELEMENTS;
			out->items = xrealloc(out->items,
			    cap * sizeof(*out->items));
		}
		out->items[out->n++] = member;
	}
	return rc == 0 && by_name && !order_members(out) ? -1 : rc;
}

/* Are they the same byte by byte? */
static bool
is_same(const struct bson_member *one, const struct bson_member *other)
{
	return bson_member_type(one) == bson_member_type(other) &&
	    one->value_len == other->value_len &&
	    memcmp(bson_member_value(one), bson_member_value(other),
	    one->value_len) == 0;
}

static int levels_equal(const struct bson_member *one,
    const struct bson_member *other, unsigned level);

static int
members_equal(const struct bson_elements *one,
    const struct bson_elements *other, bool by_name, unsigned level)
{
	size_t i;
	int    rc;

	if (one->n != other->n)
		return 0;
	for (i = 0; i < one->n; i++) {
		if (by_name && compare_names(&one->items[i],
		    &other->items[i]) != 0)
			return 0;
		rc = levels_equal(&one->items[i], &other->items[i], level + 1);
		if (rc != 1)
			return rc;
	}
	return 1;
}

static int
levels_equal(const struct bson_member *one, const struct bson_member *other,
    unsigned level)
{
	struct bson_elements mine = { 0 }, theirs = { 0 };
	uint8_t		     type = bson_member_type(one);
	bool		     is_object = type == BSON_TYPE_DOCUMENT;
	int		     rc = -1;

	if (is_same(one, other))
		return 1;
	if (type != bson_member_type(other) ||
	    (!is_object && type != BSON_TYPE_ARRAY))
		return 0;
	if (level <= MAX_NESTING &&
	    bson_elements_read(&mine, bson_member_value(one), one->value_len,
	    is_object) == 0 &&
	    bson_elements_read(&theirs, bson_member_value(other),
	    other->value_len, is_object) == 0)
		rc = members_equal(&mine, &theirs, is_object, level);
	free(mine.items);
	free(theirs.items);
	return rc;
}

int
bson_align_equal(const struct bson_member *one,
    const struct bson_member *other)
{
	return levels_equal(one, other, 1);
}

static uint64_t
hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	size_t	       i;

	for (i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * FNV_PRIME;
	return hash;
}

/*
 * The hash of a value, the same in whatever order members stand.  For the
 * choice of pairs alone: two values with one hash are still compared.
 * The recursion is bounded by MAX_NESTING.
 */
static int
hash_value(const struct bson_member *value, unsigned level,
    struct weighed *out)
{
	const uint8_t	   *data = bson_member_value(value);
	uint8_t		    type = bson_member_type(value);
	struct bson_members members;
	struct bson_member  member;
	struct weighed	    part;
	uint64_t	    hash, sum = 0;
	int		    rc;

	out->n_parts = 0;
	out->hash = hash_bytes(FNV_START, &type, sizeof(type));
	if (type != BSON_TYPE_DOCUMENT && type != BSON_TYPE_ARRAY) {
		out->hash = hash_bytes(out->hash, data, value->value_len);
		return 0;
	}
	if (level > MAX_NESTING ||
	    !bson_members_init(&members, data, value->value_len))
		return -1;
	while ((rc = bson_members_next(&members, &member)) == 1) {
		if (hash_value(&member, level + 1, &part) == -1)
			return -1;
		/* The name of an element is its place. */
		hash = hash_bytes(part.hash, bson_member_name(&member),
		    member.name_len);
		sum += hash;
		if (type == BSON_TYPE_DOCUMENT &&
		    out->n_parts < MAX_ALIGN_PARTS)
			out->parts[out->n_parts++] = hash;
	}
	out->hash = hash_bytes(out->hash, &sum, sizeof(sum));
	return rc;
}

static int
compare_parts(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return a < b ? -1 : a > b;
}

static int
weigh(struct weighed *out, const struct bson_member *items, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (hash_value(&items[i], 1, &out[i]) == -1)
			return -1;
		qsort(out[i].parts, out[i].n_parts, sizeof(*out[i].parts),
		    compare_parts);
	}
	return 0;
}

/* What a pair is worth; 0: they have too little in common. */
static uint32_t
score_pair(const struct weighed *one, const struct weighed *other)
{
	size_t	 i = 0, j = 0, shared = 0, all;
	uint32_t score;

	if (one->hash == other->hash)
		return SCORE_EQUAL;
	while (i < one->n_parts && j < other->n_parts) {
		if (one->parts[i] == other->parts[j]) {
			shared++;
			i++;
			j++;
		} else if (one->parts[i] < other->parts[j])
			i++;
		else
			j++;
	}
	if (shared == 0)
		return 0;
	all = one->n_parts + other->n_parts;
	score = (uint32_t)(2 * shared * SCORE_ALIKE / all);
	return 2 * score < SCORE_ALIKE ? 0 : score;
}

static uint32_t *
best_at(const struct weighing *weighing, size_t i, size_t j)
{
	return &weighing->best[i * (weighing->n_to + 1) + j];
}

static void
fill_best(struct weighing *weighing)
{
	uint32_t best, paired, score;
	size_t	 i, j;

	for (i = weighing->n_from; i-- > 0;) {
		for (j = weighing->n_to; j-- > 0;) {
			best = *best_at(weighing, i + 1, j);
			if (*best_at(weighing, i, j + 1) > best)
				best = *best_at(weighing, i, j + 1);
			score = score_pair(&weighing->from[i],
			    &weighing->to[j]);
			paired = score + *best_at(weighing, i + 1, j + 1);
			*best_at(weighing, i, j) = paired > best ? paired :
			    best;
		}
	}
}

/* mates are those of the elements that are weighed, places count from the
 * first of them. */
static void
choose(const struct weighing *weighing, size_t first, size_t *mates)
{
	uint32_t best, score;
	size_t	 i = 0, j = 0;

	while (i < weighing->n_from && j < weighing->n_to) {
		best = *best_at(weighing, i, j);
		score = score_pair(&weighing->from[i], &weighing->to[j]);
		if (score > 0 &&
		    best == score + *best_at(weighing, i + 1, j + 1))
			mates[i++] = first + j++;
		else if (best == *best_at(weighing, i + 1, j))
			i++;
		else
			j++;
	}
}

/* The elements that are not equal at both ends. */
static int
pair_middle(const struct bson_elements *from, const struct bson_elements *to,
    size_t first, size_t n_from, size_t n_to, size_t *mates)
{
	struct weighing weighing = { .n_from = n_from, .n_to = n_to };
	int		rc = -1;

	if (n_from == 0 || n_to == 0 || n_from > MAX_ALIGN_CELLS / n_to ||
	    n_from > MAX_ALIGN_ELEMENTS || n_to > MAX_ALIGN_ELEMENTS)
		return 0;
	weighing.from = xcalloc(n_from, sizeof(*weighing.from));
	weighing.to = xcalloc(n_to, sizeof(*weighing.to));
	if (weigh(weighing.from, from->items + first, n_from) == 0 &&
	    weigh(weighing.to, to->items + first, n_to) == 0) {
		weighing.best = xcalloc((n_from + 1) * (n_to + 1),
		    sizeof(*weighing.best));
		fill_best(&weighing);
		choose(&weighing, first, mates + first);
		rc = 0;
	}
	free(weighing.from);
	free(weighing.to);
	free(weighing.best);
	return rc;
}

int
bson_align(const struct bson_elements *from, const struct bson_elements *to,
    size_t *mates)
{
	size_t least = from->n < to->n ? from->n : to->n;
	size_t first = 0, behind = 0, i;
	int    rc = 1;

	for (i = 0; i < from->n; i++)
		mates[i] = ALIGN_NONE;
	while (first < least && (rc = bson_align_equal(&from->items[first],
	    &to->items[first])) == 1) {
		mates[first] = first;
		first++;
	}
	while (rc != -1 && first + behind < least &&
	    (rc = bson_align_equal(&from->items[from->n - behind - 1],
	    &to->items[to->n - behind - 1])) == 1) {
		behind++;
		mates[from->n - behind] = to->n - behind;
	}
	return rc == -1 ? -1 : pair_middle(from, to, first,
	    from->n - first - behind, to->n - first - behind, mates);
}
