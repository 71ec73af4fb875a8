/*
 * The MongoDB store: strays, records with a version that was never finished.  A
 * run that died has left them, or one that lost its lease.
 */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "log.h"
#include "store_mongodb_int.h"
#include "words.h"
#include "xalloc.h"

/* Adds {Version: {$gt: above, $lt: below}} to a list of conditions. */
static void
add_gap(bson_t *list, uint32_t number, int64_t above, int64_t below)
{
	char	    text[16];
	const char *position;
	bson_t	    condition, range;

	(void)bson_uint32_to_string(number, &position, text, sizeof(text));
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(list, position,
	    &condition) && BSON_APPEND_DOCUMENT_BEGIN(&condition, "Version",
	    &range) && BSON_APPEND_INT64(&range, "$gt", above) &&
	    BSON_APPEND_INT64(&range, "$lt", below) &&
	    bson_append_document_end(&condition, &range) &&
	    bson_append_document_end(list, &condition));
}

/* The versions between the ranges of the finished ones, and those behind the
 * last, but for this run's own. */
static void
select_strays(const struct store_mongodb *store, bson_t *selector)
{
	const struct version_range *range = store->finished;
	bson_t			    list;
	int64_t			    last = INT64_MIN;
	uint32_t		    n = 0;
	size_t			    i;

	bson_init(selector);
	store_mongodb_must(BSON_APPEND_ARRAY_BEGIN(selector, "$or", &list));
	for (i = 0; i < store->n_finished; i++, range++) {
		if (last < range->first - 1)
			add_gap(&list, n++, last, range->first);
		last = range->last;
	}
	add_gap(&list, n++, last, store->own_version);
	add_gap(&list, n, store->own_version, INT64_MAX);
	store_mongodb_must(bson_append_array_end(selector, &list));
}

int
store_mongodb_adopt_strays(struct store_mongodb *store, const char *name,
    struct error *err)
{
	mongoc_collection_t *collection;
	bson_error_t	     cause;
	bson_iter_t	     iter;
	bson_t		     selector, *update, reply;
	char		    *doing;
	int		     rc = 0;

	store_trace_step(&store->base, "adopt", name);
	if (store_mongodb_lease_check(store, err) == -1)
		return -1;
	doing = xasprintf("writing %s", name);
	collection = store_mongodb_collection(store, name);
	select_strays(store, &selector);
	update = BCON_NEW("$set", "{",
	    "Version", BCON_INT64(store->own_version), "}");
	if (!mongoc_collection_update_many(collection, &selector, update,
	    NULL, &reply, &cause))
		rc = mongodb_fail(&cause, doing, err);
	else if (bson_iter_init_find(&iter, &reply, "modifiedCount") &&
	    bson_iter_as_int64(&iter) > 0) {
		store->base.adopted += (uint64_t)bson_iter_as_int64(&iter);
		log_info("%s: %lld records that an unfinished run has left"
		    " are now of this version", name,
		    (long long)bson_iter_as_int64(&iter));
	}
	bson_destroy(&reply);
	bson_destroy(update);
	bson_destroy(&selector);
	mongoc_collection_destroy(collection);
	free(doing);
	return rc;
}

/* A run need not look at all collections: they are those of one mode, or some
 * types of an export. */
int
store_mongodb_adopt_unscanned(struct store_mongodb *store, struct error *err)
{
	char **names;
	size_t i;
	int    rc = 0;

	if (store_collections_read(&store->base, &names, err) == -1)
		return -1;
	for (i = 0; rc == 0 && names[i] != NULL; i++) {
		if (!words_has(store->scanned, names[i]))
			rc = store_mongodb_adopt_strays(store, names[i], err);
	}
	words_free(names);
	return rc;
}
