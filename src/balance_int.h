/* What the parts of the end-of-run check share. */
#ifndef NOMPD_BALANCE_INT_H
#define NOMPD_BALANCE_INT_H

#include "balance.h"

/* The end of each of its sentences. */
#define BALANCE_ADVICE \
	"; nothing was published: start it again and, when it comes again," \
	" report it with the log"

/* Keys of the list that were to be there after the run. */
static inline uint64_t
balance_keys(const struct tally *tally)
{
	return tally->added + tally->updated + tally->unchanged + tally->stale;
}

/* Live records of the collection after the run. */
static inline uint64_t
balance_live(const struct tally *tally)
{
	return tally->live + tally->added + tally->revived - tally->deleted;
}

/* Records that the run was to write. */
static inline uint64_t
balance_writes(const struct tally *tally)
{
	return tally->added + tally->updated + tally->deleted;
}

#endif
