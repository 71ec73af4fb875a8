/*
 * Is all in a store as it must be?  Everything is computed again from what the
 * store has: hashes, keys, versions and key lists, former states, outputs, the
 * digests of the seals.  (nompd-store(7), INVARIANTS)
 */
#ifndef NOMPD_VERIFY_H
#define NOMPD_VERIFY_H

#include <stdint.h>

#include "finding.h"
#include "options.h"
#include "store.h"

struct verify_counts {
	int64_t records; /* tombstones included */
	int64_t states;	 /* former ones */
	int64_t entries; /* of the history */
	int64_t findings[FINDING__MAX];
	int64_t raw; /* of the findings: of what outputs are made from, unless
		      * the next run undoes it first */
};

/* All findings of these counts. */
int64_t verify_findings(const struct verify_counts *counts);

/*
 * Reads the store, which has begun and is not written meanwhile, from end to
 * end, and gives each finding to found as it is met.  -1: the store could not
 * be read, found failed, or stop_check() said so; what was found by then stands
 * in counts.
 */
int verify_store(struct store *store, const struct options *opts,
    finding_fn found, void *ctx, struct verify_counts *counts,
    struct error *err);

#endif
