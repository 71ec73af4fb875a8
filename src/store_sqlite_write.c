/* The embedded store: what is written to it. */
#include <stdlib.h>
#include <string.h>

#include "sqlite_db.h"
#include "store_sqlite_int.h"
#include "xalloc.h"

struct sqlite_writer {
	struct store_writer base;
	sqlite3_stmt	   *put;
	sqlite3_stmt	   *delete;
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
	free(writer);
}

int
store_sqlite_writer_open(struct store *base, const char *collection,
    int64_t version, int64_t now_ms, struct store_writer **out,
    struct error *err)
{
	struct store_sqlite  *store = (struct store_sqlite *)base;
	struct sqlite_writer *writer;

	writer = xcalloc(1, sizeof(*writer));
	if (sqlite_db_prepare(store->db, &writer->put, err,
	    "INSERT INTO \"%s\" (BusinessKey, Version, IsDeleted, UpdatedAt,"
	    " ContentHash, Data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
	    " ON CONFLICT (BusinessKey) DO UPDATE SET"
	    " Version = excluded.Version, IsDeleted = excluded.IsDeleted,"
	    " UpdatedAt = excluded.UpdatedAt,"
	    " ContentHash = excluded.ContentHash, Data = excluded.Data",
	    collection) == -1 ||
	    sqlite_db_prepare(store->db, &writer->delete, err,
	    "UPDATE \"%s\" SET Version = %lld, IsDeleted = 1,"
	    " UpdatedAt = %lld WHERE BusinessKey = ?1", collection,
	    (long long)version, (long long)now_ms) == -1) {
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

int
store_sqlite_writer_put(struct store_writer *base,
    const struct store_record *record, bool is_new, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base->store;
	sqlite3_stmt	    *put = ((struct sqlite_writer *)base)->put;

	(void)is_new;
	sqlite_db_bind_text(put, 1, record->key, record->len);
	bind_number(put, 2, record->version);
	bind_number(put, 3, record->is_deleted);
	bind_number(put, 4, record->updated_at_ms);
	sqlite_db_bind_text(put, 5, record->hash, strlen(record->hash));
	sqlite_db_bind_blob(put, 6, record->data, record->data_len);
	return run_counted(store, put, err);
}

int
store_sqlite_writer_delete(struct store_writer *base, const char *key,
    size_t len, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base->store;
	sqlite3_stmt	    *delete = ((struct sqlite_writer *)base)->delete;

	sqlite_db_bind_text(delete, 1, key, len);
	return run_counted(store, delete, err);
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
	    " SyncHistory VALUES (%lld, %lld, %lld, ?1)",
	    (long long)entry->version, (long long)entry->synced_at_ms,
	    (long long)entry->duration_ms) == -1)
		return -1;
	sqlite_db_bind_blob(statement, 1, entry->tallies, entry->tallies_len);
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
