#include <stdlib.h>

#include "sqlite_db.h"
#include "sqlite_keys.h"
#include "xalloc.h"

/* 2 MiB of the set are kept in memory, whatever its size; the rest is in a file
 * that goes with the process. */
#define KEYS_SCHEMA \
	"PRAGMA cache_size = -2048;" \
	"PRAGMA journal_mode = OFF;" \
	"PRAGMA synchronous = OFF;" \
	"PRAGMA locking_mode = EXCLUSIVE;" \
	"BEGIN;" \
	"CREATE TABLE keys (key TEXT PRIMARY KEY) WITHOUT ROWID;"

struct sqlite_keys {
	sqlite3	     *db;
	sqlite3_stmt *add;
};

static int
fail(struct error *err)
{
	return error_prefix(err, "the temporary set of keys (its folder is set"
	    " by TMPDIR)");
}

int
sqlite_keys_open(struct sqlite_keys **out, struct error *err)
{
	struct sqlite_keys *keys;

	*out = NULL;
	keys = xcalloc(1, sizeof(*keys));
	/* An empty name: a temporary file that is unlinked at once. */
	if (sqlite3_open_v2("", &keys->db, SQLITE_DB_MAKE, NULL) != SQLITE_OK)
		(void)sqlite_db_fail(keys->db, "opening it", err);
	else if (sqlite_db_exec(keys->db, KEYS_SCHEMA, err) == 0 &&
	    sqlite_db_prepare(keys->db, &keys->add, err,
	    "INSERT OR IGNORE INTO keys VALUES (?1)") == 0) {
		*out = keys;
		return 0;
	}
	sqlite_keys_close(keys);
	return fail(err);
}

int
sqlite_keys_add(struct sqlite_keys *keys, const char *key, size_t len,
    struct error *err)
{
	sqlite_db_bind_text(keys->add, 1, key, len);
	if (sqlite_db_run(keys->add, err) == -1)
		return fail(err);
	return sqlite3_changes(keys->db) > 0 ? 1 : 0;
}

void
sqlite_keys_close(struct sqlite_keys *keys)
{
	if (keys == NULL)
		return;
	sqlite3_finalize(keys->add);
	(void)sqlite3_close(keys->db);
	free(keys);
}
