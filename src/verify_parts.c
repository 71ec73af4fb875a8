#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "seal_int.h"
#include "stop.h"
#include "store.h"
#include "verify_parts.h"
#include "xalloc.h"

/* Of one entry. */
struct item {
	int64_t version;
	uint8_t hash[HASH_BYTES];
};

/*
 * Few entries have parts at all.  Invariants: the versions of items ascend;
 * state is that of the last one while it is read.
 */
struct verify_parts {
	struct item		*items;
	size_t			 count;
	size_t			 cap;
	crypto_hash_sha256_state state;
};

static void
end_item(struct verify_parts *parts)
{
	if (parts->count > 0)
		(void)crypto_hash_sha256_final(&parts->state,
		    parts->items[parts->count - 1].hash);
}

static void
begin_item(struct verify_parts *parts, int64_t version)
{
	if (parts->count == parts->cap) {
		parts->cap = parts->cap * 2 + 1;
		parts->items = xrealloc(parts->items,
		    parts->cap * sizeof(*parts->items));
	}
	parts->items[parts->count++].version = version;
	(void)crypto_hash_sha256_init(&parts->state);
}

static int
read_parts(struct verify_parts *parts, struct store_cursor *cursor,
    struct error *err)
{
	struct store_history_keys part;
	int			  rc;

	while ((rc = store_history_keys_next(cursor, &part, err)) == 1 &&
	    (rc = stop_check(STATUS_STORE, err)) == 0) {
		if (parts->count == 0 ||
		    parts->items[parts->count - 1].version != part.version) {
			end_item(parts);
			begin_item(parts, part.version);
		}
		seal_feed_part(&parts->state, &part);
	}
	end_item(parts);
	return rc;
}

int
verify_parts_read(struct store *store, struct verify_parts **out,
    struct error *err)
{
	struct store_cursor *cursor;
	int		     rc;

	*out = xcalloc(1, sizeof(**out));
	if (store_history_parts_open(store, &cursor, err) == -1)
		return -1;
	rc = read_parts(*out, cursor, err);
	store_cursor_close(cursor);
	return rc;
}

void
verify_parts_free(struct verify_parts *parts)
{
	if (parts == NULL)
		return;
	free(parts->items);
	free(parts);
}

static int
compare(const void *a, const void *b)
{
	const struct item *one = a, *other = b;

	return one->version < other->version ? -1 :
	    one->version > other->version;
}

void
verify_parts_digest(const struct verify_parts *parts, int64_t version,
    char text[HASH_TEXT_BYTES])
{
	struct item	   wanted = { .version = version };
	const struct item *item = NULL;

	if (parts->count > 0)
		item = bsearch(&wanted, parts->items, parts->count,
		    sizeof(*parts->items), compare);
	if (item == NULL)
		(void)crypto_hash_sha256(wanted.hash, NULL, 0);
	hash_format(item != NULL ? item->hash : wanted.hash, text);
}
