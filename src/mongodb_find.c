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
	bson_destroy(cursor->tallies);
	free(cursor);
}

int
mongodb_next(struct mongodb_cursor *cursor, const bson_t **doc,
    struct error *err)
{
	bson_error_t cause;
	char	    *doing;

	if (mongoc_cursor_next(cursor->cursor, doc))
		return 1;
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
