/*
 * The MongoDB store: what runs that died after the last finished one have left
 * is undone.  A record of such a run becomes what its former state says, and
 * one that was new in it goes, so that the next run finds what the last
 * finished one has left.
 *
 * What has an unfinished version before that one is left: a batch that a frozen
 * run has sent late, or records whose history entry is not there, as in a copy
 * that was cut off.  Nothing tells which; so the next run makes it its own
 * (store_mongodb_strays.c), and nothing is lost.
 *
 * Who reads meanwhile does not see the record until it is restored, and finds
 * its state as long as that is there.  So the state stays where it is; before
 * the record is restored it gets a mark by which it counts for no former state
 * any more, but to who looks at a version as it was.  Whoever is cut off in
 * between is followed by one who does the rest.
 */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "log.h"
#include "record.h"
#include "stop.h"
#include "store_mongodb_int.h"
#include "words.h"
#include "xalloc.h"

/* Records that are undone in one go. */
#define MAX_UNDONE 1000

/* A record whose version was not finished. */
struct stray {
	struct buf key;
	int64_t	   version;
	bool	   has_state;
};

/*
 * strays[0 .. count - 1] are those at hand, sorted by their keys.  handle has
 * what is to be sent for them, NULL: nothing, and marks the _ids of the states
 * that are to be marked before that.
 */
struct undo {
	struct store_mongodb	*store;
	const char		*collection;
	int64_t			 finished; /* the last one ... */
	int64_t			 raised;   /* ... and what runs had since */
	mongoc_collection_t	*target;
	struct stray		*strays;
	size_t			 count;
	mongoc_bulk_operation_t *handle;
	bson_t			*marks;
	uint32_t		 n_marks;
	int64_t			 records; /* in handle */
	size_t			 bytes;	  /* the same */
	int64_t			 undone;
};

static int
fail_writing(const struct undo *undo, const bson_error_t *cause,
    struct error *err)
{
	char *doing = xasprintf("writing %s", undo->collection);

	(void)mongodb_fail(cause, doing, err);
	free(doing);
	return -1;
}

static int
mark_states(struct undo *undo, struct error *err)
{
	mongoc_collection_t *states;
	bson_error_t	     cause;
	bson_t		    *selector, *update;
	int		     rc = 0;

	if (undo->n_marks == 0)
		return 0;
	states = store_mongodb_collection(undo->store, COLLECTION_STATES);
	selector = BCON_NEW("_id", "{", "$in", BCON_ARRAY(undo->marks), "}");
	update = BCON_NEW("$set", "{", STATE_UNDONE, BCON_BOOL(true), "}");
	if (!mongoc_collection_update_many(states, selector, update, NULL,
	    NULL, &cause))
		rc = mongodb_fail(&cause, "writing " COLLECTION_STATES, err);
	bson_destroy(update);
	bson_destroy(selector);
	mongoc_collection_destroy(states);
	bson_reinit(undo->marks);
	undo->n_marks = 0;
	return rc;
}

static int
execute(struct undo *undo, struct error *err)
{
	bson_error_t cause;
	bson_t	     reply;
	int64_t	     done = 0;
	int	     rc = 0;

	if (mongoc_bulk_operation_execute(undo->handle, &reply, &cause) == 0)
		rc = fail_writing(undo, &cause, err);
	else
		done = mongodb_number(&reply, "nMatched") +
		    mongodb_number(&reply, "nRemoved");
	if (rc == 0 && done != undo->records)
		rc = error_set(err, STATUS_STORE, "writing %s: another run has"
		    " changed %lld of %lld records since this one began; it"
		    " stops here", undo->collection,
		    (long long)(undo->records - done),
		    (long long)undo->records);
	undo->undone += done;
	bson_destroy(&reply);
	return rc;
}

static int
send_undone(struct undo *undo, struct error *err)
{
	int rc;

	if (undo->handle == NULL)
		return 0;
	store_trace_step(&undo->store->base, "undo", undo->collection);
	rc = stop_check(STATUS_STORE, err);
	if (rc == 0)
		rc = store_mongodb_lease_check(undo->store, err);
	if (rc == 0)
		rc = mark_states(undo, err);
	if (rc == 0) {
		store_trace_step(&undo->store->base, "restore",
		    undo->collection);
		rc = execute(undo, err);
	}
	if (rc == 0)
		log_progress("undoing: %s %lld", undo->collection,
		    (long long)undo->undone);
	mongoc_bulk_operation_destroy(undo->handle);
	undo->handle = NULL;
	undo->records = 0;
	undo->bytes = 0;
	return rc;
}

/* Room for one more, of so many bytes. */
static int
make_room(struct undo *undo, size_t bytes, struct error *err)
{
	bson_t opts = BSON_INITIALIZER;

	if (undo->bytes + bytes > MAX_BULK_BYTES &&
	    send_undone(undo, err) == -1)
		return -1;
	if (undo->handle == NULL) {
		store_mongodb_must(BSON_APPEND_BOOL(&opts, "ordered", false));
		undo->handle =
		    mongoc_collection_create_bulk_operation_with_opts(
		    undo->target, &opts);
		bson_destroy(&opts);
	}
	undo->records++;
	undo->bytes += bytes;
	return 0;
}

/* As it was when it was found. */
static void
select_stray(const struct stray *stray, bson_t *selector)
{
	const char *key = (const char *)stray->key.data;
	size_t	    len = stray->key.len;

	store_mongodb_select(selector, key, len);
	store_mongodb_must(bson_append_utf8(selector, "BusinessKey", -1, key,
	    (int)len) && BSON_APPEND_INT64(selector, "Version",
	    stray->version));
}

static int
add_removal(struct undo *undo, const struct stray *stray, struct error *err)
{
	bson_error_t cause;
	bson_t	     selector;
	int	     rc;

	rc = make_room(undo, stray->key.len, err);
	select_stray(stray, &selector);
	if (rc == 0 && !mongoc_bulk_operation_remove_one_with_opts(
	    undo->handle, &selector, NULL, &cause))
		rc = fail_writing(undo, &cause, err);
	bson_destroy(&selector);
	return rc;
}

/* The record, from the document of its state. */
static void
build_record(const struct stray *stray, const bson_t *state, bson_t *out)
{
	static const char *const names[] = { "Data", "Version", "IsDeleted",
		"UpdatedAt", "ContentHash", "JsonHash" };
	const char		*key = (const char *)stray->key.data;
	bson_iter_t		 iter;
	size_t			 i;

	bson_init(out);
	store_mongodb_must(bson_append_utf8(out, "_id", -1, key,
	    (int)stray->key.len) && bson_append_utf8(out, "BusinessKey", -1,
	    key, (int)stray->key.len));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (bson_iter_init_find(&iter, state, names[i]))
			store_mongodb_must(bson_append_iter(out, NULL, -1,
			    &iter));
	}
}

static int
add_restored(struct undo *undo, struct stray *stray, const bson_t *state,
    struct error *err)
{
	bson_error_t cause;
	bson_iter_t  iter;
	bson_t	     selector, doc, *opts;
	const char  *position;
	char	     text[16];
	int	     rc;

	build_record(stray, state, &doc);
	select_stray(stray, &selector);
	opts = BCON_NEW("validate", BCON_BOOL(false));
	rc = make_room(undo, doc.len, err);
	if (rc == 0 && !mongoc_bulk_operation_replace_one_with_opts(
	    undo->handle, &selector, &doc, opts, &cause))
		rc = fail_writing(undo, &cause, err);
	(void)bson_uint32_to_string(undo->n_marks++, &position, text,
	    sizeof(text));
	store_mongodb_must(bson_iter_init_find(&iter, state, "_id") &&
	    bson_append_iter(undo->marks, position, -1, &iter));
	stray->has_state = true;
	bson_destroy(opts);
	bson_destroy(&selector);
	bson_destroy(&doc);
	return rc;
}

static int
compare_strays(const void *one, const void *other)
{
	const struct buf *key = &((const struct stray *)one)->key;
	const struct buf *other_key = &((const struct stray *)other)->key;

	return record_key_compare((const char *)key->data, key->len,
	    (const char *)other_key->data, other_key->len);
}

/* The stray that a state can be one of; NULL: it is what a finished run has
 * replaced, or what none has written. */
static struct stray *
find_stray(const struct undo *undo, const bson_t *state)
{
	struct stray wanted = { .has_state = false }, *stray;
	int64_t	     replaced = mongodb_number(state, "ReplacedIn");
	const char  *key;
	size_t	     len;

	if (!store_mongodb_is_finished(undo->store,
	    mongodb_number(state, "Version")))
		return NULL;
	key = mongodb_text(state, "BusinessKey", &len);
	buf_append(&wanted.key, key, len);
	stray = bsearch(&wanted, undo->strays, undo->count,
	    sizeof(*undo->strays), compare_strays);
	buf_clear(&wanted.key);
	return stray != NULL && replaced > undo->finished ? stray : NULL;
}

/* Of the states of a record, which come one after the other, the last. */
static int
restore_all(struct undo *undo, struct mongodb_cursor *cursor,
    struct error *err)
{
	struct stray *stray = NULL, *next;
	const bson_t *doc;
	bson_t	     *state = NULL;
	int	      rc, sent = 0;

	while (sent == 0 && (rc = mongodb_next(cursor, &doc, err)) == 1) {
		next = find_stray(undo, doc);
		if (next == NULL)
			continue;
		if (stray != NULL && stray != next)
			sent = add_restored(undo, stray, state, err);
		bson_destroy(state);
		state = bson_copy(doc);
		stray = next;
	}
	if (sent == 0 && rc == 0 && stray != NULL)
		sent = add_restored(undo, stray, state, err);
	bson_destroy(state);
	return sent == 0 ? rc : -1;
}

static struct mongodb_cursor *
find_states(const struct undo *undo)
{
	struct mongodb_cursor *cursor;
	bson_t		      *selector, opts, sort, copy, keys;
	const char	      *position;
	char		       text[16];
	size_t		       i;

	bson_init(&keys);
	for (i = 0; i < undo->count; i++) {
		(void)bson_uint32_to_string((uint32_t)i, &position, text,
		    sizeof(text));
		store_mongodb_must(bson_append_utf8(&keys, position, -1,
		    (const char *)undo->strays[i].key.data,
		    (int)undo->strays[i].key.len));
	}
	selector = BCON_NEW("Collection", BCON_UTF8(undo->collection),
	    "BusinessKey", "{", "$in", BCON_ARRAY(&keys), "}");
	bson_copy_to(selector, &copy);
	bson_destroy(selector);
	bson_destroy(&keys);
	store_mongodb_read_options(undo->store, &opts);
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort) &&
	    BSON_APPEND_INT32(&sort, "Collection", 1) &&
	    BSON_APPEND_INT32(&sort, "BusinessKey", 1) &&
	    BSON_APPEND_INT32(&sort, "Version", 1) &&
	    bson_append_document_end(&opts, &sort));
	cursor = mongodb_find(undo->store, COLLECTION_STATES, &copy, &opts);
	cursor->key = "BusinessKey";
	return cursor;
}

/* One without a state was new in the run that died. */
static int
undo_batch(struct undo *undo, struct error *err)
{
	struct mongodb_cursor *cursor;
	struct stray	      *stray;
	size_t		       i;
	int		       rc;

	if (undo->count == 0)
		return 0;
	qsort(undo->strays, undo->count, sizeof(*undo->strays),
	    compare_strays);
	cursor = find_states(undo);
	rc = restore_all(undo, cursor, err);
	store_mongodb_cursor_close(&cursor->base);
	for (i = 0; rc == 0 && i < undo->count; i++) {
		stray = &undo->strays[i];
		if (!stray->has_state)
			rc = add_removal(undo, stray, err);
	}
	undo->count = 0;
	return rc == 0 ? send_undone(undo, err) : -1;
}

static int
add_stray(struct undo *undo, const struct mongodb_cursor *cursor,
    const bson_t *doc, struct error *err)
{
	struct stray *stray = &undo->strays[undo->count];
	const char   *key;
	size_t	      len;

	stray->version = mongodb_number(doc, "Version");
	stray->has_state = false;
	if (mongodb_key(cursor, doc, &key, &len, err) == -1)
		return -1;
	stray->key.len = 0;
	buf_append(&stray->key, key, len);
	return ++undo->count < MAX_UNDONE ? 0 : undo_batch(undo, err);
}

static int
undo_all(struct undo *undo, struct error *err)
{
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	bson_t		       selector, range, opts;
	int		       rc;

	bson_init(&selector);
	/* Above these no run can have written. */
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(&selector, "Version",
	    &range) && BSON_APPEND_INT64(&range, "$gt", undo->finished) &&
	    BSON_APPEND_INT64(&range, "$lte", undo->raised) &&
	    bson_append_document_end(&selector, &range));
	store_mongodb_read_options(undo->store, &opts);
	mongodb_show_only(&opts, (const char *const[]){ "_id", "Version",
	    NULL });
	cursor = mongodb_find(undo->store, undo->collection, &selector, &opts);
	while ((rc = mongodb_next(cursor, &doc, err)) == 1) {
		rc = add_stray(undo, cursor, doc, err);
		if (rc == -1)
			break;
	}
	store_mongodb_cursor_close(&cursor->base);
	return rc == 0 ? undo_batch(undo, err) : -1;
}

static int
undo_collection(struct store_mongodb *store, const char *collection,
    const struct store_versions *versions, struct error *err)
{
	struct undo undo = {
		.store = store,
		.collection = collection,
		.finished = versions->finished,
		.raised = versions->raised,
		.target = store_mongodb_collection(store, collection),
		.strays = xcalloc(MAX_UNDONE, sizeof(struct stray)),
		.marks = bson_new(),
	};
	size_t i;
	int    rc;

	rc = undo_all(&undo, err);
	if (undo.undone > 0)
		log_info("%s: %lld records that an unfinished run has left are"
		    " what they were before it", collection,
		    (long long)undo.undone);
	for (i = 0; i < MAX_UNDONE; i++)
		buf_clear(&undo.strays[i].key);
	if (undo.handle != NULL)
		mongoc_bulk_operation_destroy(undo.handle);
	bson_destroy(undo.marks);
	free(undo.strays);
	mongoc_collection_destroy(undo.target);
	return rc;
}

bool
store_mongodb_can_undo(const struct store_versions *versions)
{
	return versions->finished > 0 &&
	    versions->states_from <= versions->finished &&
	    versions->raised >= versions->finished;
}

int
store_mongodb_undo(struct store *base, struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	struct store_versions versions;
	char		    **names, **name;
	int		      rc = 0;

	if (store->layout < SCHEMA_STATES)
		return 0;
	if ((!store->has_finished &&
	    store_mongodb_read_finished(store, err) == -1) ||
	    store_mongodb_versions_get(base, &versions, err) == -1)
		return -1;
	if (!store_mongodb_can_undo(&versions) ||
	    versions.raised == versions.finished)
		return 0;
	if (store_collections_read(base, &names, err) == -1)
		return -1;
	for (name = names; rc == 0 && *name != NULL; name++)
		rc = undo_collection(store, *name, &versions, err);
	words_free(names);
	return rc;
}
