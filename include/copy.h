/*
 * A copy of a whole store, of the same kind or the other one: records with
 * their versions and times, tombstones, versions, history.
 */
#ifndef NOMPD_COPY_H
#define NOMPD_COPY_H

#include <stdint.h>

#include "digest.h"
#include "error.h"
#include "options.h"

struct copy_result {
	int64_t	      version; /* the last finished one */
	int64_t	      copied;  /* records that this call has written */
	int64_t	      duration_ms;
	struct digest digest; /* of both stores */
};

/*
 * Makes the store opts->to equal to opts->from, and proves it by digest.  It is
 * made when it is not there; else it must be empty or an earlier, perhaps
 * unfinished copy of the same store, whose records are not copied again.  Both
 * leases are held meanwhile.  The versions are published last, so that readers
 * of an unfinished copy get nothing of it.
 */
int copy_store(const struct options *opts, struct copy_result *result,
    struct error *err);

#endif
