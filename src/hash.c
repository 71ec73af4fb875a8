#include <bson/bson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bson_member.h"
#include "bson_path.h"
#include "buf.h"
#include "hash.h"
#include "limit.h"
#include "xalloc.h"

/* Members that there is room for at first. */
#define MIN_MEMBERS   64

/*
 * Invariants: members[0..n) belong to the objects that are open, outermost
 * first; path leads to the innermost one.
 */
struct hasher {
	EVP_MD	      *sha256;
	EVP_MD_CTX    *digest;
	struct buf     canonical;
	struct bson_member *members;
	size_t	       n;
	size_t	       cap;
	struct bson_path path;
};

static int document_write(struct hasher *hasher, const uint8_t *data,
    size_t len, bool is_array, struct error *err);

struct hasher *
hasher_new(void)
{
	struct hasher *hasher;

	hasher = xcalloc(1, sizeof(*hasher));
	hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	hasher->digest = EVP_MD_CTX_new();
	if (hasher->sha256 == NULL || hasher->digest == NULL)
		xalloc_end();
	return hasher;
}

/* libcrypto, because it uses the processor's own SHA instructions: several
 * times the speed of libsodium, in the costliest step of an unchanged run. */
void
hash_begin(struct hasher *hasher)
{
	if (EVP_DigestInit_ex2(hasher->digest, hasher->sha256, NULL) != 1)
		xalloc_end();
}

void
hash_add(struct hasher *hasher, const void *data, size_t len)
{
	if (EVP_DigestUpdate(hasher->digest, data, len) != 1)
		xalloc_end();
}

void
hash_end(struct hasher *hasher, uint8_t hash[HASH_BYTES])
{
	if (EVP_DigestFinal_ex(hasher->digest, hash, NULL) != 1)
		xalloc_end();
}

static void
digest_write(struct hasher *hasher, uint8_t hash[HASH_BYTES])
{
	hash_begin(hasher);
	hash_add(hasher, hasher->canonical.data, hasher->canonical.len);
	hash_end(hasher, hash);
}

void
hasher_free(struct hasher *hasher)
{
	if (hasher == NULL)
		return;
	EVP_MD_CTX_free(hasher->digest);
	EVP_MD_free(hasher->sha256);
	buf_clear(&hasher->canonical);
	free(hasher->members);
	free(hasher);
}

/* Byte order, the shorter first: what strcmp() does (C11, 7.24.4). */
static int
member_compare(const void *a, const void *b)
{
	return strcmp(bson_member_name(a), bson_member_name(b));
}

static int
fail_not_sound(const struct hasher *hasher, struct error *err)
{
	char path[MAX_PATH_SHOWN];

	bson_path_format(&hasher->path, path);
	return error_set(err, STATUS_PROTOCOL, "the document is not sound BSON"
	    " (%s%s)", hasher->path.depth > 0 ? "in " : "at its top", path);
}

static int
fail_duplicate(struct hasher *hasher, const struct bson_member *member,
    struct error *err)
{
	char path[MAX_PATH_SHOWN];

	bson_path_push(&hasher->path, member, false);
	bson_path_format(&hasher->path, path);
	return error_set(err, STATUS_PROTOCOL, "an object has two members named"
	    " \"%.*s\": %s", bson_path_name_len(member),
	    bson_member_name(member), path);
}

static int
member_write(struct hasher *hasher, const struct bson_member *member,
    bool is_element, struct error *err)
{
	const uint8_t *value = bson_member_value(member);
	uint8_t	       type = bson_member_type(member);

	if (type != BSON_TYPE_DOCUMENT && type != BSON_TYPE_ARRAY) {
		buf_append(&hasher->canonical, member->start,
		    bson_member_bytes(member));
		return 0;
	}
	/* The document itself is the first of MAX_NESTING, without a step. */
	if (hasher->path.depth + 1 >= MAX_NESTING)
		return error_set(err, STATUS_PROTOCOL,
		    "objects and arrays are nested deeper than %d",
		    MAX_NESTING);
	buf_append(&hasher->canonical, member->start,
	    (size_t)(value - member->start));
	bson_path_push(&hasher->path, member, is_element);
	if (document_write(hasher, value, member->value_len,
	    type == BSON_TYPE_ARRAY, err) == -1)
		return -1;
	hasher->path.depth--;
	return 0;
}

static int
array_write(struct hasher *hasher, struct bson_members *elements,
    struct error *err)
{
	struct bson_member element;
	int		   found;

	while ((found = bson_members_next(elements, &element)) == 1)
		if (member_write(hasher, &element, true, err) == -1)
			return -1;
	return found == 0 ? 0 : fail_not_sound(hasher, err);
}

static void
member_add(struct hasher *hasher, const struct bson_member *member)
{
	if (hasher->n == hasher->cap) {
		hasher->cap = hasher->cap > 0 ? 2 * hasher->cap : MIN_MEMBERS;
		hasher->members = xrealloc(hasher->members,
		    hasher->cap * sizeof(*hasher->members));
	}
	hasher->members[hasher->n++] = *member;
}

/* Refuses two of the same name; members are ordered. */
static int
members_check(struct hasher *hasher, size_t first, struct error *err)
{
	const struct bson_member *member;
	size_t			  i;

	for (i = first + 1; i < hasher->n; i++) {
		member = &hasher->members[i];
		if (member_compare(member - 1, member) == 0)
			return fail_duplicate(hasher, member, err);
	}
	return 0;
}

/* Adds the members of an object, ordered, behind those of its parents. */
static int
members_read(struct hasher *hasher, struct bson_members *members,
    struct error *err)
{
	struct bson_member last = { 0 }, member;
	size_t		   first = hasher->n;
	bool		   is_ordered = true;
	int		   found;

	while ((found = bson_members_next(members, &member)) == 1) {
		if (is_ordered && hasher->n > first)
			is_ordered = member_compare(&last, &member) < 0;
		member_add(hasher, &member);
		last = member;
	}
	if (found == -1)
		return fail_not_sound(hasher, err);
	if (is_ordered)
		return 0;
	bson_members_sort(hasher->members + first, hasher->n - first,
	    member_compare);
	return members_check(hasher, first, err);
}

static int
object_write(struct hasher *hasher, struct bson_members *members,
    struct error *err)
{
	struct bson_member member;
	size_t		   i, first = hasher->n, last;

	if (members_read(hasher, members, err) == -1)
		return -1;
	last = hasher->n;
	for (i = first; i < last; i++) {
		/* A copy: members below may move the array. */
		member = hasher->members[i];
		if (member_write(hasher, &member, false, err) == -1)
			return -1;
	}
	hasher->n = first;
	return 0;
}

/*
 * Ordering members changes no length, so the length at the start of each level
 * is copied as it is.
 */
static int
document_write(struct hasher *hasher, const uint8_t *data, size_t len,
    bool is_array, struct error *err)
{
	struct bson_members members;
	int		    result;

	if (!bson_members_init(&members, data, len))
		return fail_not_sound(hasher, err);
	buf_append(&hasher->canonical, data, BSON_LENGTH_BYTES);
	if (is_array)
		result = array_write(hasher, &members, err);
	else
		result = object_write(hasher, &members, err);
	buf_append_byte(&hasher->canonical, '\0');
	return result;
}

int
hash_document(struct hasher *hasher, const uint8_t *data, size_t len,
    uint8_t hash[HASH_BYTES], struct error *err)
{
	hasher->canonical.len = 0;
	hasher->n = 0;
	hasher->path.depth = 0;
	if (document_write(hasher, data, len, false, err) == -1)
		return -1;
	digest_write(hasher, hash);
	return 0;
}
