/* What the end-of-run check says, fault by fault. */
#include "faultlib.h"
#include "sqlitelib.h"

static const struct world small = { .keys = 5 };

static void
set_up(void)
{
	sqlite_set_up();
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
	dice = 1;
}

/* It failed as it must: with these words and what to do, and nothing is
 * published. */
static void
refused(struct run *run, const char *words)
{
	struct store *store;

	ck_assert_int_eq(run_apply(run, &err), -1);
	(void)run_end(run, -1, &err);
	ck_assert_int_eq(err.status, STATUS_UNBALANCED);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
	ck_assert_msg(strstr(err.text, "report it with the log") != NULL, "%s",
	    err.text);
	store = open_store(STORE_READ);
	versions_are(store, 0, 0);
	counts_are(store, PLANS, 0, 0);
	store_close(store);
}

/* Faults of the program: what was counted differs. */
static void
more_came(struct run *run)
{
	run->tallies[0].came++;
}

static void
fewer_decided(struct run *run)
{
	run->tallies[0].added--;
}

static void
staged_late(struct run *run)
{
	stage_resource(run, COLLECTION__MAX, "late", 1);
	run->tallies[COLLECTION__MAX].came++;
}

static void
more_live(struct run *run)
{
	run->tallies[1].live++;
}

static void
acts_differ(struct run *run)
{
	struct tally *merged = &run->tallies[COLLECTION__MAX];

	merged->added--;
	merged->updated++;
	merged->live++;
}

/* One more of what is planned first. */
static void
planned_again(struct run *run)
{
	struct stage_cursor *cursor;
	struct planned	     planned;

	CHECK(stage_plan_open(run->stage, 0, ACT__MAX, &cursor, &err));
	CHECK_NEXT(stage_plan_next(cursor, &planned, &err));
	planned.key = "zzz";
	planned.len = 3;
	CHECK(stage_plan_add(run->stage, 0, &planned, &err));
	stage_cursor_close(cursor);
}

/* A record that came to be there behind the run's back. */
static void
put_ghost(struct run *run, int64_t version, bool is_deleted)
{
	bson_t		    doc = BSON_INITIALIZER;
	struct store_record record = { .key = "ghost", .len = 5,
		.data = bson_get_data(&doc), .data_len = doc.len,
		.version = version, .is_deleted = is_deleted };
	struct store_writer *writer;

	memset(record.hash, '0', sizeof(record.hash) - 1);
	writer = open_writer(run->store, PLANS, 0, 0);
	CHECK(store_writer_copy(writer, &record, true, &err));
	CHECK(store_writer_close(writer, &err));
	bson_destroy(&doc);
}

static void
live_already(struct run *run)
{
	put_ghost(run, 0, false);
}

/* No live record more or less, but one of the run's version, or of one that is
 * still to come. */
static void
stray(struct run *run)
{
	put_ghost(run, 1, true);
}

static void
stray_to_come(struct run *run)
{
	put_ghost(run, 2, true);
}

static const struct {
	void (*tamper)(struct run *run);
	const char *words;
} counts[] = {
	{ more_came, "PlanDefinitions: 6 came, and 4 were staged and 1"
	    " skipped" },
	{ fewer_decided, "PlanDefinitions: 4 were staged, and 3 are accounted"
	    " for (3 added, 0 updated, 0 unchanged, 0 older, 0 named as"
	    " deleted, 0 duplicates)" },
	{ staged_late, "Patient: 4 were staged, and 3 are accounted for" },
	{ more_live, "ActivityDefinitions: the upstream has 2 usable keys, and"
	    " 3 records would be live" },
	{ acts_differ, "records were to be written, and the plan has " },
	{ planned_again, "PlanDefinitions: 4 records were to be written, and"
	    " the plan has 5" },
	{ live_already, "PlanDefinitions: 4 records were to be live after this"
	    " run, and 5 are" },
	{ stray, "PlanDefinitions: the record \"ghost\" has this run's"
	    " version, or a later one, and was not to be written" },
	{ stray_to_come, "PlanDefinitions: the record \"ghost\" has this"
	    " run's version, or a later one, and was not to be written" },
};

START_TEST(counts_differ)
{
	struct run *run = run_planned(&small);

	counts[_i].tamper(run);
	refused(run, counts[_i].words);
}
END_TEST

/* A raw record without its output, or the other way round; it is staged like
 * any other. */
static const struct {
	int	    list;
	const char *words;
} alone[] = {
	{ PLAN_DEFINITIONS, "PlanDefinitions: \"alone\" is live, and"
	    " TreatmentGroups has no live record of that key" },
	{ REGULATED_AUTHORIZATIONS, "RegulatedAuthorizations: \"alone\" is"
	    " live, and ReimbursementGroups has no live record" },
	{ TREATMENT_GROUPS, "TreatmentGroups: \"alone\" is live, and"
	    " PlanDefinitions has no live record of that key" },
	{ REIMBURSEMENT_GROUPS, "ReimbursementGroups: \"alone\" is live, and"
	    " RegulatedAuthorizations has no live record" },
};

START_TEST(one_alone)
{
	struct run *run = start_run();

	stage_world(run, &small);
	stage_resource(run, alone[_i].list, "alone", 1);
	run->tallies[alone[_i].list].came++;
	CHECK(store_begin(run->store, &err));
	CHECK(run_plan(run, 0, &err));
	refused(run, alone[_i].words);
}
END_TEST

/* The same where the raw records come from the store. */
static void
reconvert_refused(struct run *run, const char *words)
{
	CHECK(run_plan(run, 0, &err));
	ck_assert_int_eq(run_apply(run, &err), -1);
	(void)run_end(run, -1, &err);
	ck_assert_int_eq(err.status, STATUS_UNBALANCED);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
}

START_TEST(alone_in_store)
{
	struct run *run = run_planned(&small);

	CHECK(run_apply(run, &err));
	(void)run_end(run, 0, &err);
	run = start_run();
	run_add(run, TREATMENT_GROUPS);
	CHECK(store_begin(run->store, &err));
	if (_i == 0) {
		CHECK(run_convert(run, true, &err));
		stage_resource(run, TREATMENT_GROUPS, "alone", 1);
		reconvert_refused(run, "TreatmentGroups: \"alone\" is live, and"
		    " PlanDefinitions has no live record of that key");
		return;
	}
	CHECK(stage_finish(run->stage, TREATMENT_GROUPS, &err));
	reconvert_refused(run, "is live, and TreatmentGroups has no live"
	    " record of that key");
}
END_TEST

/* Faults of the store. */
static const struct {
	enum target	target;
	enum lapse_kind kind;
	const char     *words;
} faults[] = {
	{ IN_VERSION, LAPSE_LOSE, "this run has raised the version to 1, and"
	    " the store has 0" },
	{ IN_VERSION, LAPSE_DOUBLE, "raised the version to 1, and the store"
	    " has 2" },
	{ IN_VERSION, LAPSE_TIME, "raised the version to 1, and the store has"
	    " 1" },
	{ IN_RECORD, LAPSE_LOSE, "PlanDefinitions: 4 records were to be"
	    " written and 3 were" },
	{ IN_RECORD, LAPSE_DOUBLE, "PlanDefinitions: 4 records were to be"
	    " written and 5 were" },
	{ IN_RECORD, LAPSE_DOUBLE_ELSEWHERE, "PlanDefinitions: 4 records were"
	    " to be written and 5 were" },
	{ IN_RECORD, LAPSE_ELSEWHERE, "PlanDefinitions: the record \"key 02\""
	    " was to be written and does not have this run's version" },
	{ IN_RECORD, LAPSE_DATA, "PlanDefinitions: the record \"key 02\" has"
	    " other Data than it was given" },
	{ IN_RECORD, LAPSE_HASH, "\"key 02\" has another ContentHash than it"
	    " was given" },
	{ IN_RECORD, LAPSE_VERSION, "\"key 02\" was to be written and does not"
	    " have this run's version" },
	{ IN_RECORD, LAPSE_TIME, "\"key 02\" has another UpdatedAt than it was"
	    " given" },
	{ IN_RECORD, LAPSE_DELETED, "PlanDefinitions: the record \"key 02\""
	    " was to be live and is deleted" },
	{ IN_ENTRY, LAPSE_LOSE, "history: 1 records were to be written and 0"
	    " were" },
	{ IN_ENTRY, LAPSE_DATA, "history: the entry of this run is not there"
	    " as it was written" },
	{ IN_ENTRY, LAPSE_TIME, "history: the entry of this run is not there"
	    " as it was written" },
};

START_TEST(fault_named)
{
	struct run *run = run_planned(&small);

	fault_set(run->store, faults[_i].target, faults[_i].kind, 1);
	refused(run, faults[_i].words);
	ck_assert(fault.has_fired);
}
END_TEST

/* The same of a deletion: all that the first run has brought goes. */
static const struct {
	enum lapse_kind kind;
	const char     *words;
} delete_faults[] = {
	{ LAPSE_LOSE, "PlanDefinitions: 4 records were to be written and 3"
	    " were" },
	{ LAPSE_DOUBLE, "PlanDefinitions: 4 records were to be written and 5"
	    " were" },
	{ LAPSE_VERSION, "\"key 02\" was to be written and does not have this"
	    " run's version" },
	{ LAPSE_TIME, "\"key 02\" has another UpdatedAt than it was given" },
	{ LAPSE_DELETED, "PlanDefinitions: the record \"key 02\" was to be"
	    " deleted and is live" },
};

START_TEST(delete_fault_named)
{
	static const struct world nothing = { .keys = 0 };
	struct run		 *run = run_planned(&small);

	CHECK(run_apply(run, &err));
	(void)run_end(run, 0, &err);
	run = run_planned(&nothing);
	fault_set(run->store, IN_RECORD, delete_faults[_i].kind, 1);
	ck_assert_int_eq(run_apply(run, &err), -1);
	(void)run_end(run, -1, &err);
	ck_assert_int_eq(err.status, STATUS_UNBALANCED);
	ck_assert_msg(strstr(err.text, delete_faults[_i].words) != NULL, "%s",
	    err.text);
	ck_assert(fault.has_fired);
}
END_TEST

/* Of key lists that go on in further parts. */
static const struct {
	enum lapse_kind kind;
	const char     *words;
} part_faults[] = {
	{ LAPSE_LOSE, "further keys of the history: 1 records were to be"
	    " written and 0 were" },
	{ LAPSE_DOUBLE_ELSEWHERE, "further keys of the history: 1 records were"
	    " to be written and 2 were" },
	{ LAPSE_ELSEWHERE, "keys that were planned under Added, or a part of"
	    " them; want " },
	{ LAPSE_DATA, "keys that were planned under Added, or a part of them;"
	    " want " },
};

START_TEST(part_fault_named)
{
	static const struct world wide = { .keys = 330, .key_len = 1000 };
	struct run		 *run = run_planned(&wide);

	fault_set(run->store, IN_KEYS, part_faults[_i].kind, 1);
	refused(run, part_faults[_i].words);
	ck_assert(fault.has_fired);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("balance_words");
	TCase *tests = tcase_create("balance_words");

	tcase_add_checked_fixture(tests, set_up, sqlite_tear_down);
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, counts_differ, 0, LENGTH_OF(counts));
	tcase_add_loop_test(tests, one_alone, 0, LENGTH_OF(alone));
	tcase_add_loop_test(tests, alone_in_store, 0, 2);
	tcase_add_loop_test(tests, fault_named, 0, LENGTH_OF(faults));
	tcase_add_loop_test(tests, delete_fault_named, 0,
	    LENGTH_OF(delete_faults));
	tcase_add_loop_test(tests, part_fault_named, 0,
	    LENGTH_OF(part_faults));
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
