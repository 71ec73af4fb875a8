/* Prunes: what the history says of them, and what they leave of its seals. */
#ifndef NOMPD_HISTORY_PRUNE_H
#define NOMPD_HISTORY_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "hash.h"
#include "store.h"

/* The member Prune of an entry; a number that it lacks is 0. */
struct history_prune {
	int64_t version;    /* of the entry */
	int64_t tombstones; /* that have gone */
	int64_t history_to;
	int64_t states_to;
	int64_t states_from; /* of the store, after it ... */
	int64_t horizon;     /* ... likewise */
	char	anchor[HASH_TEXT_BYTES]; /* empty: it has none */
};

/* Is it the entry of a prune? */
bool history_prune_get(const struct store_history *entry,
    struct history_prune *out);

/*
 * From which version on the seals have the tombstones that the store has.  A
 * prune that died has raised the horizon and has no entry: until the next run
 * has ended no seal has them, and from is above the last finished version.
 */
struct history_full {
	int64_t horizon;
	int64_t from;
	bool	is_known; /* older prunes change nothing */
};

void history_full_init(struct history_full *full,
    const struct store_versions *versions);
/* The prunes of the history, the newest first. */
void history_full_add(struct history_full *full,
    const struct history_prune *prune);
/* The same from the history of a store that has begun. */
int history_full_read(struct store *store, struct history_full *out,
    struct error *err);

#endif
