/*
 * The MongoDB store: how what is old goes.  What is not there any more is
 * written down first, so that no reader takes for whole what is not, wherever
 * the rest ends.
 */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "store_mongodb_int.h"
#include "words.h"
#include "xalloc.h"

static void
select_tombstones(bson_t *selector, int64_t version)
{
	bson_init(selector);
	mongodb_where(selector, "Version", "$lte", version);
	store_mongodb_must(BSON_APPEND_BOOL(selector, "IsDeleted", true));
}

static void
select_states(bson_t *selector, const char *collection, int64_t version)
{
	bson_init(selector);
	store_mongodb_must(BSON_APPEND_UTF8(selector, "Collection",
	    collection));
	mongodb_where(selector, "ReplacedIn", "$lte", version);
}

static void
select_entries(bson_t *selector, int64_t version)
{
	bson_init(selector);
	mongodb_where(selector, "Version", "$lte", version);
}

/* The same, one by one: a run would undo what one that died has left of it. */
static int
count_shown(struct store_mongodb *store, const char *name, int64_t version,
    int64_t shown, struct store_pruned *out, struct error *err)
{
	struct view_question   question = { .collection = name,
		  .with_deleted = true, .without_data = true };
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	int64_t		       found;
	int		       rc;

	cursor = store_mongodb_view_open(store, &question, shown);
	while ((rc = store_mongodb_view_next(cursor, &doc, err)) == 1) {
		found = mongodb_number(doc, "Version");
		if (!mongodb_is_true(doc, "IsDeleted") || found > version)
			continue;
		out->tombstones++;
		if (found > out->horizon)
			out->horizon = found;
	}
	store_mongodb_cursor_close(&cursor->base);
	return rc;
}

/* How many tombstones of a collection go, and the version of the newest. */
static int
count_tombstones(struct store_mongodb *store, const char *name,
    int64_t version, struct store_pruned *out, struct error *err)
{
	bson_t	selector, opts, doc;
	int64_t count, newest, shown = store_mongodb_shown(store);
	int	rc = 0;

	if (shown != -1)
		rc = store_mongodb_view_has_states(store, name, shown, err);
	if (rc != 0)
		return rc == -1 ? -1 : count_shown(store, name, version, shown,
		    out, err);
	select_tombstones(&selector, version);
	if (mongodb_count(store, name, &selector, &count, err) == -1)
		return -1;
	out->tombstones += count;
	if (count == 0)
		return 0;
	select_tombstones(&selector, version);
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "Version", -1, NULL);
	mongodb_show_only(&opts, (const char *const[]){ "Version", NULL });
	rc = mongodb_find_one(store, name, &selector, &opts, &doc, err);
	if (rc != 1)
		return rc;
	newest = mongodb_number(&doc, "Version");
	if (newest > out->horizon)
		out->horizon = newest;
	bson_destroy(&doc);
	return 0;
}

static int
count_all(struct store_mongodb *store, char *const *names,
    const struct store_prune *what, struct store_pruned *out,
    struct error *err)
{
	bson_t	selector;
	int64_t count;

	for (; *names != NULL; names++) {
		if (what->tombstones_to > 0 && count_tombstones(store, *names,
		    what->tombstones_to, out, err) == -1)
			return -1;
		if (what->states_to == 0)
			continue;
		select_states(&selector, *names, what->states_to);
		if (mongodb_count(store, COLLECTION_STATES, &selector, &count,
		    err) == -1)
			return -1;
		out->states += count;
	}
	if (what->history_to == 0)
		return 0;
	select_entries(&selector, what->history_to);
	return mongodb_count(store, HISTORY, &selector, &out->entries, err);
}

/*
 * Readers see that something is missing, and writers that a version was
 * finished whose entry is not there.  Nothing of it goes down.
 */
static int
write_down(struct store_mongodb *store, const struct store_prune *what,
    const struct store_pruned *out, struct error *err)
{
	mongoc_collection_t *collection;
	bson_error_t	     cause;
	bson_t		     selector, *update, *opts;
	int		     rc;

	rc = store_mongodb_lease_check(store, err);
	collection = store_mongodb_collection(store, METADATA);
	store_mongodb_select(&selector, METADATA_ID, strlen(METADATA_ID));
	update = BCON_NEW("$max", "{", "StatesFrom",
	    BCON_INT64(out->states_from), "Horizon", BCON_INT64(out->horizon),
	    PRUNED_TO, BCON_INT64(what->history_to), "}", "$setOnInsert", "{",
	    "CurrentVersion", BCON_INT64(0), "LastSyncAt", BCON_DATE_TIME(0),
	    "}");
	/* A copy may begin with it. */
	opts = BCON_NEW("upsert", BCON_BOOL(true));
	if (rc == 0 && !mongoc_collection_update_one(collection, &selector,
	    update, opts, NULL, &cause))
		rc = mongodb_fail(&cause, "writing down what is pruned", err);
	bson_destroy(opts);
	bson_destroy(update);
	bson_destroy(&selector);
	mongoc_collection_destroy(collection);
	return rc;
}

static int
delete_records(struct store_mongodb *store, char *const *names,
    const struct store_prune *what, const struct store_pruned *out,
    struct error *err)
{
	bson_t selector;

	for (; *names != NULL; names++) {
		if (out->tombstones > 0) {
			store_trace_step(&store->base, "prune tombstones",
			    *names);
			select_tombstones(&selector, what->tombstones_to);
			if (mongodb_delete(store, *names, &selector, err) ==
			    -1)
				return -1;
		}
		if (out->states > 0) {
			store_trace_step(&store->base, "prune states", *names);
			select_states(&selector, *names, what->states_to);
			if (mongodb_delete(store, COLLECTION_STATES, &selector,
			    err) == -1)
				return -1;
		}
	}
	return 0;
}

/* Entries first: of one that is there the key lists are all there. */
static int
delete_entries(struct store_mongodb *store, const struct store_prune *what,
    struct error *err)
{
	bson_t selector;

	if (what->history_to == 0)
		return 0;
	store_trace_step(&store->base, "prune history", "");
	select_entries(&selector, what->history_to);
	if (mongodb_delete(store, HISTORY, &selector, err) == -1)
		return -1;
	select_entries(&selector, what->history_to);
	return mongodb_delete(store, HISTORY_KEYS, &selector, err);
}

/* What can be told for certain when all of that has gone, but for the
 * tombstones, which count_all() sees. */
static int
raise_bounds(struct store_mongodb *store, const struct store_prune *what,
    struct store_pruned *out, struct error *err)
{
	struct store_versions versions;
	bson_t		      selector, opts, doc;
	int64_t		      oldest;
	int		      rc;

	if (store_mongodb_read_metadata(store, &versions, err) == -1)
		return -1;
	out->horizon = versions.horizon;
	out->states_from = versions.states_from;
	if (out->states_from < what->states_to)
		out->states_from = what->states_to;
	if (what->history_to == 0)
		return 0;
	bson_init(&selector);
	mongodb_where(&selector, "Version", "$gt", what->history_to);
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, "Version", 1, NULL);
	mongodb_show_only(&opts, (const char *const[]){ "Version", NULL });
	rc = mongodb_find_one(store, HISTORY, &selector, &opts, &doc, err);
	if (rc != 1)
		return rc;
	oldest = mongodb_number(&doc, "Version");
	if (out->states_from < oldest)
		out->states_from = oldest;
	bson_destroy(&doc);
	return 0;
}

int
store_mongodb_prune(struct store *base, const struct store_prune *what,
    struct store_pruned *out, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	char		    **names;
	int		      rc;

	if (raise_bounds(store, what, out, err) == -1 ||
	    store_collections_read(base, &names, err) == -1)
		return -1;
	rc = count_all(store, names, what, out, err);
	if (rc == 0 && !what->is_dry && (what->tombstones_to > 0 ||
	    what->states_to > 0 || what->history_to > 0)) {
		rc = write_down(store, what, out, err);
		if (rc == 0)
			rc = delete_records(store, names, what, out, err);
		if (rc == 0)
			rc = delete_entries(store, what, err);
	}
	words_free(names);
	return rc;
}
