/* What the parts of the MongoDB store share. */
#ifndef NOMPD_STORE_MONGODB_INT_H
#define NOMPD_STORE_MONGODB_INT_H

#include "buf.h"
#include "collection.h"
#include "mongodb_client.h"
#include "store_int.h"

/* Collections beside those of the records (collection.h). */
#define METADATA     "SyncMetadata"
#define HISTORY	     "SyncHistory"
#define HISTORY_KEYS "SyncHistoryKeys"
#define LEASE	     "SyncLease"
#define NOTES	     "SyncNotes"
/* Their documents of which there is one, by _id. */
#define METADATA_ID  "sync"
#define LEASE_ID     "lease"
#define MARK_ID	     "store"
/* The mark's list of the collections beside the five. */
#define MARK_EXTRAS  "Collections"
/* The index of former states by which those of one record are found.  Each run
 * sees to it that it is there. */
#define STATES_OF_KEY COLLECTION_STATES "_BusinessKey"
/* The seal of a history entry. */
#define SEAL	     "Seal"
/* The version up to which history entries were pruned (SyncMetadata). */
#define PRUNED_TO    "PrunedTo"
/* The member of a former state whose record was restored from it. */
#define STATE_UNDONE "Undone"

/* The layout that this program writes (the mark's SchemaVersion); it reads
 * those before it. */
#define SCHEMA_VERSION 2
/* The first one with former states, seals and JSON hashes. */
#define SCHEMA_STATES  2

struct mongodb_lease;
struct mongodb_view;

/* Versions first to last have all been finished. */
struct version_range {
	int64_t first;
	int64_t last;
};

/*
 * session is NULL where the server has none; lease before it is taken.  layout
 * is that of the mark, 0 where there is none.  entry
 * is the history entry that store_publish() will write; NULL: none yet.
 *
 * Finished are the versions that have a history entry, and those up to
 * pruned_to, which had one, in ascending ranges; they are read before the
 * first scan.  Strays are records with another
 * version: of runs that died, or that lost their lease.  has_strays says that a
 * scan has met one; scanned lists the collections that were scanned to their
 * ends.
 */
struct store_mongodb {
	struct store		 base;
	struct mongodb_client	 link;
	mongoc_client_session_t *session;
	enum store_mode		 mode;
	int64_t			 layout;
	struct mongodb_lease	*lease;
	bool			 has_begun;
	struct store_versions	 begun; /* as they were then */
	bson_t			*entry;
	int64_t			 entry_version;
	int64_t			 own_version; /* raised by this run; 0 */
	int64_t			 pruned_to;   /* with SyncMetadata */
	struct version_range	*finished;
	size_t			 n_finished;
	bool			 has_finished;
	bool			 has_strays;
	char		       **scanned;
};

/* "is_writer" of a mode. */
static inline bool
store_mongodb_writes(const struct store_mongodb *store)
{
	return store->mode == STORE_WRITE || store->mode == STORE_UPDATE;
}

/* The collection; the caller destroys it. */
mongoc_collection_t *store_mongodb_collection(
    const struct store_mongodb *store, const char *name);
/* Starts the options of a read; the caller destroys them. */
void store_mongodb_read_options(const struct store_mongodb *store,
    bson_t *opts);
/* Fills a selector of one document by its _id; the caller destroys it. */
void store_mongodb_select(bson_t *selector, const char *id, size_t len);
/* libbson gives false only when a document would be too large for BSON; none of
 * ours can be. */
void store_mongodb_must(bool is_appended);

/* store_mongodb_make.c: makes an empty store, or sees that it is whole. */
int store_mongodb_prepare(struct store_mongodb *store, struct error *err);
/* Makes what is missing of the collections and their indexes; that some are is
 * no news in a new store (is_new). */
int store_mongodb_make_collections(struct store_mongodb *store, bool is_new,
    struct error *err);
/* 1 = a collection has a document (with that _id, when id is not NULL), whose
 * SchemaVersion is *version; 0 = it has none. */
int store_mongodb_look(struct store_mongodb *store, const char *name,
    const char *id, int64_t *version, struct error *err);
/* Makes this program's layout that of the mark, the last thing made. */
int store_mongodb_put_mark(struct store_mongodb *store, struct error *err);
/* The command that makes what is missing of a collection and its indexes; the
 * caller destroys it. */
void store_mongodb_index_command(const struct store_mongodb *store,
    bson_t *command, const char *collection, bool has_records);
/* As their namesakes. */
int store_mongodb_extras_get(struct store *base, char ***out,
    struct error *err);
int store_mongodb_collection_make(struct store *base, const char *name,
    struct error *err);

/* store_mongodb_lease.c; each as its namesake, or as said. */
int store_mongodb_lease_try(struct store *base, char holder[MAX_HOLDER_TEXT],
    struct error *err);
/* Before each batch of writes: is it still ours?  Renews it. */
int store_mongodb_lease_check(struct store_mongodb *store, struct error *err);
/* The same question; false also when it cannot be answered. */
bool store_mongodb_lease_is_lost(struct store_mongodb *store);
void store_mongodb_lease_free(struct store_mongodb *store);

/* mongodb_find.c */
/*
 * key is the member that has the key of a record: "_id", or "BusinessKey" in
 * former states.  view is NULL but where a version is shown as it was.
 *
 * A cursor of changes without one keeps the set of the keys it has given, from
 * the first one on: a record that a run changes in the meantime moves ahead in
 * that order and comes again, and no answer may have a record twice.
 */
struct mongodb_cursor {
	struct store_cursor  base;
	mongoc_collection_t *collection;
	mongoc_cursor_t	    *cursor;
	const char	    *key;
	bool		     is_over;
	struct mongodb_view *view;
	bool		     keeps_seen;
	struct sqlite_keys  *seen;
	bson_t		    *tallies; /* of a history entry; or NULL */
	const bson_t	    *waiting; /* the entry that comes first; or NULL */
	int64_t		     left;    /* entries still to be given */
};

/* Starts a search; takes selector and opts over, and destroys them. */
struct mongodb_cursor *mongodb_find(struct store_mongodb *store,
    const char *collection, bson_t *selector, bson_t *opts);
/* The same for a pipeline. */
struct mongodb_cursor *mongodb_aggregate(struct store_mongodb *store,
    const char *collection, bson_t *pipeline, bson_t *opts);
/* 1 = *doc is the next one (borrowed until the next call), 0 = end, also when
 * it is asked again. */
int mongodb_next(struct mongodb_cursor *cursor, const bson_t **doc,
    struct error *err);
/* The first document of a search as *out, which the caller destroys; 0 = there
 * is none. */
int mongodb_find_one(struct store_mongodb *store,
    const char *collection, bson_t *selector, bson_t *opts, bson_t *out,
    struct error *err);
/* The key of the document; -1 with the name of its collection when it has
 * none. */
int mongodb_key(const struct mongodb_cursor *cursor, const bson_t *doc,
    const char **key, size_t *len, struct error *err);
/* Fills the record from the document, which it borrows. */
int mongodb_record(const struct mongodb_cursor *cursor, const bson_t *doc,
    struct store_record *record, struct error *err);
/* How many documents a selector finds, which this destroys. */
int mongodb_count(struct store_mongodb *store, const char *collection,
    bson_t *selector, int64_t *out, struct error *err);
/* Deletes those that it finds, under the lease. */
int mongodb_delete(struct store_mongodb *store, const char *collection,
    bson_t *selector, struct error *err);
/* Appends the condition {name: {operator: number}}. */
void mongodb_where(bson_t *selector, const char *name, const char *operator,
    int64_t number);
/* Options of a search: what to sort by (second may be NULL) and to show. */
void mongodb_sort_by(bson_t *opts, const char *first, int32_t order,
    const char *second);
void mongodb_show_only(bson_t *opts, const char *const names[]);
/* A member of a document; 0, "", NULL and false when it is none of that
 * type. */
int64_t mongodb_number(const bson_t *doc, const char *name);
int64_t mongodb_time(const bson_t *doc, const char *name);
bool mongodb_is_true(const bson_t *doc, const char *name);
const char *mongodb_text(const bson_t *doc, const char *name,
    size_t *len);
const uint8_t *mongodb_document(const bson_t *doc, const char *name,
    size_t *len);

/* store_mongodb_versions.c; which versions were finished. */
int store_mongodb_read_finished(struct store_mongodb *store,
    struct error *err);
/* Takes note of the version of a record; true when it is a stray. */
bool store_mongodb_note_version(struct store_mongodb *store, int64_t version);
bool store_mongodb_is_finished(const struct store_mongodb *store,
    int64_t version);
/* SyncMetadata as it is now, without what comes with the history; fills the
 * store's pruned_to. */
int store_mongodb_read_metadata(struct store_mongodb *store,
    struct store_versions *out, struct error *err);
/* The conditions on a version member that no run has finished: {$or: [..]}, a
 * new selector.  Without this run's own, if it has one. */
void store_mongodb_select_unfinished(const struct store_mongodb *store,
    const char *member, bson_t *selector);
/*
 * Gives the strays in a collection this run's version: a reader whose version
 * is above theirs would never be told of them.
 */
int store_mongodb_adopt_strays(struct store_mongodb *store, const char *name,
    struct error *err);
/* The same in all collections that no scan of this run has looked at, and
 * mends the former states that such runs have left. */
int store_mongodb_adopt_unscanned(struct store_mongodb *store,
    struct error *err);
/* store_mongodb_undo.c; as store_undo(). */
int store_mongodb_undo(struct store *base, struct error *err);
/* Are the former states there of all that runs have written since the last
 * finished one? */
bool store_mongodb_can_undo(const struct store_versions *versions);
/* 1 = a collection has strays, 0 = none has. */
int store_mongodb_has_strays(struct store_mongodb *store, struct error *err);

/* The rest of it, and store_mongodb_read.c */
int store_mongodb_versions_get(struct store *base, struct store_versions *out,
    struct error *err);
int store_mongodb_state_open(struct store *base, const char *collection,
    struct store_cursor **out, struct error *err);
int store_mongodb_state_next(struct store_cursor *base,
    struct store_state *state, struct error *err);
int store_mongodb_records_open(struct store *base, const char *collection,
    bool with_deleted, struct store_cursor **out, struct error *err);
int store_mongodb_record_open(struct store *base, const char *collection,
    const char *key, size_t len, struct store_cursor **out,
    struct error *err);
int store_mongodb_record_next(struct store_cursor *base,
    struct store_record *record, struct error *err);
int store_mongodb_changes_open(struct store *base, const char *collection,
    int64_t since, bool with_deleted, struct store_cursor **out,
    struct error *err);
int store_mongodb_states_open(struct store *base, const char *collection,
    const char *key, size_t len, struct store_cursor **out,
    struct error *err);
int store_mongodb_outline_open(struct store *base, const char *collection,
    struct store_cursor **out, struct error *err);
int store_mongodb_outline_next(struct store_cursor *base,
    struct store_outline *outline, struct error *err);
int store_mongodb_counts_get(struct store *base, const char *collection,
    struct store_counts *out, struct error *err);
int store_mongodb_run_find(struct store *base, int64_t version, int64_t at_ms,
    struct store_run *out, struct error *err);
int store_mongodb_run_first(struct store *base, int64_t after_ms,
    int64_t until_ms, struct store_run *out, struct error *err);
int store_mongodb_seal_get(struct store *base, int64_t version, uint8_t **seal,
    size_t *len, struct error *err);
int store_mongodb_history_open(struct store *base, int64_t limit,
    struct store_cursor **out, struct error *err);
int store_mongodb_history_next(struct store_cursor *base,
    struct store_history *entry, struct error *err);
int store_mongodb_history_keys_open(struct store *base, int64_t version,
    const char *collection, const char *act, struct store_cursor **out,
    struct error *err);
int store_mongodb_history_parts_open(struct store *base,
    struct store_cursor **out, struct error *err);
int store_mongodb_history_keys_next(struct store_cursor *base,
    struct store_history_keys *keys, struct error *err);
void store_mongodb_cursor_close(struct store_cursor *base);
/* store_mongodb_write.c */
int store_mongodb_writer_open(struct store *base, const char *collection,
    int64_t version, int64_t now_ms, struct store_writer **out,
    struct error *err);
int store_mongodb_writer_put(struct store_writer *base,
    const struct store_record *record, bool is_new, struct error *err);
int store_mongodb_writer_delete(struct store_writer *base, const char *key,
    size_t len, struct error *err);
int store_mongodb_writer_state(struct store_writer *base,
    const struct store_record *state, struct error *err);
int store_mongodb_writer_hashes(struct store_writer *base, const char *key,
    size_t len, const char *hash, const char *json_hash, struct error *err);
void store_mongodb_writer_abort(struct store_writer *base);
int store_mongodb_writer_close(struct store_writer *base, struct error *err);

/* A bulk is sent when it has so many bytes or documents. */
#define MAX_BULK_BYTES	 (4 * 1024 * 1024)
#define MAX_BULK_RECORDS 5000

/* store_mongodb_states.c */
/*
 * The records of a collection whose keys are in an array become former states
 * that this run's version replaces, as far as finished runs have written them.
 */
int store_mongodb_save_states(struct store_mongodb *store,
    const char *collection, const bson_t *keys, struct error *err);
/* Only states whose records were not restored from them. */
void store_mongodb_select_kept(bson_t *selector);
/* The _id of a former state; heap, for the caller to clear. */
void store_mongodb_state_id(struct buf *id, const char *collection,
    int64_t version, const char *key, size_t len);
/*
 * Puts right what runs that died have left of former states in these
 * collections: a state whose record was not rewritten goes, and the others are
 * replaced by this run's version.
 */
int store_mongodb_mend_states(struct store_mongodb *store, char *const *names,
    struct error *err);

/* store_mongodb_prune.c */
int store_mongodb_prune(struct store *base, const struct store_prune *what,
    struct store_pruned *out, struct error *err);

/* store_mongodb_check.c */
int store_mongodb_check(struct store *base, bool mends, finding_fn fn,
    void *ctx, struct error *err);

/* store_mongodb_upgrade.c */
int store_mongodb_upgrade_begin(struct store *base, struct error *err);
int store_mongodb_upgrade_end(struct store *base, struct error *err);

/* store_mongodb_view.c: reads a version as it was. */
/* What a cursor of records (by key) or changes (by version, then key) is to
 * show. */
struct view_question {
	const char *collection;
	bool	    by_version;
	int64_t	    since; /* only what is above it */
	bool	    with_deleted;
	bool	    without_data; /* only what counts and scans need */
};
/* The version that is to be shown; -1: what is there, whatever it is. */
int64_t store_mongodb_shown(const struct store_mongodb *store);
/* A cursor of that version. */
struct mongodb_cursor *store_mongodb_view_open(struct store_mongodb *store,
    const struct view_question *question, int64_t version);
/* 1 = *doc is the next one (borrowed until the next call), and *key the member
 * that has its key, 0 = end. */
int store_mongodb_view_next(struct mongodb_cursor *cursor, const bson_t **doc,
    struct error *err);
void store_mongodb_view_free(struct mongodb_view *view);
/* The former state of a record at a version that is shown, if it has one. */
struct mongodb_cursor *store_mongodb_view_state(struct store_mongodb *store,
    const char *collection, const char *key, size_t len, int64_t version);
/* 1 = some records were rewritten since that version. */
int store_mongodb_view_has_states(struct store_mongodb *store,
    const char *collection, int64_t version, struct error *err);
/* -1: what a version needs was pruned since store_begin(). */
int store_mongodb_view_check(struct store_mongodb *store, int64_t version,
    bool with_deleted, int64_t since, struct error *err);

/* store_mongodb_publish.c */
int store_mongodb_version_raise(struct store *base, int64_t now_ms,
    int64_t *version, struct error *err);
int store_mongodb_versions_set(struct store *base,
    const struct store_versions *versions, struct error *err);
int store_mongodb_history_put(struct store *base,
    const struct store_history *entry, struct error *err);
int store_mongodb_history_keys_put(struct store *base,
    const struct store_history_keys *keys, struct error *err);
int store_mongodb_publish(struct store *base, struct error *err);
/* Puts a document in the place of the one with its _id, or beside the others.
 * Takes doc over, and destroys it. */
int store_mongodb_put_document(struct store_mongodb *store, const char *name,
    bson_t *doc, const char *doing, struct error *err);

/* store_mongodb_notes.c */
int store_mongodb_note_put(struct store *base, const char *id,
    const uint8_t *data, size_t len, struct error *err);
int store_mongodb_notes_open(struct store *base, const char *first,
    const char *end, struct store_cursor **out, struct error *err);
int store_mongodb_notes_next(struct store_cursor *base,
    struct store_note *note, struct error *err);
int store_mongodb_notes_delete(struct store *base, const char *first,
    const char *end, struct error *err);

#endif
