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

/* Adds {member: {$gt: above, $lt: below}} to a list of conditions. */
static void
add_gap(bson_t *list, uint32_t *n, const char *member, int64_t above,
    int64_t below)
{
	char	    text[16];
	const char *position;
	bson_t	    condition, range;

	(void)bson_uint32_to_string((*n)++, &position, text, sizeof(text));
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(list, position,
	    &condition) && BSON_APPEND_DOCUMENT_BEGIN(&condition, member,
	    &range) && BSON_APPEND_INT64(&range, "$gt", above) &&
	    BSON_APPEND_INT64(&range, "$lt", below) &&
	    bson_append_document_end(&condition, &range) &&
	    bson_append_document_end(list, &condition));
}

/* The versions between the ranges of the finished ones, and those behind the
 * last, but for this run's own. */
void
store_mongodb_select_unfinished(const struct store_mongodb *store,
    const char *member, bson_t *selector)
{
	const struct version_range *range = store->finished;
	bson_t			    list;
	int64_t			    last = INT64_MIN;
	uint32_t		    n = 0;
	size_t			    i;

	store_mongodb_must(BSON_APPEND_ARRAY_BEGIN(selector, "$or", &list));
	for (i = 0; i < store->n_finished; i++, range++) {
		if (last < range->first - 1)
			add_gap(&list, &n, member, last, range->first);
		last = range->last;
	}
	if (store->own_version != 0) {
		add_gap(&list, &n, member, last, store->own_version);
		last = store->own_version;
	}
	add_gap(&list, &n, member, last, INT64_MAX);
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
	bson_init(&selector);
	store_mongodb_select_unfinished(store, "Version", &selector);
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
	int    rc;

	if (store_collections_read(&store->base, &names, err) == -1)
		return -1;
	rc = store_mongodb_mend_states(store, names, err);
	for (i = 0; rc == 0 && names[i] != NULL; i++) {
		if (!words_has(store->scanned, names[i]))
			rc = store_mongodb_adopt_strays(store, names[i], err);
	}
	words_free(names);
	return rc;
}

/* Is one of the records in a collection a stray? */
static int
look_for_stray(struct store_mongodb *store, const char *name,
    struct error *err)
{
	bson_t selector, opts, doc;
	int    rc;

	bson_init(&selector);
	store_mongodb_select_unfinished(store, "Version", &selector);
	store_mongodb_read_options(store, &opts);
	mongodb_show_only(&opts, (const char *const[]){ "Version", NULL });
	rc = mongodb_find_one(store, name, &selector, &opts, &doc, err);
	if (rc == 1)
		bson_destroy(&doc);
	return rc;
}

int
store_mongodb_has_strays(struct store_mongodb *store, struct error *err)
{
	char **names, **name;
	int    rc = 0;

	if ((!store->has_finished &&
	    store_mongodb_read_finished(store, err) == -1) ||
	    store_collections_read(&store->base, &names, err) == -1)
		return -1;
	for (name = names; rc == 0 && *name != NULL; name++)
		rc = look_for_stray(store, *name, err);
	words_free(names);
	return rc;
}
