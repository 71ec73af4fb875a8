/* The key lists of the history beside records and former states, of one key. */
#include "../../src/verify_int.h"
#include "testlib.h"
#include "words.h"

#define MAX_EVENTS 4
#define LAST 5

struct listed {
	int64_t	 version; /* 0: no more */
	enum act act;
};
struct held {
	int64_t version; /* 0: no more */
	int64_t replaced;
	bool	is_deleted;
};

static const struct {
	int64_t	      runs[LAST + 1]; /* those with entries; 0: no more */
	struct listed listed[MAX_EVENTS];
	struct held   held[MAX_EVENTS];
	int64_t	      horizon;
	int64_t	      states_from;
	int	      faults;
	const char   *words; /* of the last finding */
} cases[] = {
	/* All is there. */
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 3, ACT_UPDATE } },
	    { { 1, 3, false }, { 3, 0, false } }, 0, 0, 0, NULL },
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 3, ACT_DELETE },
	    { 5, ACT_UPDATE } }, { { 1, 3, false }, { 3, 5, true },
	    { 5, 0, false } }, 0, 0, 0, NULL },
	/* The state has gone, and when that is right. */
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 3, ACT_UPDATE } },
	    { { 3, 0, false } }, 0, 0, 1, "version 1 lists it as Added" },
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 3, ACT_UPDATE } },
	    { { 3, 0, false } }, 0, 2, 1, "version 1 lists it as Added" },
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 3, ACT_UPDATE } },
	    { { 3, 0, false } }, 0, 3, 0, NULL },
	/* So has the tombstone. */
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 3, ACT_DELETE } },
	    { { 1, 3, false } }, 0, 0, 2, "no record whose former state" },
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 3, ACT_DELETE } },
	    { { 1, 3, false } }, 3, 0, 0, NULL },
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 3, ACT_DELETE } },
	    { { 0 } }, 3, 3, 0, NULL },
	/* It came again after that. */
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 3, ACT_DELETE },
	    { 5, ACT_ADD } }, { { 1, 3, false }, { 5, 0, false } }, 3, 0, 0,
	    NULL },
	/* Not listed; right only behind a run that was never finished. */
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD } },
	    { { 1, 4, false }, { 4, 0, false } }, 0, 0, 1,
	    "version 4, whose history entry does not list it" },
	{ { 1, 2, 4, 5 }, { { 1, ACT_ADD } },
	    { { 1, 3, false }, { 4, 0, false } }, 0, 0, 0, NULL },
	{ { 1, 2, 4, 5 }, { { 1, ACT_ADD } },
	    { { 1, 4, false }, { 4, 0, false } }, 0, 0, 0, NULL },
	{ { 1, 2, 3, 5 }, { { 1, ACT_ADD } },
	    { { 1, 3, false }, { 3, 0, false } }, 0, 0, 1,
	    "version 3, whose history entry does not list it" },
	/* Of a version that has no entry others tell. */
	{ { 3, 4, 5 }, { { 0 } }, { { 2, 0, false } }, 0, 0, 0, NULL },
	{ { 3, 4, 5 }, { { 0 } }, { { 3, 0, false } }, 0, 0, 0, NULL },
	{ { 3, 4, 5 }, { { 0 } }, { { 4, 0, false } }, 0, 0, 1,
	    "version 4, whose history entry does not list it" },
	/* Another act. */
	{ { 1, 2, 3, 4, 5 }, { { 2, ACT_ADD } }, { { 2, 0, true } }, 0, 0, 1,
	    "lists it as Added, and it is a tombstone" },
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 2, ACT_DELETE } },
	    { { 1, 2, false }, { 2, 0, false } }, 0, 0, 1,
	    "lists it as Deleted, and it is live" },
	/* The chain of states. */
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 4, ACT_UPDATE } },
	    { { 1, 3, false }, { 4, 0, false } }, 0, 0, 1,
	    "ReplacedIn is 3, and what comes after it is of version 4" },
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 2, ACT_UPDATE } },
	    { { 1, 4, false }, { 2, 0, false } }, 0, 0, 1,
	    "ReplacedIn is 4, and what comes after it is of version 2" },
	{ { 1, 2, 3, 4, 5 }, { { 1, ACT_ADD }, { 2, ACT_UPDATE } },
	    { { 1, 0, false }, { 2, 5, false } }, 0, 0, 2,
	    "no record whose former state" },
};

struct catch {
	int  faults;
	char words[256];
};

/* finding_fn */
static int
catch_fault(void *ctx, const struct finding *finding, struct error *err)
{
	struct catch *catch = ctx;

	(void)err;
	catch->faults++;
	(void)snprintf(catch->words, sizeof(catch->words), "%s", finding->what);
	ck_assert_str_eq(finding->collection, "Patient");
	return 0;
}

/* Puts a case in under a key; of two keys none may hide the other. */
static void
put(struct verify *verify, int i, const char *key)
{
	struct store_record record = { .key = key, .len = strlen(key) };
	struct error	    err;
	const struct listed *listed;
	const struct held   *held;

	for (listed = cases[i].listed; listed->version != 0; listed++)
		ck_assert_int_eq(verify_ledger_key(verify->ledger,
		    listed->version, "Patient", listed->act, key, strlen(key),
		    &err), 0);
	for (held = cases[i].held; held->version != 0; held++) {
		record.version = held->version;
		record.replaced_in = held->replaced;
		record.is_deleted = held->is_deleted;
		ck_assert_int_eq(verify_ledger_record(verify->ledger,
		    "Patient", &record, held->replaced != 0, &err), 1);
		ck_assert_int_eq(verify_ledger_record(verify->ledger,
		    "Patient", &record, held->replaced != 0, &err), 0);
	}
}

START_TEST(one_key)
{
	struct verify_counts counts = { 0 };
	struct catch	     catch = { 0 };
	struct verify	     verify = {
			 .found = catch_fault,
			 .ctx = &catch,
			 .counts = &counts,
			 .versions = { .finished = LAST, .raised = LAST },
	};
	struct error   err;
	const int64_t *version;

	verify.versions.horizon = cases[_i].horizon;
	verify.versions.states_from = cases[_i].states_from;
	verify.oldest = cases[_i].runs[0];
	ck_assert_int_eq(verify_ledger_open(&verify.ledger, &err), 0);
	for (version = cases[_i].runs; *version != 0; version++)
		ck_assert_int_eq(verify_ledger_run(verify.ledger, *version,
		    &err), 0);
	put(&verify, _i, "Patient/1");
	put(&verify, _i, "Patient/2");
	ck_assert_int_eq(verify_ledger_compare(&verify, &err), 0);
	ck_assert_int_eq(catch.faults, 2 * cases[_i].faults);
	ck_assert_int_eq(verify_findings(&counts), 2 * cases[_i].faults);
	if (cases[_i].words != NULL)
		ck_assert_ptr_nonnull(strstr(catch.words, cases[_i].words));
	verify_ledger_close(verify.ledger);
}
END_TEST

/* What an entry says beside what it lists. */
START_TEST(counts)
{
	struct verify_counts found = { 0 };
	struct catch	     catch = { 0 };
	struct verify	     verify = {
			 .found = catch_fault,
			 .ctx = &catch,
			 .counts = &found,
			 .versions = { .finished = 1, .raised = 1 },
			 .oldest = 1,
	};
	struct store_record record = { .key = "k", .len = 1, .version = 1 };
	struct error	    err;

	ck_assert_int_eq(verify_ledger_open(&verify.ledger, &err), 0);
	ck_assert_int_eq(verify_ledger_run(verify.ledger, 1, &err), 0);
	ck_assert_int_eq(verify_ledger_count(verify.ledger, 1, "Patient",
	    ACT_ADD, 1 + _i, &err), 0);
	ck_assert_int_eq(verify_ledger_count(verify.ledger, 1, "Patient",
	    ACT_DELETE, 0, &err), 0);
	ck_assert_int_eq(verify_ledger_key(verify.ledger, 1, "Patient",
	    ACT_ADD, "k", 1, &err), 0);
	ck_assert_int_eq(verify_ledger_record(verify.ledger, "Patient",
	    &record, false, &err), 1);
	ck_assert_int_eq(verify_ledger_compare(&verify, &err), 0);
	ck_assert_int_eq(catch.faults, _i);
	if (_i > 0)
		ck_assert_str_eq(catch.words, "the history entry has 2 under"
		    " Added, and lists 1 keys");
	verify_ledger_close(verify.ledger);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("verify_ledger");
	TCase *tcase = tcase_create("verify_ledger");

	tcase_add_loop_test(tcase, one_key, 0, LENGTH_OF(cases));
	tcase_add_loop_test(tcase, counts, 0, 2);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
