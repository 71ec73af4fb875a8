/* The keys of the seal: files, thumbprints, signatures. */
#include <sodium.h>

#include "jwklib.h"
#include "seal_key.h"

static struct error err;

/* RFC 8037, appendix A: a key, and its thumbprint (A.3). */
#define RFC_X	  "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define RFC_D	  "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
#define RFC_PRINT "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
#define OKP	  "\"kty\":\"OKP\",\"crv\":\"Ed25519\""
#define PUBLIC	  "{" OKP ",\"x\":\"" RFC_X "\"}"
#define PRIVATE	  "{" OKP ",\"x\":\"" RFC_X "\",\"d\":\"" RFC_D "\"}"
#define EC_KEY	  "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"\",\"y\":\"\"}"

/* What that key signs of a digest, by OpenSSL: printf 'nompd-sync seal\n%s\n'
 * DIGEST, then openssl pkeyutl -sign -rawin. */
static const char rfc_digest[HASH_TEXT_BYTES] =
    "761cdd32675777116f319aae556bcddd1b959a17eb4729f8db421b1e777d0b13";
#define RFC_SIGNATURE \
	"3693fd24d8421855b1c3809f6278c06bc9a6c21bf0ec465b499b2fd915cff521" \
	"4c9e181651f7321f44f2ef2fa58439e908fbd656e9254b56b6fcc3d50ccd300b"

static void
set_up(void)
{
	folder_make();
	umask(0177);
	ck_assert_int_ne(sodium_init(), -1);
}

static void
tear_down(void)
{
	(void)unlink(in_folder("key"));
	ck_assert_int_eq(rmdir(folder), 0);
}

static struct seal_key *
read_key(const char *text)
{
	struct seal_key *key;

	file_put(in_folder("key"), text, 0600);
	ck_assert_msg(seal_key_read(in_folder("key"), &key, &err) == 0, "%s",
	    err.text);
	return key;
}

static struct seal_keys *
read_keys(const char *text, mode_t mode)
{
	struct seal_keys *keys;

	file_put(in_folder("key"), text, mode);
	ck_assert_msg(seal_keys_read(in_folder("key"), &keys, &err) == 0,
	    "%s", err.text);
	return keys;
}

START_TEST(rfc_vector)
{
	struct seal_key	 *key = read_key(PRIVATE);
	struct seal_keys *keys;
	uint8_t		  signature[SEAL_SIGNATURE_BYTES];
	char		  text[2 * SEAL_SIGNATURE_BYTES + 1];

	ck_assert_str_eq(seal_key_id(key), RFC_PRINT);
	seal_key_sign(key, rfc_digest, signature);
	sodium_bin2hex(text, sizeof(text), signature, sizeof(signature));
	ck_assert_str_eq(text, RFC_SIGNATURE);
	seal_key_free(key);

	keys = read_keys(PUBLIC, 0644);
	ck_assert_int_eq(seal_keys_check(keys, RFC_PRINT, rfc_digest,
	    signature), 1);
	ck_assert_int_eq(seal_keys_check(keys, "other", rfc_digest,
	    signature), -1);
	signature[7] ^= 1;
	ck_assert_int_eq(seal_keys_check(keys, RFC_PRINT, rfc_digest,
	    signature), 0);
	seal_keys_free(keys);
}
END_TEST

/* Its text is read again, and its public half checks what it signs. */
START_TEST(made)
{
	struct seal_key	 *key, *again;
	struct seal_keys *keys;
	uint8_t		  one[SEAL_SIGNATURE_BYTES];
	uint8_t		  other[SEAL_SIGNATURE_BYTES];
	char		 *text, *set;

	ck_assert_int_eq(seal_key_make(&key, &err), 0);
	ck_assert_int_eq(seal_key_private_text(key, &text, &err), 0);
	again = read_key(text);
	ck_assert_str_eq(seal_key_id(again), seal_key_id(key));
	seal_key_sign(key, rfc_digest, one);
	seal_key_sign(again, rfc_digest, other);
	ck_assert_mem_eq(one, other, sizeof(one));
	set = seal_key_public_set(key);
	ck_assert_ptr_null(strstr(set, "\"d\""));
	keys = read_keys(set, 0644);
	ck_assert_int_eq(seal_keys_check(keys, seal_key_id(key), rfc_digest,
	    one), 1);
	seal_keys_free(keys);
	free(set);
	sodium_free(text);
	seal_key_free(again);
	seal_key_free(key);
	/* No two are the same. */
	ck_assert_int_eq(seal_key_make(&key, &err), 0);
	ck_assert_int_eq(seal_key_make(&again, &err), 0);
	ck_assert_str_ne(seal_key_id(again), seal_key_id(key));
	seal_key_free(again);
	seal_key_free(key);
}
END_TEST

/* Of a set all Ed25519 keys check, and the first private one signs. */
START_TEST(set)
{
	struct seal_key	 *key;
	struct seal_keys *keys;
	uint8_t		  signature[SEAL_SIGNATURE_BYTES];

	key = read_key("{\"keys\":[" EC_KEY "," PUBLIC ","
	    "{" OKP ",\"kid\":\"new\",\"x\":\"" RFC_X "\",\"d\":\"" RFC_D
	    "\"}]}");
	ck_assert_str_eq(seal_key_id(key), "new");
	seal_key_sign(key, rfc_digest, signature);
	seal_key_free(key);
	keys = read_keys("{\"keys\":[" EC_KEY "," PUBLIC ","
	    "{" OKP ",\"kid\":\"new\",\"x\":\"" RFC_X "\"}]}", 0644);
	ck_assert_int_eq(seal_keys_check(keys, "new", rfc_digest, signature),
	    1);
	ck_assert_int_eq(seal_keys_check(keys, RFC_PRINT, rfc_digest,
	    signature), 1);
	seal_keys_free(keys);
}
END_TEST

#define D ",\"d\":\"" RFC_D "\""
#define X ",\"x\":\"" RFC_X "\""

static const struct {
	const char *text;
	mode_t	    mode;
	bool	    is_any; /* wrong for checking as well */
	const char *words;
} bad[] = {
	{ PRIVATE, 0644, true, "open to others (mode 0644)" },
	{ PRIVATE, 0660, true, "open to others (mode 0660)" },
	{ PUBLIC, 0600, false, "it is a public key; want the private one" },
	{ EC_KEY, 0600, true, "Ed25519 key: it is an EC key" },
	{ "{\"kty\":\"RSA\"}", 0600, true, "it is an RSA key" },
	{ "{}", 0600, true, "its kty is not OKP" },
	{ "{\"kty\":\"OKP\",\"crv\":\"X25519\"" X D "}", 0600, true,
	  "its crv is not Ed25519" },
	{ "{" OKP D "}", 0600, true, "its x is no base64url of 32 bytes" },
	{ "{" OKP ",\"x\":\"AA\"" D "}", 0600, true, "its x is no base64url" },
	{ "{" OKP X ",\"d\":\"AA\"}", 0600, false, "its d is no base64url" },
	{ "{" OKP ",\"x\":\"" RFC_D "\"" D "}", 0600, false,
	  "its parts do not belong together" },
	{ "{" OKP X D ",\"alg\":\"ES384\"}", 0600, true,
	  "its alg is neither EdDSA nor Ed25519" },
	{ "{" OKP X D ",\"use\":\"enc\"}", 0600, true, "its use is not sig" },
	{ "{" OKP X D ",\"kid\":7}", 0600, true, "its kid is no text of 1" },
	{ "{" OKP X D ",\"kid\":\"\"}", 0600, true, "its kid is no text" },
	{ "{\"keys\":[]}", 0600, true, "1 to 100 keys; it has 0" },
	{ "{\"keys\":7}", 0600, true, "1 to 100 keys; it has 0" },
	{ "{\"keys\":[" EC_KEY ",{}]}", 0600, true,
	  "key 1: it is an EC key; key 2: its kty is not OKP" },
	{ "[]", 0600, true, "it is another kind of JSON" },
	{ "{\"kty\":", 0600, true, "line 1, column" },
	{ "-----BEGIN PRIVATE KEY-----\n", 0600, true, "it is PEM" },
};

START_TEST(bad_file)
{
	struct seal_keys *keys;
	struct seal_key	 *key;
	int		  rc;

	file_put(in_folder("key"), bad[_i].text, bad[_i].mode);
	ck_assert_int_eq(seal_key_read(in_folder("key"), &key, &err), -1);
	ck_assert_ptr_null(key);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_msg(strstr(err.text, bad[_i].words) != NULL, "%s",
	    err.text);
	ck_assert_ptr_nonnull(strstr(err.text, in_folder("key")));
	ck_assert_ptr_null(strstr(err.text, RFC_D));
	rc = seal_keys_read(in_folder("key"), &keys, &err);
	ck_assert_int_eq(rc, bad[_i].is_any ? -1 : 0);
	if (rc == 0)
		seal_keys_free(keys);
	else
		ck_assert_msg(strstr(err.text, bad[_i].words) != NULL, "%s",
		    err.text);
}
END_TEST

START_TEST(no_file)
{
	struct seal_keys *keys;
	struct seal_key	 *key;

	ck_assert_int_eq(seal_key_read(in_folder("key"), &key, &err), -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_ptr_nonnull(strstr(err.text, "No such file"));
	ck_assert_int_eq(seal_keys_read(folder, &keys, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "Is a directory"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("seal_key");
	TCase *tests = tcase_create("seal_key");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, rfc_vector);
	tcase_add_test(tests, made);
	tcase_add_test(tests, set);
	tcase_add_loop_test(tests, bad_file, 0, LENGTH_OF(bad));
	tcase_add_test(tests, no_file);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
