/*
 * What the MongoDB store says of URIs and servers that are no good.  Most of it
 * needs no server, or a false one; the rest runs where NOMPD_TEST_MONGODB_URI
 * names one.
 */
#include "liarlib.h"
#include "mongodblib.h"

/* No message may have it. */
#define PASSWORD "geheim-Pa55"

/* Opening the store at a URI, with a user's password, fails. */
static void
check_fails(const char *text, enum status status, const char *words)
{
	static const enum store_mode modes[] = { STORE_WRITE, STORE_READ };
	struct store		    *store;
	int			     i;

	ck_assert_uint_lt(strlen(text), sizeof(uri));
	(void)snprintf(uri, sizeof(uri), "%s", text);
	secret_free(place.password);
	CHECK(secret_from_text("the password", PASSWORD, &place.password,
	    &err));
	for (i = 0; i < LENGTH_OF(modes); i++) {
		ck_assert_int_eq(store_open(&place, modes[i], &store, &err),
		    -1);
		ck_assert_ptr_null(store);
		ck_assert_msg(err.status == status, "%d: %s", (int)err.status,
		    err.text);
		ck_assert_msg(strstr(err.text, words) != NULL, "%s",
		    err.text);
		ck_assert_msg(strncmp(err.text, "store mongodb", 13) == 0,
		    "%s", err.text);
		ck_assert_ptr_null(strstr(err.text, PASSWORD));
	}
	secret_free(place.password);
	place.password = NULL;
}

static const struct {
	const char *uri;
	const char *words;
} bad[] = {
	{ "mongodb://", "want a URI as in" },
	{ "mongodb:///d", "want a URI as in" },
	{ "mongodb://u@/d", "want a URI as in" },
	{ "mongodb://u@h:99999/d", "want a URI as in" },
	{ "mongodb://u@h:x/d", "want a URI as in" },
	{ "mongodb://u@[::1/d", "want a URI as in" },
	{ "mongodb://u@h/a.b", "want a URI as in" },
	{ "mongodb://u@h/a b", "want a URI as in" },
	{ "mongodb://u@h/a$b", "want a URI as in" },
	{ "mongodb://u@h/d?tls", "want a URI as in" },
	{ "mongodb://u@h/d?tls=maybe", "want a URI as in" },
	{ "mongodb://u@h/d?connectTimeoutMS=soon", "want a URI as in" },
	{ "mongodb://u@h/d?readPreference=nearby", "want a URI as in" },
	{ "mongodb://u@h/d?tls=true&ssl=false", "want a URI as in" },
	{ "mongodb://u@h/d?replicaSet=", "want a URI as in" },
	{ "mongodb+srv://u@h:27017/d", "want a URI as in" },
	{ "mongodb+srv://u@h/d", "want a URI as in" },
	{ "mongodb://u@h/d?noSuchOption=1", "\"nosuchoption\"" },
	{ "mongodb://u@h/d?tls=true&tsl=true", "\"tsl\"" },
	{ "mongodb://u@h/d?tls=true&tls=false", "'tls'" },
	{ "mongodb://u@h/d?compressors=foo", "'foo'" },
	{ "mongodb://u@h/d?w=0", "not w=0" },
};

START_TEST(bad_uri)
{
	check_fails(bad[_i].uri, STATUS_USAGE, bad[_i].words);
}
END_TEST

START_TEST(closed_port)
{
	char text[128];
	int  fd, port;

	/* Bound, so that nobody else gets it, and not listened at. */
	fd = listen_somewhere(&port);
	(void)snprintf(text, sizeof(text), "mongodb://u@127.0.0.1:%d/d?" SOON,
	    port);
	check_fails(text, STATUS_STORE, "nobody answers there");
	(void)close(fd);
}
END_TEST

START_TEST(unknown_host)
{
	check_fails(_i == 0 ? "mongodb://u@nowhere.invalid/d?" SOON :
	    "mongodb+srv://u@cluster.nowhere.invalid/d", STATUS_STORE,
	    "no address for the server's name");
}
END_TEST

/* What a server of TLS sends to one that speaks no TLS: a fatal alert
 * (RFC 8446, 6.2), and an HTTP server something else. */
static const uint8_t alert[] = { 0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x0a };
static const uint8_t http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

static const struct {
	const uint8_t *answer;
	size_t	       len;
	const char    *options;
	const char    *words;
} strangers[] = {
	{ alert, sizeof(alert), SOON, "no server that fits answers" },
	{ http, sizeof(http) - 1, SOON, "no MongoDB server" },
	{ alert, sizeof(alert), SOON "&tls=true", "no TLS connection" },
	{ http, sizeof(http) - 1, SOON "&tls=true", "no TLS connection" },
};

START_TEST(no_mongodb)
{
	struct liar liar = { .answer = strangers[_i].answer,
		.len = strangers[_i].len, .hello = "{}" };
	char	    text[256];

	start_liar(&liar);
	(void)snprintf(text, sizeof(text), "mongodb://u@127.0.0.1:%d/d?%s",
	    liar.port, strangers[_i].options);
	check_fails(text, STATUS_STORE, strangers[_i].words);
	stop_liar(&liar);
}
END_TEST

static const struct {
	const char *hello;
	const char *words;
} hellos[] = {
	{ HELLO ",'maxWireVersion':12,'localTime':{'$date':"
	    "{'$numberLong':'1744273800000'}}}",
	    "the server is too old (its wire version is 12); MongoDB 5.0" },
	{ HELLO ",'maxWireVersion':13}", "the server does not tell its time" },
};

START_TEST(not_good_enough)
{
	struct liar liar = { .hello = hellos[_i].hello };
	char	    text[128];

	start_liar(&liar);
	/* Without a user, for it could not let one in. */
	(void)snprintf(text, sizeof(text), "mongodb://127.0.0.1:%d/d?" SOON,
	    liar.port);
	check_fails(text, STATUS_STORE, hellos[_i].words);
	stop_liar(&liar);
}
END_TEST

/* A server that answers each search with the same record twice, as one does
 * where a run has moved it ahead in the meantime. */
#define RECORD(key, version) "{'_id':'" key "','Version':" version "}"
#define MOVED HELLO ",'maxWireVersion':13,'localTime':{'$date':" \
	"{'$numberLong':'1744273800000'}},'cursor':{'id':" \
	"{'$numberLong':'0'},'ns':'d." PLANS "','firstBatch':[" \
	RECORD("a", "1") "," RECORD("b", "1") "," RECORD("b", "2") "," \
	RECORD("c", "2") "," RECORD("a", "3") "]}}"

START_TEST(changes_come_once)
{
	struct liar liar = { .hello = MOVED };

	start_liar(&liar);
	(void)snprintf(uri, sizeof(uri), "mongodb://127.0.0.1:%d/d?" SOON,
	    liar.port);
	changes_are(0, true, "a:1 b:1 c:2");
	stop_liar(&liar);
}
END_TEST

/*
 * Fills uri with that of a database of the server: with another user ("USER@",
 * or "" for none; NULL: its own), and with more options.  The caller frees a
 * copy.
 */
static char *
change_server(const char *server, const char *user, const char *options)
{
	const char *hosts, *at;
	char	   *changed;

	hosts = strstr(server, "://");
	ck_assert_msg(hosts != NULL, "want a URI, not %s", server);
	at = strchr(hosts, '@');
	if (user != NULL)
		(void)snprintf(uri, sizeof(uri), "mongodb://%s%s", user,
		    at != NULL ? at + 1 : hosts + 3);
	else
		(void)snprintf(uri, sizeof(uri), "%s", server);
	uri_add_option(SOON);
	if (options[0] != '\0')
		uri_add_option(options);
	changed = xstrdup(uri);
	mongodb_name(changed);
	free(changed);
	mongodb_place();
	return xstrdup(uri);
}

START_TEST(wrong_password)
{
	char *text = change_server(mongodb_server(), _i == 0 ?
	    "nobody-of-that-name@" : "tester@", "");

	check_fails(text, STATUS_REFUSED, "refuses the user or the password");
	free(text);
}
END_TEST

/* The server has users, and the URI has none. */
START_TEST(no_user)
{
	char *text = change_server(mongodb_server(), "", "");

	check_fails(text, STATUS_REFUSED, "wants a user and a password");
	free(text);
}
END_TEST

START_TEST(tls_to_plain)
{
	char *text = change_server(mongodb_server(), NULL, "tls=true");

	check_fails(text, STATUS_STORE, "does it speak TLS");
	free(text);
}
END_TEST

/* The server's other port, where it speaks TLS, and the CA that it has. */
#define TLS_VARIABLE "NOMPD_TEST_MONGODB_TLS_URI"
#define CA_VARIABLE  "NOMPD_TEST_MONGODB_CA"

START_TEST(plain_to_tls)
{
	char *text = change_server(getenv(TLS_VARIABLE), NULL, "tls=false");

	check_fails(text, STATUS_STORE, "does it speak TLS");
	free(text);
}
END_TEST

START_TEST(tls_untrusted)
{
	char *text = change_server(getenv(TLS_VARIABLE), NULL, "tls=true");

	check_fails(text, STATUS_STORE, "no TLS connection");
	free(text);
}
END_TEST

START_TEST(tls)
{
	struct store *store;
	char	     *options;

	options = xasprintf("tls=true&tlsCAFile=%s", getenv(CA_VARIABLE));
	free(change_server(getenv(TLS_VARIABLE), NULL, options));
	free(options);
	store = open_store(STORE_DRY);
	versions_are(store, 0, 0);
	store_close(store);
	secret_free(place.password);
	place.password = NULL;
}
END_TEST

/* Runs where the server needs a password, as all of the tests' own do. */
static void
add_server_tests(Suite *suite)
{
	TCase *tests = tcase_create("server");

	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, wrong_password, 0, 2);
	tcase_add_test(tests, no_user);
	tcase_add_test(tests, tls_to_plain);
	if (getenv(TLS_VARIABLE) != NULL && getenv(CA_VARIABLE) != NULL) {
		tcase_add_test(tests, plain_to_tls);
		tcase_add_test(tests, tls_untrusted);
		tcase_add_test(tests, tls);
	} else
		(void)puts("those of TLS need " TLS_VARIABLE " and "
		    CA_VARIABLE);
	suite_add_tcase(suite, tests);
}

int
main(void)
{
	Suite *suite = suite_create("store_mongodb_faults");
	TCase *tests = tcase_create("no server");

	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, bad_uri, 0, LENGTH_OF(bad));
	tcase_add_test(tests, closed_port);
	tcase_add_loop_test(tests, unknown_host, 0, 2);
	tcase_add_loop_test(tests, no_mongodb, 0, LENGTH_OF(strangers));
	tcase_add_loop_test(tests, not_good_enough, 0, LENGTH_OF(hellos));
	tcase_add_test(tests, changes_come_once);
	suite_add_tcase(suite, tests);
	return mongodb_test_run(suite, add_server_tests);
}
