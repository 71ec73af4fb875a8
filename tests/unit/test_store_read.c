/*
 * What nompd-serve reads: changes, counts, and states that come and go, on the
 * embedded store.
 */
#include "storelib.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_b[] = { "b", NULL };
static const char *const only_c[] = { "c", NULL };

/* The changes as "key:version" with "-" for a tombstone, space between. */
static void
changes_are(int64_t since, bool with_deleted, const char *expected)
{
	struct store	    *store = open_store(STORE_READ);
	struct store_cursor *cursor;
	struct store_record  record;
	char		     text[256] = "";
	size_t		     len;
	int		     rc;

	CHECK(store_changes_open(store, "PlanDefinitions", since, with_deleted,
	    &cursor, &err));
	while ((rc = store_changes_next(cursor, &record, &err)) == 1) {
		ck_assert_uint_eq(record.len, strlen(record.key));
		len = strlen(text);
		(void)snprintf(text + len, sizeof(text) - len, "%s%s:%lld%s",
		    len > 0 ? " " : "", record.key, (long long)record.version,
		    record.is_deleted ? "-" : "");
	}
	ck_assert_msg(rc == 0, "%s", err.text);
	ck_assert_str_eq(text, expected);
	store_cursor_close(cursor);
	store_close(store);
}

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
	CHECK(store_changes_open(store, "PlanDefinitions", 1, true, &cursor,
	    &err));
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

/* An index that says another order than it has. */
#define FALSE_INDEX(columns) \
	"DROP INDEX PlanDefinitions_Version;" \
	"CREATE INDEX PlanDefinitions_Version ON PlanDefinitions (" columns \
	");" \
	"PRAGMA writable_schema = ON;" \
	"UPDATE sqlite_master SET sql = 'CREATE INDEX" \
	" \"PlanDefinitions_Version\" ON \"PlanDefinitions\"" \
	" (Version, BusinessKey)' WHERE name = 'PlanDefinitions_Version';" \
	"PRAGMA writable_schema = OFF"

static const struct {
	const char *sql;
	const char *words;
} disorders[] = {
	{ FALSE_INDEX("Version DESC, BusinessKey"),
	    "versions are not in ascending order at \"a\"" },
	{ FALSE_INDEX("Version, BusinessKey DESC"),
	    "keys are not in ascending order at \"a\"" },
	{ "DROP INDEX PlanDefinitions_BusinessKey;"
	    "UPDATE PlanDefinitions SET BusinessKey = 'a' WHERE"
	    " BusinessKey = 'c'",
	    "keys are not in ascending order at \"a\"" },
};

START_TEST(changes_must_ascend)
{
	static const char *const ac[] = { "a", "c", NULL };
	struct store		*store;
	struct store_cursor	*cursor;
	struct store_record	 record;

	write_run(ac, NULL, 1, true);
	write_run(only_b, NULL, 2, true);
	damage(disorders[_i].sql);
	store = open_store(STORE_READ);
	CHECK(store_changes_open(store, "PlanDefinitions", 0, true, &cursor,
	    &err));
	ck_assert_int_eq(store_changes_next(cursor, &record, &err), 1);
	ck_assert_int_eq(store_changes_next(cursor, &record, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_msg(strstr(err.text, disorders[_i].words) != NULL, "%s",
	    err.text);
	ck_assert_ptr_nonnull(strstr(err.text, "store.db"));
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

static void
counts_are(struct store *store, const char *collection, int64_t live,
    int64_t deleted)
{
	struct store_counts counts = { -1, -1 };

	CHECK(store_counts_get(store, collection, &counts, &err));
	ck_assert_int_eq(counts.live, live);
	ck_assert_int_eq(counts.deleted, deleted);
}

START_TEST(counts)
{
	struct store *store = open_store(STORE_WRITE);
	int	      i;

	for (i = 0; i < COLLECTION__MAX; i++)
		counts_are(store, collection_name(i), 0, 0);
	store_close(store);
	write_run(abc, NULL, 1, true);
	store = open_store(STORE_READ);
	counts_are(store, "PlanDefinitions", 3, 0);
	store_close(store);
	write_three_runs();
	store = open_store(STORE_READ);
	counts_are(store, "PlanDefinitions", 5, 2);
	counts_are(store, "ActivityDefinitions", 0, 0);
	store_close(store);
	write_run(NULL, abc, 9, true);
	store = open_store(STORE_READ);
	counts_are(store, "PlanDefinitions", 2, 5);
	store_close(store);
}
END_TEST

static void
finished_is(struct store *store, int64_t version)
{
	struct store_versions versions;

	CHECK(store_versions_get(store, &versions, &err));
	ck_assert_int_eq(versions.finished, version);
}

/* A reader has one state until it lets that go, and then the newest. */
START_TEST(end_and_begin_anew)
{
	static const char *const d[] = { "d", NULL };
	struct store		*store;
	int			 i;

	write_run(abc, NULL, 1, true);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	write_run(d, only_c, 2, true);
	/* What is not published is never seen. */
	write_run(only_c, NULL, 3, false);
	for (i = 0; i < 2; i++) {
		finished_is(store, 1);
		counts_are(store, "PlanDefinitions", 3, 0);
	}
	CHECK(store_end(store, &err));
	CHECK(store_begin(store, &err));
	finished_is(store, 2);
	counts_are(store, "PlanDefinitions", 3, 1);
	/* Again and again, also with nothing new. */
	for (i = 0; i < 20; i++) {
		CHECK(store_end(store, &err));
		CHECK(store_begin(store, &err));
		finished_is(store, 2);
	}
	store_close(store);
}
END_TEST

/* When the last finished run was. */
START_TEST(finished_at)
{
	struct store	     *store = open_store(STORE_WRITE);
	struct store_versions versions;

	CHECK(store_versions_get(store, &versions, &err));
	ck_assert_int_eq(versions.finished, 0);
	ck_assert_int_eq(versions.finished_at_ms, 0);
	store_close(store);
	write_run(abc, NULL, 1, true);
	write_run(abc, NULL, 2, true);
	damage("UPDATE SyncHistory SET SyncedAt = 1744273800000 + Version");
	store = open_store(STORE_READ);
	CHECK(store_versions_get(store, &versions, &err));
	ck_assert_int_eq(versions.finished, 2);
	ck_assert_int_eq(versions.finished_at_ms, 1744273800002);
	store_close(store);
}
END_TEST

/* Moves the store's file to the name behind it, or back. */
static void
move_file(const char *from, const char *to)
{
	char old[96], new[96];

	(void)snprintf(old, sizeof(old), "%s/%s", folder, from);
	(void)snprintf(new, sizeof(new), "%s/%s", folder, to);
	ck_assert_int_eq(rename(old, new), 0);
}

static const enum store_mode file_modes[] = {
	STORE_WRITE, STORE_UPDATE, STORE_READ, STORE_DRY,
};

START_TEST(replaced)
{
	struct store *store;

	write_run(abc, NULL, 1, true);
	store = open_store(file_modes[_i]);
	ck_assert(!store_is_replaced(store));
	/* A run is no other store. */
	write_run(only_b, NULL, 2, true);
	ck_assert(!store_is_replaced(store));
	/* Removed, and another one in its place. */
	move_file("store.db", "store.db-old");
	ck_assert(store_is_replaced(store));
	write_run(abc, NULL, 1, true);
	ck_assert(store_is_replaced(store));
	/* The same one is back. */
	move_file("store.db-old", "store.db");
	ck_assert(!store_is_replaced(store));
	store_close(store);
}
END_TEST

/* The place is what the URI names, also when that is a link. */
START_TEST(replaced_behind_link)
{
	struct store *store;
	char	      link[96], file[96];

	write_run(abc, NULL, 1, true);
	(void)snprintf(link, sizeof(link), "%s/store.db", folder);
	(void)snprintf(file, sizeof(file), "%s/store.db-old", folder);
	move_file("store.db", "store.db-old");
	ck_assert_int_eq(symlink("store.db-old", link), 0);
	store = open_store(STORE_READ);
	ck_assert(!store_is_replaced(store));
	ck_assert_int_eq(unlink(link), 0);
	ck_assert(store_is_replaced(store));
	store_close(store);
	ck_assert_int_eq(unlink(file), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_read");
	TCase *tests = tcase_create("store_read");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_loop_test(tests, changes_by_version_then_key, 0,
	    LENGTH_OF(changes));
	tcase_add_test(tests, changes_of_empty_store);
	tcase_add_test(tests, changes_have_all_fields);
	tcase_add_loop_test(tests, changes_must_ascend, 0,
	    LENGTH_OF(disorders));
	tcase_add_test(tests, counts);
	tcase_add_test(tests, end_and_begin_anew);
	tcase_add_test(tests, finished_at);
	tcase_add_loop_test(tests, replaced, 0, LENGTH_OF(file_modes));
	tcase_add_test(tests, replaced_behind_link);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
