#include <string.h>

#include "bulk_mark.h"
#include "history.h"
#include "xalloc.h"

/* The text of that name, or NULL. */
static const char *
text_of(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	if (!bson_iter_init_find(&iter, doc, name) ||
	    !BSON_ITER_HOLDS_UTF8(&iter))
		return NULL;
	return bson_iter_utf8(&iter, NULL);
}

static bool
is_set(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, name) &&
	    BSON_ITER_HOLDS_BOOL(&iter) && bson_iter_bool(&iter);
}

/* The entry's member of the bulk mode. */
static bool
get_bulk(const struct store_history *entry, bson_t *out)
{
	bson_t	       tallies;
	bson_iter_t    iter;
	const uint8_t *data;
	uint32_t       len;

	if (entry->tallies == NULL || !bson_init_static(&tallies,
	    entry->tallies, entry->tallies_len) ||
	    !bson_iter_init_find(&iter, &tallies, HISTORY_BULK) ||
	    !BSON_ITER_HOLDS_DOCUMENT(&iter))
		return false;
	bson_iter_document(&iter, &len, &data);
	return bson_init_static(out, data, len);
}

/* Takes an entry of the source; true when nothing older matters. */
static bool
take_entry(const bson_t *bulk, struct bulk_mark *mark)
{
	const char *time = text_of(bulk, "TransactionTime");

	if (!mark->is_there && time != NULL && !is_set(bulk, "Gap") &&
	    instant_parse(time, &mark->transaction_us)) {
		mark->is_there = true;
		mark->is_complete = is_set(bulk, "Complete");
	}
	if (is_set(bulk, "Full"))
		return true;
	mark->since_full++;
	return false;
}

/* Is it the entry of a rollback?  *to: the version that it went back to; 0: it
 * does not say, and then nothing before it counts. */
static bool
is_rollback(const struct store_history *entry, int64_t *to)
{
	bson_iter_t iter, member;

	*to = 0;
	if (entry->tallies == NULL || !bson_iter_init_from_data(&iter,
	    entry->tallies, entry->tallies_len) ||
	    !bson_iter_find(&iter, HISTORY_ROLLBACK))
		return false;
	if (BSON_ITER_HOLDS_DOCUMENT(&iter) &&
	    bson_iter_recurse(&iter, &member) &&
	    bson_iter_find(&member, ROLLBACK_TO) &&
	    BSON_ITER_HOLDS_INT(&member))
		*to = bson_iter_as_int64(&member);
	return true;
}

/*
 * Calls fn for the bulk runs, newest first, until it says true.  What a
 * rollback has undone does not count: the records are those of an earlier run,
 * and what came later has to be asked for once more.
 */
static int
each_run(struct store *store, bool (*fn)(void *ctx,
    const struct store_history *entry, const bson_t *bulk), void *ctx,
    struct error *err)
{
	struct store_cursor *cursor;
	struct store_history entry;
	bson_t		     bulk;
	int64_t		     newest = INT64_MAX, to;
	int		     rc;

	if (store_history_open(store, MAX_MARK_ENTRIES, &cursor, err) == -1)
		return -1;
	while ((rc = store_history_next(cursor, &entry, err)) == 1) {
		if (entry.version > newest)
			continue;
		if (is_rollback(&entry, &to))
			newest = to;
		if (get_bulk(&entry, &bulk) && fn(ctx, &entry, &bulk))
			break;
	}
	store_cursor_close(cursor);
	return rc == -1 ? -1 : 0;
}

struct search {
	const char	 *source;
	uint64_t	  most;
	struct bulk_mark *mark;
};

static bool
search_mark(void *ctx, const struct store_history *entry, const bson_t *bulk)
{
	struct search	 *search = ctx;
	struct bulk_mark *mark = search->mark;
	const char	 *text = text_of(bulk, "Source");

	(void)entry;
	if (text == NULL || strcmp(text, search->source) != 0)
		return false;
	return take_entry(bulk, mark) ||
	    (mark->is_there && mark->since_full >= search->most);
}

int
bulk_mark_find(struct store *store, const char *source, uint64_t most,
    struct bulk_mark *mark, struct error *err)
{
	struct search search = {
		.source = source,
		.most = most,
		.mark = mark,
	};

	*mark = (struct bulk_mark){ 0 };
	return each_run(store, search_mark, &search, err);
}

/* The source without its types: a URL, a blank, and words with one each. */
static const char *
skip_types(const char *words)
{
	static const char types[] = " _type=";

	if (strncmp(words, types, strlen(types)) != 0)
		return words;
	return words + 1 + strcspn(words + 1, " ");
}

static bool
is_same_scope(const char *one, const char *other)
{
	size_t len = strcspn(one, " ");

	return strcspn(other, " ") == len && memcmp(one, other, len) == 0 &&
	    strcmp(skip_types(one + len), skip_types(other + len)) == 0;
}

struct scope {
	const char *source;
	bool	    is_other;
};

static bool
compare_scope(void *ctx, const struct store_history *entry, const bson_t *bulk)
{
	struct scope *scope = ctx;
	const char   *text = text_of(bulk, "Source");

	(void)entry;
	scope->is_other = text != NULL && !is_same_scope(text, scope->source);
	return true;
}

int
bulk_mark_is_other_scope(struct store *store, const char *source,
    bool *out, struct error *err)
{
	struct scope scope = { .source = source };
	int	     rc;

	rc = each_run(store, compare_scope, &scope, err);
	*out = scope.is_other;
	return rc;
}

struct wanted {
	const char *type;
	bool	    is_complete;
};

static bool
look_for_type(void *ctx, const struct store_history *entry, const bson_t *bulk)
{
	struct wanted *wanted = ctx;
	bson_t	       tallies;

	if (!bson_init_static(&tallies, entry->tallies, entry->tallies_len) ||
	    !bson_has_field(&tallies, wanted->type))
		return false;
	wanted->is_complete = is_set(bulk, "Complete");
	return true;
}

int
bulk_mark_has_all(struct store *store, const char *const types[], size_t n,
    bool *out, struct error *err)
{
	struct wanted wanted;
	size_t	      i;

	*out = true;
	for (i = 0; i < n && *out; i++) {
		wanted = (struct wanted){ .type = types[i] };
		if (each_run(store, look_for_type, &wanted, err) == -1)
			return -1;
		*out = wanted.is_complete;
	}
	return 0;
}

static void
must(bool done)
{
	if (!done)
		xalloc_end();
}

void
bulk_mark_make(const struct bulk_note *note, bson_t *out)
{
	bson_init(out);
	must(BSON_APPEND_UTF8(out, "Source", note->source) &&
	    (note->since != NULL ? BSON_APPEND_UTF8(out, "Since",
	    note->since) : BSON_APPEND_NULL(out, "Since")) &&
	    BSON_APPEND_UTF8(out, "TransactionTime", note->transaction) &&
	    BSON_APPEND_UTF8(out, "Save", note->overwrites ? "overwrite" :
	    "merge"));
	must(BSON_APPEND_BOOL(out, "Full", note->since == NULL) &&
	    BSON_APPEND_BOOL(out, "Complete", note->is_complete) &&
	    (!note->has_gap || BSON_APPEND_BOOL(out, "Gap", true)) &&
	    BSON_APPEND_INT64(out, "Files", (int64_t)note->files) &&
	    BSON_APPEND_INT64(out, "Bytes", (int64_t)note->bytes) &&
	    BSON_APPEND_INT64(out, "Bad", (int64_t)note->bad) &&
	    BSON_APPEND_ARRAY(out, "Messages", note->messages));
}
