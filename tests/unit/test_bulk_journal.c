#include "bulk_journal.h"
#include "sqlitelib.h"

#define URL	"http://h/poll?id=1"
#define REQUEST "http://h/$export {\"types\":[\"Patient\"]}"

static struct store *store;

static void
setup(void)
{
	sqlite_set_up();
	store = open_store(STORE_WRITE);
	take_lease(store);
}

static void
teardown(void)
{
	store_close(store);
	sqlite_tear_down();
}

/* As another run finds it. */
static void
reopen(void)
{
	store_close(store);
	store = open_store(STORE_WRITE);
	take_lease(store);
}

static void
begin(char *url)
{
	static char		   request[] = REQUEST;
	const struct bulk_job_note note = { url, request,
		INT64_C(1744273800123) };

	CHECK(bulk_journal_begin(store, &note, &err));
}

/* The job that is read has that URL; NULL: there is none. */
static void
job_is(const char *url)
{
	struct bulk_job_note note;

	memset(&note, 0xff, sizeof(note));
	ck_assert_int_eq(bulk_journal_read(store, &note, &err), url != NULL);
	if (url != NULL) {
		ck_assert_str_eq(note.poll_url, url);
		ck_assert_str_eq(note.request, REQUEST);
		ck_assert_int_eq(note.started_at_ms, INT64_C(1744273800123));
	}
	bulk_job_note_clear(&note);
	ck_assert_ptr_null(note.poll_url);
	ck_assert_ptr_null(note.request);
	ck_assert_int_eq(note.started_at_ms, 0);
}

static void
add(unsigned number, uint64_t bytes, uint8_t fill)
{
	struct bulk_file_note note = { .number = number, .bytes = bytes };

	memset(note.digest, fill, HASH_BYTES);
	note.digest[0] = 0xab;
	memset(note.link, fill, HASH_BYTES);
	note.link[HASH_BYTES - 1] = 0xcd;
	CHECK(bulk_journal_add(store, &note, &err));
}

/* "number:bytes:fill". */
static int
list_file(void *ctx, const struct bulk_file_note *note, struct error *error)
{
	struct buf *list = ctx;

	(void)error;
	ck_assert_uint_eq(note->digest[0], 0xab);
	ck_assert_uint_eq(note->digest[1], note->digest[HASH_BYTES - 1]);
	ck_assert_uint_eq(note->link[0], note->digest[1]);
	ck_assert_uint_eq(note->link[HASH_BYTES - 1], 0xcd);
	buf_print(list, "%s%u:%llu:%d", list->len > 0 ? " " : "",
	    note->number, (unsigned long long)note->bytes, note->digest[1]);
	return 0;
}

static void
files_are(const char *expected)
{
	struct buf list = { 0 };
	int	   rc;

	rc = bulk_journal_each(store, list_file, &list, &err);
	list_is(&list, rc, expected);
}

static void
put_note(const char *id, const char *json)
{
	bson_t *doc = test_bson(json);

	CHECK(store_note_put(store, id, bson_get_data(doc), doc->len, &err));
	bson_destroy(doc);
}

static int
count_notes(const char *prefix)
{
	struct store_cursor *cursor;
	struct store_note    note;
	int		     rc, n = 0;

	CHECK(store_notes_open(store, prefix, &cursor, &err));
	while ((rc = store_notes_next(cursor, &note, &err)) == 1)
		n++;
	ck_assert_int_eq(rc, 0);
	store_cursor_close(cursor);
	return n;
}

START_TEST(none)
{
	job_is(NULL);
	files_are("");
	CHECK(bulk_journal_end(store, &err));
	job_is(NULL);
	/* Nor in a store that is not there. */
	store_close(store);
	sqlite_tear_down();
	sqlite_set_up();
	store = open_store(STORE_DRY);
	job_is(NULL);
	files_are("");
}
END_TEST

START_TEST(round_trip)
{
	char url[] = URL;

	begin(url);
	url[0] = 'x';
	add(1, 0, 7);
	add(2, UINT64_C(5000000000), 255);
	job_is(URL);
	files_are("1:0:7 2:5000000000:255");
	reopen();
	job_is(URL);
	files_are("1:0:7 2:5000000000:255");
	/* One that came again. */
	add(1, 4, 8);
	files_are("1:4:8 2:5000000000:255");
}
END_TEST

/* In the order of the files, not of the digits or of their coming. */
START_TEST(in_order)
{
	static const unsigned numbers[] = { 100000, 10, 9, 1, 4294967295U,
		999999999, 2 };
	char		      url[] = URL;
	int		      i;

	begin(url);
	for (i = 0; i < LENGTH_OF(numbers); i++)
		add(numbers[i], 1, (uint8_t)i);
	files_are("1:1:3 2:1:6 9:1:2 10:1:1 100000:1:0 999999999:1:5"
	    " 4294967295:1:4");
}
END_TEST

/* A new job knows nothing of the files of the one before. */
START_TEST(begun_anew)
{
	char first[] = URL, second[] = "https://other/poll";

	begin(first);
	add(1, 1, 1);
	add(2, 1, 1);
	begin(second);
	job_is(second);
	files_are("");
	ck_assert_int_eq(count_notes(""), 1);
}
END_TEST

START_TEST(forgotten)
{
	char url[] = URL;

	begin(url);
	add(1, 1, 1);
	put_note("other", "{'a':1}");
	put_note("bulk", "{'a':1}");
	put_note("bulk0", "{'a':1}");
	CHECK(bulk_journal_end(store, &err));
	job_is(NULL);
	files_are("");
	/* What is none of the journal's stays. */
	ck_assert_int_eq(count_notes("bulk/"), 0);
	ck_assert_int_eq(count_notes(""), 3);
}
END_TEST

/* Job notes that cannot be understood are none. */
static const char *const jobs[] = {
	"{}",
	"{'PollUrl':'" URL "'}",
	"{'Request':'r','StartedAt':1}",
	"{'PollUrl':1,'Request':'r','StartedAt':1}",
	"{'PollUrl':'" URL "','Request':['r'],'StartedAt':1}",
	"{'PollUrl':null,'Request':null}",
};

START_TEST(damaged_job)
{
	char url[] = URL;

	put_note("bulk/job", jobs[_i]);
	add(1, 1, 1);
	job_is(NULL);
	/* The next job does away with it. */
	begin(url);
	job_is(URL);
	files_are("");
}
END_TEST

START_TEST(job_without_time)
{
	struct bulk_job_note note;

	put_note("bulk/job", "{'PollUrl':'u','Request':'r','StartedAt':'x'}");
	ck_assert_int_eq(bulk_journal_read(store, &note, &err), 1);
	/* It is older than any job that may be gone on with. */
	ck_assert_int_eq(note.started_at_ms, 0);
	ck_assert_str_eq(note.poll_url, "u");
	bulk_job_note_clear(&note);
}
END_TEST

/* A note whose id only begins as the job's does. */
START_TEST(other_job_note)
{
	put_note("bulk/jobs", "{'PollUrl':'u','Request':'r','StartedAt':1}");
	job_is(NULL);
}
END_TEST

#define DIGEST \
	"abababababababababababababababababababababababababababababababab"

static const char *const files[] = {
	"{}",
	"{'Number':5,'Bytes':1}",
	"{'Number':5,'Bytes':1,'Digest':1}",
	"{'Number':5,'Bytes':1,'Digest':''}",
	"{'Number':5,'Bytes':1,'Digest':'ab'}",
	"{'Number':5,'Bytes':1,'Digest':'" DIGEST "ab'}",
	"{'Number':5,'Bytes':1,'Digest':'x" DIGEST "','Link':'" DIGEST "'}",
	"{'Number':5,'Bytes':1,'Digest':'" DIGEST "'}",
	"{'Number':5,'Bytes':1,'Digest':'" DIGEST "','Link':'x'}",
};

/* A file note that cannot be understood hides none of the others. */
START_TEST(damaged_file)
{
	char url[] = URL;

	begin(url);
	add(1, 1, 1);
	put_note("bulk/file/0000000005", files[_i]);
	add(9, 1, 2);
	files_are("1:1:1 9:1:2");
	job_is(URL);
}
END_TEST

START_TEST(no_bson)
{
	char url[] = URL;

	begin(url);
	add(1, 1, 1);
	add(2, 1, 2);
	damage("UPDATE SyncNotes SET Data = x'0102'"
	    " WHERE _id <> 'bulk/file/0000000002'");
	job_is(NULL);
	files_are("2:1:2");
}
END_TEST

/* Ends at the second file. */
static int
end_at_second(void *ctx, const struct bulk_file_note *note,
    struct error *error)
{
	int *calls = ctx;

	(void)note;
	return ++*calls < 2 ? 0 : error_set(error, STATUS_HELD, "enough");
}

START_TEST(ended_by_callback)
{
	char url[] = URL;
	int  calls = 0;

	begin(url);
	add(1, 1, 1);
	add(2, 1, 1);
	add(3, 1, 1);
	ck_assert_int_eq(bulk_journal_each(store, end_at_second, &calls, &err),
	    -1);
	ck_assert_int_eq(calls, 2);
	ck_assert_int_eq(err.status, STATUS_HELD);
	ck_assert_str_eq(err.text, "enough");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bulk_journal");
	TCase *tests = tcase_create("bulk_journal");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, none);
	tcase_add_test(tests, round_trip);
	tcase_add_test(tests, in_order);
	tcase_add_test(tests, begun_anew);
	tcase_add_test(tests, forgotten);
	tcase_add_loop_test(tests, damaged_job, 0, LENGTH_OF(jobs));
	tcase_add_test(tests, job_without_time);
	tcase_add_test(tests, other_job_note);
	tcase_add_loop_test(tests, damaged_file, 0, LENGTH_OF(files));
	tcase_add_test(tests, no_bson);
	tcase_add_test(tests, ended_by_callback);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
