#include <errno.h>
#include <jose/b64.h>
#include <jose/jwk.h>
#include <jose/jws.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "jwk.h"
#include "log.h"
#include "private_file.h"
#include "text.h"
#include "xalloc.h"

#define MAX_MEMBERS 8

/*
 * The two kinds of keys: the members that make one (the first need_members
 * have to be there), and what José makes a new one of.
 */
static const struct {
	const char *name;
	const char *kty;
	size_t	    need_members;
	const char *members[MAX_MEMBERS + 1];
	int	    bits;
} algs[JWK_ALG__MAX] = {
	[JWK_ES384] = { "ES384", "EC", 4, { "crv", "x", "y", "d" }, 0 },
	[JWK_RS384] = { "RS384", "RSA", 3, { "n", "e", "d", "p", "q", "dp",
	    "dq", "qi" }, NEW_RSA_BITS },
};

/*
 * Invariants: text is guarded memory with the JWK that has just what signing
 * takes, ends in a newline and a NUL; kid is never empty.
 */
struct jwk {
	enum jwk_alg alg;
	char	    *kid;
	char	    *text;
};

const char *
jwk_alg_name(enum jwk_alg alg)
{
	return algs[alg].name;
}

enum jwk_alg
jwk_alg_find(const char *name)
{
	int i;

	for (i = 0; i < JWK_ALG__MAX; i++) {
		if (strcmp(algs[i].name, name) == 0)
			break;
	}
	return (enum jwk_alg)i;
}

enum jwk_alg
jwk_alg(const struct jwk *key)
{
	return key->alg;
}

const char *
jwk_kid(const struct jwk *key)
{
	return key->kid;
}

const char *
jwk_private_text(const struct jwk *key)
{
	return key->text;
}

void
jwk_free(struct jwk *key)
{
	if (key == NULL)
		return;
	/* Wipes as well. */
	sodium_free(key->text);
	free(key->kid);
	free(key);
}

/* What José has to say would go to standard error. */
static void
on_jose_error(void *misc, const char *file, int line, uint64_t code,
    const char *fmt, va_list ap)
{
	(void)misc;
	(void)file;
	(void)line;
	(void)code;
	(void)fmt;
	(void)ap;
}

static jose_cfg_t *
jose_new(void)
{
	jose_cfg_t *jose;

	jose = jose_cfg();
	if (jose == NULL)
		xalloc_end();
	jose_cfg_set_err_func(jose, on_jose_error, NULL);
	return jose;
}

/* Guarded memory, or NULL with the error. */
static char *
guarded_new(size_t size, struct error *err)
{
	char *memory;

	memory = sodium_init() == -1 ? NULL : sodium_malloc(size);
	if (memory == NULL)
		(void)error_set(err, STATUS_USAGE, "no guarded memory to keep"
		    " it in: %s", strerror(errno));
	return memory;
}

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

/* Bits of an unsigned number (RFC 7518, 2: Base64urlUInt). */
static size_t
bits_of(const json_t *number)
{
	uint8_t bytes[MAX_JWK_BYTES];
	size_t	len, i, bits;
	uint8_t top;

	len = jose_b64_dec(number, bytes, sizeof(bytes));
	if (len == SIZE_MAX)
		return 0;
	for (i = 0; i < len && bytes[i] == 0; i++)
		continue;
	if (i == len)
		return 0;
	bits = 8 * (len - i - 1);
	for (top = bytes[i]; top != 0; top >>= 1)
		bits++;
	return bits;
}

/* The kind of key by its kty, or JWK_ALG__MAX. */
static enum jwk_alg
find_alg(const json_t *key)
{
	int i;

	for (i = 0; i < JWK_ALG__MAX; i++) {
		if (is_member(key, "kty", algs[i].kty))
			break;
	}
	return (enum jwk_alg)i;
}

/* Is the key meant for something else?  (RFC 7517, 4.2 to 4.4) */
static const char *
judge_use(const json_t *key, enum jwk_alg alg)
{
	const json_t *ops, *op;
	size_t	      i;

	if (json_object_get(key, "alg") != NULL &&
	    !is_member(key, "alg", algs[alg].name))
		return alg == JWK_ES384 ? "its alg is not ES384" :
		    "its alg is not RS384";
	if (json_object_get(key, "use") != NULL &&
	    !is_member(key, "use", "sig"))
		return "its use is not sig";
	ops = json_object_get(key, "key_ops");
	if (ops == NULL)
		return NULL;
	json_array_foreach(ops, i, op) {
		if (json_is_string(op) &&
		    strcmp(json_string_value(op), "sign") == 0)
			return NULL;
	}
	return "its key_ops do not have sign";
}

static const char *
judge_kid(const json_t *key)
{
	const json_t *kid = json_object_get(key, "kid");

	if (kid == NULL || (json_is_string(kid) &&
	    json_string_length(kid) > 0 &&
	    json_string_length(kid) <= MAX_KID_BYTES))
		return NULL;
	return "its kid is no text of 1 to " TEXT_OF(MAX_KID_BYTES) " bytes";
}

/* Why the key cannot sign, or NULL and its kind. */
static const char *
judge_key(const json_t *key, enum jwk_alg *alg)
{
	const char *wrong;
	size_t	    i;

	*alg = find_alg(key);
	if (*alg == JWK_ALG__MAX)
		return "its kty is neither EC (for ES384) nor RSA (for RS384)";
	wrong = judge_use(key, *alg);
	if (wrong == NULL)
		wrong = judge_kid(key);
	if (wrong != NULL)
		return wrong;
	if (json_object_get(key, "d") == NULL)
		return "it is a public key; want the private one";
	for (i = 0; i < algs[*alg].need_members; i++) {
		if (member_text(key, algs[*alg].members[i]) == NULL)
			return "a part of it is missing or no text";
	}
	if (*alg == JWK_ES384 && !is_member(key, "crv", "P-384"))
		return "its curve is not P-384";
	if (*alg == JWK_RS384 && bits_of(json_object_get(key, "n")) <
	    MIN_RSA_BITS)
		return "RSA of less than " TEXT_OF(MIN_RSA_BITS) " bits";
	return NULL;
}

/* The key as text in guarded memory. */
static int
keep_text(struct jwk *key, const json_t *json, struct error *err)
{
	static const size_t flags = JSON_COMPACT;
	size_t		    len;

	len = json_dumpb(json, NULL, 0, flags);
	key->text = guarded_new(len + 2, err);
	if (key->text == NULL)
		return -1;
	(void)json_dumpb(json, key->text, len, flags);
	key->text[len] = '\n';
	key->text[len + 1] = '\0';
	(void)sodium_mprotect_readonly(key->text);
	return 0;
}

/* The thumbprint of RFC 7638, over SHA-256; the caller frees it. */
static char *
thumbprint(const json_t *json)
{
	jose_cfg_t *jose;
	json_t	   *text;
	char	   *copy;

	jose = jose_new();
	text = jose_jwk_thp(jose, json, "S256");
	jose_cfg_decref(jose);
	if (text == NULL)
		return NULL;
	copy = xstrdup(json_string_value(text));
	json_decref(text);
	return copy;
}

/* What signing takes of the key that judge_key() found good, and no more. */
static int
jwk_new(const json_t *json, enum jwk_alg alg, struct jwk **out,
    struct error *err)
{
	const char *const *member;
	struct jwk	  *key;
	json_t		  *copy;
	int		   rc = -1;

	key = xcalloc(1, sizeof(*key));
	key->alg = alg;
	key->kid = member_text(json, "kid") != NULL ?
	    xstrdup(member_text(json, "kid")) : thumbprint(json);
	if (key->kid == NULL) {
		jwk_free(key);
		return error_set(err, STATUS_USAGE, "no thumbprint can be made"
		    " of it; its parts are no base64url");
	}
	copy = json_pack("{s:s, s:s, s:s, s:s}", "kty", algs[alg].kty, "kid",
	    key->kid, "use", "sig", "alg", algs[alg].name);
	for (member = algs[alg].members; *member != NULL; member++) {
		if (json_object_get(json, *member) != NULL)
			(void)json_object_set(copy, *member,
			    json_object_get(json, *member));
	}
	if (keep_text(key, copy, err) == 0) {
		*out = key;
		key = NULL;
		rc = 0;
	}
	json_decref(copy);
	jwk_free(key);
	return rc;
}

/* The caller frees it. */
static json_t *
parse_own(const struct jwk *key)
{
	json_t *json;

	json = json_loads(key->text, 0, NULL);
	if (json == NULL)
		xalloc_end();
	return json;
}

/* The claims signed, as José has it (RFC 7515, 7.2.2), and checked. */
static json_t *
sign(const struct jwk *key, const json_t *claims)
{
	jose_cfg_t *jose;
	json_t	   *own, *header, *jws;
	bool	    is_signed;

	jose = jose_new();
	own = parse_own(key);
	header = json_pack("{s:{s:s, s:s, s:s}}", "protected", "alg",
	    algs[key->alg].name, "kid", key->kid, "typ", "JWT");
	jws = json_pack("{s:o}", "payload", jose_b64_enc_dump(claims));
	/* Also what a fault of the machine has spoilt is not to get out. */
	is_signed = jose_jws_sig(jose, jws, header, own) &&
	    jose_jws_ver(jose, jws, NULL, own, false);
	json_decref(own);
	json_decref(header);
	jose_cfg_decref(jose);
	if (!is_signed) {
		json_decref(jws);
		return NULL;
	}
	return jws;
}

int
jwk_sign(const struct jwk *key, const json_t *claims, char **out,
    struct error *err)
{
	json_t *jws;

	*out = NULL;
	jws = sign(key, claims);
	if (jws == NULL)
		return error_set(err, STATUS_USAGE, "the key (kid \"%s\", %s)"
		    " makes no sound signature; its parts do not belong"
		    " together", key->kid, algs[key->alg].name);
	*out = xasprintf("%s.%s.%s", member_text(jws, "protected"),
	    member_text(jws, "payload"), member_text(jws, "signature"));
	json_decref(jws);
	return 0;
}

/* A key that cannot sign is to be found before it is needed. */
static int
try_key(const struct jwk *key, struct error *err)
{
	json_t *claims;
	char   *text;
	int	rc;

	claims = json_object();
	rc = jwk_sign(key, claims, &text, err);
	json_decref(claims);
	free(text);
	return rc;
}

/* The first key of the set that can sign; the others' faults in *faults. */
static const json_t *
pick_key(const json_t *keys, enum jwk_alg *alg, struct buf *faults)
{
	const json_t *key;
	const char   *wrong;
	size_t	      i;

	json_array_foreach(keys, i, key) {
		wrong = judge_key(key, alg);
		if (wrong == NULL)
			return key;
		buf_print(faults, "%skey %zu: %s", i > 0 ? "; " : "", i + 1,
		    wrong);
	}
	return NULL;
}

/* The key of a JWK or a JWK Set. */
static int
pick(const json_t *json, const json_t **key, enum jwk_alg *alg,
    struct error *err)
{
	const json_t *keys = json_object_get(json, "keys");
	struct buf    faults = { 0 };
	const char   *wrong;

	if (!json_is_object(json))
		return error_set(err, STATUS_USAGE, "want a JWK or a JWK Set;"
		    " it is another kind of JSON");
	if (keys == NULL) {
		*key = json;
		wrong = judge_key(json, alg);
		return wrong == NULL ? 0 : error_set(err, STATUS_USAGE,
		    "want a key for ES384 or RS384: %s", wrong);
	}
	if (json_array_size(keys) == 0 ||
	    json_array_size(keys) > MAX_JWK_KEYS)
		return error_set(err, STATUS_USAGE, "want a JWK Set of 1 to %d"
		    " keys; it has %zu", MAX_JWK_KEYS, json_array_size(keys));
	*key = pick_key(keys, alg, &faults);
	if (*key == NULL)
		(void)error_set(err, STATUS_USAGE, "want a key for ES384 or"
		    " RS384 in the JWK Set: %.*s", (int)faults.len,
		    (const char *)faults.data);
	buf_clear(&faults);
	return *key == NULL ? -1 : 0;
}

/* The file's text, in guarded memory of MAX_JWK_BYTES. */
static int
parse(const char *text, size_t len, struct jwk **out, struct error *err)
{
	json_error_t  where;
	json_t	     *json;
	const json_t *picked;
	enum jwk_alg  alg;
	int	      rc;

	if (memmem(text, len, "-----BEGIN", strlen("-----BEGIN")) != NULL)
		return error_set(err, STATUS_USAGE, "want a JWK (JSON); it is"
		    " PEM (nompd-sync keygen makes a JWK)");
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	/* Its own words might be a part of the key. */
	if (json == NULL)
		return error_set(err, STATUS_USAGE, "want a JWK (JSON); line"
		    " %d, column %d is no JSON", where.line, where.column);
	rc = pick(json, &picked, &alg, err);
	if (rc == 0)
		rc = jwk_new(picked, alg, out, err);
	if (rc == 0 && member_text(picked, "kid") == NULL)
		log_warn("the private key has no kid; its thumbprint %s goes"
		    " for one, and has to be registered so", (*out)->kid);
	json_decref(json);
	return rc;
}

/* The file at path into the memory at text; how long it is, or -1. */
static ssize_t
read_text(const char *path, char *text, struct error *err)
{
	struct stat info;
	ssize_t	    len;
	int	    fd;

	fd = private_file_open(path, MAX_JWK_BYTES, STATUS_USAGE, &info, err);
	if (fd == -1)
		return -1;
	len = private_file_read(fd, text, MAX_JWK_BYTES + 1);
	if (len == -1)
		(void)error_set(err, STATUS_USAGE, "%s", strerror(errno));
	else if (len > MAX_JWK_BYTES)
		len = error_set(err, STATUS_USAGE, "larger than %d bytes",
		    MAX_JWK_BYTES);
	(void)close(fd);
	return len;
}

int
jwk_read(const char *path, struct jwk **out, struct error *err)
{
	struct jwk *key = NULL;
	char	   *text;
	ssize_t	    len = -1;
	int	    rc = -1;

	*out = NULL;
	text = guarded_new(MAX_JWK_BYTES + 1, err);
	if (text != NULL)
		len = read_text(path, text, err);
	if (len != -1)
		rc = parse(text, (size_t)len, &key, err);
	sodium_free(text);
	if (rc == 0)
		rc = try_key(key, err);
	if (rc == -1) {
		jwk_free(key);
		return error_prefix(err, "private key file %s", path);
	}
	*out = key;
	return 0;
}

int
jwk_make(enum jwk_alg alg, struct jwk **out, struct error *err)
{
	jose_cfg_t *jose;
	json_t	   *json;
	int	    rc = -1;

	*out = NULL;
	json = json_pack("{s:s, s:s}", "kty", algs[alg].kty, "alg",
	    algs[alg].name);
	if (algs[alg].bits > 0)
		(void)json_object_set_new(json, "bits",
		    json_integer(algs[alg].bits));
	jose = jose_new();
	if (jose_jwk_gen(jose, json))
		rc = jwk_new(json, alg, out, err);
	else
		(void)error_set(err, STATUS_USAGE, "cannot make a key for %s"
		    " on this machine", algs[alg].name);
	jose_cfg_decref(jose);
	json_decref(json);
	return rc;
}

int
jwk_public_set(const struct jwk *key, char **out, struct error *err)
{
	jose_cfg_t *jose;
	json_t	   *json;
	char	   *text = NULL;

	*out = NULL;
	jose = jose_new();
	json = parse_own(key);
	if (jose_jwk_pub(jose, json)) {
		(void)json_object_set_new(json, "key_ops",
		    json_pack("[s]", "verify"));
		json = json_pack("{s:[o]}", "keys", json);
		text = json_dumps(json, JSON_INDENT(2));
	}
	jose_cfg_decref(jose);
	json_decref(json);
	if (text == NULL)
		return error_set(err, STATUS_USAGE, "cannot make the public"
		    " half of the key");
	*out = xasprintf("%s\n", text);
	free(text);
	return 0;
}
