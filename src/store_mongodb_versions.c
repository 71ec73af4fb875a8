/*
 * The MongoDB store: its versions, its history, and which of the versions were
 * finished.
 */
#include <stdlib.h>
#include <string.h>

#include "store_mongodb_int.h"
#include "xalloc.h"

/* Versions of a batch. */
#define VERSION_BATCH 20000

/* What a store of layout 1 knows of states an older program would not heed. */
int
store_mongodb_read_metadata(struct store_mongodb *store,
    struct store_versions *out, struct error *err)
{
	bson_iter_t iter;
	bson_t	    selector, opts, doc;
	int	    rc;

	*out = (struct store_versions){ 0 };
	store->pruned_to = 0;
	store_mongodb_select(&selector, METADATA_ID, strlen(METADATA_ID));
	store_mongodb_read_options(store, &opts);
	rc = mongodb_find_one(store, METADATA, &selector, &opts, &doc, err);
	if (rc != 1)
		return rc;
	out->raised = mongodb_number(&doc, "CurrentVersion");
	out->raised_at_ms = mongodb_time(&doc, "LastSyncAt");
	out->states_from = store->layout >= SCHEMA_STATES &&
	    bson_iter_init_find(&iter, &doc, "StatesFrom") ?
	    bson_iter_as_int64(&iter) : STORE_NO_STATES;
	out->horizon = mongodb_number(&doc, "Horizon");
	store->pruned_to = mongodb_number(&doc, PRUNED_TO);
	bson_destroy(&doc);
	return 0;
}

int
store_mongodb_versions_get(struct store *base, struct store_versions *out,
    struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	struct store_run      newest = { 0 };
	int		      rc;

	if (store->has_begun) {
		*out = store->begun;
		return 0;
	}
	if (store_mongodb_read_metadata(store, out, err) == -1)
		return -1;
	rc = store_mongodb_run_find(base, INT64_MAX, INT64_MAX, &newest, err);
	out->finished = newest.version;
	out->finished_at_ms = newest.synced_at_ms;
	return rc == -1 ? -1 : 0;
}

/* The first run in this order (1, -1) of versions; destroys selector. */
static int
find_run(struct store_mongodb *store, bson_t *selector, int order,
    struct store_run *out, struct error *err)
{
	bson_t opts, doc;
	int    rc;

	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "Version", order, NULL);
	mongodb_show_only(&opts, (const char *const[]){ "Version", "SyncedAt",
	    NULL });
	rc = mongodb_find_one(store, HISTORY, selector, &opts, &doc, err);
	if (rc != 1)
		return rc;
	out->version = mongodb_number(&doc, "Version");
	out->synced_at_ms = mongodb_time(&doc, "SyncedAt");
	bson_destroy(&doc);
	return 1;
}

int
store_mongodb_run_find(struct store *base, int64_t version, int64_t at_ms,
    struct store_run *out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	bson_t		      selector, range;

	/* What was published since is none of what this one sees. */
	if (store->has_begun && version > store->begun.finished)
		version = store->begun.finished;
	bson_init(&selector);
	if (version != INT64_MAX)
		mongodb_where(&selector, "Version", "$lte", version);
	if (at_ms != INT64_MAX)
		store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(&selector,
		    "SyncedAt", &range) && BSON_APPEND_DATE_TIME(&range,
		    "$lte", at_ms) && bson_append_document_end(&selector,
		    &range));
	return find_run(store, &selector, -1, out, err);
}

/* What was published since store_begin() is none of what is read, nor what a
 * run has written of its entry. */
static void
select_begun(const struct store_mongodb *store, bson_t *selector)
{
	if (store->has_begun && store->mode != STORE_RAW)
		mongodb_where(selector, "Version", "$lte",
		    store->begun.finished);
}

int
store_mongodb_run_first(struct store *base, int64_t after_ms, int64_t until_ms,
    struct store_run *out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	bson_t		      selector, range;

	bson_init(&selector);
	select_begun(store, &selector);
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(&selector, "SyncedAt",
	    &range) && BSON_APPEND_DATE_TIME(&range, "$gt", after_ms) &&
	    (until_ms == INT64_MAX ||
	    BSON_APPEND_DATE_TIME(&range, "$lte", until_ms)) &&
	    bson_append_document_end(&selector, &range));
	return find_run(store, &selector, 1, out, err);
}

/* Adds a version that is above all before it. */
static void
add_finished(struct store_mongodb *store, int64_t version)
{
	struct version_range *last;

	if (store->n_finished > 0) {
		last = &store->finished[store->n_finished - 1];
		if (last->last + 1 == version) {
			last->last = version;
			return;
		}
	}
	store->finished = xrealloc(store->finished,
	    (store->n_finished + 1) * sizeof(*store->finished));
	store->finished[store->n_finished++] = (struct version_range){ version,
		version };
}

/* Those whose history entries are gone. */
static void
add_pruned(struct store_mongodb *store)
{
	store->n_finished = 0;
	if (store->pruned_to < 1)
		return;
	add_finished(store, 1);
	store->finished[0].last = store->pruned_to;
}

int
store_mongodb_read_finished(struct store_mongodb *store, struct error *err)
{
	struct store_versions  ignored;
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	bson_t		       selector, opts;
	int		       rc;

	if (store_mongodb_read_metadata(store, &ignored, err) == -1)
		return -1;
	add_pruned(store);
	bson_init(&selector);
	mongodb_where(&selector, "Version", "$gt", store->pruned_to);
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "Version", 1, NULL);
	mongodb_show_only(&opts, (const char *const[]){ "Version", NULL });
	store_mongodb_must(BSON_APPEND_INT32(&opts, "batchSize",
	    VERSION_BATCH));
	cursor = mongodb_find(store, HISTORY, &selector, &opts);
	while ((rc = mongodb_next(cursor, &doc, err)) == 1)
		add_finished(store, mongodb_number(doc, "Version"));
	store_mongodb_cursor_close(&cursor->base);
	store->has_finished = rc == 0;
	return rc;
}

bool
store_mongodb_is_finished(const struct store_mongodb *store, int64_t version)
{
	size_t low = 0, high = store->n_finished, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (version < store->finished[middle].first)
			high = middle;
		else if (version > store->finished[middle].last)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

bool
store_mongodb_note_version(struct store_mongodb *store, int64_t version)
{
	if (store_mongodb_is_finished(store, version))
		return false;
	store->has_strays = true;
	return true;
}

int
store_mongodb_history_open(struct store *base, int64_t limit,
    struct store_cursor **out, struct error *err)
{
	struct store_mongodb  *store = (struct store_mongodb *)base;
	struct mongodb_cursor *cursor;
	bson_t		       selector, opts;

	(void)err;
	bson_init(&selector);
	select_begun(store, &selector);
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "Version", -1, NULL);
	store_mongodb_must(BSON_APPEND_INT64(&opts, "limit", limit));
	cursor = mongodb_find(store, HISTORY, &selector, &opts);
	/* A run sees what it has written, as in a transaction. */
	cursor->waiting = store->entry;
	cursor->left = limit;
	*out = &cursor->base;
	return 0;
}

/* The member of an entry that is its seal; NULL when it has none. */
static const uint8_t *
find_seal(const bson_t *doc, size_t *len)
{
	bson_iter_t    iter;
	const uint8_t *data = NULL;
	uint32_t       bytes = 0;

	if (bson_iter_init_find(&iter, doc, SEAL) &&
	    BSON_ITER_HOLDS_DOCUMENT(&iter))
		bson_iter_document(&iter, &bytes, &data);
	*len = bytes;
	return data;
}

int
store_mongodb_history_next(struct store_cursor *base,
    struct store_history *entry, struct error *err)
{
	struct mongodb_cursor *cursor = (struct mongodb_cursor *)base;
	const bson_t	      *doc = cursor->waiting;
	int		       rc;

	if (cursor->left-- == 0)
		return 0;
	rc = doc != NULL ? 1 : mongodb_next(cursor, &doc, err);
	cursor->waiting = NULL;
	if (rc != 1)
		return rc;
	bson_destroy(cursor->tallies);
	cursor->tallies = bson_new();
	bson_copy_to_excluding_noinit(doc, cursor->tallies, "_id", "Version",
	    "SyncedAt", "DurationMs", SEAL, NULL);
	*entry = (struct store_history){
		.version = mongodb_number(doc, "Version"),
		.synced_at_ms = mongodb_time(doc, "SyncedAt"),
		.duration_ms = mongodb_number(doc, "DurationMs"),
		.tallies = bson_get_data(cursor->tallies),
		.tallies_len = cursor->tallies->len,
	};
	entry->seal = find_seal(doc, &entry->seal_len);
	return 1;
}

/* That of the entry that waits to be written, too. */
int
store_mongodb_seal_get(struct store *base, int64_t version, uint8_t **seal,
    size_t *len, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	const uint8_t	     *found;
	bson_t		      selector, opts, doc;
	int		      rc = 1;

	if (store->entry != NULL && store->entry_version == version)
		bson_copy_to(store->entry, &doc);
	else {
		bson_init(&selector);
		store_mongodb_must(BSON_APPEND_INT64(&selector, "Version",
		    version));
		store_mongodb_read_options(store, &opts);
		mongodb_show_only(&opts, (const char *const[]){ SEAL, NULL });
		rc = mongodb_find_one(store, HISTORY, &selector, &opts, &doc,
		    err);
	}
	if (rc != 1)
		return rc;
	found = find_seal(&doc, len);
	if (found != NULL)
		*seal = memcpy(xcalloc(1, *len), found, *len);
	bson_destroy(&doc);
	return 1;
}

int
store_mongodb_history_keys_open(struct store *base, int64_t version,
    const char *collection, const char *act, struct store_cursor **out,
    struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	bson_t		      selector, opts;

	(void)err;
	bson_init(&selector);
	store_mongodb_must(BSON_APPEND_INT64(&selector, "Version", version) &&
	    BSON_APPEND_UTF8(&selector, "Collection", collection) &&
	    BSON_APPEND_UTF8(&selector, "Act", act));
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "Part", 1, NULL);
	*out = &mongodb_find(store, HISTORY_KEYS, &selector, &opts)->base;
	return 0;
}

int
store_mongodb_history_parts_open(struct store *base, struct store_cursor **out,
    struct error *err)
{
	static const char *const names[] = { "Version", "Collection", "Act",
		"Part" };
	struct store_mongodb	*store = (struct store_mongodb *)base;
	bson_t			 selector, opts, sort;
	size_t			 i;

	(void)err;
	bson_init(&selector);
	select_begun(store, &selector);
	store_mongodb_read_options(store, &opts);
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		store_mongodb_must(BSON_APPEND_INT32(&sort, names[i], 1));
	store_mongodb_must(bson_append_document_end(&opts, &sort));
	*out = &mongodb_find(store, HISTORY_KEYS, &selector, &opts)->base;
	return 0;
}

int
store_mongodb_history_keys_next(struct store_cursor *base,
    struct store_history_keys *keys, struct error *err)
{
	struct mongodb_cursor *cursor = (struct mongodb_cursor *)base;
	const bson_t	      *doc;
	bson_iter_t	       iter;
	uint32_t	       bytes = 0;
	size_t		       len;
	int		       rc;

	rc = mongodb_next(cursor, &doc, err);
	if (rc != 1)
		return rc;
	*keys = (struct store_history_keys){
		.version = mongodb_number(doc, "Version"),
		.collection = mongodb_text(doc, "Collection", &len),
		.act = mongodb_text(doc, "Act", &len),
		.part = mongodb_number(doc, "Part"),
	};
	if (bson_iter_init_find(&iter, doc, "Keys") &&
	    BSON_ITER_HOLDS_ARRAY(&iter))
		bson_iter_array(&iter, &bytes, &keys->keys);
	keys->keys_len = bytes;
	return 1;
}
