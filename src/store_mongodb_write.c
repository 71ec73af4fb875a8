/*
 * The MongoDB store: what is written to it.  Records go by _id in unordered
 * bulks: new ones as inserts, others as updates of what is not newer than this
 * run.  Both fail where another run has written in the meantime.  Before an
 * update is sent, what is there has become a former state.
 */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "log.h"
#include "store_mongodb_int.h"
#include "xalloc.h"

/* Bytes of an update without its key, and more. */
#define MAX_UPDATE_BYTES 256

/* One of the bulks that a writer fills; handle NULL: empty. */
struct bulk {
	mongoc_bulk_operation_t *handle;
	int64_t			 records;
};

/* keys are those of the updates that leave a former state behind; states are
 * those of a copy. */
struct mongodb_writer {
	struct store_writer  base;
	mongoc_collection_t *collection;
	mongoc_collection_t *history;
	char		    *doing; /* for errors */
	struct bulk	     inserts;
	struct bulk	     updates;
	struct bulk	     states;
	bson_t		    *keys;
	uint32_t	     n_keys;
	size_t		     bytes; /* in all */
};

static struct store_mongodb *
store_of(const struct mongodb_writer *writer)
{
	return (struct store_mongodb *)writer->base.store;
}

void
store_mongodb_writer_abort(struct store_writer *base)
{
	struct mongodb_writer *writer = (struct mongodb_writer *)base;

	if (writer->inserts.handle != NULL)
		mongoc_bulk_operation_destroy(writer->inserts.handle);
	if (writer->updates.handle != NULL)
		mongoc_bulk_operation_destroy(writer->updates.handle);
	if (writer->states.handle != NULL)
		mongoc_bulk_operation_destroy(writer->states.handle);
	bson_destroy(writer->keys);
	mongoc_collection_destroy(writer->collection);
	mongoc_collection_destroy(writer->history);
	free(writer->doing);
	free(writer);
}

int
store_mongodb_writer_open(struct store *base, const char *collection,
    int64_t version, int64_t now_ms, struct store_writer **out,
    struct error *err)
{
	struct store_mongodb  *store = (struct store_mongodb *)base;
	struct mongodb_writer *writer;

	writer = xcalloc(1, sizeof(*writer));
	writer->base.store = base;
	writer->collection = store_mongodb_collection(store, collection);
	writer->history = store_mongodb_collection(store, COLLECTION_STATES);
	writer->doing = xasprintf("writing %s", collection);
	writer->keys = bson_new();
	writer->base.version = version;
	writer->base.now_ms = now_ms;
	if (store->has_strays &&
	    store_mongodb_adopt_strays(store, collection, err) == -1) {
		store_mongodb_writer_abort(&writer->base);
		return -1;
	}
	*out = &writer->base;
	return 0;
}

/* The bulk's handle, made when it has none. */
static mongoc_bulk_operation_t *
handle_of(struct mongodb_writer *writer, struct bulk *bulk)
{
	bson_t opts = BSON_INITIALIZER;

	if (bulk->handle == NULL) {
		store_mongodb_must(BSON_APPEND_BOOL(&opts, "ordered", false));
		bulk->handle =
		    mongoc_collection_create_bulk_operation_with_opts(
		    bulk == &writer->states ? writer->history :
		    writer->collection, &opts);
		bson_destroy(&opts);
	}
	return bulk->handle;
}

/* The sum of two of the server's counts; the second may be NULL. */
static int64_t
count_of(const bson_t *reply, const char *counter, const char *other)
{
	return mongodb_number(reply, counter) +
	    (other != NULL ? mongodb_number(reply, other) : 0);
}

/* Sends a bulk; as many records must have been written as are in it. */
static int
send_bulk(struct mongodb_writer *writer, struct bulk *bulk,
    const char *counter, const char *other, struct error *err)
{
	bson_error_t cause;
	bson_t	     reply;
	int64_t	     written = 0;
	int	     rc = 0;

	if (bulk->handle == NULL)
		return 0;
	store_trace_step(writer->base.store, "bulk",
	    mongoc_collection_get_name(bulk == &writer->states ?
	    writer->history : writer->collection));
	if (mongoc_bulk_operation_execute(bulk->handle, &reply, &cause) == 0)
		rc = mongodb_fail(&cause, writer->doing, err);
	else
		written = count_of(&reply, counter, other);
	if (rc == 0 && written != bulk->records)
		rc = error_set(err, STATUS_STORE, "%s: another run has changed"
		    " %lld of %lld records since this one began; it stops"
		    " here", writer->doing,
		    (long long)(bulk->records - written),
		    (long long)bulk->records);
	writer->base.store->written += (uint64_t)written;
	bson_destroy(&reply);
	mongoc_bulk_operation_destroy(bulk->handle);
	*bulk = (struct bulk){ NULL, 0 };
	return rc;
}

/* What the updates are about to overwrite becomes former states. */
static int
save_states(struct mongodb_writer *writer, struct error *err)
{
	int rc;

	if (writer->n_keys == 0)
		return 0;
	rc = store_mongodb_save_states(store_of(writer),
	    mongoc_collection_get_name(writer->collection), writer->keys, err);
	bson_reinit(writer->keys);
	writer->n_keys = 0;
	return rc;
}

static int
send_bulks(struct mongodb_writer *writer, struct error *err)
{
	if (writer->inserts.handle == NULL &&
	    writer->updates.handle == NULL && writer->states.handle == NULL)
		return 0;
	writer->bytes = 0;
	if (save_states(writer, err) == -1 ||
	    store_mongodb_lease_check(store_of(writer), err) == -1 ||
	    send_bulk(writer, &writer->states, "nMatched", "nUpserted",
	    err) == -1 ||
	    send_bulk(writer, &writer->inserts, "nInserted", NULL, err) == -1)
		return -1;
	return send_bulk(writer, &writer->updates, "nMatched", NULL, err);
}

/* Room for so many bytes more; what is there is sent when there is none. */
static int
make_room(struct mongodb_writer *writer, size_t bytes, struct error *err)
{
	int64_t records = writer->inserts.records + writer->updates.records +
	    writer->states.records;

	if ((writer->bytes + bytes > MAX_BULK_BYTES ||
	    records >= MAX_BULK_RECORDS) && send_bulks(writer, err) == -1)
		return -1;
	writer->bytes += bytes;
	return 0;
}

static void
build_record(bson_t *doc, const struct store_record *record)
{
	bson_t data;

	bson_init(doc);
	store_mongodb_must(bson_init_static(&data, record->data,
	    record->data_len) &&
	    bson_append_utf8(doc, "_id", -1, record->key, (int)record->len) &&
	    bson_append_utf8(doc, "BusinessKey", -1, record->key,
	    (int)record->len) && BSON_APPEND_DOCUMENT(doc, "Data", &data) &&
	    BSON_APPEND_INT64(doc, "Version", record->version) &&
	    BSON_APPEND_BOOL(doc, "IsDeleted", record->is_deleted) &&
	    BSON_APPEND_DATE_TIME(doc, "UpdatedAt", record->updated_at_ms) &&
	    BSON_APPEND_UTF8(doc, "ContentHash", record->hash) &&
	    (record->json_hash[0] == '\0' ||
	    BSON_APPEND_UTF8(doc, "JsonHash", record->json_hash)));
}

/* The record with that key is about to be overwritten.  A copy brings the
 * states itself. */
static void
note_key(struct mongodb_writer *writer, const char *key, size_t len,
    int64_t version)
{
	char	    text[16];
	const char *position;

	if (version != store_of(writer)->own_version)
		return;
	(void)bson_uint32_to_string(writer->n_keys++, &position, text,
	    sizeof(text));
	store_mongodb_must(bson_append_utf8(writer->keys, position, -1, key,
	    (int)len));
}

/* The record with that key, as long as it is not newer than version. */
static void
select_record(bson_t *selector, const char *key, size_t len, int64_t version)
{
	bson_t limit;

	store_mongodb_select(selector, key, len);
	/* What a sharded collection is best sharded by. */
	store_mongodb_must(bson_append_utf8(selector, "BusinessKey", -1, key,
	    (int)len));
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(selector, "Version",
	    &limit) && BSON_APPEND_INT64(&limit, "$lte", version) &&
	    bson_append_document_end(selector, &limit));
}

/*
 * Adds a record to its bulk.  Names in Data may hold "$" and ".": the driver is
 * told not to look at them.
 */
int
store_mongodb_writer_put(struct store_writer *base,
    const struct store_record *record, bool is_new, struct error *err)
{
	struct mongodb_writer *writer = (struct mongodb_writer *)base;
	bson_t		       doc, selector, opts = BSON_INITIALIZER;
	bson_error_t	       cause;
	bool		       is_added;
	int		       rc;

	store_mongodb_must(BSON_APPEND_BOOL(&opts, "validate", false));
	build_record(&doc, record);
	rc = make_room(writer, doc.len, err);
	if (rc == 0 && is_new) {
		writer->inserts.records++;
		is_added = mongoc_bulk_operation_insert_with_opts(
		    handle_of(writer, &writer->inserts), &doc, &opts, &cause);
	} else if (rc == 0) {
		writer->updates.records++;
		note_key(writer, record->key, record->len, record->version);
		select_record(&selector, record->key, record->len,
		    record->version);
		is_added = mongoc_bulk_operation_replace_one_with_opts(
		    handle_of(writer, &writer->updates), &selector, &doc,
		    &opts, &cause);
		bson_destroy(&selector);
	}
	if (rc == 0 && !is_added)
		rc = mongodb_fail(&cause, writer->doing, err);
	bson_destroy(&doc);
	bson_destroy(&opts);
	return rc;
}

/* Adds an update of a record to its bulk; destroys both. */
static int
add_update(struct mongodb_writer *writer, bson_t *selector, bson_t *update,
    struct error *err)
{
	bson_error_t cause;
	int	     rc = 0;

	writer->updates.records++;
	if (!mongoc_bulk_operation_update_one_with_opts(
	    handle_of(writer, &writer->updates), selector, update, NULL,
	    &cause))
		rc = mongodb_fail(&cause, writer->doing, err);
	bson_destroy(update);
	bson_destroy(selector);
	return rc;
}

int
store_mongodb_writer_delete(struct store_writer *base, const char *key,
    size_t len, struct error *err)
{
	struct mongodb_writer *writer = (struct mongodb_writer *)base;
	bson_t		       selector;

	if (make_room(writer, 2 * (len + MAX_UPDATE_BYTES), err) == -1)
		return -1;
	note_key(writer, key, len, writer->base.version);
	select_record(&selector, key, len, writer->base.version);
	return add_update(writer, &selector, BCON_NEW("$set", "{",
	    "IsDeleted", BCON_BOOL(true),
	    "Version", BCON_INT64(writer->base.version),
	    "UpdatedAt", BCON_DATE_TIME(writer->base.now_ms), "}"), err);
}

/* Of a run not what is newer than it; an upgrade is none, and has the lease. */
int
store_mongodb_writer_hashes(struct store_writer *base, const char *key,
    size_t len, const char *hash, const char *json_hash, struct error *err)
{
	struct mongodb_writer *writer = (struct mongodb_writer *)base;
	int64_t		       own = store_of(writer)->own_version;
	bson_t		       selector, *update;

	if (make_room(writer, 2 * (len + MAX_UPDATE_BYTES), err) == -1)
		return -1;
	select_record(&selector, key, len, own != 0 ? own : INT64_MAX);
	update = json_hash[0] != '\0' ? BCON_NEW("$set", "{",
	    "ContentHash", BCON_UTF8(hash), "JsonHash", BCON_UTF8(json_hash),
	    "}") : BCON_NEW("$set", "{", "ContentHash", BCON_UTF8(hash), "}",
	    "$unset", "{", "JsonHash", BCON_UTF8(""), "}");
	return add_update(writer, &selector, update, err);
}

static void
build_state(bson_t *doc, const char *collection,
    const struct store_record *state)
{
	struct buf id = { 0 };
	bson_t	   data;

	store_mongodb_state_id(&id, collection, state->version, state->key,
	    state->len);
	bson_init(doc);
	store_mongodb_must(bson_init_static(&data, state->data,
	    state->data_len) && bson_append_utf8(doc, "_id", -1,
	    (const char *)id.data, (int)id.len) &&
	    BSON_APPEND_UTF8(doc, "Collection", collection) &&
	    bson_append_utf8(doc, "BusinessKey", -1, state->key,
	    (int)state->len) &&
	    BSON_APPEND_INT64(doc, "Version", state->version) &&
	    BSON_APPEND_INT64(doc, "ReplacedIn", state->replaced_in) &&
	    BSON_APPEND_BOOL(doc, "IsDeleted", state->is_deleted) &&
	    BSON_APPEND_DATE_TIME(doc, "UpdatedAt", state->updated_at_ms) &&
	    BSON_APPEND_UTF8(doc, "ContentHash", state->hash) &&
	    BSON_APPEND_DOCUMENT(doc, "Data", &data) &&
	    (state->json_hash[0] == '\0' ||
	    BSON_APPEND_UTF8(doc, "JsonHash", state->json_hash)));
	buf_clear(&id);
}

int
store_mongodb_writer_state(struct store_writer *base,
    const struct store_record *state, struct error *err)
{
	struct mongodb_writer *writer = (struct mongodb_writer *)base;
	bson_t		       doc, selector = BSON_INITIALIZER, *opts;
	bson_error_t	       cause;
	bson_iter_t	       iter;
	int		       rc;

	build_state(&doc, mongoc_collection_get_name(writer->collection),
	    state);
	opts = BCON_NEW("validate", BCON_BOOL(false), "upsert",
	    BCON_BOOL(true));
	rc = make_room(writer, doc.len, err);
	store_mongodb_must(bson_iter_init_find(&iter, &doc, "_id") &&
	    bson_append_iter(&selector, NULL, -1, &iter));
	if (rc == 0) {
		writer->states.records++;
		if (!mongoc_bulk_operation_replace_one_with_opts(
		    handle_of(writer, &writer->states), &selector, &doc, opts,
		    &cause))
			rc = mongodb_fail(&cause, writer->doing, err);
	}
	bson_destroy(opts);
	bson_destroy(&selector);
	bson_destroy(&doc);
	return rc;
}

int
store_mongodb_writer_close(struct store_writer *base, struct error *err)
{
	struct mongodb_writer *writer = (struct mongodb_writer *)base;
	int		       rc;

	rc = send_bulks(writer, err);
	store_mongodb_writer_abort(base);
	return rc;
}
