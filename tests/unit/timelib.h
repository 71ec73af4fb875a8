/*
 * A model of one collection's past: for each finished version what every key
 * was, and runs that are carried out by the program's own upsert.
 */
#ifndef NOMPD_TIMELIB_H
#define NOMPD_TIMELIB_H

#include "backendlib.h"
#include "plan.h"
#include "upsert.h"

#define PAST_KEYS     9
#define PAST_VERSIONS 64

/* A key at a version; version 0: it was not there. */
struct past_record {
	int64_t version;
	int	fill;
	bool	is_deleted;
};

/*
 * what[N] is what the finished version N has left; is_finished says which are.
 * live is what the next run's upstream has: a fill for each key, 0 for none.
 */
static struct {
	struct past_record what[PAST_VERSIONS][PAST_KEYS];
	bool		   is_finished[PAST_VERSIONS];
	int64_t		   last;
	int		   live[PAST_KEYS];
} past;

static uint64_t past_dice;

/* The numbers of splitmix64. */
static inline uint64_t
past_roll(uint64_t sides)
{
	uint64_t bits;

	past_dice += 0x9e3779b97f4a7c15;
	bits = (past_dice ^ (past_dice >> 30)) * 0xbf58476d1ce4e5b9;
	bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
	return (bits ^ (bits >> 31)) % sides;
}

static inline void
past_begin(uint64_t seed)
{
	memset(&past, 0, sizeof(past));
	past_dice = seed;
}

/* Keys whose order is that of their numbers. */
static inline const char *
past_key(int number)
{
	static const char *const keys[PAST_KEYS] = { "A", "B/1", "a", "a$b",
		"a.b", "b", "c", "\xc3\xa5", "\xf0\x9f\x92\x8a" };

	return keys[number];
}

static inline int
past_number(const char *key)
{
	int i;

	for (i = 0; i < PAST_KEYS && strcmp(past_key(i), key) != 0; i++)
		;
	ck_assert_msg(i < PAST_KEYS, "no such key: %s", key);
	return i;
}

/* The upstream changes: some keys come, some change, some go. */
static inline void
past_change(void)
{
	int i;

	for (i = 0; i < PAST_KEYS; i++) {
		if (past_roll(3) == 0)
			past.live[i] = (int)past_roll(4);
	}
}

static inline void
past_set(int key, int fill)
{
	past.live[key] = fill;
}

/* A run over the upstream up to its last write before the history. */
static inline struct store *
past_write(int64_t *version)
{
	struct tally  tally = { .name = PLANS };
	struct stage *stage;
	struct store *store;
	int	      i;

	CHECK(stage_open(&stage, &err));
	for (i = 0; i < PAST_KEYS; i++) {
		if (past.live[i] != 0)
			stage_one(stage, past_key(i), (uint8_t)past.live[i]);
	}
	CHECK(stage_finish(stage, PLAN_DEFINITIONS, &err));
	store = open_store(STORE_WRITE);
	take_lease(store);
	CHECK(store_begin(store, &err));
	CHECK(store_undo(store, &err));
	CHECK(plan_collection(stage, store, &tally, &err));
	CHECK(store_version_raise(store, 7, version, &err));
	ck_assert_int_lt(*version, PAST_VERSIONS);
	CHECK(upsert_collection(stage, store, &tally, *version,
	    1000 * *version, &err));
	stage_close(stage);
	return store;
}

/* The records as the cursor gives them, under a version. */
static inline void
past_fill(struct past_record *what, struct store_cursor *cursor)
{
	struct store_record  record;
	struct past_record  *at;
	bson_iter_t	     iter;
	bson_t		     data;
	int		     rc;

	memset(what, 0, PAST_KEYS * sizeof(*what));
	while ((rc = store_record_next(cursor, &record, &err)) == 1) {
		at = &what[past_number(record.key)];
		ck_assert(bson_init_static(&data, record.data,
		    record.data_len) && bson_iter_init_find(&iter, &data,
		    "n"));
		ck_assert_int_eq(at->version, 0);
		*at = (struct past_record){ record.version,
			bson_iter_int32(&iter), record.is_deleted };
		/* That of a run that died stays, where it leaves anything. */
		ck_assert_int_le(record.updated_at_ms, 1000 * record.version);
		ck_assert_int_eq(record.hash[1], "0123456789abcdef"[
		    at->fill]);
	}
	ck_assert_msg(rc == 0, "%s", err.text);
}

/* What a run has just published is noted, as it is; it is what the upstream
 * had. */
static inline void
past_note(int64_t version)
{
	struct store	    *store = open_store(STORE_PEEK);
	struct store_cursor *cursor;
	struct past_record  *what = past.what[version];
	int		     i;

	CHECK(store_begin(store, &err));
	CHECK(store_records_open(store, PLANS, true, &cursor, &err));
	past_fill(what, cursor);
	store_cursor_close(cursor);
	store_close(store);
	for (i = 0; i < PAST_KEYS; i++) {
		ck_assert_int_eq(what[i].version != 0 && !what[i].is_deleted,
		    past.live[i] != 0);
		if (past.live[i] != 0)
			ck_assert_int_eq(what[i].fill, past.live[i]);
	}
	past.is_finished[version] = true;
	past.last = version;
}

/* The end of a run: published or, as if it had died, not. */
static inline void
past_end(struct store *store, int64_t version, bool is_published)
{
	if (!is_published) {
		store_close(store);
		return;
	}
	put_history(store, version, 1000 * version);
	CHECK(store_publish(store, &err));
	store_close(store);
	past_note(version);
}

static inline int64_t
past_run(bool is_published)
{
	struct store *store;
	int64_t	      version;

	store = past_write(&version);
	past_end(store, version, is_published);
	return version;
}

static inline void
past_list(struct buf *list, const char *key, const struct past_record *record)
{
	buf_print(list, "%s=%d@%lld%s ", key, record->fill,
	    (long long)record->version, record->is_deleted ? "-" : "");
}

/* The cursor gives what the model expects, no more and no less. */
static inline void
past_is(struct store_cursor *cursor, bool by_version, struct buf *expected,
    const char *what)
{
	struct store_record record;
	struct buf	    found = { 0 };
	bson_iter_t	    iter;
	bson_t		    data;
	int		    rc;

	while ((rc = by_version ? store_changes_next(cursor, &record, &err) :
	    store_record_next(cursor, &record, &err)) == 1) {
		ck_assert(bson_init_static(&data, record.data,
		    record.data_len) && bson_iter_init_find(&iter, &data,
		    "n"));
		past_list(&found, record.key, &(struct past_record){
		    record.version, bson_iter_int32(&iter),
		    record.is_deleted });
	}
	store_cursor_close(cursor);
	ck_assert_msg(rc == 0, "%s: %s", what, err.text);
	buf_append_byte(&found, 0);
	buf_append_byte(expected, 0);
	ck_assert_msg(strcmp((const char *)found.data,
	    (const char *)expected->data) == 0, "%s: want %s, have %s", what,
	    (const char *)expected->data, (const char *)found.data);
	buf_clear(&found);
	buf_clear(expected);
}

/* The changes since a version, as another one had them. */
static inline void
past_check_changes(struct store *store, int64_t version, int64_t since,
    bool with_deleted)
{
	const struct past_record *what = past.what[version];
	struct store_cursor	 *cursor;
	struct buf		  expected = { 0 };
	char			  text[64];
	int64_t			  at;
	int			  i;

	for (at = since + 1; at <= version; at++) {
		for (i = 0; i < PAST_KEYS; i++) {
			if (what[i].version == at && (with_deleted ||
			    !what[i].is_deleted))
				past_list(&expected, past_key(i), &what[i]);
		}
	}
	(void)snprintf(text, sizeof(text), "changes since %d at %d, %d",
	    (int)since, (int)version, with_deleted);
	CHECK(store_changes_open(store, PLANS, since, with_deleted, &cursor,
	    &err));
	past_is(cursor, true, &expected, text);
}

static inline void
past_check_records(struct store *store, int64_t version, bool with_deleted)
{
	const struct past_record *what = past.what[version];
	struct store_cursor	 *cursor;
	struct buf		  expected = { 0 };
	char			  text[64];
	int			  i;

	for (i = 0; i < PAST_KEYS; i++) {
		if (what[i].version != 0 && (with_deleted ||
		    !what[i].is_deleted))
			past_list(&expected, past_key(i), &what[i]);
	}
	(void)snprintf(text, sizeof(text), "records at %d, %d", (int)version,
	    with_deleted);
	CHECK(store_records_open(store, PLANS, with_deleted, &cursor, &err));
	past_is(cursor, false, &expected, text);
}

/* One record by its key; a tombstone that was pruned may be missing. */
static inline void
past_check_record(struct store *store, int64_t version, int key)
{
	const struct past_record *what = &past.what[version][key];
	struct store_cursor	 *cursor;
	struct buf		  expected = { 0 };
	char			  text[64];

	if (what->version != 0)
		past_list(&expected, past_key(key), what);
	(void)snprintf(text, sizeof(text), "record %d at %d", key,
	    (int)version);
	CHECK(store_record_open(store, PLANS, past_key(key),
	    strlen(past_key(key)), &cursor, &err));
	past_is(cursor, false, &expected, text);
}

/*
 * All that can be asked of a version, in a store that shows it; tombstones only
 * when all are there.
 */
static inline void
past_check(struct store *store, int64_t version, bool with_deleted)
{
	const struct past_record *what = past.what[version];
	int64_t			  live = 0, deleted = 0;
	int			  i;

	for (i = 0; i < PAST_KEYS; i++) {
		if (with_deleted || !what[i].is_deleted)
			past_check_record(store, version, i);
		live += what[i].version != 0 && !what[i].is_deleted;
		deleted += what[i].version != 0 && what[i].is_deleted;
	}
	past_check_records(store, version, false);
	past_check_changes(store, version, (int64_t)past_roll(
	    (uint64_t)version + 1), false);
	if (!with_deleted)
		return;
	past_check_records(store, version, true);
	past_check_changes(store, version, 0, true);
	past_check_changes(store, version, (int64_t)past_roll(
	    (uint64_t)version + 1), true);
	counts_are(store, PLANS, live, deleted);
}

/* A reader sees the last finished version, and each one before it that it
 * looks for. */
static inline void
past_check_reader(int64_t from)
{
	struct store *store = open_store(STORE_READ);
	int64_t	      version;

	CHECK(store_begin(store, &err));
	past_check(store, past.last, true);
	for (version = from; version <= past.last; version++) {
		if (!past.is_finished[version])
			continue;
		store_view(store, version);
		past_check(store, version, true);
	}
	store_close(store);
}

#endif
