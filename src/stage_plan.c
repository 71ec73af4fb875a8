/* The plan of a run, in the stage's database. */
#include <string.h>

#include "sqlite_db.h"
#include "stage_int.h"
#include "xalloc.h"

int
stage_plan_add(struct stage *stage, int list,
    const struct planned *planned, struct error *err)
{
	sqlite3_stmt *add = stage->lists[list].plan;

	(void)sqlite3_clear_bindings(add);
	(void)sqlite3_bind_int(add, 1, (int)planned->act);
	sqlite_db_bind_text(add, 2, planned->key, planned->len);
	if (planned->act != ACT_DELETE)
		sqlite_db_bind_blob(add, 3, planned->hash, HASH_BYTES);
	if (planned->row != 0)
		(void)sqlite3_bind_int64(add, 4, planned->row);
	return sqlite_db_run(add, err) == -1 ? stage_fail(err) : 0;
}

/* A cursor around a statement that was (or was not) prepared. */
static int
cursor_new(sqlite3_stmt *statement, int rc, struct stage_cursor **out,
    struct error *err)
{
	*out = NULL;
	if (rc == -1)
		return stage_fail(err);
	*out = xcalloc(1, sizeof(**out));
	(*out)->statement = statement;
	return 0;
}

int
stage_plan_open_keys(struct stage *stage, int list,
    struct stage_cursor **out, struct error *err)
{
	sqlite3_stmt *statement;
	int	      rc;

	rc = sqlite_db_prepare(stage->db, &statement, err,
	    "SELECT act, key, hash, row, NULL FROM plan_%d ORDER BY number",
	    list);
	return cursor_new(statement, rc, out, err);
}

int
stage_plan_open(struct stage *stage, int list,
    enum act only, struct stage_cursor **out, struct error *err)
{
	sqlite3_stmt *statement;
	int	      rc;

	if (only != ACT__MAX)
		rc = sqlite_db_prepare(stage->db, &statement, err,
		    "SELECT act, key, hash, row, NULL FROM plan_%d"
		    " WHERE act = %d ORDER BY number", list, (int)only);
	else
		rc = sqlite_db_prepare(stage->db, &statement, err,
		    "SELECT act, p.key, p.hash, p.row, s.data FROM plan_%d p"
		    " LEFT JOIN staged_%d s ON s.row = p.row ORDER BY number",
		    list, list);
	return cursor_new(statement, rc, out, err);
}

int
stage_plan_next(struct stage_cursor *cursor, struct planned *planned,
    struct error *err)
{
	sqlite3_stmt *statement = cursor->statement;
	const void   *hash;
	int	      rc;

	rc = sqlite_db_step(statement, err);
	if (rc != 1)
		return rc == -1 ? stage_fail(err) : 0;
	*planned = (struct planned){
		.act = (enum act)sqlite3_column_int(statement, 0),
		.row = sqlite3_column_int64(statement, 3),
	};
	planned->key = (const char *)sqlite3_column_text(statement, 1);
	planned->len = (size_t)sqlite3_column_bytes(statement, 1);
	hash = sqlite3_column_blob(statement, 2);
	if (hash != NULL)
		memcpy(planned->hash, hash, HASH_BYTES);
	planned->data = sqlite3_column_blob(statement, 4);
	planned->data_len = (size_t)sqlite3_column_bytes(statement, 4);
	return 1;
}
