#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "json_canonical.h"
#include "record.h"
#include "store_int.h"
#include "store_place.h"
#include "xalloc.h"

/* Where the functions of a kind are: in the program, or in a module. */
static const struct {
	const struct store_ops *ops;	/* NULL: in the module */
	const char	       *module; /* file, and name of its ops */
	const char	       *symbol;
} kinds[STORE_KIND__MAX] = {
	[STORE_SQLITE] = { &store_sqlite_ops, NULL, NULL },
	[STORE_MONGODB] = { NULL, MONGODB_MODULE, "store_mongodb_ops" },
};

int
store_open(const struct store_place *place, enum store_mode mode,
    struct store **out, struct error *err)
{
	const struct store_ops *ops;
	enum store_kind		kind;

	*out = NULL;
	kind = store_place_kind(place);
	if (kind == STORE_KIND__MAX)
		return error_set(err, STATUS_USAGE, "no kind of store knows"
		    " this URI (write sqlite:PATH or"
		    " mongodb://HOST/DATABASE)");
	ops = kinds[kind].ops;
	if (ops == NULL)
		ops = store_module_get(kinds[kind].module, kinds[kind].symbol,
		    err);
	if (ops == NULL || ops->open(place, mode, out, err) == -1)
		return -1;
	(*out)->ops = ops;
	(*out)->is_writer = mode == STORE_WRITE || mode == STORE_UPDATE;
	store_trace_init(&(*out)->trace);
	return 0;
}

void
store_close(struct store *store)
{
	if (store != NULL)
		store->ops->close(store);
}

const char *
store_name(const struct store *store)
{
	return store->name;
}

int
store_named(const struct store *store, int rc, struct error *err)
{
	return rc == -1 ? error_prefix(err, "store %s", store->name) : rc;
}

int
store_lease_try(struct store *store, char holder[MAX_HOLDER_TEXT],
    struct error *err)
{
	int rc;

	store_trace_step(store, "lease", "");
	rc = store_named(store, store->ops->lease_try(store, holder, err),
	    err);
	return rc == 1 && store->is_writer && store_upgrade(store, err) == -1 ?
	    -1 : rc;
}

int
store_lease_check(struct store *store, struct error *err)
{
	store_trace_step(store, "lease check", "");
	return store_named(store, store->ops->lease_check(store, err), err);
}

int
store_begin(struct store *store, struct error *err)
{
	store_trace_step(store, "begin", "");
	return store_named(store, store->ops->begin(store, err), err);
}

int
store_undo(struct store *store, struct error *err)
{
	return store->is_writer ? store_named(store, store->ops->undo(store,
	    err), err) : 0;
}

int
store_end(struct store *store, struct error *err)
{
	return store_named(store, store->ops->end(store, err), err);
}

uint64_t
store_adopted(const struct store *store)
{
	return store->adopted;
}

bool
store_is_replaced(struct store *store)
{
	return store->ops->is_replaced(store);
}

int
store_versions_get(struct store *store, struct store_versions *out,
    struct error *err)
{
	return store_named(store, store->ops->versions_get(store, out, err),
	    err);
}

int
store_version_raise(struct store *store, int64_t now_ms, int64_t *version,
    struct error *err)
{
	store_trace_step(store, "version", "");
	return store_named(store, store->ops->version_raise(store, now_ms,
	    version, err), err);
}

int
store_versions_set(struct store *store, const struct store_versions *versions,
    struct error *err)
{
	store_trace_step(store, "versions", "");
	return store_named(store, store->ops->versions_set(store, versions,
	    err), err);
}

void
store_state_set_hash(struct store_state *state, const char *text, size_t len)
{
	if (hash_parse(text, len, state->hash) == -1)
		memset(state->hash, 0, sizeof(state->hash));
}

void
store_set_hash_text(char hash[HASH_TEXT_BYTES], const char *text, size_t len)
{
	if (len > HASH_TEXT_BYTES - 1)
		len = HASH_TEXT_BYTES - 1;
	memcpy(hash, text, len);
	hash[len] = '\0';
}

int
store_opened(struct store *store, int rc, struct store_cursor **out,
    struct error *err)
{
	if (rc != -1)
		(*out)->store = store;
	return store_named(store, rc == -1 ? -1 : 0, err);
}

int
store_check_ascending(struct store_cursor *cursor, const char *key, size_t len,
    struct error *err)
{
	if (cursor->last_key != NULL && record_key_compare(cursor->last_key,
	    cursor->last_len, key, len) >= 0)
		return error_set(err, STATUS_STORE, "keys are not in ascending"
		    " order at \"%.*s\"; the store is damaged", (int)len, key);
	if (cursor->last_key == NULL || cursor->last_cap < len + 1) {
		cursor->last_cap = 2 * (len + 1);
		cursor->last_key = xrealloc(cursor->last_key,
		    cursor->last_cap);
	}
	memcpy(cursor->last_key, key, len);
	cursor->last_len = len;
	return 1;
}

int
store_state_open(struct store *store, const char *collection,
    struct store_cursor **out, struct error *err)
{
	int rc;

	rc = store_open_missing(store, collection, out, err);
	if (rc == 0)
		rc = store->ops->state_open(store, collection, out, err);
	return store_opened(store, rc, out, err);
}

int
store_state_next(struct store_cursor *cursor, struct store_state *state,
    struct error *err)
{
	int rc;

	if (cursor->is_empty)
		return 0;
	rc = cursor->store->ops->state_next(cursor, state, err);
	if (rc == 1)
		rc = store_check_ascending(cursor, state->key, state->len,
		    err);
	return store_named(cursor->store, rc, err);
}

int
store_records_open(struct store *store, const char *collection,
    bool with_deleted, struct store_cursor **out, struct error *err)
{
	int rc;

	rc = store_open_missing(store, collection, out, err);
	if (rc == 0)
		rc = store->ops->records_open(store, collection,
		    with_deleted, out, err);
	return store_opened(store, rc, out, err);
}

int
store_record_open(struct store *store, const char *collection,
    const char *key, size_t len, struct store_cursor **out, struct error *err)
{
	int rc;

	rc = store_open_missing(store, collection, out, err);
	if (rc == 0)
		rc = store->ops->record_open(store, collection, key, len,
		    out, err);
	return store_opened(store, rc, out, err);
}

int
store_record_next(struct store_cursor *cursor, struct store_record *record,
    struct error *err)
{
	int rc;

	if (cursor->is_empty)
		return 0;
	rc = cursor->store->ops->record_next(cursor, record, err);
	if (rc == 1)
		rc = store_check_ascending(cursor, record->key, record->len,
		    err);
	return store_named(cursor->store, rc, err);
}

int
store_changes_open(struct store *store, const char *collection, int64_t since,
    bool with_deleted, struct store_cursor **out, struct error *err)
{
	int rc;

	rc = store_open_missing(store, collection, out, err);
	if (rc == 0)
		rc = store->ops->changes_open(store, collection, since,
		    with_deleted, out, err);
	return store_opened(store, rc, out, err);
}

/* Keys ascend within a version; a higher version begins anew. */
static int
check_order(struct store_cursor *cursor, const struct store_record *record,
    struct error *err)
{
	if (record->version < cursor->last_version)
		return error_set(err, STATUS_STORE, "versions are not in"
		    " ascending order at \"%s\"; the store is damaged",
		    record->key);
	if (record->version > cursor->last_version) {
		cursor->last_version = record->version;
		free(cursor->last_key);
		cursor->last_key = NULL;
		cursor->last_len = 0;
	}
	return store_check_ascending(cursor, record->key, record->len, err);
}

int
store_changes_next(struct store_cursor *cursor, struct store_record *record,
    struct error *err)
{
	int rc;

	if (cursor->is_empty)
		return 0;
	rc = cursor->store->ops->record_next(cursor, record, err);
	if (rc == 1)
		rc = check_order(cursor, record, err);
	return store_named(cursor->store, rc, err);
}

int
store_counts_get(struct store *store, const char *collection,
    struct store_counts *out, struct error *err)
{
	int rc;

	*out = (struct store_counts){ 0 };
	rc = store_is_missing(store, collection, err);
	if (rc == 0)
		rc = store->ops->counts_get(store, collection, out, err);
	return store_named(store, rc == -1 ? -1 : 0, err);
}

int
store_writer_open(struct store *store, const char *collection,
    int64_t version, int64_t now_ms, struct store_writer **out,
    struct error *err)
{
	int rc;

	store_trace_step(store, "writer", collection);
	rc = store_is_missing(store, collection, err);
	if (rc == 1)
		rc = error_set(err, STATUS_STORE, "there is no collection %s to"
		    " write to", collection);
	if (rc == 0)
		rc = store->ops->writer_open(store, collection, version,
		    now_ms, out, err);
	if (rc == 0) {
		(*out)->store = store;
		(*out)->version = version;
		(*out)->now_ms = now_ms;
		(*out)->collection = collection;
		(*out)->before = store->written;
		(*out)->canonical = collection_is_served(collection) ?
		    json_canonical_new() : NULL;
	}
	return store_named(store, rc, err);
}

/* Frees what the front has put there. */
static void
release(struct store_writer *writer)
{
	json_canonical_free(writer->canonical);
	writer->canonical = NULL;
}

int
store_writer_put(struct store_writer *writer, const struct store_put *put,
    struct error *err)
{
	struct store_record record = {
		.key = put->key,
		.len = put->len,
		.data = put->data,
		.data_len = put->data_len,
		.version = writer->version,
		.updated_at_ms = writer->now_ms,
	};

	hash_format(put->hash, record.hash);
	store_json_hash(writer->canonical, put->data, put->data_len,
	    record.json_hash);
	store_trace_step(writer->store, "put", put->key);
	writer->asked++;
	if (store_trace_loses(writer->store))
		return 0;
	return store_named(writer->store, writer->store->ops->writer_put(writer,
	    &record, put->is_new, err), err);
}

int
store_writer_delete(struct store_writer *writer, const char *key, size_t len,
    struct error *err)
{
	store_trace_step(writer->store, "delete", key);
	writer->asked++;
	if (store_trace_loses(writer->store))
		return 0;
	return store_named(writer->store, writer->store->ops->writer_delete(
	    writer, key, len, err), err);
}

int
store_writer_copy(struct store_writer *writer,
    const struct store_record *record, bool is_new, struct error *err)
{
	store_trace_step(writer->store, "copy", record->key);
	writer->asked++;
	return store_named(writer->store, writer->store->ops->writer_put(writer,
	    record, is_new, err), err);
}

/* Has the kind of store written as many as it was given?  One that was lost on
 * its way, or came twice, leaves no other trace. */
static int
check_written(const struct store *store, const char *where, uint64_t asked,
    uint64_t before, struct error *err)
{
	uint64_t written = store->written - before;

	if (written == asked)
		return 0;
	return error_set(err, STATUS_UNBALANCED, "%s: %" PRIu64 " records were"
	    " to be written and %" PRIu64 " were; none of them is published:"
	    " start it again and, when it comes again, report it with the log",
	    where, asked, written);
}

int
store_writer_close(struct store_writer *writer, struct error *err)
{
	struct store *store = writer->store;
	const char   *collection = writer->collection;
	uint64_t      asked = writer->asked, before = writer->before;
	int	      rc;

	store_trace_step(store, "writer end", "");
	release(writer);
	rc = store->ops->writer_close(writer, err);
	if (rc == 0)
		rc = check_written(store, collection, asked, before, err);
	return store_named(store, rc, err);
}

void
store_writer_abort(struct store_writer *writer)
{
	release(writer);
	writer->store->ops->writer_abort(writer);
}

int
store_history_put(struct store *store, const struct store_history *entry,
    struct error *err)
{
	uint64_t before = store->written;
	int	 rc;

	store_trace_step(store, "history", "");
	rc = store_trace_loses(store) ? 0 :
	    store->ops->history_put(store, entry, err);
	if (rc == 0)
		rc = check_written(store, "history", 1, before, err);
	return store_named(store, rc, err);
}

int
store_history_keys_put(struct store *store,
    const struct store_history_keys *keys, struct error *err)
{
	uint64_t before = store->written;
	int	 rc;

	store_trace_step(store, "history keys", keys->collection);
	rc = store_trace_loses(store) ? 0 :
	    store->ops->history_keys_put(store, keys, err);
	if (rc == 0)
		rc = check_written(store, "further keys of the history", 1,
		    before, err);
	return store_named(store, rc, err);
}

int
store_history_open(struct store *store, int64_t limit,
    struct store_cursor **out, struct error *err)
{
	return store_opened(store, store->ops->history_open(store, limit, out,
	    err), out, err);
}

int
store_history_next(struct store_cursor *cursor, struct store_history *entry,
    struct error *err)
{
	return store_named(cursor->store, cursor->store->ops->history_next(
	    cursor, entry, err), err);
}

int
store_history_keys_open(struct store *store, int64_t version,
    const char *collection, const char *act, struct store_cursor **out,
    struct error *err)
{
	return store_opened(store, store->ops->history_keys_open(store, version,
	    collection, act, out, err), out, err);
}

int
store_history_parts_open(struct store *store, struct store_cursor **out,
    struct error *err)
{
	return store_opened(store, store->ops->history_parts_open(store, out,
	    err), out, err);
}

int
store_history_keys_next(struct store_cursor *cursor,
    struct store_history_keys *keys, struct error *err)
{
	return store_named(cursor->store, cursor->store->ops->history_keys_next(
	    cursor, keys, err), err);
}

void
store_cursor_close(struct store_cursor *cursor)
{
	if (cursor == NULL)
		return;
	free(cursor->last_key);
	if (cursor->is_empty)
		free(cursor);
	else
		cursor->store->ops->cursor_close(cursor);
}

int
store_publish(struct store *store, struct error *err)
{
	int rc;

	store_trace_step(store, "publish", "");
	rc = store->ops->publish(store, err);
	if (rc == 0)
		store_trace_step(store, "published", "");
	return store_named(store, rc, err);
}
