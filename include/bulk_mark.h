/*
 * The bookmark of the bulk mode: what the last finished run for the same
 * source got.  It is part of the run's history entry, so that it moves in the
 * write that publishes the run.  (nompd-store(7), THE HISTORY)
 */
#ifndef NOMPD_BULK_MARK_H
#define NOMPD_BULK_MARK_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "instant.h"
#include "store.h"

/* History entries that are looked at for it. */
#define MAX_MARK_ENTRIES 100000

struct bulk_mark {
	bool	 is_there;
	int64_t	 transaction_us; /* the server's time, since 1970 */
	bool	 is_complete;	 /* the store had all resources at that time */
	uint64_t since_full;	 /* runs since the last full one, that not
				  * counted; of all when there was none */
};

/*
 * Fills *mark for source: the kick-off's URL without _since.  since_full need
 * not be counted beyond most: the history may be long.
 */
int bulk_mark_find(struct store *store, const char *source, uint64_t most,
    struct bulk_mark *mark, struct error *err);

/*
 * Was the last bulk run of another scope: another level, server, filters or
 * elements?  The types do not matter.  False when there was none.
 */
int bulk_mark_is_other_scope(struct store *store, const char *source,
    bool *out, struct error *err);
/*
 * Does the store have all resources of the n types, as far as the last bulk run
 * of each of them can tell?
 */
int bulk_mark_has_all(struct store *store, const char *const types[], size_t n,
    bool *out, struct error *err);

/* What a run notes of itself. */
struct bulk_note {
	const char *source;
	const char *since;	 /* NULL: a full export */
	const char *transaction; /* transactionTime */
	bool	    overwrites;	 /* absence was deletion */
	bool	    is_complete;
	bool	    has_gap;	/* what changed between the mark and since is
				 * not in it: the mark stays where it is */
	uint64_t    files;
	uint64_t    bytes;	/* of them, decoded */
	uint64_t    bad;	/* records in quarantine */
	const bson_t *messages; /* an array of texts */
};
/* The history entry's member HISTORY_BULK; the caller calls bson_destroy(). */
void bulk_mark_make(const struct bulk_note *note, bson_t *out);

#endif
