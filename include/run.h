/* A run, from its start to its result. */
#ifndef NOMPD_RUN_H
#define NOMPD_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "options.h"

/* The SyncResult: counts are sums over all collections. */
struct run_result {
	int64_t	 version;
	uint64_t added;
	uint64_t updated;
	uint64_t unchanged;
	uint64_t deleted;
	int64_t	 duration_ms; /* to the publication, as in the history */
};

/*
 * Fetches, raises the version, upserts, converts, upserts, writes the history.
 * With opts->dry_run nothing is written and *result is what it would be.  -1:
 * what the store then holds is said by the status (nompd-sync(1)).
 */
int run_sync(const struct options *opts, struct run_result *result,
    struct error *err);

/*
 * A run after which the data is that of the finished version opts->to_version
 * again.  -1 (STATUS_NOT_FOUND): there is no such version (any more).
 */
int run_rollback(const struct options *opts, struct run_result *result,
    struct error *err);

/* What a prune has taken away, or would. */
struct prune_result {
	struct run_result run; /* no version is raised where nothing is old */
	int64_t		  tombstones;
	int64_t		  states;
	int64_t		  entries;     /* of the history */
	int64_t		  horizon;     /* of the store, now ... */
	int64_t		  states_from; /* ... likewise */
};
/*
 * A run that takes away what is older than the ages of opts, and changes no
 * data.  Where nothing is old enough it leaves the store as it is.
 */
int run_prune(const struct options *opts, struct prune_result *result,
    struct error *err);

/* What a repair has made again. */
struct run_repaired {
	int64_t version;
	int64_t hashes; /* records that got other ones */
	int64_t outputs;
	int64_t indexes;
	bool	is_proven; /* raw records are those that were sealed; else
			    * outputs were left as they are */
};
struct verify_counts;
/*
 * A run that makes again what can be derived of what was found (verify.h):
 * hashes of records from their Data, outputs from the raw records, indexes.  -1
 * (STATUS_HELD): the guard held it.
 */
int run_repair(const struct options *opts, const struct verify_counts *found,
    struct run_repaired *repaired, struct error *err);

/* The conversion again, from the stored raw records, as a run of its own. */
int run_reconvert(const struct options *opts, struct run_result *result,
    struct error *err);

#endif
