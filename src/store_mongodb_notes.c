/* The MongoDB store: notes.  Each is a document with its BSON in Data. */
#include <stdlib.h>
#include <string.h>

#include "store_mongodb_int.h"
#include "xalloc.h"

int
store_mongodb_note_put(struct store *base, const char *id, const uint8_t *data,
    size_t len, struct error *err)
{
	bson_t *doc, note;

	if (!bson_init_static(&note, data, len))
		return error_set(err, STATUS_STORE, "the note \"%s\" is not"
		    " BSON", id);
	doc = bson_new();
	store_mongodb_must(BSON_APPEND_UTF8(doc, "_id", id) &&
	    BSON_APPEND_DOCUMENT(doc, "Data", &note));
	return store_mongodb_put_document((struct store_mongodb *)base, NOTES,
	    doc, "writing " NOTES, err);
}

/* The ids from first on to before end; the caller destroys it. */
static void
select_range(bson_t *selector, const char *first, const char *end)
{
	bson_t range;

	bson_init(selector);
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(selector, "_id",
	    &range) && BSON_APPEND_UTF8(&range, "$gte", first) &&
	    BSON_APPEND_UTF8(&range, "$lt", end) &&
	    bson_append_document_end(selector, &range));
}

int
store_mongodb_notes_open(struct store *base, const char *first,
    const char *end, struct store_cursor **out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	bson_t		      selector, opts;

	(void)err;
	select_range(&selector, first, end);
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "_id", 1, NULL);
	*out = &mongodb_find(store, NOTES, &selector, &opts)->base;
	return 0;
}

int
store_mongodb_notes_next(struct store_cursor *base, struct store_note *note,
    struct error *err)
{
	const bson_t *doc;
	size_t	      len;
	int	      rc;

	rc = mongodb_next((struct mongodb_cursor *)base, &doc, err);
	if (rc != 1)
		return rc;
	note->id = mongodb_text(doc, "_id", &len);
	note->data = mongodb_document(doc, "Data", &note->len);
	return 1;
}

int
store_mongodb_notes_delete(struct store *base, const char *first,
    const char *end, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	mongoc_collection_t  *collection;
	bson_error_t	      cause;
	bson_t		      selector;
	int		      rc = 0;

	if (store_mongodb_lease_check(store, err) == -1)
		return -1;
	collection = store_mongodb_collection(store, NOTES);
	select_range(&selector, first, end);
	if (!mongoc_collection_delete_many(collection, &selector, NULL, NULL,
	    &cause))
		rc = mongodb_fail(&cause, "deleting from " NOTES, err);
	bson_destroy(&selector);
	mongoc_collection_destroy(collection);
	return rc;
}
