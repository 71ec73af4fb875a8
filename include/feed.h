/*
 * What goes into a SHA-256 (crypto_hash_sha256_init()) so that no two sequences
 * of numbers and texts give the same bytes: a number as eight bytes
 * (big-endian), a text or a blob behind its length, which is such a number.
 */
#ifndef NOMPD_FEED_H
#define NOMPD_FEED_H

#include <stddef.h>
#include <stdint.h>

struct crypto_hash_sha256_state;

void feed_number(struct crypto_hash_sha256_state *state, int64_t number);
/* data may be NULL when len is 0. */
void feed_bytes(struct crypto_hash_sha256_state *state, const void *data,
    size_t len);
void feed_text(struct crypto_hash_sha256_state *state, const char *text);

#endif
