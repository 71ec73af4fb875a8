/*
 * The promises of store.h on each kind of store (backendlib.h says on which):
 * former states, what is told of runs and records, and what is pruned.
 */
#include "timelib.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_a[] = { "a", NULL };
static const char *const only_b[] = { "b", NULL };
static const char *const none[] = { NULL };

/* The states of a key, or of all, as "key:version>replaced in". */
static void
states_are(const char *key, const char *expected)
{
	struct store	    *store = open_store(STORE_PEEK);
	struct store_cursor *cursor;
	struct store_record  state;
	struct buf	     list = { 0 };
	int		     rc;

	CHECK(store_begin(store, &err));
	CHECK(store_states_open(store, PLANS, key, key != NULL ? strlen(key) :
	    0, &cursor, &err));
	while ((rc = store_states_next(cursor, &state, &err)) == 1) {
		ck_assert_uint_eq(state.len, strlen(state.key));
		buf_print(&list, "%s%s:%lld>%lld%s", list.len > 0 ? " " : "",
		    state.key, (long long)state.version,
		    (long long)state.replaced_in, state.is_deleted ? "-" :
		    "");
	}
	list_is(&list, rc, expected);
	store_cursor_close(cursor);
	store_close(store);
}

START_TEST(what_leaves_a_state)
{
	write_run(abc, NULL, 1, true);
	states_are(NULL, "");
	write_run(only_a, only_b, 2, true);
	states_are(NULL, "a:1>2 b:1>2");
	write_run(none, NULL, 1, true);
	write_run(only_b, only_a, 4, true);
	states_are(NULL, "a:1>2 a:2>4 b:1>2 b:2>4-");
	states_are("a", "a:1>2 a:2>4");
	states_are("b", "b:1>2 b:2>4-");
	states_are("c", "");
	states_are("other", "");
}
END_TEST

/* What a run has left that died is not what a finished one has left. */
START_TEST(died_run_leaves_none)
{
	write_run(abc, NULL, 1, true);
	write_run(only_a, only_b, 2, false);
	write_run(only_a, only_b, 3, true);
	states_are(NULL, backend()->has_undo ? "a:1>2 b:1>2" : "a:1>3 b:1>3");
	write_run(only_a, NULL, 4, false);
	write_run(only_b, NULL, 5, false);
	write_run(only_a, NULL, 6, true);
	/* b is a tombstone, as it was. */
	states_are(NULL, backend()->has_undo ? "a:1>2 a:2>3 b:1>2" :
	    "a:1>3 a:3>6 b:1>3");
}
END_TEST

/* A state has all that its record had. */
START_TEST(state_has_all_fields)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_writer *writer;
	struct store_record  state;
	bson_t		    *doc = test_bson("{'$a':{'$numberDecimal':"
			     "'1.50'},'a.b':[{}],'n':1}");
	int64_t		     version;

	store = begin_run(0, &version);
	writer = open_writer(store, "TreatmentGroups", version, 1744273800123);
	CHECK(put_data(writer, "a", doc, 0xab, true));
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
	store = begin_run(0, &version);
	writer = open_writer(store, "TreatmentGroups", version, 5);
	CHECK(put_fill(writer, "a", 1, false));
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	CHECK(store_states_open(store, "TreatmentGroups", "a", 1, &cursor,
	    &err));
	CHECK_NEXT(store_states_next(cursor, &state, &err));
	ck_assert_str_eq(state.key, "a");
	ck_assert_int_eq(state.version, 1);
	ck_assert_int_eq(state.replaced_in, 2);
	ck_assert_int_eq(state.updated_at_ms, 1744273800123);
	ck_assert(!state.is_deleted);
	ck_assert_int_eq(strspn(state.hash, "ab"), HASH_TEXT_BYTES - 1);
	ck_assert_uint_eq(strlen(state.json_hash), HASH_TEXT_BYTES - 1);
	ck_assert_uint_eq(state.data_len, doc->len);
	ck_assert_mem_eq(state.data, bson_get_data(doc), doc->len);
	ck_assert_int_eq(store_states_next(cursor, &state, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
	bson_destroy(doc);
}
END_TEST

/* As a copy brings them, twice the same, and then another one in its place. */
START_TEST(states_copied)
{
	bson_t		     doc = BSON_INITIALIZER;
	struct store_record  state = { .key = "k", .len = 1, .version = 2,
		 .updated_at_ms = 7, .is_deleted = true };
	struct store	    *store;
	struct store_writer *writer;
	int		     i;

	state.data = bson_get_data(&doc);
	state.data_len = doc.len;
	memset(state.hash, 'a', HASH_TEXT_BYTES - 1);
	for (i = 0; i < 3; i++) {
		state.replaced_in = i < 2 ? 5 : 6;
		store = open_store(STORE_WRITE);
		take_lease(store);
		CHECK(store_begin(store, &err));
		writer = open_writer(store, PLANS, 9, 0);
		CHECK(store_writer_state(writer, &state, &err));
		CHECK(store_writer_close(writer, &err));
		CHECK(store_publish(store, &err));
		store_close(store);
		states_are(NULL, i < 2 ? "k:2>5-" : "k:2>6-");
	}
	bson_destroy(&doc);
}
END_TEST

static void
run_is(struct store *store, int64_t version, int64_t at_ms, int64_t expected)
{
	struct store_run run;
	int		 rc;

	rc = store_run_find(store, version, at_ms, &run, &err);
	ck_assert_msg(rc == (expected != 0), "%s", err.text);
	ck_assert_int_eq(run.version, expected);
	ck_assert_int_eq(run.synced_at_ms, 1000 * expected);
}

START_TEST(run_found)
{
	struct store *store;

	store = open_store(STORE_WRITE);
	run_is(store, INT64_MAX, INT64_MAX, 0);
	store_close(store);
	write_run(abc, NULL, 1, true);
	write_run(only_a, NULL, 2, false);
	write_run(only_a, NULL, 2, true);
	write_run(only_b, NULL, 2, true);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	if (backend()->has_undo) {
		run_is(store, INT64_MAX, INT64_MAX, 3);
		run_is(store, 2, INT64_MAX, 2);
	} else {
		run_is(store, INT64_MAX, INT64_MAX, 4);
		run_is(store, 3, INT64_MAX, 3);
		run_is(store, 2, INT64_MAX, 1);
	}
	run_is(store, 1, INT64_MAX, 1);
	run_is(store, 0, INT64_MAX, 0);
	run_is(store, INT64_MAX, 1999, 1);
	run_is(store, INT64_MAX, 999, 0);
	run_is(store, INT64_MAX, 1000, 1);
	run_is(store, 1, 1000, 1);
	store_close(store);
}
END_TEST

static void
first_is(struct store *store, int64_t after_ms, int64_t until_ms,
    int64_t expected)
{
	struct store_run run;
	int		 rc;

	rc = store_run_first(store, after_ms, until_ms, &run, &err);
	ck_assert_msg(rc == (expected != 0), "%s", err.text);
	ck_assert_int_eq(run.version, expected);
	ck_assert_int_eq(run.synced_at_ms, expected == 0 ? 0 :
	    expected == 3 ? 500 : 1000 * expected);
}

/* The third one has a clock that was set back. */
START_TEST(first_run_found)
{
	struct store *store;
	int64_t	      version;

	for (version = 0; version < 4;) {
		store = begin_run(0, &version);
		put_history(store, version, version == 3 ? 500 :
		    1000 * version);
		CHECK(store_publish(store, &err));
		store_close(store);
	}
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	first_is(store, 0, INT64_MAX, 1);
	first_is(store, 999, 1000, 1);
	first_is(store, 1000, INT64_MAX, 2);
	first_is(store, 2000, INT64_MAX, 4);
	first_is(store, 400, 900, 3);
	first_is(store, 2000, 3999, 0);
	first_is(store, 4000, INT64_MAX, 0);
	store_close(store);
}
END_TEST

/* Puts an entry whose seal is {"s": number}; 0: without one. */
static void
put_sealed(struct store *store, int64_t version, int number)
{
	bson_t		     tallies = BSON_INITIALIZER;
	bson_t		     seal = BSON_INITIALIZER;
	struct store_history entry = { .version = version };

	BSON_APPEND_INT32(&tallies, "t", number);
	BSON_APPEND_INT32(&seal, "s", number);
	entry.tallies = bson_get_data(&tallies);
	entry.tallies_len = tallies.len;
	entry.seal = number != 0 ? bson_get_data(&seal) : NULL;
	entry.seal_len = number != 0 ? seal.len : 0;
	CHECK(store_history_put(store, &entry, &err));
	bson_destroy(&tallies);
	bson_destroy(&seal);
}

/* The document {name: number}, and no more. */
static void
member_is(const uint8_t *data, size_t len, const char *name, int number)
{
	bson_t	    doc;
	bson_iter_t iter;

	ck_assert(bson_init_static(&doc, data, len));
	ck_assert_uint_eq(bson_count_keys(&doc), 1);
	ck_assert(bson_iter_init_find(&iter, &doc, name));
	ck_assert_int_eq(bson_iter_as_int64(&iter), number);
}

static void
check_seals(struct store *store)
{
	struct store_cursor *cursor;
	struct store_history entry;
	uint8_t		    *seal;
	size_t		     len;
	int		     number;

	CHECK(store_history_open(store, 10, &cursor, &err));
	for (number = 3; number >= 1; number--) {
		CHECK_NEXT(store_history_next(cursor, &entry, &err));
		member_is(entry.tallies, entry.tallies_len, "t", number % 3);
		ck_assert_int_eq(store_seal_get(store, number, &seal, &len,
		    &err), 1);
		if (number == 3) {
			ck_assert_ptr_null(entry.seal);
			ck_assert_ptr_null(seal);
		} else {
			member_is(entry.seal, entry.seal_len, "s", number);
			member_is(seal, len, "s", number);
		}
		free(seal);
	}
	store_cursor_close(cursor);
	ck_assert_int_eq(store_seal_get(store, 4, &seal, &len, &err), 0);
	ck_assert_ptr_null(seal);
}

/* A seal is kept beside the tallies; the third entry has none. */
START_TEST(seals)
{
	struct store *store;
	int64_t	      version;
	int	      i;

	for (i = 1; i <= 3; i++) {
		store = begin_run(0, &version);
		put_sealed(store, version, i % 3);
		if (i == 3)
			check_seals(store);
		CHECK(store_publish(store, &err));
		store_close(store);
	}
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	check_seals(store);
	store_close(store);
}
END_TEST

/* The outline of a collection as "key:version". */
static void
outline_is(const char *collection, bool has_json, const char *expected)
{
	struct store	    *store = open_store(STORE_READ);
	struct store_cursor *cursor;
	struct store_outline outline;
	struct buf	     list = { 0 };
	int		     rc;

	CHECK(store_begin(store, &err));
	CHECK(store_outline_open(store, collection, &cursor, &err));
	while ((rc = store_outline_next(cursor, &outline, &err)) == 1) {
		ck_assert_uint_eq(outline.len, strlen(outline.key));
		ck_assert_uint_eq(strlen(outline.hash), HASH_TEXT_BYTES - 1);
		ck_assert_uint_eq(strlen(outline.json_hash), has_json ?
		    HASH_TEXT_BYTES - 1 : 0);
		list_key(&list, outline.key, outline.version,
		    outline.is_deleted);
	}
	list_is(&list, rc, expected);
	store_cursor_close(cursor);
	store_close(store);
}

/* Puts a, b and c, or changes and deletes them. */
static void
write_groups(bool is_new)
{
	struct store	    *store;
	struct store_writer *writer;
	int64_t		     version;
	int		     i;

	store = begin_run(0, &version);
	writer = open_writer(store, "TreatmentGroups", version, 0);
	for (i = 0; i < 3; i++)
		if (is_new)
			CHECK(put_fill(writer, abc[i], 1, true));
	if (!is_new) {
		CHECK(put_fill(writer, "a", 2, false));
		CHECK(store_writer_delete(writer, "b", 1, &err));
	}
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
}

/* What is served has the hash of its JSON, tombstones too. */
START_TEST(outlines)
{
	write_run(abc, NULL, 1, true);
	write_run(only_a, only_b, 2, true);
	outline_is(PLANS, false, "a:2 b:2- c:1");
	write_groups(true);
	write_groups(false);
	outline_is("TreatmentGroups", true, "a:4 b:4- c:3");
	outline_is("ReimbursementGroups", true, "");
	outline_is("Patient", true, "");
}
END_TEST

#define JSON_HASH \
	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void
hashes_are(const char *key, char first, const char *json_hash)
{
	struct store	    *store = open_store(STORE_READ);
	struct store_cursor *cursor;
	struct store_record  record;

	CHECK(store_record_open(store, "TreatmentGroups", key, strlen(key),
	    &cursor, &err));
	CHECK_NEXT(store_record_next(cursor, &record, &err));
	ck_assert_int_eq(record.hash[0], first);
	ck_assert_str_eq(record.json_hash, json_hash);
	ck_assert_int_eq(record.version, 1);
	store_cursor_close(cursor);
	store_close(store);
}

static void
counts_of_groups(void)
{
	struct store *store = open_store(STORE_READ);

	CHECK(store_begin(store, &err));
	counts_are(store, "TreatmentGroups", 3, 0);
	store_close(store);
}

/* Other hashes for what is there, and nothing else of it. */
START_TEST(hashes_given)
{
	static const char *const given[] = { JSON_HASH, "" };
	uint8_t			 hash[HASH_BYTES];
	struct store		*store;
	struct store_writer	*writer;
	int64_t			 version;

	write_groups(true);
	store = begin_run(0, &version);
	writer = open_writer(store, "TreatmentGroups", version, 0);
	memset(hash, 0xcc, sizeof(hash));
	CHECK(store_writer_hashes(writer, "a", 1, hash, given[_i], &err));
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
	hashes_are("a", 'c', given[_i]);
	states_are(NULL, "");
	counts_of_groups();
}
END_TEST

static const struct store_prune prunes[] = {
	{ .states_to = 6 },
	{ .tombstones_to = 6 },
	{ .history_to = 5, .states_to = 6 },
	{ .tombstones_to = 8, .states_to = 8, .history_to = 7 },
	{ .tombstones_to = 9 },
};

/* What goes is what was said to go before. */
static void
prune(const struct store_prune *what, struct store_pruned *out)
{
	struct store_prune  dry = *what;
	struct store_pruned foretold;
	struct store	   *store;
	int64_t		    version;

	store = begin_run(0, &version);
	dry.is_dry = true;
	CHECK(store_prune(store, &dry, &foretold, &err));
	CHECK(store_prune(store, what, out, &err));
	ck_assert_int_eq(out->tombstones, foretold.tombstones);
	ck_assert_int_eq(out->states, foretold.states);
	ck_assert_int_eq(out->entries, foretold.entries);
	ck_assert_int_eq(out->horizon, foretold.horizon);
	ck_assert_int_eq(out->states_from, foretold.states_from);
	/* Again, there is nothing left to go. */
	CHECK(store_prune(store, what, &foretold, &err));
	ck_assert_int_eq(foretold.tombstones, 0);
	ck_assert_int_eq(foretold.states, 0);
	ck_assert_int_eq(foretold.entries, 0);
	ck_assert_int_eq(out->horizon, foretold.horizon);
	ck_assert_int_eq(out->states_from, foretold.states_from);
	past_end(store, version, true);
}

/* All that can still be asked has the answer that it had, but for tombstones
 * that are gone. */
static void
check_pruned(const struct store_pruned *pruned)
{
	struct store	     *store = open_store(STORE_READ);
	struct store_versions versions;
	int64_t		      version, since;

	CHECK(store_begin(store, &err));
	CHECK(store_versions_get(store, &versions, &err));
	ck_assert_int_eq(versions.horizon, pruned->horizon);
	ck_assert_int_eq(versions.states_from, pruned->states_from);
	for (version = versions.states_from; version <= past.last;
	    version++) {
		if (!past.is_finished[version])
			continue;
		store_view(store, version);
		past_check(store, version, pruned->horizon == 0);
		for (since = versions.horizon; since <= version; since++)
			past_check_changes(store, version, since, true);
	}
	store_close(store);
}

/* The records as they are, with their versions. */
static void
list_records(struct buf *list)
{
	struct store	    *store = open_store(STORE_PEEK);
	struct store_cursor *cursor;
	struct store_record  record;
	int		     rc;

	CHECK(store_begin(store, &err));
	CHECK(store_records_open(store, PLANS, true, &cursor, &err));
	while ((rc = store_record_next(cursor, &record, &err)) == 1)
		list_key(list, record.key, record.version, record.is_deleted);
	ck_assert_msg(rc == 0, "%s", err.text);
	buf_append_byte(list, 0);
	store_cursor_close(cursor);
	store_close(store);
}

START_TEST(pruned)
{
	struct buf	    before = { 0 }, after = { 0 };
	struct store_pruned out;
	int		    i;

	past_begin(20 + (uint64_t)_i);
	for (i = 0; i < 9; i++) {
		past_change();
		(void)past_run(true);
	}
	prune(&prunes[_i], &out);
	check_pruned(&out);
	/* A run finds nothing that would be anybody else's. */
	list_records(&before);
	(void)past_run(true);
	list_records(&after);
	ck_assert_str_eq((const char *)before.data, (const char *)after.data);
	past_change();
	(void)past_run(true);
	check_pruned(&out);
	buf_clear(&before);
	buf_clear(&after);
}
END_TEST

/* What is pruned of the history is there no more, with its key lists. */
START_TEST(history_pruned)
{
	struct store_history_keys keys, part = { .collection = PLANS,
		.act = "Added", .part = 1 };
	struct store_prune	  what = { .history_to = 2, .states_to = 3 };
	struct store_pruned	  out;
	bson_t			  list = BSON_INITIALIZER;
	struct store_cursor	 *cursor;
	struct store		 *store;
	int64_t			  version;

	part.keys = bson_get_data(&list);
	part.keys_len = list.len;
	do {
		store = begin_run(0, &version);
		part.version = version;
		CHECK(store_history_keys_put(store, &part, &err));
		if (version == 4)
			CHECK(store_prune(store, &what, &out, &err));
		end_run(store, version, true);
	} while (version < 4);
	ck_assert_int_eq(out.entries, 2);
	store = open_store(STORE_READ);
	CHECK(store_history_parts_open(store, &cursor, &err));
	for (version = 3; version <= 4; version++) {
		CHECK_NEXT(store_history_keys_next(cursor, &keys, &err));
		ck_assert_int_eq(keys.version, version);
		run_is(store, version, INT64_MAX, version);
	}
	ck_assert_int_eq(store_history_keys_next(cursor, &keys, &err), 0);
	store_cursor_close(cursor);
	run_is(store, 2, INT64_MAX, 0);
	store_close(store);
	bson_destroy(&list);
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("store_conformance_states", &tests);

	tcase_add_test(tests, what_leaves_a_state);
	tcase_add_test(tests, died_run_leaves_none);
	tcase_add_test(tests, state_has_all_fields);
	tcase_add_test(tests, states_copied);
	tcase_add_test(tests, run_found);
	tcase_add_test(tests, first_run_found);
	tcase_add_test(tests, seals);
	tcase_add_test(tests, outlines);
	tcase_add_loop_test(tests, hashes_given, 0, 2);
	tcase_add_loop_test(tests, pruned, 0, LENGTH_OF(prunes));
	tcase_add_test(tests, history_pruned);
	return test_run(suite);
}
