/*
 * The key that signs the seals of history entries: Ed25519 (RFC 8032) as a JSON
 * Web Key (RFC 8037).  The secret half stays in guarded memory; the library's
 * copies are gone, and wiped if json_set_alloc_funcs() was told so, when a
 * function returns.
 */
#ifndef NOMPD_SEAL_KEY_H
#define NOMPD_SEAL_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "hash.h"

/* What --alg calls it. */
#define SEAL_KEY_ALG "Ed25519"
#define SEAL_SIGNATURE_BYTES 64

/* A key to sign with. */
struct seal_key;

/*
 * Reads the private key at path: a JWK, or a JWK Set, of which the first
 * private Ed25519 key counts.  A key without a kid has its thumbprint (RFC
 * 7638) for one.  -1 with STATUS_USAGE when the file is open to others or has
 * no such key; the sentence says of each key why.  The caller frees *out.
 */
int seal_key_read(const char *path, struct seal_key **out, struct error *err);
/* A new key, its thumbprint its kid; the caller frees *out. */
int seal_key_make(struct seal_key **out, struct error *err);
/* Wipes and frees; NULL is fine. */
void seal_key_free(struct seal_key *key);

/* Borrowed until seal_key_free(). */
const char *seal_key_id(const struct seal_key *key);
/* The private key as a line of JSON, in guarded memory, for sodium_free(). */
int seal_key_private_text(const struct seal_key *key, char **out,
    struct error *err);
/* The JWK Set of the public half, lines of JSON; the caller frees it. */
char *seal_key_public_set(const struct seal_key *key);
/* Signs the digest of an entry (nompd-store(7) has the message). */
void seal_key_sign(const struct seal_key *key,
    const char digest[HASH_TEXT_BYTES],
    uint8_t signature[SEAL_SIGNATURE_BYTES]);

/* Keys to check signatures with. */
struct seal_keys;

/*
 * Reads all Ed25519 keys at path, private or public: a JWK or a JWK Set, whose
 * other keys are passed over.  -1 with STATUS_USAGE when there are none, or a
 * private one is open to others.  The caller frees *out.
 */
int seal_keys_read(const char *path, struct seal_keys **out,
    struct error *err);
void seal_keys_free(struct seal_keys *keys);
/* Has one of them that name, and made that signature?  1 = it has, 0 = the one
 * of that name has not made it, -1 = none has that name. */
int seal_keys_check(const struct seal_keys *keys, const char *key_id,
    const char digest[HASH_TEXT_BYTES],
    const uint8_t signature[SEAL_SIGNATURE_BYTES]);

#endif
