/*
 * What every user of SQLite here needs: calls that fill a struct error with
 * words for people.  The status is always STATUS_STORE.
 */
#ifndef NOMPD_SQLITE_DB_H
#define NOMPD_SQLITE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* How a database is opened: each connection belongs to one thread. */
#define SQLITE_DB_MAKE \
	(SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
#define SQLITE_DB_READ (SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY)

/* The database's last error as "doing: what; what to do about it". */
int sqlite_db_fail(sqlite3 *db, const char *doing, struct error *err);
/* Carries out statements that give no rows. */
int sqlite_db_exec(sqlite3 *db, const char *sql, struct error *err);
/* Prepares sql (printf format); the caller finalizes *out. */
int sqlite_db_prepare(sqlite3 *db, sqlite3_stmt **out, struct error *err,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* One step: 1 = a row, 0 = done, -1 = failed. */
int sqlite_db_step(sqlite3_stmt *statement, struct error *err);
/* A step of a statement that gives no rows, and a reset: 0 or -1. */
int sqlite_db_run(sqlite3_stmt *statement, struct error *err);
/* Runs a query of one number (printf format). */
int sqlite_db_number(sqlite3 *db, int64_t *out, struct error *err,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* What a file of ours is: its marks (PRAGMA application_id and user_version),
 * and what is said of one that has others. */
struct sqlite_db_form {
	int64_t	    application_id;
	int64_t	    version;
	const char *foreign; /* "not a store of ours; ..." */
};
/* Is the file of that form, or of an older version?  *is_new: it is empty. */
int sqlite_db_check(sqlite3 *db, const struct sqlite_db_form *form,
    bool *is_new, struct error *err);

/* Bind text or bytes that outlive the step; indexes count from 1. */
void sqlite_db_bind_text(sqlite3_stmt *statement, int index, const char *text,
    size_t len);
void sqlite_db_bind_blob(sqlite3_stmt *statement, int index,
    const uint8_t *data, size_t len);

#endif
