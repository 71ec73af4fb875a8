/*
 * Statements that are used again and again, kept prepared for the life of a
 * connection: preparing one takes longer than many a query.
 */
#ifndef NOMPD_SQLITE_KEPT_H
#define NOMPD_SQLITE_KEPT_H

#include <sqlite3.h>
#include <stdbool.h>

#include "error.h"

/* So many are kept; one more is prepared each time. */
#define MAX_KEPT_STATEMENTS 32

/* Zeroed is empty.  Invariant: a row in use is lent to somebody. */
struct sqlite_kept {
	struct {
		sqlite3_stmt *statement;
		bool	      in_use;
	} rows[MAX_KEPT_STATEMENTS];
};

/*
 * Gives the statement sql (printf format; numbers that differ from call to call
 * are better bound), prepared when none is at hand.  It goes back with
 * sqlite_kept_return().
 */
int sqlite_kept_lend(struct sqlite_kept *kept, sqlite3 *db,
    sqlite3_stmt **out, struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Takes it back, reset and without its bindings; NULL is fine. */
void sqlite_kept_return(struct sqlite_kept *kept, sqlite3_stmt *statement);
/* Lends a statement, runs it to its first row, and takes it back. */
int sqlite_kept_run(struct sqlite_kept *kept, sqlite3 *db, const char *sql,
    struct error *err);
/* Frees all that are not lent; before the connection is closed. */
void sqlite_kept_clear(struct sqlite_kept *kept);

#endif
