/*
 * The store in a MongoDB database.  There is no transaction around a run, so
 * that the order of writes is what keeps readers safe: the version is raised
 * first, then come the records, each in one write, and the history entry last;
 * it alone makes the version the current one.  What a record was before is
 * written, and confirmed, before the record is (store_mongodb_states.c), so
 * that who reads in between finds it there, and sees the last finished version
 * exactly (store_mongodb_view.c).
 *
 * What a run that died has left behind is at a version that no history entry
 * has.  The next run undoes it before it does anything else
 * (store_mongodb_undo.c).  Where there are no former states of it, in a store
 * from before there were any, it gives such records its own version
 * (store_mongodb_strays.c): readers of that store may have asked for their
 * version's changes before they came.
 */
#include <stdlib.h>
#include <string.h>

#include "store_mongodb_int.h"
#include "store_place.h"
#include "words.h"
#include "xalloc.h"

mongoc_collection_t *
store_mongodb_collection(const struct store_mongodb *store, const char *name)
{
	return mongoc_client_get_collection(store->link.client,
	    store->link.database, name);
}

void
store_mongodb_must(bool is_appended)
{
	if (!is_appended)
		xalloc_end();
}

void
store_mongodb_read_options(const struct store_mongodb *store, bson_t *opts)
{
	bson_error_t ignored;

	bson_init(opts);
	/* What one read has seen, the next one sees at least, whichever
	 * server of a replica set answers (causal consistency). */
	if (store->session != NULL)
		store_mongodb_must(mongoc_client_session_append(store->session,
		    opts, &ignored));
}

void
store_mongodb_select(bson_t *selector, const char *id, size_t len)
{
	bson_init(selector);
	store_mongodb_must(bson_append_utf8(selector, "_id", -1, id,
	    (int)len));
}

static void
mongodb_close(struct store *base)
{
	struct store_mongodb *store = (struct store_mongodb *)base;

	store_mongodb_lease_free(store);
	if (store->session != NULL)
		mongoc_client_session_destroy(store->session);
	bson_destroy(store->entry);
	mongodb_client_close(&store->link);
	free(store->finished);
	words_free(store->scanned);
	free(store->base.name);
	free(store);
}

static int
mongodb_open(const struct store_place *place, enum store_mode mode,
    struct store **out, struct error *err)
{
	struct store_mongodb *store;
	bson_error_t	      ignored;
	int		      rc;

	store = xcalloc(1, sizeof(*store));
	store->mode = mode;
	rc = mongodb_client_open(&store->link, place, mode != STORE_READ, 0,
	    err);
	if (rc == 0) {
		store->session = mongoc_client_start_session(
		    store->link.client, NULL, &ignored);
		rc = store_mongodb_prepare(store, err);
	}
	if (store->link.name != NULL)
		store->base.name = xstrdup(store->link.name);
	if (rc == -1) {
		error_prefix(err, "store %s", store->base.name != NULL ?
		    store->base.name : "mongodb://");
		mongodb_close(&store->base);
		return -1;
	}
	*out = &store->base;
	return 0;
}

/*
 * One run at a time writes, so that a writer needs no more.  A reader's version
 * is read before its records are; a run may have brought the layout up to date
 * since it was read, which is seen before the version is.
 */
static int
mongodb_begin(struct store *base, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;

	store->has_begun = false;
	if (store_mongodb_writes(store))
		return 0;
	if ((store->layout < SCHEMA_STATES &&
	    store_mongodb_prepare(store, err) == -1) ||
	    store_mongodb_versions_get(base, &store->begun, err) == -1)
		return -1;
	/* No run yet, or a database that was dropped since it was opened? */
	if (store->begun.finished == 0 &&
	    store_mongodb_prepare(store, err) == -1)
		return -1;
	store->has_begun = true;
	return 0;
}

static int
mongodb_end(struct store *base, struct error *err)
{
	(void)err;
	((struct store_mongodb *)base)->has_begun = false;
	return 0;
}

static int
mongodb_lease_check(struct store *base, struct error *err)
{
	return store_mongodb_lease_check((struct store_mongodb *)base, err);
}

/* Nothing is kept open but connections. */
static bool
mongodb_is_replaced(struct store *base)
{
	(void)base;
	return false;
}

const struct store_ops store_mongodb_ops = {
	.open = mongodb_open,
	.close = mongodb_close,
	.lease_try = store_mongodb_lease_try,
	.lease_check = mongodb_lease_check,
	.begin = mongodb_begin,
	.end = mongodb_end,
	.undo = store_mongodb_undo,
	.is_replaced = mongodb_is_replaced,
	.versions_get = store_mongodb_versions_get,
	.version_raise = store_mongodb_version_raise,
	.versions_set = store_mongodb_versions_set,
	.run_find = store_mongodb_run_find,
	.run_first = store_mongodb_run_first,
	.upgrade_begin = store_mongodb_upgrade_begin,
	.upgrade_end = store_mongodb_upgrade_end,
	.extras_get = store_mongodb_extras_get,
	.collection_make = store_mongodb_collection_make,
	.state_open = store_mongodb_state_open,
	.state_next = store_mongodb_state_next,
	.records_open = store_mongodb_records_open,
	.record_open = store_mongodb_record_open,
	.record_next = store_mongodb_record_next,
	.changes_open = store_mongodb_changes_open,
	.states_open = store_mongodb_states_open,
	.outline_open = store_mongodb_outline_open,
	.outline_next = store_mongodb_outline_next,
	.counts_get = store_mongodb_counts_get,
	.writer_open = store_mongodb_writer_open,
	.writer_put = store_mongodb_writer_put,
	.writer_delete = store_mongodb_writer_delete,
	.writer_state = store_mongodb_writer_state,
	.writer_hashes = store_mongodb_writer_hashes,
	.writer_close = store_mongodb_writer_close,
	.writer_abort = store_mongodb_writer_abort,
	.history_put = store_mongodb_history_put,
	.history_keys_put = store_mongodb_history_keys_put,
	.history_open = store_mongodb_history_open,
	.history_next = store_mongodb_history_next,
	.seal_get = store_mongodb_seal_get,
	.history_keys_open = store_mongodb_history_keys_open,
	.history_parts_open = store_mongodb_history_parts_open,
	.history_keys_next = store_mongodb_history_keys_next,
	.note_put = store_mongodb_note_put,
	.notes_open = store_mongodb_notes_open,
	.notes_next = store_mongodb_notes_next,
	.notes_delete = store_mongodb_notes_delete,
	.prune = store_mongodb_prune,
	.check = store_mongodb_check,
	.cursor_close = store_mongodb_cursor_close,
	.publish = store_mongodb_publish,
};
