/* The MongoDB store: how it searches, and what a document's members say. */
#include <stdlib.h>
#include <string.h>

#include "sqlite_keys.h"
#include "store_mongodb_int.h"
#include "xalloc.h"

static struct mongodb_cursor *
cursor_new(struct store_mongodb *store, const char *collection)
{
	struct mongodb_cursor *cursor;

	cursor = xcalloc(1, sizeof(*cursor));
	cursor->collection = store_mongodb_collection(store, collection);
	cursor->key = "_id";
	return cursor;
}

struct mongodb_cursor *
mongodb_find(struct store_mongodb *store, const char *collection,
    bson_t *selector, bson_t *opts)
{
	struct mongodb_cursor *cursor = cursor_new(store, collection);

	cursor->cursor = mongoc_collection_find_with_opts(cursor->collection,
	    selector, opts, NULL);
	bson_destroy(selector);
	bson_destroy(opts);
	return cursor;
}

struct mongodb_cursor *
mongodb_aggregate(struct store_mongodb *store, const char *collection,
    bson_t *pipeline, bson_t *opts)
{
	struct mongodb_cursor *cursor = cursor_new(store, collection);

	cursor->cursor = mongoc_collection_aggregate(cursor->collection,
	    MONGOC_QUERY_NONE, pipeline, opts, NULL);
	bson_destroy(pipeline);
	bson_destroy(opts);
	return cursor;
}

void
store_mongodb_cursor_close(struct store_cursor *base)
{
	struct mongodb_cursor *cursor = (struct mongodb_cursor *)base;

	mongoc_cursor_destroy(cursor->cursor);
	mongoc_collection_destroy(cursor->collection);
	sqlite_keys_close(cursor->seen);
	store_mongodb_view_free(cursor->view);
	bson_destroy(cursor->tallies);
	free(cursor);
}

int
mongodb_next(struct mongodb_cursor *cursor, const bson_t **doc,
    struct error *err)
{
	bson_error_t cause;
	char	    *doing;

	if (cursor->is_over)
		return 0;
	if (mongoc_cursor_next(cursor->cursor, doc))
		return 1;
	/* The driver has an error for one that is asked again. */
	cursor->is_over = true;
	if (!mongoc_cursor_error(cursor->cursor, &cause))
		return 0;
	doing = xasprintf("reading %s",
	    mongoc_collection_get_name(cursor->collection));
	(void)mongodb_fail(&cause, doing, err);
	free(doing);
	return -1;
}

void
mongodb_sort_by(bson_t *opts, const char *first, int32_t order,
    const char *second)
{
	bson_t sort;

	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(opts, "sort", &sort) &&
	    BSON_APPEND_INT32(&sort, first, order) && (second == NULL ||
	    BSON_APPEND_INT32(&sort, second, order)) &&
	    bson_append_document_end(opts, &sort));
}

void
mongodb_show_only(bson_t *opts, const char *const names[])
{
	bson_t projection;
	bool   has_id = false;

	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(opts, "projection",
	    &projection));
	for (; *names != NULL; names++) {
		has_id = has_id || strcmp(*names, "_id") == 0;
		store_mongodb_must(BSON_APPEND_INT32(&projection, *names, 1));
	}
	/* Otherwise it comes unasked, and an index alone has no answer. */
	if (!has_id)
		store_mongodb_must(BSON_APPEND_INT32(&projection, "_id", 0));
	store_mongodb_must(bson_append_document_end(opts, &projection));
}

int
mongodb_find_one(struct store_mongodb *store, const char *collection,
    bson_t *selector, bson_t *opts, bson_t *out, struct error *err)
{
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	int		       rc;

	store_mongodb_must(BSON_APPEND_INT64(opts, "limit", 1));
	cursor = mongodb_find(store, collection, selector, opts);
	rc = mongodb_next(cursor, &doc, err);
	if (rc == 1)
		bson_copy_to(doc, out);
	store_mongodb_cursor_close(&cursor->base);
	return rc;
}

int64_t
mongodb_number(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, name) ?
	    bson_iter_as_int64(&iter) : 0;
}

int64_t
mongodb_time(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, name) &&
	    BSON_ITER_HOLDS_DATE_TIME(&iter) ? bson_iter_date_time(&iter) : 0;
}

bool
mongodb_is_true(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, name) &&
	    bson_iter_as_bool(&iter);
}

const char *
mongodb_text(const bson_t *doc, const char *name, size_t *len)
{
	bson_iter_t iter;
	uint32_t    bytes = 0;
	const char *text = "";

	if (bson_iter_init_find(&iter, doc, name) &&
	    BSON_ITER_HOLDS_UTF8(&iter))
		text = bson_iter_utf8(&iter, &bytes);
	*len = bytes;
	return text;
}

const uint8_t *
mongodb_document(const bson_t *doc, const char *name, size_t *len)
{
	const uint8_t *data = NULL;
	bson_iter_t    iter;
	uint32_t       bytes = 0;

	if (bson_iter_init_find(&iter, doc, name) &&
	    BSON_ITER_HOLDS_DOCUMENT(&iter))
		bson_iter_document(&iter, &bytes, &data);
	*len = bytes;
	return data;
}

int
mongodb_key(const struct mongodb_cursor *cursor, const bson_t *doc,
    const char **key, size_t *len, struct error *err)
{
	bson_iter_t iter;
	uint32_t    bytes;

	if (!bson_iter_init_find(&iter, doc, cursor->key) ||
	    !BSON_ITER_HOLDS_UTF8(&iter))
		return error_set(err, STATUS_STORE, "%s has a document whose"
		    " %s is no text; it is none of ours: remove it, or name"
		    " another database",
		    mongoc_collection_get_name(cursor->collection),
		    cursor->key);
	*key = bson_iter_utf8(&iter, &bytes);
	*len = bytes;
	return 0;
}

int
mongodb_record(const struct mongodb_cursor *cursor, const bson_t *doc,
    struct store_record *record, struct error *err)
{
	const char *hash;
	size_t	    len;

	if (mongodb_key(cursor, doc, &record->key, &record->len, err) == -1)
		return -1;
	record->data = mongodb_document(doc, "Data", &record->data_len);
	record->version = mongodb_number(doc, "Version");
	record->updated_at_ms = mongodb_time(doc, "UpdatedAt");
	record->is_deleted = mongodb_is_true(doc, "IsDeleted");
	hash = mongodb_text(doc, "ContentHash", &len);
	store_set_hash_text(record->hash, hash, len);
	hash = mongodb_text(doc, "JsonHash", &len);
	store_set_hash_text(record->json_hash, hash, len);
	record->replaced_in = mongodb_number(doc, "ReplacedIn");
	return 1;
}

int
mongodb_count(struct store_mongodb *store, const char *collection,
    bson_t *selector, int64_t *out, struct error *err)
{
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	bson_t		      *pipeline, opts;
	int		       rc;

	*out = 0;
	store_mongodb_read_options(store, &opts);
	pipeline = BCON_NEW("pipeline", "[", "{", "$match",
	    BCON_DOCUMENT(selector), "}", "{", "$group", "{",
	    "_id", BCON_NULL, "Count", "{", "$sum", BCON_INT64(1), "}",
	    "}", "}", "]");
	bson_destroy(selector);
	cursor = mongodb_aggregate(store, collection, pipeline, &opts);
	rc = mongodb_next(cursor, &doc, err);
	if (rc == 1)
		*out = mongodb_number(doc, "Count");
	store_mongodb_cursor_close(&cursor->base);
	return rc == -1 ? -1 : 0;
}

int
mongodb_delete(struct store_mongodb *store, const char *collection,
    bson_t *selector, struct error *err)
{
	mongoc_collection_t *handle;
	bson_error_t	     cause;
	char		    *doing;
	int		     rc;

	doing = xasprintf("deleting from %s", collection);
	rc = store_mongodb_lease_check(store, err);
	handle = store_mongodb_collection(store, collection);
	if (rc == 0 && !mongoc_collection_delete_many(handle, selector, NULL,
	    NULL, &cause))
		rc = mongodb_fail(&cause, doing, err);
	mongoc_collection_destroy(handle);
	bson_destroy(selector);
	free(doing);
	return rc;
}

void
mongodb_where(bson_t *selector, const char *name, const char *operator,
    int64_t number)
{
	bson_t condition;

	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(selector, name,
	    &condition) && BSON_APPEND_INT64(&condition, operator, number) &&
	    bson_append_document_end(selector, &condition));
}
