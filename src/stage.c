#include <stdlib.h>
#include <string.h>

#include "sqlite_db.h"
#include "stage_int.h"
#include "xalloc.h"

/* Pages that SQLite holds in memory, whatever the size of the stage. */
#define STAGE_PRAGMAS \
	"PRAGMA page_size = 16384;" \
	"PRAGMA cache_size = -4096;" \
	"PRAGMA journal_mode = OFF;" \
	"PRAGMA synchronous = OFF;" \
	"PRAGMA locking_mode = EXCLUSIVE;" \
	"BEGIN;"

int
stage_fail(struct error *err)
{
	return error_prefix(err, "the temporary stage (its folder is set by"
	    " TMPDIR)");
}

static int
exec_formatted(struct stage *stage, struct error *err, char *sql)
{
	int rc;

	rc = sqlite_db_exec(stage->db, sql, err);
	free(sql);
	return rc;
}

static int
make_list(struct stage *stage, int i, struct error *err)
{
	struct stage_list *list = &stage->lists[i];

	if (exec_formatted(stage, err, xasprintf("CREATE TABLE staged_%d"
	    " (row INTEGER PRIMARY KEY, key TEXT NOT NULL, hash BLOB,"
	    " kind INTEGER, subset INTEGER, updated INTEGER, version INTEGER,"
	    " data BLOB)", i)) == -1 ||
	    exec_formatted(stage, err, xasprintf("CREATE TABLE plan_%d"
	    " (number INTEGER PRIMARY KEY, act INTEGER NOT NULL,"
	    " key TEXT NOT NULL, hash BLOB, row INTEGER)", i)) == -1)
		return -1;
	if (sqlite_db_prepare(stage->db, &list->add, err,
	    "INSERT INTO staged_%d (key, hash, data, kind, subset, updated,"
	    " version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", i) == -1 ||
	    sqlite_db_prepare(stage->db, &list->data, err,
	    "SELECT data FROM staged_%d WHERE row = ?1", i) == -1)
		return -1;
	return sqlite_db_prepare(stage->db, &list->plan, err,
	    "INSERT INTO plan_%d (act, key, hash, row)"
	    " VALUES (?1, ?2, ?3, ?4)", i);
}

int
stage_add_list(struct stage *stage, struct error *err)
{
	if (stage->count == MAX_LISTS)
		return error_set(err, STATUS_PROTOCOL, "more than %d resource"
		    " types in one run", MAX_LISTS - COLLECTION__MAX);
	if (make_list(stage, stage->count, err) == -1)
		return stage_fail(err);
	return stage->count++;
}

static int
prepare_all(struct stage *stage, struct error *err)
{
	int i;

	for (i = 0; i < COLLECTION__MAX; i++) {
		if (stage_add_list(stage, err) == -1)
			return -1;
	}
	if (sqlite_db_exec(stage->db, "CREATE TABLE seen (list INTEGER,"
	    " url TEXT, PRIMARY KEY (list, url)) WITHOUT ROWID", err) == -1)
		return -1;
	return sqlite_db_prepare(stage->db, &stage->see, err,
	    "INSERT OR IGNORE INTO seen VALUES (?1, ?2)");
}

int
stage_open(struct stage **out, struct error *err)
{
	struct stage *stage;

	*out = NULL;
	stage = xcalloc(1, sizeof(*stage));
	/* An empty name: a temporary file that is unlinked at once. */
	if (sqlite3_open_v2("", &stage->db, SQLITE_DB_MAKE, NULL) != SQLITE_OK)
		sqlite_db_fail(stage->db, "opening it", err);
	else if (sqlite_db_exec(stage->db, STAGE_PRAGMAS, err) == 0 &&
	    prepare_all(stage, err) == 0) {
		*out = stage;
		return 0;
	}
	stage_close(stage);
	return stage_fail(err);
}

void
stage_close(struct stage *stage)
{
	int i;

	if (stage == NULL)
		return;
	/* Of a list that could not be made, too. */
	for (i = 0; i <= stage->count && i < MAX_LISTS; i++) {
		sqlite3_finalize(stage->lists[i].add);
		sqlite3_finalize(stage->lists[i].data);
		sqlite3_finalize(stage->lists[i].find);
		sqlite3_finalize(stage->lists[i].plan);
	}
	sqlite3_finalize(stage->see);
	(void)sqlite3_close(stage->db);
	free(stage);
}

int
stage_add(struct stage *stage, int list, const struct stage_doc *doc,
    struct error *err)
{
	sqlite3_stmt *add = stage->lists[list].add;

	(void)sqlite3_clear_bindings(add);
	sqlite_db_bind_text(add, 1, doc->key, doc->len);
	if (doc->kind == STAGED_PUT) {
		sqlite_db_bind_blob(add, 2, doc->hash, HASH_BYTES);
		sqlite_db_bind_blob(add, 3, doc->data, doc->data_len);
	}
	(void)sqlite3_bind_int(add, 4, (int)doc->kind);
	(void)sqlite3_bind_int(add, 5, doc->age.is_subset);
	(void)sqlite3_bind_int64(add, 6, doc->age.updated_us);
	(void)sqlite3_bind_int64(add, 7, doc->age.version);
	if (sqlite_db_run(add, err) == -1)
		return stage_fail(err);
	stage->lists[list].added++;
	return 0;
}

uint64_t
stage_count(const struct stage *stage, int list)
{
	return stage->lists[list].added;
}

int
stage_rewind(struct stage *stage, int list, int64_t count,
    struct error *err)
{
	int64_t ignored;

	/* Rows count from 1, and only the last ones are ever deleted. */
	if (sqlite_db_number(stage->db, &ignored, err,
	    "DELETE FROM staged_%d WHERE row > %lld", list,
	    (long long)count) == -1)
		return stage_fail(err);
	if (stage->lists[list].added > (uint64_t)count)
		stage->lists[list].added = (uint64_t)count;
	return 0;
}

int
stage_see_url(struct stage *stage, int list,
    const char *url, bool *is_new, struct error *err)
{
	(void)sqlite3_bind_int(stage->see, 1, list);
	sqlite_db_bind_text(stage->see, 2, url, strlen(url));
	if (sqlite_db_run(stage->see, err) == -1)
		return stage_fail(err);
	*is_new = sqlite3_changes(stage->db) == 1;
	return 0;
}

int
stage_finish(struct stage *stage, int list,
    struct error *err)
{
	/* Indexed after the load, which is cheaper; the hash in it spares a
	 * look at the (large) rows themselves. */
	if (exec_formatted(stage, err, xasprintf("CREATE INDEX staged_%d_key"
	    " ON staged_%d (key, row, hash, kind, subset, updated, version)",
	    list, list)) == -1 ||
	    sqlite_db_prepare(stage->db, &stage->lists[list].find, err,
	    "SELECT data FROM staged_%d WHERE row = (SELECT max(row)"
	    " FROM staged_%d WHERE key = ?1)", list, list) == -1)
		return stage_fail(err);
	return 0;
}

bool
stage_is_finished(const struct stage *stage, int list)
{
	return stage->lists[list].find != NULL;
}

int
stage_find_missing(struct stage *stage, int list, int other, char **key,
    struct error *err)
{
	sqlite3_stmt *statement;
	int	      rc;

	if (sqlite_db_prepare(stage->db, &statement, err, "SELECT key FROM"
	    " staged_%d AS one INDEXED BY staged_%d_key WHERE NOT EXISTS"
	    " (SELECT 1 FROM staged_%d AS other WHERE other.key = one.key)"
	    " LIMIT 1", list, list, other) == -1)
		return stage_fail(err);
	rc = sqlite_db_step(statement, err);
	if (rc == 1)
		*key = xstrdup((const char *)sqlite3_column_text(statement,
		    0));
	sqlite3_finalize(statement);
	return rc == -1 ? stage_fail(err) : rc;
}

int
stage_cursor_open(struct stage *stage, int list,
    struct stage_cursor **out, struct error *err)
{
	sqlite3_stmt *statement;

	*out = NULL;
	if (sqlite_db_prepare(stage->db, &statement, err, "SELECT key, row,"
	    " hash, kind, subset, updated, version FROM staged_%d"
	    " ORDER BY key, row", list) == -1)
		return stage_fail(err);
	*out = xcalloc(1, sizeof(**out));
	(*out)->statement = statement;
	return 0;
}

void
stage_cursor_close(struct stage_cursor *cursor)
{
	if (cursor == NULL)
		return;
	sqlite3_finalize(cursor->statement);
	buf_clear(&cursor->key);
	free(cursor);
}

static int
step_ahead(struct stage_cursor *cursor, struct error *err)
{
	int rc;

	rc = sqlite_db_step(cursor->statement, err);
	cursor->is_ahead = rc == 1;
	return rc == -1 ? stage_fail(err) : 0;
}

/* True when the row ahead has the key that is being gathered. */
static bool
is_same_key(const struct stage_cursor *cursor)
{
	const void *key = sqlite3_column_text(cursor->statement, 0);
	size_t	    len = (size_t)sqlite3_column_bytes(cursor->statement, 0);

	return len + 1 == cursor->key.len &&
	    memcmp(key, cursor->key.data, len) == 0;
}

/* The row ahead, unless one with its key that came before is newer. */
static void
take_row(struct stage_cursor *cursor, struct staged *staged)
{
	sqlite3_stmt	   *statement = cursor->statement;
	struct resource_age age = {
		.is_subset = sqlite3_column_int(statement, 4) != 0,
		.updated_us = sqlite3_column_int64(statement, 5),
		.version = sqlite3_column_int64(statement, 6),
	};

	if (sqlite3_column_int(statement, 3) == STAGED_DELETE) {
		staged->is_delete = true;
		return;
	}
	if (staged->is_put && resource_age_compare(&age, &staged->age) < 0)
		return;
	staged->is_put = true;
	staged->age = age;
	staged->row = sqlite3_column_int64(statement, 1);
	memcpy(staged->hash, sqlite3_column_blob(statement, 2), HASH_BYTES);
}

int
stage_cursor_next(struct stage_cursor *cursor, struct staged *staged,
    struct error *err)
{
	if (!cursor->is_started && step_ahead(cursor, err) == -1)
		return -1;
	cursor->is_started = true;
	if (!cursor->is_ahead)
		return 0;
	staged->len = (size_t)sqlite3_column_bytes(cursor->statement, 0);
	cursor->key.len = 0;
	buf_append(&cursor->key, sqlite3_column_text(cursor->statement, 0),
	    staged->len);
	buf_append_byte(&cursor->key, 0);
	staged->key = (const char *)cursor->key.data;
	staged->duplicates = 0;
	staged->is_put = staged->is_delete = false;
	take_row(cursor, staged);
	for (;;) {
		if (step_ahead(cursor, err) == -1)
			return -1;
		if (!cursor->is_ahead || !is_same_key(cursor))
			return 1;
		take_row(cursor, staged);
		staged->duplicates++;
	}
}

/* The one blob that a query of one row gives: 1, 0 or -1. */
static int
get_blob(sqlite3_stmt *statement, const uint8_t **data, size_t *len,
    struct error *err)
{
	int rc;

	rc = sqlite_db_step(statement, err);
	if (rc != 1)
		return rc == -1 ? stage_fail(err) : 0;
	*data = sqlite3_column_blob(statement, 0);
	*len = (size_t)sqlite3_column_bytes(statement, 0);
	return 1;
}

int
stage_data(struct stage *stage, int list, int64_t row,
    const uint8_t **data, size_t *len, struct error *err)
{
	sqlite3_stmt *statement = stage->lists[list].data;

	(void)sqlite3_reset(statement);
	(void)sqlite3_bind_int64(statement, 1, row);
	switch (get_blob(statement, data, len, err)) {
	case 1:
		return 0;
	case 0:
		error_set(err, STATUS_STORE, "row %lld is gone",
		    (long long)row);
		return stage_fail(err);
	default:
		return -1;
	}
}

int
stage_find(struct stage *stage, int list, const char *key,
    size_t key_len, const uint8_t **data, size_t *len, struct error *err)
{
	sqlite3_stmt *statement = stage->lists[list].find;

	(void)sqlite3_reset(statement);
	/* The key need not outlive this call. */
	if (sqlite3_bind_text64(statement, 1, key, key_len, SQLITE_TRANSIENT,
	    SQLITE_UTF8) != SQLITE_OK)
		xalloc_end();
	return get_blob(statement, data, len, err);
}
