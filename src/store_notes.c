/* The front of all stores: notes. */
#include <stdlib.h>
#include <string.h>

#include "store_int.h"
#include "xalloc.h"

/* Bytes of an id that an error shows. */
#define MAX_ID_SHOWN 64
/* U+10FFFF: above all that an id may have behind its prefix. */
#define LAST_CHARACTER "\xf4\x8f\xbf\xbf"

/* The id before which the ids with that prefix end; the caller frees it. */
static char *
end_of(const char *prefix)
{
	return xasprintf("%s" LAST_CHARACTER, prefix);
}

int
store_note_put(struct store *store, const char *id, const uint8_t *data,
    size_t len, struct error *err)
{
	int rc;

	store_trace_step(store, "note", id);
	if (strlen(id) > MAX_NOTE_ID || len > MAX_NOTE_BYTES)
		rc = error_set(err, STATUS_STORE, "the note \"%.*s\" is too"
		    " long: its id has %zu bytes of at most %d, and it has"
		    " %zu of at most %d", MAX_ID_SHOWN, id, strlen(id),
		    MAX_NOTE_ID, len, MAX_NOTE_BYTES);
	else
		rc = store->ops->note_put(store, id, data, len, err);
	return store_named(store, rc, err);
}

int
store_notes_open(struct store *store, const char *prefix,
    struct store_cursor **out, struct error *err)
{
	char *end = end_of(prefix);
	int   rc;

	*out = NULL;
	rc = store->ops->notes_open(store, prefix, end, out, err);
	free(end);
	if (rc == 0 && *out == NULL)
		*out = store_cursor_empty(store);
	else if (rc == 0)
		(*out)->store = store;
	return store_named(store, rc, err);
}

int
store_notes_next(struct store_cursor *cursor, struct store_note *note,
    struct error *err)
{
	if (cursor->is_empty)
		return 0;
	return store_named(cursor->store, cursor->store->ops->notes_next(
	    cursor, note, err), err);
}

int
store_notes_delete(struct store *store, const char *prefix, struct error *err)
{
	char *end = end_of(prefix);
	int   rc;

	store_trace_step(store, "notes end", prefix);
	rc = store->ops->notes_delete(store, prefix, end, err);
	free(end);
	return store_named(store, rc, err);
}
