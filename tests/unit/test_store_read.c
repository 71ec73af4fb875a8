/*
 * What nompd-serve reads from the embedded store's file: an index in another
 * order, states that come and go, a file that is replaced.
 */
#include "sqlitelib.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_b[] = { "b", NULL };

/* An index that says another order than it has. */
#define FALSE_INDEX(columns) \
	"DROP INDEX PlanDefinitions_Version;" \
	"CREATE INDEX PlanDefinitions_Version ON PlanDefinitions (" columns \
	");" \
	"PRAGMA writable_schema = ON;" \
	"UPDATE sqlite_master SET sql = 'CREATE INDEX" \
	" \"PlanDefinitions_Version\" ON \"PlanDefinitions\"" \
	" (Version, BusinessKey)' WHERE name = 'PlanDefinitions_Version';" \
	"PRAGMA writable_schema = OFF"

static const struct {
	const char *sql;
	const char *words;
} disorders[] = {
	{ FALSE_INDEX("Version DESC, BusinessKey"),
	    "versions are not in ascending order at \"a\"" },
	{ FALSE_INDEX("Version, BusinessKey DESC"),
	    "keys are not in ascending order at \"a\"" },
	{ "DROP INDEX PlanDefinitions_BusinessKey;"
	    "UPDATE PlanDefinitions SET BusinessKey = 'a' WHERE"
	    " BusinessKey = 'c'",
	    "keys are not in ascending order at \"a\"" },
};

START_TEST(changes_must_ascend)
{
	static const char *const ac[] = { "a", "c", NULL };
	struct store		*store;
	struct store_cursor	*cursor;
	struct store_record	 record;

	write_run(ac, NULL, 1, true);
	write_run(only_b, NULL, 2, true);
	damage(disorders[_i].sql);
	store = open_store(STORE_READ);
	CHECK(store_changes_open(store, "PlanDefinitions", 0, true, &cursor,
	    &err));
	ck_assert_int_eq(store_changes_next(cursor, &record, &err), 1);
	ck_assert_int_eq(store_changes_next(cursor, &record, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_msg(strstr(err.text, disorders[_i].words) != NULL, "%s",
	    err.text);
	ck_assert_ptr_nonnull(strstr(err.text, "store.db"));
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

/* A reader's records are of one state, too, until it lets that go. */
START_TEST(end_and_begin_anew)
{
	static const char *const c[] = { "c", NULL };
	static const char *const d[] = { "d", NULL };
	struct store		*store;

	write_run(abc, NULL, 1, true);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	write_run(d, c, 2, true);
	/* What is not published is never seen. */
	write_run(c, NULL, 3, false);
	counts_are(store, PLANS, 3, 0);
	ck_assert(!is_there(store, PLANS, "d", 1));
	CHECK(store_end(store, &err));
	CHECK(store_begin(store, &err));
	counts_are(store, PLANS, 3, 1);
	ck_assert(is_there(store, PLANS, "d", 1));
	store_close(store);
}
END_TEST

/* Moves the store's file to the name behind it, or back. */
static void
move_file(const char *from, const char *to)
{
	char old[96], new[96];

	(void)snprintf(old, sizeof(old), "%s/%s", folder, from);
	(void)snprintf(new, sizeof(new), "%s/%s", folder, to);
	ck_assert_int_eq(rename(old, new), 0);
}

static const enum store_mode file_modes[] = {
	STORE_WRITE, STORE_UPDATE, STORE_READ, STORE_DRY,
};

START_TEST(replaced)
{
	struct store *store;

	write_run(abc, NULL, 1, true);
	store = open_store(file_modes[_i]);
	ck_assert(!store_is_replaced(store));
	/* A run is no other store. */
	write_run(only_b, NULL, 2, true);
	ck_assert(!store_is_replaced(store));
	/* Removed, and another one in its place. */
	move_file("store.db", "store.db-old");
	ck_assert(store_is_replaced(store));
	write_run(abc, NULL, 1, true);
	ck_assert(store_is_replaced(store));
	/* The same one is back. */
	move_file("store.db-old", "store.db");
	ck_assert(!store_is_replaced(store));
	store_close(store);
}
END_TEST

/* The place is what the URI names, also when that is a link. */
START_TEST(replaced_behind_link)
{
	struct store *store;
	char	      link[96], file[96];

	write_run(abc, NULL, 1, true);
	(void)snprintf(link, sizeof(link), "%s/store.db", folder);
	(void)snprintf(file, sizeof(file), "%s/store.db-old", folder);
	move_file("store.db", "store.db-old");
	ck_assert_int_eq(symlink("store.db-old", link), 0);
	store = open_store(STORE_READ);
	ck_assert(!store_is_replaced(store));
	ck_assert_int_eq(unlink(link), 0);
	ck_assert(store_is_replaced(store));
	store_close(store);
	ck_assert_int_eq(unlink(file), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_read");
	TCase *tests = tcase_create("store_read");

	tcase_add_checked_fixture(tests, sqlite_set_up, sqlite_tear_down);
	tcase_add_loop_test(tests, changes_must_ascend, 0,
	    LENGTH_OF(disorders));
	tcase_add_test(tests, end_and_begin_anew);
	tcase_add_loop_test(tests, replaced, 0, LENGTH_OF(file_modes));
	tcase_add_test(tests, replaced_behind_link);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
