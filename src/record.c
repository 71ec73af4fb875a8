#include <stdint.h>

#include "hash.h"
#include "record.h"

/* A BSON member is a type byte, its name with a NUL, and its value; sizeof a
 * literal counts the NUL. */
#define MEMBER_BYTES(name) (1 + sizeof(name))
/* Text is a length, the bytes, and a NUL. */
#define TEXT_BYTES(len) (sizeof(int32_t) + (len) + 1)
/* A document is a length, the members, and a NUL. */
#define DOCUMENT_BYTES (sizeof(int32_t) + 1)
#define BOOL_BYTES 1

size_t
record_bytes(size_t key_len, size_t data_len)
{
	return DOCUMENT_BYTES +
	    MEMBER_BYTES("_id") + TEXT_BYTES(key_len) +
	    MEMBER_BYTES("BusinessKey") + TEXT_BYTES(key_len) +
	    MEMBER_BYTES("Data") + data_len +
	    MEMBER_BYTES("Version") + sizeof(int64_t) +
	    MEMBER_BYTES("IsDeleted") + BOOL_BYTES +
	    MEMBER_BYTES("UpdatedAt") + sizeof(int64_t) +
	    MEMBER_BYTES("ContentHash") + TEXT_BYTES(HASH_TEXT_BYTES - 1);
}
