/*
 * The MongoDB store: what is written to it.  Records go by _id in unordered
 * bulks: new ones as inserts, others as updates of what is not newer than this
 * run.  Both fail where another run has written in the meantime.
 */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "log.h"
#include "store_mongodb_int.h"
#include "xalloc.h"

/* A bulk is sent when it has so many bytes or records. */
#define MAX_BULK_BYTES	 (4 * 1024 * 1024)
#define MAX_BULK_RECORDS 5000

/* One of the two bulks that a writer fills; handle NULL: empty. */
struct bulk {
	mongoc_bulk_operation_t *handle;
	int64_t			 records;
};

struct mongodb_writer {
	struct store_writer  base;
	mongoc_collection_t *collection;
	char		    *doing; /* for errors */
	int64_t		     version;
	int64_t		     now_ms;
	struct bulk	     inserts;
	struct bulk	     updates;
	size_t		     bytes; /* in both */
};

static struct store_mongodb *
store_of(const struct mongodb_writer *writer)
{
	return (struct store_mongodb *)writer->base.store;
}

static bson_t *
select_strays(const struct store_mongodb *store)
{
	bson_t	   *selector = bson_new(), in, list;
	const char *position;
	char	    text[16];
	size_t	    i;

	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(selector, "Version",
	    &in) && BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list));
	for (i = 0; i < store->n_strays; i++) {
		(void)bson_uint32_to_string((uint32_t)i, &position, text,
		    sizeof(text));
		store_mongodb_must(BSON_APPEND_INT64(&list, position,
		    store->strays[i]));
	}
	store_mongodb_must(bson_append_array_end(&in, &list) &&
	    bson_append_document_end(selector, &in));
	return selector;
}

/*
 * Gives the records that unfinished runs have written this run's version: a
 * reader whose version is above theirs would never be told of them.
 */
static int
adopt_strays(struct mongodb_writer *writer, struct error *err)
{
	bson_error_t cause;
	bson_iter_t  iter;
	bson_t	    *selector, *update, reply;
	int	     rc = 0;

	store_trace_step(writer->base.store, "adopt",
	    mongoc_collection_get_name(writer->collection));
	if (store_mongodb_lease_check(store_of(writer), err) == -1)
		return -1;
	selector = select_strays(store_of(writer));
	update = BCON_NEW("$set", "{", "Version", BCON_INT64(writer->version),
	    "}");
	if (!mongoc_collection_update_many(writer->collection, selector,
	    update, NULL, &reply, &cause))
		rc = mongodb_fail(&cause, writer->doing, err);
	else if (bson_iter_init_find(&iter, &reply, "modifiedCount") &&
	    bson_iter_as_int64(&iter) > 0)
		log_info("%s: %lld records that an unfinished run has left"
		    " are now of this version",
		    mongoc_collection_get_name(writer->collection),
		    (long long)bson_iter_as_int64(&iter));
	bson_destroy(&reply);
	bson_destroy(update);
	bson_destroy(selector);
	return rc;
}

static void
writer_free(struct mongodb_writer *writer)
{
	if (writer->inserts.handle != NULL)
		mongoc_bulk_operation_destroy(writer->inserts.handle);
	if (writer->updates.handle != NULL)
		mongoc_bulk_operation_destroy(writer->updates.handle);
	mongoc_collection_destroy(writer->collection);
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
	writer->doing = xasprintf("writing %s", collection);
	writer->version = version;
	writer->now_ms = now_ms;
	if (store->n_strays > 0 && adopt_strays(writer, err) == -1) {
		writer_free(writer);
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
		    writer->collection, &opts);
		bson_destroy(&opts);
	}
	return bulk->handle;
}

/* Sends a bulk; as many records must have been written as are in it. */
static int
send_bulk(struct mongodb_writer *writer, struct bulk *bulk,
    const char *counter, struct error *err)
{
	bson_error_t cause;
	bson_iter_t  iter;
	bson_t	     reply;
	int64_t	     written = 0;
	int	     rc = 0;

	if (bulk->handle == NULL)
		return 0;
	store_trace_step(writer->base.store, "bulk",
	    mongoc_collection_get_name(writer->collection));
	if (mongoc_bulk_operation_execute(bulk->handle, &reply, &cause) == 0)
		rc = mongodb_fail(&cause, writer->doing, err);
	else if (bson_iter_init_find(&iter, &reply, counter))
		written = bson_iter_as_int64(&iter);
	if (rc == 0 && written != bulk->records)
		rc = error_set(err, STATUS_STORE, "%s: another run has changed"
		    " %lld of %lld records since this one began; it stops"
		    " here", writer->doing,
		    (long long)(bulk->records - written),
		    (long long)bulk->records);
	bson_destroy(&reply);
	mongoc_bulk_operation_destroy(bulk->handle);
	*bulk = (struct bulk){ NULL, 0 };
	return rc;
}

static int
send_bulks(struct mongodb_writer *writer, struct error *err)
{
	if (writer->inserts.handle == NULL && writer->updates.handle == NULL)
		return 0;
	writer->bytes = 0;
	if (store_mongodb_lease_check(store_of(writer), err) == -1 ||
	    send_bulk(writer, &writer->inserts, "nInserted", err) == -1)
		return -1;
	return send_bulk(writer, &writer->updates, "nMatched", err);
}

/* Room for so many bytes more; what is there is sent when there is none. */
static int
make_room(struct mongodb_writer *writer, size_t bytes, struct error *err)
{
	if ((writer->bytes + bytes > MAX_BULK_BYTES ||
	    writer->inserts.records + writer->updates.records >=
	    MAX_BULK_RECORDS) && send_bulks(writer, err) == -1)
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
	    BSON_APPEND_UTF8(doc, "ContentHash", record->hash));
}

/* The record with that key, as long as it is not newer than version. */
static void
select_record(bson_t *selector, const char *key, size_t len, int64_t version)
{
	bson_t limit;

	store_mongodb_select(selector, key, len);
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(selector, "Version",
	    &limit) && BSON_APPEND_INT64(&limit, "$lte", version) &&
	    bson_append_document_end(selector, &limit));
}

/*
 * Adds a record to its bulk.  Names in Data may hold "$" and ".": the driver is
 * told not to look at them.
 */
static int
put_record(struct mongodb_writer *writer, const struct store_record *record,
    bool is_new, struct error *err)
{
	bson_t	     doc, selector, opts = BSON_INITIALIZER;
	bson_error_t cause;
	bool	     is_added;
	int	     rc;

	store_mongodb_must(BSON_APPEND_BOOL(&opts, "validate", false));
	build_record(&doc, record);
	rc = make_room(writer, doc.len, err);
	if (rc == 0 && is_new) {
		writer->inserts.records++;
		is_added = mongoc_bulk_operation_insert_with_opts(
		    handle_of(writer, &writer->inserts), &doc, &opts, &cause);
	} else if (rc == 0) {
		writer->updates.records++;
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

int
store_mongodb_writer_put(struct store_writer *base,
    const struct store_put *put, struct error *err)
{
	struct mongodb_writer *writer = (struct mongodb_writer *)base;
	struct store_record    record = {
		.key = put->key,
		.len = put->len,
		.data = put->data,
		.data_len = put->data_len,
		.version = writer->version,
		.updated_at_ms = writer->now_ms,
	};

	hash_format(put->hash, record.hash);
	return put_record(writer, &record, put->is_new, err);
}

int
store_mongodb_writer_copy(struct store_writer *base,
    const struct store_record *record, bool is_new, struct error *err)
{
	return put_record((struct mongodb_writer *)base, record, is_new, err);
}

int
store_mongodb_writer_delete(struct store_writer *base, const char *key,
    size_t len, struct error *err)
{
	struct mongodb_writer *writer = (struct mongodb_writer *)base;
	bson_error_t	       cause;
	bson_t		       selector, *update;
	int		       rc;

	select_record(&selector, key, len, writer->version);
	update = BCON_NEW("$set", "{", "IsDeleted", BCON_BOOL(true),
	    "Version", BCON_INT64(writer->version),
	    "UpdatedAt", BCON_DATE_TIME(writer->now_ms), "}");
	rc = make_room(writer, selector.len + update->len, err);
	if (rc == 0) {
		writer->updates.records++;
		if (!mongoc_bulk_operation_update_one_with_opts(
		    handle_of(writer, &writer->updates), &selector, update,
		    NULL, &cause))
			rc = mongodb_fail(&cause, writer->doing, err);
	}
	bson_destroy(update);
	bson_destroy(&selector);
	return rc;
}

int
store_mongodb_writer_close(struct store_writer *base, struct error *err)
{
	struct mongodb_writer *writer = (struct mongodb_writer *)base;
	int		       rc;

	rc = send_bulks(writer, err);
	writer_free(writer);
	return rc;
}

int
store_mongodb_version_raise(struct store *base, int64_t now_ms,
    int64_t *version, struct error *err)
{
	struct store_mongodb	      *store = (struct store_mongodb *)base;
	mongoc_find_and_modify_opts_t *opts;
	mongoc_collection_t	      *collection;
	bson_error_t		       cause;
	bson_iter_t		       iter, value;
	bson_t			       selector, *update, reply;
	int			       rc = 0;

	if (store_mongodb_lease_check(store, err) == -1)
		return -1;
	collection = store_mongodb_collection(store, METADATA);
	store_mongodb_select(&selector, METADATA_ID, strlen(METADATA_ID));
	update = BCON_NEW("$inc", "{", "CurrentVersion", BCON_INT64(1), "}",
	    "$set", "{", "LastSyncAt", BCON_DATE_TIME(now_ms), "}");
	opts = mongoc_find_and_modify_opts_new();
	store_mongodb_must(mongoc_find_and_modify_opts_set_update(opts,
	    update));
	(void)mongoc_find_and_modify_opts_set_flags(opts,
	    MONGOC_FIND_AND_MODIFY_UPSERT | MONGOC_FIND_AND_MODIFY_RETURN_NEW);
	if (!mongoc_collection_find_and_modify_with_opts(collection, &selector,
	    opts, &reply, &cause))
		rc = mongodb_fail(&cause, "raising the version", err);
	else if (bson_iter_init(&iter, &reply) && bson_iter_find_descendant(
	    &iter, "value.CurrentVersion", &value))
		*version = bson_iter_as_int64(&value);
	else
		rc = error_set(err, STATUS_STORE, "raising the version: the"
		    " server's answer has no CurrentVersion");
	bson_destroy(&reply);
	mongoc_find_and_modify_opts_destroy(opts);
	bson_destroy(update);
	bson_destroy(&selector);
	mongoc_collection_destroy(collection);
	return rc;
}

/* Puts a document in the place of the one with its _id, or beside the others.
 * Takes doc over, and destroys it. */
static int
put_document(struct store_mongodb *store, const char *name, bson_t *doc,
    const char *doing, struct error *err)
{
	mongoc_collection_t *collection;
	bson_error_t	     cause;
	bson_iter_t	     iter;
	bson_t		     selector = BSON_INITIALIZER, *opts;
	int		     rc;

	rc = store_mongodb_lease_check(store, err);
	collection = store_mongodb_collection(store, name);
	opts = BCON_NEW("upsert", BCON_BOOL(true), "validate",
	    BCON_BOOL(false));
	store_mongodb_must(bson_iter_init_find(&iter, doc, "_id") &&
	    bson_append_iter(&selector, NULL, -1, &iter));
	if (rc == 0 && !mongoc_collection_replace_one(collection, &selector,
	    doc, opts, NULL, &cause))
		rc = mongodb_fail(&cause, doing, err);
	bson_destroy(opts);
	bson_destroy(&selector);
	bson_destroy(doc);
	mongoc_collection_destroy(collection);
	return rc;
}

int
store_mongodb_versions_set(struct store *base,
    const struct store_versions *versions, struct error *err)
{
	return put_document((struct store_mongodb *)base, METADATA,
	    BCON_NEW("_id", BCON_UTF8(METADATA_ID),
	    "CurrentVersion", BCON_INT64(versions->raised),
	    "LastSyncAt", BCON_DATE_TIME(versions->raised_at_ms)),
	    "setting the version", err);
}

int
store_mongodb_history_keys_put(struct store *base,
    const struct store_history_keys *keys, struct error *err)
{
	bson_t *doc = bson_new(), list;
	char   *id;

	id = xasprintf("%lld/%s/%s/%lld", (long long)keys->version,
	    keys->collection, keys->act, (long long)keys->part);
	store_mongodb_must(bson_init_static(&list, keys->keys,
	    keys->keys_len) && BSON_APPEND_UTF8(doc, "_id", id) &&
	    BSON_APPEND_INT64(doc, "Version", keys->version) &&
	    BSON_APPEND_UTF8(doc, "Collection", keys->collection) &&
	    BSON_APPEND_UTF8(doc, "Act", keys->act) &&
	    BSON_APPEND_INT64(doc, "Part", keys->part) &&
	    BSON_APPEND_ARRAY(doc, "Keys", &list));
	free(id);
	return put_document((struct store_mongodb *)base, HISTORY_KEYS, doc,
	    "writing " HISTORY_KEYS, err);
}

/* Is the history entry of this run there?  -1: that cannot be found out. */
static int
has_entry(const struct store_mongodb *store, mongoc_collection_t *collection)
{
	mongoc_cursor_t *cursor;
	const bson_t	*doc;
	bson_error_t	 cause;
	bson_t		 selector = BSON_INITIALIZER;
	int		 rc;

	store_mongodb_must(BSON_APPEND_INT64(&selector, "_id",
	    store->entry_version));
	cursor = mongoc_collection_find_with_opts(collection, &selector, NULL,
	    NULL);
	rc = mongoc_cursor_next(cursor, &doc);
	if (mongoc_cursor_error(cursor, &cause))
		rc = -1;
	mongoc_cursor_destroy(cursor);
	bson_destroy(&selector);
	return rc;
}

/* The insertion failed; did the server carry it out all the same? */
static int
judge_failure(const struct store_mongodb *store,
    mongoc_collection_t *collection, const bson_error_t *cause,
    struct error *err)
{
	int rc;

	rc = has_entry(store, collection);
	if (rc == 1)
		return 0;
	(void)mongodb_fail(cause, "publishing", err);
	if (rc == -1)
		(void)error_prefix(err, "whether version %lld is published is"
		    " not known (`nompd-sync history` tells)",
		    (long long)store->entry_version);
	return -1;
}

/*
 * Whether this run was held up just before its last write, so that another has
 * the lease: then its entry is taken back.
 */
static int
take_back_if_lost(struct store_mongodb *store,
    mongoc_collection_t *collection, struct error *err)
{
	bson_error_t ignored;
	bson_t	     selector = BSON_INITIALIZER;

	if (!store_mongodb_lease_is_lost(store))
		return 0;
	store_mongodb_must(BSON_APPEND_INT64(&selector, "_id",
	    store->entry_version));
	(void)mongoc_collection_delete_one(collection, &selector, NULL, NULL,
	    &ignored);
	bson_destroy(&selector);
	return error_set(err, STATUS_STORE, "publishing: another run has taken"
	    " the lease; this one was held up and is not published");
}

/* The write that publishes: of the entry that waits for it, if any. */
static int
write_entry(struct store_mongodb *store, struct error *err)
{
	mongoc_collection_t *collection;
	bson_error_t	     cause;
	int		     rc = 0;

	if (store->entry == NULL)
		return 0;
	if (store_mongodb_lease_check(store, err) == -1)
		return -1;
	collection = store_mongodb_collection(store, HISTORY);
	if (!mongoc_collection_insert_one(collection, store->entry, NULL, NULL,
	    &cause))
		rc = judge_failure(store, collection, &cause, err);
	if (rc == 0)
		rc = take_back_if_lost(store, collection, err);
	mongoc_collection_destroy(collection);
	bson_destroy(store->entry);
	store->entry = NULL;
	return rc;
}

/* It is kept until store_publish(), or the next one of a copy: nothing of a run
 * may come behind it. */
int
store_mongodb_history_put(struct store *base,
    const struct store_history *entry, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	bson_t		      tallies;

	if (write_entry(store, err) == -1)
		return -1;
	store->entry = bson_new();
	store->entry_version = entry->version;
	store_mongodb_must(bson_init_static(&tallies, entry->tallies,
	    entry->tallies_len) &&
	    BSON_APPEND_INT64(store->entry, "_id", entry->version) &&
	    BSON_APPEND_INT64(store->entry, "Version", entry->version) &&
	    BSON_APPEND_DATE_TIME(store->entry, "SyncedAt",
	    entry->synced_at_ms) &&
	    BSON_APPEND_INT64(store->entry, "DurationMs",
	    entry->duration_ms) && bson_concat(store->entry, &tallies));
	return 0;
}

int
store_mongodb_publish(struct store *base, struct error *err)
{
	return write_entry((struct store_mongodb *)base, err);
}
