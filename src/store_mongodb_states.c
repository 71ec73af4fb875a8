/*
 * The MongoDB store: former states.  Before a run rewrites records it reads
 * what is there, and writes it to the history of records under the version that
 * is about to replace it; only when that is confirmed are the records sent.  A
 * run that dies in between leaves states of records that are as they were.
 */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "collection.h"
#include "store_mongodb_int.h"
#include "xalloc.h"

/* Records that are looked at in one question when states are mended. */
#define MAX_MENDED 1000

/* States on their way; handle NULL: none. */
struct saver {
	struct store_mongodb	*store;
	const char		*collection;
	mongoc_collection_t	*target;
	mongoc_bulk_operation_t *handle;
	int64_t			 count;
	size_t			 bytes;
};

void
store_mongodb_state_id(struct buf *id, const char *collection, int64_t version,
    const char *key, size_t len)
{
	buf_print(id, "%s/%lld/", collection, (long long)version);
	buf_append(id, key, len);
}

void
store_mongodb_select_kept(bson_t *selector)
{
	bson_t mark;

	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(selector, STATE_UNDONE,
	    &mark) && BSON_APPEND_BOOL(&mark, "$exists", false) &&
	    bson_append_document_end(selector, &mark));
}

static int
fail_unbalanced(const struct saver *saver, int64_t written, struct error *err)
{
	return error_set(err, STATUS_UNBALANCED, "%s: %lld former states were"
	    " to be saved and %lld were; nothing is published: start it again"
	    " and, when it comes again, report it with the log",
	    saver->collection, (long long)saver->count, (long long)written);
}

static int
send_states(struct saver *saver, struct error *err)
{
	bson_error_t cause;
	bson_t	     reply;
	int64_t	     written;
	int	     rc = 0;

	if (saver->handle == NULL)
		return 0;
	if (store_mongodb_lease_check(saver->store, err) == -1)
		return -1;
	store_trace_step(&saver->store->base, "states", saver->collection);
	if (mongoc_bulk_operation_execute(saver->handle, &reply, &cause) == 0)
		rc = mongodb_fail(&cause, "writing " COLLECTION_STATES, err);
	written = mongodb_number(&reply, "nMatched") +
	    mongodb_number(&reply, "nUpserted");
	if (rc == 0 && written != saver->count)
		rc = fail_unbalanced(saver, written, err);
	bson_destroy(&reply);
	mongoc_bulk_operation_destroy(saver->handle);
	saver->handle = NULL;
	saver->count = 0;
	saver->bytes = 0;
	return rc;
}

/* A state, from the document of its record. */
static void
build_state(const struct saver *saver, const bson_t *record, const char *key,
    size_t len, bson_t *out)
{
	static const char *const names[] = { "IsDeleted", "UpdatedAt",
		"ContentHash", "Data", "JsonHash" };
	int64_t			 version = mongodb_number(record, "Version");
	struct buf		 id = { 0 };
	bson_iter_t		 iter;
	size_t			 i;

	store_mongodb_state_id(&id, saver->collection, version, key, len);
	bson_init(out);
	store_mongodb_must(bson_append_utf8(out, "_id", -1,
	    (const char *)id.data, (int)id.len) &&
	    BSON_APPEND_UTF8(out, "Collection", saver->collection) &&
	    bson_append_utf8(out, "BusinessKey", -1, key, (int)len) &&
	    BSON_APPEND_INT64(out, "Version", version) &&
	    BSON_APPEND_INT64(out, "ReplacedIn", saver->store->own_version));
	buf_clear(&id);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (bson_iter_init_find(&iter, record, names[i]))
			store_mongodb_must(bson_append_iter(out, NULL, -1,
			    &iter));
	}
}

/*
 * The place of the state in the history: also where a run that died has left
 * it, but not where a later run has been meanwhile (then there is a duplicate).
 */
static void
select_place(const bson_t *state, int64_t own_version, bson_t *selector)
{
	bson_iter_t iter;

	bson_init(selector);
	store_mongodb_must(bson_iter_init_find(&iter, state, "_id") &&
	    bson_append_iter(selector, NULL, -1, &iter));
	mongodb_where(selector, "ReplacedIn", "$lte", own_version);
}

static int
add_state(struct saver *saver, const bson_t *state, struct error *err)
{
	bson_error_t cause;
	bson_t	     opts = BSON_INITIALIZER, selector;
	int	     rc = 0;

	if ((saver->bytes + state->len > MAX_BULK_BYTES ||
	    saver->count >= MAX_BULK_RECORDS) && send_states(saver, err) == -1)
		return -1;
	if (saver->handle == NULL) {
		store_mongodb_must(BSON_APPEND_BOOL(&opts, "ordered", false));
		saver->handle =
		    mongoc_collection_create_bulk_operation_with_opts(
		    saver->target, &opts);
		bson_reinit(&opts);
	}
	store_mongodb_must(BSON_APPEND_BOOL(&opts, "validate", false) &&
	    BSON_APPEND_BOOL(&opts, "upsert", true));
	select_place(state, saver->store->own_version, &selector);
	saver->count++;
	saver->bytes += state->len;
	if (!mongoc_bulk_operation_replace_one_with_opts(saver->handle,
	    &selector, state, &opts, &cause))
		rc = mongodb_fail(&cause, "writing " COLLECTION_STATES, err);
	bson_destroy(&selector);
	bson_destroy(&opts);
	return rc;
}

/* The records of a collection that have these keys. */
static struct mongodb_cursor *
find_keys(struct store_mongodb *store, const char *collection,
    const bson_t *keys, bool with_data)
{
	bson_t selector, opts, in;

	bson_init(&selector);
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &in) &&
	    BSON_APPEND_ARRAY(&in, "$in", keys) &&
	    bson_append_document_end(&selector, &in));
	store_mongodb_read_options(store, &opts);
	if (!with_data)
		mongodb_show_only(&opts, (const char *const[]){ "_id",
		    "Version", NULL });
	return mongodb_find(store, collection, &selector, &opts);
}

static int
save_records(struct saver *saver, struct mongodb_cursor *cursor,
    struct error *err)
{
	const bson_t *doc;
	const char   *key;
	size_t	      len;
	bson_t	      state;
	int	      rc;

	while ((rc = mongodb_next(cursor, &doc, err)) == 1) {
		if (!store_mongodb_is_finished(saver->store,
		    mongodb_number(doc, "Version")))
			continue;
		if (mongodb_key(cursor, doc, &key, &len, err) == -1)
			return -1;
		build_state(saver, doc, key, len, &state);
		rc = add_state(saver, &state, err);
		bson_destroy(&state);
		if (rc == -1)
			return -1;
	}
	return rc == -1 ? -1 : send_states(saver, err);
}

int
store_mongodb_save_states(struct store_mongodb *store, const char *collection,
    const bson_t *keys, struct error *err)
{
	struct saver	       saver = { .store = store,
				   .collection = collection };
	struct mongodb_cursor *cursor;
	int		       rc;

	saver.target = store_mongodb_collection(store, COLLECTION_STATES);
	cursor = find_keys(store, collection, keys, true);
	rc = save_records(&saver, cursor, err);
	store_mongodb_cursor_close(&cursor->base);
	if (saver.handle != NULL)
		mongoc_bulk_operation_destroy(saver.handle);
	mongoc_collection_destroy(saver.target);
	return rc;
}

/* Of these keys the states that are what their records still are go: these were
 * not rewritten. */
static int
delete_unneeded(struct store_mongodb *store, const char *collection,
    const bson_t *keys, struct error *err)
{
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	const char	      *key, *position;
	struct buf	       id = { 0 };
	bson_t		      *selector, ids = BSON_INITIALIZER;
	char		       text[16];
	uint32_t	       n = 0;
	size_t		       len;
	int		       rc;

	cursor = find_keys(store, collection, keys, false);
	while ((rc = mongodb_next(cursor, &doc, err)) == 1) {
		key = mongodb_text(doc, "_id", &len);
		store_mongodb_state_id(&id, collection,
		    mongodb_number(doc, "Version"), key, len);
		(void)bson_uint32_to_string(n++, &position, text,
		    sizeof(text));
		store_mongodb_must(bson_append_utf8(&ids, position, -1,
		    (const char *)id.data, (int)id.len));
		id.len = 0;
	}
	store_mongodb_cursor_close(&cursor->base);
	if (rc == 0 && n > 0) {
		selector = BCON_NEW("_id", "{", "$in", BCON_ARRAY(&ids), "}");
		rc = mongodb_delete(store, COLLECTION_STATES, selector, err);
	}
	bson_destroy(&ids);
	buf_clear(&id);
	return rc;
}

/* The states of a collection that no finished run has replaced. */
static void
select_unfinished(const struct store_mongodb *store, const char *collection,
    bson_t *selector)
{
	bson_init(selector);
	store_mongodb_must(BSON_APPEND_UTF8(selector, "Collection",
	    collection));
	store_mongodb_select_unfinished(store, "ReplacedIn", selector);
	/* Of what was undone who reads may still be in need. */
	store_mongodb_select_kept(selector);
}

/* All the rest is replaced by this run's version, or that of a later one. */
static int
take_over(struct store_mongodb *store, const char *collection,
    struct error *err)
{
	mongoc_collection_t *handle;
	bson_error_t	     cause;
	bson_t		     selector, *update;
	int		     rc;

	rc = store_mongodb_lease_check(store, err);
	handle = store_mongodb_collection(store, COLLECTION_STATES);
	select_unfinished(store, collection, &selector);
	update = BCON_NEW("$set", "{",
	    "ReplacedIn", BCON_INT64(store->own_version), "}");
	if (rc == 0 && !mongoc_collection_update_many(handle, &selector,
	    update, NULL, NULL, &cause))
		rc = mongodb_fail(&cause, "writing " COLLECTION_STATES, err);
	bson_destroy(update);
	bson_destroy(&selector);
	mongoc_collection_destroy(handle);
	return rc;
}

/* 1 = there was something to mend, 0 = nothing. */
static int
mend_collection(struct store_mongodb *store, const char *collection,
    struct error *err)
{
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	const char	      *key, *position;
	bson_t		       selector, opts, keys = BSON_INITIALIZER;
	char		       text[16];
	uint32_t	       n = 0;
	size_t		       len;
	int		       rc, found = 0;

	select_unfinished(store, collection, &selector);
	store_mongodb_read_options(store, &opts);
	mongodb_show_only(&opts, (const char *const[]){ "BusinessKey", NULL });
	cursor = mongodb_find(store, COLLECTION_STATES, &selector, &opts);
	while ((rc = mongodb_next(cursor, &doc, err)) == 1) {
		found = 1;
		key = mongodb_text(doc, "BusinessKey", &len);
		(void)bson_uint32_to_string(n++, &position, text,
		    sizeof(text));
		store_mongodb_must(bson_append_utf8(&keys, position, -1, key,
		    (int)len));
		if (n < MAX_MENDED)
			continue;
		rc = delete_unneeded(store, collection, &keys, err);
		if (rc == -1)
			break;
		bson_reinit(&keys);
		n = 0;
	}
	if (rc == 0 && n > 0)
		rc = delete_unneeded(store, collection, &keys, err);
	store_mongodb_cursor_close(&cursor->base);
	bson_destroy(&keys);
	return rc == -1 ? -1 : found;
}

int
store_mongodb_mend_states(struct store_mongodb *store, char *const *names,
    struct error *err)
{
	int rc;

	/* Has any run died since the first one that was finished? */
	if (store->n_finished == 0 || (store->n_finished == 1 &&
	    store->finished[0].last == store->own_version - 1))
		return 0;
	for (; *names != NULL; names++) {
		rc = mend_collection(store, *names, err);
		if (rc == 1) {
			store_trace_step(&store->base, "mend", *names);
			rc = take_over(store, *names, err);
		}
		if (rc == -1)
			return -1;
	}
	return 0;
}
