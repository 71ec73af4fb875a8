#include "smartlib.h"

/* Capabilities, and the scope that is asked for. */
static const struct {
	const char *discovery;
	const char *scope;
} versions[] = {
	{ DISCOVERY("\"permission-v2\""), "&scope=system%2F%2A.rs" },
	{ DISCOVERY("\"permission-v1\""), "&scope=system%2F%2A.read" },
	{ DISCOVERY("\"permission-v1\",\"permission-v2\""),
	    "&scope=system%2F%2A.rs" },
	{ DISCOVERY("7"), "&scope=system%2F%2A.rs" },
};

START_TEST(scope_version)
{
	reply(WELL_KNOWN, 200, NULL, versions[_i].discovery);
	token(200, NULL, TOKEN("t0", ""));
	config.n_types = 0;
	open_smart();
	bears("/fhir/x", false, "Bearer t0");
	has(strstr(server_asked("POST /token", 0), "&scope"),
	    versions[_i].scope);
}
END_TEST

/* With both at hand the server is not asked. */
START_TEST(configured)
{
	token(200, NULL, TOKEN("t0", ",\"scope\":\"a b\""));
	config.token_url = token_url;
	config.scope = "a b";
	open_smart();
	bears("/fhir/x", false, "Bearer t0");
	ck_assert_int_eq(server_count("GET"), 0);
	has(server_asked("POST /token", 0), "&scope=a%20b");
}
END_TEST

/* A token URL does for a server that says nothing. */
START_TEST(discovery_fails)
{
	token(200, NULL, TOKEN("t0", ""));
	opening_fails(STATUS_UNAVAILABLE, "no token endpoint is known"
	    " (--token-url names one): SMART discovery (http://127.0.0.1:");
	config.token_url = token_url;
	open_smart();
	bears("/fhir/x", false, "Bearer t0");
	has(server_asked("POST /token", 0), "system%2FPatient.rs");
}
END_TEST

static const struct {
	const char *body;
	const char *words;
} discoveries[] = {
	{ "<html>", "want a JSON object" },
	{ "[]", "want a JSON object" },
	{ "", "want a JSON object" },
	{ "{}", "want a token_endpoint; there is none" },
	{ "{\"token_endpoint\":7}", "there is none" },
	{ "{\"token_endpoint\":\"/token\"}", "want an absolute URL" },
	{ "{\"token_endpoint\":\"//h/token\"}", "want an absolute URL" },
	{ "{\"token_endpoint\":\"http://u:p@127.0.0.1/\"}", "absolute URL" },
	{ "{\"token_endpoint\":\"http://127.0.0.1/#x\"}", "absolute URL" },
	{ "{\"token_endpoint\":\"http://example.com/\"}", "want https" },
	{ "{\"token_endpoint\":\"ftp://127.0.0.1/\"}", "want https" },
	{ "{\"token_endpoint\":\"http://127.0.0.1.example.com/\"}",
	    "want https" },
};

START_TEST(discovery_is_wrong)
{
	reply(WELL_KNOWN, 200, NULL, discoveries[_i].body);
	opening_fails(STATUS_PROTOCOL, discoveries[_i].words);
	has(err.text, WELL_KNOWN);
}
END_TEST

static const struct {
	const char *base;
	const char *token_url;
	const char *words; /* NULL: it goes on to the key */
} places[] = {
	{ "http://example.com/fhir", NULL, "--upstream: want https" },
	{ "http://127.0.0.1.example.com/", NULL, "--upstream: want https" },
	{ "file:///fhir", NULL, "--upstream: want https" },
	{ "ftp://localhost/", NULL, "--upstream: want https" },
	{ "http://localhost/", "http://example.com/", "--token-url: want" },
	{ "https://example.com/", "http://localhost/", "--token-url: want" },
	{ "https://example.com/", "https://example.org/", NULL },
	{ "http://localhost/", "https://example.org/", NULL },
	{ "http://[::1]/", "http://localhost/", NULL },
};

START_TEST(place_is_refused)
{
	config.base = places[_i].base;
	config.token_url = places[_i].token_url;
	config.key_file = "/nonexistent/key";
	opening_fails(STATUS_USAGE, places[_i].words != NULL ?
	    places[_i].words : "/nonexistent/key");
}
END_TEST

START_TEST(origin)
{
	token(200, NULL, TOKEN("t0", ""));
	open_usual();
	bears("http://example.com/fhir/x", false, NULL);
	bears("http://127.0.0.1:1/fhir/x", false, NULL);
	bears("https://127.0.0.1/fhir/x", true, NULL);
	ck_assert_int_eq(tokens_asked(), 0);
	bears("/elsewhere", false, "Bearer t0");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("smart");
	TCase *tests = tcase_create("smart");

	tcase_add_loop_test(tests, scope_version, 0, LENGTH_OF(versions));
	tcase_add_test(tests, configured);
	tcase_add_test(tests, discovery_fails);
	tcase_add_loop_test(tests, discovery_is_wrong, 0,
	    LENGTH_OF(discoveries));
	tcase_add_loop_test(tests, place_is_refused, 0, LENGTH_OF(places));
	tcase_add_test(tests, origin);
	return smart_run(suite, tests);
}
