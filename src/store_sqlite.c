/*
 * The embedded store: one SQLite file in WAL mode, one transaction a run.
 * Readers see the last committed run throughout; a run that dies leaves
 * nothing.  What it answers is in store_sqlite_read.c, what is written to it in
 * store_sqlite_write.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "collection.h"
#include "log.h"
#include "sqlite_db.h"
#include "store_place.h"
#include "store_sqlite_int.h"
#include "text.h"
#include "xalloc.h"

#define SCHEME "sqlite:"
/* "NOMP": says in a file's header that it is a store of ours. */
#define APPLICATION_ID 0x4e4f4d50
/* How long to wait for another process that is in the file for a moment. */
#define BUSY_TIMEOUT_MS 10000
/* Pages that SQLite holds in memory, whatever the size of the store. */
#define CACHE_KIB 4096
/* A page of the file; larger ones waste less on records of a kilobyte. */
#define PAGE_BYTES 16384

static const char schema_collection[] =
    "CREATE TABLE \"%s\" ("
    " _id TEXT GENERATED ALWAYS AS (BusinessKey) VIRTUAL,"
    " BusinessKey TEXT NOT NULL,"
    " Version INTEGER NOT NULL,"
    " IsDeleted INTEGER NOT NULL CHECK (IsDeleted IN (0, 1)),"
    " UpdatedAt INTEGER NOT NULL,"
    " ContentHash TEXT NOT NULL CHECK (length(ContentHash) = 64),"
    " Data BLOB NOT NULL,"
    " JsonHash TEXT);"
    "CREATE UNIQUE INDEX \"%s_BusinessKey\" ON \"%s\" (BusinessKey);"
    SQLITE_STATE_INDEX
    "CREATE INDEX \"%s_Version\" ON \"%s\" (Version, BusinessKey);";

static const char schema_common[] =
    "CREATE TABLE SyncMetadata (_id TEXT PRIMARY KEY CHECK (_id = 'sync'),"
    " CurrentVersion INTEGER NOT NULL, LastSyncAt INTEGER NOT NULL,"
    " StatesFrom INTEGER NOT NULL DEFAULT 0,"
    " Horizon INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE SyncHistory (Version INTEGER PRIMARY KEY,"
    " SyncedAt INTEGER NOT NULL, DurationMs INTEGER NOT NULL,"
    " Tallies BLOB NOT NULL, Seal BLOB);"
    "CREATE INDEX SyncHistory_SyncedAt ON SyncHistory (SyncedAt DESC);"
    "CREATE TABLE SyncHistoryKeys (Version INTEGER NOT NULL,"
    " Collection TEXT NOT NULL, Act TEXT NOT NULL, Part INTEGER NOT NULL,"
    " Keys BLOB NOT NULL, PRIMARY KEY (Version, Collection, Act, Part));"
    "PRAGMA application_id = " TEXT_OF(APPLICATION_ID) ";"
    "PRAGMA user_version = " TEXT_OF(SCHEMA_VERSION) ";";

static const struct sqlite_db_form form = { APPLICATION_ID, SCHEMA_VERSION,
	"not a store of ours; it was left as it is (name another --store)" };

static int
enter_wal(struct store_sqlite *store, struct error *err)
{
	int keep = 1;

	/* Readers without the right to make files find -wal and -shm there. */
	(void)sqlite3_file_control(store->db, NULL, SQLITE_FCNTL_PERSIST_WAL,
	    &keep);
	return sqlite_db_exec(store->db, "PRAGMA journal_mode = WAL", err);
}

static void
sqlite_close(struct store *base)
{
	struct store_sqlite *store = (struct store_sqlite *)base;

	sqlite_kept_clear(&store->kept);
	/* An open transaction is rolled back. */
	(void)sqlite3_close_v2(store->db);
	if (store->lease_fd != -1)
		(void)close(store->lease_fd);
	free(store->path);
	free(store->base.name);
	free(store);
}

/* SQLite itself takes a file of a few bytes for an empty one. */
static int
check_header(const char *path, struct error *err)
{
	static const char magic[] = "SQLite format 3";
	char		  header[sizeof(magic)];
	ssize_t		  len;
	int		  fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* What cannot be opened SQLite will speak of. */
	if (fd == -1)
		return 0;
	len = read(fd, header, sizeof(header));
	(void)close(fd);
	if (len == 0 || (len == sizeof(header) &&
	    memcmp(header, magic, sizeof(magic)) == 0))
		return 0;
	return error_set(err, STATUS_STORE, "not a SQLite file; it was left as"
	    " it is (name another --store)");
}

/* Is it a store of ours, or empty?  Its layout is noted. */
static int
check_schema(struct store_sqlite *store, bool *is_new, struct error *err)
{
	if (sqlite_db_check(store->db, &form, is_new, err) == -1)
		return -1;
	return sqlite_db_number(store->db, &store->layout, err,
	    "PRAGMA user_version");
}

static int
set_pragmas(struct store_sqlite *store, struct error *err)
{
	static const char pragmas[] =
	    "PRAGMA cache_size = -" TEXT_OF(CACHE_KIB) ";"
	    "PRAGMA synchronous = FULL;"
	    "PRAGMA temp_store = FILE;"
	    "PRAGMA trusted_schema = OFF;";

	if (sqlite3_exec(store->db, pragmas, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return sqlite_db_fail(store->db, "opening it", err);
}

int
store_sqlite_make_collection(struct store_sqlite *store, const char *name,
    struct error *err)
{
	char *sql;
	int   rc;

	sql = xasprintf(schema_collection, name, name, name, name, name, name,
	    name);
	rc = sqlite_db_exec(store->db, sql, err);
	free(sql);
	return rc;
}

/* A part of the run's transaction. */
static int
sqlite_collection_make(struct store *base, const char *name, struct error *err)
{
	return store_sqlite_make_collection((struct store_sqlite *)base, name,
	    err);
}

int
store_sqlite_make_tables(struct store_sqlite *store, struct error *err)
{
	int i;

	for (i = 0; i < COLLECTION__MAX; i++) {
		if (store_sqlite_make_collection(store, collection_name(i),
		    err) == -1)
			return -1;
	}
	if (sqlite_db_exec(store->db, store_sqlite_schema_states, err) == -1)
		return -1;
	store->layout = SCHEMA_VERSION;
	return sqlite_db_exec(store->db, schema_common, err);
}

/* Makes an empty file a store, unless another process has just done it. */
static int
create_schema(struct store_sqlite *store, struct error *err)
{
	bool is_new;

	if (sqlite_db_exec(store->db, "BEGIN IMMEDIATE", err) == -1 ||
	    check_schema(store, &is_new, err) == -1)
		return -1;
	if (is_new && store_sqlite_make_tables(store, err) == -1)
		return -1;
	return sqlite_db_exec(store->db, "COMMIT", err);
}

/* One file, one lease, whichever link leads to it. */
static void
resolve_path(struct store_sqlite *store)
{
	char resolved[PATH_MAX];

	if (realpath(store->path, resolved) == NULL)
		return;
	free(store->path);
	store->path = xstrdup(resolved);
}

/* Which file it is, for sqlite_is_replaced(); links may lead elsewhere by
 * then. */
static void
note_file(struct store_sqlite *store)
{
	struct stat info;

	if (stat(store->base.name, &info) == -1)
		return;
	store->device = info.st_dev;
	store->file = info.st_ino;
}

static int
fail_missing(struct error *err)
{
	return error_set(err, STATUS_STORE, "it is not there; the first run or"
	    " `nompd-sync init` makes it");
}

/* Opens the file for writing; makes it when it is not there. */
static int
open_for_write(struct store_sqlite *store, enum store_mode mode,
    struct error *err)
{
	bool is_new;

	if (mode == STORE_UPDATE && access(store->path, F_OK) == -1 &&
	    errno == ENOENT)
		return fail_missing(err);
	if (sqlite3_open_v2(store->path, &store->db, SQLITE_DB_MAKE, NULL) !=
	    SQLITE_OK)
		return sqlite_db_fail(store->db, "opening it", err);
	(void)sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	if (check_schema(store, &is_new, err) == -1)
		return -1;
	if (is_new && (sqlite_db_exec(store->db,
	    "PRAGMA page_size = " TEXT_OF(PAGE_BYTES), err) == -1 ||
	    create_schema(store, err) == -1))
		return -1;
	if (enter_wal(store, err) == -1)
		return -1;
	/* Now there is a file for the links of its path to lead to. */
	resolve_path(store);
	note_file(store);
	/* Last, because a new schema brings the defaults back. */
	return set_pragmas(store, err);
}

/* A store that is not there, for a dry run: empty, in memory. */
static int
open_empty(struct store_sqlite *store, struct error *err)
{
	if (sqlite3_open_v2(":memory:", &store->db, SQLITE_DB_MAKE, NULL) !=
	    SQLITE_OK)
		return sqlite_db_fail(store->db, "making an empty store", err);
	return create_schema(store, err);
}

static int
open_for_read(struct store_sqlite *store, enum store_mode mode,
    struct error *err)
{
	bool is_new;

	if (access(store->path, F_OK) == -1 && errno == ENOENT) {
		if (mode == STORE_DRY)
			return open_empty(store, err);
		return fail_missing(err);
	}
	if (sqlite3_open_v2(store->path, &store->db, SQLITE_DB_READ, NULL) !=
	    SQLITE_OK)
		return sqlite_db_fail(store->db, "opening it", err);
	(void)sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	if (check_schema(store, &is_new, err) == -1)
		return -1;
	if (!is_new)
		return set_pragmas(store, err);
	if (mode != STORE_DRY)
		return error_set(err, STATUS_STORE, "an empty file; the first"
		    " run or `nompd-sync init` makes a store of it");
	(void)sqlite3_close(store->db);
	return open_empty(store, err);
}

static int
sqlite_open(const struct store_place *place, enum store_mode mode,
    struct store **out, struct error *err)
{
	struct store_sqlite *store;
	const char	    *path = place->uri + strlen(SCHEME);
	int		     rc;

	store = xcalloc(1, sizeof(*store));
	store->lease_fd = -1;
	store->mode = mode;
	/* A path, never one of SQLite's special names (":memory:", "file:"). */
	store->path = xasprintf("%s%s", path[0] == '/' ? "" : "./", path);
	store->base.name = xstrdup(path);
	/* Before its links are followed: another file that comes in between
	 * is then noticed. */
	note_file(store);
	resolve_path(store);
	rc = check_header(store->path, err);
	if (rc == 0)
		rc = mode == STORE_WRITE || mode == STORE_UPDATE ?
		    open_for_write(store, mode, err) :
		    open_for_read(store, mode, err);
	if (rc == -1) {
		error_prefix(err, "store %s", path);
		sqlite_close(&store->base);
		return -1;
	}
	*out = &store->base;
	return 0;
}

/* Reads who holds the lease, as written by write_holder(). */
static void
read_holder(int fd, char holder[MAX_HOLDER_TEXT])
{
	ssize_t len;

	len = pread(fd, holder, MAX_HOLDER_TEXT - 1, 0);
	holder[len > 0 ? len : 0] = '\0';
	holder[strcspn(holder, "\n")] = '\0';
}

/* For people only; the lock is what counts. */
static void
write_holder(int fd, char holder[MAX_HOLDER_TEXT])
{
	char time[CLOCK_TEXT_BYTES];

	clock_format(clock_now_ms(), time);
	(void)snprintf(holder, MAX_HOLDER_TEXT, "process %ld, since %s\n",
	    (long)getpid(), time);
	if (ftruncate(fd, 0) == -1 ||
	    pwrite(fd, holder, strlen(holder), 0) == -1)
		log_debug("cannot note who holds the lease: %s",
		    strerror(errno));
	holder[strcspn(holder, "\n")] = '\0';
}

static int
sqlite_lease_try(struct store *base, char holder[MAX_HOLDER_TEXT],
    struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	char		    *path;
	int		     rc = -1;

	path = xasprintf("%s-lease", store->path);
	if (store->lease_fd == -1)
		store->lease_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC,
		    0644);
	if (store->lease_fd == -1)
		error_set(err, STATUS_STORE, "cannot open its lease file %s:"
		    " %s", path, strerror(errno));
	else if (flock(store->lease_fd, LOCK_EX | LOCK_NB) == 0) {
		write_holder(store->lease_fd, holder);
		rc = 1;
	} else if (errno == EWOULDBLOCK) {
		read_holder(store->lease_fd, holder);
		rc = 0;
	} else
		error_set(err, STATUS_STORE, "cannot lock %s: %s", path,
		    strerror(errno));
	free(path);
	return rc;
}

/* The kernel takes it from nobody. */
static int
sqlite_lease_check(struct store *base, struct error *err)
{
	(void)base;
	(void)err;
	return 0;
}

/* A copy may have what a run has left that died: readers are not to see it. */
static int
choose_shown(struct store_sqlite *store, struct error *err)
{
	struct store_versions versions;

	if (store_sqlite_versions_get(&store->base, &versions, err) == -1)
		return -1;
	store->shown = versions.raised > versions.finished &&
	    versions.states_from <= versions.finished ? versions.finished : 0;
	return 0;
}

static int
sqlite_begin(struct store *base, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;

	if (!sqlite3_db_readonly(store->db, "main"))
		return sqlite_db_exec(store->db, "BEGIN IMMEDIATE", err);
	/* The first read is what fixes the state. */
	if (sqlite_kept_run(&store->kept, store->db, "BEGIN", err) == -1 ||
	    sqlite_kept_run(&store->kept, store->db,
	    "SELECT count(*) FROM SyncMetadata", err) == -1)
		return -1;
	/* A run may have brought it up to date since. */
	if (store->layout < SCHEMA_VERSION && sqlite_db_number(store->db,
	    &store->layout, err, "PRAGMA user_version") == -1)
		return -1;
	return store->mode == STORE_READ ? choose_shown(store, err) : 0;
}

/* A run that died was a transaction, of which nothing is left. */
static int
sqlite_undo(struct store *base, struct error *err)
{
	(void)base;
	(void)err;
	return 0;
}

static int
sqlite_end(struct store *base, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;

	return sqlite_kept_run(&store->kept, store->db, "ROLLBACK", err);
}

static bool
sqlite_is_replaced(struct store *base)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	struct stat	     info;

	return stat(base->name, &info) == -1 ||
	    info.st_dev != store->device || info.st_ino != store->file;
}

static int
sqlite_version_raise(struct store *base, int64_t now_ms, int64_t *version,
    struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;

	if (sqlite_db_number(store->db, version, err,
	    "INSERT INTO SyncMetadata (_id, CurrentVersion, LastSyncAt)"
	    " VALUES ('sync', 1, %lld)"
	    " ON CONFLICT (_id) DO UPDATE SET"
	    " CurrentVersion = CurrentVersion + 1,"
	    " LastSyncAt = excluded.LastSyncAt RETURNING CurrentVersion",
	    (long long)now_ms) == -1)
		return -1;
	store->own_version = *version;
	return 0;
}

static int
sqlite_versions_set(struct store *base, const struct store_versions *versions,
    struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;
	sqlite3_stmt	    *statement;
	int		     rc;

	if (sqlite_db_prepare(store->db, &statement, err, "INSERT OR REPLACE"
	    " INTO SyncMetadata (_id, CurrentVersion, LastSyncAt, StatesFrom,"
	    " Horizon) VALUES ('sync', %lld, %lld, %lld, %lld)",
	    (long long)versions->raised, (long long)versions->raised_at_ms,
	    (long long)versions->states_from, (long long)versions->horizon) ==
	    -1)
		return -1;
	rc = sqlite_db_run(statement, err);
	sqlite3_finalize(statement);
	return rc;
}

/* A run that has raised the version without an entry in the history would be
 * one that nobody can tell of. */
static int
check_entry(struct store_sqlite *store, struct error *err)
{
	int64_t entries = 0;

	if (store->own_version == 0)
		return 0;
	if (sqlite_db_number(store->db, &entries, err, "SELECT count(*) FROM"
	    " SyncHistory WHERE Version = %lld",
	    (long long)store->own_version) == -1)
		return -1;
	return entries == 1 ? 0 : error_set(err, STATUS_UNBALANCED,
	    "publishing: version %lld has no entry in the history; nothing was"
	    " published", (long long)store->own_version);
}

static int
sqlite_publish(struct store *base, struct error *err)
{
	struct store_sqlite *store = (struct store_sqlite *)base;

	if (check_entry(store, err) == -1 ||
	    sqlite_db_exec(store->db, "COMMIT", err) == -1)
		return -1;
	/* Empties the log.  A reader in the middle of it may prevent that, and
	 * then the next run does it: nobody waits. */
	(void)sqlite3_busy_timeout(store->db, 0);
	if (sqlite3_wal_checkpoint_v2(store->db, NULL,
	    SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
		log_debug("store %s: checkpoint: %s", base->name,
		    sqlite3_errmsg(store->db));
	return 0;
}

const struct store_ops store_sqlite_ops = {
	.open = sqlite_open,
	.close = sqlite_close,
	.lease_try = sqlite_lease_try,
	.lease_check = sqlite_lease_check,
	.begin = sqlite_begin,
	.end = sqlite_end,
	.undo = sqlite_undo,
	.is_replaced = sqlite_is_replaced,
	.versions_get = store_sqlite_versions_get,
	.version_raise = sqlite_version_raise,
	.versions_set = sqlite_versions_set,
	.run_find = store_sqlite_run_find,
	.run_first = store_sqlite_run_first,
	.upgrade_begin = store_sqlite_upgrade_begin,
	.upgrade_end = store_sqlite_upgrade_end,
	.extras_get = store_sqlite_extras_get,
	.collection_make = sqlite_collection_make,
	.state_open = store_sqlite_state_open,
	.state_next = store_sqlite_state_next,
	.records_open = store_sqlite_records_open,
	.record_open = store_sqlite_record_open,
	.record_next = store_sqlite_record_next,
	.changes_open = store_sqlite_changes_open,
	.states_open = store_sqlite_states_open,
	.outline_open = store_sqlite_outline_open,
	.outline_next = store_sqlite_outline_next,
	.counts_get = store_sqlite_counts_get,
	.writer_open = store_sqlite_writer_open,
	.writer_put = store_sqlite_writer_put,
	.writer_delete = store_sqlite_writer_delete,
	.writer_state = store_sqlite_writer_state,
	.writer_hashes = store_sqlite_writer_hashes,
	.writer_close = store_sqlite_writer_close,
	.writer_abort = store_sqlite_writer_abort,
	.history_put = store_sqlite_history_put,
	.history_keys_put = store_sqlite_history_keys_put,
	.history_open = store_sqlite_history_open,
	.history_next = store_sqlite_history_next,
	.seal_get = store_sqlite_seal_get,
	.history_keys_open = store_sqlite_history_keys_open,
	.history_parts_open = store_sqlite_history_parts_open,
	.history_keys_next = store_sqlite_history_keys_next,
	.note_put = store_sqlite_note_put,
	.notes_open = store_sqlite_notes_open,
	.notes_next = store_sqlite_notes_next,
	.notes_delete = store_sqlite_notes_delete,
	.prune = store_sqlite_prune,
	.check = store_sqlite_check,
	.cursor_close = store_sqlite_cursor_close,
	.publish = sqlite_publish,
};
