/* How a seal is made. */
#include <endian.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "collection.h"
#include "feed.h"
#include "history.h"
#include "log.h"
#include "seal_int.h"
#include "stop.h"
#include "store.h"
#include "tally.h"
#include "words.h"
#include "xalloc.h"

/* Of an unsigned 64-bit number. */
#define MAX_DECIMAL_DIGITS 20

/* The digests of a collection while it is read.  Both grow with the records, so
 * that they are libcrypto's, and are fed a record at a time. */
struct scan {
	struct hasher	    *records;
	struct hasher	    *data;
	bool		     has_data;
	size_t		     type_len; /* bytes of a key before the id */
	struct buf	     text;     /* of one record */
	struct seal_numbers *out;
};

/* As feed_number() does it. */
static void
append_number(struct buf *text, int64_t number)
{
	uint64_t bytes = htobe64((uint64_t)number);

	buf_append(text, &bytes, sizeof(bytes));
}

static void
append_bytes(struct buf *text, const char *data, size_t len)
{
	append_number(text, (int64_t)len);
	buf_append(text, data, len);
}

static void
add_record(struct scan *scan, const struct store_outline *outline)
{
	struct buf *text = &scan->text;

	text->len = 0;
	append_bytes(text, outline->key, outline->len);
	append_number(text, outline->version);
	append_number(text, outline->is_deleted);
	append_bytes(text, outline->hash, strlen(outline->hash));
	hash_add(scan->records, text->data, text->len);
}

/* buf_print() would take as long as all else. */
static void
append_decimal(struct buf *text, uint64_t number)
{
	char   digits[MAX_DECIMAL_DIGITS];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	buf_append(text, digits + at, sizeof(digits) - at);
}

/* The line of an item; consumers know a resource by its id alone, without the
 * type that stands before it in the key. */
static void
add_item(struct scan *scan, const struct store_outline *outline)
{
	size_t	    type_len = outline->len > scan->type_len ?
		scan->type_len : 0;
	struct buf *text = &scan->text;

	text->len = 0;
	append_decimal(text, outline->len - type_len);
	buf_append_byte(text, ' ');
	buf_append(text, outline->key + type_len, outline->len - type_len);
	buf_append_byte(text, ' ');
	/* Versions are above 0. */
	append_decimal(text, (uint64_t)outline->version);
	buf_append_byte(text, ' ');
	buf_append(text, outline->json_hash, strlen(outline->json_hash));
	buf_append_byte(text, '\n');
	hash_add(scan->data, text->data, text->len);
}

static void
scan_record(struct scan *scan, const struct store_outline *outline)
{
	add_record(scan, outline);
	if (outline->is_deleted) {
		scan->out->deleted++;
		return;
	}
	scan->out->live++;
	if (outline->json_hash[0] == '\0')
		scan->has_data = false;
	if (scan->has_data)
		add_item(scan, outline);
}

static void
scan_begin(struct scan *scan, const char *collection)
{
	scan->records = hasher_new();
	scan->data = hasher_new();
	scan->has_data = collection_is_served(collection);
	if (collection_is_extra(collection))
		scan->type_len = strlen(collection) + strlen("/");
	hash_begin(scan->records);
	hash_begin(scan->data);
}

static void
scan_end(struct scan *scan)
{
	uint8_t hash[HASH_BYTES];

	hash_end(scan->records, hash);
	hash_format(hash, scan->out->records);
	hash_end(scan->data, hash);
	if (scan->has_data)
		hash_format(hash, scan->out->data);
	hasher_free(scan->records);
	hasher_free(scan->data);
	buf_clear(&scan->text);
}

int
seal_numbers_make(struct store *store, const char *collection,
    struct seal_numbers *out, struct error *err)
{
	struct scan	     scan = { .out = out };
	struct store_cursor *cursor;
	struct store_outline outline;
	int		     rc;

	*out = (struct seal_numbers){ 0 };
	if (store_outline_open(store, collection, &cursor, err) == -1)
		return -1;
	scan_begin(&scan, collection);
	while ((rc = store_outline_next(cursor, &outline, err)) == 1 &&
	    (rc = stop_check(STATUS_STORE, err)) == 0) {
		scan_record(&scan, &outline);
		log_progress("sealing: %s %" PRId64, collection,
		    out->live + out->deleted);
	}
	store_cursor_close(cursor);
	scan_end(&scan);
	return rc;
}

/* The entry before: its digest, and its seal. */
struct before {
	char	 chain[HASH_TEXT_BYTES];
	uint8_t *seal; /* heap; NULL: it has none */
	size_t	 seal_len;
	int64_t	 version; /* 0: there is none */
	int64_t	 fetched_at_ms;
	bool	 is_signed;
};

/* Does the run's entry tell of what is in no tally? */
static bool
has_more(const struct store_history *entry)
{
	bson_iter_t iter;

	if (!bson_iter_init_from_data(&iter, entry->tallies,
	    entry->tallies_len))
		return true;
	while (bson_iter_next(&iter)) {
		if (strcmp(bson_iter_key(&iter), HISTORY_PRUNE) == 0 ||
		    strcmp(bson_iter_key(&iter), HISTORY_REPAIR) == 0)
			return true;
	}
	return false;
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

/* Did the run write to it? */
static bool
is_written(const struct seal_input *input, const char *collection)
{
	const struct tally *tally;
	size_t		    i;

	/* Records of runs that died have this run's version now. */
	if (store_adopted(input->store) > 0)
		return true;
	for (i = 0; i < input->count; i++) {
		tally = &input->tallies[i];
		if (strcmp(tally->name, collection) == 0)
			return tally->added + tally->updated +
			    tally->deleted > 0;
	}
	return false;
}

static void
append_text(bson_t *doc, const char *name, const char *text)
{
	if (!BSON_APPEND_UTF8(doc, name, text))
		xalloc_end();
}

static int
append_collection(const struct seal_input *input, const struct before *before,
    const char *collection, bson_t *collections, struct error *err)
{
	struct seal_numbers numbers;
	bson_t		    member;

	if ((is_written(input, collection) || seal_numbers_get(before->seal,
	    before->seal_len, collection, &numbers) == 0) &&
	    seal_numbers_make(input->store, collection, &numbers, err) == -1)
		return -1;
	if (!BSON_APPEND_DOCUMENT_BEGIN(collections, collection, &member) ||
	    !BSON_APPEND_INT64(&member, SEAL_LIVE, numbers.live) ||
	    !BSON_APPEND_INT64(&member, SEAL_DELETED, numbers.deleted))
		xalloc_end();
	append_text(&member, SEAL_RECORDS, numbers.records);
	if (numbers.data[0] != '\0')
		append_text(&member, SEAL_DATA, numbers.data);
	if (!bson_append_document_end(collections, &member))
		xalloc_end();
	return 0;
}

static int
append_collections(const struct seal_input *input,
    const struct before *before, bson_t *seal, struct error *err)
{
	bson_t	collections;
	char  **names, **name;
	int	rc = 0;

	if (store_collections_get(input->store, &names, err) == -1)
		return -1;
	if (!BSON_APPEND_DOCUMENT_BEGIN(seal, SEAL_COLLECTIONS, &collections))
		xalloc_end();
	for (name = names; rc == 0 && *name != NULL; name++)
		rc = append_collection(input, before, *name, &collections,
		    err);
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
	struct before before;
	int	      rc;

	bson_init(seal);
	if (read_before(input->store, &before, err) == -1)
		return -1;
	/* A run between that died may have taken away what is in no tally. */
	if (has_more(entry) || entry->version != before.version + 1)
		before.seal_len = 0;
	rc = append_collections(input, &before, seal, err);
	if (rc == 0)
		rc = append_keys(input, entry->version, seal, err);
	if (rc == 0) {
		append_text(seal, SEAL_PREVIOUS, before.chain);
		if (input->fetched_nothing)
			append_fetched_at(&before, seal);
		if (input->key != NULL)
			append_text(seal, SEAL_KEY_ID,
			    seal_key_id(input->key));
		append_digest(input->key, entry, seal);
		if (input->key == NULL && before.is_signed)
			log_warn("version %" PRId64 ": its history entry is not"
			    " signed, and the one before it is;"
			    " --seal-key-file names the key",
			    entry->version);
	}
	free(before.seal);
	return rc;
}
