/* The MongoDB store: what it answers. */
#include <stdlib.h>
#include <string.h>

#include "sqlite_keys.h"
#include "store_mongodb_int.h"
#include "words.h"
#include "xalloc.h"

/* Documents of a batch: small ones for a scan of the old state; else the server
 * bounds a batch by its bytes. */
#define STATE_BATCH 20000

int
store_mongodb_state_open(struct store *base, const char *collection,
    struct store_cursor **out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	bson_t		      selector, opts;
	char		     *hint;

	*out = NULL;
	/* A dry run as well: it tells what a run would do. */
	if (!store->has_finished &&
	    store_mongodb_read_finished(store, err) == -1)
		return -1;
	bson_init(&selector);
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "_id", 1, NULL);
	mongodb_show_only(&opts, (const char *const[]){ "_id", "IsDeleted",
	    "ContentHash", "Version", NULL });
	store_mongodb_must(BSON_APPEND_INT32(&opts, "batchSize",
	    STATE_BATCH));
	/* The index has all that is asked for.  A writer knows that it is
	 * there. */
	if (store_mongodb_writes(store)) {
		hint = xasprintf("%s_State", collection);
		store_mongodb_must(BSON_APPEND_UTF8(&opts, "hint", hint));
		free(hint);
	}
	*out = &mongodb_find(store, collection, &selector, &opts)->base;
	return 0;
}

/* The document's _id; -1 with the name of its collection when it has none. */
static int
read_key(const struct mongodb_cursor *cursor, const bson_t *doc,
    const char **key, size_t *len, struct error *err)
{
	bson_iter_t iter;
	uint32_t    bytes;

	if (!bson_iter_init_find(&iter, doc, "_id") ||
	    !BSON_ITER_HOLDS_UTF8(&iter))
		return error_set(err, STATUS_STORE, "%s has a document whose"
		    " _id is no text; it is none of ours: remove it, or name"
		    " another database",
		    mongoc_collection_get_name(cursor->collection));
	*key = bson_iter_utf8(&iter, &bytes);
	*len = bytes;
	return 0;
}

int
store_mongodb_state_next(struct store_cursor *base, struct store_state *state,
    struct error *err)
{
	struct mongodb_cursor *cursor = (struct mongodb_cursor *)base;
	struct store_mongodb  *store = (struct store_mongodb *)base->store;
	const bson_t	      *doc;
	const char	      *hash;
	size_t		       len;
	int		       rc;

	rc = mongodb_next(cursor, &doc, err);
	if (rc == 0)
		words_add(&store->scanned,
		    mongoc_collection_get_name(cursor->collection));
	if (rc != 1)
		return rc;
	if (read_key(cursor, doc, &state->key, &state->len, err) == -1)
		return -1;
	state->is_deleted = mongodb_is_true(doc, "IsDeleted");
	hash = mongodb_text(doc, "ContentHash", &len);
	store_state_set_hash(state, hash, len);
	/* What a run has left that was not finished may be anything: it is
	 * written anew. */
	if (store_mongodb_note_version(store, mongodb_number(doc, "Version")))
		memset(state->hash, 0, sizeof(state->hash));
	return 1;
}

int
store_mongodb_records_open(struct store *base, const char *collection,
    bool with_deleted, struct store_cursor **out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	bson_t		      selector, opts;

	(void)err;
	bson_init(&selector);
	if (!with_deleted)
		store_mongodb_must(BSON_APPEND_BOOL(&selector, "IsDeleted",
		    false));
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "_id", 1, NULL);
	*out = &mongodb_find(store, collection, &selector, &opts)->base;
	return 0;
}

int
store_mongodb_record_open(struct store *base, const char *collection,
    const char *key, size_t len, struct store_cursor **out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	bson_t		      selector, opts;

	(void)err;
	store_mongodb_select(&selector, key, len);
	store_mongodb_read_options(store, &opts);
	*out = &mongodb_find(store, collection, &selector, &opts)->base;
	return 0;
}

int
store_mongodb_changes_open(struct store *base, const char *collection,
    int64_t since, bool with_deleted, struct store_cursor **out,
    struct error *err)
{
	struct store_mongodb  *store = (struct store_mongodb *)base;
	struct mongodb_cursor *cursor;
	bson_t		       selector, opts, above;

	(void)err;
	bson_init(&selector);
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(&selector, "Version",
	    &above) && BSON_APPEND_INT64(&above, "$gt", since) &&
	    bson_append_document_end(&selector, &above));
	if (!with_deleted)
		store_mongodb_must(BSON_APPEND_BOOL(&selector, "IsDeleted",
		    false));
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "Version", 1, "_id");
	cursor = mongodb_find(store, collection, &selector, &opts);
	cursor->keeps_seen = true;
	*out = &cursor->base;
	return 0;
}

/* 1 = the key is to be given, 0 = it was given before. */
static int
see(struct mongodb_cursor *cursor, const struct store_record *record,
    struct error *err)
{
	if (!cursor->keeps_seen)
		return 1;
	if (cursor->seen == NULL && sqlite_keys_open(&cursor->seen, err) == -1)
		return -1;
	return sqlite_keys_add(cursor->seen, record->key, record->len, err);
}

/* The next document that this cursor has not given yet. */
static int
next_unseen(struct mongodb_cursor *cursor, const bson_t **doc,
    struct store_record *record, struct error *err)
{
	int rc;

	while ((rc = mongodb_next(cursor, doc, err)) == 1) {
		if (read_key(cursor, *doc, &record->key, &record->len, err) ==
		    -1)
			return -1;
		rc = see(cursor, record, err);
		if (rc != 0)
			return rc;
	}
	return rc;
}

int
store_mongodb_record_next(struct store_cursor *base,
    struct store_record *record, struct error *err)
{
	struct mongodb_cursor *cursor = (struct mongodb_cursor *)base;
	const bson_t	      *doc;
	const char	      *hash;
	size_t		       len;
	int		       rc;

	rc = next_unseen(cursor, &doc, record, err);
	if (rc != 1)
		return rc;
	record->data = mongodb_document(doc, "Data", &record->data_len);
	record->version = mongodb_number(doc, "Version");
	record->updated_at_ms = mongodb_time(doc, "UpdatedAt");
	record->is_deleted = mongodb_is_true(doc, "IsDeleted");
	hash = mongodb_text(doc, "ContentHash", &len);
	store_set_hash_text(record->hash, hash, len);
	return 1;
}

int
store_mongodb_counts_get(struct store *base, const char *collection,
    struct store_counts *out, struct error *err)
{
	struct store_mongodb  *store = (struct store_mongodb *)base;
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	bson_t		      *pipeline, opts;
	char		      *hint;
	int		       rc;

	*out = (struct store_counts){ 0 };
	store_mongodb_read_options(store, &opts);
	/* Each run sees to it that this index is there. */
	hint = xasprintf("%s_State", collection);
	if (store->mode != STORE_DRY)
		store_mongodb_must(BSON_APPEND_UTF8(&opts, "hint", hint));
	free(hint);
	pipeline = BCON_NEW("pipeline", "[", "{", "$group", "{",
	    "_id", "$IsDeleted", "Count", "{", "$sum", BCON_INT64(1), "}",
	    "}", "}", "]");
	cursor = mongodb_aggregate(store, collection, pipeline, &opts);
	while ((rc = mongodb_next(cursor, &doc, err)) == 1) {
		if (mongodb_is_true(doc, "_id"))
			out->deleted += mongodb_number(doc, "Count");
		else
			out->live += mongodb_number(doc, "Count");
	}
	store_mongodb_cursor_close(&cursor->base);
	return rc;
}
