/* One collection of a run, and what the run did, or would do, to it. */
#ifndef NOMPD_TALLY_H
#define NOMPD_TALLY_H

#include <stdbool.h>
#include <stdint.h>

struct tally {
	const char *name;	/* of the collection; borrowed */
	int	    list;	/* of the stage */
	bool	    is_output;	/* converted, not fetched */
	bool	    is_merged;	/* what is not in the list stays */
	bool	    is_aside;	/* no data of the upstream: not guarded, not
				 * in the result */

	uint64_t added;
	uint64_t updated;
	uint64_t unchanged;
	uint64_t deleted;
	uint64_t skipped;    /* no business key */
	uint64_t stale;	     /* older or less than what the store has */
	uint64_t duplicates; /* key seen before in this run */
	uint64_t unresolved; /* references to nothing */
	uint64_t live;	     /* in the store before the run */
	uint64_t written;    /* changes that were carried out so far */
};

#endif
