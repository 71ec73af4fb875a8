/* What a consumer may ask of the lists, and what the store can still tell. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "page_diff_int.h"
#include "query.h"

#define VERSION_RULE "want a whole number from 0 to 9223372036854775807, once."
/* Bytes of an error's sentence, its NUL included. */
#define MAX_SENTENCE 192

/* Answers with a sentence in which a number stands. */
static int
refuse(struct exchange *exchange, int status, const char *before,
    int64_t number, const char *behind)
{
	char sentence[MAX_SENTENCE];

	(void)snprintf(sentence, sizeof(sentence), "%s%" PRId64 "%s", before,
	    number, behind);
	response_error(&exchange->response, status, sentence);
	return 0;
}

/* A version in the query.  1 = read, or it is not there; 0 = refused. */
static int
read_version(struct exchange *exchange, const char *name, bool *has,
    int64_t *out)
{
	size_t used = strlen(exchange->question);
	char   sentence[MAX_SENTENCE];
	int    rc;

	rc = query_get_int64(exchange->request->query, name, out);
	if (rc == -1) {
		(void)snprintf(sentence, sizeof(sentence), "%s: %s", name,
		    VERSION_RULE);
		response_error(&exchange->response, 400, sentence);
		return 0;
	}
	*has = rc == 1;
	if (*has)
		(void)snprintf(exchange->question + used,
		    MAX_QUESTION_TEXT - used, " %s=%" PRId64, name, *out);
	return 1;
}

int
page_question_read(struct exchange *exchange, struct question *question)
{
	int rc;

	*question = (struct question){ 0 };
	rc = read_version(exchange, "sinceVersion", &question->has_since,
	    &question->since);
	return rc == 1 ? read_version(exchange, "asOfVersion",
	    &question->has_as_of, &question->as_of) : rc;
}

/* Another version than the current one: what its run has left. */
static int
find_former(struct exchange *exchange, struct store *store, int64_t as_of,
    const struct store_versions *versions, struct shown *out,
    struct error *err)
{
	struct store_run run;

	if (as_of > versions->finished)
		return refuse(exchange, 404, "asOfVersion: there is no such"
		    " version yet; the current one is ", versions->finished,
		    ".");
	/* A number that no finished run has is that of the one before. */
	if (store_run_find(store, as_of, INT64_MAX, &run, err) == -1)
		return -1;
	*out = (struct shown){ run.version, run.synced_at_ms, run.version };
	if (run.version >= versions->states_from)
		return 1;
	if (versions->states_from > versions->finished)
		return refuse(exchange, 410, "asOfVersion: only the current"
		    " version can be shown, ", versions->finished, ".");
	return refuse(exchange, 410, "asOfVersion: the oldest version that"
	    " can still be shown is ", versions->states_from, ".");
}

int
page_question_find(struct exchange *exchange, struct store *store,
    const struct question *question, struct shown *out, struct error *err)
{
	struct store_versions versions;
	int		      rc = 1;

	if (store_versions_get(store, &versions, err) == -1)
		return -1;
	*out = (struct shown){ versions.finished, versions.finished_at_ms, 0 };
	if (question->has_as_of && question->as_of != versions.finished)
		rc = find_former(exchange, store, question->as_of, &versions,
		    out, err);
	if (rc == 1 && question->has_since &&
	    question->since < versions.horizon)
		return refuse(exchange, 410, "sinceVersion: the changes are"
		    " complete since version ", versions.horizon, " or later"
		    " only; ask without sinceVersion for the full list.");
	return rc;
}

void
page_question_etag(const struct question *question, const struct shown *shown,
    char opaque[MAX_ETAG_TEXT])
{
	char since[32] = "all", as_of[32] = "";

	if (question->has_since)
		(void)snprintf(since, sizeof(since), "%" PRId64,
		    question->since);
	if (question->has_as_of)
		(void)snprintf(as_of, sizeof(as_of), ".%" PRId64,
		    question->as_of);
	/* When it was published tells a store that was begun anew, and counts
	 * from 1 again. */
	(void)snprintf(opaque, MAX_ETAG_TEXT, "%" PRId64 ".%" PRIx64
	    ".%s.%s%s", shown->version, (uint64_t)shown->at_ms, question->tag,
	    since, as_of);
}
