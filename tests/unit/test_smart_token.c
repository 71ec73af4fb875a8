#include "smartlib.h"

START_TEST(request)
{
	const char *asked;
	char	   *jwt, *set, *jti;
	json_t	   *claims, *header, *wanted;

	token(200, NULL, TOKEN("t0", ""));
	open_usual();
	/* No token is asked for before it is needed. */
	ck_assert_int_eq(tokens_asked(), 0);
	bears("/fhir/Patient", false, "Bearer t0");
	asked = server_asked("POST /token?t=1 ", 0);
	has(asked, "\r\nContent-Type: application/x-www-form-urlencoded\r\n");
	has(asked, "\r\n\r\ngrant_type=client_credentials&"
	    "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A"
	    "client-assertion-type%3Ajwt-bearer&client_assertion=ey");
	has(asked, "&scope=system%2FCondition.rs%20system%2FPatient.rs");
	ck_assert_ptr_null(strcasestr(asked, "\r\nAuthorization:"));
	ck_assert_ptr_null(strcasestr(server_asked("GET /fhir/", 0),
	    "\r\nAuthorization:"));
	jwt = assertion(0);
	ck_assert_int_eq(jwk_public_set(key, &set, &err), 0);
	ck_assert(jwt_is_by(jwt, set));
	header = jwt_part(jwt, 0);
	ck_assert_str_eq(json_string_value(json_object_get(header, "kid")),
	    jwk_kid(key));
	claims = jwt_part(jwt, 1);
	jti = xstrdup(json_string_value(json_object_get(claims, "jti")));
	ck_assert_uint_eq(strlen(jti), 32);
	wanted = json_pack("{s:s, s:s, s:s, s:I, s:s}", "iss", "me & co",
	    "sub", "me & co", "aud", token_url, "exp",
	    (json_int_t)1700000240, "jti", jti);
	ck_assert(json_equal(claims, wanted));
	json_decref(header);
	json_decref(claims);
	json_decref(wanted);
	free(jti);
	free(jwt);
	free(set);
}
END_TEST

/* The member with a token's life, and after how long it is renewed. */
static const struct {
	const char *life;
	int64_t	    use_s;
} lives[] = {
	{ ",\"expires_in\":300", 240 },
	{ ",\"expires_in\":\"300\"", 240 },
	{ ",\"expires_in\":300.5", 240 },
	{ "", 240 },
	{ ",\"expires_in\":null", 240 },
	{ ",\"expires_in\":\"soon\"", 240 },
	{ ",\"expires_in\":\"60s\"", 240 },
	{ ",\"expires_in\":0", 240 },
	{ ",\"expires_in\":-5", 240 },
	{ ",\"expires_in\":1000", 800 },
	{ ",\"expires_in\":100", 70 },
	{ ",\"expires_in\":60", 30 },
	/* of less the half */
	{ ",\"expires_in\":40", 20 },
	{ ",\"expires_in\":2", 1 },
	{ ",\"expires_in\":1e99", MAX_TOKEN_LIFE_S / 5 * 4 },
};

START_TEST(life)
{
	char *first;

	first = test_put("{\"access_token\":\"t0\",\"token_type\":\"bearer\""
	    "%s}", lives[_i].life);
	token(200, NULL, first);
	token(200, NULL, TOKEN("t1", ""));
	free(first);
	open_usual();
	bears("/a", false, "Bearer t0");
	sleep_ms += lives[_i].use_s * 1000 - 1;
	bears("/a", false, "Bearer t0");
	ck_assert_int_eq(tokens_asked(), 1);
	sleep_ms++;
	bears("/a", false, "Bearer t1");
	bears("/a", false, "Bearer t1");
	ck_assert_int_eq(tokens_asked(), 2);
}
END_TEST

static char *
jti_of(int n)
{
	char   *jwt = assertion(n), *jti;
	json_t *claims = jwt_part(jwt, 1);

	jti = xstrdup(json_string_value(json_object_get(claims, "jti")));
	json_decref(claims);
	free(jwt);
	return jti;
}

START_TEST(anew)
{
	char *one, *other;

	token(200, NULL, TOKEN("t0", ""));
	token(200, NULL, TOKEN("t1", ""));
	token(200, NULL, TOKEN("t2", ""));
	open_usual();
	bears("/a", false, "Bearer t0");
	bears("/b", false, "Bearer t0");
	bears("/a", true, "Bearer t1");
	/* What was refused there was t0. */
	bears("/b", true, "Bearer t1");
	ck_assert_int_eq(tokens_asked(), 2);
	bears("/b", true, "Bearer t2");
	ck_assert_int_eq(tokens_asked(), 3);
	one = jti_of(0);
	other = jti_of(1);
	ck_assert_str_ne(one, other);
	free(one);
	free(other);
}
END_TEST

/* More URLs than are remembered: better one token too many. */
START_TEST(anew_after_many)
{
	char path[32];
	int  i;

	token(200, NULL, TOKEN("t0", ""));
	token(200, NULL, TOKEN("t1", ""));
	open_usual();
	for (i = 0; i < 100; i++) {
		(void)snprintf(path, sizeof(path), "/%d", i);
		bears(path, false, "Bearer t0");
	}
	bears("/0", true, "Bearer t1");
}
END_TEST

static const struct {
	int	    status;
	const char *headers;
	const char *body;
	enum status ends_with;
	const char *words;
} refusals[] = {
	{ 400, NULL, REFUSED("invalid_client", ",\"error_description\":"
	    "\"no such key\",\"error_uri\":\"https://h/e\""), STATUS_REFUSED,
	    ": status 400: invalid_client (no such key) (https://h/e); is the"
	    " public key with the kid " },
	{ 401, NULL, REFUSED("invalid_client", ""), STATUS_REFUSED,
	    " registered at the server, for the client id me & co?" },
	{ 400, NULL, REFUSED("invalid_scope", ""), STATUS_REFUSED,
	    "invalid_scope; \"system/Condition.rs system/Patient.rs\" was"
	    " asked for" },
	{ 400, "Date: Tue, 14 Nov 2023 22:15:00 GMT\r\n",
	    REFUSED("invalid_client", ""), STATUS_REFUSED,
	    "; the server's clock is 100 s ahead of this one" },
	{ 400, "Date: Tue, 14 Nov 2023 22:11:40 GMT\r\n",
	    REFUSED("invalid_grant", ""), STATUS_REFUSED,
	    "; the server's clock is 100 s behind this one" },
	{ 400, NULL, "", STATUS_REFUSED, "): status 400" },
	{ 401, NULL, "<html>", STATUS_REFUSED, "): status 401" },
	{ 403, NULL, "{\"error\":{}}", STATUS_REFUSED, "): status 403" },
	{ 404, NULL, "", STATUS_UNAVAILABLE, "): status 404" },
	{ 500, NULL, REFUSED("server_error", ""), STATUS_UNAVAILABLE,
	    "): status 500: server_error" },
	{ 302, "Location: http://127.0.0.1/\r\n", "", STATUS_PROTOCOL,
	    "is not sent on" },
	/* An answer that makes no sense. */
	{ 200, NULL, "<html>", STATUS_PROTOCOL, "want a JSON object" },
	{ 200, NULL, "{\"token_type\":\"bearer\"}", STATUS_PROTOCOL,
	    "want an access_token" },
	{ 200, NULL, "{\"access_token\":\"t0\"}", STATUS_PROTOCOL,
	    "want the token_type bearer; have \"\"" },
	{ 200, NULL, "{\"access_token\":\"t0\",\"token_type\":\"mac\"}",
	    STATUS_PROTOCOL, "want the token_type bearer; have \"mac\"" },
	{ 200, NULL, TOKEN("t 0", ""), STATUS_PROTOCOL, "want no blanks" },
	{ 200, NULL, TOKEN("t\\n0", ""), STATUS_PROTOCOL, "want no control" },
	{ 200, NULL, TOKEN("t0", ",\"scope\":\"system/Patient.rs\""),
	    STATUS_REFUSED, "the token is not good for Condition: asked" },
};

START_TEST(refused)
{
	char *place;

	token(refusals[_i].status, refusals[_i].headers, refusals[_i].body);
	open_usual();
	fails(refusals[_i].ends_with, refusals[_i].words);
	ck_assert_int_eq(tokens_asked(), 1);
	place = xasprintf("the token request (http://127.0.0.1:%d/token",
	    server.port);
	has(err.text, place);
	free(place);
	ck_assert_ptr_null(strstr(err.text, "t 0"));
	/* A clock that is right is not spoken of. */
	if (refusals[_i].headers == NULL)
		ck_assert_ptr_null(strstr(err.text, "clock"));
}
END_TEST

/* What was good once is asked for a second time, no more. */
START_TEST(renewal_is_refused)
{
	token(200, NULL, TOKEN("t0", ""));
	token(400, NULL, "");
	token(200, NULL, TOKEN("t1", ""));
	token(400, NULL, "");
	open_usual();
	bears("/a", false, "Bearer t0");
	bears("/a", true, "Bearer t1");
	ck_assert_int_eq(tokens_asked(), 3);
	sleep_ms += 300 * 1000;
	fails(STATUS_REFUSED, "status 400");
	ck_assert_int_eq(tokens_asked(), 5);
}
END_TEST

/* What may pass is tried again, each time with an assertion of its own, for
 * the server may have seen the last one without our knowing. */
static const int passing[] = { 503, 429, 0 };

START_TEST(unavailable)
{
	char *one, *other;

	http.retries = 1;
	token(passing[_i], NULL, "");
	token(200, NULL, TOKEN("t0", ""));
	open_usual();
	bears("/a", false, "Bearer t0");
	ck_assert_int_eq(tokens_asked(), 2);
	one = jti_of(0);
	other = jti_of(1);
	ck_assert_str_ne(one, other);
	free(one);
	free(other);
}
END_TEST

START_TEST(unavailable_for_good)
{
	http.retries = 1;
	token(503, NULL, "");
	open_usual();
	fails(STATUS_UNAVAILABLE, "the last of 2 attempts: the token request");
	ck_assert_int_eq(tokens_asked(), 2);
}
END_TEST

/* A server that repeats in its refusal what it was shown. */
START_TEST(token_is_not_logged)
{
	char name[] = "/tmp/nompd-test-smart-XXXXXX", *text;
	int  fd, saved;

	token(200, NULL, TOKEN("a-secret-token", ""));
	token(200, NULL, TOKEN("another-token", ",\"scope\":\"no"
	    " a-secret-token and no more\""));
	open_usual();
	bears("/a", false, "Bearer a-secret-token");
	sleep_ms += 300 * 1000;
	fails(STATUS_REFUSED, "no a-secret-token and");
	smart_close(smart);
	smart = NULL;
	fd = mkstemp(name);
	saved = dup(STDERR_FILENO);
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	log_lines(err.text);
	ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	close(fd);
	text = file_text(name);
	has(text, "no [secret] and no more");
	ck_assert_ptr_null(strstr(text, "a-secret"));
	free(text);
	(void)unlink(name);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("smart_token");
	TCase *tests = tcase_create("smart_token");

	tcase_add_test(tests, request);
	tcase_add_loop_test(tests, life, 0, LENGTH_OF(lives));
	tcase_add_test(tests, anew);
	tcase_add_test(tests, anew_after_many);
	tcase_add_loop_test(tests, refused, 0, LENGTH_OF(refusals));
	tcase_add_test(tests, renewal_is_refused);
	tcase_add_loop_test(tests, unavailable, 0, LENGTH_OF(passing));
	tcase_add_test(tests, unavailable_for_good);
	tcase_add_test(tests, token_is_not_logged);
	return smart_run(suite, tests);
}
