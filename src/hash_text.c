/* The hash as text; apart from hash.c, so that who only reads stored hashes
 * needs no libcrypto. */
#include <sodium.h>

#include "hash.h"

void
hash_format(const uint8_t hash[HASH_BYTES], char text[HASH_TEXT_BYTES])
{
	(void)sodium_bin2hex(text, HASH_TEXT_BYTES, hash, HASH_BYTES);
}

int
hash_parse(const char *text, size_t len, uint8_t hash[HASH_BYTES])
{
	const char *end;
	size_t	    count;

	if (len != HASH_TEXT_BYTES - 1 || sodium_hex2bin(hash, HASH_BYTES,
	    text, len, NULL, &count, &end) != 0)
		return -1;
	return count == HASH_BYTES ? 0 : -1;
}
