#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite_db.h"
#include "xalloc.h"

/* What an operator can do about an error; the first row that fits. */
static const struct {
	int	    code;
	const char *advice;
} advices[] = {
	{ SQLITE_FULL, "make room on its disk and run again" },
	{ SQLITE_READONLY, "let this user write the file and its folder" },
	{ SQLITE_CANTOPEN, "check that its folder exists and that this user"
	    " may write it" },
	{ SQLITE_PERM, "check the file's permissions" },
	{ SQLITE_NOTADB, "it is not a SQLite file; name another --store" },
	{ SQLITE_CORRUPT, "the file is damaged; restore it from a backup" },
	{ SQLITE_BUSY, "another program is writing to it; wait and run"
	    " again" },
	{ SQLITE_IOERR, "the disk failed, is full or has a size limit; see"
	    " the system's log" },
};

int
sqlite_db_fail(sqlite3 *db, const char *doing, struct error *err)
{
	int	    code = sqlite3_extended_errcode(db);
	const char *advice = "";
	size_t	    i;

	if ((code & 0xff) == SQLITE_NOMEM)
		xalloc_end();
	for (i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		if (advices[i].code == (code & 0xff)) {
			advice = advices[i].advice;
			break;
		}
	}
	return error_set(err, STATUS_STORE, "%.200s: %s (SQLite error %d)%s%s",
	    doing, sqlite3_errmsg(db), code, advice[0] != '\0' ? "; " : "",
	    advice);
}

int
sqlite_db_exec(sqlite3 *db, const char *sql, struct error *err)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return sqlite_db_fail(db, sql, err);
}

__attribute__((format(printf, 4, 0))) static int
prepare(sqlite3 *db, sqlite3_stmt **out, struct error *err, const char *fmt,
    va_list ap)
{
	char *sql;
	int   rc = 0;

	*out = NULL;
	sql = xvasprintf(fmt, ap);
	if (sqlite3_prepare_v2(db, sql, -1, out, NULL) != SQLITE_OK)
		rc = sqlite_db_fail(db, sql, err);
	free(sql);
	return rc;
}

int
sqlite_db_prepare(sqlite3 *db, sqlite3_stmt **out, struct error *err,
    const char *fmt, ...)
{
	va_list ap;
	int	rc;

	va_start(ap, fmt);
	rc = prepare(db, out, err, fmt, ap);
	va_end(ap);
	return rc;
}

int
sqlite_db_step(sqlite3_stmt *statement, struct error *err)
{
	switch (sqlite3_step(statement)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return sqlite_db_fail(sqlite3_db_handle(statement),
		    sqlite3_sql(statement), err);
	}
}

int
sqlite_db_run(sqlite3_stmt *statement, struct error *err)
{
	int rc;

	rc = sqlite_db_step(statement, err);
	(void)sqlite3_reset(statement);
	return rc == -1 ? -1 : 0;
}

int
sqlite_db_number(sqlite3 *db, int64_t *out, struct error *err,
    const char *fmt, ...)
{
	sqlite3_stmt *statement;
	va_list	      ap;
	int	      rc;

	*out = 0;
	va_start(ap, fmt);
	rc = prepare(db, &statement, err, fmt, ap);
	va_end(ap);
	if (rc == -1)
		return -1;
	rc = sqlite_db_step(statement, err);
	if (rc == 1)
		*out = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return rc == -1 ? -1 : 0;
}

int
sqlite_db_check(sqlite3 *db, const struct sqlite_db_form *form, bool *is_new,
    struct error *err)
{
	int64_t id, version, tables;

	*is_new = false;
	if (sqlite_db_number(db, &id, err, "PRAGMA application_id") == -1 ||
	    sqlite_db_number(db, &version, err, "PRAGMA user_version") == -1 ||
	    sqlite_db_number(db, &tables, err,
	    "SELECT count(*) FROM sqlite_master") == -1)
		return -1;
	*is_new = id == 0 && version == 0 && tables == 0;
	if (*is_new)
		return 0;
	if (id != form->application_id)
		return error_set(err, STATUS_STORE, "a SQLite file, but %s",
		    form->foreign);
	if (version > form->version)
		return error_set(err, STATUS_STORE, "made by a newer program"
		    " (schema %lld, this one knows %lld); update this program",
		    (long long)version, (long long)form->version);
	return 0;
}

/* Binding fails only for want of memory or a wrong index, a mistake here. */
void
sqlite_db_bind_text(sqlite3_stmt *statement, int index, const char *text,
    size_t len)
{
	if (sqlite3_bind_text64(statement, index, text, len, SQLITE_STATIC,
	    SQLITE_UTF8) != SQLITE_OK)
		xalloc_end();
}

void
sqlite_db_bind_blob(sqlite3_stmt *statement, int index, const uint8_t *data,
    size_t len)
{
	if (sqlite3_bind_blob64(statement, index, data, len, SQLITE_STATIC) !=
	    SQLITE_OK)
		xalloc_end();
}
