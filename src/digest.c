#include <sodium.h>

#include "digest.h"
#include "feed.h"
#include "log.h"
#include "stop.h"
#include "words.h"

static void
add_record(crypto_hash_sha256_state *state, const struct store_record *record)
{
	feed_bytes(state, record->key, record->len);
	feed_number(state, record->version);
	feed_number(state, record->is_deleted);
	feed_number(state, record->updated_at_ms);
	feed_text(state, record->hash);
	feed_bytes(state, record->data, record->data != NULL ?
	    record->data_len : 0);
}

static int
add_states(crypto_hash_sha256_state *state, struct store *store,
    const char *name, struct error *err)
{
	struct store_cursor *cursor;
	struct store_record  former;
	int		     rc;

	if (store_states_open(store, name, NULL, 0, &cursor, err) == -1)
		return -1;
	while ((rc = store_states_next(cursor, &former, err)) == 1 &&
	    (rc = stop_check(STATUS_STORE, err)) == 0) {
		add_record(state, &former);
		feed_number(state, former.replaced_in);
	}
	store_cursor_close(cursor);
	return rc;
}

static int
add_collection(crypto_hash_sha256_state *state, struct store *store,
    const char *name, struct digest *out, struct error *err)
{
	struct store_cursor *cursor;
	struct store_record  record;
	int		     rc;

	feed_text(state, name);
	if (store_records_open(store, name, true, &cursor, err) == -1)
		return -1;
	while ((rc = store_record_next(cursor, &record, err)) == 1 &&
	    (rc = stop_check(STATUS_STORE, err)) == 0) {
		add_record(state, &record);
		out->records++;
		log_progress("reading again: %s %lld", name,
		    (long long)out->records);
	}
	store_cursor_close(cursor);
	return rc == -1 ? -1 : add_states(state, store, name, err);
}

static int
add_records(crypto_hash_sha256_state *state, struct store *store,
    struct digest *out, struct error *err)
{
	char **names;
	size_t i;
	int    rc;

	rc = store_collections_get(store, &names, err);
	for (i = 0; rc == 0 && names[i] != NULL; i++)
		rc = add_collection(state, store, names[i], out, err);
	words_free(names);
	return rc;
}

static int
add_parts(crypto_hash_sha256_state *state, struct store *store,
    struct error *err)
{
	struct store_history_keys keys;
	struct store_cursor	 *cursor;
	int			  rc;

	if (store_history_parts_open(store, &cursor, err) == -1)
		return -1;
	while ((rc = store_history_keys_next(cursor, &keys, err)) == 1) {
		feed_number(state, keys.version);
		feed_text(state, keys.collection);
		feed_text(state, keys.act);
		feed_number(state, keys.part);
		feed_bytes(state, keys.keys, keys.keys_len);
	}
	store_cursor_close(cursor);
	return rc;
}

static int
add_history(crypto_hash_sha256_state *state, struct store *store,
    struct digest *out, struct error *err)
{
	struct store_history entry;
	struct store_cursor *cursor;
	int		     rc;

	if (store_history_open(store, INT64_MAX, &cursor, err) == -1)
		return -1;
	while ((rc = store_history_next(cursor, &entry, err)) == 1) {
		feed_number(state, entry.version);
		feed_number(state, entry.synced_at_ms);
		feed_number(state, entry.duration_ms);
		feed_bytes(state, entry.tallies, entry.tallies_len);
		feed_bytes(state, entry.seal, entry.seal != NULL ?
		    entry.seal_len : 0);
		out->runs++;
	}
	store_cursor_close(cursor);
	return rc;
}

static int
add_runs(crypto_hash_sha256_state *state, struct store *store,
    struct digest *out, struct error *err)
{
	struct store_versions versions;

	if (store_versions_get(store, &versions, err) == -1)
		return -1;
	feed_text(state, "versions");
	feed_number(state, versions.raised);
	feed_number(state, versions.raised_at_ms);
	feed_number(state, versions.states_from);
	feed_number(state, versions.horizon);
	if (add_parts(state, store, err) == -1)
		return -1;
	return add_history(state, store, out, err);
}

int
digest_store(struct store *store, enum digest_part part, struct digest *out,
    struct error *err)
{
	crypto_hash_sha256_state state;
	uint8_t			 hash[HASH_BYTES];

	*out = (struct digest){ .records = 0 };
	(void)crypto_hash_sha256_init(&state);
	if (add_records(&state, store, out, err) == -1)
		return -1;
	if (part == DIGEST_ALL && add_runs(&state, store, out, err) == -1)
		return -1;
	(void)crypto_hash_sha256_final(&state, hash);
	hash_format(hash, out->text);
	return 0;
}
