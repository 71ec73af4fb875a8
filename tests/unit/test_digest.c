/* The digest of a store: every field changes it, and nothing else does. */
#include "digest.h"
#include "sqlitelib.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_c[] = { "c", NULL };

/* Two runs, a tombstone, and two parts of a key list. */
static void
fill(void)
{
	write_run(abc, NULL, 1, true);
	write_run(NULL, only_c, 2, true);
	damage("INSERT INTO SyncHistoryKeys VALUES"
	       " (1, 'PlanDefinitions', 'Added', 1, x'0500000000'),"
	       " (1, 'PlanDefinitions', 'Added', 2, x'0500000000')");
}

static struct digest
digest(enum digest_part part)
{
	struct store *store = open_store(STORE_READ);
	struct digest out;

	CHECK(digest_store(store, part, &out, &err));
	store_close(store);
	return out;
}

/* Worked out by hand from nompd-store(7), DIGEST. */
#define EMPTY_RECORDS \
	"7a75d4bf29225e216a9c8fd168546caa2f2b8f13e226e6e7eb8806fe1e1eac47"
#define EMPTY_ALL \
	"8279e75bdddf471fe0b6f36b8c9e1491299a33b6e102bda3b6b0e82447860f22"
#define FILLED_ALL \
	"5b5df8bb0ef7c5e60e80c70183fdb108fce639b7b115f53bfafd625ae646f566"

#define FIELDS "BusinessKey, Version, IsDeleted, UpdatedAt, ContentHash, Data"
#define AT " WHERE BusinessKey = 'b'"

static const struct {
	const char *sql;
	bool	    is_record; /* else it is of the versions or the history */
} changes[] = {
	{ "UPDATE PlanDefinitions SET BusinessKey = 'b2'" AT, true },
	{ "UPDATE PlanDefinitions SET Version = 2" AT, true },
	{ "UPDATE PlanDefinitions SET IsDeleted = 1" AT, true },
	{ "UPDATE PlanDefinitions SET UpdatedAt = UpdatedAt + 1" AT, true },
	{ "UPDATE PlanDefinitions SET ContentHash = replace(ContentHash, '01',"
	  " '10')" AT, true },
	{ "UPDATE PlanDefinitions SET Data ="
	  " x'0c000000106e000200000000'" AT, true },
	{ "UPDATE PlanDefinitions SET Data = x''" AT, true },
	{ "DELETE FROM PlanDefinitions" AT, true },
	{ "DELETE FROM PlanDefinitions WHERE BusinessKey = 'c'", true },
	{ "INSERT INTO ActivityDefinitions (" FIELDS ") SELECT " FIELDS
	  " FROM PlanDefinitions; DELETE FROM PlanDefinitions", true },
	{ "INSERT INTO ReimbursementGroups (" FIELDS ") SELECT " FIELDS
	  " FROM PlanDefinitions" AT, true },
	{ "UPDATE RecordHistory SET Collection = 'TreatmentGroups'", true },
	{ "UPDATE RecordHistory SET BusinessKey = 'c2'", true },
	{ "UPDATE RecordHistory SET Version = 0", true },
	{ "UPDATE RecordHistory SET ReplacedIn = 3", true },
	{ "UPDATE RecordHistory SET IsDeleted = 1", true },
	{ "UPDATE RecordHistory SET UpdatedAt = UpdatedAt + 1", true },
	{ "UPDATE RecordHistory SET ContentHash = replace(ContentHash, '01',"
	  " '10')", true },
	{ "UPDATE RecordHistory SET Data = x'0500000000'", true },
	{ "DELETE FROM RecordHistory", true },
	{ "UPDATE SyncMetadata SET CurrentVersion = 3", false },
	{ "UPDATE SyncMetadata SET StatesFrom = 1", false },
	{ "UPDATE SyncMetadata SET Horizon = 1", false },
	{ "UPDATE SyncHistory SET Seal = x'0500000000'", false },
	{ "UPDATE SyncMetadata SET LastSyncAt = LastSyncAt + 1", false },
	{ "DELETE FROM SyncMetadata", false },
	{ "UPDATE SyncHistory SET Version = 3 WHERE Version = 2", false },
	{ "UPDATE SyncHistory SET SyncedAt = 1 WHERE Version = 1", false },
	{ "UPDATE SyncHistory SET DurationMs = 1 WHERE Version = 1", false },
	{ "UPDATE SyncHistory SET Tallies ="
	  " x'0c000000106e000200000000' WHERE Version = 1", false },
	{ "DELETE FROM SyncHistory WHERE Version = 1", false },
	{ "DELETE FROM SyncHistoryKeys WHERE Part = 2", false },
	{ "UPDATE SyncHistoryKeys SET Version = 2", false },
	{ "UPDATE SyncHistoryKeys SET Collection = 'TreatmentGroups'", false },
	{ "UPDATE SyncHistoryKeys SET Act = 'Deleted'", false },
	{ "UPDATE SyncHistoryKeys SET Part = 3 WHERE Part = 2", false },
	{ "UPDATE SyncHistoryKeys SET Keys = x'050000000000'", false },
};

START_TEST(every_field_counts)
{
	struct digest before[2], after[2];
	int	      i;

	fill();
	for (i = DIGEST_RECORDS; i <= DIGEST_ALL; i++)
		before[i] = digest(i);
	damage(changes[_i].sql);
	for (i = DIGEST_RECORDS; i <= DIGEST_ALL; i++)
		after[i] = digest(i);
	ck_assert_str_ne(before[DIGEST_ALL].text, after[DIGEST_ALL].text);
	ck_assert_int_eq(strcmp(before[DIGEST_RECORDS].text,
	    after[DIGEST_RECORDS].text) != 0, changes[_i].is_record);
}
END_TEST

/* What moves from one field to its neighbour is a change, too. */
START_TEST(fields_do_not_run_together)
{
	struct digest one, other;

	fill();
	damage("DELETE FROM SyncHistoryKeys WHERE Part = 2;"
	       "UPDATE SyncHistoryKeys SET Collection = 'ab', Act = 'c'");
	one = digest(DIGEST_ALL);
	damage("UPDATE SyncHistoryKeys SET Collection = 'a', Act = 'bc'");
	other = digest(DIGEST_ALL);
	ck_assert_str_ne(one.text, other.text);
}
END_TEST

/* Neither the order in which rows came nor how the file is laid out. */
START_TEST(nothing_else_counts)
{
	struct digest before, after;

	fill();
	before = digest(DIGEST_ALL);
	ck_assert_str_eq(digest(DIGEST_ALL).text, before.text);
	damage("CREATE TEMP TABLE t AS SELECT " FIELDS " FROM PlanDefinitions"
	       " ORDER BY BusinessKey DESC;"
	       "DELETE FROM PlanDefinitions;"
	       "INSERT INTO PlanDefinitions (" FIELDS ") SELECT * FROM t;"
	       "DROP INDEX PlanDefinitions_Version; VACUUM;");
	after = digest(DIGEST_ALL);
	ck_assert_str_eq(before.text, after.text);
}
END_TEST

START_TEST(counts)
{
	struct digest all;

	write_run(NULL, NULL, 1, true);
	all = digest(DIGEST_ALL);
	ck_assert_int_eq(all.records, 0);
	ck_assert_int_eq(all.runs, 1);
	write_run(abc, NULL, 1, true);
	write_run(NULL, only_c, 2, true);
	all = digest(DIGEST_ALL);
	ck_assert_int_eq(all.records, 3);
	ck_assert_int_eq(all.runs, 3);
	ck_assert_int_eq(digest(DIGEST_RECORDS).records, 3);
	ck_assert_int_eq(digest(DIGEST_RECORDS).runs, 0);
}
END_TEST

/* The digest of a known store, so that it stays what it is: two copies that
 * were made years apart can be compared. */
START_TEST(stays)
{
	struct store *store = open_store(STORE_WRITE);

	store_close(store);
	ck_assert_str_eq(digest(DIGEST_RECORDS).text, EMPTY_RECORDS);
	ck_assert_str_eq(digest(DIGEST_ALL).text, EMPTY_ALL);
	fill();
	damage("UPDATE SyncHistory SET SyncedAt = 1000 * Version,"
	       " DurationMs = Version");
	ck_assert_str_eq(digest(DIGEST_ALL).text, FILLED_ALL);
}
END_TEST

START_TEST(order_must_ascend)
{
	struct store *store;
	struct digest out;

	fill();
	damage("DROP INDEX PlanDefinitions_State;"
	       "DROP INDEX PlanDefinitions_BusinessKey;"
	       "UPDATE PlanDefinitions SET BusinessKey = 'a'");
	store = open_store(STORE_READ);
	ck_assert_int_eq(digest_store(store, DIGEST_ALL, &out, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "ascending"));
	store_close(store);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("digest");
	TCase *tests = tcase_create("digest");

	tcase_add_checked_fixture(tests, sqlite_set_up, sqlite_tear_down);
	tcase_add_loop_test(tests, every_field_counts, 0, LENGTH_OF(changes));
	tcase_add_test(tests, fields_do_not_run_together);
	tcase_add_test(tests, nothing_else_counts);
	tcase_add_test(tests, counts);
	tcase_add_test(tests, stays);
	tcase_add_test(tests, order_must_ascend);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
