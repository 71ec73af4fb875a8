/* The embedded store: what it answers. */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "sqlite_db.h"
#include "store_sqlite_int.h"
#include "words.h"
#include "xalloc.h"

struct sqlite_cursor {
	struct store_cursor base;
	sqlite3_stmt	   *statement;
};

/* A file of the first layout has neither states nor hashes of JSON. */
static bool
has_states(const struct store_sqlite *store)
{
	return store->layout >= SCHEMA_STATES;
}

int
store_sqlite_versions_get(struct store *base, struct store_versions *out,
    struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	if (sqlite_kept_lend(&store->kept, store->db, &statement, err,
	    "SELECT raised, LastSyncAt, Version, SyncedAt, %s FROM"
	    " (SELECT max(CurrentVersion) AS raised, * FROM SyncMetadata)"
	    " LEFT JOIN (SELECT Version, SyncedAt FROM SyncHistory"
	    " ORDER BY Version DESC LIMIT 1)", has_states(store) ?
	    "StatesFrom, Horizon" : "Version, 0") == -1)
		return -1;
	*out = (struct store_versions){ 0 };
	rc = sqlite_db_step(statement, err);
	if (rc == 1) {
		out->raised = sqlite3_column_int64(statement, 0);
		out->raised_at_ms = sqlite3_column_int64(statement, 1);
		out->finished = sqlite3_column_int64(statement, 2);
		out->finished_at_ms = sqlite3_column_int64(statement, 3);
		out->states_from = sqlite3_column_int64(statement, 4);
		out->horizon = sqlite3_column_int64(statement, 5);
	}
	sqlite_kept_return(&store->kept, statement);
	return rc == -1 ? -1 : 0;
}

/* A cursor around a statement that was (or was not) prepared. */
static int
cursor_new(sqlite3_stmt *statement, int rc, struct store_cursor **out)
{
	struct sqlite_cursor *cursor;

	*out = NULL;
	if (rc == -1)
		return -1;
	cursor = xcalloc(1, sizeof(*cursor));
	cursor->statement = statement;
	*out = &cursor->base;
	return 0;
}

void
store_sqlite_cursor_close(struct store_cursor *base)
{
	struct sqlite_cursor *cursor = (struct sqlite_cursor *)base;
	struct store_sqlite  *store = (struct store_sqlite *)base->store;

	sqlite_kept_return(&store->kept, cursor->statement);
	free(cursor);
}

/* Binds text that need not outlive the call. */
static void
bind_copy(sqlite3_stmt *statement, int index, const char *text, size_t len)
{
	if (sqlite3_bind_text64(statement, index, text, len, SQLITE_TRANSIENT,
	    SQLITE_UTF8) != SQLITE_OK)
		xalloc_end();
}

static void
bind_number(sqlite3_stmt *statement, int index, int64_t number)
{
	if (sqlite3_bind_int64(statement, index, number) != SQLITE_OK)
		xalloc_end();
}

/* The text in a column; a damaged file may have NULL there. */
static const char *
text_at(sqlite3_stmt *statement, int column, size_t *len)
{
	const char *text;

	text = (const char *)sqlite3_column_text(statement, column);
	*len = (size_t)sqlite3_column_bytes(statement, column);
	return text != NULL ? text : "";
}

static const uint8_t *
blob_at(sqlite3_stmt *statement, int column, size_t *len)
{
	const uint8_t *data;

	data = sqlite3_column_blob(statement, column);
	*len = (size_t)sqlite3_column_bytes(statement, column);
	return data;
}

int
store_sqlite_extras_get(struct store *base, char ***out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	size_t		     len;
	int		     rc;

	if (sqlite_kept_lend(&store->kept, store->db, &statement, err,
	    "SELECT name FROM sqlite_master WHERE type = 'table'") == -1)
		return -1;
	while ((rc = sqlite_db_step(statement, err)) == 1)
		words_add(out, text_at(statement, 0, &len));
	sqlite_kept_return(&store->kept, statement);
	return rc;
}

int
store_sqlite_state_open(struct store *base, const char *collection,
    struct store_cursor **out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	rc = sqlite_kept_lend(&store->kept, store->db, &statement, err,
	    "SELECT BusinessKey, IsDeleted, ContentHash FROM \"%s\""
	    " INDEXED BY \"%s_State\" ORDER BY BusinessKey", collection,
	    collection);
	return cursor_new(statement, rc, out);
}

int
store_sqlite_state_next(struct store_cursor *base, struct store_state *state,
    struct error *err)
{
	sqlite3_stmt *statement = ((struct sqlite_cursor *)base)->statement;
	const char   *hash;
	size_t	      len;
	int	      rc;

	rc = sqlite_db_step(statement, err);
	if (rc != 1)
		return rc;
	state->key = text_at(statement, 0, &state->len);
	state->is_deleted = sqlite3_column_int(statement, 1) != 0;
	hash = text_at(statement, 2, &len);
	store_state_set_hash(state, hash, len);
	return 1;
}

#define RECORD_COLUMNS \
	"BusinessKey, Data, Version, UpdatedAt, IsDeleted, ContentHash, "

/* Conditions on records and states, in SQL; VIEW is the version looked at. */
#define IS_LIVE	 " AND IsDeleted = 0"
#define IS_KEY	 " AND BusinessKey = ?1"
#define IS_SINCE " AND Version > ?1"
#define VIEW	 "?2"

static int64_t
view_of(const struct store_sqlite *store)
{
	return store->base.view != 0 ? store->base.view : store->shown;
}

/*
 * Lends a search of the records of a collection: those of now or, in a view,
 * those that were there then, together with the states that were.
 */
static int
lend_records(struct store_sqlite *store, const char *collection,
    const char *condition, const char *order, sqlite3_stmt **out,
    struct error *err)
{
	int64_t	    view = view_of(store);
	int	    rc;
	/* By itself SQLite would look at all states that were replaced since
	 * to find the few of one record. */
	const char *index = strcmp(condition, IS_KEY) == 0 ?
	    " INDEXED BY " COLLECTION_STATES "_BusinessKey" : "";

	if (view == 0 || !has_states(store))
		return sqlite_kept_lend(&store->kept, store->db, out, err,
		    "SELECT " RECORD_COLUMNS "%s, 0 FROM \"%s\" WHERE 1%s"
		    " ORDER BY %s", has_states(store) ? "JsonHash" : "NULL",
		    collection, condition, order);
	rc = sqlite_kept_lend(&store->kept, store->db, out, err,
	    "SELECT " RECORD_COLUMNS "JsonHash, 0 FROM \"%s\""
	    " WHERE Version <= " VIEW "%s"
	    " UNION ALL SELECT " RECORD_COLUMNS "JsonHash, ReplacedIn"
	    " FROM " COLLECTION_STATES "%s WHERE Collection = '%s'"
	    " AND ReplacedIn > " VIEW " AND Version <= " VIEW "%s ORDER BY %s",
	    collection, condition, index, collection, condition, order);
	if (rc == 0)
		bind_number(*out, 2, view);
	return rc;
}

int
store_sqlite_records_open(struct store *base, const char *collection,
    bool with_deleted, struct store_cursor **out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	rc = lend_records(store, collection, with_deleted ? "" : IS_LIVE,
	    "BusinessKey", &statement, err);
	return cursor_new(statement, rc, out);
}

int
store_sqlite_record_open(struct store *base, const char *collection,
    const char *key, size_t len, struct store_cursor **out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	rc = lend_records(store, collection, IS_KEY, "BusinessKey",
	    &statement, err);
	if (rc == 0)
		bind_copy(statement, 1, key, len);
	return cursor_new(statement, rc, out);
}

int
store_sqlite_states_open(struct store *base, const char *collection,
    const char *key, size_t len, struct store_cursor **out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	if (!has_states(store)) {
		*out = store_cursor_empty(base);
		return 0;
	}
	rc = sqlite_kept_lend(&store->kept, store->db, &statement, err,
	    "SELECT " RECORD_COLUMNS "JsonHash, ReplacedIn FROM "
	    COLLECTION_STATES " WHERE Collection = '%s'%s"
	    " ORDER BY BusinessKey, Version", collection,
	    key != NULL ? IS_KEY : "");
	if (rc == 0 && key != NULL)
		bind_copy(statement, 1, key, len);
	return cursor_new(statement, rc, out);
}

int
store_sqlite_record_next(struct store_cursor *base,
    struct store_record *record, struct error *err)
{
	sqlite3_stmt *statement = ((struct sqlite_cursor *)base)->statement;
	const char   *hash;
	size_t	      len;
	int	      rc;

	rc = sqlite_db_step(statement, err);
	if (rc != 1)
		return rc;
	record->key = text_at(statement, 0, &record->len);
	record->data = blob_at(statement, 1, &record->data_len);
	record->version = sqlite3_column_int64(statement, 2);
	record->updated_at_ms = sqlite3_column_int64(statement, 3);
	record->is_deleted = sqlite3_column_int(statement, 4) != 0;
	hash = text_at(statement, 5, &len);
	store_set_hash_text(record->hash, hash, len);
	hash = text_at(statement, 6, &len);
	store_set_hash_text(record->json_hash, hash, len);
	record->replaced_in = sqlite3_column_int64(statement, 7);
	return 1;
}

int
store_sqlite_changes_open(struct store *base, const char *collection,
    int64_t since, bool with_deleted, struct store_cursor **out,
    struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	rc = lend_records(store, collection, with_deleted ? IS_SINCE :
	    IS_SINCE IS_LIVE, "Version, BusinessKey", &statement, err);
	if (rc == 0)
		bind_number(statement, 1, since);
	return cursor_new(statement, rc, out);
}

int
store_sqlite_outline_open(struct store *base, const char *collection,
    struct store_cursor **out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	rc = sqlite_kept_lend(&store->kept, store->db, &statement, err,
	    "SELECT BusinessKey, Version, IsDeleted, ContentHash, %s"
	    " FROM \"%s\" INDEXED BY \"%s_State\" ORDER BY BusinessKey",
	    has_states(store) ? "JsonHash" : "NULL", collection, collection);
	return cursor_new(statement, rc, out);
}

int
store_sqlite_outline_next(struct store_cursor *base,
    struct store_outline *outline, struct error *err)
{
	sqlite3_stmt *statement = ((struct sqlite_cursor *)base)->statement;
	const char   *hash;
	size_t	      len;
	int	      rc;

	rc = sqlite_db_step(statement, err);
	if (rc != 1)
		return rc;
	outline->key = text_at(statement, 0, &outline->len);
	outline->version = sqlite3_column_int64(statement, 1);
	outline->is_deleted = sqlite3_column_int(statement, 2) != 0;
	hash = text_at(statement, 3, &len);
	store_set_hash_text(outline->hash, hash, len);
	hash = text_at(statement, 4, &len);
	store_set_hash_text(outline->json_hash, hash, len);
	return 1;
}

/* Of now, or in a view of then. */
static int
lend_counts(struct store_sqlite *store, const char *collection,
    sqlite3_stmt **out, struct error *err)
{
	int64_t view = view_of(store);
	int	rc;

	if (view == 0 || !has_states(store))
		return sqlite_kept_lend(&store->kept, store->db, out, err,
		    "SELECT count(*), total(IsDeleted) FROM \"%s\" INDEXED BY"
		    " \"%s_State\"", collection, collection);
	rc = sqlite_kept_lend(&store->kept, store->db, out, err,
	    "SELECT count(*), total(IsDeleted) FROM (SELECT IsDeleted FROM"
	    " \"%s\" WHERE Version <= " VIEW " UNION ALL SELECT IsDeleted"
	    " FROM " COLLECTION_STATES " WHERE Collection = '%s'"
	    " AND ReplacedIn > " VIEW " AND Version <= " VIEW ")", collection,
	    collection);
	if (rc == 0)
		bind_number(*out, 2, view);
	return rc;
}

int
store_sqlite_counts_get(struct store *base, const char *collection,
    struct store_counts *out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	*out = (struct store_counts){ 0 };
	if (lend_counts(store, collection, &statement, err) == -1)
		return -1;
	rc = sqlite_db_step(statement, err);
	if (rc == 1) {
		out->deleted = sqlite3_column_int64(statement, 1);
		out->live = sqlite3_column_int64(statement, 0) - out->deleted;
	}
	sqlite_kept_return(&store->kept, statement);
	return rc == -1 ? -1 : 0;
}

/* query has two numbers to be filled in. */
static int
find_run(struct store_sqlite *store, const char *query, int64_t first,
    int64_t second, struct store_run *out, struct error *err)
{
	sqlite3_stmt *statement;
	int	      rc;

	if (sqlite_kept_lend(&store->kept, store->db, &statement, err, "%s",
	    query) == -1)
		return -1;
	bind_number(statement, 1, first);
	bind_number(statement, 2, second);
	rc = sqlite_db_step(statement, err);
	if (rc == 1) {
		out->version = sqlite3_column_int64(statement, 0);
		out->synced_at_ms = sqlite3_column_int64(statement, 1);
	}
	sqlite_kept_return(&store->kept, statement);
	return rc;
}

int
store_sqlite_run_find(struct store *base, int64_t version, int64_t at_ms,
    struct store_run *out, struct error *err)
{
	return find_run((struct store_sqlite *)base, "SELECT Version, SyncedAt"
	    " FROM SyncHistory WHERE Version <= ?1 AND SyncedAt <= ?2"
	    " ORDER BY Version DESC LIMIT 1", version, at_ms, out, err);
}

int
store_sqlite_run_first(struct store *base, int64_t after_ms, int64_t until_ms,
    struct store_run *out, struct error *err)
{
	return find_run((struct store_sqlite *)base, "SELECT Version, SyncedAt"
	    " FROM SyncHistory WHERE SyncedAt > ?1 AND SyncedAt <= ?2"
	    " ORDER BY Version LIMIT 1", after_ms, until_ms, out, err);
}

int
store_sqlite_seal_get(struct store *base, int64_t version, uint8_t **seal,
    size_t *len, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	const uint8_t	    *found;
	int		     rc;

	if (sqlite_kept_lend(&store->kept, store->db, &statement, err,
	    "SELECT %s FROM SyncHistory WHERE Version = ?1",
	    has_states(store) ? "Seal" : "NULL") == -1)
		return -1;
	bind_number(statement, 1, version);
	rc = sqlite_db_step(statement, err);
	if (rc == 1) {
		found = blob_at(statement, 0, len);
		if (found != NULL)
			*seal = memcpy(xcalloc(1, *len), found, *len);
	}
	sqlite_kept_return(&store->kept, statement);
	return rc;
}

int
store_sqlite_history_open(struct store *base, int64_t limit,
    struct store_cursor **out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	rc = sqlite_kept_lend(&store->kept, store->db, &statement, err,
	    "SELECT Version, SyncedAt, DurationMs, Tallies, %s"
	    " FROM SyncHistory ORDER BY Version DESC LIMIT ?1",
	    has_states(store) ? "Seal" : "NULL");
	if (rc == 0)
		bind_number(statement, 1, limit);
	return cursor_new(statement, rc, out);
}

int
store_sqlite_history_next(struct store_cursor *base,
    struct store_history *entry, struct error *err)
{
	sqlite3_stmt *statement = ((struct sqlite_cursor *)base)->statement;
	int	      rc;

	rc = sqlite_db_step(statement, err);
	if (rc != 1)
		return rc;
	entry->version = sqlite3_column_int64(statement, 0);
	entry->synced_at_ms = sqlite3_column_int64(statement, 1);
	entry->duration_ms = sqlite3_column_int64(statement, 2);
	entry->tallies = blob_at(statement, 3, &entry->tallies_len);
	entry->seal = blob_at(statement, 4, &entry->seal_len);
	return 1;
}

#define PART_COLUMNS "Version, Collection, Act, Part, Keys"

int
store_sqlite_history_parts_open(struct store *base, struct store_cursor **out,
    struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	rc = sqlite_kept_lend(&store->kept, store->db, &statement, err,
	    "SELECT " PART_COLUMNS " FROM SyncHistoryKeys"
	    " ORDER BY Version, Collection, Act, Part");
	return cursor_new(statement, rc, out);
}

int
store_sqlite_history_keys_open(struct store *base, int64_t version,
    const char *collection, const char *act, struct store_cursor **out,
    struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	rc = sqlite_kept_lend(&store->kept, store->db, &statement, err,
	    "SELECT " PART_COLUMNS " FROM SyncHistoryKeys WHERE"
	    " Version = ?1 AND Collection = ?2 AND Act = ?3"
	    " ORDER BY Part");
	if (rc == 0) {
		bind_number(statement, 1, version);
		bind_copy(statement, 2, collection, strlen(collection));
		bind_copy(statement, 3, act, strlen(act));
	}
	return cursor_new(statement, rc, out);
}

int
store_sqlite_history_keys_next(struct store_cursor *base,
    struct store_history_keys *keys, struct error *err)
{
	sqlite3_stmt *statement = ((struct sqlite_cursor *)base)->statement;
	size_t	      len;
	int	      rc;

	rc = sqlite_db_step(statement, err);
	if (rc != 1)
		return rc;
	*keys = (struct store_history_keys){
		.version = sqlite3_column_int64(statement, 0),
		.collection = text_at(statement, 1, &len),
		.act = text_at(statement, 2, &len),
		.part = sqlite3_column_int64(statement, 3),
	};
	keys->keys = blob_at(statement, 4, &keys->keys_len);
	return 1;
}

/* Their table comes with the first of them. */
static int
has_notes(struct store_sqlite *store, int64_t *out, struct error *err)
{
	return sqlite_db_number(store->db, out, err, "SELECT count(*) FROM"
	    " sqlite_master WHERE type = 'table' AND name = 'SyncNotes'");
}

int
store_sqlite_notes_open(struct store *base, const char *first, const char *end,
    struct store_cursor **out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int64_t		     tables;
	int		     rc;

	rc = has_notes(store, &tables, err);
	if (rc == -1 || tables == 0)
		return rc;
	rc = sqlite_kept_lend(&store->kept, store->db, &statement, err,
	    "SELECT _id, Data FROM SyncNotes WHERE _id >= ?1 AND _id < ?2"
	    " ORDER BY _id");
	if (rc == 0) {
		bind_copy(statement, 1, first, strlen(first));
		bind_copy(statement, 2, end, strlen(end));
	}
	return cursor_new(statement, rc, out);
}

int
store_sqlite_notes_next(struct store_cursor *base, struct store_note *note,
    struct error *err)
{
	sqlite3_stmt *statement = ((struct sqlite_cursor *)base)->statement;
	size_t	      len;
	int	      rc;

	rc = sqlite_db_step(statement, err);
	if (rc != 1)
		return rc;
	note->id = text_at(statement, 0, &len);
	note->data = blob_at(statement, 1, &note->len);
	return 1;
}
