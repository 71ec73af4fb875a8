/* The history entry of a run, from its tallies and its plan. */
#ifndef NOMPD_HISTORY_H
#define NOMPD_HISTORY_H

#include <stdint.h>

#include "collection.h"
#include "error.h"
#include "stage.h"
#include "store.h"
#include "tally.h"

/* Key lists in the entry itself, all together, as BSON; what is beyond goes on
 * in parts.  The entry stays small enough to be listed quickly, far below what
 * a MongoDB document may be. */
#define MAX_INLINE_KEY_BYTES (256 * 1024)
/* Keys of one further part, as BSON. */
#define MAX_PART_KEY_BYTES (256 * 1024)

/*
 * Writes the entry: further parts of long key lists first, the entry last.
 */
int history_write(struct stage *stage, struct store *store,
    const struct tally tallies[COLLECTION__MAX], int64_t version,
    int64_t synced_at_ms, int64_t duration_ms, struct error *err);

#endif
