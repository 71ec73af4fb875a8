/* What the parts of the seal's keys share. */
#ifndef NOMPD_SEAL_KEY_INT_H
#define NOMPD_SEAL_KEY_INT_H

#include <jansson.h>
#include <sodium.h>

#include "seal_key.h"

/* A file with keys, and the keys of a JWK Set. */
#define MAX_SEAL_KEY_FILE_BYTES (64 * 1024)
#define MAX_SEAL_KEYS		100
/* The name of a key. */
#define MAX_SEAL_KEY_ID_BYTES	256
/* Bytes of either half of a key, and of that as base64url with its NUL. */
#define SEAL_KEY_BYTES		32
#define SEAL_KEY_TEXT_BYTES	44
/* The text of a private key that was made here. */
#define MAX_SEAL_KEY_TEXT	512

_Static_assert(SEAL_KEY_BYTES == crypto_sign_SEEDBYTES &&
    SEAL_KEY_BYTES == crypto_sign_PUBLICKEYBYTES &&
    SEAL_KEY_BYTES == crypto_hash_sha256_BYTES &&
    SEAL_SIGNATURE_BYTES == crypto_sign_BYTES, "Ed25519 is not as it was");

/*
 * Invariants: secret is guarded memory and the private half of public; id is
 * never empty.
 */
struct seal_key {
	char	*id;
	uint8_t	 public[SEAL_KEY_BYTES];
	uint8_t *secret;
};

struct seal_public {
	char   *id;
	uint8_t public[SEAL_KEY_BYTES];
};
struct seal_keys {
	size_t		   count;
	struct seal_public items[MAX_SEAL_KEYS];
};

/* Guarded memory, or NULL with the error. */
void *seal_key_guarded(size_t size, struct error *err);
/* Half a key as base64url. */
void seal_key_text(const uint8_t *bytes, char text[SEAL_KEY_TEXT_BYTES]);
/* The key of that seed; id NULL: its thumbprint. */
int seal_key_new(const uint8_t *seed, const char *id, struct seal_key **out,
    struct error *err);
/* Adds a public key, while there are less than MAX_SEAL_KEYS. */
void seal_keys_add(struct seal_keys *keys,
    const uint8_t public[SEAL_KEY_BYTES], const char *id);

#endif
