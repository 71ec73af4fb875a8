/* What changed since a version: the answer that consumers live on. */
#include <bson.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bson_json.h"
#include "clock.h"
#include "collection.h"
#include "etag.h"
#include "query.h"
#include "service.h"

/* Items are gathered up to here before they are sent. */
#define PIECE_BYTES 32768
/* Bytes of an entity tag's text, its NUL included. */
#define MAX_ETAG_TEXT 96

#define SINCE_RULE "sinceVersion: want a whole number from 0 to " \
	"9223372036854775807, once."

struct question {
	enum collection collection;
	bool		has_since; /* false: every live record */
	int64_t		since;
};

/* 1 = understood, 0 = refused, and answered so. */
static int
read_question(struct exchange *exchange, struct question *question)
{
	int rc;

	*question = (struct question){
		.collection = (enum collection)exchange->argument,
	};
	rc = query_get_int64(exchange->request->query, "sinceVersion",
	    &question->since);
	if (rc == -1) {
		response_error(&exchange->response, 400, SINCE_RULE);
		return 0;
	}
	question->has_since = rc == 1;
	if (question->has_since)
		(void)snprintf(exchange->question, MAX_QUESTION_TEXT,
		    " sinceVersion=%" PRId64, question->since);
	return 1;
}

/*
 * The version, when it was published (a store that was begun anew counts from
 * 1 again), and the question.
 */
static void
make_etag(const struct question *question,
    const struct store_versions *versions, char opaque[MAX_ETAG_TEXT])
{
	char since[32] = "all";

	if (question->has_since)
		(void)snprintf(since, sizeof(since), "%" PRId64,
		    question->since);
	(void)snprintf(opaque, MAX_ETAG_TEXT, "%" PRId64 ".%" PRIx64 ".%c.%s",
	    versions->finished, (uint64_t)versions->finished_at_ms,
	    question->collection == TREATMENT_GROUPS ? 't' : 'r', since);
}

static int
append_item(struct buf *out, const struct store_record *record,
    struct error *err)
{
	bson_t data;
	char   time[CLOCK_TEXT_BYTES], tail[128];
	int    len;

	buf_append(out, "{\"data\":", strlen("{\"data\":"));
	if (record->data == NULL ||
	    !bson_init_static(&data, record->data, record->data_len) ||
	    bson_json_append(out, &data) == -1)
		return error_set(err, STATUS_STORE, "the record \"%s\" is"
		    " damaged: its Data is not BSON", record->key);
	clock_format_seconds(record->updated_at_ms, time);
	len = snprintf(tail, sizeof(tail), ",\"version\":%" PRId64
	    ",\"lastChanged\":\"%s\",\"isDeleted\":%s}", record->version,
	    time, record->is_deleted ? "true" : "false");
	buf_append(out, tail, (size_t)len);
	return 0;
}

/* Sends the items as they come; piece holds what was not sent yet. */
static int
write_items(struct response *response, struct store_cursor *cursor,
    struct buf *piece, struct error *err)
{
	struct store_record record;
	int		    rc;

	while ((rc = store_changes_next(cursor, &record, err)) == 1) {
		if (response->items++ > 0)
			buf_append_byte(piece, ',');
		if (append_item(piece, &record, err) == -1)
			return -1;
		if (piece->len < PIECE_BYTES)
			continue;
		/* There is nobody to read on for. */
		if (response_write(response, piece->data, piece->len) == -1)
			return 0;
		piece->len = 0;
	}
	return rc;
}

static int
write_body(struct response *response, struct store *store,
    const struct question *question, int64_t version, struct error *err)
{
	struct store_cursor *cursor;
	struct buf	     piece = { 0 };
	char		     head[64];
	int		     len, rc;

	if (store_changes_open(store, collection_name(question->collection),
	    question->since, question->has_since, &cursor, err) == -1)
		return -1;
	len = snprintf(head, sizeof(head), "{\"currentVersion\":%" PRId64
	    ",\"items\":[", version);
	buf_append(&piece, head, (size_t)len);
	rc = write_items(response, cursor, &piece, err);
	if (rc == 0) {
		buf_append(&piece, "]}", 2);
		(void)response_write(response, piece.data, piece.len);
	}
	store_cursor_close(cursor);
	buf_clear(&piece);
	return rc;
}

static int
answer(struct exchange *exchange, struct store *store,
    const struct question *question, struct error *err)
{
	struct response	     *response = &exchange->response;
	struct store_versions versions;
	char		      opaque[MAX_ETAG_TEXT], etag[MAX_ETAG_TEXT + 8];
	bool		      is_known;

	if (store_versions_get(store, &versions, err) == -1)
		return -1;
	make_etag(question, &versions, opaque);
	(void)snprintf(etag, sizeof(etag), "W/\"%s\"", opaque);
	is_known = etag_matches(exchange->request->validator, opaque);
	response_start(response, is_known ? 304 : 200,
	    is_known ? NULL : "application/json", "private, no-cache");
	response_header(response, "ETag", etag);
	if (response_body(response) == -1 || is_known || response->is_head)
		return 0;
	return write_body(response, store, question, versions.finished, err);
}

int
page_diff(struct exchange *exchange, struct error *err)
{
	struct question question;
	struct store   *store;
	int		rc;

	if (read_question(exchange, &question) == 0)
		return 0;
	if (service_begin(exchange->service, &store, err) == -1)
		return -1;
	rc = answer(exchange, store, &question, err);
	service_end(exchange->service, rc == -1);
	return rc;
}
