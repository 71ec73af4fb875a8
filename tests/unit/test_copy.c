/* Copies between embedded stores: what is copied, and what is refused. */
#include "copy.h"
#include "log.h"
#include "sqlitelib.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_c[] = { "c", NULL };

static char	      target_uri[sizeof(uri)];
static struct options opts;

static void
remove_target(void)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-lease" };
	char			 path[96];
	int			 i;

	for (i = 0; i < LENGTH_OF(suffixes); i++) {
		(void)snprintf(path, sizeof(path), "%s/copy.db%s", folder,
		    suffixes[i]);
		(void)unlink(path);
	}
}

static void
set_up_both(void)
{
	sqlite_set_up();
	log_init(LOG_LEVEL_WARN, LOG_FORMAT_TEXT, false);
	(void)snprintf(target_uri, sizeof(target_uri), "sqlite:%s/copy.db",
	    folder);
	opts = (struct options){ 0 };
	opts.from.uri = uri;
	opts.to.uri = target_uri;
}

static void
tear_down_both(void)
{
	remove_target();
	sqlite_tear_down();
}

/* The same with the target in the place of the source. */
static void
damage_target(const char *sql)
{
	char source[sizeof(uri)];

	memcpy(source, uri, sizeof(uri));
	memcpy(uri + strlen(uri) - strlen("store.db"), "copy.db",
	    sizeof("copy.db"));
	damage(sql);
	memcpy(uri, source, sizeof(uri));
}

static struct digest
digest_of(const struct store_place *where)
{
	struct store *store;
	struct digest out;

	CHECK(store_open(where, STORE_READ, &store, &err));
	CHECK(digest_store(store, DIGEST_ALL, &out, &err));
	store_close(store);
	return out;
}

static void
fill(void)
{
	write_run(abc, NULL, 1, true);
	write_run(NULL, only_c, 2, true);
	damage("INSERT INTO SyncHistoryKeys VALUES"
	       " (1, 'PlanDefinitions', 'Added', 1, x'0500000000'),"
	       " (1, 'PlanDefinitions', 'Added', 2, x'0500000000'),"
	       " (1, 'TreatmentGroups', 'Added', 1, x'0500000000'),"
	       " (2, 'PlanDefinitions', 'Deleted', 1, x'0500000000')");
}

/* Copies, and looks whether the two are the same. */
static struct copy_result
copy(void)
{
	struct copy_result result;

	CHECK(copy_store(&opts, &result, &err));
	ck_assert_str_eq(digest_of(&opts.from).text, result.digest.text);
	ck_assert_str_eq(digest_of(&opts.to).text, result.digest.text);
	return result;
}

static void
copies(int64_t copied, int64_t records, int64_t runs, int64_t version)
{
	struct copy_result result = copy();

	ck_assert_int_eq(result.copied, copied);
	ck_assert_int_eq(result.digest.records, records);
	ck_assert_int_eq(result.digest.runs, runs);
	ck_assert_int_eq(result.version, version);
	ck_assert_int_ge(result.duration_ms, 0);
}

START_TEST(all_of_it)
{
	fill();
	copies(3, 3, 2, 2);
	/* Nothing is left to do. */
	copies(0, 3, 2, 2);
}
END_TEST

START_TEST(empty)
{
	store_close(open_store(STORE_WRITE));
	copies(0, 0, 0, 0);
	copies(0, 0, 0, 0);
}
END_TEST

/* What an unfinished copy may lack; the rest is not written again. */
static const struct {
	const char *sql;
	int	    copied;
} unfinished[] = {
	{ "DELETE FROM SyncHistory", 0 },
	{ "DELETE FROM SyncHistory WHERE Version = 2", 0 },
	{ "DELETE FROM SyncHistory WHERE Version = 1", 0 },
	{ "DELETE FROM SyncHistoryKeys", 0 },
	{ "DELETE FROM SyncHistoryKeys WHERE Part = 2", 0 },
	{ "DELETE FROM SyncHistoryKeys WHERE Version = 2", 0 },
	{ "DELETE FROM SyncHistoryKeys WHERE Act = 'Added'", 0 },
	{ "DELETE FROM SyncMetadata", 0 },
	{ "DELETE FROM PlanDefinitions WHERE BusinessKey = 'a'", 1 },
	{ "DELETE FROM PlanDefinitions WHERE BusinessKey = 'b'", 1 },
	{ "DELETE FROM PlanDefinitions WHERE BusinessKey = 'c'", 1 },
	{ "DELETE FROM PlanDefinitions; DELETE FROM SyncHistory", 3 },
	{ "UPDATE PlanDefinitions SET Version = 1 WHERE IsDeleted", 1 },
	{ "UPDATE PlanDefinitions SET UpdatedAt = 1 WHERE IsDeleted", 1 },
	{ "UPDATE PlanDefinitions SET IsDeleted = 0", 1 },
	{ "UPDATE PlanDefinitions SET ContentHash = replace(ContentHash, '01',"
	  " '10'), Data = x'0500000000'", 3 },
};

START_TEST(taken_up)
{
	fill();
	(void)copy();
	damage_target(unfinished[_i].sql);
	copies(unfinished[_i].copied, 3, 2, 2);
}
END_TEST

START_TEST(source_goes_on)
{
	fill();
	(void)copy();
	write_run(only_c, NULL, 3, true);
	copies(1, 3, 3, 3);
	write_run(NULL, NULL, 3, true);
	copies(0, 3, 4, 4);
}
END_TEST

static const char more_record[] =
    "INSERT INTO %s (BusinessKey, Version, IsDeleted, UpdatedAt, ContentHash,"
    " Data) SELECT '%s', 1, 0, 0, ContentHash, Data FROM PlanDefinitions"
    " WHERE BusinessKey = 'a'";

static const struct {
	const char *collection, *key;
} more_records[] = {
	{ "PlanDefinitions", "0" },
	{ "PlanDefinitions", "bb" },
	{ "PlanDefinitions", "d" },
	{ "ReimbursementGroups", "a" },
};

/* Fails, says the words, and leaves the target as it was. */
static void
refuses(enum status status, const char *words)
{
	struct copy_result result;
	struct digest	   before = digest_of(&opts.to);

	ck_assert_int_eq(copy_store(&opts, &result, &err), -1);
	ck_assert_int_eq(err.status, status);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
	ck_assert_str_eq(digest_of(&opts.to).text, before.text);
}

START_TEST(other_records)
{
	char sql[256];

	fill();
	(void)copy();
	(void)snprintf(sql, sizeof(sql), more_record,
	    more_records[_i].collection, more_records[_i].key);
	damage_target(sql);
	refuses(STATUS_STORE, "it has a record that is none of");
}
END_TEST

static const struct {
	const char *sql;
	const char *words;
} others[] = {
	{ "UPDATE SyncHistory SET SyncedAt = 1 WHERE Version = 1",
	    "it has a run that is none of" },
	{ "UPDATE SyncHistory SET SyncedAt = 1 WHERE Version = 2",
	    "it has a run that is none of" },
	{ "UPDATE SyncHistory SET Version = 0 WHERE Version = 1",
	    "it has a run that is none of" },
	{ "UPDATE SyncHistory SET Version = 3 WHERE Version = 2",
	    "it has a run that is none of" },
	{ "UPDATE SyncMetadata SET CurrentVersion = 3",
	    "its version is above that of" },
	/* What only the digest shows. */
	{ "UPDATE PlanDefinitions SET Data = x'0500000000'",
	    "it is not the same; copy again" },
	/* The same, before readers get anything of it. */
	{ "UPDATE PlanDefinitions SET Data = x'0500000000';"
	  "DELETE FROM SyncHistory",
	    "it is not the same; copy again" },
	{ "UPDATE SyncHistory SET DurationMs = 99",
	    "it is not the same; copy again" },
	{ "UPDATE SyncHistory SET Tallies = x'0c000000106e000200000000'",
	    "it is not the same; copy again" },
	{ "UPDATE SyncHistoryKeys SET Keys = x'0c000000106e000200000000'",
	    "it is not the same; copy again" },
	{ "INSERT INTO SyncHistoryKeys VALUES"
	  " (1, 'PlanDefinitions', 'Deleted', 1, x'0500000000')",
	    "it is not the same; copy again" },
};

START_TEST(other_store)
{
	fill();
	(void)copy();
	damage_target(others[_i].sql);
	refuses(STATUS_STORE, others[_i].words);
}
END_TEST

/* What a run that was held up has written late; only a run makes it good. */
START_TEST(unfinished_version)
{
	struct copy_result result;

	fill();
	damage("DELETE FROM SyncHistory WHERE Version = 1");
	ck_assert_int_eq(copy_store(&opts, &result, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_msg(strstr(err.text, "is of version 1, and that run was"
	    " never finished; let nompd-sync run on that store once") != NULL,
	    "%s", err.text);
	ck_assert_int_eq(digest_of(&opts.to).runs, 0);
}
END_TEST

static const char *const no_bson[] = { "", "05000000", "0500000001",
	"0600000000", "0c000000106e000100000001", "0c000000ff6e000100000000",
	"0c000000026e000900000000" };

START_TEST(data_that_are_no_bson)
{
	struct copy_result result;
	char		   sql[128];

	fill();
	(void)snprintf(sql, sizeof(sql), "UPDATE PlanDefinitions SET Data ="
	    " x'%s' WHERE BusinessKey = 'b'", no_bson[_i]);
	damage(sql);
	ck_assert_int_eq(copy_store(&opts, &result, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "the record \"b\" of"
	    " PlanDefinitions is damaged"));
	ck_assert_int_eq(digest_of(&opts.to).runs, 0);
}
END_TEST

START_TEST(onto_itself)
{
	fill();
	(void)snprintf(target_uri, sizeof(target_uri), "%s", uri);
	refuses(STATUS_USAGE, "want another store than --from");
}
END_TEST

START_TEST(onto_itself_by_a_link)
{
	fill();
	ck_assert_int_eq(symlink("store.db",
	    target_uri + strlen("sqlite:")), 0);
	opts.wait_ms = INT64_MAX / 2;
	refuses(STATUS_USAGE, "want another store than --from");
}
END_TEST

START_TEST(busy)
{
	const struct store_place *places[] = { &opts.from, &opts.to };
	struct store		 *store;
	char			  holder[MAX_HOLDER_TEXT];

	fill();
	(void)copy();
	write_run(only_c, NULL, 3, true);
	CHECK(store_open(places[_i], STORE_UPDATE, &store, &err));
	ck_assert_int_eq(store_lease_try(store, holder, &err), 1);
	refuses(STATUS_BUSY, "another run is active on store");
	store_close(store);
	copies(1, 3, 3, 3);
}
END_TEST

START_TEST(missing)
{
	struct copy_result result;

	ck_assert_int_eq(copy_store(&opts, &result, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "it is not there"));
	/* Nor is the target made. */
	ck_assert_int_eq(access(target_uri + strlen("sqlite:"), F_OK), -1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("copy");
	TCase *tests = tcase_create("copy");

	tcase_add_checked_fixture(tests, set_up_both, tear_down_both);
	tcase_add_test(tests, all_of_it);
	tcase_add_test(tests, empty);
	tcase_add_loop_test(tests, taken_up, 0, LENGTH_OF(unfinished));
	tcase_add_test(tests, source_goes_on);
	tcase_add_loop_test(tests, other_records, 0, LENGTH_OF(more_records));
	tcase_add_loop_test(tests, other_store, 0, LENGTH_OF(others));
	tcase_add_test(tests, unfinished_version);
	tcase_add_loop_test(tests, data_that_are_no_bson, 0,
	    LENGTH_OF(no_bson));
	tcase_add_test(tests, onto_itself);
	tcase_add_test(tests, onto_itself_by_a_link);
	tcase_add_loop_test(tests, busy, 0, 2);
	tcase_add_test(tests, missing);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
