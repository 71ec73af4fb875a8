/* The embedded store: what is written to it. */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "sqlite_db.h"
#include "store_sqlite_int.h"
#include "xalloc.h"

struct sqlite_writer {
	struct store_writer base;
	sqlite3_stmt	   *put;
	sqlite3_stmt	   *delete;
	sqlite3_stmt	   *save;   /* what is there becomes a former state */
	sqlite3_stmt	   *state;  /* NULL until one is copied */
	sqlite3_stmt	   *hashes; /* NULL until one is given */
};

/* A step that writes; what it has changed counts as written. */
static int
run_counted(struct store_sqlite *store, sqlite3_stmt *statement,
    struct error *err)
{
	if (sqlite_db_run(statement, err) == -1)
		return -1;
	store->base.written += (uint64_t)sqlite3_changes(store->db);
	return 0;
}

void
store_sqlite_writer_abort(struct store_writer *base)
{
	struct sqlite_writer *writer = (struct sqlite_writer *)base;

	sqlite3_finalize(writer->put);
	sqlite3_finalize(writer->delete);
	sqlite3_finalize(writer->save);
	sqlite3_finalize(writer->state);
	sqlite3_finalize(writer->hashes);
	free(writer);
}

static int
prepare_all(struct store_sqlite *store, struct sqlite_writer *writer,
    const char *collection, int64_t version, int64_t now_ms,
    struct error *err)
{
	if (sqlite_db_prepare(store->db, &writer->put, err,
	    "INSERT INTO \"%s\" (BusinessKey, Version, IsDeleted, UpdatedAt,"
	    " ContentHash, Data, JsonHash)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
	    " ON CONFLICT (BusinessKey) DO UPDATE SET"
	    " Version = excluded.Version, IsDeleted = excluded.IsDeleted,"
	    " UpdatedAt = excluded.UpdatedAt,"
	    " ContentHash = excluded.ContentHash, Data = excluded.Data,"
	    " JsonHash = excluded.JsonHash", collection) == -1 ||
	    /* A copy may have brought that of a run that died. */
	    sqlite_db_prepare(store->db, &writer->save, err,
	    "INSERT OR REPLACE INTO " COLLECTION_STATES " (Collection,"
	    " BusinessKey, Version, ReplacedIn, IsDeleted, UpdatedAt,"
	    " ContentHash, Data, JsonHash) SELECT '%s', BusinessKey, Version,"
	    " %lld, IsDeleted, UpdatedAt, ContentHash, Data, JsonHash"
	    " FROM \"%s\""
	    " WHERE BusinessKey = ?1", collection, (long long)version,
	    collection) == -1)
		return -1;
	return sqlite_db_prepare(store->db, &writer->delete, err,
	    "UPDATE \"%s\" SET Version = %lld, IsDeleted = 1,"
	    " UpdatedAt = %lld WHERE BusinessKey = ?1", collection,
	    (long long)version, (long long)now_ms);
}

int
store_sqlite_writer_open(struct store *base, const char *collection,
    int64_t version, int64_t now_ms, struct store_writer **out,
    struct error *err)
{
	struct store_sqlite  *store = (struct store_sqlite *)base;
	struct sqlite_writer *writer;

	writer = xcalloc(1, sizeof(*writer));
	if (prepare_all(store, writer, collection, version, now_ms, err) ==
	    -1) {
		store_sqlite_writer_abort(&writer->base);
		return -1;
	}
	*out = &writer->base;
	return 0;
}

static void
bind_number(sqlite3_stmt *statement, int index, int64_t number)
{
	if (sqlite3_bind_int64(statement, index, number) != SQLITE_OK)
		xalloc_end();
}

/* A hash, or NULL when there is none. */
static void
bind_hash(sqlite3_stmt *statement, int index, const char *hash)
{
	if (hash[0] != '\0')
		sqlite_db_bind_text(statement, index, hash, strlen(hash));
	else if (sqlite3_bind_null(statement, index) != SQLITE_OK)
		xalloc_end();
}

/* What the store has under that key becomes a former state: 1, or 0 when it has
 * none. */
static int
save_state(struct sqlite_writer *writer, const char *key, size_t len,
    struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)writer->base.store;

	sqlite_db_bind_text(writer->save, 1, key, len);
	if (sqlite_db_run(writer->save, err) == -1)
		return -1;
	return sqlite3_changes(store->db);
}

static int
fail_missing(const struct sqlite_writer *writer, const char *key,
    struct error *err)
{
	return error_set(err, STATUS_UNBALANCED, "%s: the record \"%s\" was to"
	    " be replaced and is not there; nothing is published: start it"
	    " again and, when it comes again, report it with the log",
	    writer->base.collection, key);
}

static void
bind_record(sqlite3_stmt *statement, const struct store_record *record)
{
	sqlite_db_bind_text(statement, 1, record->key, record->len);
	bind_number(statement, 2, record->version);
	bind_number(statement, 3, record->is_deleted);
	bind_number(statement, 4, record->updated_at_ms);
	sqlite_db_bind_text(statement, 5, record->hash, strlen(record->hash));
	sqlite_db_bind_blob(statement, 6, record->data, record->data_len);
	bind_hash(statement, 7, record->json_hash);
}

int
store_sqlite_writer_put(struct store_writer *base,
    const struct store_record *record, bool is_new, struct error *err)
{
	struct store_sqlite  *store = (struct store_sqlite *)base->store;
	struct sqlite_writer *writer = (struct sqlite_writer *)base;
	int		      rc;

	/* A copy brings the states itself. */
	if (!is_new && record->version == store->own_version) {
		rc = save_state(writer, record->key, record->len, err);
		if (rc != 1)
			return rc == -1 ? -1 : fail_missing(writer,
			    record->key, err);
	}
	bind_record(writer->put, record);
	return run_counted(store, writer->put, err);
}

int
store_sqlite_writer_state(struct store_writer *base,
    const struct store_record *state, struct error *err)
{
	struct store_sqlite  *store = (struct store_sqlite *)base->store;
	struct sqlite_writer *writer = (struct sqlite_writer *)base;

	if (writer->state == NULL && sqlite_db_prepare(store->db,
	    &writer->state, err, "INSERT OR REPLACE INTO " COLLECTION_STATES
	    " (BusinessKey, Version, IsDeleted, UpdatedAt, ContentHash, Data,"
	    " JsonHash, ReplacedIn, Collection)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '%s')",
	    base->collection) == -1)
		return -1;
	bind_record(writer->state, state);
	bind_number(writer->state, 8, state->replaced_in);
	return run_counted(store, writer->state, err);
}

int
store_sqlite_writer_hashes(struct store_writer *base, const char *key,
    size_t len, const char *hash, const char *json_hash, struct error *err)
{
	struct store_sqlite  *store = (struct store_sqlite *)base->store;
	struct sqlite_writer *writer = (struct sqlite_writer *)base;

	if (writer->hashes == NULL && sqlite_db_prepare(store->db,
	    &writer->hashes, err, "UPDATE \"%s\" SET ContentHash = ?2,"
	    " JsonHash = ?3 WHERE BusinessKey = ?1", base->collection) == -1)
		return -1;
	sqlite_db_bind_text(writer->hashes, 1, key, len);
	sqlite_db_bind_text(writer->hashes, 2, hash, strlen(hash));
	bind_hash(writer->hashes, 3, json_hash);
	return run_counted(store, writer->hashes, err);
}

int
store_sqlite_writer_delete(struct store_writer *base, const char *key,
    size_t len, struct error *err)
{
	struct store_sqlite  *store = (struct store_sqlite *)base->store;
	struct sqlite_writer *writer = (struct sqlite_writer *)base;

	if (save_state(writer, key, len, err) == -1)
		return -1;
	sqlite_db_bind_text(writer->delete, 1, key, len);
	return run_counted(store, writer->delete, err);
}

int
store_sqlite_writer_close(struct store_writer *base, struct error *err)
{
	(void)err;
	store_sqlite_writer_abort(base);
	return 0;
}

int
store_sqlite_history_put(struct store *base, const struct store_history *entry,
    struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	if (sqlite_db_prepare(store->db, &statement, err, "INSERT INTO"
	    " SyncHistory (Version, SyncedAt, DurationMs, Tallies, Seal)"
	    " VALUES (%lld, %lld, %lld, ?1, ?2)",
	    (long long)entry->version, (long long)entry->synced_at_ms,
	    (long long)entry->duration_ms) == -1)
		return -1;
	sqlite_db_bind_blob(statement, 1, entry->tallies, entry->tallies_len);
	if (entry->seal != NULL)
		sqlite_db_bind_blob(statement, 2, entry->seal,
		    entry->seal_len);
	rc = run_counted(store, statement, err);
	sqlite3_finalize(statement);
	return rc;
}

int
store_sqlite_history_keys_put(struct store *base,
    const struct store_history_keys *keys, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	if (sqlite_db_prepare(store->db, &statement, err, "INSERT INTO"
	    " SyncHistoryKeys VALUES (%lld, ?1, ?2, %lld, ?3)",
	    (long long)keys->version, (long long)keys->part) == -1)
		return -1;
	sqlite_db_bind_text(statement, 1, keys->collection,
	    strlen(keys->collection));
	sqlite_db_bind_text(statement, 2, keys->act, strlen(keys->act));
	sqlite_db_bind_blob(statement, 3, keys->keys, keys->keys_len);
	rc = run_counted(store, statement, err);
	sqlite3_finalize(statement);
	return rc;
}

/*
 * Notes are no part of a run's transaction: each has its own.  Their table is
 * made with the first one; layout 1 was there without it.
 */
static int
lend_notes(struct store_sqlite *store, sqlite3_stmt **out, struct error *err,
    const char *sql)
{
	if (sqlite_db_exec(store->db, "CREATE TABLE IF NOT EXISTS SyncNotes"
	    " (_id TEXT NOT NULL PRIMARY KEY, Data BLOB NOT NULL)", err) == -1)
		return -1;
	return sqlite_kept_lend(&store->kept, store->db, out, err, "%s", sql);
}

int
store_sqlite_note_put(struct store *base, const char *id, const uint8_t *data,
    size_t len, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	if (lend_notes(store, &statement, err,
	    "INSERT OR REPLACE INTO SyncNotes VALUES (?1, ?2)") == -1)
		return -1;
	sqlite_db_bind_text(statement, 1, id, strlen(id));
	sqlite_db_bind_blob(statement, 2, data, len);
	rc = sqlite_db_run(statement, err);
	sqlite_kept_return(&store->kept, statement);
	return rc;
}

int
store_sqlite_notes_delete(struct store *base, const char *first,
    const char *end, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	if (lend_notes(store, &statement, err,
	    "DELETE FROM SyncNotes WHERE _id >= ?1 AND _id < ?2") == -1)
		return -1;
	sqlite_db_bind_text(statement, 1, first, strlen(first));
	sqlite_db_bind_text(statement, 2, end, strlen(end));
	rc = sqlite_db_run(statement, err);
	sqlite_kept_return(&store->kept, statement);
	return rc;
}
