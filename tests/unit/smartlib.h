/* A client of SMART Backend Services, the server that it asks, and time that
 * goes by as the test wants. */
#ifndef NOMPD_SMARTLIB_H
#define NOMPD_SMARTLIB_H

#include <inttypes.h>
#include <time.h>

#include "clock.h"
#include "http.h"
#include "httplib.h"
#include "jwklib.h"
#include "log.h"
#include "smart.h"

#define WELL_KNOWN "/fhir/.well-known/smart-configuration"
/* %s: what is in the list of capabilities; PORT: the server's. */
#define DISCOVERY(capabilities) \
	"{\"token_endpoint\":\"http://127.0.0.1:PORT/token?t=1\"," \
	"\"capabilities\":[" capabilities "]}"
#define TOKEN(token, more) \
	"{\"access_token\":\"" token "\",\"token_type\":\"Bearer\"" more "}"
#define REFUSED(code, more) "{\"error\":\"" code "\"" more "}"

static struct error	   err;
static struct smart	  *smart;
static struct http_config  http;
static struct smart_config config;
static struct jwk	  *key;
static char		   base[64], token_url[64];
static char		   condition[] = "Condition", patient[] = "Patient";
static char		  *types[] = { condition, patient };
static int64_t		   sleep_ms; /* added to the time that goes by */
static struct reply	   replies[8];
static char		  *bodies[8];
static int		   n_replies;

/* In the place of src/clock.c. */
int64_t
clock_monotonic_ms(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
clock_boottime_ms(void)
{
	return sleep_ms;
}

int64_t
clock_now_ms(void)
{
	return INT64_C(1700000000000);
}

void
clock_format_seconds(int64_t ms, char text[CLOCK_TEXT_BYTES])
{
	(void)snprintf(text, CLOCK_TEXT_BYTES, "%" PRId64, ms);
}

/* The next answer for the path; PORT in the body is the server's. */
static inline void
reply(const char *path, int status, const char *headers, const char *body)
{
	const char *at = strstr(body, "PORT");

	bodies[n_replies] = at == NULL ? xstrdup(body) :
	    xasprintf("%.*s%d%s", (int)(at - body), body, server.port, at + 4);
	replies[n_replies] = (struct reply){ path, status, headers,
		bodies[n_replies] };
	n_replies++;
}

/* How a token request is answered. */
static inline void
token(int status, const char *headers, const char *body)
{
	reply("/token?t=1", status, headers, body);
}

static inline void
set_up(void)
{
	folder_make();
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
	memset(replies, 0, sizeof(replies));
	n_replies = 0;
	sleep_ms = 1000;
	smart = NULL;
	server.replies = replies;
	server_start();
	(void)snprintf(base, sizeof(base), "http://127.0.0.1:%d/fhir/",
	    server.port);
	(void)snprintf(token_url, sizeof(token_url),
	    "http://127.0.0.1:%d/token?t=1", server.port);
	file_put(in_folder("k"), jwk_private_text(key), 0600);
	http = (struct http_config){ .timeout_ms = 20000 };
	config = (struct smart_config){ .base = base, .client_id = "me & co",
		.key_file = in_folder("k"), .types = types, .n_types = 2,
		.http = &http };
}

static inline void
tear_down(void)
{
	int i;

	smart_close(smart);
	log_forget_secret();
	server_stop();
	for (i = 0; i < n_replies; i++)
		free(bodies[i]);
	(void)unlink(in_folder("k"));
	ck_assert_int_eq(rmdir(folder), 0);
}

static inline void
open_smart(void)
{
	if (smart_new(&config, &smart, &err) == -1 ||
	    smart_open(smart, &config, &err) == -1)
		ck_abort_msg("%s", err.text);
}

/* The usual: a server that says little. */
static inline void
open_usual(void)
{
	reply(WELL_KNOWN, 200, NULL, DISCOVERY(""));
	open_smart();
}

/* What a request for the path gets; NULL: no header. */
static inline void
bears(const char *path, bool anew, const char *wanted)
{
	char *url, *value;
	int   rc;

	url = strchr(path, ':') != NULL ? xstrdup(path) :
	    xasprintf("http://127.0.0.1:%d%s", server.port, path);
	rc = smart_authorize(smart, url, anew, &value, &err);
	if (rc == -1)
		ck_abort_msg("%s", err.text);
	if (wanted == NULL)
		ck_assert_ptr_null(value);
	else
		ck_assert_str_eq(value, wanted);
	free(value);
	free(url);
}

static inline void
fails(enum status status, const char *words)
{
	char *value, *url;

	url = xasprintf("%sPatient/$export", base);
	ck_assert_int_eq(smart_authorize(smart, url, false, &value, &err), -1);
	free(url);
	ck_assert_ptr_null(value);
	if (strstr(err.text, words) == NULL)
		ck_abort_msg("%s\nwanted: %s", err.text, words);
	ck_assert_int_eq(err.status, status);
}

/* What is no good before anyone is asked, and what is only then. */
static inline void
opening_fails(enum status status, const char *words)
{
	if (status == STATUS_USAGE) {
		ck_assert_int_eq(smart_new(&config, &smart, &err), -1);
		ck_assert_ptr_null(smart);
	} else {
		ck_assert_int_eq(smart_new(&config, &smart, &err), 0);
		ck_assert_int_eq(smart_open(smart, &config, &err), -1);
		smart_close(smart);
		smart = NULL;
	}
	if (strstr(err.text, words) == NULL)
		ck_abort_msg("%s\nwanted: %s", err.text, words);
	ck_assert_int_eq(err.status, status);
}

static inline int
tokens_asked(void)
{
	return server_count("POST /token");
}

/* The assertion in the n-th token request; the caller frees it. */
static inline char *
assertion(int n)
{
	static const char name[] = "&client_assertion=";
	const char	 *at;

	at = strstr(server_asked("POST /token", n), name);
	ck_assert_ptr_nonnull(at);
	at += strlen(name);
	return xstrndup(at, strcspn(at, "&"));
}

static inline void
has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		ck_abort_msg("%s\nwanted: %s", text, part);
}

/* Runs the tests of the suite with a key that all of them share. */
static inline int
smart_run(Suite *suite, TCase *tests)
{
	int rc;

	if (jwk_make(JWK_ES384, &key, &err) == -1)
		return EXIT_FAILURE;
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	suite_add_tcase(suite, tests);
	rc = test_run(suite);
	jwk_free(key);
	return rc;
}

#endif
