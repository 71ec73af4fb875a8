/* The MongoDB store: are its indexes there, and do members have their types? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "store_mongodb_int.h"
#include "words.h"
#include "xalloc.h"

/* Bytes of the sentence of a finding. */
#define MAX_WHAT 300

struct check {
	struct store_mongodb *store;
	finding_fn	      found;
	void		     *ctx;
};

struct member_row {
	const char *name;
	bson_type_t type;
	bool	    is_optional;
	const char *rule;
};

/* Of a record, and behind that of a former state. */
static const struct member_row members[] = {
	{ "BusinessKey", BSON_TYPE_UTF8, false, "text" },
	{ "Version", BSON_TYPE_INT64, false, "an int64" },
	{ "IsDeleted", BSON_TYPE_BOOL, false, "a bool" },
	{ "UpdatedAt", BSON_TYPE_DATE_TIME, false, "a date" },
	{ "ContentHash", BSON_TYPE_UTF8, false, "text" },
	{ "JsonHash", BSON_TYPE_UTF8, true, "text" },
	{ "Collection", BSON_TYPE_UTF8, false, "text" },
	{ "ReplacedIn", BSON_TYPE_INT64, false, "an int64" },
};
#define N_STATE_MEMBERS	 (sizeof(members) / sizeof(members[0]))
#define N_RECORD_MEMBERS (N_STATE_MEMBERS - 2)

/* A document of a collection, of which key is borrowed. */
static int
found(const struct check *check, const char *collection, const char *key,
    size_t len, const char *what, struct error *err)
{
	return check->found(check->ctx, &(struct finding){
	    .kind = FINDING_DATA,
	    .collection = collection,
	    .key = key,
	    .len = len,
	    .what = what }, err);
}

static bool
is_sound(const bson_t *doc, const struct member_row *row)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, row->name) ?
	    bson_iter_type(&iter) == row->type : row->is_optional;
}

/* The key that stands in a member, for a message; NULL: it is no text. */
static const char *
text_of(const bson_t *doc, const char *name, size_t *len)
{
	bson_iter_t iter;
	const char *text;
	uint32_t    bytes;

	*len = 0;
	if (!bson_iter_init_find(&iter, doc, name) ||
	    !BSON_ITER_HOLDS_UTF8(&iter))
		return NULL;
	text = bson_iter_utf8(&iter, &bytes);
	*len = bytes;
	return text;
}

static int
check_document(const struct check *check, const char *collection,
    const bson_t *doc, bool is_state, struct error *err)
{
	const char *key, *id;
	char	    what[MAX_WHAT];
	size_t	    len, id_len, i;

	id = text_of(doc, "_id", &id_len);
	key = text_of(doc, "BusinessKey", &len);
	if (id == NULL)
		return found(check, collection, NULL, 0, "it has a document"
		    " whose _id is no text: none of ours", err);
	if (!is_state && (key == NULL || len != id_len ||
	    memcmp(id, key, len) != 0))
		return found(check, collection, id, id_len, "BusinessKey is"
		    " not the text of _id", err);
	for (i = 0; i < (is_state ? N_STATE_MEMBERS : N_RECORD_MEMBERS); i++) {
		if (is_sound(doc, &members[i]))
			continue;
		(void)snprintf(what, sizeof(what), "%s is not %s",
		    members[i].name, members[i].rule);
		return found(check, collection, id, id_len, what, err);
	}
	return 0;
}

/* All documents of a collection, without their Data. */
static int
check_documents(const struct check *check, const char *collection,
    bool is_state, struct error *err)
{
	const char	      *names[N_STATE_MEMBERS + 2] = { "_id" };
	struct mongodb_cursor *cursor;
	const bson_t	      *doc;
	bson_t		       selector, opts;
	size_t		       i;
	int		       rc;

	for (i = 0; i < N_STATE_MEMBERS; i++)
		names[i + 1] = members[i].name;
	bson_init(&selector);
	store_mongodb_read_options(check->store, &opts);
	mongodb_show_only(&opts, names);
	cursor = mongodb_find(check->store, collection, &selector, &opts);
	while ((rc = mongodb_next(cursor, &doc, err)) == 1) {
		if (check_document(check, collection, doc, is_state, err) ==
		    -1)
			break;
	}
	store_mongodb_cursor_close(&cursor->base);
	return rc == 0 ? 0 : -1;
}

/* Have both the same members in the same order, ascending or descending? */
static bool
is_same_key(const bson_t *one, const bson_t *other)
{
	bson_iter_t a, b;

	if (!bson_iter_init(&a, one) || !bson_iter_init(&b, other))
		return false;
	while (bson_iter_next(&a)) {
		if (!bson_iter_next(&b) ||
		    strcmp(bson_iter_key(&a), bson_iter_key(&b)) != 0 ||
		    bson_iter_as_int64(&a) != bson_iter_as_int64(&b))
			return false;
	}
	return !bson_iter_next(&b);
}

static bool
get_document(const bson_t *doc, const char *name, bson_t *out)
{
	bson_iter_t    iter;
	const uint8_t *data;
	uint32_t       len;

	if (!bson_iter_init_find(&iter, doc, name) ||
	    !BSON_ITER_HOLDS_DOCUMENT(&iter))
		return false;
	bson_iter_document(&iter, &len, &data);
	return bson_init_static(out, data, len);
}

/* Is the index as wanted says? */
static bool
is_wanted(const bson_t *index, const bson_t *wanted)
{
	bson_t one, other;

	return get_document(index, "key", &one) &&
	    get_document(wanted, "key", &other) && is_same_key(&one, &other) &&
	    mongodb_is_true(index, "unique") ==
	    mongodb_is_true(wanted, "unique");
}

enum lookup { LOOKUP_FAILED, LOOKUP_NONE, LOOKUP_SAME, LOOKUP_OTHER };

/* The index of that name beside what is wanted of it. */
static enum lookup
find_index(const struct check *check, const char *collection,
    const bson_t *wanted, struct error *err)
{
	mongoc_collection_t *source;
	mongoc_cursor_t	    *cursor;
	const bson_t	    *index;
	bson_error_t	     cause;
	enum lookup	     rc = LOOKUP_NONE;
	size_t		     len;
	const char	    *name = mongodb_text(wanted, "name", &len);

	source = store_mongodb_collection(check->store, collection);
	cursor = mongoc_collection_find_indexes_with_opts(source, NULL);
	while (rc == LOOKUP_NONE && mongoc_cursor_next(cursor, &index)) {
		if (strcmp(mongodb_text(index, "name", &len), name) == 0)
			rc = is_wanted(index, wanted) ? LOOKUP_SAME :
			    LOOKUP_OTHER;
	}
	if (mongoc_cursor_error(cursor, &cause)) {
		(void)mongodb_fail(&cause, "listing indexes", err);
		rc = LOOKUP_FAILED;
	}
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(source);
	return rc;
}

static int
check_index(const struct check *check, const char *collection,
    const bson_t *wanted, struct error *err)
{
	char	    what[MAX_WHAT];
	size_t	    len;
	enum lookup rc;

	rc = find_index(check, collection, wanted, err);
	if (rc == LOOKUP_FAILED || rc == LOOKUP_SAME)
		return rc == LOOKUP_FAILED ? -1 : 0;
	(void)snprintf(what, sizeof(what), "the index %s is %s",
	    mongodb_text(wanted, "name", &len), rc == LOOKUP_NONE ?
	    "not there" : "another than it must be");
	return check->found(check->ctx, &(struct finding){
	    .kind = rc == LOOKUP_NONE ? FINDING_INDEX : FINDING_STRANGER,
	    .what = what }, err);
}

static int
check_indexes(const struct check *check, const char *collection,
    bool has_records, struct error *err)
{
	bson_t	       command, wanted;
	bson_iter_t    iter, rows;
	const uint8_t *data;
	uint32_t       len;
	int	       rc = 0;

	store_mongodb_index_command(check->store, &command, collection,
	    has_records);
	if (bson_iter_init_find(&iter, &command, "indexes") &&
	    bson_iter_recurse(&iter, &rows)) {
		while (rc == 0 && bson_iter_next(&rows)) {
			bson_iter_document(&rows, &len, &data);
			if (bson_init_static(&wanted, data, len))
				rc = check_index(check, collection, &wanted,
				    err);
		}
	}
	bson_destroy(&command);
	return rc;
}

static int
check_rest(const struct check *check, struct error *err)
{
	static const char *const others[] = { COLLECTION_STATES, HISTORY,
		HISTORY_KEYS };
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (check_indexes(check, others[i], false, err) == -1)
			return -1;
	}
	return check_documents(check, COLLECTION_STATES, true, err);
}

int
store_mongodb_check(struct store *base, bool mends, finding_fn fn, void *ctx,
    struct error *err)
{
	struct check check = {
		.store = (struct store_mongodb *)base,
		.found = fn,
		.ctx = ctx,
	};
	char **names, **name;
	int    rc = 0;

	/* A writer has made what was missing when it opened the store. */
	if (mends)
		return 0;
	if (check.store->layout < SCHEMA_VERSION)
		return error_set(err, STATUS_STORE, "an older program has made"
		    " it (schema %lld); the next run brings it up to date, and"
		    " then it can be verified",
		    (long long)check.store->layout);
	if (store_collections_read(base, &names, err) == -1)
		return -1;
	for (name = names; rc == 0 && *name != NULL; name++) {
		rc = check_indexes(&check, *name, true, err);
		if (rc == 0)
			rc = check_documents(&check, *name, false, err);
	}
	words_free(names);
	return rc == 0 ? check_rest(&check, err) : -1;
}
