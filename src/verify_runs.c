/* The history entries, and who was changed in them. */
#include <bson/bson.h>
#include <stdio.h>
#include <string.h>

#include "history.h"
#include "stop.h"
#include "verify_int.h"
#include "xalloc.h"

/* Bytes of the name of a member, as in "AddedKeys". */
#define MAX_NAME_TEXT 16

static int
found_entry(struct verify *verify, int64_t version, const char *what,
    struct error *err)
{
	return verify_found(verify, &(struct finding){ .kind = FINDING_HISTORY,
	    .version = version, .what = what }, err);
}

static void
add_run(struct verify *verify, const struct store_history *entry)
{
	verify->runs = xrealloc(verify->runs,
	    (verify->n_runs + 1) * sizeof(*verify->runs));
	verify->runs[verify->n_runs++] = (struct store_run){
		.version = entry->version,
		.synced_at_ms = entry->synced_at_ms,
	};
	verify->oldest = entry->version;
}

/* A list, or a further part of one: 1 = taken, 0 = it is none of keys. */
static int
take_keys(struct verify *verify, int64_t version, const char *collection,
    enum act act, bson_iter_t *keys, struct error *err)
{
	const char *key;
	uint32_t    len;

	while (bson_iter_next(keys)) {
		if (!BSON_ITER_HOLDS_UTF8(keys))
			return 0;
		key = bson_iter_utf8(keys, &len);
		if (stop_check(STATUS_STORE, err) == -1 ||
		    verify_ledger_key(verify->ledger, version, collection,
		    act, key, len, err) == -1)
			return -1;
	}
	return 1;
}

/* The list of an act, and how long it is said to be: 1, 0 and -1 as above. */
static int
take_list(struct verify *verify, int64_t version, const char *collection,
    const bson_t *tally, enum act act, struct error *err)
{
	const char *name = history_act_name(act);
	char	    list[MAX_NAME_TEXT];
	bson_iter_t iter, keys;

	(void)snprintf(list, sizeof(list), "%sKeys", name);
	if (!bson_iter_init_find(&iter, tally, name) ||
	    !BSON_ITER_HOLDS_INT64(&iter))
		return 0;
	if (verify_ledger_count(verify->ledger, version, collection, act,
	    bson_iter_int64(&iter), err) == -1)
		return -1;
	if (!bson_iter_init_find(&iter, tally, list) ||
	    !BSON_ITER_HOLDS_ARRAY(&iter) || !bson_iter_recurse(&iter, &keys))
		return 0;
	return take_keys(verify, version, collection, act, &keys, err);
}

/* Which entries tell of outputs, and of what bulk runs make them of. */
static void
note_collection(struct verify *verify, int64_t version, const char *name)
{
	int i;

	if (strcmp(name, collection_name(TREATMENT_GROUPS)) == 0 &&
	    verify->grouped_in == 0)
		verify->grouped_in = version;
	for (i = 0; i < COLLECTION_RAW_MAX; i++) {
		if (strcmp(name, collection_resource_type(i)) == 0 &&
		    verify->typed_in == 0)
			verify->typed_in = version;
	}
}

/* A member of an entry: a collection, or something that is none. */
static int
take_member(struct verify *verify, int64_t version, const bson_iter_t *member,
    struct error *err)
{
	const char    *name = bson_iter_key(member);
	const uint8_t *data;
	uint32_t       len;
	bson_t	       tally;
	enum act       act;
	int	       rc = 1;

	if (!BSON_ITER_HOLDS_DOCUMENT(member))
		return 0;
	bson_iter_document(member, &len, &data);
	if (!bson_init_static(&tally, data, len))
		return 0;
	if (!bson_has_field(&tally, "AddedKeys"))
		return collection_find(name) == COLLECTION__MAX;
	note_collection(verify, version, name);
	for (act = 0; act < ACT__MAX && rc == 1; act++)
		rc = take_list(verify, version, name, &tally, act, err);
	return rc;
}

/* Of versions that can be shown, and of the last one, which always can. */
static int
take_seal(struct verify *verify, const struct store_history *entry,
    struct error *err)
{
	const struct store_versions *versions = &verify->versions;

	if (entry->seal == NULL || (entry->version < versions->states_from &&
	    entry->version != versions->finished))
		return 0;
	return verify_ledger_seal(verify->ledger, entry->version, entry->seal,
	    entry->seal_len, err);
}

static int
take_entry(struct verify *verify, const struct store_history *entry,
    struct error *err)
{
	struct history_prune prune;
	bson_t		     tallies;
	bson_iter_t	     iter;
	int		     rc = 1;

	verify->counts->entries++;
	add_run(verify, entry);
	if (verify_ledger_run(verify->ledger, entry->version, err) == -1 ||
	    take_seal(verify, entry, err) == -1)
		return -1;
	if (entry->tallies == NULL || !bson_init_static(&tallies,
	    entry->tallies, entry->tallies_len) ||
	    !bson_validate(&tallies, BSON_VALIDATE_NONE, NULL) ||
	    !bson_iter_init(&iter, &tallies))
		return found_entry(verify, entry->version, "its counts and key"
		    " lists are not BSON", err);
	if (history_prune_get(entry, &prune))
		verify_bounds_add(verify, &prune);
	while (rc == 1 && bson_iter_next(&iter))
		rc = take_member(verify, entry->version, &iter, err);
	if (rc == 0)
		rc = found_entry(verify, entry->version, "a count or a key"
		    " list of it is missing, or of a wrong type", err);
	return rc == -1 ? -1 : 0;
}

static int
take_entries(struct verify *verify, struct error *err)
{
	struct store_cursor *cursor;
	struct store_history entry;
	int		     rc;

	if (store_history_open(verify->store, INT64_MAX, &cursor, err) == -1)
		return -1;
	while ((rc = store_history_next(cursor, &entry, err)) == 1) {
		rc = stop_check(STATUS_STORE, err);
		if (rc == 0)
			rc = take_entry(verify, &entry, err);
		if (rc == -1)
			break;
	}
	store_cursor_close(cursor);
	return rc;
}

static enum act
find_act(const char *name)
{
	enum act act;

	for (act = 0; act < ACT__MAX; act++) {
		if (strcmp(history_act_name(act), name) == 0)
			break;
	}
	return act;
}

/* Parts of a run that died may stand there, and mean nothing. */
static int
take_part(struct verify *verify, const struct store_history_keys *part,
    struct error *err)
{
	enum act    act = find_act(part->act);
	bson_iter_t keys;
	int	    rc = 0;

	if (verify_run(verify, part->version) == NULL)
		return 0;
	if (act != ACT__MAX && part->keys != NULL &&
	    bson_iter_init_from_data(&keys, part->keys, part->keys_len))
		rc = take_keys(verify, part->version, part->collection, act,
		    &keys, err);
	if (rc == 0)
		rc = found_entry(verify, part->version, "a further part of a"
		    " key list is not BSON, or of no act", err);
	return rc == -1 ? -1 : 0;
}

static int
take_parts(struct verify *verify, struct error *err)
{
	struct store_cursor	 *cursor;
	struct store_history_keys part;
	int			  rc;

	if (store_history_parts_open(verify->store, &cursor, err) == -1)
		return -1;
	while ((rc = store_history_keys_next(cursor, &part, err)) == 1) {
		rc = stop_check(STATUS_STORE, err);
		if (rc == 0)
			rc = take_part(verify, &part, err);
		if (rc == -1)
			break;
	}
	store_cursor_close(cursor);
	return rc;
}

int
verify_runs(struct verify *verify, struct error *err)
{
	if (take_entries(verify, err) == -1)
		return -1;
	return take_parts(verify, err);
}
