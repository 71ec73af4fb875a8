/* What the tests of all kinds of store share: a store at a place, and runs that
 * fill it. */
#ifndef NOMPD_STORELIB_H
#define NOMPD_STORELIB_H

#include <stdio.h>
#include <unistd.h>

#include "collection.h"
#include "hash.h"
#include "stage.h"
#include "store.h"
#include "store_place.h"
#include "testlib.h"
#include "text.h"

#define CHECK(call) ck_assert_msg((call) != -1, "%s", err.text)
/* A cursor gives something. */
#define CHECK_NEXT(call) ck_assert_msg((call) == 1, "no more, or: %s", err.text)
/* The call fails, the store is to blame, and the error has the words. */
#define CHECK_FAILS(call, words) do { \
	ck_assert_int_eq((call), -1); \
	ck_assert_int_eq(err.status, STATUS_STORE); \
	ck_assert_msg(strstr(err.text, (words)) != NULL, "%s", err.text); \
} while (0)

#define PLANS "PlanDefinitions"

static char	    uri[MAX_STORE_URI_BYTES];
static struct store_place place = { uri, NULL };
static struct error err = { .text = "" };

static inline struct store *
open_store(enum store_mode mode)
{
	struct store *store;

	CHECK(store_open(&place, mode, &store, &err));
	return store;
}

static inline bool
is_there(struct store *store, const char *collection, const char *key,
    size_t len)
{
	struct store_cursor *cursor;
	struct store_record  record;
	int		     rc;

	CHECK(store_record_open(store, collection, key, len, &cursor, &err));
	rc = store_record_next(cursor, &record, &err);
	ck_assert_msg(rc != -1, "%s", err.text);
	store_cursor_close(cursor);
	return rc == 1;
}

/* Reads the whole old state, as each run does before it writes. */
static inline void
scan(struct store *store)
{
	struct store_cursor *cursor;
	struct store_state   state;
	int		     i, rc;

	for (i = 0; i < COLLECTION__MAX; i++) {
		CHECK(store_state_open(store, collection_name(i), &cursor,
		    &err));
		while ((rc = store_state_next(cursor, &state, &err)) == 1)
			;
		ck_assert_msg(rc == 0, "%s", err.text);
		store_cursor_close(cursor);
	}
}

static inline void
take_lease(struct store *store)
{
	char holder[MAX_HOLDER_TEXT];

	ck_assert_int_eq(store_lease_try(store, holder, &err), 1);
}

/* The start of a run: what it writes comes next. */
static inline struct store *
begin_run(int64_t now_ms, int64_t *version)
{
	struct store *store = open_store(STORE_WRITE);

	take_lease(store);
	CHECK(store_begin(store, &err));
	CHECK(store_undo(store, &err));
	scan(store);
	CHECK(store_version_raise(store, now_ms, version, &err));
	return store;
}

static inline void
put_history(struct store *store, int64_t version, int64_t synced_at_ms)
{
	bson_t		     doc = BSON_INITIALIZER;
	struct store_history entry = {
		.version = version,
		.synced_at_ms = synced_at_ms,
		.tallies = bson_get_data(&doc),
		.tallies_len = doc.len,
	};

	CHECK(store_history_put(store, &entry, &err));
	bson_destroy(&doc);
}

/* The end of a run; published or not. */
static inline void
end_run(struct store *store, int64_t version, bool is_published)
{
	put_history(store, version, 1000 * version);
	if (is_published)
		CHECK(store_publish(store, &err));
	store_close(store);
}

static inline struct store_writer *
open_writer(struct store *store, const char *collection, int64_t version,
    int64_t now_ms)
{
	struct store_writer *writer;

	CHECK(store_writer_open(store, collection, version, now_ms, &writer,
	    &err));
	return writer;
}

/* Puts a record whose hash is full of one byte. */
static inline int
put_data(struct store_writer *writer, const char *key, const bson_t *doc,
    uint8_t fill, bool is_new)
{
	uint8_t		 hash[HASH_BYTES];
	struct store_put record = {
		.key = key,
		.len = strlen(key),
		.data = bson_get_data(doc),
		.data_len = doc->len,
		.hash = hash,
		.is_new = is_new,
	};

	memset(hash, fill, sizeof(hash));
	return store_writer_put(writer, &record, &err);
}

static inline int
put_fill(struct store_writer *writer, const char *key, uint8_t fill,
    bool is_new)
{
	bson_t doc = BSON_INITIALIZER;
	int    rc;

	BSON_APPEND_INT32(&doc, "n", fill);
	rc = put_data(writer, key, &doc, fill, is_new);
	bson_destroy(&doc);
	return rc;
}

/* A run that puts and deletes; published or not. */
static inline void
write_run(const char *const *puts, const char *const *deletes, uint8_t fill,
    bool is_published)
{
	struct store_writer *writer;
	struct store	    *store;
	int64_t		     version;

	store = begin_run(1000, &version);
	writer = open_writer(store, PLANS, version, fill * 1000);
	for (; puts != NULL && *puts != NULL; puts++)
		CHECK(put_fill(writer, *puts, fill, !is_there(store, PLANS,
		    *puts, strlen(*puts))));
	for (; deletes != NULL && *deletes != NULL; deletes++)
		CHECK(store_writer_delete(writer, *deletes, strlen(*deletes),
		    &err));
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, is_published);
}

static inline void
counts_are(struct store *store, const char *collection, int64_t live,
    int64_t deleted)
{
	struct store_counts counts = { -1, -1 };

	CHECK(store_counts_get(store, collection, &counts, &err));
	ck_assert_int_eq(counts.live, live);
	ck_assert_int_eq(counts.deleted, deleted);
}

static inline void
versions_are(struct store *store, int64_t raised, int64_t finished)
{
	struct store_versions versions;

	CHECK(store_versions_get(store, &versions, &err));
	ck_assert_int_eq(versions.raised, raised);
	ck_assert_int_eq(versions.finished, finished);
}

/* Adds "key:NUMBER", with "-" for a tombstone, to a list with spaces. */
static inline void
list_key(struct buf *list, const char *key, int64_t number, bool is_deleted)
{
	buf_print(list, "%s%s:%lld%s", list->len > 0 ? " " : "", key,
	    (long long)number, is_deleted ? "-" : "");
}

static inline void
list_is(struct buf *list, int rc, const char *expected)
{
	ck_assert_msg(rc == 0, "%s", err.text);
	buf_append_byte(list, 0);
	ck_assert_str_eq((const char *)list->data, expected);
	buf_clear(list);
}

/* The state as "key:fill". */
static inline void
state_is(const char *expected)
{
	struct store	    *store = open_store(STORE_READ);
	struct store_cursor *cursor;
	struct store_state   state;
	struct buf	     list = { 0 };
	int		     rc;

	CHECK(store_state_open(store, PLANS, &cursor, &err));
	while ((rc = store_state_next(cursor, &state, &err)) == 1) {
		ck_assert_uint_eq(state.len, strlen(state.key));
		list_key(&list, state.key, state.hash[0], state.is_deleted);
	}
	list_is(&list, rc, expected);
	store_cursor_close(cursor);
	store_close(store);
}

/* The records, tombstones too, as "key:fill". */
static inline void
records_are(const char *expected)
{
	struct store	    *store = open_store(STORE_READ);
	struct store_cursor *cursor;
	struct store_record  record;
	struct buf	     list = { 0 };
	int		     rc;

	CHECK(store_records_open(store, PLANS, true, &cursor, &err));
	while ((rc = store_record_next(cursor, &record, &err)) == 1)
		list_key(&list, record.key, text_hex_value(
		    (uint8_t)record.hash[0]) * 16 + text_hex_value(
		    (uint8_t)record.hash[1]), record.is_deleted);
	list_is(&list, rc, expected);
	store_cursor_close(cursor);
	store_close(store);
}

/* The changes as "key:version". */
static inline void
changes_are(int64_t since, bool with_deleted, const char *expected)
{
	struct store	    *store = open_store(STORE_READ);
	struct store_cursor *cursor;
	struct store_record  record;
	struct buf	     list = { 0 };
	int		     rc;

	CHECK(store_changes_open(store, PLANS, since, with_deleted, &cursor,
	    &err));
	while ((rc = store_changes_next(cursor, &record, &err)) == 1) {
		ck_assert_uint_eq(record.len, strlen(record.key));
		list_key(&list, record.key, record.version,
		    record.is_deleted);
	}
	list_is(&list, rc, expected);
	store_cursor_close(cursor);
	store_close(store);
}

/* Stages a PlanDefinition as put_fill() makes it. */
static inline void
stage_one(struct stage *stage, const char *key, uint8_t fill)
{
	uint8_t hash[HASH_BYTES];
	bson_t	doc = BSON_INITIALIZER;

	memset(hash, fill, sizeof(hash));
	BSON_APPEND_INT32(&doc, "n", fill);
	CHECK(stage_add(stage, PLAN_DEFINITIONS, &(struct stage_doc){
	    .key = key, .len = strlen(key), .hash = hash,
	    .data = bson_get_data(&doc), .data_len = doc.len }, &err));
	bson_destroy(&doc);
}

#endif
