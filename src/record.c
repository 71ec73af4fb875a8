#include <string.h>

#include <stdint.h>

#include "collection.h"
#include "hash.h"
#include "limit.h"
#include "record.h"

/* A BSON member is a type byte, its name with a NUL, and its value; sizeof a
 * literal counts the NUL. */
#define MEMBER_BYTES(name) (1 + sizeof(name))
/* Text is a length, the bytes, and a NUL. */
#define TEXT_BYTES(len) (sizeof(int32_t) + (len) + 1)
/* A document is a length, the members, and a NUL. */
#define DOCUMENT_BYTES (sizeof(int32_t) + 1)
#define BOOL_BYTES 1
/* What stands before the key in the _id of a former state: "COLLECTION/",
 * and "VERSION/" with up to 19 digits. */
#define MAX_STATE_PREFIX (MAX_COLLECTION_NAME + 1 + 19 + 1)

size_t
record_bytes(size_t key_len, size_t data_len)
{
	return DOCUMENT_BYTES +
	    MEMBER_BYTES("_id") + TEXT_BYTES(key_len + MAX_STATE_PREFIX) +
	    MEMBER_BYTES("Collection") + TEXT_BYTES(MAX_COLLECTION_NAME) +
	    MEMBER_BYTES("BusinessKey") + TEXT_BYTES(key_len) +
	    MEMBER_BYTES("Version") + sizeof(int64_t) +
	    MEMBER_BYTES("ReplacedIn") + sizeof(int64_t) +
	    MEMBER_BYTES("IsDeleted") + BOOL_BYTES +
	    MEMBER_BYTES("UpdatedAt") + sizeof(int64_t) +
	    MEMBER_BYTES("ContentHash") + TEXT_BYTES(HASH_TEXT_BYTES - 1) +
	    MEMBER_BYTES("Data") + data_len +
	    MEMBER_BYTES("JsonHash") + TEXT_BYTES(HASH_TEXT_BYTES - 1);
}

int
record_check_size(size_t key_len, size_t data_len, struct error *err)
{
	size_t size = record_bytes(key_len, data_len);

	if (size <= MAX_RECORD_BYTES)
		return 0;
	return error_set(err, STATUS_PROTOCOL, "a resource whose record has"
	    " %zu bytes; the limit is %d (16 MiB)", size, MAX_RECORD_BYTES);
}

int
record_key_compare(const char *one, size_t one_len, const char *other,
    size_t other_len)
{
	int order;

	order = memcmp(one, other, one_len < other_len ? one_len : other_len);
	if (order == 0 && one_len != other_len)
		order = one_len < other_len ? -1 : 1;
	return order;
}
