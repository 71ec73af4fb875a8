/* What the parts of a copy share. */
#ifndef NOMPD_COPY_INT_H
#define NOMPD_COPY_INT_H

#include "copy.h"
#include "store.h"

/*
 * held is a second connection to the target, which reads what is there already
 * while the first one writes.
 */
struct copy {
	const struct options *opts;
	struct store	     *from;
	struct store	     *to;
	struct store	     *held;
	struct store_versions versions; /* of from */
	char		    **collections; /* of from */
	int64_t		     *finished; /* the versions of its history ... */
	size_t		      n_finished; /* ... newest first */
	int64_t		      pruned_to; /* and those that were pruned of it */
	struct copy_result   *result;
};

/* Makes what was written so far last, and goes on. */
int copy_publish_batch(struct copy *copy, struct error *err);
/* copy_history.c: the history entries and their key lists that the target has
 * not yet. */
int copy_history(struct copy *copy, struct error *err);

#endif
