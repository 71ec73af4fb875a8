#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "sqlite_db.h"
#include "stop.h"
#include "verify_int.h"
#include "xalloc.h"

/* Bytes of the sentence of a finding. */
#define MAX_WHAT 200
/* 8 MiB are kept in memory, whatever the size of the store; the rest is in a
 * file that goes with the process. */
#define LEDGER_SCHEMA \
	"PRAGMA cache_size = -8192;" \
	"PRAGMA journal_mode = OFF;" \
	"PRAGMA synchronous = OFF;" \
	"PRAGMA locking_mode = EXCLUSIVE;" \
	"PRAGMA temp_store = FILE;" \
	"BEGIN;" \
	"CREATE TABLE runs (version INTEGER PRIMARY KEY);" \
	"CREATE TABLE counts (version INTEGER, collection TEXT, act INTEGER," \
	" count INTEGER, PRIMARY KEY (version, collection, act))" \
	" WITHOUT ROWID;" \
	"CREATE TABLE listed (collection TEXT, key TEXT, version INTEGER," \
	" act INTEGER, PRIMARY KEY (collection, key, version))" \
	" WITHOUT ROWID;" \
	"CREATE TABLE held (collection TEXT, key TEXT, version INTEGER," \
	" replaced INTEGER, deleted INTEGER, hash TEXT, json TEXT," \
	" PRIMARY KEY (collection, key, version)) WITHOUT ROWID;" \
	"CREATE TABLE seals (version INTEGER PRIMARY KEY, seal BLOB);"

struct verify_ledger {
	sqlite3	     *db;
	sqlite3_stmt *add_run;
	sqlite3_stmt *add_count;
	sqlite3_stmt *add_key;
	sqlite3_stmt *add_record;
	sqlite3_stmt *add_seal;
};

static int
fail(struct error *err)
{
	return error_prefix(err, "the temporary list of keys (its folder is set"
	    " by TMPDIR)");
}

static int
prepare(struct verify_ledger *ledger, struct error *err)
{
	sqlite3 *db = ledger->db;

	if (sqlite_db_prepare(db, &ledger->add_run, err,
	    "INSERT OR IGNORE INTO runs VALUES (?1)") == -1 ||
	    sqlite_db_prepare(db, &ledger->add_count, err,
	    "INSERT OR IGNORE INTO counts VALUES (?1, ?2, ?3, ?4)") == -1 ||
	    sqlite_db_prepare(db, &ledger->add_key, err,
	    "INSERT OR IGNORE INTO listed VALUES (?2, ?4, ?1, ?3)") == -1 ||
	    sqlite_db_prepare(db, &ledger->add_seal, err,
	    "INSERT OR IGNORE INTO seals VALUES (?1, ?2)") == -1)
		return -1;
	return sqlite_db_prepare(db, &ledger->add_record, err,
	    "INSERT OR IGNORE INTO held VALUES (?2, ?4, ?1, ?3, ?5, ?6,"
	    " ?7)");
}

int
verify_ledger_open(struct verify_ledger **out, struct error *err)
{
	struct verify_ledger *ledger;

	*out = NULL;
	ledger = xcalloc(1, sizeof(*ledger));
	/* An empty name: a temporary file that is unlinked at once. */
	if (sqlite3_open_v2("", &ledger->db, SQLITE_DB_MAKE, NULL) !=
	    SQLITE_OK)
		(void)sqlite_db_fail(ledger->db, "opening it", err);
	else if (sqlite_db_exec(ledger->db, LEDGER_SCHEMA, err) == 0 &&
	    prepare(ledger, err) == 0) {
		*out = ledger;
		return 0;
	}
	verify_ledger_close(ledger);
	return fail(err);
}

void
verify_ledger_close(struct verify_ledger *ledger)
{
	if (ledger == NULL)
		return;
	sqlite3_finalize(ledger->add_run);
	sqlite3_finalize(ledger->add_count);
	sqlite3_finalize(ledger->add_key);
	sqlite3_finalize(ledger->add_record);
	sqlite3_finalize(ledger->add_seal);
	(void)sqlite3_close(ledger->db);
	free(ledger);
}

static void
bind_number(sqlite3_stmt *statement, int index, int64_t number)
{
	if (sqlite3_bind_int64(statement, index, number) != SQLITE_OK)
		xalloc_end();
}

/* Runs a statement whose first values are these. */
static int
run(sqlite3_stmt *statement, int64_t version, const char *collection,
    int64_t number, struct error *err)
{
	bind_number(statement, 1, version);
	sqlite_db_bind_text(statement, 2, collection, strlen(collection));
	bind_number(statement, 3, number);
	return sqlite_db_run(statement, err) == -1 ? fail(err) : 0;
}

int
verify_ledger_run(struct verify_ledger *ledger, int64_t version,
    struct error *err)
{
	bind_number(ledger->add_run, 1, version);
	return sqlite_db_run(ledger->add_run, err) == -1 ? fail(err) : 0;
}

int
verify_ledger_count(struct verify_ledger *ledger, int64_t version,
    const char *collection, enum act act, int64_t count, struct error *err)
{
	bind_number(ledger->add_count, 4, count);
	return run(ledger->add_count, version, collection, (int64_t)act, err);
}

int
verify_ledger_key(struct verify_ledger *ledger, int64_t version,
    const char *collection, enum act act, const char *key, size_t len,
    struct error *err)
{
	sqlite_db_bind_text(ledger->add_key, 4, key, len);
	return run(ledger->add_key, version, collection, (int64_t)act, err);
}

int
verify_ledger_record(struct verify_ledger *ledger, const char *collection,
    const struct store_record *record, bool is_state, struct error *err)
{
	sqlite_db_bind_text(ledger->add_record, 4, record->key, record->len);
	bind_number(ledger->add_record, 5, record->is_deleted);
	sqlite_db_bind_text(ledger->add_record, 6, record->hash,
	    strlen(record->hash));
	sqlite_db_bind_text(ledger->add_record, 7, record->json_hash,
	    strlen(record->json_hash));
	if (run(ledger->add_record, record->version, collection,
	    is_state ? record->replaced_in : 0, err) == -1)
		return -1;
	return sqlite3_changes(ledger->db) > 0 ? 1 : 0;
}

int
verify_ledger_seal(struct verify_ledger *ledger, int64_t version,
    const uint8_t *seal, size_t len, struct error *err)
{
	bind_number(ledger->add_seal, 1, version);
	sqlite_db_bind_blob(ledger->add_seal, 2, seal, len);
	return sqlite_db_run(ledger->add_seal, err) == -1 ? fail(err) : 0;
}

int
verify_ledger_seals(struct verify_ledger *ledger, verify_seal_fn fn,
    void *ctx, struct error *err)
{
	sqlite3_stmt *row;
	int	      rc;

	if (sqlite_db_prepare(ledger->db, &row, err, "SELECT version, seal"
	    " FROM seals ORDER BY version") == -1)
		return fail(err);
	while ((rc = sqlite_db_step(row, err)) == 1) {
		if (fn(ctx, sqlite3_column_int64(row, 0),
		    sqlite3_column_blob(row, 1),
		    (size_t)sqlite3_column_bytes(row, 1), err) == -1)
			break;
	}
	sqlite3_finalize(row);
	return rc == 0 ? 0 : -1;
}

static void
copy_text(sqlite3_stmt *row, int column, char text[HASH_TEXT_BYTES])
{
	(void)snprintf(text, HASH_TEXT_BYTES, "%s",
	    (const char *)sqlite3_column_text(row, column));
}

int
verify_ledger_held(struct verify_ledger *ledger, const char *collection,
    verify_held_fn fn, void *ctx, struct error *err)
{
	struct store_record record = { 0 };
	sqlite3_stmt	   *row;
	int		    rc;

	if (sqlite_db_prepare(ledger->db, &row, err, "SELECT key, version,"
	    " replaced, deleted, hash, json FROM held WHERE collection = ?1"
	    " ORDER BY key, version") == -1)
		return fail(err);
	sqlite_db_bind_text(row, 1, collection, strlen(collection));
	while ((rc = sqlite_db_step(row, err)) == 1) {
		record.key = (const char *)sqlite3_column_text(row, 0);
		record.len = (size_t)sqlite3_column_bytes(row, 0);
		record.version = sqlite3_column_int64(row, 1);
		record.replaced_in = sqlite3_column_int64(row, 2);
		record.is_deleted = sqlite3_column_int(row, 3) != 0;
		copy_text(row, 4, record.hash);
		copy_text(row, 5, record.json_hash);
		if (fn(ctx, &record, err) == -1)
			break;
	}
	sqlite3_finalize(row);
	return rc == 0 ? 0 : -1;
}

/*
 * The questions.  Each gives collection, key and version, and what words need;
 * ?1 to ?5 are the oldest entry's version, the last one, Horizon, StatesFrom
 * and the act of a deletion.
 *
 * A key that an entry lists has left a record, or a former state of one.  Not
 * so when its tombstone was pruned, or what replaced it is so old that the
 * state was.
 */
#define SQL_MISSING \
	"SELECT collection, key, version, act FROM listed AS l" \
	" WHERE NOT EXISTS (SELECT 1 FROM held AS h WHERE" \
	" h.collection = l.collection AND h.key = l.key AND" \
	" h.version = l.version)" \
	" AND NOT (act = ?5 AND version <= ?3)" \
	" AND NOT EXISTS (SELECT 1 FROM listed AS n WHERE" \
	" n.collection = l.collection AND n.key = l.key AND" \
	" n.version > l.version AND n.version <= ?4)" \
	" AND NOT EXISTS (SELECT 1 FROM held AS n WHERE" \
	" n.collection = l.collection AND n.key = l.key AND" \
	" n.version > l.version AND n.version <= ?4)"

/*
 * What a run has written its entry lists.  Not so what a run that died had
 * written: the one after it may have given it its own version, as it was.
 */
#define SQL_UNLISTED \
	"SELECT collection, key, version, replaced FROM held AS h" \
	" WHERE version BETWEEN ?1 AND ?2" \
	" AND EXISTS (SELECT 1 FROM runs WHERE runs.version = h.version)" \
	" AND NOT EXISTS (SELECT 1 FROM listed AS l WHERE" \
	" l.collection = h.collection AND l.key = h.key AND" \
	" l.version = h.version)" \
	" AND (version > ?1 OR ?1 = 1)" \
	" AND (SELECT count(*) FROM runs WHERE runs.version <= h.version)" \
	" = version - ?1 + 1"

#define SQL_OTHER_ACT \
	"SELECT collection, key, version, replaced, act FROM held" \
	" JOIN listed USING (collection, key, version)" \
	" WHERE deleted <> (act = ?5)"

/* Each state with what comes after it, and each record that something does. */
#define SQL_CHAIN \
	"SELECT * FROM (SELECT collection, key, version, replaced," \
	" lead(version) OVER (PARTITION BY collection, key" \
	" ORDER BY version) AS next FROM held)" \
	" WHERE CASE WHEN replaced = 0 THEN next IS NOT NULL" \
	" WHEN next IS NULL THEN replaced > ?3" \
	" WHEN next > replaced THEN replaced > ?3 AND" \
	" replaced IN (SELECT version FROM runs)" \
	" ELSE next < replaced END"

#define SQL_COUNTS \
	"SELECT c.collection, NULL, c.version, c.act, c.count," \
	" (SELECT count(*) FROM listed AS l WHERE l.version = c.version AND" \
	" l.collection = c.collection AND l.act = c.act) AS n" \
	" FROM counts AS c WHERE c.count <> n"

typedef void (*word_fn)(sqlite3_stmt *row, struct finding *finding,
    char what[MAX_WHAT]);

enum column {
	COLUMN_COLLECTION,
	COLUMN_KEY,
	COLUMN_VERSION,
	COLUMN_3, /* each question's own */
	COLUMN_4,
	COLUMN_5,
};

static const char *
act_of(sqlite3_stmt *row, int column)
{
	return history_act_name((enum act)sqlite3_column_int(row, column));
}

static int64_t
number_of(sqlite3_stmt *row, int column)
{
	return sqlite3_column_int64(row, column);
}

/* It is of a former state rather than of the record. */
static bool
is_replaced(sqlite3_stmt *row)
{
	return number_of(row, COLUMN_3) != 0;
}

static void
word_missing(sqlite3_stmt *row, struct finding *finding, char what[MAX_WHAT])
{
	(void)snprintf(what, MAX_WHAT, "version %" PRId64 " lists it as %s, and"
	    " no record or former state of that version is there",
	    finding->version, act_of(row, COLUMN_3));
	finding->version = 0;
}

static void
word_unlisted(sqlite3_stmt *row, struct finding *finding, char what[MAX_WHAT])
{
	(void)snprintf(what, MAX_WHAT, "it is of version %" PRId64 ", whose"
	    " history entry does not list it", finding->version);
	if (is_replaced(row))
		finding->kind = FINDING_STATE;
	else
		finding->version = 0;
}

static void
word_other_act(sqlite3_stmt *row, struct finding *finding, char what[MAX_WHAT])
{
	(void)snprintf(what, MAX_WHAT, "version %" PRId64 " lists it as %s, and"
	    " it is %s", finding->version, act_of(row, COLUMN_4),
	    strcmp(act_of(row, COLUMN_4), history_act_name(ACT_DELETE)) == 0 ?
	    "live" : "a tombstone");
	if (is_replaced(row))
		finding->kind = FINDING_STATE;
	else
		finding->version = 0;
}

static void
word_chain(sqlite3_stmt *row, struct finding *finding, char what[MAX_WHAT])
{
	finding->kind = FINDING_STATE;
	if (!is_replaced(row))
		(void)snprintf(what, MAX_WHAT, "the record is of this version,"
		    " and it has a former state of version %" PRId64,
		    number_of(row, COLUMN_4));
	else if (sqlite3_column_type(row, COLUMN_4) == SQLITE_NULL)
		(void)snprintf(what, MAX_WHAT, "there is no record whose"
		    " former state it could be");
	else
		(void)snprintf(what, MAX_WHAT, "ReplacedIn is %" PRId64 ", and"
		    " what comes after it is of version %" PRId64,
		    number_of(row, COLUMN_3), number_of(row, COLUMN_4));
}

static void
word_counts(sqlite3_stmt *row, struct finding *finding, char what[MAX_WHAT])
{
	finding->kind = FINDING_HISTORY;
	(void)snprintf(what, MAX_WHAT, "the history entry has %" PRId64
	    " under %s, and lists %" PRId64 " keys",
	    number_of(row, COLUMN_4), act_of(row, COLUMN_3),
	    number_of(row, COLUMN_5));
}

static const struct {
	const char *sql;
	word_fn	    word;
} questions[] = {
	{ SQL_COUNTS, word_counts },
	{ SQL_MISSING, word_missing },
	{ SQL_UNLISTED, word_unlisted },
	{ SQL_OTHER_ACT, word_other_act },
	{ SQL_CHAIN, word_chain },
};

/* Gives the finding that a row is. */
static int
found_row(struct verify *verify, sqlite3_stmt *row, word_fn word,
    struct error *err)
{
	char	     what[MAX_WHAT] = "";
	struct finding finding = {
		.kind = FINDING_DATA,
		.collection = (const char *)sqlite3_column_text(row,
		    COLUMN_COLLECTION),
		.key = (const char *)sqlite3_column_text(row, COLUMN_KEY),
		.len = (size_t)sqlite3_column_bytes(row, COLUMN_KEY),
		.version = number_of(row, COLUMN_VERSION),
		.what = what,
	};

	word(row, &finding, what);
	return verify_found(verify, &finding, err);
}

static int
ask(struct verify *verify, const char *sql, word_fn word, struct error *err)
{
	const struct store_versions *versions = &verify->versions;
	const int64_t		     values[] = { verify->oldest,
		    versions->finished, versions->horizon,
		    versions->states_from, ACT_DELETE };
	sqlite3_stmt *statement;
	int	      i, rc;

	if (sqlite_db_prepare(verify->ledger->db, &statement, err, "%s",
	    sql) == -1)
		return fail(err);
	for (i = 0; i < sqlite3_bind_parameter_count(statement); i++)
		bind_number(statement, i + 1, values[i]);
	while ((rc = sqlite_db_step(statement, err)) == 1) {
		if (stop_check(STATUS_STORE, err) == -1 ||
		    found_row(verify, statement, word, err) == -1)
			break;
	}
	sqlite3_finalize(statement);
	return rc == 0 ? 0 : -1;
}

int
verify_ledger_compare(struct verify *verify, struct error *err)
{
	size_t i;

	/* Made when all is there, which is quicker. */
	if (sqlite_db_exec(verify->ledger->db, "CREATE INDEX listed_version ON"
	    " listed (version, collection, act)", err) == -1)
		return fail(err);
	for (i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		if (ask(verify, questions[i].sql, questions[i].word, err) ==
		    -1)
			return -1;
	}
	return 0;
}
