/*
 * What the MongoDB store does with what runs that died have left, and what who
 * reads sees of the history while it goes on.
 */
#include "mongodblib.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_a[] = { "a", NULL };
static const char *const only_c[] = { "c", NULL };
static const char *const only_d[] = { "d", NULL };
static const char *const only_e[] = { "e", NULL };
static const char *const none[] = { NULL };

/* A store whose next run has the lease, and nothing else yet. */
static struct store *
open_run(void)
{
	struct store *store = open_store(STORE_WRITE);

	take_lease(store);
	CHECK(store_begin(store, &err));
	return store;
}

/* What a dry run compares with, as "key:fill". */
static void
dry_state_is(enum store_mode mode, const char *expected)
{
	struct store	    *store = open_store(mode);
	struct store_cursor *cursor;
	struct store_state   state;
	struct buf	     list = { 0 };
	int		     rc;

	CHECK(store_begin(store, &err));
	CHECK(store_state_open(store, PLANS, &cursor, &err));
	while ((rc = store_state_next(cursor, &state, &err)) == 1)
		list_key(&list, state.key, state.hash[0], state.is_deleted);
	list_is(&list, rc, expected);
	store_cursor_close(cursor);
	store_close(store);
}

/*
 * Records of runs that died are what they were before when the next run has
 * begun; those of finished runs stay as they are.
 */
START_TEST(strays)
{
	struct store *store;
	int64_t	      version;

	write_run(abc, NULL, 1, true);
	write_run(only_d, only_c, 2, false);
	changes_are(0, true, "a:1 b:1 c:2- d:2");
	/* A dry run has foretold it. */
	dry_state_is(STORE_DRY, "a:1 b:1 c:1");
	dry_state_is(STORE_PEEK, "a:1 b:1 c:1");
	dry_state_is(STORE_RAW, "a:1 b:1 c:0- d:0");
	store = open_run();
	CHECK(store_undo(store, &err));
	changes_are(0, true, "a:1 b:1 c:1");
	records_are("a:1 b:1 c:1");
	CHECK(store_version_raise(store, 0, &version, &err));
	ck_assert_uint_eq(store_adopted(store), 0);
	changes_are(0, true, "a:1 b:1 c:1");
	store_close(store);
	write_run(only_e, only_a, 4, false);
	changes_are(0, true, "b:1 c:1 a:4- e:4");
	store = begin_run(0, &version);
	changes_are(0, true, "a:1 b:1 c:1");
	ck_assert_int_eq(mongodb_count(PLANS, "{'BusinessKey':'a','Data':"
	    "{'n':1},'UpdatedAt':{'$date':{'$numberLong':'1000'}},"
	    "'IsDeleted':false}"), 1);
	end_run(store, version, true);
	/* 1 and 5 are finished. */
	write_run(abc, NULL, 6, true);
	changes_are(0, true, "a:6 b:6 c:6");
	state_is("a:6 b:6 c:6");
}
END_TEST

/* A run that lost its lease before it undoes anything undoes nothing. */
START_TEST(undo_is_fenced)
{
	struct store *first, *second;

	write_run(abc, NULL, 1, true);
	write_run(only_d, only_c, 2, false);
	first = open_run();
	mongodb_age_lease();
	second = open_store(STORE_WRITE);
	take_lease(second);
	CHECK_FAILS(store_undo(first, &err), "another run has taken the lease");
	changes_are(0, true, "a:1 b:1 c:2- d:2");
	store_close(first);
	store_close(second);
}
END_TEST

/* A version that no run can have had says nothing of who has written it. */
START_TEST(undo_leaves)
{
	struct store *store;

	write_run(abc, NULL, 1, true);
	write_run(only_d, only_c, 2, false);
	mongodb_update(PLANS, "{'_id':'d'}",
	    "{'$set':{'Version':{'$numberLong':'99'}}}");
	store = open_run();
	CHECK(store_undo(store, &err));
	changes_are(0, true, "a:1 b:1 c:1 d:99");
	store_close(store);
}
END_TEST

/* More of them than are undone in one go. */
#define MANY_STRAYS 2500

START_TEST(many_strays)
{
	struct store_writer *writer;
	struct store	    *store;
	char		     key[16];
	int64_t		     version;
	int		     run, i;

	for (run = 1; run <= 2; run++) {
		store = begin_run(0, &version);
		writer = open_writer(store, PLANS, version, 0);
		for (i = 0; i < MANY_STRAYS; i++) {
			(void)snprintf(key, sizeof(key), "many%d",
			    run == 2 && i % 5 == 0 ? MANY_STRAYS + i : i);
			CHECK(put_fill(writer, key, (uint8_t)run, run == 1 ||
			    i % 5 == 0));
		}
		CHECK(store_writer_close(writer, &err));
		end_run(store, version, run == 1);
	}
	store = open_run();
	CHECK(store_undo(store, &err));
	ck_assert_int_eq(mongodb_count(PLANS, "{}"), MANY_STRAYS);
	ck_assert_int_eq(mongodb_count(PLANS,
	    "{'Version':{'$numberLong':'1'},'Data.n':1}"), MANY_STRAYS);
	store_close(store);
}
END_TEST

/* What cannot be undone becomes the next run's when its writer opens. */
START_TEST(late_writes)
{
	write_run(abc, NULL, 1, true);
	write_run(only_d, NULL, 2, false);
	write_run(none, NULL, 3, true);
	mongodb_insert(PLANS, LATE);
	state_is("a:1 b:1 c:1 d:0");
	write_run(none, NULL, 4, true);
	changes_are(0, true, "a:1 b:1 c:1 d:4");
	state_is("a:1 b:1 c:1 d:2");
}
END_TEST

/* A run with a further part of a key list. */
static void
write_part(void)
{
	bson_t			  list = BSON_INITIALIZER;
	struct store_history_keys part = { .collection = PLANS,
		.act = "Added", .part = 1, .keys = bson_get_data(&list),
		.keys_len = list.len };
	struct store		 *store;

	store = begin_run(0, &part.version);
	CHECK(store_history_keys_put(store, &part, &err));
	end_run(store, part.version, true);
}

/* Who has begun to read sees nothing of what is published later, whether it is
 * an entry or a part of one. */
START_TEST(history_as_begun)
{
	struct store_history_keys part;
	struct store_history	  entry;
	struct store_cursor	 *cursor;
	struct store_run	  run;
	struct store		 *store;

	write_part();
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	write_part();
	CHECK(store_history_parts_open(store, &cursor, &err));
	CHECK_NEXT(store_history_keys_next(cursor, &part, &err));
	ck_assert_int_eq(part.version, 1);
	ck_assert_int_eq(store_history_keys_next(cursor, &part, &err), 0);
	store_cursor_close(cursor);
	CHECK(store_history_open(store, 10, &cursor, &err));
	CHECK_NEXT(store_history_next(cursor, &entry, &err));
	ck_assert_int_eq(entry.version, 1);
	ck_assert_int_eq(store_history_next(cursor, &entry, &err), 0);
	store_cursor_close(cursor);
	ck_assert_int_eq(store_run_first(store, 1000, INT64_MAX, &run, &err),
	    0);
	store_close(store);
}
END_TEST

static void
add_server_tests(Suite *suite)
{
	TCase *tests = tcase_create("server");

	tcase_add_checked_fixture(tests, mongodb_set_up, mongodb_tear_down);
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, strays);
	tcase_add_test(tests, undo_is_fenced);
	tcase_add_test(tests, undo_leaves);
	tcase_add_test(tests, many_strays);
	tcase_add_test(tests, late_writes);
	tcase_add_test(tests, history_as_begun);
	suite_add_tcase(suite, tests);
}

START_TEST(no_server)
{
	no_server_is_there(STORE_WRITE);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_mongodb_undo");
	TCase *tests = tcase_create("no server");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, no_server);
	suite_add_tcase(suite, tests);
	return mongodb_test_run(suite, add_server_tests);
}
