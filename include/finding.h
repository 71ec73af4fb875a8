/*
 * Something in a store that is not as it must be (nompd-store(7),
 * INVARIANTS), in words, and what becomes of it.
 */
#ifndef NOMPD_FINDING_H
#define NOMPD_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* What can be done about it. */
enum finding_kind {
	FINDING_HASH,	    /* can be made again from the record's Data */
	FINDING_OUTPUT,	    /* can be made again from the raw records */
	FINDING_INDEX,	    /* can be made again from its table */
	FINDING_STRANGER,   /* stands where something of ours has to be */
	FINDING_UNFINISHED, /* of a run that died; the next run mends it */
	FINDING_STATE,	    /* of a former state, which pruning removes */
	FINDING_HISTORY,    /* of what nothing else tells; a backup has it */
	FINDING_DATA,	    /* only a backup has it */
	FINDING__MAX
};

struct finding {
	enum finding_kind kind;
	const char     *collection; /* NULL: of the store as a whole */
	const char     *key;	    /* NULL: of no record; of len bytes */
	size_t		len;
	int64_t		version;    /* of a history entry or a former state;
				     * 0: of none */
	const char     *what;
	bool		is_undone; /* before the next run looks at anything */
};

/* Takes note of a finding, which is borrowed; -1 ends the search. */
typedef int (*finding_fn)(void *ctx, const struct finding *finding,
    struct error *err);

/* What to do about faults of that kind: half a sentence. */
const char *finding_advice(enum finding_kind kind);

#endif
