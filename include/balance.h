/*
 * The end-of-run check: what came, what was decided, what was written and what
 * the store has must agree before a run is published.  Each side is counted
 * where it happens, and what was written is read back.  A run that does not
 * add up fails with STATUS_UNBALANCED and a sentence that has the collection
 * and both numbers, or the key.  (nompd-sync(1), THE END-OF-RUN CHECK)
 */
#ifndef NOMPD_BALANCE_H
#define NOMPD_BALANCE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "stage.h"
#include "store.h"
#include "tally.h"

/* A run; all of it is borrowed. */
struct balance {
	struct stage	   *stage;
	struct store	   *store;
	const struct tally *tallies;
	size_t		    count;
	int64_t		    version; /* that it has raised ... */
	int64_t		    now_ms;  /* ... and the time of what it wrote */
};

/*
 * Before the first write: all that came was decided on, and each output has
 * its raw record and each raw record its output.
 */
int balance_plan(const struct balance *balance, struct error *err);
/*
 * After the last record: each collection has as many live records as it must
 * have, each record that was to be written is there as it was meant, and no
 * other one has the run's version.
 */
int balance_records(const struct balance *balance, struct error *err);
/* After the history: its entry is there as it was written, and its key lists,
 * with their further parts, are the plan's. */
int balance_history(const struct balance *balance,
    const struct store_history *entry, struct error *err);

#endif
