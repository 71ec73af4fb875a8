#include "planned.h"
#include "stagelib.h"

#define MAX_ITEMS 6

/* A walk that is written down, and ends before the record `end`, if any. */
struct seen {
	struct buf  list;
	const char *end;
};

/* planned_fn: "key:n". */
static int
write_down(void *ctx, const char *key, const bson_t *data, struct error *error)
{
	struct seen *seen = ctx;
	bson_iter_t  iter;

	if (seen->end != NULL && strcmp(key, seen->end) == 0)
		return error_set(error, STATUS_HELD, "enough");
	ck_assert(bson_iter_init_find(&iter, data, "n"));
	list_key(&seen->list, key, bson_iter_as_int64(&iter), false);
	return 0;
}

/* Plans a merge of staged into what is held, and walks what will be. */
static int
walk(const struct item *held, const struct item *staged, struct seen *seen)
{
	struct stage *stage = open_stage();
	struct store *store;
	struct tally  tally = { .name = TYPE, .is_merged = true };
	int	      rc;

	if (held != NULL)
		items_store(held);
	tally.list = items_stage(stage, staged);
	store = open_begun();
	CHECK(plan_collection(stage, store, &tally, &err));
	rc = planned_walk(stage, tally.list, store, TYPE, write_down, seen,
	    &err);
	store_close(store);
	stage_close(stage);
	return rc;
}

static const struct {
	struct item held[MAX_ITEMS];
	struct item staged[MAX_ITEMS];
	const char *list;
} cases[] = {
	{ { NO_ITEM }, { NO_ITEM }, "" },
	{ { NO_ITEM }, { { "b", 1, NULL, false }, { "a", 2, NULL, false } },
	    "a:2 b:1" },
	{ { { "a", 1, NULL, false }, { "b", 2, NULL, true },
	    { "c", 3, NULL, false } }, { NO_ITEM }, "a:1 c:3" },
	/* Before, between and behind what is held. */
	{ { { "b", 1, NULL, false }, { "d", 2, NULL, false } },
	    { { "a", 3, NULL, false }, { "c", 4, NULL, false },
	    { "e", 5, NULL, false } }, "a:3 b:1 c:4 d:2 e:5" },
	/* Changed, deleted and back again. */
	{ { { "a", 1, NULL, false }, { "b", 2, NULL, false },
	    { "c", 3, NULL, true }, { "d", 4, NULL, false } },
	    { { "a", 5, NULL, false }, { "b", 0, NULL, true },
	    { "c", 6, NULL, false } }, "a:5 c:6 d:4" },
	{ { { "a", 1, NULL, false } }, { { "a", 0, NULL, true } }, "" },
	/* What is stale stays as it is held. */
	{ { { "a", 1, T2, false } }, { { "a", 2, T1, false } }, "a:1" },
	/* Keys of which one is the start of the other. */
	{ { { "a", 1, NULL, false }, { "ab", 2, NULL, false } },
	    { { "aa", 3, NULL, false }, { "abc", 4, NULL, false } },
	    "a:1 aa:3 ab:2 abc:4" },
};

START_TEST(walked)
{
	struct seen seen = { .end = NULL };
	int	    rc;

	rc = walk(cases[_i].held, cases[_i].staged, &seen);
	list_is(&seen.list, rc, cases[_i].list);
}
END_TEST

START_TEST(ended_by_callback)
{
	static const char *const ends[] = { "b", "c" };
	struct seen		 seen = { .end = ends[_i] };

	/* One of the store, then one of the plan. */
	ck_assert_int_eq(walk(cases[3].held, cases[3].staged, &seen), -1);
	ck_assert_int_eq(err.status, STATUS_HELD);
	ck_assert_str_eq(err.text, "enough");
	list_is(&seen.list, 0, _i == 0 ? "a:3" : "a:3 b:1");
}
END_TEST

START_TEST(damaged_record)
{
	static const struct item held[] = { { "a", 1, NULL, false },
		{ "b", 2, NULL, false }, NO_ITEM };
	static const struct item staged[] = { { "c", 3, NULL, false },
		NO_ITEM };
	struct seen		 seen = { .end = NULL };

	items_store(held);
	damage("UPDATE " TYPE " SET Data = x'0102' WHERE BusinessKey = 'b'");
	CHECK_FAILS(walk(NULL, staged, &seen), "the record \"b\" is damaged");
	list_is(&seen.list, 0, "a:1");
}
END_TEST

/* What is damaged is of no account when it is replaced or deleted. */
START_TEST(damaged_is_replaced)
{
	static const struct item held[] = { { "a", 1, NULL, false },
		{ "b", 2, NULL, false }, NO_ITEM };
	static const struct item staged[] = { { "a", 3, NULL, false },
		{ "b", 0, NULL, true }, NO_ITEM };
	struct seen		 seen = { .end = NULL };
	int			 rc;

	items_store(held);
	damage("UPDATE " TYPE " SET Data = x'0102'");
	rc = walk(NULL, staged, &seen);
	list_is(&seen.list, rc, "a:3");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("planned");
	TCase *tests = tcase_create("planned");

	tcase_add_checked_fixture(tests, sqlite_set_up, sqlite_tear_down);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, walked, 0, LENGTH_OF(cases));
	tcase_add_loop_test(tests, ended_by_callback, 0, 2);
	tcase_add_test(tests, damaged_record);
	tcase_add_test(tests, damaged_is_replaced);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
