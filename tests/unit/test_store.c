/*
 * The embedded store's file, and the stage, which is a file as well.  The
 * promises of store.h are in test_store_conformance.c.
 */
#include "sqlitelib.h"

static const char *const abc[] = { "b", "a", "c", NULL };

/* A database of another program, even if all else in it looks like ours. */
START_TEST(refused)
{
	static const enum store_mode modes[] = {
		STORE_WRITE, STORE_UPDATE, STORE_READ, STORE_DRY,
	};
	struct store *store;

	write_run(abc, NULL, 1, true);
	damage("PRAGMA application_id = 1");
	CHECK_FAILS(store_open(&place, modes[_i], &store, &err),
	    "not a store of ours");
}
END_TEST

START_TEST(keys_must_ascend)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_state   state;

	write_run(abc, NULL, 1, true);
	/* The same index, in another order. */
	damage("DROP INDEX PlanDefinitions_State;"
	    "DROP INDEX PlanDefinitions_BusinessKey;"
	    "UPDATE PlanDefinitions SET BusinessKey = 'a';"
	    "CREATE INDEX PlanDefinitions_State ON PlanDefinitions"
	    " (BusinessKey, IsDeleted, ContentHash)");
	store = open_store(STORE_READ);
	CHECK(store_state_open(store, "PlanDefinitions", &cursor, &err));
	ck_assert_int_eq(store_state_next(cursor, &state, &err), 1);
	ck_assert_int_eq(store_state_next(cursor, &state, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "ascending"));
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

START_TEST(stage_rewinds)
{
	struct stage	    *stage;
	struct stage_cursor *cursor;
	struct staged	     staged;
	bool		     is_new;

	CHECK(stage_open(&stage, &err));
	stage_one(stage, "kept", 1);
	stage_one(stage, "void", 1);
	stage_one(stage, "kept", 2);
	CHECK(stage_rewind(stage, PLAN_DEFINITIONS, 1, &err));
	stage_one(stage, "other", 3);
	CHECK(stage_finish(stage, PLAN_DEFINITIONS, &err));
	CHECK(stage_cursor_open(stage, PLAN_DEFINITIONS, &cursor, &err));
	ck_assert_int_eq(stage_cursor_next(cursor, &staged, &err), 1);
	ck_assert_str_eq(staged.key, "kept");
	ck_assert_uint_eq(staged.hash[0], 1);
	ck_assert_int_eq(stage_cursor_next(cursor, &staged, &err), 1);
	ck_assert_str_eq(staged.key, "other");
	ck_assert_int_eq(stage_cursor_next(cursor, &staged, &err), 0);
	stage_cursor_close(cursor);
	CHECK(stage_see_url(stage, PLAN_DEFINITIONS, "u", &is_new, &err));
	ck_assert(is_new);
	CHECK(stage_see_url(stage, ACTIVITY_DEFINITIONS, "u", &is_new, &err));
	ck_assert(is_new);
	CHECK(stage_see_url(stage, PLAN_DEFINITIONS, "u", &is_new, &err));
	ck_assert(!is_new);
	stage_close(stage);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store");
	TCase *tests = tcase_create("store");

	tcase_add_checked_fixture(tests, sqlite_set_up, sqlite_tear_down);
	tcase_add_loop_test(tests, refused, 0, 4);
	tcase_add_test(tests, keys_must_ascend);
	tcase_add_test(tests, stage_rewinds);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
