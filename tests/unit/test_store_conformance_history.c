/*
 * The promises of store.h on each kind of store (backendlib.h says on which):
 * the history and its key lists.
 */
#include "backendlib.h"

static const char *const tallies[] = {
	"{}",
	("{'PlanDefinitions':{'Added':{'$numberLong':'3'},'AddedKeys':['a',"
	    "'b','$c.d']},'TreatmentGroups':{'Unresolved':1}}"),
	"{'ReimbursementGroups':{'DeletedKeys':[]},'PlanDefinitions':{}}",
};
#define RUNS LENGTH_OF(tallies)

static void
write_entries(void)
{
	struct store	    *store;
	struct store_history entry;
	bson_t		    *doc;
	int		     i;

	for (i = 0; i < RUNS; i++) {
		doc = test_bson(tallies[i]);
		entry = (struct store_history){
			.synced_at_ms = 1744273800000 + i,
			.duration_ms = ((int64_t)1 << 33) + i,
			.tallies = bson_get_data(doc),
			.tallies_len = doc->len,
		};
		store = begin_run(0, &entry.version);
		CHECK(store_history_put(store, &entry, &err));
		CHECK(store_publish(store, &err));
		store_close(store);
		bson_destroy(doc);
	}
}

/* How many entries are asked for, and how many come. */
static const struct {
	int64_t limit;
	int	n;
} limits[] = {
	{ 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 3 }, { INT64_MAX, 3 },
};

START_TEST(newest_first)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_history entry;
	bson_t		    *doc;
	int		     i;

	write_entries();
	store = open_store(STORE_READ);
	CHECK(store_history_open(store, limits[_i].limit, &cursor, &err));
	for (i = RUNS - 1; i >= RUNS - limits[_i].n; i--) {
		doc = test_bson(tallies[i]);
		CHECK_NEXT(store_history_next(cursor, &entry, &err));
		ck_assert_int_eq(entry.version, i + 1);
		ck_assert_int_eq(entry.synced_at_ms, 1744273800000 + i);
		ck_assert_int_eq(entry.duration_ms, ((int64_t)1 << 33) + i);
		ck_assert_uint_eq(entry.tallies_len, doc->len);
		ck_assert_mem_eq(entry.tallies, bson_get_data(doc), doc->len);
		bson_destroy(doc);
	}
	ck_assert_int_eq(store_history_next(cursor, &entry, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

static void
put_keys(struct store *store, int64_t version, const char *collection,
    const char *act, int64_t part)
{
	char			 *json = xasprintf("['%s','$.%lld','',"
	    "'\xf4\x8f\xbf\xbf']", act, (long long)part);
	bson_t			 *list = test_bson(json);
	struct store_history_keys keys = {
		.version = version,
		.collection = collection,
		.act = act,
		.part = part,
		.keys = bson_get_data(list),
		.keys_len = list->len,
	};

	CHECK(store_history_keys_put(store, &keys, &err));
	bson_destroy(list);
	free(json);
}

static void
check_keys(const struct store_history_keys *keys, int64_t version,
    const char *collection, const char *act, int64_t part)
{
	char   expected[64];
	bson_t list;

	ck_assert_int_eq(keys->version, version);
	ck_assert_str_eq(keys->collection, collection);
	ck_assert_str_eq(keys->act, act);
	ck_assert_int_eq(keys->part, part);
	(void)snprintf(expected, sizeof(expected),
	    "{'0':'%s','1':'$.%lld','2':'','3':'\xf4\x8f\xbf\xbf'}", act,
	    (long long)part);
	ck_assert(bson_init_static(&list, keys->keys, keys->keys_len));
	test_json_is(&list, expected);
}

/* Parts of one list: more than have one digit, not written in order. */
#define PARTS 11

static const char *const acts[] = { "Added", "Deleted", "Updated" };
static const char *const collections[] = { "PlanDefinitions",
	"TreatmentGroups" };

static void
write_parts(void)
{
	struct store *store;
	int64_t	      version;
	int	      run, collection, act, part;

	for (run = 0; run < 2; run++) {
		store = begin_run(0, &version);
		for (collection = 1; collection >= 0; collection--) {
			for (act = 0; act < LENGTH_OF(acts); act++) {
				for (part = PARTS; part >= 1; part--)
					put_keys(store, version,
					    collections[collection], acts[act],
					    part);
			}
		}
		end_run(store, version, true);
	}
}

START_TEST(parts_of_one_list)
{
	struct store		 *store;
	struct store_cursor	 *cursor;
	struct store_history_keys keys;
	int			  part;

	write_parts();
	store = open_store(STORE_READ);
	CHECK(store_history_keys_open(store, 2, "TreatmentGroups", "Deleted",
	    &cursor, &err));
	for (part = 1; part <= PARTS; part++) {
		CHECK_NEXT(store_history_keys_next(cursor, &keys, &err));
		check_keys(&keys, 2, "TreatmentGroups", "Deleted", part);
	}
	ck_assert_int_eq(store_history_keys_next(cursor, &keys, &err), 0);
	store_cursor_close(cursor);
	/* There is none of another version, collection or act. */
	CHECK(store_history_keys_open(store, 3, "TreatmentGroups", "Deleted",
	    &cursor, &err));
	ck_assert_int_eq(store_history_keys_next(cursor, &keys, &err), 0);
	store_cursor_close(cursor);
	CHECK(store_history_keys_open(store, 2, "ActivityDefinitions",
	    "Deleted", &cursor, &err));
	ck_assert_int_eq(store_history_keys_next(cursor, &keys, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

START_TEST(all_parts)
{
	struct store		 *store;
	struct store_cursor	 *cursor;
	struct store_history_keys keys;
	int			  i, part;

	write_parts();
	store = open_store(STORE_READ);
	CHECK(store_history_parts_open(store, &cursor, &err));
	for (i = 0; i < 2 * LENGTH_OF(collections) * LENGTH_OF(acts); i++) {
		for (part = 1; part <= PARTS; part++) {
			CHECK_NEXT(store_history_keys_next(cursor, &keys,
			    &err));
			check_keys(&keys, 1 + i / 6, collections[i / 3 % 2],
			    acts[i % 3], part);
		}
	}
	ck_assert_int_eq(store_history_keys_next(cursor, &keys, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

/* The entry of a run that is not published is not there. */
START_TEST(unpublished)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_history entry;
	int64_t		     version;

	store = begin_run(0, &version);
	end_run(store, version, false);
	store = open_store(STORE_READ);
	CHECK(store_history_open(store, 10, &cursor, &err));
	ck_assert_int_eq(store_history_next(cursor, &entry, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

/* The run itself sees its entry, as the newest one. */
START_TEST(own_is_newest)
{
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_history entry;
	int64_t		     version;
	int		     i;

	write_entries();
	store = begin_run(0, &version);
	put_history(store, version, 77);
	CHECK(store_history_open(store, limits[_i].limit, &cursor, &err));
	for (i = 0; i < RUNS + 1 && i < limits[_i].limit; i++) {
		CHECK_NEXT(store_history_next(cursor, &entry, &err));
		ck_assert_int_eq(entry.version, version - i);
		ck_assert_int_eq(entry.synced_at_ms == 77, i == 0);
	}
	ck_assert_int_eq(store_history_next(cursor, &entry, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

/* Nobody could tell of a run without an entry. */
START_TEST(none_is_refused)
{
	struct store *store;
	int64_t	      version;

	store = begin_run(0, &version);
	ck_assert_int_eq(store_publish(store, &err), -1);
	ck_assert_int_eq(err.status, STATUS_UNBALANCED);
	ck_assert_msg(strstr(err.text, "publishing: version 1 has no entry in"
	    " the history; nothing was published") != NULL, "%s", err.text);
	store_close(store);
	store = open_store(STORE_READ);
	versions_are(store, backend()->has_undo ? 0 : 1, 0);
	store_close(store);
}
END_TEST

START_TEST(second_is_refused)
{
	bson_t		     doc = BSON_INITIALIZER;
	struct store_history entry = { .tallies = bson_get_data(&doc),
		.tallies_len = doc.len };
	struct store	    *store;

	store = begin_run(0, &entry.version);
	CHECK(store_history_put(store, &entry, &err));
	ck_assert_int_eq(store_history_put(store, &entry, &err), -1);
	ck_assert(err.status == STATUS_UNBALANCED ||
	    err.status == STATUS_STORE);
	store_close(store);
	store = open_store(STORE_READ);
	versions_are(store, backend()->has_undo ? 0 : 1, 0);
	store_close(store);
	bson_destroy(&doc);
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("store_conformance_history", &tests);

	tcase_add_loop_test(tests, newest_first, 0, LENGTH_OF(limits));
	tcase_add_test(tests, parts_of_one_list);
	tcase_add_test(tests, all_parts);
	tcase_add_test(tests, unpublished);
	tcase_add_loop_test(tests, own_is_newest, 0, LENGTH_OF(limits));
	tcase_add_test(tests, none_is_refused);
	tcase_add_test(tests, second_is_refused);
	return test_run(suite);
}
