/*
 * The journal of an export, in the store's notes: which job is under way, and
 * which of its files are here.  Another run goes on from there.
 */
#ifndef NOMPD_BULK_JOURNAL_H
#define NOMPD_BULK_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "hash.h"
#include "store.h"

/* The job; both texts are heap. */
struct bulk_job_note {
	char   *poll_url;
	char   *request; /* all that was asked for */
	int64_t started_at_ms;
};
/* A file that is here, whole. */
struct bulk_file_note {
	unsigned number; /* in the manifest, from 1 */
	uint64_t bytes;
	uint8_t	 digest[HASH_BYTES];
	uint8_t	 link[HASH_BYTES]; /* by which its link is known again */
};

/* 1 = there is one, to be cleared; 0 = none; -1 = failed. */
int bulk_journal_read(struct store *store, struct bulk_job_note *out,
    struct error *err);
void bulk_job_note_clear(struct bulk_job_note *note);
/* A new job, before it is polled for the first time. */
int bulk_journal_begin(struct store *store, const struct bulk_job_note *note,
    struct error *err);
/* A file is whole and in the spool. */
int bulk_journal_add(struct store *store, const struct bulk_file_note *note,
    struct error *err);
/* Calls fn for each such file; -1 ends it. */
int bulk_journal_each(struct store *store,
    int (*fn)(void *ctx, const struct bulk_file_note *note,
    struct error *err), void *ctx, struct error *err);
/* There is no job any more. */
int bulk_journal_end(struct store *store, struct error *err);

#endif
