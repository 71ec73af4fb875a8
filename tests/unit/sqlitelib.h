/* A store in a file, in a folder that each test has for itself. */
#ifndef NOMPD_SQLITELIB_H
#define NOMPD_SQLITELIB_H

#include <sqlite3.h>
#include <sys/stat.h>

#include "storelib.h"

static char folder[] = "/tmp/nompd-test-XXXXXX";

static inline void
sqlite_set_up(void)
{
	memset(folder + strlen(folder) - 6, 'X', 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(uri, sizeof(uri), "sqlite:%s/store.db", folder);
}

static inline void
sqlite_tear_down(void)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-lease",
		"-old", "-old-wal", "-old-shm", "-jobs", "-jobs-wal",
		"-jobs-shm" };
	char			 path[96];
	int			 i;

	for (i = 0; i < LENGTH_OF(suffixes); i++) {
		(void)snprintf(path, sizeof(path), "%s/store.db%s", folder,
		    suffixes[i]);
		(void)unlink(path);
	}
	ck_assert_int_eq(rmdir(folder), 0);
}

static inline const char *
sqlite_path(void)
{
	return uri + strlen("sqlite:");
}

/* Changes the file behind the store's back. */
static inline void
damage(const char *sql)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(sqlite_path(), &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static inline void
sqlite_make_newer(void)
{
	damage("PRAGMA user_version = 99");
}

static inline void
sqlite_make_foreign(void)
{
	damage("CREATE TABLE PlanDefinitions (mine TEXT);"
	    "INSERT INTO PlanDefinitions VALUES ('all mine')");
}

/* One table with one row, and no table of ours. */
static inline void
sqlite_check_foreign(void)
{
	sqlite3_stmt *statement;
	sqlite3	     *db;

	ck_assert_int_eq(sqlite3_open(sqlite_path(), &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT"
	    " (SELECT count(*) FROM sqlite_master),"
	    " (SELECT count(*) FROM PlanDefinitions WHERE mine = 'all mine')",
	    -1, &statement, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	ck_assert_int_eq(sqlite3_column_int(statement, 0), 1);
	ck_assert_int_eq(sqlite3_column_int(statement, 1), 1);
	ck_assert_int_eq(sqlite3_finalize(statement), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static inline void
sqlite_check_nothing(void)
{
	ck_assert_int_eq(access(sqlite_path(), F_OK), -1);
}

/* A layout 1: the tables and the index that it has in another form. */
static inline void
sqlite_make_old(void)
{
	char *sql;
	int   i;

	for (i = 0; i < COLLECTION__MAX; i++) {
		sql = xasprintf("DROP INDEX \"%s_State\";"
		    "ALTER TABLE \"%s\" DROP COLUMN JsonHash;"
		    "CREATE INDEX \"%s_State\" ON \"%s\" (BusinessKey,"
		    " IsDeleted, ContentHash);", collection_name(i),
		    collection_name(i), collection_name(i),
		    collection_name(i));
		damage(sql);
		free(sql);
	}
	damage("DROP TABLE RecordHistory;"
	    "ALTER TABLE SyncMetadata DROP COLUMN StatesFrom;"
	    "ALTER TABLE SyncMetadata DROP COLUMN Horizon;"
	    "ALTER TABLE SyncHistory DROP COLUMN Seal;"
	    "PRAGMA user_version = 1");
}

/* The lease went with its process. */
static inline void
sqlite_age_lease(void)
{
}

#endif
