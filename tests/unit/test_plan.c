#include "log.h"
#include "stagelib.h"

#define MAX_ITEMS 6

struct counts {
	uint64_t added, updated, unchanged, deleted, stale, duplicates, live;
};

static const struct {
	struct item   held[MAX_ITEMS];
	struct item   staged[MAX_ITEMS];
	bool	      is_merged;
	const char   *plan;
	struct counts counts;
} cases[] = {
	{ { NO_ITEM }, { NO_ITEM }, false, "", { 0 } },
	/* A first run. */
	{ { NO_ITEM },
	    { { "b", 1, T1, false }, { "a", 2, NULL, false } }, false,
	    "+a:2 +b:1", { .added = 2 } },
	/* Each act once. */
	{ { { "a", 1, T1, false }, { "b", 2, T1, false },
	    { "d", 4, T1, false } },
	    { { "b", 2, T1, false }, { "c", 3, T1, false },
	    { "d", 5, T2, false } }, false, "-a:0 +c:3 ~d:5",
	    { .added = 1, .updated = 1, .unchanged = 1, .deleted = 1,
	    .live = 3 } },
	/* The same to be merged: what did not come stays. */
	{ { { "a", 1, T1, false }, { "b", 2, T1, false },
	    { "d", 4, T1, false } },
	    { { "b", 2, T1, false }, { "c", 3, T1, false },
	    { "d", 5, T2, false } }, true, "+c:3 ~d:5",
	    { .added = 1, .updated = 1, .unchanged = 1, .live = 3 } },
	{ { { "a", 1, T1, false }, { "b", 2, T1, false } }, { NO_ITEM },
	    true, "", { .live = 2 } },
	{ { { "a", 1, T1, false }, { "b", 2, T1, false } }, { NO_ITEM },
	    false, "-a:0 -b:0", { .deleted = 2, .live = 2 } },
	/* Deletions by name: of what is there, gone already, never there. */
	{ { { "a", 1, T1, false }, { "b", 2, T1, true },
	    { "c", 3, T1, false } },
	    { { "a", 0, NULL, true }, { "b", 0, NULL, true },
	    { "bb", 0, NULL, true }, { "d", 0, NULL, true } }, true, "-a:0",
	    { .deleted = 1, .live = 2 } },
	{ { { "a", 1, T1, false }, { "b", 2, T1, false } },
	    { { "a", 0, NULL, true }, { "b", 2, T1, false } }, false, "-a:0",
	    { .unchanged = 1, .deleted = 1, .live = 2 } },
	/* Named twice is deleted once. */
	{ { { "a", 1, T1, false } },
	    { { "a", 0, NULL, true }, { "a", 0, NULL, true } }, true, "-a:0",
	    { .deleted = 1, .duplicates = 1, .live = 1 } },
	/* Tombstones: gone stays gone, and what comes back lives again. */
	{ { { "a", 1, T1, true }, { "b", 2, T1, true } },
	    { { "b", 2, T1, false } }, false, "~b:2", { .updated = 1 } },
	{ { { "a", 1, T1, true } }, { { "a", 3, T2, false } }, true, "~a:3",
	    { .updated = 1 } },
	/* Of those with one key the newest. */
	{ { NO_ITEM }, { { "a", 1, T1, false }, { "a", 3, T3, false },
	    { "a", 2, T2, false } }, false, "+a:3",
	    { .added = 1, .duplicates = 2 } },
	/* Stale: older, of a lower version, or a subset. */
	{ { { "a", 1, T2, false } }, { { "a", 2, T1, false } }, true, "",
	    { .stale = 1, .live = 1 } },
	{ { { "a", 1, T2, false } }, { { "a", 2, T1, false } }, false, "",
	    { .stale = 1, .live = 1 } },
	{ { { "a", 1, T1 V(3), false } }, { { "a", 2, T1 V(2), false } },
	    true, "", { .stale = 1, .live = 1 } },
	{ { { "a", 1, T1, false } }, { { "a", 2, T2 SUBSET, false } }, true,
	    "", { .stale = 1, .live = 1 } },
	{ { { "a", 1, NULL, false } }, { { "a", 2, "'source':'s'" SUBSET,
	    false } }, true, "", { .stale = 1, .live = 1 } },
	/* What the server has is there, also when it was newer once. */
	{ { { "a", 1, T2, true } }, { { "a", 2, T1, false } }, true, "~a:2",
	    { .updated = 1 } },
	/* Not stale: newer, as old, whole, and what has no age. */
	{ { { "a", 1, T1, false } }, { { "a", 2, T2, false } }, true, "~a:2",
	    { .updated = 1, .live = 1 } },
	{ { { "a", 1, T1, false } }, { { "a", 2, T1, false } }, true, "~a:2",
	    { .updated = 1, .live = 1 } },
	{ { { "a", 1, T2 SUBSET, false } }, { { "a", 2, T1, false } }, true,
	    "~a:2", { .updated = 1, .live = 1 } },
	{ { { "a", 1, T1 SUBSET, false } }, { { "a", 2, T2 SUBSET, false } },
	    true, "~a:2", { .updated = 1, .live = 1 } },
	{ { { "a", 1, T2, false } }, { { "a", 2, NULL, false } }, true,
	    "~a:2", { .updated = 1, .live = 1 } },
	{ { { "a", 1, NULL, false } }, { { "a", 2, T1, false } }, true,
	    "~a:2", { .updated = 1, .live = 1 } },
	/* Keys of which one is the start of the other. */
	{ { { "a", 1, T1, false }, { "aa", 2, T1, false } },
	    { { "a", 1, T1, false }, { "ab", 3, T1, false } }, false,
	    "-aa:0 +ab:3", { .added = 1, .unchanged = 1, .deleted = 1,
	    .live = 2 } },
	{ { { "aa", 1, T1, false } }, { { "a", 1, T1, false } }, false,
	    "+a:1 -aa:0", { .added = 1, .deleted = 1, .live = 1 } },
};

static void
plan_is(struct stage *stage, int list, const char *expected)
{
	static const char    signs[ACT__MAX] = { '+', '~', '-' };
	struct stage_cursor *cursor;
	struct planned	     planned;
	struct buf	     out = { 0 };
	int		     rc;

	CHECK(stage_plan_open(stage, list, ACT__MAX, &cursor, &err));
	while ((rc = stage_plan_next(cursor, &planned, &err)) == 1)
		buf_print(&out, "%s%c%s:%d", out.len > 0 ? " " : "",
		    signs[planned.act], planned.key, planned.hash[0]);
	list_is(&out, rc, expected);
	stage_cursor_close(cursor);
}

static void
counts_are_of(const struct tally *tally, const struct counts *counts)
{
	ck_assert_uint_eq(tally->added, counts->added);
	ck_assert_uint_eq(tally->updated, counts->updated);
	ck_assert_uint_eq(tally->unchanged, counts->unchanged);
	ck_assert_uint_eq(tally->deleted, counts->deleted);
	ck_assert_uint_eq(tally->stale, counts->stale);
	ck_assert_uint_eq(tally->duplicates, counts->duplicates);
	ck_assert_uint_eq(tally->live, counts->live);
}

START_TEST(planned_as_said)
{
	struct stage *stage = open_stage();
	struct store *store;
	struct tally  tally = { .name = TYPE,
		.is_merged = cases[_i].is_merged };

	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
	items_store(cases[_i].held);
	tally.list = items_stage(stage, cases[_i].staged);
	store = open_begun();
	CHECK(plan_collection(stage, store, &tally, &err));
	plan_is(stage, tally.list, cases[_i].plan);
	counts_are_of(&tally, &cases[_i].counts);
	store_close(store);
	stage_close(stage);
}
END_TEST

/* There and deleted at once, known to the store or not. */
static const struct item conflicts[][MAX_ITEMS] = {
	{ { "a", 1, T1, false }, { "a", 0, NULL, true } },
	{ { "a", 0, NULL, true }, { "a", 2, T2, false } },
	{ { "b", 0, NULL, true }, { "b", 2, T2, false } },
	{ { "0", 1, T1, false }, { "c", 0, NULL, true },
	    { "c", 2, T2, false }, { "d", 1, T1, false } },
};

START_TEST(conflict)
{
	static const struct item held[] = { { "a", 1, T1, false },
		NO_ITEM };
	static const char	 ids[] = { 'a', 'a', 'b', 'c' };
	struct stage		*stage = open_stage();
	struct store		*store;
	struct tally		 tally = { .name = TYPE, .is_merged = true };
	char			 want[128];

	items_store(held);
	tally.list = items_stage(stage, conflicts[_i]);
	store = open_begun();
	ck_assert_int_eq(plan_collection(stage, store, &tally, &err), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	(void)snprintf(want, sizeof(want), "the upstream names \"%c\" as"
	    " deleted and gives it as well; nothing was written", ids[_i]);
	ck_assert_str_eq(err.text, want);
	store_close(store);
	stage_close(stage);
}
END_TEST

/* Data that is none tells no age: it is written anew. */
START_TEST(damaged_is_replaced)
{
	static const struct item held[] = { { "a", 1, T3, false },
		NO_ITEM };
	static const struct item staged[] = { { "a", 2, T1, false },
		NO_ITEM };
	struct stage		*stage = open_stage();
	struct store		*store;
	struct tally		 tally = { .name = TYPE, .is_merged = true };

	items_store(held);
	damage("UPDATE " TYPE " SET Data = x'0102'");
	tally.list = items_stage(stage, staged);
	store = open_begun();
	CHECK(plan_collection(stage, store, &tally, &err));
	plan_is(stage, tally.list, "~a:2");
	store_close(store);
	stage_close(stage);
}
END_TEST

/* A collection that is not there yet. */
START_TEST(new_collection)
{
	static const struct item staged[] = { { "a", 2, T1, false },
		{ "b", 0, NULL, true }, NO_ITEM };
	struct stage		*stage = open_stage();
	struct store		*store;
	struct tally		 tally = { .name = TYPE };

	store_close(open_store(STORE_WRITE));
	tally.list = items_stage(stage, staged);
	store = open_begun();
	CHECK(plan_collection(stage, store, &tally, &err));
	plan_is(stage, tally.list, "+a:2");
	store_close(store);
	stage_close(stage);
}
END_TEST

/* An output's duplicates were counted where they came from. */
START_TEST(output_duplicates)
{
	static const struct item staged[] = { { "a", 1, NULL, false },
		{ "a", 2, NULL, false }, NO_ITEM };
	struct stage		*stage = open_stage();
	struct store		*store;
	struct tally		 tally = { .name = TYPE, .is_output = true };

	store_close(open_store(STORE_WRITE));
	tally.list = items_stage(stage, staged);
	store = open_begun();
	CHECK(plan_collection(stage, store, &tally, &err));
	plan_is(stage, tally.list, "+a:2");
	ck_assert_uint_eq(tally.duplicates, 0);
	store_close(store);
	stage_close(stage);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("plan");
	TCase *tests = tcase_create("plan");

	tcase_add_checked_fixture(tests, sqlite_set_up, sqlite_tear_down);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, planned_as_said, 0, LENGTH_OF(cases));
	tcase_add_loop_test(tests, conflict, 0, LENGTH_OF(conflicts));
	tcase_add_test(tests, damaged_is_replaced);
	tcase_add_test(tests, new_collection);
	tcase_add_test(tests, output_duplicates);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
