#include <string.h>

#include "bulk_mark.h"
#include "collection.h"
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

/* Has a run of another source, which was for a part of the server, deleted what
 * conversion wants, being absent there? */
static bool
takes_away(const struct store_history *entry, const bson_t *bulk)
{
	const char     *save = text_of(bulk, "Save");
	enum collection i;
	bson_t		tallies;

	if (save == NULL || strcmp(save, "overwrite") != 0 ||
	    is_set(bulk, "Complete") ||
	    !bson_init_static(&tallies, entry->tallies, entry->tallies_len))
		return false;
	for (i = 0; i < COLLECTION_RAW_MAX; i++) {
		if (bson_has_field(&tallies, collection_resource_type(i)))
			return true;
	}
	return false;
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

int
bulk_mark_find(struct store *store, const char *source, uint64_t most,
    struct bulk_mark *mark, struct error *err)
{
	struct store_cursor *cursor;
	struct store_history entry;
	const char	    *text;
	bson_t		     bulk;
	bool		     is_cut = false;
	int		     rc;

	*mark = (struct bulk_mark){ 0 };
	if (store_history_open(store, MAX_MARK_ENTRIES, &cursor, err) == -1)
		return -1;
	while ((rc = store_history_next(cursor, &entry, err)) == 1) {
		if (!get_bulk(&entry, &bulk))
			continue;
		text = text_of(&bulk, "Source");
		if (text == NULL || strcmp(text, source) != 0) {
			is_cut |= !mark->is_there && takes_away(&entry, &bulk);
			continue;
		}
		if (take_entry(&bulk, mark) ||
		    (mark->is_there && mark->since_full >= most))
			break;
	}
	mark->is_complete &= !is_cut;
	store_cursor_close(cursor);
	return rc == -1 ? -1 : 0;
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
	/* What was put aside is missing in the store. */
	must(BSON_APPEND_BOOL(out, "Full", note->since == NULL &&
	    note->bad == 0) &&
	    BSON_APPEND_BOOL(out, "Complete", note->is_complete) &&
	    (!note->has_gap || BSON_APPEND_BOOL(out, "Gap", true)) &&
	    BSON_APPEND_INT64(out, "Files", (int64_t)note->files) &&
	    BSON_APPEND_INT64(out, "Bytes", (int64_t)note->bytes) &&
	    BSON_APPEND_INT64(out, "Bad", (int64_t)note->bad) &&
	    BSON_APPEND_ARRAY(out, "Messages", note->messages));
}
