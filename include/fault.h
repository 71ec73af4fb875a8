/*
 * Something in a store that is not as it must be (nompd-store(7),
 * INVARIANTS), in words, and what becomes of it.
 */
#ifndef NOMPD_FAULT_H
#define NOMPD_FAULT_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* What can be done about it. */
enum fault_kind {
	FAULT_HASH,	  /* can be made again from the record's Data */
	FAULT_OUTPUT,	  /* can be made again from the raw records */
	FAULT_INDEX,	  /* can be made again from its table */
	FAULT_STRANGER,	  /* stands where something of ours has to be */
	FAULT_UNFINISHED, /* of a run that died; the next run mends it */
	FAULT_STATE,	  /* of a former state, which pruning removes */
	FAULT_HISTORY,	  /* of what nothing else tells; a backup has it */
	FAULT_DATA,	  /* only a backup has it */
	FAULT__MAX
};

struct fault {
	enum fault_kind kind;
	const char     *collection; /* NULL: of the store as a whole */
	const char     *key;	    /* NULL: of no record; of len bytes */
	size_t		len;
	int64_t		version;    /* of a history entry or a former state;
				     * 0: of none */
	const char     *what;
};

/* Takes note of a fault, which is borrowed; -1 ends the search. */
typedef int (*fault_fn)(void *ctx, const struct fault *fault,
    struct error *err);

/* What to do about faults of that kind: half a sentence. */
const char *fault_advice(enum fault_kind kind);

#endif
