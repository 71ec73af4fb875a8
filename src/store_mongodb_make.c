/* Makes a MongoDB database a store, and sees at each run that it is whole. */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "log.h"
#include "store_mongodb_int.h"
#include "words.h"
#include "xalloc.h"

/* Members of the widest index. */
#define MAX_INDEX_KEYS 5

struct index_row {
	const char *collection; /* NULL: each collection of records */
	const char *suffix;	/* of the name, behind the collection's */
	int	    layout;	/* the first one that has it */
	bool	    is_unique;
	struct {
		const char *name; /* NULL: no more */
		int32_t	    order;
	} keys[MAX_INDEX_KEYS];
};

static const struct index_row indexes[] = {
	{ NULL, "BusinessKey", 1, true, { { "BusinessKey", 1 } } },
	/* The old state of a run is read from this index alone, and so are
	 * digests.  Layout 1 had another one in its place (State). */
	{ NULL, "Outline", SCHEMA_STATES, false, { { "_id", 1 },
	    { "IsDeleted", 1 }, { "ContentHash", 1 }, { "Version", 1 },
	    { "JsonHash", 1 } } },
	{ NULL, "Version", 1, false, { { "Version", 1 }, { "_id", 1 } } },
	{ COLLECTION_STATES, "BusinessKey", SCHEMA_STATES, true,
	    { { "Collection", 1 }, { "BusinessKey", 1 }, { "Version", 1 } } },
	{ COLLECTION_STATES, "ReplacedIn", SCHEMA_STATES, false,
	    { { "Collection", 1 }, { "ReplacedIn", 1 }, { "Version", 1 },
	    { "BusinessKey", 1 } } },
	{ HISTORY, "Version", 1, true, { { "Version", 1 } } },
	{ HISTORY, "SyncedAt", 1, false, { { "SyncedAt", -1 } } },
	{ HISTORY_KEYS, "Part", 1, true, { { "Version", 1 },
	    { "Collection", 1 }, { "Act", 1 }, { "Part", 1 } } },
};

static void
append_index(bson_t *list, const char *collection, uint32_t number,
    const struct index_row *row)
{
	char	    text[16], *name;
	const char *position;
	bson_t	    index, keys;
	size_t	    i;

	(void)bson_uint32_to_string(number, &position, text, sizeof(text));
	name = xasprintf("%s_%s", collection, row->suffix);
	store_mongodb_must(bson_append_document_begin(list, position, -1,
	    &index));
	store_mongodb_must(bson_append_document_begin(&index, "key", -1,
	    &keys));
	for (i = 0; i < MAX_INDEX_KEYS && row->keys[i].name != NULL; i++)
		store_mongodb_must(BSON_APPEND_INT32(&keys, row->keys[i].name,
		    row->keys[i].order));
	store_mongodb_must(bson_append_document_end(&index, &keys) &&
	    BSON_APPEND_UTF8(&index, "name", name) &&
	    (!row->is_unique || BSON_APPEND_BOOL(&index, "unique", true)) &&
	    bson_append_document_end(list, &index));
	free(name);
}

void
store_mongodb_index_command(const struct store_mongodb *store,
    bson_t *command, const char *collection, bool has_records)
{
	bson_t	 list;
	uint32_t n = 0;
	size_t	 i;

	bson_init(command);
	store_mongodb_must(BSON_APPEND_UTF8(command, "createIndexes",
	    collection) &&
	    bson_append_array_begin(command, "indexes", -1, &list));
	for (i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++) {
		if (indexes[i].layout <= store->layout &&
		    (indexes[i].collection == NULL ? has_records :
		    strcmp(indexes[i].collection, collection) == 0))
			append_index(&list, collection, n++, &indexes[i]);
	}
	store_mongodb_must(bson_append_array_end(command, &list));
}

static int
make_collection(struct store_mongodb *store, const char *collection,
    bool has_records, bool is_new, struct error *err)
{
	bson_error_t cause;
	bson_t	     command, reply;
	char	    *doing;
	int	     rc = 0;

	doing = xasprintf("making the indexes of %s", collection);
	store_mongodb_index_command(store, &command, collection, has_records);
	if (!mongoc_client_write_command_with_opts(store->link.client,
	    store->link.database, &command, NULL, &reply, &cause))
		rc = mongodb_fail(&cause, doing, err);
	else if (!is_new && mongodb_number(&reply, "numIndexesBefore") !=
	    mongodb_number(&reply, "numIndexesAfter"))
		log_warn("store %s: an index of %s was missing; it is made"
		    " again", store->link.name, collection);
	bson_destroy(&reply);
	bson_destroy(&command);
	free(doing);
	return rc;
}

/*
 * The mark lists the collections that runs have made: the database may hold
 * others, which are somebody else's.
 */
int
store_mongodb_extras_get(struct store *base, char ***out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	bson_iter_t	      iter, names;
	bson_t		      selector, opts, doc;
	int		      rc;

	store_mongodb_select(&selector, MARK_ID, strlen(MARK_ID));
	store_mongodb_read_options(store, &opts);
	rc = mongodb_find_one(store, LEASE, &selector, &opts, &doc, err);
	if (rc != 1)
		return rc;
	if (bson_iter_init_find(&iter, &doc, MARK_EXTRAS) &&
	    BSON_ITER_HOLDS_ARRAY(&iter) && bson_iter_recurse(&iter, &names)) {
		while (bson_iter_next(&names)) {
			if (BSON_ITER_HOLDS_UTF8(&names))
				words_add(out, bson_iter_utf8(&names, NULL));
		}
	}
	bson_destroy(&doc);
	return 0;
}

/* Makes what is missing of those beside the five. */
static int
make_extras(struct store_mongodb *store, bool is_new, struct error *err)
{
	char **extras = NULL, **name;
	int    rc;

	rc = store_mongodb_extras_get(&store->base, &extras, err);
	for (name = extras; rc == 0 && name != NULL && *name != NULL; name++)
		rc = make_collection(store, *name, true, is_new, err);
	words_free(extras);
	return rc;
}

int
store_mongodb_make_collections(struct store_mongodb *store, bool is_new,
    struct error *err)
{
	int i;

	for (i = 0; i < COLLECTION__MAX; i++) {
		if (make_collection(store, collection_name(i), true, is_new,
		    err) == -1)
			return -1;
	}
	if (make_extras(store, is_new, err) == -1 ||
	    (store->layout >= SCHEMA_STATES && make_collection(store,
	    COLLECTION_STATES, false, is_new, err) == -1) ||
	    make_collection(store, HISTORY, false, is_new, err) == -1)
		return -1;
	return make_collection(store, HISTORY_KEYS, false, is_new, err);
}

/* Changes the mark, which is made when it is not there.  Takes change over, and
 * destroys it. */
static int
change_mark(struct store_mongodb *store, bson_t *change, struct error *err)
{
	mongoc_collection_t *collection;
	bson_error_t	     cause;
	bson_t		     selector, *opts;
	int		     rc = 0;

	collection = store_mongodb_collection(store, LEASE);
	store_mongodb_select(&selector, MARK_ID, strlen(MARK_ID));
	opts = BCON_NEW("upsert", BCON_BOOL(true));
	if (!mongoc_collection_update_one(collection, &selector, change, opts,
	    NULL, &cause))
		rc = mongodb_fail(&cause, "marking it as a store", err);
	bson_destroy(opts);
	bson_destroy(change);
	bson_destroy(&selector);
	mongoc_collection_destroy(collection);
	return rc;
}

int
store_mongodb_put_mark(struct store_mongodb *store, struct error *err)
{
	return change_mark(store, BCON_NEW("$set", "{", "SchemaVersion",
	    BCON_INT32(SCHEMA_VERSION), "}"), err);
}

int
store_mongodb_look(struct store_mongodb *store, const char *name,
    const char *id, int64_t *version, struct error *err)
{
	mongoc_collection_t *collection;
	mongoc_cursor_t	    *cursor;
	const bson_t	    *doc;
	bson_error_t	     cause;
	bson_t		     selector, opts;
	int		     rc = 0;

	*version = 0;
	bson_init(&selector);
	if (id != NULL)
		store_mongodb_must(BSON_APPEND_UTF8(&selector, "_id", id));
	store_mongodb_read_options(store, &opts);
	store_mongodb_must(BSON_APPEND_INT64(&opts, "limit", 1));
	collection = store_mongodb_collection(store, name);
	cursor = mongoc_collection_find_with_opts(collection, &selector, &opts,
	    NULL);
	if (mongoc_cursor_next(cursor, &doc)) {
		*version = mongodb_number(doc, "SchemaVersion");
		rc = 1;
	}
	if (mongoc_cursor_error(cursor, &cause))
		rc = mongodb_fail(&cause, "looking what is in it", err);
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(collection);
	bson_destroy(&opts);
	bson_destroy(&selector);
	return rc;
}

/* A database without the mark: what is in it is not ours. */
static int
refuse_foreign(struct store_mongodb *store, struct error *err)
{
	const char *name;
	int64_t	    version;
	int	    i, rc;

	for (i = 0; i <= COLLECTION__MAX; i++) {
		name = i < COLLECTION__MAX ? collection_name(i) :
		    COLLECTION_STATES;
		rc = store_mongodb_look(store, name, NULL, &version, err);
		if (rc == -1)
			return -1;
		if (rc == 1)
			return error_set(err, STATUS_STORE, "not a store of"
			    " ours, but it has documents in %s; it was left as"
			    " it is (name another database)", name);
	}
	return 0;
}

/* The mark comes last here, too. */
int
store_mongodb_collection_make(struct store *base, const char *name,
    struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	int64_t		      version;
	int		      rc;

	if (store_mongodb_lease_check(store, err) == -1)
		return -1;
	rc = store_mongodb_look(store, name, NULL, &version, err);
	if (rc == 1)
		rc = error_set(err, STATUS_STORE, "it has documents in %s,"
		    " which is none of its collections; remove them, or name"
		    " another database", name);
	if (rc == -1 || make_collection(store, name, true, true, err) == -1)
		return -1;
	return change_mark(store, BCON_NEW("$addToSet", "{", MARK_EXTRAS,
	    BCON_UTF8(name), "}"), err);
}

/* A database without the mark: it becomes a store, or is none. */
static int
prepare_new(struct store_mongodb *store, struct error *err)
{
	if (refuse_foreign(store, err) == -1)
		return -1;
	if (store->mode == STORE_DRY)
		return 0;
	if (store->mode != STORE_WRITE)
		return error_set(err, STATUS_STORE, "it is not there; the"
		    " first run or `nompd-sync init` makes it");
	store->layout = SCHEMA_VERSION;
	if (store_mongodb_make_collections(store, true, err) == -1)
		return -1;
	return store_mongodb_put_mark(store, err);
}

int
store_mongodb_prepare(struct store_mongodb *store, struct error *err)
{
	int rc;

	rc = store_mongodb_look(store, LEASE, MARK_ID, &store->layout, err);
	if (rc == -1)
		return -1;
	if (store->layout > SCHEMA_VERSION)
		return error_set(err, STATUS_STORE, "made by a newer program"
		    " (schema %lld, this one knows %d); update this program",
		    (long long)store->layout, SCHEMA_VERSION);
	if (rc == 0)
		return prepare_new(store, err);
	if (store->layout < 1)
		store->layout = 1;
	return store_mongodb_writes(store) ?
	    store_mongodb_make_collections(store, false, err) : 0;
}
