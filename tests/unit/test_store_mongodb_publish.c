/*
 * The two ends of a run on the MongoDB store: the version it raises, the entry
 * that publishes it; a reader whose database goes away in between; and what
 * only this kind does about collections beside the five and about notes.
 */
#include "mongodblib.h"
#include "words.h"
#include "xalloc.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_c[] = { "c", NULL };

/* An entry of version 1 that is there before the run writes its own. */
static void
insert_entry(const char *synced_at_ms)
{
	char *json;

	json = xasprintf("{'_id':{'$numberLong':'1'},'Version':"
	    "{'$numberLong':'1'},'SyncedAt':{'$date':{'$numberLong':'%s'}},"
	    "'DurationMs':{'$numberLong':'0'}}", synced_at_ms);
	mongodb_insert("SyncHistory", json);
	free(json);
}

/* The answer to the insertion was lost: the entry is this run's own. */
START_TEST(published_already)
{
	struct store *store;
	int64_t	      version;

	store = begin_run(0, &version);
	put_history(store, version, 7);
	insert_entry("7");
	CHECK(store_publish(store, &err));
	store_close(store);
	store = open_store(STORE_READ);
	versions_are(store, 1, 1);
	ck_assert_int_eq(mongodb_count("SyncHistory", "{}"), 1);
	store_close(store);
}
END_TEST

/* An entry of this version that another one has written is none of ours, and
 * stays. */
START_TEST(published_by_another)
{
	struct store *store;
	int64_t	      version;

	store = begin_run(0, &version);
	put_history(store, version, 7);
	insert_entry("8");
	mongodb_age_lease();
	ck_assert_int_eq(store_publish(store, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	store_close(store);
	ck_assert_int_eq(mongodb_count("SyncHistory",
	    "{'SyncedAt':{'$date':{'$numberLong':'8'}}}"), 1);
	ck_assert_int_eq(mongodb_count("SyncHistory", "{}"), 1);
}
END_TEST

/* A backup that is not of one moment: the history is ahead of the version. */
START_TEST(version_behind_history)
{
	struct store *store;
	int64_t	      version;
	int	      i;

	for (i = 0; i < 3; i++)
		write_run(abc, NULL, (uint8_t)(i + 1), true);
	mongodb_update("SyncMetadata", "{'_id':'sync'}", _i == 0 ?
	    "{'$set':{'CurrentVersion':{'$numberLong':'1'}}}" :
	    "{'$unset':{'CurrentVersion':1}}");
	store = begin_run(0, &version);
	ck_assert_int_eq(version, 4);
	end_run(store, version, true);
	store = begin_run(0, &version);
	ck_assert_int_eq(version, 5);
	store_close(store);
}
END_TEST

/* A copy that was held up does not set back what has come since. */
START_TEST(version_never_goes_down)
{
	struct store_versions versions = { .raised = 2, .raised_at_ms = 9 };
	struct store	     *store = open_store(STORE_WRITE);

	take_lease(store);
	CHECK(store_versions_set(store, &versions, &err));
	versions_are(store, 2, 0);
	versions.raised = 1;
	CHECK(store_versions_set(store, &versions, &err));
	versions_are(store, 2, 0);
	store_close(store);
}
END_TEST

/* What a reader has open is gone, and is no store without a run. */
START_TEST(dropped_while_open)
{
	struct store *store;
	bson_t	      reply;

	write_run(abc, NULL, 1, true);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	CHECK(store_end(store, &err));
	mongodb_command("{'dropDatabase':1}", &reply);
	bson_destroy(&reply);
	ck_assert_int_eq(store_begin(store, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "it is not there"));
	store_close(store);
	/* One that was made, but never synchronised, is another matter. */
	store_close(open_store(STORE_WRITE));
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	versions_are(store, 0, 0);
	store_close(store);
}
END_TEST

/* After an error nothing more is written. */
START_TEST(aborted_writer)
{
	struct store_writer *writer;
	struct store	    *store;
	int64_t		     version;

	write_run(only_c, NULL, 1, true);
	store = begin_run(0, &version);
	writer = open_writer(store, PLANS, version, 0);
	CHECK(put_fill(writer, "new", 1, true));
	CHECK(store_writer_delete(writer, "c", 1, &err));
	store_writer_abort(writer);
	store_close(store);
	ck_assert_int_eq(mongodb_count(PLANS, "{}"), 1);
	ck_assert_int_eq(mongodb_count(PLANS, "{'IsDeleted':false}"), 1);
}
END_TEST

/* A run that puts one record into Patient. */
static void
write_patient(const char *key, bool is_published)
{
	struct store_writer *writer;
	struct store	    *store;
	int64_t		     version;

	store = begin_run(0, &version);
	CHECK(store_collection_make(store, "Patient", &err));
	writer = open_writer(store, "Patient", version, 0);
	CHECK(put_fill(writer, key, 1, true));
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, is_published);
}

static bool
is_listed(const char *name)
{
	struct store *store = open_store(STORE_READ);
	char	    **names;
	bool	      is_there;

	CHECK(store_collections_get(store, &names, &err));
	is_there = words_has(names, name);
	words_free(names);
	store_close(store);
	return is_there;
}

static int
count_indexes(const char *collection)
{
	char	   *command = xasprintf("{'listIndexes':'%s'}", collection);
	bson_iter_t iter, batch;
	bson_t	    reply;
	int	    n = 0;

	mongodb_command(command, &reply);
	ck_assert(bson_iter_init(&iter, &reply) && bson_iter_find_descendant(
	    &iter, "cursor.firstBatch", &batch) &&
	    bson_iter_recurse(&batch, &iter));
	while (bson_iter_next(&iter))
		n++;
	bson_destroy(&reply);
	free(command);
	return n;
}

/* Those of the five have as many (test_store_mongodb.c). */
START_TEST(indexes)
{
	bson_t reply;

	write_patient("a", true);
	ck_assert_int_eq(count_indexes("Patient"), 4);
	mongodb_command("{'dropIndexes':'Patient','index':'Patient_Outline'}",
	    &reply);
	bson_destroy(&reply);
	ck_assert_int_eq(count_indexes("Patient"), 3);
	store_close(open_store(STORE_UPDATE));
	ck_assert_int_eq(count_indexes("Patient"), 4);
	ck_assert_int_eq(mongodb_count("SyncLease",
	    "{'_id':'store','SchemaVersion':2,'Collections':['Patient']}"), 1);
}
END_TEST

/* A collection of that name which somebody else has made. */
START_TEST(foreign)
{
	struct store *store;
	int64_t	      version;

	store_close(open_store(STORE_WRITE));
	mongodb_insert("Patient", "{'_id':'mine','mine':1}");
	ck_assert(!is_listed("Patient"));
	store = open_store(STORE_READ);
	ck_assert(!is_there(store, "Patient", "mine", 4));
	counts_are(store, "Patient", 0, 0);
	store_close(store);
	store = begin_run(0, &version);
	CHECK_FAILS(store_collection_make(store, "Patient", &err),
	    "documents in Patient, which is none of its collections");
	store_close(store);
	ck_assert_int_eq(mongodb_count("Patient", "{}"), 1);
	ck_assert_int_eq(count_indexes("Patient"), 1);
	ck_assert(!is_listed("Patient"));
}
END_TEST

/* Names in the mark that none of ours can have are nobody's business. */
START_TEST(damaged_mark)
{
	write_patient("a", true);
	mongodb_update("SyncLease", "{'_id':'store'}",
	    "{'$set':{'Collections':['Patient',1,'SyncLease','a b']}}");
	ck_assert(is_listed("Patient"));
	ck_assert(!is_listed("SyncLease"));
	ck_assert(!is_listed("a b"));
	mongodb_update("SyncLease", "{'_id':'store'}",
	    "{'$set':{'Collections':7}}");
	ck_assert(!is_listed("Patient"));
}
END_TEST

/* A run that does not look at the collection undoes, too, what one that died
 * has left there; the record of the first one stays as it is. */
START_TEST(strays)
{
	static const char *const none[] = { NULL };

	write_patient("a", true);
	write_patient("b", false);
	ck_assert_int_eq(mongodb_count("Patient", "{'_id':'b','Version':2}"),
	    1);
	mongodb_age_lease();
	write_run(none, NULL, 1, true);
	ck_assert_int_eq(mongodb_count("Patient", "{'_id':'b'}"), 0);
	ck_assert_int_eq(mongodb_count("Patient", "{'_id':'a','Version':1}"),
	    1);
}
END_TEST

static int
make_collection(struct store *store)
{
	return store_collection_make(store, "Patient", &err);
}

static int
put_note(struct store *store)
{
	bson_t doc = BSON_INITIALIZER;

	return store_note_put(store, "a", bson_get_data(&doc), doc.len, &err);
}

static int
delete_notes(struct store *store)
{
	return store_notes_delete(store, "", &err);
}

/* A run that has lost its lease to another one does none of these. */
static int (*const fenced[])(struct store *store) = { make_collection,
	put_note, delete_notes };

START_TEST(fence)
{
	struct store *store = open_store(STORE_WRITE), *second;

	take_lease(store);
	mongodb_insert("SyncNotes", "{'_id':'b','Data':{}}");
	mongodb_age_lease();
	second = open_store(STORE_WRITE);
	take_lease(second);
	CHECK_FAILS(fenced[_i](store), "another run has taken the lease");
	ck_assert(!is_listed("Patient"));
	ck_assert_int_eq(mongodb_count("SyncNotes", "{'_id':'b'}"), 1);
	ck_assert_int_eq(mongodb_count("SyncNotes", "{}"), 1);
	store_close(second);
	store_close(store);
}
END_TEST

START_TEST(no_server)
{
	struct store_place closed = { NULL, NULL };
	struct store	  *store;

	ck_assert_ptr_null(store_place_set(&closed,
	    "mongodb://127.0.0.1:1/d?serverSelectionTimeoutMS=100"));
	CHECK_FAILS(store_open(&closed, STORE_WRITE, &store, &err),
	    "store mongodb://127.0.0.1:1/d: ");
	store_place_clear(&closed);
}
END_TEST

static void
add_server_tests(Suite *suite)
{
	TCase *tests = tcase_create("server");

	tcase_add_checked_fixture(tests, mongodb_set_up, mongodb_tear_down);
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, published_already);
	tcase_add_test(tests, published_by_another);
	tcase_add_loop_test(tests, version_behind_history, 0, 2);
	tcase_add_test(tests, version_never_goes_down);
	tcase_add_test(tests, dropped_while_open);
	tcase_add_test(tests, aborted_writer);
	tcase_add_test(tests, indexes);
	tcase_add_test(tests, foreign);
	tcase_add_test(tests, damaged_mark);
	tcase_add_test(tests, strays);
	tcase_add_loop_test(tests, fence, 0, LENGTH_OF(fenced));
	suite_add_tcase(suite, tests);
}

int
main(void)
{
	Suite *suite = suite_create("store_mongodb_publish");
	TCase *tests = tcase_create("no server");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, no_server);
	suite_add_tcase(suite, tests);
	return mongodb_test_run(suite, add_server_tests);
}
