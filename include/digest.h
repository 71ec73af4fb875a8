/*
 * The digest of a whole store: SHA-256 over all it holds, the same for every
 * kind of store.  Two stores with one digest answer every question alike.
 * (nompd-store(7), DIGEST)
 */
#ifndef NOMPD_DIGEST_H
#define NOMPD_DIGEST_H

#include <stdint.h>

#include "error.h"
#include "hash.h"
#include "store.h"

struct digest {
	int64_t records; /* tombstones included */
	int64_t runs;	 /* history entries */
	char	text[HASH_TEXT_BYTES];
};

/* Which part of a store. */
enum digest_part {
	DIGEST_RECORDS, /* the records alone */
	DIGEST_ALL,	/* and the versions, the history and its key lists */
};

/* Reads the store from end to end; stops when stop_check() says so. */
int digest_store(struct store *store, enum digest_part part,
    struct digest *out, struct error *err);

#endif
