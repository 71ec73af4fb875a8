/*
 * The embedded store: the former states of its records, how a file of an older
 * layout gets them, and how what is old goes.
 */
#include <stdlib.h>

#include "collection.h"
#include "sqlite_db.h"
#include "store_sqlite_int.h"
#include "words.h"
#include "xalloc.h"

const char store_sqlite_schema_states[] =
    "CREATE TABLE " COLLECTION_STATES " ("
    " Collection TEXT NOT NULL, BusinessKey TEXT NOT NULL,"
    " Version INTEGER NOT NULL, ReplacedIn INTEGER NOT NULL,"
    " IsDeleted INTEGER NOT NULL CHECK (IsDeleted IN (0, 1)),"
    " UpdatedAt INTEGER NOT NULL,"
    " ContentHash TEXT NOT NULL CHECK (length(ContentHash) = 64),"
    " Data BLOB NOT NULL, JsonHash TEXT);"
    "CREATE UNIQUE INDEX " COLLECTION_STATES "_BusinessKey ON "
    COLLECTION_STATES " (Collection, BusinessKey, Version);"
    "CREATE INDEX " COLLECTION_STATES "_ReplacedIn ON " COLLECTION_STATES
    " (Collection, ReplacedIn, Version);";

static int
exec_formatted(struct store_sqlite *store, struct error *err, char *sql)
{
	int rc;

	rc = sqlite_db_exec(store->db, sql, err);
	free(sql);
	return rc;
}

int
store_sqlite_upgrade_begin(struct store *base, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	char		   **names, **name;
	int		     rc;

	if (store->layout >= SCHEMA_VERSION)
		return 0;
	if (sqlite_db_exec(store->db, "BEGIN IMMEDIATE", err) == -1 ||
	    sqlite_db_exec(store->db, store_sqlite_schema_states, err) == -1 ||
	    sqlite_db_exec(store->db, "ALTER TABLE SyncMetadata ADD COLUMN"
	    " StatesFrom INTEGER NOT NULL DEFAULT 0;"
	    "ALTER TABLE SyncMetadata ADD COLUMN"
	    " Horizon INTEGER NOT NULL DEFAULT 0;"
	    "ALTER TABLE SyncHistory ADD COLUMN Seal BLOB;"
	    "UPDATE SyncMetadata SET StatesFrom = (SELECT"
	    " coalesce(max(Version), 0) FROM SyncHistory)", err) == -1 ||
	    store_collections_read(base, &names, err) == -1)
		return -1;
	for (name = names, rc = 0; rc == 0 && *name != NULL; name++)
		rc = exec_formatted(store, err, xasprintf("ALTER TABLE \"%s\""
		    " ADD COLUMN JsonHash TEXT; DROP INDEX \"%s_State\"",
		    *name, *name));
	words_free(names);
	store->layout = SCHEMA_VERSION;
	return rc == 0 ? 1 : -1;
}

int
store_sqlite_upgrade_end(struct store *base, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	char		   **names, **name;
	int		     rc;

	if (store_collections_read(base, &names, err) == -1)
		return -1;
	for (name = names, rc = 0; rc == 0 && *name != NULL; name++)
		rc = exec_formatted(store, err, xasprintf(SQLITE_STATE_INDEX,
		    *name, *name));
	words_free(names);
	return rc == -1 ? -1 : exec_formatted(store, err, xasprintf(
	    "PRAGMA user_version = %d; COMMIT", SCHEMA_VERSION));
}

/* Takes away the tombstones of a collection, or counts them; *newest becomes
 * the version of the newest of them, if it is newer. */
static int
prune_tombstones(struct store_sqlite *store, const char *name,
    const struct store_prune *what, struct store_pruned *out,
    struct error *err)
{
	int64_t count, newest;

	if (sqlite_db_number(store->db, &count, err, "SELECT count(*) FROM"
	    " \"%s\" WHERE IsDeleted = 1 AND Version <= %lld", name,
	    (long long)what->tombstones_to) == -1 ||
	    sqlite_db_number(store->db, &newest, err, "SELECT max(Version)"
	    " FROM \"%s\" WHERE IsDeleted = 1 AND Version <= %lld", name,
	    (long long)what->tombstones_to) == -1)
		return -1;
	out->tombstones += count;
	if (newest > out->horizon)
		out->horizon = newest;
	if (what->is_dry || count == 0)
		return 0;
	return exec_formatted(store, err, xasprintf("DELETE FROM \"%s\" WHERE"
	    " IsDeleted = 1 AND Version <= %lld", name,
	    (long long)what->tombstones_to));
}

static int
prune_records(struct store_sqlite *store, const struct store_prune *what,
    struct store_pruned *out, struct error *err)
{
	char **names, **name;
	int    rc;

	if (store_collections_read(&store->base, &names, err) == -1)
		return -1;
	for (name = names, rc = 0; rc == 0 && *name != NULL; name++)
		rc = prune_tombstones(store, *name, what, out, err);
	words_free(names);
	return rc;
}

static int
prune_rest(struct store_sqlite *store, const struct store_prune *what,
    struct store_pruned *out, struct error *err)
{
	if (sqlite_db_number(store->db, &out->states, err, "SELECT count(*)"
	    " FROM " COLLECTION_STATES " WHERE ReplacedIn <= %lld",
	    (long long)what->states_to) == -1 ||
	    sqlite_db_number(store->db, &out->entries, err, "SELECT count(*)"
	    " FROM SyncHistory WHERE Version <= %lld",
	    (long long)what->history_to) == -1)
		return -1;
	if (what->is_dry)
		return 0;
	return exec_formatted(store, err, xasprintf("DELETE FROM "
	    COLLECTION_STATES " WHERE ReplacedIn <= %lld;"
	    "DELETE FROM SyncHistoryKeys WHERE Version <= %lld;"
	    "DELETE FROM SyncHistory WHERE Version <= %lld;"
	    "UPDATE SyncMetadata SET StatesFrom = %lld, Horizon = %lld",
	    (long long)what->states_to, (long long)what->history_to,
	    (long long)what->history_to, (long long)out->states_from,
	    (long long)out->horizon));
}

int
store_sqlite_prune(struct store *base, const struct store_prune *what,
    struct store_pruned *out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	struct store_versions versions;

	if (store_sqlite_versions_get(base, &versions, err) == -1)
		return -1;
	out->horizon = versions.horizon;
	out->states_from = versions.states_from > what->states_to ?
	    versions.states_from : what->states_to;
	if (prune_records(store, what, out, err) == -1)
		return -1;
	return prune_rest(store, what, out, err);
}
