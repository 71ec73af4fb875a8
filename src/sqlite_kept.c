#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite_db.h"
#include "sqlite_kept.h"
#include "xalloc.h"

/* A statement of that text which nobody has. */
static sqlite3_stmt *
take_idle(struct sqlite_kept *kept, const char *sql)
{
	size_t i;

	for (i = 0; i < MAX_KEPT_STATEMENTS; i++) {
		if (kept->rows[i].statement == NULL || kept->rows[i].in_use ||
		    strcmp(sqlite3_sql(kept->rows[i].statement), sql) != 0)
			continue;
		kept->rows[i].in_use = true;
		return kept->rows[i].statement;
	}
	return NULL;
}

/* A new statement gets a row while there is a free one. */
static void
add(struct sqlite_kept *kept, sqlite3_stmt *statement)
{
	size_t i = 0;

	while (i < MAX_KEPT_STATEMENTS && kept->rows[i].statement != NULL)
		i++;
	if (i == MAX_KEPT_STATEMENTS)
		return;
	kept->rows[i].statement = statement;
	kept->rows[i].in_use = true;
}

int
sqlite_kept_lend(struct sqlite_kept *kept, sqlite3 *db, sqlite3_stmt **out,
    struct error *err, const char *fmt, ...)
{
	va_list ap;
	char   *sql;
	int	rc = 0;

	va_start(ap, fmt);
	sql = xvasprintf(fmt, ap);
	va_end(ap);
	*out = take_idle(kept, sql);
	if (*out == NULL) {
		rc = sqlite_db_prepare(db, out, err, "%s", sql);
		if (rc == 0)
			add(kept, *out);
	}
	free(sql);
	return rc;
}

void
sqlite_kept_return(struct sqlite_kept *kept, sqlite3_stmt *statement)
{
	size_t i;

	if (statement == NULL)
		return;
	for (i = 0; i < MAX_KEPT_STATEMENTS; i++) {
		if (kept->rows[i].statement != statement)
			continue;
		(void)sqlite3_reset(statement);
		(void)sqlite3_clear_bindings(statement);
		kept->rows[i].in_use = false;
		return;
	}
	(void)sqlite3_finalize(statement);
}

int
sqlite_kept_run(struct sqlite_kept *kept, sqlite3 *db, const char *sql,
    struct error *err)
{
	sqlite3_stmt *statement;
	int	      rc;

	if (sqlite_kept_lend(kept, db, &statement, err, "%s", sql) == -1)
		return -1;
	rc = sqlite_db_step(statement, err);
	sqlite_kept_return(kept, statement);
	return rc == -1 ? -1 : 0;
}

void
sqlite_kept_clear(struct sqlite_kept *kept)
{
	size_t i;

	for (i = 0; i < MAX_KEPT_STATEMENTS; i++) {
		if (!kept->rows[i].in_use)
			(void)sqlite3_finalize(kept->rows[i].statement);
	}
	*kept = (struct sqlite_kept){ 0 };
}
