#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "jwk.h"
#include "log.h"
#include "secret.h"
#include "smart_int.h"
#include "url.h"
#include "xalloc.h"

/* Nobody on the way may read what goes there; of http none but this machine
 * itself is on the way. */
static int
check_safe(const char *flag, const char *url, bool may_be_http,
    struct error *err)
{
	if (url_is_https(url))
		return 0;
	if (may_be_http && strncasecmp(url, "http:", strlen("http:")) == 0 &&
	    url_is_loopback(url))
		return 0;
	return error_set(err, STATUS_USAGE, "%s: want https with --client-id,"
	    " else the token could be read on its way (http is for localhost"
	    " alone); have \"%.256s\"", flag, url);
}

static int
check_config(const struct smart_config *config, struct error *err)
{
	if (check_safe("--upstream", config->base, true, err) == -1)
		return -1;
	return config->token_url == NULL ? 0 : check_safe("--token-url",
	    config->token_url, !url_is_https(config->base), err);
}

int
smart_new(const struct smart_config *config, struct smart **out,
    struct error *err)
{
	struct smart *smart;

	*out = NULL;
	if (check_config(config, err) == -1)
		return -1;
	smart = xcalloc(1, sizeof(*smart));
	smart->base = xstrdup(config->base);
	smart->client_id = xstrdup(config->client_id);
	if (jwk_read(config->key_file, &smart->key, err) == -1) {
		smart_close(smart);
		return -1;
	}
	*out = smart;
	return 0;
}

int
smart_open(struct smart *smart, const struct smart_config *config,
    struct error *err)
{
	struct smart_found found = { .token_url = NULL };

	smart->http = (struct http_config){
		.ca_file = config->http->ca_file,
		.retries = config->http->retries,
		.retried = config->http->retried,
		.timeout_ms = config->http->timeout_ms,
	};
	/* What the configuration leaves open. */
	if ((config->token_url == NULL || config->scope == NULL) &&
	    smart_discover(smart, &found, err) == -1) {
		if (config->token_url == NULL)
			return error_prefix(err, "no token endpoint is known"
			    " (--token-url names one)");
		if (err->status >= STATUS_INTERRUPTED ||
		    err->status == STATUS_ABORTED)
			return -1;
		log_warn("%s; going on with --token-url", err->text);
	}
	if (config->token_url != NULL) {
		free(found.token_url);
		found.token_url = xstrdup(config->token_url);
	}
	smart->token_url = found.token_url;
	smart->scope = config->scope != NULL ? xstrdup(config->scope) :
	    smart_scope_make(config->types, config->n_types, found.is_v1);
	return 0;
}

/* The URLs that got a token which is gone. */
static void
forget_given(struct smart *smart)
{
	int i;

	for (i = 0; i < MAX_GIVEN; i++) {
		free(smart->given[i]);
		smart->given[i] = NULL;
	}
	smart->n_given = 0;
}

void
smart_close(struct smart *smart)
{
	if (smart == NULL)
		return;
	forget_given(smart);
	secret_free(smart->token);
	jwk_free(smart->key);
	free(smart->scope);
	free(smart->token_url);
	free(smart->client_id);
	free(smart->base);
	free(smart);
}

/*
 * Can it be the token there is that was refused at url?  Of several requests
 * side by side that were refused with the same token only the first is to get
 * a new one: a server may let only its last one be good.
 */
static bool
was_given(const struct smart *smart, const char *url)
{
	unsigned i;

	for (i = 0; i < smart->n_given && i < MAX_GIVEN; i++) {
		if (strcmp(smart->given[i], url) == 0)
			return true;
	}
	return smart->n_given > MAX_GIVEN;
}

static void
note_given(struct smart *smart, const char *url)
{
	char **place = &smart->given[smart->n_given++ % MAX_GIVEN];

	free(*place);
	*place = xstrdup(url);
}

int
smart_authorize(void *ctx, const char *url, bool anew, char **value,
    struct error *err)
{
	struct smart *smart = ctx;

	*value = NULL;
	if (!url_is_same_origin(smart->base, url))
		return 0;
	if (smart->token == NULL ||
	    clock_boottime_ms() >= smart->renew_at_ms ||
	    (anew && was_given(smart, url))) {
		if (smart_renew(smart, err) == -1)
			return -1;
		forget_given(smart);
	}
	note_given(smart, url);
	*value = xasprintf("Bearer %s", secret_text(smart->token));
	return 0;
}
