/*
 * The MongoDB store: how a database of layout 1 gets what layout 2 has beside
 * it, under the lease.  The mark is the last thing that is changed: whoever is
 * cut off before that begins anew.
 */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "store_mongodb_int.h"
#include "words.h"
#include "xalloc.h"

/* The server's code for an index that is not there (MongoDB,
 * error_codes.yml). */
#define CODE_INDEX_NOT_FOUND 27

/* Another program may have done it while this one waited for the lease. */
static int
read_layout(struct store_mongodb *store, struct error *err)
{
	return store_mongodb_look(store, LEASE, MARK_ID, &store->layout, err);
}

/* What has the name of the history of records, but is none of ours. */
static int
refuse_foreign(struct store_mongodb *store, struct error *err)
{
	int64_t ignored;
	int	rc;

	rc = store_mongodb_look(store, COLLECTION_STATES, NULL, &ignored, err);
	return rc != 1 ? rc : error_set(err, STATUS_STORE, "it has documents in"
	    " " COLLECTION_STATES ", which is none of its collections yet;"
	    " remove them, or name another database");
}

int
store_mongodb_upgrade_begin(struct store *base, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;

	if (store->layout >= SCHEMA_VERSION)
		return 0;
	if (read_layout(store, err) == -1)
		return -1;
	if (store->layout >= SCHEMA_VERSION)
		return 0;
	if (refuse_foreign(store, err) == -1)
		return -1;
	store->layout = SCHEMA_VERSION;
	return store_mongodb_make_collections(store, true, err) == -1 ? -1 :
	    1;
}

/* Who goes by layout 1 does not get far without it. */
static int
drop_index(struct store_mongodb *store, const char *name, struct error *err)
{
	mongoc_collection_t *collection;
	bson_error_t	     cause;
	char		    *index;
	int		     rc = 0;

	index = xasprintf("%s_State", name);
	collection = store_mongodb_collection(store, name);
	if (!mongoc_collection_drop_index_with_opts(collection, index, NULL,
	    &cause) && cause.code != CODE_INDEX_NOT_FOUND)
		rc = mongodb_fail(&cause, "dropping an index of layout 1",
		    err);
	mongoc_collection_destroy(collection);
	free(index);
	return rc;
}

static int
drop_indexes(struct store_mongodb *store, struct error *err)
{
	char **names, **name;
	int    rc = 0;

	if (store_collections_read(&store->base, &names, err) == -1)
		return -1;
	for (name = names; rc == 0 && *name != NULL; name++)
		rc = drop_index(store, *name, err);
	words_free(names);
	return rc;
}

/* From which version on all is there: from now on; or from the next run on, who
 * takes over what runs that died have left. */
static int
set_states_from(struct store_mongodb *store, struct error *err)
{
	struct store_versions versions;
	mongoc_collection_t  *collection;
	bson_error_t	      cause;
	bson_t		      selector, *update;
	int		      rc;

	if (store_mongodb_versions_get(&store->base, &versions, err) == -1)
		return -1;
	rc = store_mongodb_has_strays(store, err);
	if (rc == -1 || store_mongodb_lease_check(store, err) == -1)
		return -1;
	update = BCON_NEW("$set", "{", "StatesFrom", BCON_INT64(rc == 0 ?
	    versions.finished : versions.raised + 1), "Horizon",
	    BCON_INT64(0), "}");
	store_mongodb_select(&selector, METADATA_ID, strlen(METADATA_ID));
	collection = store_mongodb_collection(store, METADATA);
	/* A store without a run has none, and the first one says it. */
	rc = mongoc_collection_update_one(collection, &selector, update, NULL,
	    NULL, &cause) ? 0 : mongodb_fail(&cause, "noting from when on"
	    " there are former states", err);
	mongoc_collection_destroy(collection);
	bson_destroy(&selector);
	bson_destroy(update);
	return rc;
}

int
store_mongodb_upgrade_end(struct store *base, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;

	if (store_mongodb_lease_check(store, err) == -1 ||
	    drop_indexes(store, err) == -1 ||
	    set_states_from(store, err) == -1)
		return -1;
	return store_mongodb_put_mark(store, err);
}
