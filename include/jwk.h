/*
 * A private key as a JSON Web Key (RFC 7517), to sign with: the two kinds that
 * SMART Backend Services ask for, EC on P-384 with ES384 and RSA with RS384
 * (RFC 7518, 3.1).  The key stays in guarded memory; the library's copies are
 * gone, and wiped if json_set_alloc_funcs() was told so, when a function
 * returns.
 */
#ifndef NOMPD_JWK_H
#define NOMPD_JWK_H

#include <jansson.h>

#include "error.h"

/* A file with keys. */
#define MAX_JWK_BYTES (64 * 1024)
/* Keys of a JWK Set. */
#define MAX_JWK_KEYS 100
/* A key's name. */
#define MAX_KID_BYTES 256
/* RSA keys: what RFC 7518, 3.3 asks for at least, and what is made. */
#define MIN_RSA_BITS 2048
#define NEW_RSA_BITS 3072

enum jwk_alg { JWK_ES384, JWK_RS384, JWK_ALG__MAX };
/* "ES384"; borrowed, for ever. */
const char *jwk_alg_name(enum jwk_alg alg);
/* The one of that name, or JWK_ALG__MAX. */
enum jwk_alg jwk_alg_find(const char *name);

struct jwk;

/*
 * Reads the private key at path: a JWK, or a JWK Set, of which the first key
 * counts that can sign.  A key without a kid gets its thumbprint (RFC 7638)
 * for one, with a warning.  The key has made a signature, and checked it, when
 * it is handed out.  -1 with STATUS_USAGE when the file is open to others or
 * has no such key; the sentence says of each key why.  The caller frees *out.
 */
int jwk_read(const char *path, struct jwk **out, struct error *err);
/* A new key, its thumbprint its kid; the caller frees *out. */
int jwk_make(enum jwk_alg alg, struct jwk **out, struct error *err);
/* Wipes and frees; NULL is fine. */
void jwk_free(struct jwk *key);

/* These are borrowed until jwk_free(). */
enum jwk_alg jwk_alg(const struct jwk *key);
const char *jwk_kid(const struct jwk *key);
/* The private key itself as a line of JSON, in guarded memory. */
const char *jwk_private_text(const struct jwk *key);

/* The JWK Set of the public key alone, for whoever is to know it: lines of
 * JSON; the caller frees *out. */
int jwk_public_set(const struct jwk *key, char **out, struct error *err);

/*
 * The JWT (RFC 7519) of the claims in its compact form, its header being alg,
 * kid and typ; the caller wipes and frees *out.
 */
int jwk_sign(const struct jwk *key, const json_t *claims, char **out,
    struct error *err);

#endif
