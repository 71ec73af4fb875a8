#include "bulk_mark.h"
#include "history.h"
#include "sqlitelib.h"

#define SOURCE "http://h/$export?_type=Patient"
/* 2025-04-10T08:30:00Z */
#define TIME	   "2025-04-10T08:30:00Z"
#define LATER	   "2025-04-10T10:30:00.5Z"
#define TIME_US	   INT64_C(1744273800000000)
#define LATER_US   (TIME_US + 2 * INT64_C(3600000000) + 500000)
#define MAX_ENTRIES 6

/* A run of which nothing but its entry is left. */
static void
add_entry(const uint8_t *tallies, size_t len, bool is_published)
{
	struct store_history entry = { .tallies = tallies,
		.tallies_len = len };
	struct store	    *store;

	store = begin_run(1000, &entry.version);
	entry.synced_at_ms = 1000 * entry.version;
	CHECK(store_history_put(store, &entry, &err));
	if (is_published)
		CHECK(store_publish(store, &err));
	store_close(store);
}

static void
add_json(const char *json)
{
	bson_t *doc = test_bson(json);

	add_entry(bson_get_data(doc), doc->len, true);
	bson_destroy(doc);
}

static void
add_note(const struct bulk_note *note, bool is_published)
{
	bson_t doc = BSON_INITIALIZER, bulk;

	bulk_mark_make(note, &bulk);
	BSON_APPEND_DOCUMENT(&doc, HISTORY_BULK, &bulk);
	add_entry(bson_get_data(&doc), doc.len, is_published);
	bson_destroy(&bulk);
	bson_destroy(&doc);
}

static void
mark_is(const char *source, struct bulk_mark expected)
{
	struct store	*store = open_store(STORE_READ);
	struct bulk_mark mark;

	memset(&mark, 0xff, sizeof(mark));
	CHECK(store_begin(store, &err));
	CHECK(bulk_mark_find(store, source, MAX_ENTRIES, &mark, &err));
	ck_assert_int_eq(mark.is_there, expected.is_there);
	ck_assert_int_eq(mark.transaction_us, expected.transaction_us);
	ck_assert_int_eq(mark.is_complete, expected.is_complete);
	ck_assert_uint_eq(mark.since_full, expected.since_full);
	store_close(store);
}

#define OF(source, time, full, complete) "{'Bulk':{'Source':'" source \
	"','TransactionTime':'" time "','Full':" full ",'Complete':" \
	complete "}}"
#define FULL(time)    OF(SOURCE, time, "true", "true")
#define PART(time)    OF(SOURCE, time, "false", "true")
#define GAP(time) "{'Bulk':{'Source':'" SOURCE "','TransactionTime':'" time \
	"','Full':false,'Complete':false,'Gap':true}}"
#define BACK(to)      "{'Rollback':{'To':" to ",'Reason':'r'}}"
#define OTHER(time)   OF("http://h/$export", time, "true", "true")

/* Entries in the order of the runs, and the mark that comes of them. */
static const struct {
	const char	*entries[MAX_ENTRIES];
	struct bulk_mark mark;
} histories[] = {
	{ { NULL }, { 0 } },
	{ { FULL(TIME) }, { true, TIME_US, true, 0 } },
	{ { OF(SOURCE, TIME, "true", "false") }, { true, TIME_US, false, 0 } },
	{ { PART(TIME) }, { true, TIME_US, true, 1 } },
	/* The newest entry counts, whatever its time. */
	{ { FULL(TIME), FULL(LATER) }, { true, LATER_US, true, 0 } },
	{ { FULL(LATER), FULL(TIME) }, { true, TIME_US, true, 0 } },
	{ { FULL(TIME), OF(SOURCE, LATER, "false", "false") },
	    { true, LATER_US, false, 1 } },
	/* How many since the last full one. */
	{ { PART(TIME), FULL(TIME), PART(TIME), PART(TIME), PART(LATER) },
	    { true, LATER_US, true, 3 } },
	{ { PART(TIME), PART(TIME), FULL(LATER) },
	    { true, LATER_US, true, 0 } },
	/* One that left out what changed before its own time. */
	{ { FULL(TIME), PART(TIME), GAP(LATER) }, { true, TIME_US, true, 2 } },
	/* Of another source: the whole text counts. */
	{ { OTHER(TIME) }, { 0 } },
	{ { FULL(TIME), OTHER(LATER) }, { true, TIME_US, true, 0 } },
	{ { FULL(TIME), PART(LATER), OTHER(TIME), OTHER(TIME) },
	    { true, LATER_US, true, 1 } },
	{ { OF(SOURCE "&_elements=id", TIME, "true", "true") }, { 0 } },
	/* What a rollback has undone does not count ... */
	{ { FULL(TIME), PART(LATER), BACK("1") }, { true, TIME_US, true, 0 } },
	{ { FULL(TIME), PART(TIME), GAP(LATER), PART(LATER), BACK("2") },
	    { true, TIME_US, true, 1 } },
	{ { FULL(TIME), PART(LATER), BACK("2") }, { true, LATER_US, true, 1 } },
	{ { FULL(TIME), PART(LATER), BACK("1"), PART(LATER) },
	    { true, LATER_US, true, 1 } },
	/* ... nor does one of another source, or before there was a run. */
	{ { FULL(TIME), OTHER(TIME), FULL(LATER), BACK("2") },
	    { true, TIME_US, true, 0 } },
	{ { "{}", FULL(TIME), BACK("1") }, { 0 } },
	/* One that is undone, and what it went back to. */
	{ { FULL(TIME), PART(LATER), BACK("1"), BACK("2") },
	    { true, LATER_US, true, 1 } },
	{ { FULL(TIME), PART(LATER), BACK("1"), FULL(LATER), BACK("3") },
	    { true, TIME_US, true, 0 } },
	/* Where it does not say to which version nothing can be told. */
	{ { FULL(TIME), BACK("'1'") }, { 0 } },
	{ { FULL(TIME), "{'Rollback':1}" }, { 0 } },
	/* Runs without the bulk mode. */
	{ { "{}", "{'PlanDefinitions':{'Added':1}}" }, { 0 } },
	{ { FULL(TIME), "{}", PART(LATER), "{'Patient':{}}" },
	    { true, LATER_US, true, 1 } },
	/* Damaged ones are as if they were not there ... */
	{ { FULL(TIME), "{'Bulk':1}" }, { true, TIME_US, true, 0 } },
	{ { FULL(TIME), "{'Bulk':[{'Source':'" SOURCE "'}]}" },
	    { true, TIME_US, true, 0 } },
	{ { FULL(TIME), "{'Bulk':{'TransactionTime':'" LATER "'}}" },
	    { true, TIME_US, true, 0 } },
	{ { FULL(TIME), "{'Bulk':{'Source':1,'TransactionTime':'" LATER
	    "'}}" }, { true, TIME_US, true, 0 } },
	{ { FULL(TIME), "{'Bulk':null}" }, { true, TIME_US, true, 0 } },
	/* ... or, where the source is known, runs without a time. */
	{ { FULL(TIME), "{'Bulk':{'Source':'" SOURCE "'}}" },
	    { true, TIME_US, true, 1 } },
	{ { FULL(TIME), PART("yesterday") }, { true, TIME_US, true, 1 } },
	{ { FULL(TIME), "{'Bulk':{'Source':'" SOURCE "','TransactionTime':1,"
	    "'Full':'true'}}" }, { true, TIME_US, true, 1 } },
	{ { FULL("2025-04-10") }, { 0 } },
	/* What is no boolean is not true. */
	{ { OF(SOURCE, TIME, "1", "1") }, { true, TIME_US, false, 1 } },
};

START_TEST(found)
{
	int i;

	store_close(open_store(STORE_WRITE));
	for (i = 0; histories[_i].entries[i] != NULL; i++)
		add_json(histories[_i].entries[i]);
	mark_is(SOURCE, histories[_i].mark);
}
END_TEST

/* Nobody reads on in a long history for a number that is not asked for. */
START_TEST(counts_no_further)
{
	struct store	*store;
	struct bulk_mark mark;
	int		 i;

	store_close(open_store(STORE_WRITE));
	add_json(FULL(TIME));
	for (i = 0; i < 5; i++)
		add_json(PART(LATER));
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	for (i = 1; i <= 5; i++) {
		CHECK(bulk_mark_find(store, SOURCE, (uint64_t)i, &mark, &err));
		ck_assert(mark.is_there);
		ck_assert_uint_eq(mark.since_full, i);
	}
	CHECK(bulk_mark_find(store, SOURCE, 0, &mark, &err));
	ck_assert_uint_eq(mark.since_full, 1);
	store_close(store);
}
END_TEST

static const struct {
	const char *last;
	const char *asked;
	bool	    is_other;
} scopes[] = {
	{ NULL, "u/$export", false },
	{ "u/$export", "u/$export", false },
	{ "u/$export _type=A", "u/$export _type=A,B", false },
	{ "u/$export _type=A", "u/$export", false },
	{ "u/$export", "u/$export _type=A", false },
	{ "u/$export _type=A _elements=id", "u/$export _elements=id", false },
	{ "u/$export", "u/$export _elements=id", true },
	{ "u/$export _type=A", "u/$export _type=A _typeFilter=A?x=1", true },
	{ "u/$export", "u/Group/g/$export", true },
	{ "u/Group/g/$export", "u/Group/h/$export", true },
	{ "u/$export", "v/$export", true },
	{ "u/$exports", "u/$export", true },
};

/* The last bulk run counts, not those before it, nor runs of another mode. */
START_TEST(scope)
{
	struct store *store;
	char	     *json;
	bool	      is_other;

	store_close(open_store(STORE_WRITE));
	if (scopes[_i].last != NULL) {
		add_json(OTHER(TIME));
		json = xasprintf("{'Bulk':{'Source':'%s'}}", scopes[_i].last);
		add_json(json);
		free(json);
	}
	add_json("{'PlanDefinitions':{}}");
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	CHECK(bulk_mark_is_other_scope(store, scopes[_i].asked, &is_other,
	    &err));
	ck_assert_int_eq(is_other, scopes[_i].is_other);
	store_close(store);
}
END_TEST

#define RUN(tallies, complete) "{" tallies "'Bulk':{'Complete':" complete "}}"

static const struct {
	const char *entries[MAX_ENTRIES];
	bool	    has_all;
} complete[] = {
	{ { NULL }, false },
	{ { RUN("'A':{},", "true") }, false },
	{ { RUN("'A':{},'B':{},", "true") }, true },
	{ { RUN("'A':{},", "true"), RUN("'B':{},", "true") }, true },
	{ { RUN("'A':{},'B':{},", "true"), RUN("'B':{},", "false") }, false },
	{ { RUN("'A':{},'B':{},", "false"), RUN("'B':{},", "true") }, false },
	{ { RUN("'A':{},'B':{},", "true"), RUN("'C':{},", "false") }, true },
	{ { RUN("'A':{},'B':{},", "true"), "{'A':{}}" }, true },
	{ { RUN("'A':{},'B':{},", "true"), RUN("'B':{},", "false"), BACK("1") },
	    true },
};

START_TEST(has_all)
{
	static const char *const types[] = { "A", "B" };
	struct store		*store;
	bool			 is_so;
	int			 i;

	store_close(open_store(STORE_WRITE));
	for (i = 0; complete[_i].entries[i] != NULL; i++)
		add_json(complete[_i].entries[i]);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	CHECK(bulk_mark_has_all(store, types, 2, &is_so, &err));
	ck_assert_int_eq(is_so, complete[_i].has_all);
	store_close(store);
}
END_TEST

/* Tallies that are no BSON at all. */
START_TEST(damaged_entry)
{
	add_json(FULL(TIME));
	add_json("{}");
	damage("UPDATE SyncHistory SET Tallies = x'0102' WHERE Version = 2");
	mark_is(SOURCE, (struct bulk_mark){ true, TIME_US, true, 0 });
}
END_TEST

START_TEST(store_not_there)
{
	struct store	*store = open_store(STORE_DRY);
	struct bulk_mark mark = { .is_there = true };

	CHECK(bulk_mark_find(store, SOURCE, 1, &mark, &err));
	ck_assert(!mark.is_there);
	ck_assert_uint_eq(mark.since_full, 0);
	store_close(store);
}
END_TEST

static const struct {
	const char *since;
	bool	    overwrites;
	bool	    is_complete;
	uint64_t    bad;
	const char *json;
} notes[] = {
	{ NULL, true, true, 0, "{'Source':'" SOURCE "','Since':null,"
	    "'TransactionTime':'" TIME "','Save':'overwrite','Full':true,"
	    "'Complete':true,'Files':3,'Bytes':5000000000,'Bad':0,"
	    "'Messages':['a','b']}" },
	{ LATER, false, true, 0, "{'Source':'" SOURCE "','Since':'" LATER "',"
	    "'TransactionTime':'" TIME "','Save':'merge','Full':false,"
	    "'Complete':true,'Files':3,'Bytes':5000000000,'Bad':0,"
	    "'Messages':['a','b']}" },
	/* What was put aside is missing: it is not complete. */
	{ NULL, true, false, 2, "{'Source':'" SOURCE "','Since':null,"
	    "'TransactionTime':'" TIME "','Save':'overwrite','Full':true,"
	    "'Complete':false,'Files':3,'Bytes':5000000000,'Bad':2,"
	    "'Messages':['a','b']}" },
};

/* A note is as said, and is found as the mark of the next run. */
START_TEST(made_and_found)
{
	bson_t		*messages = test_bson("{'0':'a','1':'b'}"), made;
	struct bulk_note note = { .source = SOURCE, .since = notes[_i].since,
		.transaction = TIME, .overwrites = notes[_i].overwrites,
		.is_complete = notes[_i].is_complete, .files = 3,
		.bytes = UINT64_C(5000000000), .bad = notes[_i].bad,
		.messages = messages };

	bulk_mark_make(&note, &made);
	test_json_is(&made, notes[_i].json);
	add_note(&note, true);
	mark_is(SOURCE, (struct bulk_mark){ true, TIME_US,
	    notes[_i].is_complete, notes[_i].since != NULL });
	/* Not one of a run that was never published. */
	note.transaction = LATER;
	note.is_complete = !note.is_complete;
	add_note(&note, false);
	mark_is(SOURCE, (struct bulk_mark){ true, TIME_US,
	    notes[_i].is_complete, notes[_i].since != NULL });
	bson_destroy(&made);
	bson_destroy(messages);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bulk_mark");
	TCase *tests = tcase_create("bulk_mark");

	tcase_add_checked_fixture(tests, sqlite_set_up, sqlite_tear_down);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, found, 0, LENGTH_OF(histories));
	tcase_add_loop_test(tests, scope, 0, LENGTH_OF(scopes));
	tcase_add_loop_test(tests, has_all, 0, LENGTH_OF(complete));
	tcase_add_test(tests, damaged_entry);
	tcase_add_test(tests, counts_no_further);
	tcase_add_test(tests, store_not_there);
	tcase_add_loop_test(tests, made_and_found, 0, LENGTH_OF(notes));
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
