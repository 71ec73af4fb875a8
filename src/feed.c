#include <sodium.h>
#include <string.h>

#include "feed.h"

void
feed_number(struct crypto_hash_sha256_state *state, int64_t number)
{
	uint8_t bytes[sizeof(number)];
	size_t	i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)((uint64_t)number >>
		    (8 * (sizeof(bytes) - 1 - i)));
	(void)crypto_hash_sha256_update(state, bytes, sizeof(bytes));
}

void
feed_bytes(struct crypto_hash_sha256_state *state, const void *data,
    size_t len)
{
	feed_number(state, (int64_t)len);
	if (len > 0)
		(void)crypto_hash_sha256_update(state, data, len);
}

void
feed_text(struct crypto_hash_sha256_state *state, const char *text)
{
	feed_bytes(state, text, strlen(text));
}
