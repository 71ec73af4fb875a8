/* How a seal is made; of what a collection's part of it is: seal_scan.c. */
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "history.h"
#include "log.h"
#include "seal_int.h"
#include "store.h"
#include "tally.h"
#include "words.h"
#include "xalloc.h"

/* The entry before: its digest, and its seal. */
struct before {
	char	 chain[HASH_TEXT_BYTES];
	uint8_t *seal; /* heap; NULL: it has none */
	size_t	 seal_len;
	int64_t	 version; /* 0: there is none */
	int64_t	 fetched_at_ms;
	bool	 is_signed;
};

/* What is made: the run, and what is known of it beside its tallies. */
struct making {
	const struct seal_input *input;
	struct before		 before;
	bool			 is_repair;
	bool			 is_loose; /* what is in no tally may have
					    * gone */
};

/* Does the run's entry say that? */
static bool
has_member(const struct store_history *entry, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_from_data(&iter, entry->tallies,
	    entry->tallies_len) && bson_iter_find(&iter, name);
}

static int
read_before(struct store *store, struct before *before, struct error *err)
{
	struct store_history entry;
	struct store_cursor *cursor;
	struct seal	     seal;
	int		     rc;

	*before = (struct before){ .seal = NULL };
	/* There is none before the first. */
	memset(before->chain, '0', sizeof(before->chain) - 1);
	if (store_history_open(store, 1, &cursor, err) == -1)
		return -1;
	rc = store_history_next(cursor, &entry, err);
	if (rc == 1) {
		before->version = entry.version;
		before->fetched_at_ms = seal_fetched_at(&entry);
		seal_chain(&entry, before->chain);
	}
	if (rc == 1 && seal_parse(entry.seal, entry.seal_len, &seal) == 0) {
		before->seal = xcalloc(1, entry.seal_len);
		memcpy(before->seal, entry.seal, entry.seal_len);
		before->seal_len = entry.seal_len;
		before->is_signed = seal.key_id != NULL;
	}
	store_cursor_close(cursor);
	return rc == -1 ? -1 : 0;
}

static const struct tally *
find_tally(const struct seal_input *input, const char *collection)
{
	size_t i;

	for (i = 0; i < input->count; i++) {
		if (strcmp(input->tallies[i].name, collection) == 0)
			return &input->tallies[i];
	}
	return NULL;
}

/* Did the run write to it?  Where the numbers are of an earlier entry it is
 * enough that all records were compared with what they come from. */
static bool
is_written(const struct making *making, const char *collection,
    const struct seal_numbers *old)
{
	const struct tally *tally = find_tally(making->input, collection);

	/* Records of runs that died have this run's version now. */
	if (store_adopted(making->input->store) > 0)
		return true;
	return tally != NULL && (tally->added + tally->updated +
	    tally->deleted > 0 || (old->is_unproven && !tally->is_merged));
}

/* The numbers that the seal has of a collection. */
static int
find_numbers(const struct making *making, const char *collection,
    struct seal_numbers *out, struct error *err)
{
	struct seal_numbers old;
	bool		    has_old, is_written_to;

	has_old = seal_numbers_get(making->before.seal,
	    making->before.seal_len, collection, &old) == 1;
	is_written_to = is_written(making, collection, &old);
	*out = old;
	if (has_old && !is_written_to && !making->is_repair &&
	    (!making->is_loose || old.is_unproven))
		return 0;
	if (seal_numbers_make(making->input->store, collection, out, err) ==
	    -1)
		return -1;
	/* What a repair makes of records leaves the digest as it was: else
	 * they were others before, and nobody knows by whose hand. */
	if (making->is_repair && has_old && !is_written_to &&
	    strcmp(out->records, old.records) != 0) {
		*out = old;
		out->is_unproven = true;
	}
	return 0;
}

static void
append_text(bson_t *doc, const char *name, const char *text)
{
	if (!BSON_APPEND_UTF8(doc, name, text))
		xalloc_end();
}

static int
append_collection(const struct making *making, const char *collection,
    bson_t *collections, struct error *err)
{
	struct seal_numbers numbers;
	bson_t		    member;

	if (find_numbers(making, collection, &numbers, err) == -1)
		return -1;
	if (!BSON_APPEND_DOCUMENT_BEGIN(collections, collection, &member) ||
	    !BSON_APPEND_INT64(&member, SEAL_LIVE, numbers.live) ||
	    !BSON_APPEND_INT64(&member, SEAL_DELETED, numbers.deleted))
		xalloc_end();
	append_text(&member, SEAL_RECORDS, numbers.records);
	if (numbers.data[0] != '\0')
		append_text(&member, SEAL_DATA, numbers.data);
	if (numbers.is_unproven &&
	    !BSON_APPEND_BOOL(&member, SEAL_UNPROVEN, true))
		xalloc_end();
	if (!bson_append_document_end(collections, &member))
		xalloc_end();
	return 0;
}

static int
append_collections(const struct making *making, bson_t *seal,
    struct error *err)
{
	bson_t	collections;
	char  **names, **name;
	int	rc = 0;

	if (store_collections_get(making->input->store, &names, err) == -1)
		return -1;
	if (!BSON_APPEND_DOCUMENT_BEGIN(seal, SEAL_COLLECTIONS, &collections))
		xalloc_end();
	for (name = names; rc == 0 && *name != NULL; name++)
		rc = append_collection(making, *name, &collections, err);
	if (!bson_append_document_end(seal, &collections))
		xalloc_end();
	words_free(names);
	return rc;
}

static int
feed_list(crypto_hash_sha256_state *state, struct store *store,
    int64_t version, const char *collection, const char *act,
    struct error *err)
{
	struct store_history_keys part;
	struct store_cursor	 *cursor;
	int			  rc;

	if (store_history_keys_open(store, version, collection, act, &cursor,
	    err) == -1)
		return -1;
	while ((rc = store_history_keys_next(cursor, &part, err)) == 1)
		seal_feed_part(state, &part);
	store_cursor_close(cursor);
	return rc;
}

/* A tally in another order. */
struct ordered {
	const struct tally *tally;
};

static int
compare_names(const void *a, const void *b)
{
	const struct ordered *one = a, *other = b;

	return strcmp(one->tally->name, other->tally->name);
}

/* Of one collection, in the order of the names of acts. */
static int
feed_lists(crypto_hash_sha256_state *state, const struct seal_input *input,
    const struct tally *tally, int64_t version, struct error *err)
{
	static const enum act acts[ACT__MAX] = { ACT_ADD, ACT_DELETE,
		ACT_UPDATE };
	size_t		      i;
	int		      rc = 0;

	for (i = 0; i < ACT__MAX && rc == 0; i++) {
		if (tally_count(tally, acts[i]) > 0)
			rc = feed_list(state, input->store, version,
			    tally->name, history_act_name(acts[i]), err);
	}
	return rc;
}

/* The parts of all key lists, in the order that a store has them in. */
static int
feed_parts(crypto_hash_sha256_state *state, const struct seal_input *input,
    int64_t version, struct error *err)
{
	struct ordered *tallies;
	size_t		i;
	int		rc = 0;

	tallies = xcalloc(input->count + 1, sizeof(*tallies));
	for (i = 0; i < input->count; i++)
		tallies[i].tally = &input->tallies[i];
	qsort(tallies, input->count, sizeof(*tallies), compare_names);
	for (i = 0; i < input->count && rc == 0; i++)
		rc = feed_lists(state, input, tallies[i].tally, version, err);
	free(tallies);
	return rc;
}

static int
append_keys(const struct seal_input *input, int64_t version, bson_t *seal,
    struct error *err)
{
	crypto_hash_sha256_state state;
	uint8_t			 hash[HASH_BYTES];
	char			 text[HASH_TEXT_BYTES];

	(void)crypto_hash_sha256_init(&state);
	if (input->has_parts && feed_parts(&state, input, version, err) == -1)
		return -1;
	(void)crypto_hash_sha256_final(&state, hash);
	hash_format(hash, text);
	append_text(seal, SEAL_KEYS, text);
	return 0;
}

/* Where no run was before, there is nothing to be told. */
static void
append_fetched_at(const struct before *before, bson_t *seal)
{
	if (before->fetched_at_ms > 0 && !BSON_APPEND_DATE_TIME(seal,
	    SEAL_FETCHED_AT, before->fetched_at_ms))
		xalloc_end();
}

/* What all before it is digested to, and signed. */
static void
append_digest(const struct seal_key *key, const struct store_history *entry,
    bson_t *seal)
{
	struct store_history sealed = *entry;
	uint8_t		     signature[SEAL_SIGNATURE_BYTES];
	char		     digest[HASH_TEXT_BYTES];
	char		     text[2 * SEAL_SIGNATURE_BYTES + 1];

	sealed.seal = bson_get_data(seal);
	sealed.seal_len = seal->len;
	seal_digest(&sealed, digest);
	append_text(seal, SEAL_DIGEST, digest);
	if (key == NULL)
		return;
	seal_key_sign(key, digest, signature);
	(void)sodium_bin2hex(text, sizeof(text), signature,
	    sizeof(signature));
	append_text(seal, SEAL_SIGNATURE, text);
}

int
seal_make(const struct seal_input *input, const struct store_history *entry,
    bson_t *seal, struct error *err)
{
	struct making  making = { .input = input };
	struct before *before = &making.before;
	int	       rc;

	bson_init(seal);
	if (read_before(input->store, before, err) == -1)
		return -1;
	making.is_repair = has_member(entry, HISTORY_REPAIR);
	/* A prune between that died leaves nothing but a gap. */
	making.is_loose = has_member(entry, HISTORY_PRUNE) ||
	    entry->version != before->version + 1;
	rc = append_collections(&making, seal, err);
	if (rc == 0)
		rc = append_keys(input, entry->version, seal, err);
	if (rc == 0) {
		append_text(seal, SEAL_PREVIOUS, before->chain);
		if (input->fetched_nothing)
			append_fetched_at(before, seal);
		if (input->key != NULL)
			append_text(seal, SEAL_KEY_ID,
			    seal_key_id(input->key));
		append_digest(input->key, entry, seal);
		if (input->key == NULL && before->is_signed)
			log_warn("version %" PRId64 ": its history entry is not"
			    " signed, and the one before it is;"
			    " --seal-key-file names the key",
			    entry->version);
	}
	free(before->seal);
	return rc;
}
