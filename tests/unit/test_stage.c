#include "stagelib.h"

#define MAX_ITEMS 5

/* The list as "key:fill", then * and how many more there were, - when it is to
 * be deleted and nothing else, and +- when it is both. */
static char *
list_of(struct stage *stage, int list)
{
	struct stage_cursor *cursor;
	struct staged	     staged;
	struct buf	     out = { 0 };
	int		     rc;

	CHECK(stage_cursor_open(stage, list, &cursor, &err));
	while ((rc = stage_cursor_next(cursor, &staged, &err)) == 1) {
		ck_assert_uint_eq(staged.len, strlen(staged.key));
		ck_assert(staged.is_put || staged.is_delete);
		buf_print(&out, "%s%s:%d", out.len > 0 ? " " : "", staged.key,
		    staged.is_put ? staged.hash[0] : 0);
		if (staged.duplicates > 0)
			buf_print(&out, "*%d", (int)staged.duplicates);
		if (staged.is_delete)
			buf_print(&out, staged.is_put ? "+-" : "-");
	}
	ck_assert_msg(rc == 0, "%s", err.text);
	ck_assert_int_eq(stage_cursor_next(cursor, &staged, &err), 0);
	stage_cursor_close(cursor);
	buf_append_byte(&out, 0);
	return (char *)out.data;
}

static void
list_is_of(struct stage *stage, int list, const char *expected)
{
	char *found = list_of(stage, list);

	ck_assert_str_eq(found, expected);
	free(found);
}

static const struct {
	struct item items[MAX_ITEMS];
	const char *list;
} lists[] = {
	{ { NO_ITEM }, "" },
	/* Byte order of the keys. */
	{ { { "b", 1, NULL, false }, { "a", 2, NULL, false },
	    { "B", 3, NULL, false }, { "a0", 4, NULL, false } },
	    "B:3 a:2 a0:4 b:1" },
	/* Ties: the last one. */
	{ { { "a", 1, NULL, false }, { "a", 2, NULL, false },
	    { "a", 3, NULL, false } }, "a:3*2" },
	{ { { "a", 1, T1, false }, { "a", 2, T1, false } }, "a:2*1" },
	{ { { "a", 1, T1 V(2), false }, { "a", 2, T1 V(2), false } },
	    "a:2*1" },
	{ { { "a", 1, T1, false }, { "a", 2, NULL, false } }, "a:2*1" },
	{ { { "a", 1, T1 SUBSET, false }, { "a", 2, T1 SUBSET, false } },
	    "a:2*1" },
	/* Deletions: alone, twice, and beside the resource. */
	{ { { "a", 0, NULL, true } }, "a:0-" },
	{ { { "a", 0, NULL, true }, { "a", 0, NULL, true } }, "a:0*1-" },
	{ { { "a", 0, NULL, true }, { "b", 1, T1, false } }, "a:0- b:1" },
	{ { { "b", 0, NULL, true }, { "a", 1, T1, false } }, "a:1 b:0-" },
	{ { { "a", 0, NULL, true }, { "a", 1, T1, false } }, "a:1*1+-" },
	{ { { "a", 1, T1, false }, { "a", 0, NULL, true } }, "a:1*1+-" },
	{ { { "a", 1, T2, false }, { "a", 0, NULL, true },
	    { "a", 2, T1, false } }, "a:1*2+-" },
};

START_TEST(listed)
{
	struct stage *stage = open_stage();

	list_is_of(stage, items_stage(stage, lists[_i].items), lists[_i].list);
	stage_close(stage);
}
END_TEST

/* Three of one key, of which the one with content 3 is to be kept. */
static const char *const metas[][3] = {
	{ T1, T2, T3 },
	{ T1 V(3), T2 V(1), T3 V(2) },
	{ T1 V(1), T1 V(2), T1 V(10) },
	/* Without a time. */
	{ "'versionId':'1'", "'versionId':'2'", "'versionId':'3'" },
	/* A whole one. */
	{ T2 SUBSET, T3 SUBSET, T1 },
	{ T3 SUBSET, T1, T2 },
	{ T1 SUBSET, T2 SUBSET, T3 SUBSET },
};

static const int orders[][3] = {
	{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 },
	{ 2, 1, 0 },
};

START_TEST(newest_wins)
{
	struct stage *stage = open_stage();
	struct item   items[4];
	int	      i, k, order;

	for (order = 0; order < LENGTH_OF(orders); order++) {
		memset(items, 0, sizeof(items));
		for (i = 0; i < 3; i++) {
			k = orders[order][i];
			items[i] = (struct item){ "a", (uint8_t)(k + 1),
				metas[_i][k], false };
		}
		list_is_of(stage, items_stage(stage, items), "a:3*2");
	}
	stage_close(stage);
}
END_TEST

/* The cursor's row is that of the one that counts, and its age is given. */
START_TEST(data_of_newest)
{
	static const struct item items[] = { { "a", 1, T1 V(4), false },
		{ "a", 2, T3 V(7), false }, { "a", 3, T2 V(9), false },
		NO_ITEM };
	struct stage		*stage = open_stage();
	struct stage_cursor	*cursor;
	struct staged		 staged;
	const uint8_t		*data;
	size_t			 len;
	bson_t			 doc;
	int			 list = items_stage(stage, items);

	CHECK(stage_cursor_open(stage, list, &cursor, &err));
	CHECK_NEXT(stage_cursor_next(cursor, &staged, &err));
	ck_assert_int_eq(staged.age.version, 7);
	ck_assert_int_eq(staged.age.updated_us, INT64_C(1735779600000000));
	ck_assert(!staged.age.is_subset);
	CHECK(stage_data(stage, list, staged.row, &data, &len, &err));
	ck_assert(bson_init_static(&doc, data, len));
	test_json_is(&doc, "{'meta':{'lastUpdated':"
	    "'2025-01-02T00:00:00-01:00','versionId':'7'},'n':2}");
	stage_cursor_close(cursor);
	CHECK_FAILS(stage_data(stage, list, 4, &data, &len, &err),
	    "row 4 is gone");
	stage_close(stage);
}
END_TEST

/* stage_find() knows no ages: the last one that came. */
START_TEST(found_by_key)
{
	static const struct item items[] = { { "a", 1, NULL, false },
		{ "ab", 2, NULL, false }, { "a", 3, NULL, false },
		NO_ITEM };
	struct stage		*stage = open_stage();
	const uint8_t		*data;
	size_t			 len;
	bson_t			 doc;
	int			 list = items_stage(stage, items);

	CHECK_NEXT(stage_find(stage, list, "abc", 1, &data, &len, &err));
	ck_assert(bson_init_static(&doc, data, len));
	test_json_is(&doc, "{'n':3}");
	ck_assert_int_eq(stage_find(stage, list, "abc", 3, &data, &len, &err),
	    0);
	stage_close(stage);
}
END_TEST

START_TEST(rewound)
{
	struct stage *stage = open_stage();
	struct item   one = { "a", 1, NULL, false };
	struct item   two = { "b", 2, NULL, false };
	int	      list;

	CHECK(list = stage_add_list(stage, &err));
	item_stage(stage, list, &one);
	item_stage(stage, list, &two);
	item_stage(stage, list, &two);
	CHECK(stage_rewind(stage, list, 1, &err));
	list_is_of(stage, list, "a:1");
	CHECK(stage_rewind(stage, list, 0, &err));
	item_stage(stage, list, &two);
	list_is_of(stage, list, "b:2");
	stage_close(stage);
}
END_TEST

/* Lists know nothing of each other. */
START_TEST(apart)
{
	static const struct item one[] = { { "a", 1, NULL, false },
		NO_ITEM };
	static const struct item other[] = { { "a", 2, NULL, false },
		{ "b", 3, NULL, false }, NO_ITEM };
	struct stage		*stage = open_stage();
	int			 first, second;
	bool			 is_new;

	first = items_stage(stage, one);
	second = items_stage(stage, other);
	ck_assert_int_eq(first, COLLECTION__MAX);
	ck_assert_int_eq(second, COLLECTION__MAX + 1);
	list_is_of(stage, first, "a:1");
	list_is_of(stage, second, "a:2 b:3");
	list_is_of(stage, PLAN_DEFINITIONS, "");
	CHECK(stage_see_url(stage, first, "u", &is_new, &err));
	ck_assert(is_new);
	CHECK(stage_see_url(stage, first, "u", &is_new, &err));
	ck_assert(!is_new);
	CHECK(stage_see_url(stage, second, "u", &is_new, &err));
	ck_assert(is_new);
	stage_close(stage);
	stage_close(NULL);
	stage_cursor_close(NULL);
}
END_TEST

START_TEST(too_many_lists)
{
	struct stage *stage = open_stage();
	int	      i;

	for (i = COLLECTION__MAX; i < MAX_LISTS; i++)
		ck_assert_int_eq(stage_add_list(stage, &err), i);
	ck_assert_int_eq(stage_add_list(stage, &err), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	ck_assert_str_eq(err.text, "more than 507 resource types in one run");
	list_is_of(stage, MAX_LISTS - 1, "");
	stage_close(stage);
}
END_TEST

/* The plan as "act key:fill:data", in the order it was made. */
static void
plan_is(struct stage *stage, int list, enum act only, const char *expected)
{
	struct stage_cursor *cursor;
	struct planned	     planned;
	struct buf	     out = { 0 };
	int		     rc;

	CHECK(stage_plan_open(stage, list, only, &cursor, &err));
	while ((rc = stage_plan_next(cursor, &planned, &err)) == 1) {
		ck_assert_uint_eq(planned.len, strlen(planned.key));
		buf_print(&out, "%s%d%s:%d:%zu", out.len > 0 ? " " : "",
		    (int)planned.act, planned.key, planned.hash[0],
		    planned.data_len);
	}
	list_is(&out, rc, expected);
	stage_cursor_close(cursor);
}

START_TEST(plan_kept)
{
	static const struct item items[] = { { "a", 1, NULL, false },
		{ "b", 2, NULL, false }, NO_ITEM };
	struct planned		 planned = { .key = "b", .len = 1, .row = 2 };
	struct stage		*stage = open_stage();
	int			 list = items_stage(stage, items);

	plan_is(stage, list, ACT__MAX, "");
	planned.act = ACT_UPDATE;
	memset(planned.hash, 2, HASH_BYTES);
	CHECK(stage_plan_add(stage, list, &planned, &err));
	CHECK(stage_plan_add(stage, list, &(struct planned){
	    .act = ACT_DELETE, .key = "aa", .len = 2 }, &err));
	CHECK(stage_plan_add(stage, list, &(struct planned){ .act = ACT_ADD,
	    .key = "a", .len = 1, .row = 1 }, &err));
	plan_is(stage, list, ACT__MAX, "1b:2:12 2aa:0:0 0a:0:12");
	plan_is(stage, list, ACT_ADD, "0a:0:0");
	plan_is(stage, list, ACT_UPDATE, "1b:2:0");
	plan_is(stage, list, ACT_DELETE, "2aa:0:0");
	stage_close(stage);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("stage");
	TCase *tests = tcase_create("stage");

	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, listed, 0, LENGTH_OF(lists));
	tcase_add_loop_test(tests, newest_wins, 0, LENGTH_OF(metas));
	tcase_add_test(tests, data_of_newest);
	tcase_add_test(tests, found_by_key);
	tcase_add_test(tests, rewound);
	tcase_add_test(tests, apart);
	tcase_add_test(tests, too_many_lists);
	tcase_add_test(tests, plan_kept);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
