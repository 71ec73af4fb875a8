/*
 * One member of a BSON document (bsonspec.org, 1.1), found without libbson:
 * where a document is only walked, this costs a fraction of an iterator.
 */
#ifndef NOMPD_BSON_MEMBER_H
#define NOMPD_BSON_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Bytes of the length at the start of a document or a text. */
#define BSON_LENGTH_BYTES sizeof(int32_t)

/* So many members are put in order by insertion, which beats qsort(). */
#define BSON_MAX_INSERTION 16

/* A member where it stands: a type byte, the name with a NUL, the value. */
struct bson_member {
	const uint8_t *start;
	uint32_t       name_len;  /* without its NUL */
	uint32_t       value_len; /* bytes of the value */
};

/* Members of the document of len bytes that were not read yet. */
struct bson_members {
	const uint8_t *at;
	const uint8_t *end; /* the NUL behind the last one */
};

/* Starts at the first member.  False: the frame of the document (length and
 * final NUL) is not sound; then there is no member either. */
bool bson_members_init(struct bson_members *members, const uint8_t *data,
    size_t len);
/*
 * 1 = *member is the next one, 0 = there is none, -1 = what follows is not
 * sound, or of a type that no document of ours holds.  Of a value that is a
 * document only the length is known to be within its parent.
 */
int bson_members_next(struct bson_members *members,
    struct bson_member *member);

static inline uint8_t
bson_member_type(const struct bson_member *member)
{
	return member->start[0];
}

static inline const char *
bson_member_name(const struct bson_member *member)
{
	return (const char *)member->start + 1;
}

static inline const uint8_t *
bson_member_value(const struct bson_member *member)
{
	return member->start + member->name_len + 2;
}

/* Puts n members in the order of compare, as qsort() takes it; those that are
 * equal come in any order. */
static inline void
bson_members_sort(struct bson_member *members, size_t n,
    int (*compare)(const void *one, const void *other))
{
	struct bson_member moved;
	size_t		   i, j;

	if (n > BSON_MAX_INSERTION) {
		qsort(members, n, sizeof(*members), compare);
		return;
	}
	for (i = 1; i < n; i++) {
		moved = members[i];
		for (j = i; j > 0; j--) {
			if (compare(&members[j - 1], &moved) <= 0)
				break;
			members[j] = members[j - 1];
		}
		members[j] = moved;
	}
}

/* Bytes of the whole member. */
static inline size_t
bson_member_bytes(const struct bson_member *member)
{
	return (size_t)member->name_len + 2 + member->value_len;
}

#endif
