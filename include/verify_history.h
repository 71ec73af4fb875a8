/*
 * Checks the history of a store: that each entry has the content it was sealed
 * with, that none was dropped, put in or moved, and who signed them.
 * (nompd-store(7), SEALED HISTORY)
 */
#ifndef NOMPD_VERIFY_HISTORY_H
#define NOMPD_VERIFY_HISTORY_H

#include <stdint.h>

#include "error.h"
#include "hash.h"

struct seal_keys;
struct store;

/* What is wrong, as a sentence without a full stop, with the entry of a
 * version; 0: with the history as a whole. */
typedef void (*verify_found_fn)(void *ctx, int64_t version, const char *text);

struct verify_history {
	struct store		*store; /* after store_begin() */
	const struct seal_keys	*keys;	/* NULL: signatures are not checked */
	const char		*head;	/* a digest of one of the entries;
					 * NULL: none */
	verify_found_fn		 found;
	void			*ctx;
};

struct verify_history_result {
	int64_t	 entries;
	int64_t	 sealed;
	int64_t	 older;	  /* at the start, of a program without seals */
	int64_t	 signed_count;
	int64_t	 checked; /* sound signatures by one of the keys */
	uint64_t findings;
	int64_t	 head_version;		     /* the newest that is sealed ... */
	char	 head[HASH_TEXT_BYTES]; /* ... and its digest; empty: none */
};

/* Reads all entries with their key lists, newest first; calls found for each
 * finding.  -1: they cannot be read, or stop_check() says so. */
int verify_history(const struct verify_history *what,
    struct verify_history_result *out, struct error *err);

#endif
