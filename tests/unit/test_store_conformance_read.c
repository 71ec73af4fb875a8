/*
 * The promises of store.h on each kind of store (backendlib.h says on which):
 * what is read from it.
 */
#include "backendlib.h"
#include "limit.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_a[] = { "a", NULL };
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

/*
 * Keys of all kinds: of letters whose order in a language is not that of their
 * bytes, of characters that mean something to a database, and of those that
 * UTF-16 has in another order (U+FFFD and U+10000).
 */
static const char *const odd_keys[] = {
	"a", "B", "b", "A", "ab", "a b", "abc", "aB", "a.b", "a$b", "a/b", " ",
	"  ", " a", "\"", "'", "\\", "\\\\", "\\u0041", "$", "$a", "$where",
	".", "..", "a.", "_id", "%41", "{\"a\":1}", "-1", "0", "00", "1", "10",
	"9", "1e5", "1.0", "true", "null", "\x01", "\t", "\n", "a\n", "\x7f",
	"\xc2\x80", "\xc3\x85", "\xc3\xa5", "\xc3\xa9", "e\xcc\x81", "\xc3\x9f",
	"ss", "\xe2\x82\xac", ("\xef\xbb\xbf" "a"), "\xef\xbf\xbd",
	"\xf0\x90\x80\x80", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", NULL, NULL,
	NULL,
};

/* The longest keys: two that differ at their ends, and one shorter than they
 * are. */
static char long_keys[3][MAX_KEY_BYTES + 1];

#define KEYS LENGTH_OF(odd_keys)

static int
compare_keys(const void *one, const void *other)
{
	return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* All of them in ascending byte order (which is strcmp's). */
static void
sort_keys(const char *keys[KEYS])
{
	int i;

	memcpy(keys, odd_keys, sizeof(odd_keys));
	for (i = 0; i < 3; i++) {
		memset(long_keys[i], 'k', MAX_KEY_BYTES - (i == 2));
		keys[KEYS - 1 - i] = long_keys[i];
	}
	long_keys[1][MAX_KEY_BYTES - 1] = 'l';
	qsort(keys, KEYS, sizeof(keys[0]), compare_keys);
}

/* In another order than they come: from the middle on, each third first. */
static void
write_keys(const char *const keys[KEYS])
{
	struct store_writer *writer;
	struct store	    *store;
	int64_t		     version;
	int		     start, i;

	store = begin_run(0, &version);
	writer = open_writer(store, PLANS, version, 0);
	for (start = 2; start >= 0; start--) {
		for (i = start; i < KEYS; i += 3)
			CHECK(put_fill(writer, keys[(i + KEYS / 2) % KEYS],
			    (uint8_t)((i + KEYS / 2) % KEYS), true));
	}
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
}

static void
check_key(const char *key, size_t len, const char *expected)
{
	ck_assert_str_eq(key, expected);
	ck_assert_uint_eq(len, strlen(expected));
}

START_TEST(state_of_odd_keys)
{
	const char	    *keys[KEYS];
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_state   state;
	int		     i;

	sort_keys(keys);
	write_keys(keys);
	store = open_store(STORE_READ);
	CHECK(store_state_open(store, PLANS, &cursor, &err));
	for (i = 0; i < KEYS; i++) {
		CHECK_NEXT(store_state_next(cursor, &state, &err));
		check_key(state.key, state.len, keys[i]);
		ck_assert_uint_eq(state.hash[0], (unsigned)i);
	}
	ck_assert_int_eq(store_state_next(cursor, &state, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

typedef int (*next_fn)(struct store_cursor *cursor,
    struct store_record *record, struct error *err);

static void
check_keys(struct store_cursor *cursor, next_fn next, const char *const *keys,
    int n)
{
	struct store_record record;
	int		    i;

	for (i = 0; i < n; i++) {
		CHECK_NEXT(next(cursor, &record, &err));
		check_key(record.key, record.len, keys[i]);
	}
	ck_assert_int_eq(next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
}

START_TEST(records_of_odd_keys)
{
	const char	    *keys[KEYS];
	struct store	    *store;
	struct store_cursor *cursor;
	int		     i;

	sort_keys(keys);
	write_keys(keys);
	store = open_store(STORE_READ);
	CHECK(store_records_open(store, PLANS, false, &cursor, &err));
	check_keys(cursor, store_record_next, keys, KEYS);
	CHECK(store_changes_open(store, PLANS, 0, true, &cursor, &err));
	check_keys(cursor, store_changes_next, keys, KEYS);
	for (i = 0; i < KEYS; i++) {
		CHECK(store_record_open(store, PLANS, keys[i],
		    strlen(keys[i]), &cursor, &err));
		check_keys(cursor, store_record_next, keys + i, 1);
	}
	store_close(store);
}
END_TEST

/* Those that are there no more are the ones that were asked for. */
START_TEST(odd_keys_deleted)
{
	const char	    *keys[KEYS];
	struct store	    *store;
	struct store_writer *writer;
	struct store_cursor *cursor;
	struct store_state   state;
	int64_t		     version;
	int		     i;

	sort_keys(keys);
	write_keys(keys);
	store = begin_run(0, &version);
	writer = open_writer(store, PLANS, version, 0);
	for (i = 0; i < KEYS; i += 2)
		CHECK(store_writer_delete(writer, keys[i], strlen(keys[i]),
		    &err));
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
	store = open_store(STORE_READ);
	CHECK(store_state_open(store, PLANS, &cursor, &err));
	for (i = 0; i < KEYS; i++) {
		CHECK_NEXT(store_state_next(cursor, &state, &err));
		check_key(state.key, state.len, keys[i]);
		ck_assert_int_eq(state.is_deleted, i % 2 == 0);
	}
	store_cursor_close(cursor);
	counts_are(store, PLANS, KEYS / 2, KEYS - KEYS / 2);
	store_close(store);
}
END_TEST

/* The record c, which run 2 made a tombstone. */
static void
check_deleted(const struct store_record *record)
{
	bson_t doc;

	check_key(record->key, record->len, "c");
	ck_assert_int_eq(record->version, 2);
	ck_assert_int_eq(record->updated_at_ms, 2000);
	ck_assert(record->is_deleted);
	ck_assert_str_eq(record->hash, "01010101010101010101010101010101"
	    "01010101010101010101010101010101");
	/* A tombstone keeps its last data. */
	ck_assert(bson_init_static(&doc, record->data, record->data_len));
	test_json_is(&doc, "{'n':1}");
}

START_TEST(record_has_all_fields)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_record  record;

	write_run(abc, NULL, 1, true);
	write_run(NULL, only_c, 2, true);
	store = open_store(STORE_READ);
	CHECK(store_record_open(store, PLANS, "c", 1, &cursor, &err));
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 1);
	check_deleted(&record);
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	ck_assert(!is_there(store, PLANS, "d", 1));
	/* The key is as long as it is said to be. */
	ck_assert(is_there(store, PLANS, "bcd", 1));
	ck_assert(!is_there(store, PLANS, "bcd", 2));
	ck_assert(!is_there(store, "ActivityDefinitions", "c", 1));
	store_close(store);
}
END_TEST

START_TEST(records_with_and_without_tombstones)
{
	static const char *const live[] = { "a", "c" };
	static const char *const all[] = { "a", "b", "c" };
	struct store		*store;
	struct store_cursor	*cursor;

	write_run(abc, NULL, 1, true);
	write_run(NULL, only_b, 2, true);
	store = open_store(STORE_READ);
	CHECK(store_records_open(store, PLANS, false, &cursor, &err));
	check_keys(cursor, store_record_next, live, LENGTH_OF(live));
	CHECK(store_records_open(store, PLANS, true, &cursor, &err));
	check_keys(cursor, store_record_next, all, LENGTH_OF(all));
	CHECK(store_records_open(store, "TreatmentGroups", true, &cursor,
	    &err));
	check_keys(cursor, store_record_next, NULL, 0);
	store_close(store);
}
END_TEST

/* A cursor may be closed before its end, and others opened beside it. */
START_TEST(cursors_side_by_side)
{
	struct store	    *store;
	struct store_cursor *one, *other;
	struct store_record  record;
	struct store_state   state;

	write_run(abc, NULL, 1, true);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	CHECK(store_records_open(store, PLANS, false, &one, &err));
	ck_assert_int_eq(store_record_next(one, &record, &err), 1);
	CHECK(store_state_open(store, PLANS, &other, &err));
	ck_assert_int_eq(store_state_next(other, &state, &err), 1);
	ck_assert_str_eq(state.key, "a");
	ck_assert_int_eq(store_record_next(one, &record, &err), 1);
	ck_assert_str_eq(record.key, "b");
	store_cursor_close(other);
	ck_assert(is_there(store, PLANS, "c", 1));
	ck_assert_int_eq(store_record_next(one, &record, &err), 1);
	ck_assert_str_eq(record.key, "c");
	store_cursor_close(one);
	store_cursor_close(NULL);
	CHECK(store_end(store, &err));
	store_close(store);
}
END_TEST

/* Three runs: the keys are written in another order than they come. */
static void
write_three_runs(void)
{
	/* By bytes, not by letters: B before a, and U+00F8 last. */
	static const char *const first[] = { "c", "\xc3\xb8", "a", "B", "ab",
		NULL };
	static const char *const second[] = { "c", "0", NULL };
	static const char *const second_gone[] = { "ab", NULL };
	static const char *const third_gone[] = { "B", NULL };

	write_run(first, NULL, 1, true);
	write_run(second, second_gone, 2, true);
	write_run(only_b, third_gone, 3, true);
}

static const struct {
	int64_t	    since;
	const char *all;
	const char *live;
} changes[] = {
	{ 0, "a:1 \xc3\xb8:1 0:2 ab:2- c:2 B:3- b:3",
	    "a:1 \xc3\xb8:1 0:2 c:2 b:3" },
	{ 1, "0:2 ab:2- c:2 B:3- b:3", "0:2 c:2 b:3" },
	{ 2, "B:3- b:3", "b:3" },
	{ 3, "", "" },
	{ 4, "", "" },
	{ INT64_MAX, "", "" },
};

START_TEST(changes_by_version_then_key)
{
	write_three_runs();
	changes_are(changes[_i].since, true, changes[_i].all);
	changes_are(changes[_i].since, false, changes[_i].live);
}
END_TEST

START_TEST(changes_of_empty_store)
{
	store_close(open_store(STORE_WRITE));
	changes_are(0, true, "");
	changes_are(0, false, "");
}
END_TEST

/* A change is a whole record; a tombstone has its last data. */
START_TEST(changes_have_all_fields)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_record  record;

	write_run(abc, NULL, 1, true);
	write_run(NULL, only_c, 2, true);
	store = open_store(STORE_READ);
	CHECK(store_changes_open(store, PLANS, 1, true, &cursor, &err));
	ck_assert_int_eq(store_changes_next(cursor, &record, &err), 1);
	check_deleted(&record);
	ck_assert_int_eq(store_changes_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	/* Of this collection alone. */
	CHECK(store_changes_open(store, "ActivityDefinitions", 0, true,
	    &cursor, &err));
	ck_assert_int_eq(store_changes_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

static void
plans_are(int64_t live, int64_t deleted)
{
	struct store *store = open_store(STORE_READ);

	counts_are(store, PLANS, live, deleted);
	counts_are(store, "ActivityDefinitions", 0, 0);
	store_close(store);
}

START_TEST(counts)
{
	write_run(abc, NULL, 1, true);
	plans_are(3, 0);
	write_three_runs();
	plans_are(5, 2);
	write_run(NULL, abc, 9, true);
	plans_are(2, 5);
	/* It comes back. */
	write_run(only_a, NULL, 9, true);
	plans_are(3, 4);
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("store_conformance_read", &tests);

	tcase_add_test(tests, state_in_key_order);
	tcase_add_test(tests, state_of_odd_keys);
	tcase_add_test(tests, records_of_odd_keys);
	tcase_add_test(tests, odd_keys_deleted);
	tcase_add_test(tests, record_has_all_fields);
	tcase_add_test(tests, records_with_and_without_tombstones);
	tcase_add_test(tests, cursors_side_by_side);
	tcase_add_loop_test(tests, changes_by_version_then_key, 0,
	    LENGTH_OF(changes));
	tcase_add_test(tests, changes_of_empty_store);
	tcase_add_test(tests, changes_have_all_fields);
	tcase_add_test(tests, counts);
	return test_run(suite);
}
