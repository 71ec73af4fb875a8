#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "log.h"
#include "repair_int.h"
#include "seal.h"
#include "words.h"

#define PROOF_ADVICE \
	": the groups are left as they are; restore the store from a backup," \
	" or let a full run (nompd-sync run) fetch all again, which rewrites" \
	" what differs from the upstream, and the groups after it"

/* The last finished entry, and what its seal says. */
struct proof {
	struct store  *store;
	int64_t	       version;
	const uint8_t *seal; /* NULL: it has none */
	size_t	       len;
	bool	       is_proven;
};

static int
prove_collection(struct proof *proof, const char *name, struct error *err)
{
	struct seal_numbers is, sealed;

	if (seal_numbers_make(proof->store, name, &is, err) == -1)
		return -1;
	if (seal_numbers_get(proof->seal, proof->len, name, &sealed) == 0 ?
	    is.live + is.deleted == 0 : strcmp(is.records, sealed.records) ==
	    0)
		return 0;
	proof->is_proven = false;
	log_warn("%s: its records are not those that version %" PRId64 " was"
	    " sealed with, also with their hashes made again" PROOF_ADVICE,
	    name, proof->version);
	return 0;
}

/* What outputs are made of, in either mode. */
static int
prove_raw(struct proof *proof, struct error *err)
{
	char **names;
	int    i, rc = 0;

	if (store_collections_get(proof->store, &names, err) == -1)
		return -1;
	for (i = 0; i < COLLECTION_RAW_MAX && rc == 0; i++) {
		rc = prove_collection(proof, collection_name(i), err);
		if (rc == 0 && words_has(names, collection_resource_type(i)))
			rc = prove_collection(proof,
			    collection_resource_type(i), err);
	}
	words_free(names);
	return rc;
}

/* 1 = the seal tells, 0 = there is none, -1 = it was changed. */
static int
judge_seal(const struct store_history *entry)
{
	struct seal seal;
	char	    digest[HASH_TEXT_BYTES];

	if (entry->seal == NULL)
		return 0;
	if (seal_parse(entry->seal, entry->seal_len, &seal) == -1)
		return -1;
	seal_digest(entry, digest);
	return strcmp(digest, seal.digest) == 0 ? 1 : -1;
}

static int
prove(struct proof *proof, const struct store_history *entry,
    const struct verify_counts *found, struct error *err)
{
	int rc = judge_seal(entry);

	proof->version = entry->version;
	proof->seal = entry->seal;
	proof->len = entry->seal_len;
	if (rc == 1)
		return prove_raw(proof, err);
	proof->is_proven = rc == 0 && found->raw == 0;
	if (!proof->is_proven)
		log_warn("version %" PRId64 " %s" PROOF_ADVICE,
		    proof->version, rc == 0 ? "has no seal, and raw records"
		    " are damaged" : "has a seal that was changed");
	return 0;
}

int
repair_prove(struct store *store, const struct verify_counts *found,
    bool *is_proven, struct error *err)
{
	struct proof	     proof = { .store = store, .is_proven = true };
	struct store_cursor *cursor;
	struct store_history entry;
	int		     rc;

	if (store_history_open(store, 1, &cursor, err) == -1)
		return -1;
	rc = store_history_next(cursor, &entry, err);
	if (rc == 1)
		rc = prove(&proof, &entry, found, err);
	store_cursor_close(cursor);
	*is_proven = proof.is_proven;
	return rc;
}
