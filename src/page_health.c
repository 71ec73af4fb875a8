/* Probes: is the program there, and is what it serves new enough? */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json_text.h"
#include "log.h"
#include "query.h"
#include "seal.h"
#include "service.h"

/* The largest age that can be asked for: ten years. */
#define MAX_AGE_MS (3650LL * 24 * 60 * 60 * 1000)

#define AGE_RULE "maxAge: want a time such as 90m, 26h or 2d, at most 3650d, " \
	"once."

/* Why the store is not ready; no word of where it is. */
#define NOT_AVAILABLE "The store is not available."
#define NEVER_SYNCED  "There was no run yet."
#define TOO_OLD	      "The last run is too old."

int
page_live(struct exchange *exchange, struct error *err)
{
	static const char text[] = "{\"status\":\"live\"}";

	(void)err;
	response_json(&exchange->response, 200, text, sizeof(text) - 1);
	return 0;
}

/* Sends object, which is freed here. */
static void
send_object(struct exchange *exchange, bool is_ready, json_t *object)
{
	char *text = json_text(object);

	response_json(&exchange->response, is_ready ? 200 : 503, text,
	    strlen(text));
	free(text);
}

static void
send_unknown(struct exchange *exchange, const char *sentence)
{
	send_object(exchange, false, json_pack("{s:s, s:s}", "status",
	    "unready", "error", sentence));
}

/* What is known of the last finished run, and of the last one that fetched;
 * max_ms is -1 for any age. */
static void
send_state(struct exchange *exchange, const struct store_versions *versions,
    int64_t fetched_at_ms, int64_t max_ms)
{
	json_t *object;
	char	time[CLOCK_TEXT_BYTES], fetched[CLOCK_TEXT_BYTES];
	int64_t age_ms;
	bool	is_ready;

	if (versions->finished == 0) {
		send_unknown(exchange, NEVER_SYNCED);
		return;
	}
	age_ms = clock_now_ms() - fetched_at_ms;
	/* A clock that was set back. */
	if (age_ms < 0)
		age_ms = 0;
	is_ready = max_ms == -1 || age_ms <= max_ms;
	clock_format_seconds(versions->finished_at_ms, time);
	clock_format_seconds(fetched_at_ms, fetched);
	object = json_pack("{s:s, s:I, s:s, s:s, s:I}",
	    "status", is_ready ? "ready" : "unready",
	    "version", (json_int_t)versions->finished, "syncedAt", time,
	    "fetchedAt", fetched, "ageSeconds", (json_int_t)(age_ms / 1000));
	if (!is_ready)
		(void)json_object_set_new(object, "error",
		    json_string(TOO_OLD));
	send_object(exchange, is_ready, object);
}

int
page_ready(struct exchange *exchange, struct error *err)
{
	struct store_versions versions;
	struct store	     *store;
	int64_t		      max_ms = -1, fetched_at_ms;
	int		      rc;

	if (query_get_duration(exchange->request->query, "maxAge", MAX_AGE_MS,
	    &max_ms) == -1) {
		response_error(&exchange->response, 400, AGE_RULE);
		return 0;
	}
	rc = service_begin(exchange->service, &store, err);
	if (rc == 0) {
		rc = store_versions_get(store, &versions, err);
		if (rc == 0)
			rc = seal_last_fetch(store, &versions, &fetched_at_ms,
			    err);
		service_end(exchange->service, rc == -1);
	}
	if (rc == 0) {
		send_state(exchange, &versions, fetched_at_ms, max_ms);
		return 0;
	}
	log_error("request %s: %s", exchange->request->id, err->text);
	send_unknown(exchange, NOT_AVAILABLE);
	return 0;
}
