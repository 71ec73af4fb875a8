/* What only the MongoDB store does about collections beside the five, and about
 * notes. */
#include "mongodblib.h"
#include "words.h"
#include "xalloc.h"

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
	mongodb_command("{'dropIndexes':'Patient','index':'Patient_State'}",
	    &reply);
	bson_destroy(&reply);
	ck_assert_int_eq(count_indexes("Patient"), 3);
	store_close(open_store(STORE_UPDATE));
	ck_assert_int_eq(count_indexes("Patient"), 4);
	ck_assert_int_eq(mongodb_count("SyncLease",
	    "{'_id':'store','SchemaVersion':1,'Collections':['Patient']}"), 1);
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

/* A run that does not look at the collection takes over, too, what one that
 * died has left there; the record of the first one stays as it is. */
START_TEST(strays)
{
	static const char *const none[] = { NULL };

	write_patient("a", true);
	write_patient("b", false);
	ck_assert_int_eq(mongodb_count("Patient", "{'_id':'b','Version':2}"),
	    1);
	mongodb_age_lease();
	write_run(none, NULL, 1, true);
	ck_assert_int_eq(mongodb_count("Patient", "{'_id':'b','Version':3}"),
	    1);
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

static void
add_server_tests(Suite *suite)
{
	TCase *tests = tcase_create("server");

	tcase_add_checked_fixture(tests, mongodb_set_up, mongodb_tear_down);
	tcase_set_timeout(tests, 300);
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
	return mongodb_test_run(suite_create("store_mongodb_extra"),
	    add_server_tests);
}
