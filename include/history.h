/* The history entry of a run, from its tallies and its plan. */
#ifndef NOMPD_HISTORY_H
#define NOMPD_HISTORY_H

#include <bson/bson.h>
#include <stddef.h>

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

/* Members of the entry beside the collections: what a bulk run asked for and
 * got, what a rollback went back to, what a prune took away, what was
 * repaired. */
#define HISTORY_BULK	 "Bulk"
#define HISTORY_ROLLBACK "Rollback"
#define HISTORY_PRUNE	 "Prune"
#define HISTORY_REPAIR	 "Repair"
/* Of a rollback: the version whose data is live again. */
#define ROLLBACK_TO	 "To"

/* The name of an act in the history: "Added" and the like. */
const char *history_act_name(enum act act);

/*
 * Makes the tallies of the entry, whose version is filled in: they become those
 * of *doc, which the caller destroys in any case.  members (or NULL) come
 * behind those of the collections.  What of long key lists has no room there
 * goes to the store: 1 = there are such parts, 0 = there are none, -1 = failed.
 */
int history_make(struct stage *stage, struct store *store,
    const struct tally *tallies, size_t count, struct store_history *entry,
    const bson_t *members, bson_t *doc, struct error *err);

#endif
