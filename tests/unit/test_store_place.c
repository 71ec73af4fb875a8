/* Where a store is, and what of it is secret. */
#include "secret.h"
#include "store_place.h"
#include "testlib.h"

static const struct {
	const char *uri;
	const char *shown;    /* NULL: refused */
	const char *password; /* NULL: none */
	bool	    wants;
} places[] = {
	{ "sqlite:/a:b/c@d.db", "sqlite:/a:b/c@d.db", NULL, false },
	{ "sqlite:", NULL, NULL, false },
	{ "sqlite", NULL, NULL, false },
	{ "mysql:x", NULL, NULL, false },
	{ "MongoDB://h/d", NULL, NULL, false },
	{ "mongodb://h", "mongodb://h", NULL, false },
	{ "mongodb://h:27017,i:27018/d?replicaSet=r",
	    "mongodb://h:27017,i:27018/d?replicaSet=r", NULL, false },
	{ "mongodb+srv://h/d", "mongodb+srv://h/d", NULL, false },
	{ "mongodb://u@h/d", "mongodb://u@h/d", NULL, true },
	{ "mongodb://u:p@h/d", "mongodb://u@h/d", "p", false },
	{ "mongodb+srv://u:p:q@h:1/d?x=y", "mongodb+srv://u@h:1/d?x=y",
	    "p:q", false },
	{ "mongodb://u%40v:%c3%85%2F%25@h/d", "mongodb://u%40v@h/d",
	    "\xc3\x85/%", false },
	{ "mongodb://h/d?tls=true&tlsCAFile=/etc/a@b.pem",
	    "mongodb://h/d?tls=true&tlsCAFile=/etc/a@b.pem", NULL, false },
	{ "mongodb://u:p@h/d?tlsCAFile=/etc/a@b.pem",
	    "mongodb://u@h/d?tlsCAFile=/etc/a@b.pem", "p", false },
	{ "mongodb://u:1?q@h", NULL, NULL, false },
	{ "mongodb://u:1/q@h", NULL, NULL, false },
	{ "mongodb://u:@h/d", NULL, NULL, false },
	{ "mongodb://:p@h/d", NULL, NULL, false },
	{ "mongodb://@h/d", NULL, NULL, false },
	{ "mongodb://u:p@q@h/d", NULL, NULL, false },
	{ "mongodb://u:p/q@h/d", NULL, NULL, false },
	{ "mongodb://u:p?q@h/d", NULL, NULL, false },
	{ "mongodb://u:%4@h/d", NULL, NULL, false },
	{ "mongodb://u:%zz@h/d", NULL, NULL, false },
	{ "mongodb://u:%0a@h/d", NULL, NULL, false },
	{ "mongodb://u:p%00q@h/d", NULL, NULL, false },
};

START_TEST(set)
{
	struct store_place place = { NULL, NULL };
	const char	  *rule;

	ck_assert_ptr_null(store_place_set(&place, "mongodb://w:old@h/d"));
	rule = store_place_set(&place, places[_i].uri);
	if (places[_i].shown == NULL) {
		ck_assert_ptr_nonnull(rule);
		ck_assert_int_eq(strncmp(rule, "want ", 5), 0);
		/* It is as it was. */
		ck_assert_str_eq(place.uri, "mongodb://w@h/d");
		ck_assert_str_eq(secret_text(place.password), "old");
	} else {
		ck_assert_ptr_null(rule);
		ck_assert_str_eq(place.uri, places[_i].shown);
		ck_assert_int_eq(store_place_wants_password(&place),
		    places[_i].wants);
		if (places[_i].password == NULL)
			ck_assert_ptr_null(place.password);
		else
			ck_assert_str_eq(secret_text(place.password),
			    places[_i].password);
	}
	store_place_clear(&place);
	ck_assert_ptr_null(place.uri);
}
END_TEST

static const struct {
	const char *text;
	const char *blanked;
} texts[] = {
	{ "--store=mongodb://u:pass@h/d", "--store=mongodb://u:****@h/d" },
	{ "mongodb+srv://u:p@h/d", "mongodb+srv://u:*@h/d" },
	{ "mongodb://u:p@ss/w?rd@h/d", "mongodb://u:*********@h/d" },
	{ "mongodb://h/d?tlsCertificateKeyFilePassword=abc&tls=true",
	    "mongodb://h/d?tlsCertificateKeyFilePassword=***&tls=true" },
	{ "mongodb://u:p@h/d?sslclientcertificatekeypassword=ab",
	    "mongodb://u:*@h/d?sslclientcertificatekeypassword=**" },
	{ "mongodb://h/d?authMechanismProperties=AWS_SESSION_TOKEN:abc&x=y",
	    "mongodb://h/d?authMechanismProperties=*********************&x=y"
	    },
	{ "mongodb://u@h/d", "mongodb://u@h/d" },
	{ "mongodb://h:1/d", "mongodb://h:1/d" },
	{ "--upstream=https://u:p@h/", "--upstream=https://u:p@h/" },
	{ "password=x", "password=x" },
	{ "", "" },
};

START_TEST(blank)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "%s", texts[_i].text);
	store_place_blank(text);
	ck_assert_str_eq(text, texts[_i].blanked);
}
END_TEST

static const struct {
	const char *uri;
	const char *name;
} names[] = {
	{ "sqlite:nompd.db", "nompd.db" },
	{ "sqlite:/a/b?c@d:e.db", "/a/b?c@d:e.db" },
	{ "mongodb://h/d", "mongodb://h/d" },
	{ "mongodb://u:p@h:1,i:2/d?tls=true", "mongodb://h:1,i:2/d" },
	{ "mongodb://u@h", "mongodb://h" },
	{ "mongodb://h/?authSource=a@b", "mongodb://h/" },
	{ "mongodb+srv://u:p@h/d?tlsCertificateKeyFilePassword=abc",
	    "mongodb+srv://h/d" },
};

START_TEST(name)
{
	struct store_place place = { NULL, NULL };
	char		  *found;

	ck_assert_ptr_null(store_place_set(&place, names[_i].uri));
	found = store_place_name(&place);
	ck_assert_str_eq(found, names[_i].name);
	free(found);
	store_place_clear(&place);
}
END_TEST

START_TEST(longest)
{
	struct store_place place = { NULL, NULL };
	char		   uri[MAX_STORE_URI_BYTES + 2];

	memset(uri, 'a', sizeof(uri));
	memcpy(uri, "sqlite:", strlen("sqlite:"));
	uri[MAX_STORE_URI_BYTES + 1] = '\0';
	ck_assert_ptr_nonnull(store_place_set(&place, uri));
	uri[MAX_STORE_URI_BYTES] = '\0';
	ck_assert_ptr_null(store_place_set(&place, uri));
	store_place_clear(&place);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_place");
	TCase *tests = tcase_create("store_place");

	tcase_add_loop_test(tests, set, 0, LENGTH_OF(places));
	tcase_add_loop_test(tests, blank, 0, LENGTH_OF(texts));
	tcase_add_loop_test(tests, name, 0, LENGTH_OF(names));
	tcase_add_test(tests, longest);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
