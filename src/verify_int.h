/* What the parts of the verification share. */
#ifndef NOMPD_VERIFY_INT_H
#define NOMPD_VERIFY_INT_H

#include <stdbool.h>

#include "collection.h"
#include "hash.h"
#include "history_prune.h"
#include "stage.h"
#include "verify.h"

struct json_canonical;
struct seal_keys;
struct verify_ledger;

/*
 * runs are the finished ones whose entries are kept, newest first; oldest is
 * the version of the last of them, 0 when there is none.
 */
struct verify {
	struct store	       *store;
	const struct options   *opts;
	finding_fn		found;
	void		       *ctx;
	struct verify_counts   *counts;
	struct seal_keys       *keys; /* NULL: none were given */
	struct store_versions	versions;
	char		      **collections;
	char		      **remade; /* outputs that can be made again */
	struct store_run       *runs;
	size_t			n_runs;
	int64_t			oldest;
	struct history_prune   *prunes; /* newest first */
	size_t			n_prunes;
	int64_t			full_from; /* no tombstone was pruned since */
	struct verify_ledger   *ledger;
	struct hasher	       *hasher;
	struct json_canonical  *canonical;
	bool			is_damaged;	/* the kind of store says so */
	bool			is_raw_damaged; /* of raw records a backup is
					 * needed */
	int64_t			grouped_in; /* last entry with outputs ... */
	int64_t			typed_in;   /* ... and with what bulk runs
					     * make them of */
};

/* Counts a finding and gives it on. */
int verify_found(struct verify *verify, const struct finding *finding,
    struct error *err);
/* Was an output of it found that a repair makes again? */
bool verify_is_remade(const struct verify *verify, const char *collection);
/* The finished run of that version, or NULL. */
const struct store_run *verify_run(const struct verify *verify,
    int64_t version);

/* verify_runs.c: the history entries and their key lists. */
int verify_runs(struct verify *verify, struct error *err);
/* verify_records.c: the records of a collection, and their former states. */
int verify_records(struct verify *verify, const char *collection,
    struct error *err);
int verify_states(struct verify *verify, const char *collection,
    struct error *err);
/* verify_bounds.c: a prune of the history; Horizon and StatesFrom beside all of
 * them, when all runs are known. */
void verify_bounds_add(struct verify *verify,
    const struct history_prune *prune);
int verify_bounds(struct verify *verify, struct error *err);
/* verify_chain.c: the chain of the history. */
int verify_chain(struct verify *verify, struct error *err);
/* verify_past.c: the seals of all versions that can be shown, beside a
 * collection as of then. */
int verify_past(struct verify *verify, const char *collection,
    struct error *err);
/* verify_outputs.c: are outputs what the raw records give? */
int verify_outputs(struct verify *verify, struct error *err);

/*
 * verify_ledger.c: who has changed what.  The key lists of the history are one
 * side, the records and their former states the other.  All of it is in a
 * temporary database that goes with the process, so that memory does not grow
 * with the store.
 */
int verify_ledger_open(struct verify_ledger **out, struct error *err);
/* NULL is fine. */
void verify_ledger_close(struct verify_ledger *ledger);
/* A version whose history entry is kept. */
int verify_ledger_run(struct verify_ledger *ledger, int64_t version,
    struct error *err);
/* So many keys are in a list of that entry, as the entry says. */
int verify_ledger_count(struct verify_ledger *ledger, int64_t version,
    const char *collection, enum act act, int64_t count, struct error *err);
/* A key of such a list. */
int verify_ledger_key(struct verify_ledger *ledger, int64_t version,
    const char *collection, enum act act, const char *key, size_t len,
    struct error *err);
/* The seal of an entry. */
int verify_ledger_seal(struct verify_ledger *ledger, int64_t version,
    const uint8_t *seal, size_t len, struct error *err);
/* A record, or a former state, with the hashes that its Data has: 1 = taken,
 * 0 = that version of it was there already, -1 = failed. */
int verify_ledger_record(struct verify_ledger *ledger, const char *collection,
    const struct store_record *record, bool is_state, struct error *err);
/* Gives the seals that are in, the oldest first; -1 of fn ends it. */
typedef int (*verify_seal_fn)(void *ctx, int64_t version, const uint8_t *seal,
    size_t len, struct error *err);
int verify_ledger_seals(struct verify_ledger *ledger, verify_seal_fn fn,
    void *ctx, struct error *err);
/* Gives the records and former states of a collection, without Data and time,
 * in ascending order of key (byte order), then of version. */
typedef int (*verify_held_fn)(void *ctx, const struct store_record *record,
    struct error *err);
int verify_ledger_held(struct verify_ledger *ledger, const char *collection,
    verify_held_fn fn, void *ctx, struct error *err);
/* All is in: what is on one side alone, or does not fit together. */
int verify_ledger_compare(struct verify *verify, struct error *err);

#endif
