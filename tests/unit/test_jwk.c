#include <sodium.h>

#include "jwklib.h"
#include "log.h"

/* RFC 7515, A.2: a public key, and RFC 7638, 3.1 with its thumbprint. */
#define N_RFC7638 \
	"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1" \
	"RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5" \
	"n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8K" \
	"JZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQF" \
	"h6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz" \
	"KnqDKgw"

static struct jwk  *key;
static struct error err;
static char	   *set;
/* Such a key takes its time: one for all tests. */
static char	   *rsa_text;

static void
set_up(void)
{
	folder_make();
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
	key = NULL;
	set = NULL;
	err = (struct error){ .status = STATUS_OK };
}

static void
tear_down(void)
{
	jwk_free(key);
	free(set);
	(void)unlink(in_folder("k"));
	ck_assert_int_eq(rmdir(folder), 0);
}

/* A key, in the file "k", and what the world knows of it in set. */
static void
make(enum jwk_alg alg)
{
	if (alg == JWK_RS384) {
		file_put(in_folder("k"), rsa_text, 0600);
		ck_assert_int_eq(jwk_read(in_folder("k"), &key, &err), 0);
	} else {
		ck_assert_int_eq(jwk_make(alg, &key, &err), 0);
		file_put(in_folder("k"), jwk_private_text(key), 0600);
	}
	ck_assert_int_eq(jwk_public_set(key, &set, &err), 0);
}

static void
read_again(void)
{
	jwk_free(key);
	if (jwk_read(in_folder("k"), &key, &err) == -1)
		ck_abort_msg("%s", err.text);
}

/* The private key as JSON, to be spoilt; the caller gives it to put_json(). */
static json_t *
private_json(void)
{
	json_t *json = json_loads(jwk_private_text(key), 0, NULL);

	ck_assert_ptr_nonnull(json);
	return json;
}

static void
put_json(json_t *json)
{
	char *text = json_dumps(json, 0);

	file_put(in_folder("k"), text, 0600);
	free(text);
	json_decref(json);
}

static void
refuses(const char *why)
{
	struct jwk *other = key;

	ck_assert_int_eq(jwk_read(in_folder("k"), &other, &err), -1);
	ck_assert_ptr_null(other);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	if (strstr(err.text, why) == NULL)
		ck_abort_msg("%s\nwanted: %s", err.text, why);
	ck_assert_ptr_nonnull(strstr(err.text, in_folder("k")));
}

START_TEST(signs)
{
	static const size_t raw_bytes[] = { 96, MIN_RSA_BITS / 8 };
	uint8_t		    raw[1024];
	const char	   *signature;
	json_t		   *claims, *header, *wanted, *back;
	char		   *jwt;

	make((enum jwk_alg)_i);
	read_again();
	ck_assert_int_eq(jwk_alg(key), _i);
	claims = json_pack("{s:s, s:i}", "iss", "me", "exp", 7);
	ck_assert_int_eq(jwk_sign(key, claims, &jwt, &err), 0);
	ck_assert(jwt_is_by(jwt, set));
	header = jwt_part(jwt, 0);
	wanted = json_pack("{s:s, s:s, s:s}", "alg", jwk_alg_name(_i), "kid",
	    jwk_kid(key), "typ", "JWT");
	ck_assert(json_equal(header, wanted));
	back = jwt_part(jwt, 1);
	ck_assert(json_equal(back, claims));
	/* R and S side by side, not DER (RFC 7518, 3.4). */
	signature = strrchr(jwt, '.') + 1;
	ck_assert_uint_eq(jose_b64_dec_buf(signature, strlen(signature), raw,
	    sizeof(raw)), raw_bytes[_i]);
	/* Another text has another signature. */
	jwt[strcspn(jwt, ".") + 3] ^= 1;
	ck_assert(!jwt_is_by(jwt, set));
	json_decref(claims);
	json_decref(header);
	json_decref(wanted);
	json_decref(back);
	free(jwt);
}
END_TEST

/* What is handed out has nothing of the private half. */
START_TEST(public_set)
{
	static const char *const secret[] = { "d", "p", "q", "dp", "dq",
		"qi" };
	json_t	   *json, *keys, *only, *ops;
	const char *kid;
	size_t	    i;

	make((enum jwk_alg)_i);
	json = json_loads(set, 0, NULL);
	keys = json_object_get(json, "keys");
	ck_assert_uint_eq(json_array_size(keys), 1);
	only = json_array_get(keys, 0);
	for (i = 0; i < LENGTH_OF(secret); i++)
		ck_assert_ptr_null(json_object_get(only, secret[i]));
	kid = json_string_value(json_object_get(only, "kid"));
	ck_assert_str_eq(kid, jwk_kid(key));
	ck_assert_str_eq(json_string_value(json_object_get(only, "use")),
	    "sig");
	ck_assert_str_eq(json_string_value(json_object_get(only, "alg")),
	    jwk_alg_name(_i));
	ops = json_pack("[s]", "verify");
	ck_assert(json_equal(json_object_get(only, "key_ops"), ops));
	json_decref(ops);
	json_decref(json);
}
END_TEST

START_TEST(kid_is_thumbprint)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	char	base64[64], *text, made[64];
	json_t *json;

	/* José's thumbprint is that of RFC 7638, 3.1. */
	json = json_pack("{s:s, s:s, s:s}", "kty", "RSA", "e", "AQAB", "n",
	    N_RFC7638);
	ck_assert_uint_eq(jose_jwk_thp_buf(NULL, json, "S256", hash,
	    sizeof(hash)), sizeof(hash));
	(void)sodium_bin2base64(base64, sizeof(base64), hash, sizeof(hash),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	ck_assert_str_eq(base64, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
	json_decref(json);
	/* Ours, made by hand: members in order, no blanks. */
	make(JWK_ES384);
	json = private_json();
	text = xasprintf("{\"crv\":\"P-384\",\"kty\":\"EC\",\"x\":\"%s\","
	    "\"y\":\"%s\"}", json_string_value(json_object_get(json, "x")),
	    json_string_value(json_object_get(json, "y")));
	crypto_hash_sha256(hash, (uint8_t *)text, strlen(text));
	free(text);
	(void)sodium_bin2base64(base64, sizeof(base64), hash, sizeof(hash),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	ck_assert_str_eq(jwk_kid(key), base64);
	/* One without gets the same. */
	(void)snprintf(made, sizeof(made), "%s", base64);
	json_object_del(json, "kid");
	put_json(json);
	read_again();
	ck_assert_str_eq(jwk_kid(key), made);
}
END_TEST

START_TEST(own_kid_is_kept)
{
	json_t *json;

	make(JWK_ES384);
	json = private_json();
	json_object_set_new(json, "kid", json_string("my key 1"));
	put_json(json);
	read_again();
	ck_assert_str_eq(jwk_kid(key), "my key 1");
}
END_TEST

/* A key with a member that is spoilt or (NULL) taken away. */
static const struct {
	enum jwk_alg alg;
	const char  *member;
	const char  *json;
	const char  *why;
} spoilt[] = {
	{ JWK_ES384, "d", NULL, "it is a public key" },
	{ JWK_RS384, "d", NULL, "it is a public key" },
	{ JWK_ES384, "d", "[7]", "a part of it is missing or no text" },
	{ JWK_ES384, "y", NULL, "a part of it is missing" },
	{ JWK_RS384, "e", NULL, "a part of it is missing" },
	{ JWK_ES384, "crv", "['P-256']", "its curve is not P-384" },
	{ JWK_ES384, "kty", "['oct']", "its kty is neither EC" },
	{ JWK_ES384, "kty", NULL, "its kty is neither EC" },
	{ JWK_ES384, "alg", "['ES256']", "its alg is not ES384" },
	{ JWK_RS384, "alg", "['RS256']", "its alg is not RS384" },
	{ JWK_RS384, "alg", "['PS384']", "its alg is not RS384" },
	{ JWK_RS384, "alg", "[384]", "its alg is not RS384" },
	{ JWK_ES384, "use", "['enc']", "its use is not sig" },
	{ JWK_ES384, "key_ops", "[['verify', 1]]", "do not have sign" },
	{ JWK_ES384, "key_ops", "['sign']", "do not have sign" },
	{ JWK_ES384, "kid", "[1]", "its kid is no text" },
	{ JWK_ES384, "kid", "['']", "its kid is no text" },
	{ JWK_RS384, "n", "['AQAB']", "less than 2048 bits" },
	{ JWK_RS384, "n", "['!']", "less than 2048 bits" },
	{ JWK_ES384, "d", "['AAAA']", "do not belong together" },
	{ JWK_ES384, "x", "['AAAA']", "do not belong together" },
	{ JWK_ES384, "d", "['!']", "do not belong together" },
	{ JWK_RS384, "n", "['" N_RFC7638 "']", "do not belong together" },
};

START_TEST(spoilt_is_refused)
{
	json_t *json, *value;
	char   *text;

	make(spoilt[_i].alg);
	json = private_json();
	json_object_del(json, spoilt[_i].member);
	if (spoilt[_i].json != NULL) {
		text = test_quotes(spoilt[_i].json);
		value = json_loads(text, 0, NULL);
		ck_assert_ptr_nonnull(value);
		json_object_set(json, spoilt[_i].member,
		    json_array_get(value, 0));
		json_decref(value);
		free(text);
	}
	put_json(json);
	refuses(spoilt[_i].why);
}
END_TEST

/* So many bytes of the modulus, the first one with that mask. */
static const struct {
	size_t	len;
	uint8_t mask;
} short_rsa[] = { { 128, 0xff }, { 255, 0xff }, { 256, 0x7f } };

START_TEST(short_rsa_is_refused)
{
	uint8_t n[MIN_RSA_BITS / 8 + 1] = { 0 };
	json_t *json;
	size_t	i = (size_t)_i;

	make(JWK_RS384);
	json = private_json();
	ck_assert_uint_eq(jose_b64_dec(json_object_get(json, "n"), n + 1,
	    sizeof(n) - 1), sizeof(n) - 1);
	n[1] &= short_rsa[i].mask;
	/* A zero in front makes it no longer. */
	json_object_set_new(json, "n", jose_b64_enc(n, short_rsa[i].len + 1));
	put_json(json);
	refuses("less than 2048 bits");
}
END_TEST

START_TEST(new_rsa)
{
	json_t *json;

	ck_assert_int_eq(jwk_make(JWK_RS384, &key, &err), 0);
	file_put(in_folder("k"), jwk_private_text(key), 0600);
	read_again();
	json = private_json();
	ck_assert_uint_eq(jose_b64_dec(json_object_get(json, "n"), NULL, 0),
	    NEW_RSA_BITS / 8);
	json_decref(json);
}
END_TEST

/* Without alg, use and key_ops the kind of the key says it all. */
START_TEST(bare_key_signs)
{
	json_t *json;

	make((enum jwk_alg)_i);
	json = private_json();
	json_object_del(json, "alg");
	json_object_del(json, "use");
	json_object_set_new(json, "key_ops", json_pack("[s]", "sign"));
	json_object_set_new(json, "x5c", json_pack("[s]", "whatever"));
	put_json(json);
	read_again();
	ck_assert_int_eq(jwk_alg(key), _i);
	ck_assert_ptr_null(strstr(jwk_private_text(key), "x5c"));
}
END_TEST

START_TEST(first_usable_of_set)
{
	json_t *mine, *public, *keys;

	make(JWK_ES384);
	mine = private_json();
	public = json_copy(mine);
	json_object_del(public, "d");
	json_object_set_new(mine, "kid", json_string("mine"));
	keys = json_pack("{s:[{s:s}, O, o]}", "keys", "kty", "oct", public,
	    mine);
	put_json(keys);
	read_again();
	ck_assert_str_eq(jwk_kid(key), "mine");
	keys = json_pack("{s:[{s:s}, o]}", "keys", "kty", "oct", public);
	put_json(keys);
	refuses("key 1: its kty is neither EC (for ES384) nor RSA (for RS384);"
	    " key 2: it is a public key; want the private one");
}
END_TEST

static const struct {
	const char *text;
	const char *why;
} texts[] = {
	{ "", "line 1, column 0 is no JSON" },
	{ "{'kty':\n'EC', s3cret}", "line 2, column 7 is no JSON" },
	{ "{'kty':'EC'} {}", "is no JSON" },
	{ "{'kty':'EC','kty':'EC'}", "is no JSON" },
	{ "[{'kty':'EC'}]", "another kind of JSON" },
	{ "{'keys':[]}", "1 to 100 keys; it has 0" },
	{ "{'keys':{}}", "1 to 100 keys; it has 0" },
	{ "{'keys':[7]}", "key 1: its kty is neither" },
	{ "-----BEGIN PRIVATE KEY-----\nTUlJ\n", "it is PEM" },
};

START_TEST(text_is_refused)
{
	char *text = test_quotes(texts[_i].text);

	file_put(in_folder("k"), text, 0600);
	free(text);
	refuses(texts[_i].why);
	ck_assert_ptr_null(strstr(err.text, "s3cret"));
}
END_TEST

START_TEST(too_many_or_too_large)
{
	struct buf text = { 0 };
	int	   i;

	buf_print(&text, "{\"keys\":[1");
	for (i = 0; i < MAX_JWK_KEYS; i++)
		buf_print(&text, ",1");
	buf_print(&text, "]}");
	buf_append_byte(&text, 0);
	file_put(in_folder("k"), (char *)text.data, 0600);
	refuses("it has 101");
	buf_clear(&text);
	for (i = 0; i <= MAX_JWK_BYTES; i++)
		buf_append_byte(&text, ' ');
	buf_append_byte(&text, 0);
	file_put(in_folder("k"), (char *)text.data, 0600);
	refuses("larger than 65536 bytes");
	buf_clear(&text);
}
END_TEST

static const struct {
	mode_t	    mode;
	const char *why; /* NULL: it is taken */
} modes[] = {
	{ 0600, NULL }, { 0400, NULL }, { 0640, NULL }, { 0440, NULL },
	{ 0644, "open to others (mode 0644); chmod 600 it" },
	{ 0604, "open to others" }, { 0660, "open to others" },
	{ 0620, "open to others" }, { 0602, "open to others" },
	{ 0601, "open to others" },
};

START_TEST(mode_counts)
{
	make(JWK_ES384);
	ck_assert_int_eq(chmod(in_folder("k"), modes[_i].mode), 0);
	if (modes[_i].why != NULL)
		refuses(modes[_i].why);
	else
		read_again();
}
END_TEST

START_TEST(no_file)
{
	refuses("No such file or directory");
	ck_assert_int_eq(mkfifo(in_folder("k"), 0600), 0);
	refuses("not a file");
}
END_TEST

int
main(void)
{
	Suite  *suite = suite_create("jwk");
	TCase  *tests = tcase_create("jwk");
	json_t *rsa;
	int	rc;

	rsa = json_pack("{s:s, s:i}", "kty", "RSA", "bits", MIN_RSA_BITS);
	if (!jose_jwk_gen(NULL, rsa))
		return EXIT_FAILURE;
	rsa_text = json_dumps(rsa, 0);
	json_decref(rsa);
	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_loop_test(tests, signs, 0, JWK_ALG__MAX);
	tcase_add_loop_test(tests, public_set, 0, JWK_ALG__MAX);
	tcase_add_test(tests, kid_is_thumbprint);
	tcase_add_test(tests, own_kid_is_kept);
	tcase_add_loop_test(tests, spoilt_is_refused, 0, LENGTH_OF(spoilt));
	tcase_add_loop_test(tests, short_rsa_is_refused, 0,
	    LENGTH_OF(short_rsa));
	tcase_add_test(tests, new_rsa);
	tcase_add_loop_test(tests, bare_key_signs, 0, JWK_ALG__MAX);
	tcase_add_test(tests, first_usable_of_set);
	tcase_add_loop_test(tests, text_is_refused, 0, LENGTH_OF(texts));
	tcase_add_test(tests, too_many_or_too_large);
	tcase_add_loop_test(tests, mode_counts, 0, LENGTH_OF(modes));
	tcase_add_test(tests, no_file);
	suite_add_tcase(suite, tests);
	rc = test_run(suite);
	free(rsa_text);
	return rc;
}
