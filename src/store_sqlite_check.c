/*
 * The embedded store: is the file sound, and is all in it that has to be, as it
 * has to be?  What has to be is made once more in memory, and compared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "sqlite_db.h"
#include "store_sqlite_int.h"
#include "words.h"
#include "xalloc.h"

/* Faults of the file itself that are listed; SQLite looks no further. */
#define MAX_FILE_FAULTS 100
/* Bytes of the sentence of a finding. */
#define MAX_WHAT 300

struct check {
	struct store_sqlite *store;
	struct store_sqlite *model; /* has what has to be, and no rows */
	bool		     mends;
	finding_fn	     found;
	void		    *ctx;
};

static int
found(const struct check *check, enum finding_kind kind, const char *collection,
    const char *what, struct error *err)
{
	return check->found(check->ctx, &(struct finding){ .kind = kind,
	    .collection = collection, .what = what }, err);
}

static const char *
text_of(sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	return text != NULL ? text : "";
}

/* The index that has to be made again, of what SQLite says ("row 3 missing from
 * index NAME"); NULL when that is no cure. */
static const char *
index_of(const char *what)
{
	static const char *const signs[] = { "missing from index ",
		"wrong # of entries in index " };
	const char *sign;
	size_t	    i;

	for (i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		sign = strstr(what, signs[i]);
		if (sign != NULL)
			return sign + strlen(signs[i]);
	}
	return NULL;
}

/* A sentence of SQLite's about the file; mended are the indexes that were made
 * again so far. */
static int
take_finding(const struct check *check, const char *what, char ***mended,
    struct error *err)
{
	const char *name = index_of(what);

	if (strcmp(what, "ok") == 0 || (check->mends &&
	    (name == NULL || words_has(*mended, name))))
		return 0;
	if (check->mends)
		words_add(mended, name);
	return found(check, name != NULL ? FINDING_INDEX : FINDING_DATA, NULL,
	    what, err);
}

static int
check_file(const struct check *check, struct error *err)
{
	sqlite3_stmt *rows;
	char	    **mended = NULL;
	int	      rc;

	if (sqlite_db_prepare(check->store->db, &rows, err,
	    "PRAGMA integrity_check(%d)", MAX_FILE_FAULTS) == -1)
		return -1;
	while ((rc = sqlite_db_step(rows, err)) == 1) {
		if (take_finding(check, text_of(rows, 0), &mended, err) == -1)
			break;
	}
	sqlite3_finalize(rows);
	if (rc == 0 && mended != NULL)
		rc = sqlite_db_exec(check->store->db, "REINDEX", err);
	words_free(mended);
	return rc == 0 ? 0 : -1;
}

/*
 * What a table or an index is, in words that do not depend on how it was made:
 * its columns with types, or its columns and whether they are unique.  NULL:
 * there is none of that name.  The caller frees it.
 */
static int
describe(sqlite3 *db, const char *type, const char *name, char **out,
    struct error *err)
{
	sqlite3_stmt *row;
	int	      rc;

	*out = NULL;
	rc = strcmp(type, "table") == 0 ?
	    sqlite_db_prepare(db, &row, err, "SELECT group_concat(name || ' '"
	    " || type || ' ' || \"notnull\" || ' ' || pk || ' ' || hidden,"
	    " ', ') FROM (SELECT * FROM pragma_table_xinfo(?1)"
	    " ORDER BY name)") :
	    sqlite_db_prepare(db, &row, err, "SELECT (SELECT m.tbl_name ||"
	    " ' ' || l.\"unique\" FROM sqlite_master AS m,"
	    " pragma_index_list(m.tbl_name) AS l WHERE m.name = ?1 AND"
	    " l.name = m.name) || ': ' || group_concat(name || ' ' ||"
	    " \"desc\", ', ') FROM (SELECT * FROM pragma_index_xinfo(?1)"
	    " WHERE key = 1 ORDER BY seqno)");
	if (rc == -1)
		return -1;
	sqlite_db_bind_text(row, 1, name, strlen(name));
	rc = sqlite_db_step(row, err);
	if (rc == 1 && sqlite3_column_type(row, 0) != SQLITE_NULL)
		*out = xstrdup(text_of(row, 0));
	sqlite3_finalize(row);
	return rc == -1 ? -1 : 0;
}

/* The table of an index is there.  1, 0 or -1. */
static int
has_table(const struct check *check, const char *table, struct error *err)
{
	char *is;

	if (describe(check->store->db, "table", table, &is, err) == -1)
		return -1;
	free(is);
	return is != NULL;
}

static int
mend(const struct check *check, const char *name, const char *sql,
    struct error *err)
{
	char *statements;
	int   rc;

	statements = xasprintf("DROP INDEX IF EXISTS \"%s\"; %s", name, sql);
	rc = sqlite_db_exec(check->store->db, statements, err);
	free(statements);
	return rc;
}

/* A row of the model's list of tables and indexes: is it in the store? */
static int
check_object(const struct check *check, sqlite3_stmt *row, struct error *err)
{
	const char *type = text_of(row, 0), *name = text_of(row, 1);
	bool	    is_index = strcmp(type, "index") == 0;
	char	    what[MAX_WHAT], *want, *is = NULL;
	int	    rc;

	rc = describe(check->model->db, type, name, &want, err);
	if (rc == 0)
		rc = describe(check->store->db, type, name, &is, err);
	if (rc == 0 && want != NULL &&
	    (is == NULL || strcmp(want, is) != 0)) {
		(void)snprintf(what, sizeof(what), "the %s %s is %s", type,
		    name, is == NULL ? "not there" : "another than it must"
		    " be");
		/* Without its table it cannot be made. */
		rc = is_index ? has_table(check, text_of(row, 2), err) : 1;
		if (rc == 1 && check->mends && is_index)
			rc = mend(check, name, text_of(row, 3), err) == -1 ?
			    -1 : 1;
		if (rc == 1 && (is_index || !check->mends))
			rc = found(check, is_index ? FINDING_INDEX :
			    FINDING_DATA, NULL, what, err);
	}
	free(is);
	free(want);
	return rc == -1 ? -1 : 0;
}

static int
check_objects(const struct check *check, struct error *err)
{
	sqlite3_stmt *rows;
	int	      rc;

	if (sqlite_db_prepare(check->model->db, &rows, err, "SELECT type, name,"
	    " tbl_name, sql FROM sqlite_master WHERE type IN ('table',"
	    " 'index') AND sql IS NOT NULL ORDER BY type DESC, name") == -1)
		return -1;
	while ((rc = sqlite_db_step(rows, err)) == 1) {
		if (check_object(check, rows, err) == -1)
			break;
	}
	sqlite3_finalize(rows);
	return rc == 0 ? 0 : -1;
}

/* Columns hold what they are to hold: SQLite itself lets any type in. */
static int
check_types(const struct check *check, const char *table, struct error *err)
{
	sqlite3_stmt *rows;
	int	      rc;

	rc = has_table(check, table, err);
	if (rc != 1)
		return rc;
	if (sqlite_db_prepare(check->store->db, &rows, err, "SELECT"
	    " BusinessKey FROM \"%s\" WHERE typeof(BusinessKey) <> 'text' OR"
	    " typeof(Version) <> 'integer' OR typeof(IsDeleted) <> 'integer'"
	    " OR typeof(UpdatedAt) <> 'integer' OR typeof(ContentHash) <>"
	    " 'text' OR typeof(Data) <> 'blob' OR typeof(JsonHash) NOT IN"
	    " ('text', 'null')", table) == -1)
		return -1;
	while ((rc = sqlite_db_step(rows, err)) == 1) {
		if (check->found(check->ctx, &(struct finding){
		    .kind = FINDING_DATA,
		    .collection = table,
		    .key = text_of(rows, 0),
		    .len = (size_t)sqlite3_column_bytes(rows, 0),
		    .what = "a column is of a wrong type" }, err) == -1)
			break;
	}
	sqlite3_finalize(rows);
	return rc == 0 ? 0 : -1;
}

/* A run is one transaction: its version and its entry come together. */
static int
check_version(const struct check *check, struct error *err)
{
	struct store_versions versions;

	if (store_sqlite_versions_get(&check->store->base, &versions, err) ==
	    -1)
		return -1;
	return versions.raised <= versions.finished ? 0 : found(check,
	    FINDING_DATA, NULL, "CurrentVersion is above that of the last"
	    " history entry", err);
}

static int
check_rest(const struct check *check, char *const *names, struct error *err)
{
	for (; *names != NULL; names++) {
		if (check_types(check, *names, err) == -1)
			return -1;
	}
	if (check_types(check, COLLECTION_STATES, err) == -1)
		return -1;
	return check_version(check, err);
}

static int
make_model(struct store_sqlite *model, char *const *names, struct error *err)
{
	if (sqlite3_open_v2(":memory:", &model->db, SQLITE_DB_MAKE, NULL) !=
	    SQLITE_OK)
		return sqlite_db_fail(model->db, "making an empty store", err);
	if (store_sqlite_make_tables(model, err) == -1)
		return -1;
	for (; *names != NULL; names++) {
		if (collection_is_extra(*names) &&
		    store_sqlite_make_collection(model, *names, err) == -1)
			return -1;
	}
	return 0;
}

static int
check_all(struct check *check, struct error *err)
{
	char **names = NULL;
	int    rc;

	rc = store_collections_read(&check->store->base, &names, err);
	if (rc == 0)
		rc = make_model(check->model, names, err);
	if (rc == 0)
		rc = check_file(check, err);
	if (rc == 0)
		rc = check_objects(check, err);
	if (rc == 0 && !check->mends)
		rc = check_rest(check, names, err);
	words_free(names);
	return rc;
}

int
store_sqlite_check(struct store *base, bool mends, finding_fn fn, void *ctx,
    struct error *err)
{
	struct store_sqlite model = { .db = NULL };
	struct check	    check = {
		       .store = (struct store_sqlite *)base,
		       .model = &model,
		       .mends = mends,
		       .found = fn,
		       .ctx = ctx,
	};
	int rc;

	if (check.store->layout < SCHEMA_VERSION)
		return error_set(err, STATUS_STORE, "an older program has made"
		    " it (layout %lld); the next run brings it up to date, and"
		    " then it can be verified",
		    (long long)check.store->layout);
	rc = check_all(&check, err);
	(void)sqlite3_close_v2(model.db);
	return rc;
}
