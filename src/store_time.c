/* The front of all stores: former states, and what is told of them. */
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "json_canonical.h"
#include "log.h"
#include "stop.h"
#include "store_int.h"
#include "words.h"

void
store_view(struct store *store, int64_t version)
{
	store->view = version;
}

int
store_run_find(struct store *store, int64_t version, int64_t at_ms,
    struct store_run *out, struct error *err)
{
	*out = (struct store_run){ 0 };
	return store_named(store, store->ops->run_find(store, version, at_ms,
	    out, err), err);
}

int
store_run_first(struct store *store, int64_t after_ms, int64_t until_ms,
    struct store_run *out, struct error *err)
{
	*out = (struct store_run){ 0 };
	return store_named(store, store->ops->run_first(store, after_ms,
	    until_ms, out, err), err);
}

int
store_states_open(struct store *store, const char *collection,
    const char *key, size_t len, struct store_cursor **out, struct error *err)
{
	int rc;

	rc = store_open_missing(store, collection, out, err);
	if (rc == 0)
		rc = store->ops->states_open(store, collection, key, len,
		    out, err);
	return store_opened(store, rc, out, err);
}

/* The states of one record ascend by version. */
static int
check_states(struct store_cursor *cursor, const struct store_record *record,
    struct error *err)
{
	bool is_same = cursor->last_key != NULL &&
	    cursor->last_len == record->len &&
	    memcmp(cursor->last_key, record->key, record->len) == 0;

	if (is_same && record->version > cursor->last_version) {
		cursor->last_version = record->version;
		return 1;
	}
	cursor->last_version = record->version;
	return store_check_ascending(cursor, record->key, record->len, err);
}

int
store_states_next(struct store_cursor *cursor, struct store_record *record,
    struct error *err)
{
	int rc;

	if (cursor->is_empty)
		return 0;
	rc = cursor->store->ops->record_next(cursor, record, err);
	if (rc == 1)
		rc = check_states(cursor, record, err);
	return store_named(cursor->store, rc, err);
}

int
store_outline_open(struct store *store, const char *collection,
    struct store_cursor **out, struct error *err)
{
	int rc;

	rc = store_open_missing(store, collection, out, err);
	if (rc == 0)
		rc = store->ops->outline_open(store, collection, out, err);
	return store_opened(store, rc, out, err);
}

int
store_outline_next(struct store_cursor *cursor, struct store_outline *outline,
    struct error *err)
{
	int rc;

	if (cursor->is_empty)
		return 0;
	rc = cursor->store->ops->outline_next(cursor, outline, err);
	if (rc == 1)
		rc = store_check_ascending(cursor, outline->key, outline->len,
		    err);
	return store_named(cursor->store, rc, err);
}

int
store_writer_state(struct store_writer *writer,
    const struct store_record *state, struct error *err)
{
	store_trace_step(writer->store, "state", state->key);
	writer->asked++;
	return store_named(writer->store, writer->store->ops->writer_state(
	    writer, state, err), err);
}

int
store_writer_hashes(struct store_writer *writer, const char *key, size_t len,
    const uint8_t hash[HASH_BYTES], const char *json_hash, struct error *err)
{
	char text[HASH_TEXT_BYTES];

	hash_format(hash, text);
	store_trace_step(writer->store, "hashes", key);
	writer->asked++;
	return store_named(writer->store, writer->store->ops->writer_hashes(
	    writer, key, len, text, json_hash, err), err);
}

int
store_seal_get(struct store *store, int64_t version, uint8_t **seal,
    size_t *len, struct error *err)
{
	*seal = NULL;
	*len = 0;
	return store_named(store, store->ops->seal_get(store, version, seal,
	    len, err), err);
}

int
store_prune(struct store *store, const struct store_prune *what,
    struct store_pruned *out, struct error *err)
{
	if (!what->is_dry)
		store_trace_step(store, "prune", "");
	*out = (struct store_pruned){ 0 };
	return store_named(store, store->ops->prune(store, what, out, err),
	    err);
}

int
store_check(struct store *store, bool mends, finding_fn found, void *ctx,
    struct error *err)
{
	if (mends)
		store_trace_step(store, "mend", "");
	return store_named(store, store->ops->check(store, mends, found, ctx,
	    err), err);
}

void
store_json_hash(struct json_canonical *canonical, const uint8_t *data,
    size_t len, char text[HASH_TEXT_BYTES])
{
	struct error ignored;
	uint8_t	     hash[HASH_BYTES];

	text[0] = '\0';
	if (canonical != NULL && data != NULL && json_canonical_hash(canonical,
	    data, len, hash, &ignored) == 0)
		hash_format(hash, text);
}

/* Gives a record the JSON hash that an older program has not written. */
static int
fill_record(struct store_writer *writer, const struct store_record *record,
    struct error *err)
{
	char text[HASH_TEXT_BYTES];

	if (record->json_hash[0] != '\0')
		return 0;
	store_json_hash(writer->canonical, record->data, record->data_len,
	    text);
	if (text[0] == '\0')
		return 0;
	writer->asked++;
	return store_named(writer->store, writer->store->ops->writer_hashes(
	    writer, record->key, record->len, record->hash, text, err), err);
}

static int
fill_records(struct store_writer *writer, struct store_cursor *cursor,
    struct error *err)
{
	struct store_record record;
	int		    rc;

	while ((rc = store_record_next(cursor, &record, err)) == 1) {
		if (stop_check(STATUS_STORE, err) == -1 ||
		    fill_record(writer, &record, err) == -1)
			return -1;
	}
	return rc;
}

static int
fill_collection(struct store *store, const char *name, struct error *err)
{
	struct store_cursor *cursor;
	struct store_writer *writer;
	int		     rc;

	if (store_records_open(store, name, true, &cursor, err) == -1)
		return -1;
	rc = store_writer_open(store, name, 0, 0, &writer, err);
	if (rc == 0) {
		rc = fill_records(writer, cursor, err);
		if (rc == 0)
			rc = store_writer_close(writer, err);
		else
			store_writer_abort(writer);
	}
	store_cursor_close(cursor);
	return rc;
}

int
store_upgrade(struct store *store, struct error *err)
{
	char **names = NULL, **name;
	int    rc;

	rc = store_named(store, store->ops->upgrade_begin(store, err), err);
	if (rc != 1)
		return rc;
	log_info("store %s: an older program has made it; it is brought up to"
	    " date, once", store->name);
	rc = store_collections_get(store, &names, err);
	for (name = names; rc == 0 && *name != NULL; name++) {
		if (collection_is_served(*name))
			rc = fill_collection(store, *name, err);
	}
	words_free(names);
	store_trace_step(store, "upgrade", "");
	return rc == 0 ? store_named(store, store->ops->upgrade_end(store,
	    err), err) : -1;
}
