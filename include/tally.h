/* What a run did, or would do, to one collection. */
#ifndef NOMPD_TALLY_H
#define NOMPD_TALLY_H

#include <stdint.h>

struct tally {
	uint64_t added;
	uint64_t updated;
	uint64_t unchanged;
	uint64_t deleted;
	uint64_t skipped;    /* no business key */
	uint64_t duplicates; /* key seen before in this run */
	uint64_t unresolved; /* references to nothing */
	uint64_t live;	     /* in the store before the run */
};

#endif
