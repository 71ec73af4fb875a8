/*
 * The MongoDB store: a version as it was, while runs go on, without a
 * transaction and without a snapshot of the server's.
 *
 * Before a record is rewritten, its former state is written and confirmed
 * (store_mongodb_states.c).  So the records whose version is not above the one
 * that is shown are read first, up to some number, the chunk; and then, of the
 * part of the order that the chunk covers, the former states that were there
 * at that version and have been replaced since.  A record that the first of the
 * two did not find there had been rewritten by then, so that the second one
 * finds its state.  A record that was rewritten in between is in both, and is
 * given once.  What one read has seen the next one sees at least: by the
 * session, whichever server of a replica set answers.
 *
 * When nothing is being written a chunk costs one look at an index more.
 */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "record.h"
#include "sqlite_keys.h"
#include "store_mongodb_int.h"
#include "xalloc.h"

/* A chunk is read up to so many records or bytes, and one record more. */
#define MAX_CHUNK_RECORDS 2000
#define MAX_CHUNK_BYTES	  (2 * 1024 * 1024)

/* A place in the order of a cursor: behind the record of that key and
 * version. */
struct place {
	bool	   is_set;
	int64_t	   version;
	struct buf key;
};

/*
 * states are the former states that lie behind after and up to until, the
 * chunk's last record; with the last chunk they go to the end.  given are, from
 * the first state on, the keys that were given in the order by version: the
 * record of a state comes later in that order, if at all.
 *
 * Invariant: chunk[next .. count - 1] and state are what is still to be given;
 * documents that were given stay until the next chunk.
 */
struct mongodb_view {
	struct view_question  question;
	char		     *collection;
	int64_t		      version;
	bson_t		     *chunk[MAX_CHUNK_RECORDS];
	size_t		      count;
	size_t		      next;
	bool		      is_last;
	struct place	      after;
	struct place	      until;
	struct mongodb_cursor *states;
	const bson_t	     *state; /* NULL: there is no more */
	bool		      is_state_given;
	struct sqlite_keys   *given;
};

/* What a run would undo, a dry run does not see; what it would not, it does. */
int64_t
store_mongodb_shown(const struct store_mongodb *store)
{
	const struct store_versions *begun = &store->begun;

	if (store->base.view != 0)
		return store->base.view;
	if (!store->has_begun || store->mode == STORE_RAW)
		return -1;
	return store_mongodb_can_undo(begun) || (store->mode == STORE_READ &&
	    begun->states_from <= begun->finished) ? begun->finished : -1;
}

static void
show_counts(const struct view_question *question, const char *key,
    bson_t *opts)
{
	if (question->without_data)
		mongodb_show_only(opts, (const char *const[]){ key, "Version",
		    "IsDeleted", "ContentHash", NULL });
}

struct mongodb_cursor *
store_mongodb_view_open(struct store_mongodb *store,
    const struct view_question *question, int64_t version)
{
	struct mongodb_cursor *cursor;
	struct mongodb_view   *view;
	bson_t		       selector, opts, range;

	bson_init(&selector);
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(&selector, "Version",
	    &range) && (!question->by_version ||
	    BSON_APPEND_INT64(&range, "$gt", question->since)) &&
	    BSON_APPEND_INT64(&range, "$lte", version) &&
	    bson_append_document_end(&selector, &range));
	if (!question->with_deleted)
		store_mongodb_must(BSON_APPEND_BOOL(&selector, "IsDeleted",
		    false));
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, question->by_version ? "Version" : "_id", 1,
	    question->by_version ? "_id" : NULL);
	/* Else the server might sort all that it finds by the version. */
	if (!question->by_version)
		store_mongodb_must(BSON_APPEND_UTF8(&opts, "hint", "_id_"));
	show_counts(question, "_id", &opts);
	cursor = mongodb_find(store, question->collection, &selector, &opts);
	cursor->base.store = &store->base;
	view = xcalloc(1, sizeof(*view));
	view->collection = xstrdup(question->collection);
	view->question = *question;
	view->question.collection = view->collection;
	view->version = version;
	cursor->view = view;
	return cursor;
}

static void
drop_chunk(struct mongodb_view *view)
{
	size_t i;

	for (i = 0; i < view->count; i++)
		bson_destroy(view->chunk[i]);
	view->count = 0;
	view->next = 0;
	if (view->states != NULL)
		store_mongodb_cursor_close(&view->states->base);
	view->states = NULL;
	view->state = NULL;
	view->is_state_given = false;
}

void
store_mongodb_view_free(struct mongodb_view *view)
{
	if (view == NULL)
		return;
	drop_chunk(view);
	buf_clear(&view->after.key);
	buf_clear(&view->until.key);
	sqlite_keys_close(view->given);
	free(view->collection);
	free(view);
}

static void
set_place(struct place *place, int64_t version, const char *key, size_t len)
{
	place->is_set = true;
	place->version = version;
	place->key.len = 0;
	buf_append(&place->key, key, len);
}

static int
read_chunk(struct mongodb_cursor *cursor, struct error *err)
{
	struct mongodb_view *view = cursor->view;
	const bson_t	    *doc;
	const char	    *key;
	size_t		     bytes = 0, len;
	int		     rc = 0;

	cursor->key = "_id";
	while (view->count < MAX_CHUNK_RECORDS && bytes < MAX_CHUNK_BYTES &&
	    (rc = mongodb_next(cursor, &doc, err)) == 1) {
		if (mongodb_key(cursor, doc, &key, &len, err) == -1)
			return -1;
		/* Rewritten while the server looked for it. */
		if (mongodb_number(doc, "Version") > view->version)
			continue;
		view->chunk[view->count++] = bson_copy(doc);
		bytes += doc->len;
		set_place(&view->until, mongodb_number(doc, "Version"), key,
		    len);
	}
	view->is_last = rc == 0;
	if (view->is_last)
		view->until.is_set = false;
	return rc == -1 ? -1 : 0;
}

static void
append_key(bson_t *range, const char *operator, const struct place *place)
{
	if (place->is_set)
		store_mongodb_must(bson_append_utf8(range, operator, -1,
		    place->key.len > 0 ? (const char *)place->key.data : "",
		    (int)place->key.len));
}

/* {BusinessKey: {..}}: behind after, up to until; each may be absent. */
static void
append_keys(bson_t *condition, const struct place *after,
    const struct place *until)
{
	bson_t range;

	if (!after->is_set && !until->is_set)
		return;
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(condition, "BusinessKey",
	    &range));
	append_key(&range, "$gt", after);
	append_key(&range, "$lte", until);
	store_mongodb_must(bson_append_document_end(condition, &range));
}

/* One of a list of conditions: the keys of one version. */
static void
add_version(bson_t *list, uint32_t *n, int64_t version,
    const struct place *after, const struct place *until)
{
	char	    text[16];
	const char *position;
	bson_t	    condition;

	(void)bson_uint32_to_string((*n)++, &position, text, sizeof(text));
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(list, position,
	    &condition) && BSON_APPEND_INT64(&condition, "Version", version));
	append_keys(&condition, after, until);
	store_mongodb_must(bson_append_document_end(list, &condition));
}

/* The same: all that lies between two versions. */
static void
add_between(bson_t *list, uint32_t *n, int64_t above, int64_t below)
{
	char	    text[16];
	const char *position;
	bson_t	    condition, range;

	if (above + 1 >= below)
		return;
	(void)bson_uint32_to_string((*n)++, &position, text, sizeof(text));
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(list, position,
	    &condition) && BSON_APPEND_DOCUMENT_BEGIN(&condition, "Version",
	    &range) && BSON_APPEND_INT64(&range, "$gt", above) &&
	    BSON_APPEND_INT64(&range, "$lt", below) &&
	    bson_append_document_end(&condition, &range) &&
	    bson_append_document_end(list, &condition));
}

/* The part of the order by version that the chunk covers. */
static void
select_by_version(const struct mongodb_view *view, bson_t *selector)
{
	const struct place *after = &view->after, *until = &view->until;
	struct place	    none = { .is_set = false };
	bson_t		    list;
	uint32_t	    n = 0;

	store_mongodb_must(BSON_APPEND_ARRAY_BEGIN(selector, "$or", &list));
	if (after->is_set && until->is_set &&
	    after->version == until->version)
		add_version(&list, &n, after->version, after, until);
	else {
		if (after->is_set)
			add_version(&list, &n, after->version, after, &none);
		add_between(&list, &n, after->is_set ? after->version :
		    view->question.since, until->is_set ? until->version :
		    view->version + 1);
		if (until->is_set)
			add_version(&list, &n, until->version, &none, until);
	}
	/* A list may not be empty: what no state has. */
	if (n == 0)
		add_version(&list, &n, INT64_MIN, &none, &none);
	store_mongodb_must(bson_append_array_end(selector, &list));
}

/* Those of a collection that were there at a version and are not now. */
static void
select_states(bson_t *selector, const char *collection, int64_t version)
{
	bson_init(selector);
	store_mongodb_must(BSON_APPEND_UTF8(selector, "Collection",
	    collection));
	mongodb_where(selector, "ReplacedIn", "$gt", version);
}

static void
open_states(struct store_mongodb *store, struct mongodb_view *view)
{
	const struct view_question *question = &view->question;
	bson_t			    selector, opts;

	select_states(&selector, question->collection, view->version);
	if (question->by_version)
		select_by_version(view, &selector);
	else {
		mongodb_where(&selector, "Version", "$lte", view->version);
		append_keys(&selector, &view->after, &view->until);
	}
	if (!question->with_deleted)
		store_mongodb_must(BSON_APPEND_BOOL(&selector, "IsDeleted",
		    false));
	store_mongodb_read_options(store, &opts);
	mongodb_sort_by(&opts, question->by_version ? "Version" :
	    "BusinessKey", 1, question->by_version ? "BusinessKey" : NULL);
	/* They may be many and large, and have no index of this order. */
	store_mongodb_must(BSON_APPEND_BOOL(&opts, "allowDiskUse", true));
	show_counts(question, "BusinessKey", &opts);
	view->states = mongodb_find(store, COLLECTION_STATES, &selector,
	    &opts);
	view->states->key = "BusinessKey";
}

/* The next state that is to be given, if the one before was. */
static int
next_state(struct mongodb_view *view, struct error *err)
{
	int rc;

	if (view->states == NULL ||
	    (view->state != NULL && !view->is_state_given))
		return 0;
	view->is_state_given = false;
	view->state = NULL;
	rc = mongodb_next(view->states, &view->state, err);
	if (rc != 1)
		view->state = NULL;
	if (rc == 0) {
		store_mongodb_cursor_close(&view->states->base);
		view->states = NULL;
	}
	return rc == -1 ? -1 : 0;
}

static int
next_chunk(struct mongodb_cursor *cursor, struct error *err)
{
	struct mongodb_view *view = cursor->view;
	struct place	     swap = view->after;

	drop_chunk(view);
	view->after = view->until;
	view->until = swap;
	view->until.is_set = false;
	if (read_chunk(cursor, err) == -1)
		return -1;
	open_states((struct store_mongodb *)cursor->base.store, view);
	return next_state(view, err);
}

/* Which of the two comes first: below 0 the record, above 0 the state; 0: they
 * are of one record, and in one place. */
static int
compare(const struct mongodb_cursor *cursor, struct error *err, int *order)
{
	const struct mongodb_view *view = cursor->view;
	const bson_t *record = view->chunk[view->next], *state = view->state;
	const char   *key, *other;
	int64_t	      version, other_version;
	size_t	      len, other_len;

	if (mongodb_key(view->states, state, &other, &other_len, err) == -1)
		return -1;
	key = mongodb_text(record, "_id", &len);
	version = mongodb_number(record, "Version");
	other_version = mongodb_number(state, "Version");
	if (view->question.by_version && version != other_version)
		*order = version < other_version ? -1 : 1;
	else
		*order = record_key_compare(key, len, other, other_len);
	return 0;
}

/* Gives the record that is due. */
static void
give_record(struct mongodb_cursor *cursor, const bson_t **doc)
{
	cursor->key = "_id";
	*doc = cursor->view->chunk[cursor->view->next++];
}

/* Gives the state that is due; its record is not to be given any more. */
static int
give_state(struct mongodb_cursor *cursor, const bson_t **doc,
    struct error *err)
{
	struct mongodb_view *view = cursor->view;
	const char	    *key;
	size_t		     len;

	if (mongodb_key(view->states, view->state, &key, &len, err) == -1)
		return -1;
	view->is_state_given = true;
	cursor->key = "BusinessKey";
	*doc = view->state;
	if (!view->question.by_version)
		return 1;
	if (view->given == NULL &&
	    sqlite_keys_open(&view->given, err) == -1)
		return -1;
	return sqlite_keys_add(view->given, key, len, err) == -1 ? -1 : 1;
}

/* 1 = the record is to be given, 0 = a state of its key was, before. */
static int
check_given(const struct mongodb_view *view, const bson_t *record,
    struct error *err)
{
	const char *key;
	size_t	    len;

	if (view->given == NULL)
		return 1;
	key = mongodb_text(record, "_id", &len);
	return sqlite_keys_add(view->given, key, len, err);
}

/*
 * The next one of the chunk and its states.  Of one key both may be there: the
 * state is what was there then.  They differ only where a run that was held up
 * has written late what none has published, and it was found out since.  2: it
 * was a record whose state has been given.
 */
static int
next_of_chunk(struct mongodb_cursor *cursor, const bson_t **doc,
    struct error *err)
{
	struct mongodb_view *view = cursor->view;
	int		     order = -1;

	if (next_state(view, err) == -1)
		return -1;
	if (view->next == view->count)
		return view->state != NULL ? give_state(cursor, doc, err) : 0;
	if (view->state != NULL && compare(cursor, err, &order) == -1)
		return -1;
	if (order < 0) {
		give_record(cursor, doc);
		order = check_given(view, *doc, err);
		return order == 0 ? 2 : order;
	}
	if (order == 0)
		view->next++;
	return give_state(cursor, doc, err);
}

int
store_mongodb_view_next(struct mongodb_cursor *cursor, const bson_t **doc,
    struct error *err)
{
	struct mongodb_view *view = cursor->view;
	int		     rc;

	for (;;) {
		do
			rc = next_of_chunk(cursor, doc, err);
		while (rc == 2);
		if (rc != 0)
			return rc;
		if (view->is_last)
			return store_mongodb_view_check(
			    (struct store_mongodb *)cursor->base.store,
			    view->version, view->question.with_deleted,
			    view->question.since, err);
		if (next_chunk(cursor, err) == -1)
			return -1;
	}
}

struct mongodb_cursor *
store_mongodb_view_state(struct store_mongodb *store, const char *collection,
    const char *key, size_t len, int64_t version)
{
	struct mongodb_cursor *cursor;
	bson_t		       selector, opts;

	select_states(&selector, collection, version);
	mongodb_where(&selector, "Version", "$lte", version);
	store_mongodb_must(bson_append_utf8(&selector, "BusinessKey", -1, key,
	    (int)len));
	store_mongodb_read_options(store, &opts);
	store_mongodb_must(BSON_APPEND_INT64(&opts, "limit", 1) &&
	    BSON_APPEND_UTF8(&opts, "hint", STATES_OF_KEY));
	cursor = mongodb_find(store, COLLECTION_STATES, &selector, &opts);
	cursor->key = "BusinessKey";
	return cursor;
}

int
store_mongodb_view_has_states(struct store_mongodb *store,
    const char *collection, int64_t version, struct error *err)
{
	bson_t selector, opts, doc;
	int    rc;

	select_states(&selector, collection, version);
	mongodb_where(&selector, "Version", "$lte", version);
	store_mongodb_read_options(store, &opts);
	mongodb_show_only(&opts, (const char *const[]){ "Version", NULL });
	rc = mongodb_find_one(store, COLLECTION_STATES, &selector, &opts, &doc,
	    err);
	if (rc == 1)
		bson_destroy(&doc);
	return rc;
}

/* Nobody prunes beside who writes. */
int
store_mongodb_view_check(struct store_mongodb *store, int64_t version,
    bool with_deleted, int64_t since, struct error *err)
{
	const struct store_versions *begun = &store->begun;
	struct store_versions	     now;

	if (store_mongodb_writes(store) || !store->has_begun)
		return 0;
	if (store_mongodb_read_metadata(store, &now, err) == -1)
		return -1;
	if (now.states_from <= version && (!with_deleted ||
	    now.horizon <= begun->horizon || since >= now.horizon))
		return 0;
	return error_set(err, STATUS_STORE, "what was asked for was pruned"
	    " while it was read (version %lld); ask again",
	    (long long)version);
}
