/* One collection of a run, and what the run did, or would do, to it. */
#ifndef NOMPD_TALLY_H
#define NOMPD_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "stage.h"

struct tally {
	const char *name;	/* of the collection; borrowed */
	int	    list;	/* of the stage */
	bool	    is_output;	/* converted, not fetched */
	bool	    is_merged;	/* what is not in the list stays */
	bool	    is_restored; /* from the store, as it was: neither */
	bool	    is_remade;	/* an output that is made again, as it was */
	bool	    is_aside;	/* no data of the upstream: not guarded, not
				 * in the result */

	uint64_t came;	     /* from the upstream, with and without a key; of
			      * what is fetched only */
	uint64_t added;
	uint64_t updated;
	uint64_t unchanged;
	uint64_t deleted;
	uint64_t skipped;    /* no business key */
	uint64_t stale;	     /* older or less than what the store has */
	uint64_t duplicates; /* key seen before in this run */
	uint64_t named;	     /* keys that the upstream names as deleted */
	uint64_t repeated;   /* duplicates, those of outputs as well */
	uint64_t revived;    /* updated, of tombstones */
	uint64_t unresolved; /* references to nothing */
	uint64_t live;	     /* in the store before the run */
	uint64_t written;    /* changes that were carried out so far */
};

/* How many records an act of the plan is for. */
static inline uint64_t
tally_count(const struct tally *tally, enum act act)
{
	return act == ACT_ADD ? tally->added : act == ACT_UPDATE ?
	    tally->updated : tally->deleted;
}

#endif
