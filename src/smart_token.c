/* The token request and its answer (RFC 6749, 4.4 and 5; RFC 7523, 2.2). */
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "http_call.h"
#include "jwk.h"
#include "log.h"
#include "number.h"
#include "retry.h"
#include "secret.h"
#include "smart_int.h"
#include "stop.h"
#include "url.h"

#define MS_PER_SECOND 1000
/* How long an assertion is good: five minutes at most (SMART), and the
 * server's clock may be behind ours. */
#define ASSERTION_LIFE_S 240
/* Random bytes that make an assertion unique. */
#define JTI_BYTES 16
/* A token's life when the server does not say it. */
#define DEFAULT_LIFE_S 300
/* A token is renewed so long before its end, or so much into its life. */
#define RENEW_BEFORE_MS	  (30 * 1000)
#define RENEW_AT_PER_CENT 80
/* Clocks that differ more may be why an assertion is refused. */
#define MAX_SKEW_MS (30 * 1000)
/* Bytes of a server's words that a message shows. */
#define MAX_SHOWN_CODE 64
#define MAX_SHOWN_TEXT 256

#define CALL_NAME "the token request"
#define FORM \
	"grant_type=client_credentials&client_assertion_type=" \
	"urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer" \
	"&client_assertion="
#define FORM_SCOPE "&scope="

enum token_status { TOKEN_BAD_REQUEST = 400, TOKEN_UNAUTHORIZED = 401,
	TOKEN_FORBIDDEN = 403 };

static const char *const headers[] = { "Accept: application/json",
	"Content-Type: application/x-www-form-urlencoded", NULL };

static bool
is_success(long status)
{
	return status >= 200 && status <= 299;
}

/* Who we are, for one request alone; the caller wipes and frees *out. */
static int
make_assertion(const struct smart *smart, char **out, struct error *err)
{
	uint8_t	   random[JTI_BYTES];
	char	   jti[2 * JTI_BYTES + 1];
	json_int_t now_s = clock_now_ms() / MS_PER_SECOND;
	json_t	  *claims;
	int	   rc;

	randombytes_buf(random, sizeof(random));
	(void)sodium_bin2hex(jti, sizeof(jti), random, sizeof(random));
	claims = json_pack("{s:s, s:s, s:s, s:I, s:s}",
	    "iss", smart->client_id, "sub", smart->client_id,
	    "aud", smart->token_url, "exp", now_s + ASSERTION_LIFE_S, "jti",
	    jti);
	rc = jwk_sign(smart->key, claims, out, err);
	json_decref(claims);
	if (rc == 0)
		log_hide_token(*out);
	return rc;
}

/* The body of a request; the caller wipes and clears it. */
static int
make_form(const struct smart *smart, struct buf *form, struct error *err)
{
	char *assertion;

	if (make_assertion(smart, &assertion, err) == -1)
		return -1;
	/* At once, for growing would leave a copy behind. */
	buf_grow(form, strlen(FORM) + strlen(assertion) + strlen(FORM_SCOPE) +
	    3 * strlen(smart->scope) + 1);
	buf_append(form, FORM, strlen(FORM));
	buf_append(form, assertion, strlen(assertion));
	buf_append(form, FORM_SCOPE, strlen(FORM_SCOPE));
	url_append_escaped(form, smart->scope);
	secret_wipe(assertion);
	free(assertion);
	return 0;
}

/* What might be wrong, for whoever has to put it right. */
static void
append_hints(struct buf *out, const struct smart *smart, const char *code,
    int64_t skew_ms)
{
	if (strcmp(code, "invalid_client") == 0)
		buf_print(out, "; is the public key with the kid %s (%s)"
		    " registered at the server, for the client id %s?",
		    jwk_kid(smart->key), jwk_alg_name(jwk_alg(smart->key)),
		    smart->client_id);
	if (strcmp(code, "invalid_scope") == 0)
		buf_print(out, "; \"%.*s\" was asked for (--token-scope, or"
		    " --type)", MAX_SHOWN_TEXT, smart->scope);
	if (skew_ms > MAX_SKEW_MS || skew_ms < -MAX_SKEW_MS)
		buf_print(out, "; the server's clock is %" PRId64 " s %s this"
		    " one, which may be why: set them right",
		    (skew_ms < 0 ? -skew_ms : skew_ms) / MS_PER_SECOND,
		    skew_ms < 0 ? "behind" : "ahead of");
}

/* The server's refusal (RFC 6749, 5.2), or whatever it may be instead. */
static int
refuse(const struct smart *smart, const struct http_answer *answer,
    struct error *err)
{
	static const char *const names[] = { "error_description",
		"error_uri" };
	const char *code, *text;
	struct buf  out = { 0 };
	json_t	   *json;
	bool	    is_denied;
	size_t	    i;

	json = json_loadb((const char *)answer->body.data, answer->body.len,
	    0, NULL);
	code = smart_text(json, "error");
	is_denied = code != NULL || answer->status == TOKEN_BAD_REQUEST ||
	    answer->status == TOKEN_UNAUTHORIZED ||
	    answer->status == TOKEN_FORBIDDEN;
	buf_print(&out, "status %ld", answer->status);
	if (code != NULL)
		buf_print(&out, ": %.*s", MAX_SHOWN_CODE, code);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		text = smart_text(json, names[i]);
		if (text != NULL)
			buf_print(&out, " (%.*s)", MAX_SHOWN_TEXT, text);
	}
	append_hints(&out, smart, code != NULL ? code : "",
	    answer->date_skew_ms);
	json_decref(json);
	(void)error_set(err, is_denied && !retry_is_status(answer->status) ?
	    STATUS_REFUSED : STATUS_UNAVAILABLE, "%.*s", (int)out.len,
	    (const char *)out.data);
	buf_clear(&out);
	return -1;
}

/* Seconds that the token is good for; some servers have them as a text. */
static int64_t
life_s(const json_t *json)
{
	const json_t *value = json_object_get(json, "expires_in");
	const char   *text = json_string_value(value);
	uint64_t      number;
	double	      life = json_number_value(value);

	if (text != NULL && number_read(&text, MAX_TOKEN_LIFE_S, &number) &&
	    *text == '\0')
		life = (double)number;
	if (!(life > 0))
		return DEFAULT_LIFE_S;
	return life < MAX_TOKEN_LIFE_S ? (int64_t)life : MAX_TOKEN_LIFE_S;
}

/* Half of a short life is not to be given away, or each request would need a
 * token of its own. */
static int64_t
use_ms(int64_t life_ms)
{
	int64_t use = life_ms * RENEW_AT_PER_CENT / 100;

	if (use > life_ms - RENEW_BEFORE_MS)
		use = life_ms - RENEW_BEFORE_MS;
	return use > life_ms / 2 ? use : life_ms / 2;
}

/* The token of the answer to a request that was sent at sent_ms. */
static int
take_token(struct smart *smart, const json_t *json, int64_t sent_ms,
    struct error *err)
{
	const char    *text = smart_text(json, "access_token");
	const char    *type = smart_text(json, "token_type");
	struct secret *token;

	if (text == NULL || text[0] == '\0')
		return error_set(err, STATUS_PROTOCOL, "want an access_token;"
		    " there is none");
	if (type == NULL || strcasecmp(type, "bearer") != 0)
		return error_set(err, STATUS_PROTOCOL, "want the token_type"
		    " bearer; have \"%.*s\"", MAX_SHOWN_CODE,
		    type != NULL ? type : "");
	if (smart_scope_check(smart->scope, smart_text(json, "scope"),
	    !smart->has_worked, err) == -1)
		return -1;
	if (secret_from_token("access_token", text, &token, err) == -1) {
		err->status = STATUS_PROTOCOL;
		return -1;
	}
	log_hide_token(text);
	secret_free(smart->token);
	smart->token = token;
	smart->has_worked = true;
	smart->renew_at_ms = sent_ms + use_ms(life_s(json) * MS_PER_SECOND);
	log_debug(CALL_NAME ": a token for %" PRId64 " s", life_s(json));
	return 0;
}

static int
judge(struct smart *smart, const struct http_answer *answer, int64_t sent_ms,
    struct error *err)
{
	json_t *json;
	int	rc;

	if (!is_success(answer->status))
		return refuse(smart, answer, err);
	json = json_loadb((const char *)answer->body.data, answer->body.len,
	    0, NULL);
	rc = json_is_object(json) ? take_token(smart, json, sent_ms, err) :
	    error_set(err, STATUS_PROTOCOL, "want a JSON object");
	json_decref(json);
	return rc;
}

/* One request with an assertion of its own; *after_ms is what the server asks
 * to wait before another one, or -1. */
static int
ask(struct smart *smart, int64_t *after_ms, struct error *err)
{
	struct http_config config = smart->http;
	struct http_call   call = {
		.method = "POST",
		.url = smart->token_url,
		.name = CALL_NAME,
		.headers = headers,
		.max_body = MAX_SMART_ANSWER_BYTES,
		.is_open = true,
		.is_secret = true,
		.tells_all = true,
	};
	struct http_answer answer;
	struct buf	   form = { 0 };
	int64_t		   sent_ms = clock_boottime_ms();
	int		   rc;

	*after_ms = -1;
	if (make_form(smart, &form, err) == -1)
		return -1;
	/* What was sent must not be sent again (RFC 7523, 3: jti). */
	config.retries = 0;
	call.body = (const char *)form.data;
	call.body_len = form.len;
	rc = http_call(&config, &call, &answer, err);
	sodium_memzero(form.data, form.cap);
	buf_clear(&form);
	if (rc == 0) {
		*after_ms = answer.retry_after_ms;
		rc = judge(smart, &answer, sent_ms, err);
		if (rc == -1)
			(void)error_prefix(err, CALL_NAME " (%s)",
			    smart->token_url);
	}
	http_answer_clear(&answer);
	return rc;
}

/* Waits before the next request; -1 when there is no time for one. */
static int
wait_for_next(unsigned attempt, int64_t after_ms, struct error *err)
{
	int64_t wait_ms;

	wait_ms = retry_wait_ms(attempt,
	    after_ms > 0 ? after_ms / MS_PER_SECOND : 0);
	if (wait_ms >= stop_remaining_ms())
		return error_prefix(err, "the deadline (--deadline) passes"
		    " before the next attempt");
	log_warn("%s; trying again in %.1f s", err->text,
	    (double)wait_ms / MS_PER_SECOND);
	stop_sleep(wait_ms);
	return stop_check(STATUS_UNAVAILABLE, err);
}

int
smart_renew(struct smart *smart, struct error *err)
{
	unsigned attempt = 0;
	int64_t	 after_ms;
	/* Some servers refuse now and then what they took before. */
	bool may_be_refused = smart->has_worked;

	while (ask(smart, &after_ms, err) == -1) {
		if (err->status == STATUS_REFUSED && may_be_refused)
			may_be_refused = false;
		else if (err->status == STATUS_UNAVAILABLE &&
		    attempt > 0 && attempt >= smart->http.retries)
			return error_prefix(err, "the last of %u attempts",
			    attempt + 1);
		else if (err->status != STATUS_UNAVAILABLE ||
		    smart->http.retries == 0)
			return -1;
		if (wait_for_next(attempt++, after_ms, err) == -1)
			return -1;
	}
	return 0;
}
