#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seal_key_int.h"
#include "xalloc.h"

/* What stands before the digest in the message that is signed, and its bytes:
 * a line each. */
#define MESSAGE_DOMAIN "nompd-sync seal\n"
#define MESSAGE_BYTES  (sizeof(MESSAGE_DOMAIN) - 1 + HASH_TEXT_BYTES)

void *
seal_key_guarded(size_t size, struct error *err)
{
	void *memory;

	memory = sodium_init() == -1 ? NULL : sodium_malloc(size);
	if (memory == NULL)
		(void)error_set(err, STATUS_USAGE, "no guarded memory to keep"
		    " it in: %s", strerror(errno));
	return memory;
}

void
seal_key_text(const uint8_t *bytes, char text[SEAL_KEY_TEXT_BYTES])
{
	(void)sodium_bin2base64(text, SEAL_KEY_TEXT_BYTES, bytes,
	    SEAL_KEY_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* The thumbprint of RFC 7638, over SHA-256 (RFC 8037, 2). */
static char *
thumbprint(const uint8_t public[SEAL_KEY_BYTES])
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	char	x[SEAL_KEY_TEXT_BYTES], text[SEAL_KEY_TEXT_BYTES], *json;

	seal_key_text(public, x);
	json = xasprintf("{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}",
	    x);
	(void)crypto_hash_sha256(hash, (const uint8_t *)json, strlen(json));
	free(json);
	seal_key_text(hash, text);
	return xstrdup(text);
}

int
seal_key_new(const uint8_t *seed, const char *id, struct seal_key **out,
    struct error *err)
{
	struct seal_key *key;

	key = xcalloc(1, sizeof(*key));
	key->secret = seal_key_guarded(crypto_sign_SECRETKEYBYTES, err);
	if (key->secret == NULL) {
		seal_key_free(key);
		return -1;
	}
	(void)crypto_sign_seed_keypair(key->public, key->secret, seed);
	(void)sodium_mprotect_readonly(key->secret);
	key->id = id != NULL ? xstrdup(id) : thumbprint(key->public);
	*out = key;
	return 0;
}

int
seal_key_make(struct seal_key **out, struct error *err)
{
	uint8_t *seed;
	int	 rc;

	*out = NULL;
	seed = seal_key_guarded(SEAL_KEY_BYTES, err);
	if (seed == NULL)
		return -1;
	randombytes_buf(seed, SEAL_KEY_BYTES);
	rc = seal_key_new(seed, NULL, out, err);
	sodium_free(seed);
	return rc;
}

void
seal_key_free(struct seal_key *key)
{
	if (key == NULL)
		return;
	/* Wipes as well. */
	sodium_free(key->secret);
	free(key->id);
	free(key);
}

const char *
seal_key_id(const struct seal_key *key)
{
	return key->id;
}

/* Of a key that was made here the id needs no escapes. */
int
seal_key_private_text(const struct seal_key *key, char **out,
    struct error *err)
{
	char *d, x[SEAL_KEY_TEXT_BYTES];

	*out = seal_key_guarded(MAX_SEAL_KEY_TEXT, err);
	if (*out == NULL)
		return -1;
	d = seal_key_guarded(SEAL_KEY_TEXT_BYTES, err);
	if (d == NULL) {
		sodium_free(*out);
		return -1;
	}
	/* The secret key is the seed, and the public key behind it. */
	seal_key_text(key->secret, d);
	seal_key_text(key->public, x);
	(void)snprintf(*out, MAX_SEAL_KEY_TEXT, "{\"kty\":\"OKP\","
	    "\"crv\":\"Ed25519\",\"x\":\"%s\",\"d\":\"%s\",\"kid\":\"%s\","
	    "\"use\":\"sig\",\"alg\":\"EdDSA\"}\n", x, d, key->id);
	sodium_free(d);
	return 0;
}

char *
seal_key_public_set(const struct seal_key *key)
{
	char	x[SEAL_KEY_TEXT_BYTES], *text, *line;
	json_t *set;

	seal_key_text(key->public, x);
	set = json_pack("{s:[{s:s, s:s, s:s, s:s, s:s, s:s, s:[s]}]}", "keys",
	    "kty", "OKP", "crv", "Ed25519", "x", x, "kid", key->id,
	    "use", "sig", "alg", "EdDSA", "key_ops", "verify");
	text = set != NULL ? json_dumps(set, JSON_INDENT(2)) : NULL;
	if (text == NULL)
		xalloc_end();
	line = xasprintf("%s\n", text);
	free(text);
	json_decref(set);
	return line;
}

/* What is signed. */
static void
make_message(const char digest[HASH_TEXT_BYTES], uint8_t out[MESSAGE_BYTES])
{
	static const size_t domain = sizeof(MESSAGE_DOMAIN) - 1;

	memcpy(out, MESSAGE_DOMAIN, domain);
	memcpy(out + domain, digest, HASH_TEXT_BYTES - 1);
	out[MESSAGE_BYTES - 1] = '\n';
}

void
seal_key_sign(const struct seal_key *key, const char digest[HASH_TEXT_BYTES],
    uint8_t signature[SEAL_SIGNATURE_BYTES])
{
	uint8_t message[MESSAGE_BYTES];

	make_message(digest, message);
	(void)crypto_sign_detached(signature, NULL, message, sizeof(message),
	    key->secret);
}

void
seal_keys_free(struct seal_keys *keys)
{
	size_t i;

	if (keys == NULL)
		return;
	for (i = 0; i < keys->count; i++)
		free(keys->items[i].id);
	free(keys);
}

void
seal_keys_add(struct seal_keys *keys, const uint8_t public[SEAL_KEY_BYTES],
    const char *id)
{
	struct seal_public *item = &keys->items[keys->count++];

	memcpy(item->public, public, SEAL_KEY_BYTES);
	item->id = id != NULL ? xstrdup(id) : thumbprint(public);
}

int
seal_keys_check(const struct seal_keys *keys, const char *key_id,
    const char digest[HASH_TEXT_BYTES],
    const uint8_t signature[SEAL_SIGNATURE_BYTES])
{
	uint8_t message[MESSAGE_BYTES];
	bool	is_known = false;
	size_t	i;

	make_message(digest, message);
	for (i = 0; i < keys->count; i++) {
		if (strcmp(keys->items[i].id, key_id) != 0)
			continue;
		is_known = true;
		if (crypto_sign_verify_detached(signature, message,
		    sizeof(message), keys->items[i].public) == 0)
			return 1;
	}
	return is_known ? 0 : -1;
}
