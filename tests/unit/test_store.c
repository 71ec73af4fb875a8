/*
 * The promises of store.h, on the embedded store, and the merge-join on top.
 * What a server reads is in test_store_read.c.
 */
#include "plan.h"
#include "stage.h"
#include "storelib.h"
#include "upsert.h"

/* The state as "key:fill" with "-" for a tombstone, space between. */
static void
state_is(const char *expected)
{
	struct store	    *store = open_store(STORE_READ);
	struct store_cursor *cursor;
	struct store_state   state;
	char		     text[256] = "";
	size_t		     len;
	int		     rc;

	CHECK(store_state_open(store, "PlanDefinitions", &cursor, &err));
	while ((rc = store_state_next(cursor, &state, &err)) == 1) {
		len = strlen(text);
		(void)snprintf(text + len, sizeof(text) - len, "%s%s:%u%s",
		    len > 0 ? " " : "", state.key, state.hash[0],
		    state.is_deleted ? "-" : "");
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_str_eq(text, expected);
	store_cursor_close(cursor);
	store_close(store);
}

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_b[] = { "b", NULL };
static const char *const only_c[] = { "c", NULL };

START_TEST(state_in_key_order)
{
	write_run(abc, NULL, 1, true);
	state_is("a:1 b:1 c:1");
	write_run(only_b, only_c, 2, true);
	state_is("a:1 b:2 c:1-");
	write_run(only_c, NULL, 3, true);
	state_is("a:1 b:2 c:3");
}
END_TEST

START_TEST(unpublished_is_undone)
{
	struct store_versions versions;
	struct store	     *store;

	write_run(abc, NULL, 1, true);
	write_run(only_b, only_c, 2, false);
	state_is("a:1 b:1 c:1");
	store = open_store(STORE_READ);
	CHECK(store_versions_get(store, &versions, &err));
	ck_assert_int_eq(versions.finished, 1);
	ck_assert_int_eq(versions.raised, 1);
	store_close(store);
}
END_TEST

START_TEST(record_has_all_fields)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_record  record;

	write_run(abc, NULL, 1, true);
	write_run(NULL, only_c, 2, true);
	store = open_store(STORE_READ);
	CHECK(store_record_open(store, "PlanDefinitions", "c", 1, &cursor,
	    &err));
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 1);
	check_deleted(&record);
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	CHECK(store_record_open(store, "PlanDefinitions", "d", 1, &cursor,
	    &err));
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

START_TEST(live_leaves_tombstones_out)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_record  record;

	write_run(abc, NULL, 1, true);
	write_run(NULL, only_b, 2, true);
	store = open_store(STORE_READ);
	CHECK(store_records_open(store, "PlanDefinitions", false, &cursor,
	    &err));
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 1);
	ck_assert_str_eq(record.key, "a");
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 1);
	ck_assert_str_eq(record.key, "c");
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

START_TEST(one_lease)
{
	struct store *one = open_store(STORE_WRITE);
	struct store *other = open_store(STORE_WRITE);
	char	      own[MAX_HOLDER_TEXT], holder[MAX_HOLDER_TEXT];
	char	      expected[64];

	ck_assert_int_eq(store_lease_try(one, own, &err), 1);
	ck_assert_int_eq(store_lease_try(other, holder, &err), 0);
	ck_assert_str_eq(holder, own);
	(void)snprintf(expected, sizeof(expected), "process %ld,",
	    (long)getpid());
	ck_assert_ptr_nonnull(strstr(holder, expected));
	store_close(one);
	ck_assert_int_eq(store_lease_try(other, holder, &err), 1);
	store_close(other);
}
END_TEST

START_TEST(dry_and_read_make_nothing)
{
	struct store *store;

	ck_assert_int_eq(store_open(&place, STORE_READ, &store, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	store = open_store(STORE_DRY);
	CHECK(store_begin(store, &err));
	store_close(store);
	ck_assert_int_eq(access(uri + strlen("sqlite:"), F_OK), -1);
}
END_TEST

static const struct {
	const char *sql;
	const char *words;
} refusals[] = {
	{ "PRAGMA user_version = 99", "1); update this program" },
	{ "PRAGMA application_id = 1", "not a store of ours" },
};

START_TEST(refused)
{
	static const enum store_mode modes[] = {
		STORE_WRITE, STORE_UPDATE, STORE_READ, STORE_DRY,
	};
	struct store *store;
	int	      i;

	write_run(abc, NULL, 1, true);
	damage(refusals[_i].sql);
	for (i = 0; i < LENGTH_OF(modes); i++) {
		ck_assert_int_eq(store_open(&place, modes[i], &store, &err),
		    -1);
		ck_assert_int_eq(err.status, STATUS_STORE);
		ck_assert_ptr_nonnull(strstr(err.text, refusals[_i].words));
	}
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

static void
stage_one(struct stage *stage, const char *key, uint8_t fill)
{
	uint8_t hash[HASH_BYTES];
	bson_t	doc = BSON_INITIALIZER;

	memset(hash, fill, sizeof(hash));
	BSON_APPEND_INT32(&doc, "n", fill);
	CHECK(stage_add(stage, PLAN_DEFINITIONS, key, strlen(key), hash,
	    bson_get_data(&doc), doc.len, &err));
	bson_destroy(&doc);
}

/* Every row of the contract's table of states at once, and a duplicate. */
START_TEST(merge_join)
{
	static const char *const unseen[] = { "gone", "same", "tomb", "was",
		NULL };
	static const char *const tombs[] = { "tomb", "rests", NULL };
	static const char *const rests[] = { "rests", NULL };
	struct stage		*stage;
	struct store		*store;
	struct tally		 tally = { 0 };

	write_run(unseen, NULL, 1, true);
	write_run(rests, NULL, 1, true);
	write_run(NULL, tombs, 1, true);
	CHECK(stage_open(&stage, &err));
	stage_one(stage, "was", 7);
	stage_one(stage, "tomb", 1);
	stage_one(stage, "new", 7);
	stage_one(stage, "same", 7);
	stage_one(stage, "same", 1);
	CHECK(stage_finish(stage, PLAN_DEFINITIONS, &err));
	store = open_store(STORE_WRITE);
	CHECK(store_begin(store, &err));
	CHECK(plan_collection(stage, store, PLAN_DEFINITIONS, &tally,
	    &err));
	ck_assert_uint_eq(tally.added, 1);
	ck_assert_uint_eq(tally.updated, 2);
	ck_assert_uint_eq(tally.unchanged, 1);
	ck_assert_uint_eq(tally.deleted, 1);
	ck_assert_uint_eq(tally.duplicates, 1);
	ck_assert_uint_eq(tally.live, 3);
	CHECK(upsert_collection(stage, store, PLAN_DEFINITIONS, 9, 9, &err));
	CHECK(store_publish(store, &err));
	store_close(store);
	stage_close(stage);
	state_is("gone:1- new:7 rests:1- same:1 tomb:1 was:7");
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

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, state_in_key_order);
	tcase_add_test(tests, unpublished_is_undone);
	tcase_add_test(tests, record_has_all_fields);
	tcase_add_test(tests, live_leaves_tombstones_out);
	tcase_add_test(tests, one_lease);
	tcase_add_test(tests, dry_and_read_make_nothing);
	tcase_add_loop_test(tests, refused, 0, LENGTH_OF(refusals));
	tcase_add_test(tests, keys_must_ascend);
	tcase_add_test(tests, merge_join);
	tcase_add_test(tests, stage_rewinds);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
