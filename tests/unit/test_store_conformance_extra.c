/*
 * The promises of store.h on each kind of store (backendlib.h says on which):
 * collections beside the five.
 */
#include "backendlib.h"
#include "words.h"

#define FIVE "PlanDefinitions ActivityDefinitions RegulatedAuthorizations" \
	" TreatmentGroups ReimbursementGroups"

static void
names_are(struct store *store, const char *expected)
{
	struct buf list = { 0 };
	char	 **names;
	size_t	   i;

	CHECK(store_collections_get(store, &names, &err));
	for (i = 0; names[i] != NULL; i++)
		buf_print(&list, "%s%s", i > 0 ? " " : "", names[i]);
	words_free(names);
	list_is(&list, 0, expected);
}

static void
put_into(struct store *store, const char *collection, int64_t version,
    const char *key)
{
	struct store_writer *writer;

	CHECK(store_collection_make(store, collection, &err));
	writer = open_writer(store, collection, version, 1000);
	CHECK(put_fill(writer, key, 1, !is_there(store, collection, key,
	    strlen(key))));
	CHECK(store_writer_close(writer, &err));
}

START_TEST(names_in_order)
{
	struct store *store;
	int64_t	      version;

	store = begin_run(0, &version);
	names_are(store, FIVE);
	CHECK(store_collection_make(store, "Patient", &err));
	CHECK(store_collection_make(store, "Quarantine", &err));
	CHECK(store_collection_make(store, "Encounter", &err));
	/* What is there already is made but once. */
	CHECK(store_collection_make(store, "Patient", &err));
	CHECK(store_collection_make(store, "PlanDefinitions", &err));
	names_are(store, FIVE " Encounter Patient Quarantine");
	end_run(store, version, true);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	names_are(store, FIVE " Encounter Patient Quarantine");
	store_close(store);
}
END_TEST

/* Reads all that can be read of a collection that is not there. */
static void
reads_nothing(struct store *store, const char *collection)
{
	struct store_cursor *cursor;
	struct store_record  record;
	struct store_state   state;

	CHECK(store_state_open(store, collection, &cursor, &err));
	ck_assert_int_eq(store_state_next(cursor, &state, &err), 0);
	store_cursor_close(cursor);
	CHECK(store_records_open(store, collection, true, &cursor, &err));
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	CHECK(store_changes_open(store, collection, 0, true, &cursor, &err));
	ck_assert_int_eq(store_changes_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	ck_assert(!is_there(store, collection, "a", 1));
	counts_are(store, collection, 0, 0);
}

static const char *const missing[] = { "Patient", "patient", "SyncMetadata",
	"No such table", "a\"b" };

START_TEST(missing_is_empty)
{
	static const enum store_mode modes[] = { STORE_UPDATE, STORE_READ,
		STORE_DRY };
	struct store		    *store = open_store(STORE_DRY);
	int			     i;

	reads_nothing(store, missing[_i]);
	store_close(store);
	store_close(open_store(STORE_WRITE));
	for (i = 0; i < LENGTH_OF(modes); i++) {
		store = open_store(modes[i]);
		reads_nothing(store, missing[_i]);
		names_are(store, FIVE);
		store_close(store);
	}
}
END_TEST

START_TEST(no_writer_for_missing)
{
	struct store_writer *writer;
	struct store	    *store;
	int64_t		     version;

	store = begin_run(0, &version);
	CHECK_FAILS(store_writer_open(store, "Patient", version, 0, &writer,
	    &err), "no collection Patient");
	store_close(store);
}
END_TEST

static const struct {
	const char *name;
	const char *words;
} refused[] = {
	{ "patient", "cannot be called \"patient\"" },
	{ "", "cannot be called \"\"" },
	{ "A\"; DROP TABLE x", "cannot be called" },
	{ "SyncHistory", "cannot be called" },
	{ "PLANDEFINITIONS", "cannot be called" },
	{ "PATIENT", "a collection Patient already" },
};

START_TEST(name_refused)
{
	struct store *store;
	int64_t	      version;

	store = begin_run(0, &version);
	CHECK(store_collection_make(store, "Patient", &err));
	CHECK_FAILS(store_collection_make(store, refused[_i].name, &err),
	    refused[_i].words);
	end_run(store, version, true);
	store = open_store(STORE_READ);
	names_are(store, FIVE " Patient");
	store_close(store);
}
END_TEST

/* Records of one key in three collections know nothing of each other. */
START_TEST(written_and_read)
{
	struct store_writer *writer;
	struct store_cursor *cursor;
	struct store_record  record;
	struct store	    *store;
	int64_t		     version;

	store = begin_run(0, &version);
	put_into(store, "Patient", version, "Patient/1");
	put_into(store, "Patient", version, "Patient/2");
	put_into(store, "Encounter", version, "Patient/1");
	end_run(store, version, true);
	store = begin_run(0, &version);
	CHECK(store_collection_make(store, "Patient", &err));
	writer = open_writer(store, "Patient", version, 2000);
	CHECK(store_writer_delete(writer, "Patient/1", 9, &err));
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
	store = open_store(STORE_READ);
	counts_are(store, "Patient", 1, 1);
	counts_are(store, "Encounter", 1, 0);
	counts_are(store, PLANS, 0, 0);
	CHECK(store_changes_open(store, "Patient", 1, true, &cursor, &err));
	CHECK_NEXT(store_changes_next(cursor, &record, &err));
	ck_assert_str_eq(record.key, "Patient/1");
	ck_assert(record.is_deleted);
	ck_assert_int_eq(record.version, 2);
	ck_assert_int_eq(store_changes_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

/* What a run that died leaves is there or not, but it is in nobody's way. */
START_TEST(run_that_died)
{
	struct store *store;
	int64_t	      version;

	store = begin_run(0, &version);
	CHECK(store_collection_make(store, "Patient", &err));
	end_run(store, version, false);
	store = open_store(STORE_READ);
	names_are(store, backend()->has_undo ? FIVE : FIVE " Patient");
	reads_nothing(store, "Patient");
	store_close(store);
	store = begin_run(0, &version);
	put_into(store, "Patient", version, "a");
	end_run(store, version, true);
	store = open_store(STORE_READ);
	counts_are(store, "Patient", 1, 0);
	store_close(store);
}
END_TEST

/* No table is there, or is seen by a reader, before it is published. */
START_TEST(reader_meanwhile)
{
	struct store *reader, *store;
	int64_t	      version;

	store_close(open_store(STORE_WRITE));
	reader = open_store(STORE_READ);
	CHECK(store_begin(reader, &err));
	reads_nothing(reader, "Patient");
	store = begin_run(0, &version);
	put_into(store, "Patient", version, "a");
	if (backend()->has_undo)
		reads_nothing(reader, "Patient");
	end_run(store, version, true);
	CHECK(store_end(reader, &err));
	CHECK(store_begin(reader, &err));
	counts_are(reader, "Patient", 1, 0);
	ck_assert(is_there(reader, "Patient", "a", 1));
	store_close(reader);
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("store_conformance_extra", &tests);

	tcase_add_test(tests, names_in_order);
	tcase_add_loop_test(tests, missing_is_empty, 0, LENGTH_OF(missing));
	tcase_add_test(tests, no_writer_for_missing);
	tcase_add_loop_test(tests, name_refused, 0, LENGTH_OF(refused));
	tcase_add_test(tests, written_and_read);
	tcase_add_test(tests, run_that_died);
	tcase_add_test(tests, reader_meanwhile);
	return test_run(suite);
}
