/* What a seal says; apart from how it is made, for those who only read it. */
#include <bson/bson.h>

#include "seal.h"
#include "seal_int.h"

/* The hash in a text member of the document that iter stands in. */
static int
find_hash(bson_iter_t *iter, const char *name, char text[HASH_TEXT_BYTES])
{
	uint8_t	    hash[HASH_BYTES];
	const char *found;
	uint32_t    len;

	if (!bson_iter_find(iter, name) || !BSON_ITER_HOLDS_UTF8(iter))
		return 0;
	found = bson_iter_utf8(iter, &len);
	if (hash_parse(found, len, hash) == -1)
		return 0;
	hash_format(hash, text);
	return 1;
}

/* Stands before the members of a collection's numbers. */
static bool
enter_collection(const uint8_t *seal, size_t len, const char *collection,
    bson_iter_t *members)
{
	bson_iter_t iter, names;

	return seal != NULL && bson_iter_init_from_data(&iter, seal, len) &&
	    bson_iter_find(&iter, SEAL_COLLECTIONS) &&
	    BSON_ITER_HOLDS_DOCUMENT(&iter) &&
	    bson_iter_recurse(&iter, &names) &&
	    bson_iter_find(&names, collection) &&
	    BSON_ITER_HOLDS_DOCUMENT(&names) &&
	    bson_iter_recurse(&names, members);
}

int
seal_data_digest(const uint8_t *seal, size_t len, const char *collection,
    char text[HASH_TEXT_BYTES])
{
	bson_iter_t members;

	if (!enter_collection(seal, len, collection, &members))
		return 0;
	return find_hash(&members, SEAL_DATA, text);
}
