/*
 * The ledger of an embedded store: a small database of its own beside the
 * store's file, whose single writer is busy during a run.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "jobs_int.h"
#include "sqlite_db.h"
#include "store_place.h"
#include "text.h"
#include "xalloc.h"

#define SCHEME "sqlite:"
#define SUFFIX "-jobs"
/* "NOMJ": says in a file's header that it is a ledger of ours. */
#define APPLICATION_ID 0x4e4f4d4a
/* The layout that this program reads and writes (PRAGMA user_version). */
#define SCHEMA_VERSION 1
/* How long to wait for another process that is in the file for a moment. */
#define BUSY_TIMEOUT_MS 10000

/* What helps where the file is of no use. */
#define MOVE_IT \
	"; while no run is active, move it away, with its -wal and -shm: it" \
	" holds nothing else, and the next run makes a new one"

#define COLUMNS "_id, State, CreatedAt, RenewedAt, Data, Abort"

/* path is the ledger's; db is NULL when there is none to be read. */
struct jobs_sqlite {
	struct jobs base;
	sqlite3	   *db;
	char	   *path;
};

static const char schema[] =
    "CREATE TABLE SyncJobs ("
    " Number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " _id TEXT NOT NULL UNIQUE,"
    " State TEXT NOT NULL,"
    " CreatedAt INTEGER NOT NULL,"
    " RenewedAt INTEGER NOT NULL,"
    " Data BLOB NOT NULL,"
    " Abort BLOB);"
    "CREATE INDEX SyncJobs_State ON SyncJobs (State);"
    "PRAGMA application_id = " TEXT_OF(APPLICATION_ID) ";"
    "PRAGMA user_version = " TEXT_OF(SCHEMA_VERSION) ";";

static const struct sqlite_db_form form = { APPLICATION_ID, SCHEMA_VERSION,
	"no list of jobs" MOVE_IT };

static void
ledger_close(struct jobs *base)
{
	struct jobs_sqlite *jobs = (struct jobs_sqlite *)base;

	(void)sqlite3_close_v2(jobs->db);
	free(jobs->path);
	free(base->name);
	free(jobs);
}

static int64_t
ledger_now_ms(struct jobs *base)
{
	(void)base;
	return clock_now_ms();
}

/* Two runs may do it at once.  A file of somebody else's stays as it is. */
static int
make_schema(struct jobs_sqlite *jobs, struct error *err)
{
	bool is_new;
	int  rc;

	if (sqlite_db_check(jobs->db, &form, &is_new, err) == -1 ||
	    sqlite_db_exec(jobs->db, "PRAGMA journal_mode = WAL", err) == -1 ||
	    sqlite_db_exec(jobs->db, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	rc = sqlite_db_check(jobs->db, &form, &is_new, err);
	if (rc == 0 && is_new)
		rc = sqlite_db_exec(jobs->db, schema, err);
	if (rc == 0)
		return sqlite_db_exec(jobs->db, "COMMIT", err);
	(void)sqlite3_exec(jobs->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

static int
open_for_write(struct jobs_sqlite *jobs, struct error *err)
{
	int keep = 1;

	if (sqlite3_open_v2(jobs->path, &jobs->db, SQLITE_DB_MAKE, NULL) !=
	    SQLITE_OK)
		return sqlite_db_fail(jobs->db, "opening it", err);
	if (sqlite3_db_readonly(jobs->db, "main") == 1)
		return error_set(err, STATUS_STORE, "this user may only read"
		    " it; let this user write the file and its folder");
	(void)sqlite3_busy_timeout(jobs->db, BUSY_TIMEOUT_MS);
	/* Readers without the right to make files find -wal and -shm there. */
	(void)sqlite3_file_control(jobs->db, NULL, SQLITE_FCNTL_PERSIST_WAL,
	    &keep);
	if (make_schema(jobs, err) == -1)
		return -1;
	/* An end, and who asked for it, outlives the machine. */
	return sqlite_db_exec(jobs->db, "PRAGMA synchronous = FULL", err);
}

static int
open_for_read(struct jobs_sqlite *jobs, struct error *err)
{
	bool is_new;

	if (access(jobs->path, F_OK) == -1 && errno == ENOENT)
		return 0;
	if (sqlite3_open_v2(jobs->path, &jobs->db, SQLITE_DB_READ, NULL) !=
	    SQLITE_OK)
		return sqlite_db_fail(jobs->db, "opening it", err);
	(void)sqlite3_busy_timeout(jobs->db, BUSY_TIMEOUT_MS);
	if (sqlite_db_check(jobs->db, &form, &is_new, err) == -1)
		return -1;
	if (is_new) {
		(void)sqlite3_close_v2(jobs->db);
		jobs->db = NULL;
	}
	return 0;
}

/* One store, one ledger, whichever link leads to it. */
static char *
path_of(const char *store_path)
{
	char resolved[PATH_MAX];

	if (realpath(store_path, resolved) != NULL)
		return xasprintf("%s" SUFFIX, resolved);
	/* Never one of SQLite's special names (":memory:", "file:"). */
	return xasprintf("%s%s" SUFFIX, store_path[0] == '/' ? "" : "./",
	    store_path);
}

/* What is to be done then is not what helps a store. */
static bool
is_damaged(sqlite3 *db)
{
	int code = sqlite3_errcode(db);

	return code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
}

static int
ledger_open(const struct store_place *place, bool is_writer,
    struct jobs **out, struct error *err)
{
	struct jobs_sqlite *jobs;
	const char	   *store_path = place->uri + strlen(SCHEME);
	int		    rc;

	jobs = xcalloc(1, sizeof(*jobs));
	jobs->base.name = xstrdup(store_path);
	jobs->path = path_of(store_path);
	rc = is_writer ? open_for_write(jobs, err) : open_for_read(jobs, err);
	if (rc == -1) {
		if (is_damaged(jobs->db))
			(void)error_set(err, STATUS_STORE, "%s" MOVE_IT,
			    sqlite3_errmsg(jobs->db));
		error_prefix(err, "list of jobs %s", jobs->path);
		ledger_close(&jobs->base);
		return -1;
	}
	*out = &jobs->base;
	return 0;
}

/* Carries the statement out, and frees it: how many rows it has changed, or -1,
 * in words that have no SQL in them. */
static int
write_row(const struct jobs_sqlite *jobs, sqlite3_stmt *statement,
    struct error *err)
{
	int rc;

	rc = sqlite_db_run(statement, err);
	if (rc == -1)
		(void)sqlite_db_fail(jobs->db, "noting a job", err);
	sqlite3_finalize(statement);
	return rc == -1 ? -1 : sqlite3_changes(jobs->db);
}

static int
ledger_add(struct jobs *base, const struct jobs_row *row, struct error *err)
{
	struct jobs_sqlite *jobs = (struct jobs_sqlite *)base;
	sqlite3_stmt	   *statement;

	if (sqlite_db_prepare(jobs->db, &statement, err, "INSERT INTO SyncJobs"
	    " (_id, State, CreatedAt, RenewedAt, Data)"
	    " VALUES (?1, ?2, %lld, %lld, ?3) ON CONFLICT (_id) DO NOTHING",
	    (long long)row->created_at_ms, (long long)row->renewed_at_ms) ==
	    -1)
		return -1;
	sqlite_db_bind_text(statement, 1, row->id, strlen(row->id));
	sqlite_db_bind_text(statement, 2, row->state, strlen(row->state));
	sqlite_db_bind_blob(statement, 3, row->data, row->data_len);
	return write_row(jobs, statement, err);
}

/* "State IN ('Queued', 'Running')", of a set of states; the caller clears
 * it. */
static struct buf
make_condition(const char *const *states)
{
	struct buf  text = { 0 };
	const char *comma = "";

	if (states == NULL) {
		buf_print(&text, "TRUE");
		return text;
	}
	buf_print(&text, "State IN (");
	for (; *states != NULL; states++) {
		buf_print(&text, "%s'%s'", comma, *states);
		comma = ", ";
	}
	buf_print(&text, ")");
	return text;
}

/* An UPDATE of the row of that id, if it is in one of before, whose parameters
 * 2 and 3 are state and blob. */
static int
update(struct jobs_sqlite *jobs, const char *set, const struct jobs_row *row,
    const char *const *before, struct error *err)
{
	const uint8_t *blob = row->abort != NULL ? row->abort : row->data;
	size_t	       len = row->abort != NULL ? row->abort_len :
	    row->data_len;
	sqlite3_stmt  *statement;
	struct buf     condition = make_condition(before);
	int	       rc;

	rc = sqlite_db_prepare(jobs->db, &statement, err, "UPDATE SyncJobs SET"
	    " State = ?2, %s WHERE _id = ?1 AND %.*s", set,
	    (int)condition.len, (const char *)condition.data);
	buf_clear(&condition);
	if (rc == -1)
		return -1;
	sqlite_db_bind_text(statement, 1, row->id, strlen(row->id));
	sqlite_db_bind_text(statement, 2, row->state, strlen(row->state));
	sqlite_db_bind_blob(statement, 3, blob, len);
	return write_row(jobs, statement, err);
}

static int
ledger_put(struct jobs *base, const struct jobs_row *row,
    const char *const *before, struct error *err)
{
	char *set;
	int   rc;

	set = xasprintf("Data = ?3, RenewedAt = %lld",
	    (long long)row->renewed_at_ms);
	rc = update((struct jobs_sqlite *)base, set, row, before, err);
	free(set);
	return rc;
}

static int
ledger_set_abort(struct jobs *base, const struct jobs_row *row,
    const char *const *before, struct error *err)
{
	return update((struct jobs_sqlite *)base, "Abort = ?3", row, before,
	    err);
}

static void
read_row(sqlite3_stmt *statement, struct jobs_row *row)
{
	row->id = (const char *)sqlite3_column_text(statement, 0);
	row->state = (const char *)sqlite3_column_text(statement, 1);
	row->created_at_ms = sqlite3_column_int64(statement, 2);
	row->renewed_at_ms = sqlite3_column_int64(statement, 3);
	row->data = sqlite3_column_blob(statement, 4);
	row->data_len = (size_t)sqlite3_column_bytes(statement, 4);
	row->abort = sqlite3_column_blob(statement, 5);
	row->abort_len = (size_t)sqlite3_column_bytes(statement, 5);
	if (row->id == NULL || row->state == NULL)
		xalloc_end();
}

static int
prepare_walk(struct jobs_sqlite *jobs, const char *id,
    const char *const *states, sqlite3_stmt **out, struct error *err)
{
	struct buf condition = make_condition(states);
	int	   rc;

	if (id != NULL)
		rc = sqlite_db_prepare(jobs->db, out, err, "SELECT " COLUMNS
		    " FROM SyncJobs WHERE _id = ?1");
	else
		rc = sqlite_db_prepare(jobs->db, out, err, "SELECT " COLUMNS
		    " FROM SyncJobs WHERE %.*s ORDER BY Number DESC",
		    (int)condition.len, (const char *)condition.data);
	buf_clear(&condition);
	if (rc == 0 && id != NULL)
		sqlite_db_bind_text(*out, 1, id, strlen(id));
	return rc;
}

static int
ledger_walk(struct jobs *base, const char *id, const char *const *states,
    jobs_row_fn fn, void *ctx, struct error *err)
{
	struct jobs_sqlite *jobs = (struct jobs_sqlite *)base;
	struct jobs_row	    row;
	sqlite3_stmt	   *statement;
	bool		    goes_on = true;
	int		    rc = 0;

	if (jobs->db == NULL)
		return 0;
	if (prepare_walk(jobs, id, states, &statement, err) == -1)
		return -1;
	while (goes_on && (rc = sqlite_db_step(statement, err)) == 1) {
		read_row(statement, &row);
		goes_on = fn(ctx, &row);
	}
	sqlite3_finalize(statement);
	return rc == -1 ? -1 : 0;
}

static int
ledger_drop(struct jobs *base, const char *id, struct error *err)
{
	struct jobs_sqlite *jobs = (struct jobs_sqlite *)base;
	sqlite3_stmt	   *statement;

	if (sqlite_db_prepare(jobs->db, &statement, err,
	    "DELETE FROM SyncJobs WHERE _id = ?1") == -1)
		return -1;
	sqlite_db_bind_text(statement, 1, id, strlen(id));
	return write_row(jobs, statement, err) == -1 ? -1 : 0;
}

const struct jobs_ops jobs_sqlite_ops = {
	.open = ledger_open,
	.close = ledger_close,
	.now_ms = ledger_now_ms,
	.add = ledger_add,
	.put = ledger_put,
	.set_abort = ledger_set_abort,
	.walk = ledger_walk,
	.drop = ledger_drop,
};
