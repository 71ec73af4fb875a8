/*
 * The MongoDB store: the version that a run raises at its start, and the
 * history entry that publishes it at its end.
 */
#include <stdlib.h>
#include <string.h>

#include "store_mongodb_int.h"
#include "xalloc.h"

/* One find-and-modify of the version, made when it is not there yet. */
static int
modify_version(struct store_mongodb *store, const bson_t *update,
    int64_t *version, struct error *err)
{
	mongoc_find_and_modify_opts_t *opts;
	mongoc_collection_t	      *collection;
	bson_error_t		       cause;
	bson_iter_t		       iter, value;
	bson_t			       selector, reply;
	int			       rc = 0;

	collection = store_mongodb_collection(store, METADATA);
	store_mongodb_select(&selector, METADATA_ID, strlen(METADATA_ID));
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
	bson_destroy(&selector);
	mongoc_collection_destroy(collection);
	return rc;
}

/* Lifts the version to at least floor. */
static int
lift_version(struct store_mongodb *store, int64_t floor, int64_t at_ms,
    struct error *err)
{
	bson_t *update;
	int64_t ignored;
	int	rc;

	update = BCON_NEW("$max", "{", "CurrentVersion", BCON_INT64(floor),
	    "}", "$set", "{", "LastSyncAt", BCON_DATE_TIME(at_ms), "}");
	rc = modify_version(store, update, &ignored, err);
	bson_destroy(update);
	return rc;
}

static int
raise_version(struct store_mongodb *store, int64_t now_ms, int64_t newest,
    int64_t *version, struct error *err)
{
	bson_t *update;
	int	rc;

	/* The first one: all states will be there, but of versions that are
	 * there without one. */
	update = BCON_NEW("$inc", "{", "CurrentVersion", BCON_INT64(1), "}",
	    "$set", "{", "LastSyncAt", BCON_DATE_TIME(now_ms), "}",
	    "$setOnInsert", "{", "StatesFrom",
	    BCON_INT64(newest == 0 ? 0 : newest + 1),
	    "Horizon", BCON_INT64(0), "}");
	rc = modify_version(store, update, version, err);
	bson_destroy(update);
	return rc;
}

int
store_mongodb_version_raise(struct store *base, int64_t now_ms,
    int64_t *version, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	int64_t		      newest;

	if (store_mongodb_lease_check(store, err) == -1 ||
	    (!store->has_finished &&
	    store_mongodb_read_finished(store, err) == -1))
		return -1;
	newest = store->n_finished > 0 ?
	    store->finished[store->n_finished - 1].last : 0;
	if (raise_version(store, now_ms, newest, version, err) == -1)
		return -1;
	/* A backup that is not of one moment may have a version below those of
	 * its history; these have been given to consumers. */
	if (*version <= newest &&
	    (lift_version(store, newest, now_ms, err) == -1 ||
	    raise_version(store, now_ms, newest, version, err) == -1))
		return -1;
	store->own_version = *version;
	return store_mongodb_adopt_unscanned(store, err);
}

/* The version never goes down: a copy that was held up may find a run's there.
 */
int
store_mongodb_versions_set(struct store *base,
    const struct store_versions *versions, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	bson_t		     *update;
	int64_t		      ignored;
	int		      rc;

	if (store_mongodb_lease_check(store, err) == -1)
		return -1;
	update = BCON_NEW("$max", "{", "CurrentVersion",
	    BCON_INT64(versions->raised), "}", "$set", "{", "LastSyncAt",
	    BCON_DATE_TIME(versions->raised_at_ms), "StatesFrom",
	    BCON_INT64(versions->states_from), "Horizon",
	    BCON_INT64(versions->horizon), "}");
	rc = modify_version(store, update, &ignored, err);
	bson_destroy(update);
	return rc;
}

int
store_mongodb_put_document(struct store_mongodb *store, const char *name,
    bson_t *doc, const char *doing, struct error *err)
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
	if (store_mongodb_put_document((struct store_mongodb *)base,
	    HISTORY_KEYS, doc, "writing " HISTORY_KEYS, err) == -1)
		return -1;
	base->written++;
	return 0;
}

/* What tells the entry that waits from another one of its version. */
static void
select_entry(const struct store_mongodb *store, bson_t *selector)
{
	static const char *const names[] = { "_id", "SyncedAt", "DurationMs" };
	bson_iter_t		 iter;
	size_t			 i;

	bson_init(selector);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		store_mongodb_must(bson_iter_init_find(&iter, store->entry,
		    names[i]) && bson_append_iter(selector, NULL, -1, &iter));
}

/* Is the entry there?  -1: that cannot be found out. */
static int
has_entry(const struct store_mongodb *store, mongoc_collection_t *collection)
{
	mongoc_cursor_t *cursor;
	const bson_t	*doc;
	bson_error_t	 ignored;
	bson_t		 selector;
	int		 rc;

	select_entry(store, &selector);
	cursor = mongoc_collection_find_with_opts(collection, &selector, NULL,
	    NULL);
	rc = mongoc_cursor_next(cursor, &doc);
	if (mongoc_cursor_error(cursor, &ignored))
		rc = -1;
	mongoc_cursor_destroy(cursor);
	bson_destroy(&selector);
	return rc;
}

/* The insertion failed; did the server carry it out all the same, or may it
 * still do so? */
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
	if (rc == -1 || cause->domain == MONGOC_ERROR_STREAM ||
	    cause->domain == MONGOC_ERROR_WRITE_CONCERN)
		(void)error_prefix(err, "whether version %lld is published is"
		    " not known (`nompd-sync history` tells)",
		    (long long)store->entry_version);
	return -1;
}

/*
 * Whether this run was held up just before its last write, so that another has
 * the lease: then its entry is taken back.  That of a copy is no run of its
 * own, and stays.
 */
static int
take_back_if_lost(struct store_mongodb *store,
    mongoc_collection_t *collection, struct error *err)
{
	bson_error_t cause;
	bson_t	     selector;
	bool	     is_done;

	if (store->entry_version != store->own_version ||
	    !store_mongodb_lease_is_lost(store))
		return 0;
	select_entry(store, &selector);
	is_done = mongoc_collection_delete_one(collection, &selector, NULL,
	    NULL, &cause);
	bson_destroy(&selector);
	if (!is_done)
		return error_set(err, STATUS_STORE, "publishing: another run"
		    " has taken the lease, and the history entry of version"
		    " %lld cannot be taken back (%s); remove it by hand",
		    (long long)store->entry_version, cause.message);
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
	bson_t		      tallies, seal;

	/* A second one would publish the first. */
	if (store->own_version != 0 && store->entry != NULL)
		return error_set(err, STATUS_UNBALANCED, "history: version"
		    " %lld has a second entry; nothing was published",
		    (long long)entry->version);
	if (write_entry(store, err) == -1)
		return -1;
	base->written++;
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
	if (entry->seal != NULL)
		store_mongodb_must(bson_init_static(&seal, entry->seal,
		    entry->seal_len) && BSON_APPEND_DOCUMENT(store->entry,
		    SEAL, &seal));
	return 0;
}

int
store_mongodb_publish(struct store *base, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;

	/* Nobody could tell of such a run. */
	if (store->own_version != 0 && (store->entry == NULL ||
	    store->entry_version != store->own_version))
		return error_set(err, STATUS_UNBALANCED, "publishing: version"
		    " %lld has no entry in the history; nothing was published",
		    (long long)store->own_version);
	return write_entry(store, err);
}
