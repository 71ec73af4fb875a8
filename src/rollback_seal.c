#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "history_prune.h"
#include "rollback_seal.h"
#include "xalloc.h"

struct rollback_seal {
	struct store *store;
	int64_t	      version;
	uint8_t	     *data; /* NULL: it has none */
	size_t	      len;
	bool	      is_full; /* no tombstone was pruned since */
};

int
rollback_seal_read(struct store *store, int64_t version,
    struct rollback_seal **out, struct error *err)
{
	struct rollback_seal *seal = xcalloc(1, sizeof(*seal));
	struct history_full   full;
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
	if (history_full_read(store, &full, err) == -1)
		return -1;
	seal->is_full = version >= full.from;
	return 0;
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
