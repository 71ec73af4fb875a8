/*
 * The seal of a history entry: what the store held when the run was published,
 * as digests, chained to the entry before it and, with a key, signed.  It is a
 * BSON document; of what its digests are made: nompd-store(7), SEALED HISTORY.
 *
 *	{ Collections: { NAME: { Live, Deleted, Digest, Data, Unproven },
 *	    ... },
 *	  Keys, Previous, FetchedAt, KeyId, Digest, Signature }
 */
#ifndef NOMPD_SEAL_H
#define NOMPD_SEAL_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "hash.h"
#include "seal_key.h"

struct store;
struct store_history;
struct store_versions;
struct tally;

/* What a seal says of a collection. */
struct seal_numbers {
	int64_t live;
	int64_t deleted; /* tombstones */
	char	records[HASH_TEXT_BYTES]; /* Digest: over all records */
	char	data[HASH_TEXT_BYTES];	  /* Data: over what consumers hold;
					   * empty: it has none */
	bool	is_unproven; /* a repair has found other records than the run
			      * before it had left, and the numbers are those
			      * that the run had */
};
/* The same of the collection as it is, in one pass over its outline. */
int seal_numbers_make(struct store *store, const char *collection,
    struct seal_numbers *out, struct error *err);
/*
 * The same, record by record, in ascending byte order of their keys: for
 * records that are not, or not all, in the store as it is.  seal_scan_end()
 * fills *out and frees scan.
 */
struct seal_scan;
struct store_outline;
struct store_record;
struct seal_scan *seal_scan_new(const char *collection);
void seal_scan_add(struct seal_scan *scan,
    const struct store_outline *outline);
/* Without its Data and its time. */
void seal_scan_add_record(struct seal_scan *scan,
    const struct store_record *record);
void seal_scan_end(struct seal_scan *scan, struct seal_numbers *out);
/* From a seal of len bytes (NULL: there is none): 1 = *out is filled, 0 = it
 * says nothing of that collection, or is not sound. */
int seal_numbers_get(const uint8_t *seal, size_t len, const char *collection,
    struct seal_numbers *out);
/*
 * The consumers' digest of a collection, from a seal as above: 1 = text is
 * filled, 0 = there is none: the collection is none of consumers', was not
 * there, or has an item without canonical JSON.
 */
int seal_data_digest(const uint8_t *seal, size_t len, const char *collection,
    char text[HASH_TEXT_BYTES]);

/* What holds the chain together; key_id is borrowed from the seal. */
struct seal {
	char	    keys[HASH_TEXT_BYTES];
	char	    previous[HASH_TEXT_BYTES];
	int64_t	    fetched_at_ms; /* 0: the run has fetched what it wrote */
	const char *key_id; /* NULL: it is not signed */
	char	    digest[HASH_TEXT_BYTES];
	uint8_t	    signature[SEAL_SIGNATURE_BYTES];
};
/* -1: it is no seal: a member is not there, is there twice, or is another than
 * it has to be. */
int seal_parse(const uint8_t *seal, size_t len, struct seal *out);

/* The digest that the entry has by its content, its seal's own Digest and
 * Signature aside. */
void seal_digest(const struct store_history *entry,
    char text[HASH_TEXT_BYTES]);
/* What an entry that comes next has as Previous, and a prune as Anchor: the
 * Digest of its seal or, when it has none, the one by its content. */
void seal_chain(const struct store_history *entry,
    char text[HASH_TEXT_BYTES]);

/*
 * When data came from the upstream last, as of an entry: its SyncedAt or, when
 * the run has fetched nothing (a prune, a rollback, a repair, a reconvert),
 * that of the last one before it that has, which its seal tells.  Entries of
 * older programs tell nothing of it, and count as if they had fetched.
 */
int64_t seal_fetched_at(const struct store_history *entry);
/* The same as of the last finished run, of which only the seal is read; 0: none
 * has finished yet. */
int seal_last_fetch(struct store *store, const struct store_versions *versions,
    int64_t *at_ms, struct error *err);

/* A run, and the key that signs its entry. */
struct seal_input {
	struct store	      *store;	/* in the run */
	const struct tally    *tallies; /* its collections */
	size_t		       count;
	bool		       has_parts; /* its key lists have parts */
	const struct seal_key *key;	  /* NULL: it is not signed */
	bool		       fetched_nothing;
};
/*
 * Makes the seal of the run's entry, of which all else is filled in and which
 * is not put into the store yet.  A collection that the run has not written to
 * keeps the numbers that the entry before it has; a run that prunes, or one
 * that died since, may have written to all of them.  A repair leaves records
 * that differ from these numbers unproven: they keep them until a run has
 * written to the collection, or compared all of it with its source.  Warns
 * when that entry was signed and this one is not.  The caller destroys *seal in
 * any case.
 */
int seal_make(const struct seal_input *input,
    const struct store_history *entry, bson_t *seal, struct error *err);

#endif
