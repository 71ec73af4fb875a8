/*
 * What only the MongoDB store does: fences, cursors that live while a run
 * writes, documents that are none of ours, indexes.  The promises that it
 * shares with the others are in test_store_conformance.c, what it says of
 * servers and URIs that are no good in test_store_mongodb_faults.c.
 */
#include "mongodblib.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_c[] = { "c", NULL };
static const char *const only_d[] = { "d", NULL };
static const char *const nothing[] = { NULL };

/* The stores of two runs; the first one has lost its lease to the second. */
static struct store *first, *second;

static void
lose_lease(void)
{
	mongodb_age_lease();
	second = open_store(STORE_WRITE);
	take_lease(second);
}

static int
close_writer(int64_t version)
{
	struct store_writer *writer;

	writer = open_writer(first, PLANS, version, 0);
	CHECK(put_fill(writer, "new", 1, true));
	CHECK(put_fill(writer, "a", 9, false));
	CHECK(store_writer_delete(writer, "b", 1, &err));
	lose_lease();
	return store_writer_close(writer, &err);
}

/* So many that the writer has to send before it is closed. */
static int
put_many(int64_t version)
{
	struct store_writer *writer;
	struct error	     ignored;
	char		     key[16];
	int		     i, rc = 0;

	writer = open_writer(first, PLANS, version, 0);
	lose_lease();
	for (i = 0; i < 20000 && rc == 0; i++) {
		(void)snprintf(key, sizeof(key), "many%d", i);
		rc = put_fill(writer, key, 1, true);
	}
	(void)store_writer_close(writer, &ignored);
	return rc;
}

static int
raise_version(int64_t version)
{
	lose_lease();
	return store_version_raise(first, 99, &version, &err);
}

static int
set_versions(int64_t version)
{
	struct store_versions versions = { .raised = version + 10 };

	lose_lease();
	return store_versions_set(first, &versions, &err);
}

static int
publish(int64_t version)
{
	put_history(first, version, 0);
	lose_lease();
	return store_publish(first, &err);
}

static int
put_history_keys(int64_t version)
{
	bson_t			  list = BSON_INITIALIZER;
	struct store_history_keys keys = { .version = version,
		.collection = PLANS, .act = "Added", .part = 1,
		.keys = bson_get_data(&list), .keys_len = list.len };

	lose_lease();
	return store_history_keys_put(first, &keys, &err);
}

/* The scan has met a record that cannot be undone; to take it is a write. */
static int
adopt(int64_t version)
{
	struct store_writer *writer;

	lose_lease();
	return store_writer_open(first, PLANS, version, 0, &writer, &err);
}

/* What is done without the lease, and what has changed by then: a writer that
 * was opened with it has taken the stray. */
static const struct {
	int (*act)(int64_t version);
	const char *changes;
} fenced[] = {
	{ close_writer, "d:4" },
	{ put_many, "d:4" },
	{ raise_version, "d:2" },
	{ set_versions, "d:2" },
	{ publish, "d:2" },
	{ put_history_keys, "d:2" },
	{ adopt, "d:2" },
};

static void
check_metadata(int64_t version)
{
	char *selector = xasprintf("{'_id':'sync','CurrentVersion':"
	    "{'$numberLong':'%lld'}}", (long long)version);

	ck_assert_int_eq(mongodb_count("SyncMetadata", selector), 1);
	free(selector);
}

/* A run that has lost its lease fails at its next write, and writes nothing. */
START_TEST(fence)
{
	int64_t version;

	write_run(abc, NULL, 1, true);
	write_run(only_d, NULL, 2, false);
	write_run(nothing, NULL, 3, true);
	mongodb_insert(PLANS, LATE);
	first = begin_run(0, &version);
	ck_assert_int_eq(version, 4);
	CHECK_FAILS(fenced[_i].act(version), "another run has taken the lease");
	ck_assert_ptr_nonnull(strstr(err.text, store_name(first)));
	check_metadata(4);
	records_are("a:1 b:1 c:1 d:2");
	changes_are(1, true, fenced[_i].changes);
	ck_assert_int_eq(mongodb_count("SyncHistory", "{}"), 2);
	ck_assert_int_eq(mongodb_count("SyncHistoryKeys", "{}"), 0);
	/* Its end leaves the other's lease alone. */
	store_close(first);
	ck_assert_int_eq(mongodb_count("SyncLease", "{'_id':'lease','ExpiresAt'"
	    ":{'$gt':{'$date':{'$numberLong':'0'}}}}"), 1);
	store_close(second);
}
END_TEST

/* Each who takes the lease has a higher token; a freed one has expired. */
START_TEST(token_rises)
{
	struct store *store;
	char	     *selector;
	int	      i;

	for (i = 1; i <= 3; i++) {
		store = open_store(STORE_WRITE);
		take_lease(store);
		selector = xasprintf("{'_id':'lease','Token':%d,'Owner':"
		    "{'$regex':'^process %ld on '}}", i, (long)getpid());
		ck_assert_int_eq(mongodb_count("SyncLease", selector), 1);
		free(selector);
		store_close(store);
		ck_assert_int_eq(mongodb_count("SyncLease", "{'_id':'lease',"
		    "'ExpiresAt':{'$date':{'$numberLong':'0'}}}"), 1);
	}
}
END_TEST

#define NEWER \
	"{'_id':'a','BusinessKey':'a','Data':{'n':5},'Version':" \
	"{'$numberLong':'5'},'IsDeleted':false,'UpdatedAt':" \
	"{'$date':{'$numberLong':'5'}},'ContentHash':'x'}"

/* What another run has written is not overwritten, in any way. */
START_TEST(newer_is_kept)
{
	struct store	    *store;
	struct store_writer *writer;
	int64_t		     version;

	store = begin_run(0, &version);
	mongodb_insert(PLANS, NEWER);
	writer = open_writer(store, PLANS, version, 0);
	if (_i == 2)
		CHECK(store_writer_delete(writer, "a", 1, &err));
	else
		CHECK(put_fill(writer, "a", 1, _i == 0));
	CHECK_FAILS(store_writer_close(writer, &err), "writing " PLANS);
	ck_assert_int_eq(mongodb_count(PLANS, NEWER), 1);
	store_close(store);
}
END_TEST

/* The answer to the last write was lost, and it is made again. */
/* So many, and so large, that the server sends them in several batches. */
#define MOVED	    300
#define MOVED_BYTES (100 * 1024)

static char moved_key[16];

static const char *
moved(int i)
{
	(void)snprintf(moved_key, sizeof(moved_key), "k%03d", i);
	return moved_key;
}

/* A run over all records that fit i % 4: new ones, changes, tombstones. */
static void
move_records(void)
{
	static char	     text[MOVED_BYTES];
	bson_t		     doc = BSON_INITIALIZER;
	struct store	    *store;
	struct store_writer *writer;
	int64_t		     version;
	int		     i;

	memset(text, 'x', sizeof(text) - 1);
	BSON_APPEND_UTF8(&doc, "t", text);
	store = begin_run(0, &version);
	writer = open_writer(store, PLANS, version, 0);
	for (i = 0; i < MOVED; i++) {
		if (version == 1 || i % 4 == 0)
			CHECK(put_data(writer, moved(i), &doc, 1,
			    version == 1));
		else if (version == 2 && i % 4 == 1)
			CHECK(store_writer_delete(writer, moved(i), 4, &err));
	}
	if (version == 2)
		CHECK(put_data(writer, "new", &doc, 1, true));
	CHECK(store_writer_close(writer, &err));
	bson_destroy(&doc);
	end_run(store, version, true);
}

/* After how many records the others are moved. */
static const int moments[] = { 1, 101, 150, 262 };

/*
 * Records that move ahead while a cursor of changes is read come once and not
 * twice, and none is missed.
 */
START_TEST(moved_while_read)
{
	bool		     seen[MOVED] = { false };
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_record  record;
	int		     i, rc = 1, n = 0;

	move_records();
	store = open_store(STORE_READ);
	CHECK(store_changes_open(store, PLANS, 0, true, &cursor, &err));
	while (rc == 1) {
		if (n == moments[_i])
			move_records();
		rc = store_changes_next(cursor, &record, &err);
		if (rc != 1 || strcmp(record.key, "new") == 0)
			continue;
		n++;
		for (i = 0; i < MOVED && strcmp(moved(i), record.key) != 0;
		    i++)
			;
		ck_assert_int_lt(i, MOVED);
		ck_assert_msg(!seen[i], "%s came twice", record.key);
		seen[i] = true;
		ck_assert_uint_gt(record.data_len, MOVED_BYTES);
	}
	ck_assert_msg(rc == 0, "%s", err.text);
	ck_assert_int_eq(n, MOVED);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

/* A document whose _id is no text: whoever reads is told so. */
START_TEST(id_is_no_text)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_record  record;
	struct store_state   state;
	int		     rc;

	write_run(abc, NULL, 1, true);
	mongodb_insert(PLANS, _i == 0 ? "{'_id':5,'Version':1}" :
	    "{'_id':{'a':1},'Version':1}");
	store = open_store(STORE_READ);
	CHECK(store_records_open(store, PLANS, true, &cursor, &err));
	while ((rc = store_record_next(cursor, &record, &err)) == 1)
		;
	CHECK_FAILS(rc, PLANS " has a document whose _id is no text");
	store_cursor_close(cursor);
	CHECK(store_changes_open(store, PLANS, 0, true, &cursor, &err));
	while ((rc = store_changes_next(cursor, &record, &err)) == 1)
		;
	CHECK_FAILS(rc, PLANS " has a document whose _id is no text");
	store_cursor_close(cursor);
	CHECK(store_state_open(store, PLANS, &cursor, &err));
	while ((rc = store_state_next(cursor, &state, &err)) == 1)
		;
	CHECK_FAILS(rc, PLANS " has a document whose _id is no text");
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

static const char *const strangers[] = {
	"{'_id':'x'}",
	"{'_id':'x','Data':'text','Version':'7','IsDeleted':null,'UpdatedAt':"
	    "5,'ContentHash':9}",
	"{'_id':'x','Data':[1],'Version':{'a':1},'UpdatedAt':'now',"
	    "'ContentHash':{'a':1}}",
};

/* Members that are missing, or of another type, read as nothing at all. */
START_TEST(members_missing)
{
	static const uint8_t none[HASH_BYTES];
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_record  record;
	struct store_state   state;

	store_close(open_store(STORE_WRITE));
	mongodb_insert(PLANS, strangers[_i]);
	store = open_store(STORE_READ);
	CHECK(store_record_open(store, PLANS, "x", 1, &cursor, &err));
	CHECK_NEXT(store_record_next(cursor, &record, &err));
	ck_assert_ptr_null(record.data);
	ck_assert_uint_eq(record.data_len, 0);
	ck_assert_int_eq(record.version, 0);
	ck_assert_int_eq(record.updated_at_ms, 0);
	ck_assert(!record.is_deleted);
	ck_assert_str_eq(record.hash, "");
	store_cursor_close(cursor);
	CHECK(store_state_open(store, PLANS, &cursor, &err));
	CHECK_NEXT(store_state_next(cursor, &state, &err));
	ck_assert_mem_eq(state.hash, none, HASH_BYTES);
	ck_assert(!state.is_deleted);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

/* A hash that is none, or too long for one. */
START_TEST(hash_is_none)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_record  record;

	write_run(only_c, NULL, 1, true);
	mongodb_update(PLANS, "{'_id':'c'}", _i == 0 ?
	    "{'$set':{'ContentHash':'short'}}" :
	    "{'$set':{'ContentHash':'0123456789012345678901234567890123456789"
	    "01234567890123456789012345678901234567890123456789'}}");
	state_is("c:0");
	store = open_store(STORE_READ);
	CHECK(store_record_open(store, PLANS, "c", 1, &cursor, &err));
	CHECK_NEXT(store_record_next(cursor, &record, &err));
	ck_assert_uint_eq(strlen(record.hash), _i == 0 ? strlen("short") :
	    HASH_TEXT_BYTES - 1);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

static const struct {
	const char *collection;
	const char *name;
	const char *key;
	bool	    is_unique;
} indexes[] = {
	{ PLANS, "_BusinessKey", "{'BusinessKey':1}", true },
	{ PLANS, "_Outline", "{'_id':1,'IsDeleted':1,'ContentHash':1,"
	    "'Version':1,'JsonHash':1}", false },
	{ PLANS, "_Version", "{'Version':1,'_id':1}", false },
	{ "ReimbursementGroups", "_BusinessKey", "{'BusinessKey':1}", true },
	{ "SyncHistory", "_Version", "{'Version':1}", true },
	{ "SyncHistory", "_SyncedAt", "{'SyncedAt':-1}", false },
	{ "SyncHistoryKeys", "_Part",
	    "{'Version':1,'Collection':1,'Act':1,'Part':1}", true },
	{ "RecordHistory", "_BusinessKey",
	    "{'Collection':1,'BusinessKey':1,'Version':1}", true },
	{ "RecordHistory", "_ReplacedIn", "{'Collection':1,'ReplacedIn':1,"
	    "'Version':1,'BusinessKey':1}", false },
};

static bool
has_flag(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, name) &&
	    bson_iter_as_bool(&iter);
}

/* The collection has the index of row i, and *n in all. */
static bool
has_index(const char *collection, int i, int *n)
{
	mongoc_collection_t *handle;
	mongoc_cursor_t	    *cursor;
	const bson_t	    *doc;
	bson_iter_t	     iter;
	const uint8_t	    *data;
	bson_t		     key;
	uint32_t	     len;
	char		     name[64];
	bool		     found = false;

	(void)snprintf(name, sizeof(name), "%s%s", collection,
	    indexes[i].name);
	handle = mongoc_client_get_collection(driver, database, collection);
	cursor = mongoc_collection_find_indexes_with_opts(handle, NULL);
	for (*n = 0; mongoc_cursor_next(cursor, &doc); (*n)++) {
		ck_assert(bson_iter_init_find(&iter, doc, "name"));
		if (strcmp(bson_iter_utf8(&iter, NULL), name) != 0)
			continue;
		found = true;
		ck_assert_int_eq(has_flag(doc, "unique"),
		    indexes[i].is_unique);
		ck_assert(bson_iter_init_find(&iter, doc, "key"));
		bson_iter_document(&iter, &len, &data);
		ck_assert(bson_init_static(&key, data, len));
		test_json_is(&key, indexes[i].key);
	}
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(handle);
	return found;
}

START_TEST(indexes_made)
{
	int i, n;

	store_close(open_store(STORE_WRITE));
	for (i = 0; i < LENGTH_OF(indexes); i++)
		ck_assert_msg(has_index(indexes[i].collection, i, &n), "%s%s",
		    indexes[i].collection, indexes[i].name);
	/* With that of _id, and no others. */
	for (i = 0; i < COLLECTION__MAX; i++) {
		ck_assert(has_index(collection_name(i), 0, &n));
		ck_assert_int_eq(n, 4);
	}
	ck_assert(has_index("SyncHistory", 4, &n));
	ck_assert_int_eq(n, 3);
	ck_assert(has_index("SyncHistoryKeys", 6, &n));
	ck_assert_int_eq(n, 2);
	ck_assert(has_index("RecordHistory", 7, &n));
	ck_assert_int_eq(n, 3);
	ck_assert_int_eq(mongodb_count("SyncLease",
	    "{'_id':'store','SchemaVersion':2}"), 1);
}
END_TEST

/* An index that is gone is there again after the next run's opening. */
START_TEST(index_made_again)
{
	const char   *collection = indexes[_i].collection;
	struct store *store;
	char	     *command;
	bson_t	      reply;
	int	      n;

	write_run(abc, NULL, 1, true);
	command = xasprintf("{'dropIndexes':'%s','index':'%s%s'}", collection,
	    collection, indexes[_i].name);
	mongodb_command(command, &reply);
	bson_destroy(&reply);
	free(command);
	/* Who reads does without it. */
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	counts_are(store, PLANS, 3, 0);
	store_close(store);
	state_is("a:1 b:1 c:1");
	ck_assert(!has_index(collection, _i, &n));
	store_close(open_store(STORE_UPDATE));
	ck_assert(has_index(collection, _i, &n));
	state_is("a:1 b:1 c:1");
}
END_TEST

/* How errors name a store, whether or not it can be reached. */
static const struct {
	const char *uri;
	const char *name;
} names[] = {
	{ "mongodb://u:geheim@127.0.0.1:1/?serverSelectionTimeoutMS=100",
	    "store mongodb://127.0.0.1:1/nompd: " },
	{ "mongodb://127.0.0.1:1,127.0.0.1:2/d?replicaSet=r"
	    "&serverSelectionTimeoutMS=100",
	    "store mongodb://127.0.0.1:1,127.0.0.1:2/d: " },
	{ "mongodb+srv://u:geheim@cluster.nowhere.invalid/?tls=true",
	    "store mongodb+srv://cluster.nowhere.invalid/nompd: " },
};

START_TEST(name_in_errors)
{
	struct store_place named = { NULL, NULL };
	struct store	  *store;

	ck_assert_ptr_null(store_place_set(&named, names[_i].uri));
	CHECK_FAILS(store_open(&named, STORE_READ, &store, &err),
	    names[_i].name);
	ck_assert_ptr_null(strstr(err.text, "geheim"));
	store_place_clear(&named);
}
END_TEST

static void
add_server_tests(Suite *suite)
{
	TCase *tests = tcase_create("server");

	tcase_add_checked_fixture(tests, mongodb_set_up, mongodb_tear_down);
	tcase_set_timeout(tests, 300);
	tcase_add_loop_test(tests, fence, 0, LENGTH_OF(fenced));
	tcase_add_test(tests, token_rises);
	tcase_add_loop_test(tests, newer_is_kept, 0, 3);
	tcase_add_loop_test(tests, moved_while_read, 0, LENGTH_OF(moments));
	tcase_add_loop_test(tests, id_is_no_text, 0, 2);
	tcase_add_loop_test(tests, members_missing, 0, LENGTH_OF(strangers));
	tcase_add_loop_test(tests, hash_is_none, 0, 2);
	tcase_add_test(tests, indexes_made);
	tcase_add_loop_test(tests, index_made_again, 0, LENGTH_OF(indexes));
	suite_add_tcase(suite, tests);
}

int
main(void)
{
	Suite *suite = suite_create("store_mongodb");
	TCase *tests = tcase_create("no server");

	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, name_in_errors, 0, LENGTH_OF(names));
	suite_add_tcase(suite, tests);
	return mongodb_test_run(suite, add_server_tests);
}
