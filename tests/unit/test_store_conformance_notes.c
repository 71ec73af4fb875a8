/*
 * The promises of store.h on each kind of store (backendlib.h says on which):
 * notes.
 */
#include "backendlib.h"
#include "xalloc.h"

static struct store *
open_with_lease(void)
{
	struct store *store = open_store(STORE_WRITE);

	take_lease(store);
	return store;
}

static void
put_note(struct store *store, const char *id, int32_t number)
{
	bson_t doc = BSON_INITIALIZER;

	BSON_APPEND_INT32(&doc, "$n.", number);
	CHECK(store_note_put(store, id, bson_get_data(&doc), doc.len, &err));
	bson_destroy(&doc);
}

/* The notes as "id:number". */
static void
notes_are(struct store *store, const char *prefix, const char *expected)
{
	struct store_cursor *cursor;
	struct store_note    note;
	struct buf	     list = { 0 };
	bson_iter_t	     iter;
	bson_t		     doc;
	int		     rc;

	CHECK(store_notes_open(store, prefix, &cursor, &err));
	while ((rc = store_notes_next(cursor, &note, &err)) == 1) {
		ck_assert(bson_init_static(&doc, note.data, note.len));
		ck_assert(bson_iter_init_find(&iter, &doc, "$n."));
		list_key(&list, note.id, bson_iter_int32(&iter), false);
	}
	list_is(&list, rc, expected);
	store_cursor_close(cursor);
}

static void
notes_of_all_are(const char *expected)
{
	static const enum store_mode modes[] = { STORE_READ, STORE_DRY,
		STORE_UPDATE };
	struct store		    *store;
	int			     i;

	for (i = 0; i < LENGTH_OF(modes); i++) {
		store = open_store(modes[i]);
		CHECK(store_begin(store, &err));
		notes_are(store, "", expected);
		store_close(store);
	}
}

START_TEST(none)
{
	struct store *store = open_store(STORE_DRY);

	notes_are(store, "", "");
	store_close(store);
	store_close(open_store(STORE_WRITE));
	notes_of_all_are("");
}
END_TEST

START_TEST(put_and_replaced)
{
	struct store *store = open_with_lease();

	put_note(store, "job", 1);
	notes_are(store, "", "job:1");
	put_note(store, "job", 2);
	notes_are(store, "", "job:2");
	store_close(store);
	notes_of_all_are("job:2");
}
END_TEST

static const char *const ids[] = { "b/2", "b/10", "B/1", "b", "b/", "a/1",
	"c", "b0", "b.", "b/~", "b/%" };

static const struct {
	const char *prefix;
	const char *are;	/* with it */
	const char *others;
} prefixes[] = {
	{ "", "B/1:2 a/1:5 b:3 b.:8 b/:4 b/%:10 b/10:1 b/2:0 b/~:9 b0:7 c:6",
	    "" },
	{ "b/", "b/:4 b/%:10 b/10:1 b/2:0 b/~:9",
	    "B/1:2 a/1:5 b:3 b.:8 b0:7 c:6" },
	{ "b/1", "b/10:1",
	    "B/1:2 a/1:5 b:3 b.:8 b/:4 b/%:10 b/2:0 b/~:9 b0:7 c:6" },
	{ "d", "",
	    "B/1:2 a/1:5 b:3 b.:8 b/:4 b/%:10 b/10:1 b/2:0 b/~:9 b0:7 c:6" },
};

START_TEST(by_prefix)
{
	struct store *store = open_with_lease();
	int	      i;

	for (i = 0; i < LENGTH_OF(ids); i++)
		put_note(store, ids[i], i);
	notes_are(store, prefixes[_i].prefix, prefixes[_i].are);
	CHECK(store_notes_delete(store, prefixes[_i].prefix, &err));
	notes_are(store, prefixes[_i].prefix, "");
	notes_are(store, "", prefixes[_i].others);
	CHECK(store_notes_delete(store, prefixes[_i].prefix, &err));
	store_close(store);
	notes_of_all_are(prefixes[_i].others);
}
END_TEST

/* Deleting is no error where there never was a note. */
START_TEST(delete_none)
{
	struct store *store = open_with_lease();

	CHECK(store_notes_delete(store, "x", &err));
	store_close(store);
	notes_of_all_are("");
}
END_TEST

/* Notes are no part of the run: they outlive one that dies. */
START_TEST(outlive_run)
{
	struct store_writer *writer;
	struct store	    *store;
	int64_t		     version;

	store = open_with_lease();
	put_note(store, "job", 1);
	CHECK(store_begin(store, &err));
	CHECK(store_version_raise(store, 0, &version, &err));
	writer = open_writer(store, PLANS, version, 0);
	CHECK(put_fill(writer, "a", 1, true));
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, false);
	notes_of_all_are("job:1");
	store = open_with_lease();
	CHECK(store_begin(store, &err));
	scan(store);
	CHECK(store_version_raise(store, 0, &version, &err));
	put_history(store, version, 1000);
	CHECK(store_publish(store, &err));
	CHECK(store_notes_delete(store, "job", &err));
	store_close(store);
	notes_of_all_are("");
}
END_TEST

/* A note with len bytes of BSON. */
static bson_t *
note_of(size_t len)
{
	bson_t *doc = bson_new();
	char   *text;

	/* Length, type, name, length, text, NUL, NUL. */
	len -= 4 + 1 + 2 + 4 + 1 + 1;
	text = xcalloc(len + 1, 1);
	memset(text, 'x', len);
	ck_assert(bson_append_utf8(doc, "t", -1, text, (int)len));
	free(text);
	return doc;
}

START_TEST(largest)
{
	bson_t		    *doc = note_of(MAX_NOTE_BYTES);
	struct store	    *store = open_with_lease();
	struct store_cursor *cursor;
	struct store_note    note;
	char		     id[MAX_NOTE_ID + 1];

	memset(id, 'i', MAX_NOTE_ID);
	id[MAX_NOTE_ID] = '\0';
	ck_assert_uint_eq(doc->len, MAX_NOTE_BYTES);
	CHECK(store_note_put(store, id, bson_get_data(doc), doc->len, &err));
	CHECK(store_notes_open(store, "i", &cursor, &err));
	CHECK_NEXT(store_notes_next(cursor, &note, &err));
	ck_assert_str_eq(note.id, id);
	ck_assert_uint_eq(note.len, doc->len);
	ck_assert_mem_eq(note.data, bson_get_data(doc), doc->len);
	ck_assert_int_eq(store_notes_next(cursor, &note, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
	bson_destroy(doc);
}
END_TEST

START_TEST(too_large)
{
	bson_t	     *doc = note_of(_i == 0 ? MAX_NOTE_BYTES + 1 : 100);
	struct store *store = open_with_lease();
	char	      id[MAX_NOTE_ID + 2] = "i";

	if (_i == 1) {
		memset(id, 'i', MAX_NOTE_ID + 1);
		id[MAX_NOTE_ID + 1] = '\0';
	}
	CHECK_FAILS(store_note_put(store, id, bson_get_data(doc), doc->len,
	    &err), "is too long");
	notes_are(store, "", "");
	store_close(store);
	bson_destroy(doc);
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("store_conformance_notes", &tests);

	tcase_add_test(tests, none);
	tcase_add_test(tests, put_and_replaced);
	tcase_add_loop_test(tests, by_prefix, 0, LENGTH_OF(prefixes));
	tcase_add_test(tests, delete_none);
	tcase_add_test(tests, outlive_run);
	tcase_add_test(tests, largest);
	tcase_add_loop_test(tests, too_large, 0, 2);
	return test_run(suite);
}
