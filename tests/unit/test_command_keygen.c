#include "command_keygen.h"
#include "jwklib.h"
#include "log.h"
#include "seal_key.h"

static struct error   err;
static struct options opts;

static void
set_up(void)
{
	folder_make();
	/* The mode is what we say, whoever starts us. */
	umask(0177);
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
	opts = (struct options){ .bulk = { .alg = "ES384",
	    .private_key_file = in_folder("key"),
	    .public_jwks_file = in_folder("jwks") } };
}

static void
tear_down(void)
{
	(void)unlink(in_folder("key"));
	(void)unlink(in_folder("jwks"));
	ck_assert_int_eq(rmdir(folder), 0);
}

START_TEST(pair)
{
	struct jwk *key;
	json_t	   *claims = json_object();
	char	   *set, *jwt;

	ck_assert_int_eq(command_keygen(&opts, &err), 0);
	ck_assert_uint_eq(file_mode(in_folder("key")), 0600);
	ck_assert_uint_eq(file_mode(in_folder("jwks")), 0644);
	ck_assert_int_eq(jwk_read(in_folder("key"), &key, &err), 0);
	set = file_text(in_folder("jwks"));
	ck_assert_int_eq(jwk_sign(key, claims, &jwt, &err), 0);
	ck_assert(jwt_is_by(jwt, set));
	ck_assert_ptr_null(strstr(set, "\"d\""));
	json_decref(claims);
	jwk_free(key);
	free(set);
	free(jwt);
}
END_TEST

/* One that signs the history: its public half checks what it signs. */
START_TEST(seal_pair)
{
	static const char digest[HASH_TEXT_BYTES] =
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct seal_key	 *key;
	struct seal_keys *keys;
	uint8_t		  signature[SEAL_SIGNATURE_BYTES];
	char		 *set;

	opts.bulk.alg = "Ed25519";
	ck_assert_int_eq(command_keygen(&opts, &err), 0);
	ck_assert_uint_eq(file_mode(in_folder("key")), 0600);
	ck_assert_uint_eq(file_mode(in_folder("jwks")), 0644);
	ck_assert_int_eq(seal_key_read(in_folder("key"), &key, &err), 0);
	ck_assert_int_eq(seal_keys_read(in_folder("jwks"), &keys, &err), 0);
	seal_key_sign(key, digest, signature);
	ck_assert_int_eq(seal_keys_check(keys, seal_key_id(key), digest,
	    signature), 1);
	set = file_text(in_folder("jwks"));
	ck_assert_ptr_null(strstr(set, "\"d\""));
	free(set);
	seal_keys_free(keys);
	seal_key_free(key);
	/* Nor is it overwritten. */
	ck_assert_int_eq(command_keygen(&opts, &err), -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
}
END_TEST

static const char *const names[] = { "key", "jwks" };

START_TEST(nothing_is_overwritten)
{
	const char *there = in_folder(names[_i]);
	char	   *text;

	file_put(there, "mine", 0600);
	ck_assert_int_eq(command_keygen(&opts, &err), -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_ptr_nonnull(strstr(err.text, there));
	ck_assert_ptr_nonnull(strstr(err.text, "none is overwritten"));
	text = file_text(there);
	ck_assert_str_eq(text, "mine");
	free(text);
	/* Nor is there half a pair. */
	ck_assert_int_eq(access(in_folder(names[!_i]), F_OK), -1);
}
END_TEST

/* Not even what a link leads to, be it there or not. */
START_TEST(link_is_not_followed)
{
	ck_assert_int_eq(symlink("elsewhere", in_folder(names[_i])), 0);
	ck_assert_int_eq(command_keygen(&opts, &err), -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_int_eq(access(in_folder("elsewhere"), F_OK), -1);
	ck_assert_int_eq(access(in_folder(names[!_i]), F_OK), -1);
}
END_TEST

START_TEST(no_such_folder)
{
	opts.bulk.public_jwks_file = in_folder("no/jwks");
	ck_assert_int_eq(command_keygen(&opts, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "no/jwks: cannot make it: No"
	    " such file or directory"));
	ck_assert_int_eq(access(in_folder("key"), F_OK), -1);
}
END_TEST

/* Without a name the private key goes to the working folder. */
START_TEST(default_name)
{
	opts.bulk.private_key_file = NULL;
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_int_eq(command_keygen(&opts, &err), 0);
	ck_assert_uint_eq(file_mode("nompd-key.json"), 0600);
	ck_assert_int_eq(unlink("nompd-key.json"), 0);
	(void)unlink(in_folder("jwks"));
	opts.bulk.alg = "Ed25519";
	ck_assert_int_eq(command_keygen(&opts, &err), 0);
	ck_assert_uint_eq(file_mode("nompd-seal-key.json"), 0600);
	ck_assert_int_eq(unlink("nompd-seal-key.json"), 0);
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("command_keygen");
	TCase *tests = tcase_create("command_keygen");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, pair);
	tcase_add_test(tests, seal_pair);
	tcase_add_loop_test(tests, nothing_is_overwritten, 0, 2);
	tcase_add_loop_test(tests, link_is_not_followed, 0, 2);
	tcase_add_test(tests, no_such_folder);
	tcase_add_test(tests, default_name);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
