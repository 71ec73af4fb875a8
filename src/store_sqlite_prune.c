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
	/* Another run may have done so since this one has opened it. */
	if (sqlite_db_exec(store->db, "BEGIN IMMEDIATE", err) == -1 ||
	    sqlite_db_number(store->db, &store->layout, err,
	    "PRAGMA user_version") == -1)
		return -1;
	if (store->layout >= SCHEMA_VERSION)
		return sqlite_db_exec(store->db, "ROLLBACK", err);
	if (sqlite_db_exec(store->db, store_sqlite_schema_states, err) == -1 ||
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

/* How many rows of a table have a number up to limit there; they go, unless it
 * is dry. */
static int
prune_table(struct store_sqlite *store, const char *table, const char *where,
    int64_t limit, bool is_dry, int64_t *count, struct error *err)
{
	int64_t found = 0;
	int	rc;

	if (limit == 0)
		return 0;
	if (is_dry)
		rc = sqlite_db_number(store->db, &found, err, "SELECT count(*)"
		    " FROM %s WHERE %s <= %lld", table, where,
		    (long long)limit);
	else {
		rc = exec_formatted(store, err, xasprintf("DELETE FROM %s"
		    " WHERE %s <= %lld", table, where, (long long)limit));
		found = sqlite3_changes64(store->db);
	}
	if (rc == 0 && count != NULL)
		*count += found;
	return rc;
}

/* Tombstones are found without looking at what they were. */
#define RECORDS	     "\"%s\" INDEXED BY \"%s_State\""
#define IS_TOMBSTONE "IsDeleted = 1 AND Version"

static int
prune_records(struct store_sqlite *store, const char *name,
    const struct store_prune *what, int64_t *count, struct error *err)
{
	char *table;
	int   rc;

	table = xasprintf(RECORDS, name, name);
	rc = prune_table(store, table, IS_TOMBSTONE, what->tombstones_to,
	    what->is_dry, count, err);
	free(table);
	return rc;
}

/* The version of the newest tombstone that goes, if it is above *newest. */
static int
find_newest(struct store_sqlite *store, char *const *names, int64_t limit,
    int64_t *newest, struct error *err)
{
	int64_t found;

	for (; limit > 0 && *names != NULL; names++) {
		if (sqlite_db_number(store->db, &found, err, "SELECT"
		    " max(Version) FROM " RECORDS " WHERE " IS_TOMBSTONE
		    " <= %lld", *names, *names, (long long)limit) == -1)
			return -1;
		if (found > *newest)
			*newest = found;
	}
	return 0;
}

/* What can be told for certain when all of that has gone. */
static int
raise_bounds(struct store_sqlite *store, char *const *names,
    const struct store_prune *what, struct store_pruned *out,
    struct error *err)
{
	struct store_versions versions;
	int64_t		      oldest = 0;

	if (store_sqlite_versions_get(&store->base, &versions, err) == -1 ||
	    (what->history_to > 0 && sqlite_db_number(store->db, &oldest, err,
	    "SELECT min(Version) FROM SyncHistory WHERE Version > %lld",
	    (long long)what->history_to) == -1))
		return -1;
	out->horizon = versions.horizon;
	out->states_from = versions.states_from;
	if (out->states_from < what->states_to)
		out->states_from = what->states_to;
	if (out->states_from < oldest)
		out->states_from = oldest;
	if (find_newest(store, names, what->tombstones_to, &out->horizon,
	    err) == -1)
		return -1;
	return what->is_dry ? 0 : exec_formatted(store, err, xasprintf(
	    "UPDATE SyncMetadata SET StatesFrom = %lld, Horizon = %lld",
	    (long long)out->states_from, (long long)out->horizon));
}

static int
prune_all(struct store_sqlite *store, char *const *names,
    const struct store_prune *what, struct store_pruned *out,
    struct error *err)
{
	/* A file of the first layout has no states. */
	bool has_states = store->layout >= SCHEMA_STATES;

	if (raise_bounds(store, names, what, out, err) == -1)
		return -1;
	for (; *names != NULL; names++) {
		if (prune_records(store, *names, what, &out->tombstones,
		    err) == -1)
			return -1;
	}
	if (has_states && prune_table(store, COLLECTION_STATES, "ReplacedIn",
	    what->states_to, what->is_dry, &out->states, err) == -1)
		return -1;
	if (prune_table(store, "SyncHistoryKeys", "Version", what->history_to,
	    what->is_dry, NULL, err) == -1)
		return -1;
	return prune_table(store, "SyncHistory", "Version", what->history_to,
	    what->is_dry, &out->entries, err);
}

/* A savepoint is a part of the run's transaction or, after that, one of its
 * own. */
int
store_sqlite_prune(struct store *base, const struct store_prune *what,
    struct store_pruned *out, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	char		   **names;
	int		     rc;

	if (store_collections_read(base, &names, err) == -1)
		return -1;
	rc = sqlite_db_exec(store->db, "SAVEPOINT prune", err);
	if (rc == 0)
		rc = prune_all(store, names, what, out, err);
	words_free(names);
	return rc == -1 ? -1 : sqlite_db_exec(store->db, "RELEASE prune", err);
}
