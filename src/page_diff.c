/* What changed since a version: the answer that consumers live on. */
#include <bson/bson.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bson_json.h"
#include "clock.h"
#include "collection.h"
#include "etag.h"
#include "page_diff_int.h"
#include "seal.h"
#include "words.h"

/* Items are gathered up to here before they are sent. */
#define PIECE_BYTES 65536

/* The records of a run have one time: it is not written anew for each. */
struct last_time {
	int64_t ms;
	char	text[CLOCK_TEXT_BYTES]; /* empty at first */
};

static const char *
format_time(struct last_time *last, int64_t ms)
{
	if (last->ms != ms || last->text[0] == '\0') {
		clock_format_seconds(ms, last->text);
		last->ms = ms;
	}
	return last->text;
}

static int
append_item(struct buf *out, const struct store_record *record,
    struct last_time *last, struct error *err)
{
	bson_t data;
	char   tail[128];
	int    len;

	buf_append(out, "{\"data\":", strlen("{\"data\":"));
	if (record->data == NULL ||
	    !bson_init_static(&data, record->data, record->data_len) ||
	    bson_json_append(out, &data) == -1)
		return error_set(err, STATUS_STORE, "the record \"%s\" is"
		    " damaged: its Data is not BSON", record->key);
	len = snprintf(tail, sizeof(tail), ",\"version\":%" PRId64
	    ",\"lastChanged\":\"%s\",\"isDeleted\":%s}", record->version,
	    format_time(last, record->updated_at_ms),
	    record->is_deleted ? "true" : "false");
	buf_append(out, tail, (size_t)len);
	return 0;
}

/* Where an answer's pieces go. */
struct sink {
	struct response *response;
	struct kept	*next; /* to be kept as well; NULL: not */
	struct buf	 piece; /* what was not sent yet */
};

/* -1: there is nobody to read on for. */
static int
send_piece(struct sink *sink)
{
	int rc;

	rc = response_write(sink->response, sink->piece.data, sink->piece.len);
	if (sink->next != NULL)
		kept_add(sink->next, sink->piece.data, sink->piece.len);
	sink->piece.len = 0;
	return rc;
}

/* Sends the items as they come: 0 = all, 1 = the client is gone. */
static int
write_items(struct sink *sink, struct store_cursor *cursor, struct error *err)
{
	struct store_record record;
	struct last_time    last = { 0 };
	int		    rc;

	while ((rc = store_changes_next(cursor, &record, err)) == 1) {
		if (sink->response->items > 0)
			buf_append_byte(&sink->piece, ',');
		if (append_item(&sink->piece, &record, &last, err) == -1)
			return -1;
		sink->response->items++;
		if (sink->piece.len >= PIECE_BYTES && send_piece(sink) == -1)
			return 1;
	}
	return rc;
}

/* Makes the answer from the store. */
static int
write_body(struct sink *sink, struct store *store,
    const struct question *question, int64_t version, struct error *err)
{
	struct store_cursor *cursor = NULL;
	char		     head[64];
	int		     len, rc = 0;

	/* Before the first finished run there is nothing to show. */
	if (version > 0 && store_changes_open(store,
	    question->collection, question->since, question->has_since,
	    &cursor, err) == -1)
		return -1;
	len = snprintf(head, sizeof(head), "{\"currentVersion\":%" PRId64
	    ",\"items\":[", version);
	buf_append(&sink->piece, head, (size_t)len);
	if (cursor != NULL)
		rc = write_items(sink, cursor, err);
	if (rc == 0) {
		buf_append(&sink->piece, "]}", 2);
		rc = send_piece(sink) == -1;
	}
	store_cursor_close(cursor);
	buf_clear(&sink->piece);
	return rc;
}

/* A full list, as it was kept or, the first time, to be kept as it is made. */
static int
write_list(struct exchange *exchange, struct store *store,
    const struct question *question, const char *etag, int64_t version,
    struct error *err)
{
	struct kept *kept = service_kept(exchange->service,
	    question->collection);
	struct kept  next = { .etag = "" };
	struct sink  sink = { &exchange->response, NULL, { 0 } };
	int	     rc;

	if (kept != NULL && kept_is(kept, etag) && kept_has(kept)) {
		if (kept_send(kept, &exchange->response) == 0)
			return 0;
		kept_clear(kept);
		if (exchange->response.is_sent)
			return error_set(err, STATUS_STORE, "a kept answer"
			    " cannot be read any more");
	}
	if (kept != NULL && !kept_is(kept, etag)) {
		kept_begin(&next, etag);
		sink.next = &next;
	}
	rc = write_body(&sink, store, question, version, err);
	if (rc == 0 && sink.next != NULL) {
		next.items = exchange->response.items;
		kept_take(kept, &next);
	}
	kept_clear(&next);
	return rc == -1 ? -1 : 0;
}

/* A consumer proves by it that it holds that version: with the full list goes
 * the digest of what is in it, when the run has sealed that. */
static int
add_digest(struct response *response, struct store *store,
    const struct question *question, int64_t version, struct error *err)
{
	char	 digest[HASH_TEXT_BYTES], number[32];
	uint8_t *seal;
	size_t	 len;

	if (question->has_since || version == 0)
		return 0;
	if (store_seal_get(store, version, &seal, &len, err) == -1)
		return -1;
	if (seal_data_digest(seal, len, question->collection, digest) == 1) {
		(void)snprintf(number, sizeof(number), "%" PRId64, version);
		response_header(response, "Digest-Version", number);
		response_header(response, "Digest-SHA256", digest);
	}
	free(seal);
	return 0;
}

static int
write_answer(struct exchange *exchange, struct store *store,
    const struct question *question, const char *etag,
    const struct shown *shown, struct error *err)
{
	struct sink sink = { &exchange->response, NULL, { 0 } };

	if (exchange->response.is_head)
		return 0;
	if (!question->has_since && !question->has_as_of &&
	    exchange->service->is_lasting)
		return write_list(exchange, store, question, etag,
		    shown->version, err);
	store_view(store, shown->view);
	return write_body(&sink, store, question, shown->version, err) == -1 ?
	    -1 : 0;
}

static int
answer(struct exchange *exchange, struct store *store,
    const struct question *question, struct error *err)
{
	struct response *response = &exchange->response;
	struct shown	 shown;
	char		 opaque[MAX_ETAG_TEXT], etag[MAX_ETAG_TEXT + 8];
	char		 time[CLOCK_TEXT_BYTES];
	bool		 is_known;
	int		 rc;

	rc = page_question_find(exchange, store, question, &shown, err);
	if (rc != 1)
		return rc;
	page_question_etag(question, &shown, opaque);
	(void)snprintf(etag, sizeof(etag), "W/\"%s\"", opaque);
	is_known = etag_matches(exchange->request->validator, opaque);
	response_start(response, is_known ? 304 : 200,
	    is_known ? NULL : "application/json", "private, no-cache");
	response_header(response, "ETag", etag);
	if (shown.version > 0) {
		clock_format_http(shown.at_ms, time);
		response_header(response, "Last-Modified", time);
	}
	if (add_digest(response, store, question, shown.version, err) == -1)
		return -1;
	response_body(response);
	return is_known ? 0 : write_answer(exchange, store, question, opaque,
	    &shown, err);
}

/* The one of the collections that the type names in whatever case, or NULL. */
static const char *
find_collection(char *const *names, const char *type)
{
	for (; *names != NULL; names++) {
		if (strcasecmp(*names, type) == 0 &&
		    collection_is_extra(*names) &&
		    collection_is_served(*names))
			return *names;
	}
	return NULL;
}

static void
answer_no_type(struct exchange *exchange)
{
	char sentence[MAX_COLLECTION_NAME + 64];

	(void)snprintf(sentence, sizeof(sentence), "The store has no resources"
	    " of type %s.", exchange->part);
	response_error(&exchange->response, 404, sentence);
}

/* The resources of a type, when the store has it. */
static int
answer_type(struct exchange *exchange, struct store *store,
    struct question *question, struct error *err)
{
	size_t used = strlen(exchange->question);
	char **names;
	int    rc = 0;

	if (store_collections_get(store, &names, err) == -1)
		return -1;
	question->collection = find_collection(names, exchange->part);
	question->tag = question->collection;
	if (question->collection == NULL)
		answer_no_type(exchange);
	else {
		(void)snprintf(exchange->question + used,
		    MAX_QUESTION_TEXT - used, " type=%s",
		    question->collection);
		rc = answer(exchange, store, question, err);
	}
	words_free(names);
	return rc;
}

int
page_diff(struct exchange *exchange, struct error *err)
{
	struct question question;
	struct store   *store;
	int		rc;

	if (page_question_read(exchange, &question) == 0)
		return 0;
	if (service_begin(exchange->service, &store, err) == -1)
		return -1;
	if (exchange->argument == COLLECTION__MAX)
		rc = answer_type(exchange, store, &question, err);
	else {
		question.collection = collection_name(
		    (enum collection)exchange->argument);
		question.tag = exchange->argument == TREATMENT_GROUPS ? "t" :
		    "r";
		rc = answer(exchange, store, &question, err);
	}
	service_end(exchange->service, rc == -1);
	return rc;
}
