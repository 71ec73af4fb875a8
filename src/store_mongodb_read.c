/* The MongoDB store: what it answers. */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "sqlite_keys.h"
#include "store_mongodb_int.h"
#include "words.h"
#include "xalloc.h"

/* Documents of a batch: small ones for a scan of the old state; else the server
 * bounds a batch by its bytes. */
#define STATE_BATCH 20000

/* The index that has all that outlines ask for.  Each run sees to it that it is
 * there; who reads may find it gone, and then does without it. */
static void
hint_outline(const struct store_mongodb *store, const char *collection,
    bson_t *opts)
{
	char *hint;

	if (!store_mongodb_writes(store) || store->layout < SCHEMA_STATES)
		return;
	hint = xasprintf("%s_Outline", collection);
	store_mongodb_must(BSON_APPEND_UTF8(opts, "hint", hint));
	free(hint);
}

/* A scan of a collection without its data, tombstones included. */
static struct mongodb_cursor *
scan_outline(struct store_mongodb *store, const char *collection,
    const char *const names[])
{
	bson_t selector, opts;

	bson_init(&selector);
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "_id", 1, NULL);
	mongodb_show_only(&opts, names);
	store_mongodb_must(BSON_APPEND_INT32(&opts, "batchSize",
	    STATE_BATCH));
	hint_outline(store, collection, &opts);
	return mongodb_find(store, collection, &selector, &opts);
}

int
store_mongodb_state_open(struct store *base, const char *collection,
    struct store_cursor **out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	int64_t		      shown = store_mongodb_shown(store);
	struct view_question  question = { .with_deleted = true,
		 .without_data = true };

	*out = NULL;
	/* A dry run as well: it tells what a run would do. */
	if (!store->has_finished &&
	    store_mongodb_read_finished(store, err) == -1)
		return -1;
	if (shown != -1) {
		question.collection = collection;
		*out = &store_mongodb_view_open(store, &question, shown)->base;
		return 0;
	}
	*out = &scan_outline(store, collection, (const char *const[]){ "_id",
	    "IsDeleted", "ContentHash", "Version", NULL })->base;
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

	rc = cursor->view != NULL ? store_mongodb_view_next(cursor, &doc,
	    err) : mongodb_next(cursor, &doc, err);
	if (rc == 0)
		words_add(&store->scanned,
		    mongoc_collection_get_name(cursor->collection));
	if (rc != 1)
		return rc;
	if (mongodb_key(cursor, doc, &state->key, &state->len, err) == -1)
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
store_mongodb_outline_open(struct store *base, const char *collection,
    struct store_cursor **out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;

	(void)err;
	*out = &scan_outline(store, collection, (const char *const[]){ "_id",
	    "IsDeleted", "ContentHash", "Version", "JsonHash", NULL })->base;
	return 0;
}

int
store_mongodb_outline_next(struct store_cursor *base,
    struct store_outline *outline, struct error *err)
{
	struct mongodb_cursor *cursor = (struct mongodb_cursor *)base;
	const bson_t	      *doc;
	const char	      *hash;
	size_t		       len;
	int		       rc;

	rc = mongodb_next(cursor, &doc, err);
	if (rc != 1)
		return rc;
	if (mongodb_key(cursor, doc, &outline->key, &outline->len, err) == -1)
		return -1;
	outline->version = mongodb_number(doc, "Version");
	outline->is_deleted = mongodb_is_true(doc, "IsDeleted");
	hash = mongodb_text(doc, "ContentHash", &len);
	store_set_hash_text(outline->hash, hash, len);
	hash = mongodb_text(doc, "JsonHash", &len);
	store_set_hash_text(outline->json_hash, hash, len);
	return 1;
}

/* What is there now, whatever it is. */
static struct mongodb_cursor *
find_now(struct store_mongodb *store, const struct view_question *question)
{
	struct mongodb_cursor *cursor;
	bson_t		       selector, opts;

	bson_init(&selector);
	if (question->by_version)
		mongodb_where(&selector, "Version", "$gt", question->since);
	if (!question->with_deleted)
		store_mongodb_must(BSON_APPEND_BOOL(&selector, "IsDeleted",
		    false));
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, question->by_version ? "Version" : "_id", 1,
	    question->by_version ? "_id" : NULL);
	cursor = mongodb_find(store, question->collection, &selector, &opts);
	cursor->keeps_seen = question->by_version;
	return cursor;
}

static struct store_cursor *
open_question(struct store_mongodb *store,
    const struct view_question *question)
{
	int64_t shown = store_mongodb_shown(store);

	return shown == -1 ? &find_now(store, question)->base :
	    &store_mongodb_view_open(store, question, shown)->base;
}

int
store_mongodb_records_open(struct store *base, const char *collection,
    bool with_deleted, struct store_cursor **out, struct error *err)
{
	(void)err;
	*out = open_question((struct store_mongodb *)base,
	    &(struct view_question){ .collection = collection,
	    .with_deleted = with_deleted });
	return 0;
}

int
store_mongodb_changes_open(struct store *base, const char *collection,
    int64_t since, bool with_deleted, struct store_cursor **out,
    struct error *err)
{
	(void)err;
	*out = open_question((struct store_mongodb *)base,
	    &(struct view_question){ .collection = collection,
	    .by_version = true, .since = since,
	    .with_deleted = with_deleted });
	return 0;
}

/*
 * One record by its key: a document that is read ahead, in the cursor's place
 * for one that waits.
 */
static int
find_shown(struct store_mongodb *store, const char *collection,
    struct mongodb_cursor *cursor, const char *key, size_t len,
    struct mongodb_cursor **out, struct error *err)
{
	int64_t	      shown = store_mongodb_shown(store);
	const bson_t *doc;
	int	      rc;

	rc = mongodb_next(cursor, &doc, err);
	if (rc == 1 && mongodb_number(doc, "Version") <= shown) {
		cursor->waiting = doc;
		*out = cursor;
		return 0;
	}
	store_mongodb_cursor_close(&cursor->base);
	if (rc == -1)
		return -1;
	/* A run has rewritten it, or it was not there then. */
	cursor = store_mongodb_view_state(store, collection, key, len, shown);
	rc = mongodb_next(cursor, &doc, err);
	if (rc == 1)
		cursor->waiting = doc;
	else if (rc == 0)
		rc = store_mongodb_view_check(store, shown, true, 0, err);
	*out = cursor;
	if (rc == -1)
		store_mongodb_cursor_close(&cursor->base);
	return rc == -1 ? -1 : 0;
}

int
store_mongodb_record_open(struct store *base, const char *collection,
    const char *key, size_t len, struct store_cursor **out, struct error *err)
{
	struct store_mongodb  *store = (struct store_mongodb *)base;
	struct mongodb_cursor *cursor;
	bson_t		       selector, opts;

	store_mongodb_select(&selector, key, len);
	store_mongodb_read_options(store, &opts);
	cursor = mongodb_find(store, collection, &selector, &opts);
	if (store_mongodb_shown(store) != -1 && find_shown(store, collection,
	    cursor, key, len, &cursor, err) == -1)
		return -1;
	*out = &cursor->base;
	return 0;
}

/* In a view those that versions up to it have replaced; what a run that is not
 * finished has left is none of them, undone or not. */
int
store_mongodb_states_open(struct store *base, const char *collection,
    const char *key, size_t len, struct store_cursor **out, struct error *err)
{
	struct store_mongodb  *store = (struct store_mongodb *)base;
	struct mongodb_cursor *cursor;
	int64_t		       shown = store_mongodb_shown(store);
	bson_t		       selector, opts, sort;

	(void)err;
	if (store->layout < SCHEMA_STATES) {
		*out = store_cursor_empty(base);
		return 0;
	}
	bson_init(&selector);
	store_mongodb_must(BSON_APPEND_UTF8(&selector, "Collection",
	    collection) && (key == NULL || bson_append_utf8(&selector,
	    "BusinessKey", -1, key, (int)len)));
	if (shown != -1)
		mongodb_where(&selector, "ReplacedIn", "$lte", shown);
	store_mongodb_select_kept(&selector);
	store_mongodb_read_options(store, &opts);
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort) &&
	    BSON_APPEND_INT32(&sort, "Collection", 1) &&
	    BSON_APPEND_INT32(&sort, "BusinessKey", 1) &&
	    BSON_APPEND_INT32(&sort, "Version", 1) &&
	    bson_append_document_end(&opts, &sort));
	if (key != NULL)
		store_mongodb_must(BSON_APPEND_UTF8(&opts, "hint",
		    STATES_OF_KEY));
	cursor = mongodb_find(store, COLLECTION_STATES, &selector, &opts);
	cursor->key = "BusinessKey";
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

static int
next_document(struct mongodb_cursor *cursor, const bson_t **doc,
    struct error *err)
{
	if (cursor->waiting != NULL) {
		*doc = cursor->waiting;
		cursor->waiting = NULL;
		return 1;
	}
	return cursor->view != NULL ? store_mongodb_view_next(cursor, doc,
	    err) : mongodb_next(cursor, doc, err);
}

int
store_mongodb_record_next(struct store_cursor *base,
    struct store_record *record, struct error *err)
{
	struct mongodb_cursor *cursor = (struct mongodb_cursor *)base;
	const bson_t	      *doc;
	int		       rc;

	while ((rc = next_document(cursor, &doc, err)) == 1) {
		rc = mongodb_record(cursor, doc, record, err);
		if (rc == 1)
			rc = see(cursor, record, err);
		if (rc != 0)
			return rc;
	}
	return rc;
}

/* What is there now; shown is not -1: up to that version. */
static int
count_records(struct store_mongodb *store, const char *collection,
    int64_t shown, struct store_counts *out, struct error *err)
{
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	bson_t		      *pipeline, opts, selector;
	int		       rc;

	store_mongodb_read_options(store, &opts);
	hint_outline(store, collection, &opts);
	bson_init(&selector);
	if (shown != -1)
		mongodb_where(&selector, "Version", "$lte", shown);
	pipeline = BCON_NEW("pipeline", "[", "{", "$match",
	    BCON_DOCUMENT(&selector), "}", "{", "$group", "{",
	    "_id", "$IsDeleted", "Count", "{", "$sum", BCON_INT64(1), "}",
	    "}", "}", "]");
	bson_destroy(&selector);
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

/* One by one. */
static int
count_shown(struct store_mongodb *store, const char *collection,
    int64_t shown, struct store_counts *out, struct error *err)
{
	struct view_question   question = { .collection = collection,
		  .with_deleted = true, .without_data = true };
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	int		       rc;

	*out = (struct store_counts){ 0 };
	cursor = store_mongodb_view_open(store, &question, shown);
	while ((rc = store_mongodb_view_next(cursor, &doc, err)) == 1) {
		if (mongodb_is_true(doc, "IsDeleted"))
			out->deleted++;
		else
			out->live++;
	}
	store_mongodb_cursor_close(&cursor->base);
	return rc;
}

/*
 * As exact as a cursor of the records.  When no record has been rewritten since
 * the version that is shown, also not after they were counted, a count by the
 * server is that; else they are read.
 */
int
store_mongodb_counts_get(struct store *base, const char *collection,
    struct store_counts *out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	int64_t		      shown = store_mongodb_shown(store);
	int		      rc;

	*out = (struct store_counts){ 0 };
	rc = count_records(store, collection, shown, out, err);
	if (rc == -1 || shown == -1)
		return rc;
	rc = store_mongodb_view_has_states(store, collection, shown, err);
	if (rc == 0)
		rc = store_mongodb_view_check(store, shown, true, 0, err);
	else if (rc == 1)
		rc = count_shown(store, collection, shown, out, err);
	return rc;
}
