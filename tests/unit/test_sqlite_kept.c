/* Statements that are kept prepared. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite_db.h"
#include "sqlite_kept.h"
#include "testlib.h"

#define NUMBER_MAX 64

static sqlite3	         *db;
static struct sqlite_kept kept;
static struct error	  err;

static void
set_up(void)
{
	memset(&kept, 0, sizeof(kept));
	ck_assert_int_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
}

/* What is left when all has gone back and is cleared: nothing. */
static void
tear_down(void)
{
	sqlite_kept_clear(&kept);
	ck_assert_ptr_null(sqlite3_next_stmt(db, NULL));
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static sqlite3_stmt *
lend(const char *sql)
{
	sqlite3_stmt *statement;

	ck_assert_msg(sqlite_kept_lend(&kept, db, &statement, &err, "%s",
	    sql) == 0, "%s", err.text);
	ck_assert_str_eq(sqlite3_sql(statement), sql);
	return statement;
}

static int
count_prepared(void)
{
	sqlite3_stmt *statement = NULL;
	int	      n = 0;

	while ((statement = sqlite3_next_stmt(db, statement)) != NULL)
		n++;
	return n;
}

START_TEST(comes_back)
{
	sqlite3_stmt *first, *second;

	first = lend("SELECT 1");
	second = lend("SELECT 2");
	ck_assert_ptr_ne(first, second);
	sqlite_kept_return(&kept, first);
	sqlite_kept_return(&kept, second);
	ck_assert_ptr_eq(lend("SELECT 2"), second);
	ck_assert_ptr_eq(lend("SELECT 1"), first);
	ck_assert_int_eq(count_prepared(), 2);
	sqlite_kept_return(&kept, first);
	sqlite_kept_return(&kept, second);
	sqlite_kept_return(&kept, NULL);
}
END_TEST

/* Whoever has one keeps it: the next gets another of the same text. */
START_TEST(lent_to_one)
{
	sqlite3_stmt *first, *second;

	first = lend("SELECT 1");
	second = lend("SELECT 1");
	ck_assert_ptr_ne(first, second);
	ck_assert_int_eq(sqlite_db_step(first, &err), 1);
	ck_assert_int_eq(sqlite_db_step(second, &err), 1);
	sqlite_kept_return(&kept, second);
	/* The other one stands where it stood. */
	ck_assert_int_eq(sqlite3_column_int(first, 0), 1);
	ck_assert_ptr_eq(lend("SELECT 1"), second);
	sqlite_kept_return(&kept, first);
	sqlite_kept_return(&kept, second);
}
END_TEST

START_TEST(comes_back_fresh)
{
	sqlite3_stmt *statement;

	statement = lend("SELECT ?1 UNION ALL SELECT 2");
	ck_assert_int_eq(sqlite3_bind_int(statement, 1, 5), SQLITE_OK);
	ck_assert_int_eq(sqlite_db_step(statement, &err), 1);
	ck_assert_int_eq(sqlite3_column_int(statement, 0), 5);
	sqlite_kept_return(&kept, statement);
	ck_assert_ptr_eq(lend("SELECT ?1 UNION ALL SELECT 2"), statement);
	ck_assert_int_eq(sqlite_db_step(statement, &err), 1);
	ck_assert_int_eq(sqlite3_column_type(statement, 0), SQLITE_NULL);
	sqlite_kept_return(&kept, statement);
}
END_TEST

/* More than are kept work as well; those go for good. */
START_TEST(more_than_are_kept)
{
	sqlite3_stmt *statements[MAX_KEPT_STATEMENTS + 2];
	char	      sql[NUMBER_MAX];
	int	      i, n = MAX_KEPT_STATEMENTS + 2;

	for (i = 0; i < n; i++) {
		(void)snprintf(sql, sizeof(sql), "SELECT %d", i);
		statements[i] = lend(sql);
	}
	ck_assert_int_eq(count_prepared(), n);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(sqlite_db_step(statements[i], &err), 1);
		ck_assert_int_eq(sqlite3_column_int(statements[i], 0), i);
		sqlite_kept_return(&kept, statements[i]);
	}
	ck_assert_int_eq(count_prepared(), MAX_KEPT_STATEMENTS);
	ck_assert_ptr_eq(lend("SELECT 0"), statements[0]);
	sqlite_kept_return(&kept, statements[0]);
}
END_TEST

START_TEST(runs)
{
	ck_assert_int_eq(sqlite_kept_run(&kept, db,
	    "CREATE TABLE t (n INTEGER)", &err), 0);
	ck_assert_int_eq(sqlite_kept_run(&kept, db, "INSERT INTO t VALUES (3)",
	    &err), 0);
	ck_assert_int_eq(sqlite_kept_run(&kept, db, "INSERT INTO t VALUES (3)",
	    &err), 0);
	ck_assert_int_eq(sqlite_kept_run(&kept, db, "SELECT n FROM t", &err),
	    0);
	ck_assert_int_eq(sqlite3_total_changes(db), 2);
}
END_TEST

START_TEST(wrong_statement)
{
	sqlite3_stmt *statement;

	ck_assert_int_eq(sqlite_kept_lend(&kept, db, &statement, &err,
	    "SELECT * FROM %s", "nowhere"), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "nowhere"));
	ck_assert_int_eq(sqlite_kept_run(&kept, db, "NONSENSE", &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_int_eq(count_prepared(), 0);
}
END_TEST

/* One that fails when it runs has gone back all the same. */
START_TEST(failing_step)
{
	ck_assert_int_eq(sqlite_kept_run(&kept, db,
	    "SELECT abs(-9223372036854775808)", &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	sqlite_kept_return(&kept, lend("SELECT abs(-9223372036854775808)"));
	ck_assert_int_eq(count_prepared(), 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sqlite_kept");
	TCase *tests = tcase_create("sqlite_kept");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, comes_back);
	tcase_add_test(tests, lent_to_one);
	tcase_add_test(tests, comes_back_fresh);
	tcase_add_test(tests, more_than_are_kept);
	tcase_add_test(tests, runs);
	tcase_add_test(tests, wrong_statement);
	tcase_add_test(tests, failing_step);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
