/* Keys of the seal, from files. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "private_file.h"
#include "seal_key_int.h"
#include "text.h"
#include "xalloc.h"

/* What is wanted of a file. */
enum want { WANT_PRIVATE, WANT_ALL };

static const char *
member_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool
is_member(const json_t *key, const char *name, const char *text)
{
	const char *have = member_text(key, name);

	return have != NULL && strcmp(have, text) == 0;
}

/* Half a key from its member. */
static bool
take_half(const json_t *key, const char *name, uint8_t out[SEAL_KEY_BYTES])
{
	const char *text = member_text(key, name);
	size_t	    len;

	return text != NULL && sodium_base642bin(out, SEAL_KEY_BYTES, text,
	    strlen(text), NULL, &len, NULL,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
	    len == SEAL_KEY_BYTES;
}

/* Is the key meant for something else?  (RFC 7517, 4.2 to 4.5) */
static const char *
judge_use(const json_t *key)
{
	const json_t *id = json_object_get(key, "kid");

	if (json_object_get(key, "alg") != NULL &&
	    !is_member(key, "alg", "EdDSA") &&
	    !is_member(key, "alg", SEAL_KEY_ALG))
		return "its alg is neither EdDSA nor Ed25519";
	if (json_object_get(key, "use") != NULL &&
	    !is_member(key, "use", "sig"))
		return "its use is not sig";
	if (id != NULL && (!json_is_string(id) || json_string_length(id) == 0 ||
	    json_string_length(id) > MAX_SEAL_KEY_ID_BYTES))
		return "its kid is no text of 1 to "
		       TEXT_OF(MAX_SEAL_KEY_ID_BYTES) " bytes";
	return NULL;
}

/* Why the key is none that is wanted, or NULL. */
static const char *
judge(const json_t *key, enum want want)
{
	uint8_t public[SEAL_KEY_BYTES];

	if (is_member(key, "kty", "EC"))
		return "it is an EC key";
	if (is_member(key, "kty", "RSA"))
		return "it is an RSA key";
	if (!is_member(key, "kty", "OKP"))
		return "its kty is not OKP";
	if (!is_member(key, "crv", SEAL_KEY_ALG))
		return "its crv is not Ed25519";
	if (!take_half(key, "x", public))
		return "its x is no base64url of 32 bytes";
	if (want == WANT_PRIVATE && json_object_get(key, "d") == NULL)
		return "it is a public key; want the private one";
	return judge_use(key);
}

/* The private half of a key that judge() found good. */
static int
take_private(const json_t *json, struct seal_key **out, struct error *err)
{
	uint8_t *seed, public[SEAL_KEY_BYTES];
	int	 rc;

	seed = seal_key_guarded(SEAL_KEY_BYTES, err);
	if (seed == NULL)
		return -1;
	if (!take_half(json, "d", seed))
		rc = error_set(err, STATUS_USAGE, "its d is no base64url of 32"
		    " bytes");
	else
		rc = seal_key_new(seed, member_text(json, "kid"), out, err);
	sodium_free(seed);
	if (rc == -1)
		return -1;
	(void)take_half(json, "x", public);
	if (memcmp(public, (*out)->public, sizeof(public)) == 0)
		return 0;
	seal_key_free(*out);
	*out = NULL;
	return error_set(err, STATUS_USAGE, "its parts do not belong together:"
	    " x is not the public half of d");
}

/* The file's text, or -1: how long it is. */
static ssize_t
read_text(const char *path, enum want want, char *text, struct error *err)
{
	struct stat info;
	ssize_t	    len;
	int	    fd;

	if (want == WANT_PRIVATE)
		fd = private_file_open(path, MAX_SEAL_KEY_FILE_BYTES,
		    STATUS_USAGE, &info, err);
	else {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd == -1)
			(void)error_set(err, STATUS_USAGE, "%s",
			    strerror(errno));
	}
	if (fd == -1)
		return -1;
	len = private_file_read(fd, text, MAX_SEAL_KEY_FILE_BYTES + 1);
	if (len == -1)
		(void)error_set(err, STATUS_USAGE, "%s", strerror(errno));
	else if (len > MAX_SEAL_KEY_FILE_BYTES)
		len = error_set(err, STATUS_USAGE, "larger than %d bytes",
		    MAX_SEAL_KEY_FILE_BYTES);
	(void)close(fd);
	return len;
}

static int
parse(const char *text, size_t len, json_t **out, struct error *err)
{
	json_error_t where;

	if (memmem(text, len, "-----BEGIN", strlen("-----BEGIN")) != NULL)
		return error_set(err, STATUS_USAGE, "want a JWK (JSON); it is"
		    " PEM (nompd-sync keygen --alg Ed25519 makes a JWK)");
	*out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	/* Its own words might be a part of the key. */
	if (*out == NULL)
		return error_set(err, STATUS_USAGE, "want a JWK (JSON); line"
		    " %d, column %d is no JSON", where.line, where.column);
	return 0;
}

/* The file as JSON; the caller frees *out. */
static int
read_json(const char *path, enum want want, json_t **out, struct error *err)
{
	char   *text;
	ssize_t len;
	int	rc = -1;

	text = seal_key_guarded(MAX_SEAL_KEY_FILE_BYTES + 1, err);
	if (text == NULL)
		return -1;
	len = read_text(path, want, text, err);
	if (len != -1)
		rc = parse(text, (size_t)len, out, err);
	sodium_free(text);
	return rc;
}

/* The keys of the file, be it one or a set; the caller frees *out. */
static int
as_list(const json_t *json, json_t **out, struct error *err)
{
	json_t *keys = json_object_get(json, "keys");
	size_t	count = json_array_size(keys);

	if (!json_is_object(json))
		return error_set(err, STATUS_USAGE, "want a JWK or a JWK Set;"
		    " it is another kind of JSON");
	if (keys == NULL) {
		*out = json_pack("[O]", json);
		return 0;
	}
	if (count == 0 || count > MAX_SEAL_KEYS)
		return error_set(err, STATUS_USAGE, "want a JWK Set of 1 to %d"
		    " keys; it has %zu", MAX_SEAL_KEYS, count);
	*out = json_incref(keys);
	return 0;
}

/* The first key that is wanted, or NULL with the faults of all. */
static const json_t *
pick(const json_t *keys, enum want want, struct error *err)
{
	struct buf    faults = { 0 };
	const json_t *key = NULL;
	const char   *wrong;
	size_t	      i;

	json_array_foreach(keys, i, key) {
		wrong = judge(key, want);
		if (wrong == NULL)
			break;
		if (json_array_size(keys) > 1)
			buf_print(&faults, "%skey %zu: ", i > 0 ? "; " : "",
			    i + 1);
		buf_print(&faults, "%s", wrong);
	}
	if (i == json_array_size(keys)) {
		(void)error_set(err, STATUS_USAGE, "want %s Ed25519 key: %.*s",
		    want == WANT_PRIVATE ? "a private" : "an",
		    (int)faults.len, (const char *)faults.data);
		key = NULL;
	}
	buf_clear(&faults);
	return key;
}

int
seal_key_read(const char *path, struct seal_key **out, struct error *err)
{
	json_t	     *json = NULL, *keys = NULL;
	const json_t *key = NULL;
	int	      rc = -1;

	*out = NULL;
	if (read_json(path, WANT_PRIVATE, &json, err) == 0 &&
	    as_list(json, &keys, err) == 0)
		key = pick(keys, WANT_PRIVATE, err);
	if (key != NULL)
		rc = take_private(key, out, err);
	json_decref(keys);
	json_decref(json);
	return rc == 0 ? 0 : error_prefix(err, "seal key file %s", path);
}

/* A private key in it is to be nobody else's. */
static int
check_open(const char *path, const json_t *keys, struct error *err)
{
	struct stat   info;
	const json_t *key;
	size_t	      i;
	int	      fd;

	json_array_foreach(keys, i, key) {
		if (json_object_get(key, "d") == NULL)
			continue;
		fd = private_file_open(path, MAX_SEAL_KEY_FILE_BYTES,
		    STATUS_USAGE, &info, err);
		if (fd == -1)
			return -1;
		(void)close(fd);
	}
	return 0;
}

static int
take_all(const json_t *list, struct seal_keys *keys, struct error *err)
{
	uint8_t	      public[SEAL_KEY_BYTES];
	const json_t *key;
	size_t	      i;

	if (pick(list, WANT_ALL, err) == NULL)
		return -1;
	json_array_foreach(list, i, key) {
		if (judge(key, WANT_ALL) != NULL)
			continue;
		(void)take_half(key, "x", public);
		seal_keys_add(keys, public, member_text(key, "kid"));
	}
	return 0;
}

int
seal_keys_read(const char *path, struct seal_keys **out, struct error *err)
{
	struct seal_keys *keys;
	json_t		 *json = NULL, *list = NULL;
	int		  rc = -1;

	*out = NULL;
	keys = xcalloc(1, sizeof(*keys));
	if (read_json(path, WANT_ALL, &json, err) == 0 &&
	    as_list(json, &list, err) == 0 &&
	    check_open(path, list, err) == 0)
		rc = take_all(list, keys, err);
	json_decref(list);
	json_decref(json);
	if (rc == 0) {
		*out = keys;
		return 0;
	}
	seal_keys_free(keys);
	return error_prefix(err, "seal key file %s", path);
}
