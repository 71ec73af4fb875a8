/* Versions of which no run is: what is told of those beside them. */
#include <stdio.h>

#include "past.h"
#include "sqlitelib.h"
#include "../../src/store_int.h"

#define RUNS 40

/* In its stead it would read all entries, with all their key lists. */
static int
refuse_history(struct store *store, int64_t limit, struct store_cursor **out,
    struct error *error)
{
	(void)store;
	(void)out;
	return error_set(error, STATUS_STORE, "read %lld entries",
	    (long long)limit);
}

static void
set_up(void)
{
	struct store *store;
	int64_t	      version;
	int	      i;

	sqlite_set_up();
	for (i = 0; i < RUNS; i++) {
		store = begin_run(1000, &version);
		end_run(store, version, true);
	}
	damage("DELETE FROM SyncHistory WHERE Version < 3 OR Version = 5 OR"
	       " Version BETWEEN 10 AND 30 OR Version = 39");
}

static const struct {
	int64_t	    version;
	const char *said; /* NULL: it is there */
} cases[] = {
	{ 1, "no finished version 1; the nearest is 3" },
	{ 2, "no finished version 2; the nearest is 3" },
	{ 3, NULL },
	{ 5, "no finished version 5; the nearest are 4 and 6" },
	{ 6, NULL },
	{ 10, "no finished version 10; the nearest are 9 and 31" },
	{ 20, "no finished version 20; the nearest are 9 and 31" },
	{ 30, "no finished version 30; the nearest are 9 and 31" },
	{ 39, "no finished version 39; the nearest are 38 and 40" },
	{ 40, NULL },
	{ 41, "the last finished version of store" },
};

START_TEST(nearest)
{
	struct store	     *store = open_store(STORE_READ);
	struct store_ops      ops = *store->ops;
	struct store_versions versions;
	int		      rc;

	ops.history_open = refuse_history;
	store->ops = &ops;
	CHECK(store_versions_get(store, &versions, &err));
	rc = past_check_finished(store, &versions, cases[_i].version, "--to",
	    &err);
	ck_assert_int_eq(rc, cases[_i].said == NULL ? 0 : -1);
	if (cases[_i].said != NULL)
		ck_assert_msg(strstr(err.text, cases[_i].said) != NULL, "%s",
		    err.text);
	store_close(store);
}
END_TEST

START_TEST(before_all)
{
	struct store	     *store = open_store(STORE_READ);
	struct store_ops      ops = *store->ops;
	struct store_versions versions;
	struct store_run      run;

	ops.history_open = refuse_history;
	store->ops = &ops;
	CHECK(store_versions_get(store, &versions, &err));
	ck_assert_int_eq(past_find(store, &versions, INT64_MAX, 2999,
	    "--as-of", &run, &err), -1);
	ck_assert_msg(strstr(err.text, "is version 3, finished at"
	    " 1970-01-01T00:00:03.000Z") != NULL, "%s", err.text);
	store_close(store);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("past");
	TCase *tests = tcase_create("past");

	tcase_add_checked_fixture(tests, set_up, sqlite_tear_down);
	tcase_add_loop_test(tests, nearest, 0, LENGTH_OF(cases));
	tcase_add_test(tests, before_all);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
