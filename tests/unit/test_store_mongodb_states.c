/*
 * What only the MongoDB store does with former states: what runs that died, or
 * that wrote late, have left of them, and an upgrade that was cut off.  The
 * promises that it shares with the others are in test_store_conformance_time.c
 * and test_store_conformance_states.c.
 */
#include "mongodblib.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_a[] = { "a", NULL };
static const char *const only_b[] = { "b", NULL };
static const char *const none[] = { NULL };

/* A state by hand. */
static void
insert_state(const char *key, int version, int replaced_in)
{
	char *json;

	json = xasprintf("{'_id':'" PLANS "/%d/%s','Collection':'" PLANS "',"
	    "'BusinessKey':'%s','Version':{'$numberLong':'%d'},'ReplacedIn':"
	    "{'$numberLong':'%d'},'IsDeleted':false,'UpdatedAt':{'$date':"
	    "{'$numberLong':'5'}},'ContentHash':'x','Data':{'n':1}}", version,
	    key, key, version, replaced_in);
	mongodb_insert("RecordHistory", json);
	free(json);
}

/* The state of a key that a version has replaced is there, as of so many. */
static void
state_is_there(const char *key, int version, int replaced_in, int count)
{
	char *json;

	json = xasprintf("{'Collection':'" PLANS "','BusinessKey':'%s',"
	    "'Version':%d,'ReplacedIn':%d}", key, version, replaced_in);
	ck_assert_int_eq(mongodb_count("RecordHistory", json), count);
	free(json);
}

/* What a reader sees, of a version or (0) the last one, as "key:version". */
static void
view_is(int64_t version, bool by_version, const char *expected)
{
	struct store	    *store = open_store(STORE_READ);
	struct store_cursor *cursor;
	struct store_record  record;
	struct buf	     list = { 0 };
	int		     rc;

	CHECK(store_begin(store, &err));
	store_view(store, version);
	if (by_version)
		CHECK(store_changes_open(store, PLANS, 0, true, &cursor,
		    &err));
	else
		CHECK(store_records_open(store, PLANS, true, &cursor, &err));
	while ((rc = by_version ? store_changes_next(cursor, &record, &err) :
	    store_record_next(cursor, &record, &err)) == 1)
		list_key(&list, record.key, record.version,
		    record.is_deleted);
	list_is(&list, rc, expected);
	store_cursor_close(cursor);
	store_close(store);
}

/*
 * A run that dies between states and records leaves states of what is there
 * still: readers see each record once, and the next run takes them away; those
 * of records that it has rewritten are replaced by that one.
 */
START_TEST(died_before_records)
{
	write_run(abc, NULL, 1, true);
	write_run(only_a, NULL, 2, false);
	insert_state("b", 1, 2);
	insert_state("c", 1, 2);
	view_is(0, false, "a:1 b:1 c:1");
	view_is(0, true, "a:1 b:1 c:1");
	write_run(only_b, NULL, 3, true);
	state_is_there("b", 1, 3, 1);
	/* What a has become again; readers of that moment may be in need of
	 * it. */
	ck_assert_int_eq(mongodb_count("RecordHistory", "{'BusinessKey':'a',"
	    "'Undone':true}"), 1);
	ck_assert_int_eq(mongodb_count("RecordHistory", "{}"), 2);
	view_is(1, false, "a:1 b:1 c:1");
	view_is(1, true, "a:1 b:1 c:1");
	view_is(3, false, "a:1 b:3 c:1");
	/* There is nothing left to mend. */
	write_run(none, NULL, 4, true);
	state_is_there("b", 1, 3, 1);
	ck_assert_int_eq(mongodb_count("RecordHistory", "{}"), 2);
}
END_TEST

/*
 * A run that was held up has written a record late, behind a version that was
 * finished meanwhile: nobody misses that record, and when it is found out, it
 * is what it was at that version.
 */
START_TEST(written_late)
{
	write_run(abc, NULL, 1, true);
	write_run(only_a, NULL, 2, false);
	write_run(none, NULL, 3, true);
	/* Version 2 did that to b just before it looked at its lease. */
	insert_state("b", 1, 2);
	mongodb_update(PLANS, "{'_id':'b'}",
	    "{'$set':{'Version':{'$numberLong':'2'}}}");
	view_is(1, true, "a:1 b:1 c:1");
	view_is(3, true, "a:1 c:1 b:2");
	write_run(only_b, NULL, 4, true);
	state_is_there("b", 1, 4, 1);
	view_is(1, true, "a:1 b:1 c:1");
	view_is(3, true, "a:1 b:1 c:1");
	view_is(3, false, "a:1 b:1 c:1");
	view_is(4, true, "a:1 c:1 b:4");
}
END_TEST

/* In between both are there, and the state is what was there. */
START_TEST(written_late_and_found_out)
{
	write_run(abc, NULL, 1, true);
	write_run(only_a, NULL, 3, true);
	insert_state("b", 1, 4);
	mongodb_update(PLANS, "{'_id':'b'}",
	    "{'$set':{'Version':{'$numberLong':'2'}}}");
	view_is(2, true, "b:1 c:1 a:2");
	view_is(2, false, "a:2 b:1 c:1");
}
END_TEST

/* A run that lost its lease does not take from a later one what that saved. */
START_TEST(saved_late)
{
	struct store	    *store, *other;
	struct store_writer *writer;
	int64_t		     version;

	write_run(abc, NULL, 1, true);
	store = begin_run(0, &version);
	ck_assert_int_eq(version, 2);
	writer = open_writer(store, PLANS, version, 0);
	CHECK(put_fill(writer, "a", 9, false));
	insert_state("a", 1, 7);
	CHECK_FAILS(store_writer_close(writer, &err), "RecordHistory");
	state_is_there("a", 1, 7, 1);
	state_is("a:1 b:1 c:1");
	store_close(store);
	other = open_store(STORE_WRITE);
	take_lease(other);
	store_close(other);
}
END_TEST

static int
save_states(struct store *store)
{
	struct store_writer *writer;

	writer = open_writer(store, PLANS, 2, 0);
	CHECK(put_fill(writer, "a", 9, false));
	mongodb_age_lease();
	take_lease(open_store(STORE_WRITE));
	return store_writer_close(writer, &err);
}

static int
prune_all(struct store *store)
{
	struct store_prune  what = { .states_to = 1, .history_to = 1 };
	struct store_pruned out;

	mongodb_age_lease();
	take_lease(open_store(STORE_WRITE));
	return store_prune(store, &what, &out, &err);
}

static int (*const fenced[])(struct store *store) = { save_states, prune_all };

/* Without the lease nothing is saved and nothing goes. */
START_TEST(fence)
{
	struct store *store;
	int64_t	      version;

	write_run(abc, NULL, 1, true);
	store = begin_run(0, &version);
	CHECK_FAILS(fenced[_i](store), "another run has taken the lease");
	ck_assert_int_eq(mongodb_count("RecordHistory", "{}"), 0);
	ck_assert_int_eq(mongodb_count("SyncHistory", "{}"), 1);
	ck_assert_int_eq(mongodb_count("SyncMetadata", "{'StatesFrom':0}"),
	    1);
	store_close(store);
}
END_TEST

static void
upgrade(void)
{
	struct store *store = open_store(STORE_UPDATE);

	take_lease(store);
	store_close(store);
}

static void
states_from_is(const char *number)
{
	char *json = xasprintf("{'StatesFrom':%s}", number);

	ck_assert_int_eq(mongodb_count("SyncMetadata", json), 1);
	free(json);
	ck_assert_int_eq(mongodb_count("SyncLease",
	    "{'_id':'store','SchemaVersion':2}"), 1);
}

/* Where a run of an older program has died, what it has overwritten is gone:
 * versions can be told from the next one on. */
START_TEST(upgrade_with_strays)
{
	write_run(abc, NULL, 1, true);
	write_run(only_a, NULL, 2, false);
	mongodb_make_old();
	upgrade();
	states_from_is("3");
	view_is(0, false, "a:2 b:1 c:1");
	write_run(only_b, NULL, 3, true);
	view_is(3, false, "a:3 b:3 c:1");
	write_run(only_b, NULL, 4, false);
	view_is(0, false, "a:3 b:3 c:1");
}
END_TEST

/* A run that has died before it wrote a record leaves nothing that is gone. */
START_TEST(upgrade_after_a_raise)
{
	write_run(abc, NULL, 1, true);
	write_run(none, NULL, 2, false);
	mongodb_make_old();
	upgrade();
	states_from_is("1");
}
END_TEST

/* What was cut off before the mark is done again; an older program may have
 * written in between. */
START_TEST(upgrade_cut_off)
{
	static const char *const back = "{'$set':{'SchemaVersion':1}}";

	write_run(abc, NULL, 1, true);
	mongodb_make_old();
	upgrade();
	mongodb_update("SyncLease", "{'_id':'store'}", back);
	/* So it did: no state of b's first version. */
	mongodb_update(PLANS, "{'_id':'b'}",
	    "{'$set':{'Version':{'$numberLong':'2'}}}");
	mongodb_update("SyncMetadata", "{'_id':'sync'}",
	    "{'$set':{'CurrentVersion':{'$numberLong':'2'}}}");
	mongodb_insert("SyncHistory", "{'_id':{'$numberLong':'2'},'Version':"
	    "{'$numberLong':'2'},'SyncedAt':{'$date':{'$numberLong':'2000'}},"
	    "'DurationMs':{'$numberLong':'0'}}");
	view_is(0, false, "a:1 b:2 c:1");
	upgrade();
	states_from_is("2");
	view_is(2, false, "a:1 b:2 c:1");
}
END_TEST

/* A collection that bears the name and is none of ours. */
START_TEST(foreign_history)
{
	char	      holder[MAX_HOLDER_TEXT];
	struct store *store;

	store_close(open_store(STORE_WRITE));
	mongodb_make_old();
	mongodb_insert("RecordHistory", "{'_id':1,'mine':1}");
	store = open_store(STORE_UPDATE);
	CHECK_FAILS(store_lease_try(store, holder, &err),
	    "documents in RecordHistory");
	store_close(store);
	ck_assert_int_eq(mongodb_count("RecordHistory", "{}"), 1);
}
END_TEST

/* A reader that is in the middle of what is pruned is told so. */
START_TEST(pruned_meanwhile)
{
	struct store_prune   what = { .states_to = 3 };
	struct store_pruned  out;
	struct store	    *reader, *store;
	struct store_cursor *cursor;
	struct store_record  record;
	int64_t		     version;
	int		     rc;

	write_run(abc, NULL, 1, true);
	reader = open_store(STORE_READ);
	CHECK(store_begin(reader, &err));
	CHECK(_i == 0 ? store_records_open(reader, PLANS, true, &cursor,
	    &err) : store_changes_open(reader, PLANS, 0, false, &cursor,
	    &err));
	write_run(abc, NULL, 2, true);
	store = begin_run(0, &version);
	CHECK(store_prune(store, &what, &out, &err));
	ck_assert_int_eq(out.states, 3);
	end_run(store, version, true);
	while ((rc = _i == 0 ? store_record_next(cursor, &record, &err) :
	    store_changes_next(cursor, &record, &err)) == 1)
		;
	CHECK_FAILS(rc, "pruned while it was read");
	store_cursor_close(cursor);
	CHECK_FAILS(store_record_open(reader, PLANS, "a", 1, &cursor, &err),
	    "pruned while it was read");
	store_close(reader);
}
END_TEST

/* The same of a tombstone: who needs none does not mind. */
START_TEST(tombstone_pruned_meanwhile)
{
	struct store_prune   what = { .tombstones_to = 2 };
	struct store_pruned  out;
	struct store	    *reader, *store;
	struct store_cursor *cursor;
	struct store_record  record;
	int64_t		     version;
	int		     rc;

	write_run(abc, NULL, 1, true);
	write_run(NULL, only_a, 2, true);
	reader = open_store(STORE_READ);
	CHECK(store_begin(reader, &err));
	CHECK(store_changes_open(reader, PLANS, _i == 2 ? 2 : 1, _i != 0,
	    &cursor, &err));
	store = begin_run(0, &version);
	CHECK(store_prune(store, &what, &out, &err));
	ck_assert_int_eq(out.tombstones, 1);
	end_run(store, version, true);
	while ((rc = store_changes_next(cursor, &record, &err)) == 1)
		;
	if (_i == 1)
		CHECK_FAILS(rc, "pruned while it was read");
	else
		ck_assert_msg(rc == 0, "%s", err.text);
	store_cursor_close(cursor);
	store_close(reader);
}
END_TEST

/* Versions whose entries were pruned are those of finished runs. */
START_TEST(pruned_history_is_finished)
{
	struct store_prune  what = { .states_to = 2, .history_to = 1 };
	struct store_pruned out;
	struct store	   *store;
	int64_t		    version;

	write_run(abc, NULL, 1, true);
	write_run(only_a, NULL, 2, true);
	store = begin_run(0, &version);
	CHECK(store_prune(store, &what, &out, &err));
	end_run(store, version, true);
	ck_assert_int_eq(mongodb_count("SyncHistory", "{'Version':1}"), 0);
	write_run(only_a, NULL, 4, true);
	view_is(0, true, "b:1 c:1 a:4");
	state_is_there("a", 2, 4, 1);
	write_run(only_b, NULL, 5, true);
	state_is_there("b", 1, 5, 1);
	view_is(4, true, "b:1 c:1 a:4");
}
END_TEST

static void
add_server_tests(Suite *suite)
{
	TCase *tests = tcase_create("server");

	tcase_add_checked_fixture(tests, mongodb_set_up, mongodb_tear_down);
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, died_before_records);
	tcase_add_test(tests, written_late);
	tcase_add_test(tests, written_late_and_found_out);
	tcase_add_test(tests, saved_late);
	tcase_add_loop_test(tests, fence, 0, LENGTH_OF(fenced));
	tcase_add_test(tests, upgrade_with_strays);
	tcase_add_test(tests, upgrade_after_a_raise);
	tcase_add_test(tests, upgrade_cut_off);
	tcase_add_test(tests, foreign_history);
	tcase_add_loop_test(tests, pruned_meanwhile, 0, 2);
	tcase_add_loop_test(tests, tombstone_pruned_meanwhile, 0, 3);
	tcase_add_test(tests, pruned_history_is_finished);
	suite_add_tcase(suite, tests);
}

START_TEST(no_server)
{
	no_server_is_there(STORE_PEEK);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_mongodb_states");
	TCase *tests = tcase_create("no server");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, no_server);
	suite_add_tcase(suite, tests);
	return mongodb_test_run(suite, add_server_tests);
}
