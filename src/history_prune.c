#include "history_prune.h"

#include <bson/bson.h>
#include <stdio.h>

#include "history.h"
#include "stop.h"

static int64_t
number_of(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, name) &&
	    BSON_ITER_HOLDS_INT64(&iter) ? bson_iter_int64(&iter) : 0;
}

bool
history_prune_get(const struct store_history *entry, struct history_prune *out)
{
	bson_iter_t    iter;
	const uint8_t *data;
	uint32_t       len;
	bson_t	       doc;

	if (entry->tallies == NULL || !bson_iter_init_from_data(&iter,
	    entry->tallies, entry->tallies_len) ||
	    !bson_iter_find(&iter, HISTORY_PRUNE) ||
	    !BSON_ITER_HOLDS_DOCUMENT(&iter))
		return false;
	bson_iter_document(&iter, &len, &data);
	if (!bson_init_static(&doc, data, len))
		return false;
	*out = (struct history_prune){
		.version = entry->version,
		.tombstones = number_of(&doc, "Tombstones"),
		.history_to = number_of(&doc, "HistoryTo"),
		.states_to = number_of(&doc, "StatesTo"),
		.states_from = number_of(&doc, "StatesFrom"),
		.horizon = number_of(&doc, "Horizon"),
	};
	if (bson_iter_init_find(&iter, &doc, "Anchor") &&
	    BSON_ITER_HOLDS_UTF8(&iter))
		(void)snprintf(out->anchor, sizeof(out->anchor), "%s",
		    bson_iter_utf8(&iter, NULL));
	return true;
}

void
history_full_init(struct history_full *full,
    const struct store_versions *versions)
{
	*full = (struct history_full){ .horizon = versions->horizon };
	if (full->horizon == 0)
		return;
	/* As long as no entry says who has raised it. */
	full->from = versions->finished;
	if (versions->raised > versions->finished)
		full->from++;
}

void
history_full_add(struct history_full *full, const struct history_prune *prune)
{
	if (full->is_known)
		return;
	full->is_known = prune->horizon == 0 ||
	    prune->horizon < full->horizon;
	if (full->is_known)
		return;
	/* One that took none may have come after one that died; what that one
	 * took is missing in all seals before it. */
	full->from = prune->version;
	full->is_known = prune->tombstones > 0;
}

int
history_full_read(struct store *store, struct history_full *out,
    struct error *err)
{
	struct store_versions versions;
	struct store_history  entry;
	struct store_cursor  *cursor;
	struct history_prune  prune;
	int		      rc = 0;

	if (store_versions_get(store, &versions, err) == -1)
		return -1;
	history_full_init(out, &versions);
	if (versions.horizon == 0)
		return 0;
	if (store_history_open(store, INT64_MAX, &cursor, err) == -1)
		return -1;
	while (!out->is_known &&
	    (rc = store_history_next(cursor, &entry, err)) == 1) {
		if ((rc = stop_check(STATUS_STORE, err)) == -1)
			break;
		if (history_prune_get(&entry, &prune))
			history_full_add(out, &prune);
	}
	store_cursor_close(cursor);
	return rc == -1 ? -1 : 0;
}
