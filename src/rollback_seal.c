#include <bson/bson.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "rollback_seal.h"
#include "stop.h"
#include "xalloc.h"

struct rollback_seal {
	struct store *store;
	int64_t	      version;
	uint8_t	     *data; /* NULL: it has none */
	size_t	      len;
	bool	      is_full; /* no tombstone was pruned since */
};

static int64_t
number_of(const bson_iter_t *prune, const char *name)
{
	bson_iter_t member;

	return bson_iter_recurse(prune, &member) &&
	    bson_iter_find(&member, name) && BSON_ITER_HOLDS_INT64(&member) ?
	    bson_iter_int64(&member) : 0;
}

static bool
is_prune(const struct store_history *entry, bson_iter_t *prune)
{
	return bson_iter_init_from_data(prune, entry->tallies,
	    entry->tallies_len) && bson_iter_find(prune, HISTORY_PRUNE) &&
	    BSON_ITER_HOLDS_DOCUMENT(prune);
}

/* Back to the version, or to the last prune before it. */
static int
look_back(struct rollback_seal *seal, int64_t horizon,
    struct store_cursor *cursor, struct error *err)
{
	struct store_history entry;
	bson_iter_t	     prune;
	int		     rc;

	while ((rc = store_history_next(cursor, &entry, err)) == 1) {
		if (stop_check(STATUS_STORE, err) == -1)
			return -1;
		if (!is_prune(&entry, &prune))
			continue;
		/* One that died has raised the horizon, and has no entry. */
		seal->is_full = number_of(&prune, "Horizon") >= horizon &&
		    (entry.version <= seal->version ||
		    number_of(&prune, "TombstonesTo") == 0);
		if (!seal->is_full || entry.version <= seal->version)
			return 0;
	}
	return rc;
}

static int
find_prunes(struct rollback_seal *seal, struct error *err)
{
	struct store_versions versions;
	struct store_cursor  *cursor;
	int		      rc;

	if (store_versions_get(seal->store, &versions, err) == -1)
		return -1;
	seal->is_full = versions.horizon == 0;
	if (seal->is_full)
		return 0;
	if (store_history_open(seal->store, INT64_MAX, &cursor, err) == -1)
		return -1;
	rc = look_back(seal, versions.horizon, cursor, err);
	store_cursor_close(cursor);
	return rc;
}

int
rollback_seal_read(struct store *store, int64_t version,
    struct rollback_seal **out, struct error *err)
{
	struct rollback_seal *seal = xcalloc(1, sizeof(*seal));
	struct seal	      parsed;

	*out = seal;
	seal->store = store;
	seal->version = version;
	if (store_seal_get(store, version, &seal->data, &seal->len, err) == -1)
		return -1;
	if (seal->data == NULL)
		return 0;
	if (seal_parse(seal->data, seal->len, &parsed) == -1)
		return error_set(err, STATUS_STORE, "store %s: the seal of"
		    " version %" PRId64 " is damaged; nothing was written:"
		    " `nompd-sync verify --history` tells more, another --to"
		    " may do", store_name(store), version);
	return find_prunes(seal, err);
}

void
rollback_seal_free(struct rollback_seal *seal)
{
	if (seal == NULL)
		return;
	free(seal->data);
	free(seal);
}

static bool
is_same(const struct rollback_seal *seal, const struct seal_numbers *is,
    const struct seal_numbers *sealed, bool has_numbers)
{
	if (is->live != sealed->live)
		return false;
	if (!seal->is_full)
		return sealed->data[0] == '\0' ||
		    strcmp(is->data, sealed->data) == 0;
	if (!has_numbers)
		return is->deleted == 0;
	return strcmp(is->records, sealed->records) == 0;
}

int
rollback_seal_check(const struct rollback_seal *seal, const char *collection,
    const struct seal_numbers *is, struct error *err)
{
	struct seal_numbers sealed;
	bool		    has_numbers;

	if (seal->data == NULL)
		return 0;
	has_numbers = seal_numbers_get(seal->data, seal->len, collection,
	    &sealed) == 1;
	if (is_same(seal, is, &sealed, has_numbers))
		return 0;
	return error_set(err, STATUS_STORE, "store %s: %s as of version %"
	    PRId64 " is not what that version was sealed with: %" PRId64
	    " live records with the digest %s, and it had %" PRId64 " and %s;"
	    " nothing was written: `nompd-sync verify` tells more, restore the"
	    " store from a backup, or another --to may do",
	    store_name(seal->store), collection, seal->version, is->live,
	    seal->is_full ? is->records : is->data, sealed.live,
	    seal->is_full ? sealed.records : sealed.data);
}
