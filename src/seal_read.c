/* What a seal says, and the digest of its entry; apart from how it is made, for
 * those who only read it. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bson_member.h"
#include "buf.h"
#include "feed.h"
#include "seal_int.h"
#include "store.h"

/* Goes first into the digest of an entry. */
#define ENTRY_DOMAIN "nompd-sync history entry"

/* The hash that a text stands for, written as we write it. */
static bool
take_hash(const bson_iter_t *iter, char text[HASH_TEXT_BYTES])
{
	uint8_t	    hash[HASH_BYTES];
	const char *found;
	uint32_t    len;

	text[0] = '\0';
	if (!BSON_ITER_HOLDS_UTF8(iter))
		return false;
	found = bson_iter_utf8(iter, &len);
	if (hash_parse(found, len, hash) == -1)
		return false;
	hash_format(hash, text);
	return memcmp(text, found, len) == 0;
}

/* Stands before the members of a collection's numbers. */
static bool
enter_collection(const uint8_t *seal, size_t len, const char *collection,
    bson_iter_t *members)
{
	bson_iter_t iter, names;

	return seal != NULL && bson_iter_init_from_data(&iter, seal, len) &&
	    bson_iter_find(&iter, SEAL_COLLECTIONS) &&
	    BSON_ITER_HOLDS_DOCUMENT(&iter) &&
	    bson_iter_recurse(&iter, &names) &&
	    bson_iter_find(&names, collection) &&
	    BSON_ITER_HOLDS_DOCUMENT(&names) &&
	    bson_iter_recurse(&names, members);
}

static bool
take_count(bson_iter_t members, const char *name, int64_t *out)
{
	if (!bson_iter_find(&members, name) ||
	    !BSON_ITER_HOLDS_INT64(&members))
		return false;
	*out = bson_iter_int64(&members);
	return true;
}

int
seal_numbers_get(const uint8_t *seal, size_t len, const char *collection,
    struct seal_numbers *out)
{
	bson_iter_t members, records, data, unproven;

	*out = (struct seal_numbers){ 0 };
	if (!enter_collection(seal, len, collection, &members) ||
	    !take_count(members, SEAL_LIVE, &out->live) ||
	    !take_count(members, SEAL_DELETED, &out->deleted))
		return 0;
	records = data = unproven = members;
	out->is_unproven = bson_iter_find(&unproven, SEAL_UNPROVEN);
	if (bson_iter_find(&data, SEAL_DATA) && !take_hash(&data, out->data))
		return 0;
	return bson_iter_find(&records, SEAL_RECORDS) &&
	    take_hash(&records, out->records);
}

int
seal_data_digest(const uint8_t *seal, size_t len, const char *collection,
    char text[HASH_TEXT_BYTES])
{
	struct seal_numbers numbers;

	if (seal_numbers_get(seal, len, collection, &numbers) == 0)
		return 0;
	memcpy(text, numbers.data, HASH_TEXT_BYTES);
	return text[0] != '\0';
}

static bool
take_signature(const bson_iter_t *iter,
    uint8_t signature[SEAL_SIGNATURE_BYTES])
{
	char	    text[2 * SEAL_SIGNATURE_BYTES + 1];
	const char *found;
	uint32_t    len;
	size_t	    count;

	if (!BSON_ITER_HOLDS_UTF8(iter))
		return false;
	found = bson_iter_utf8(iter, &len);
	if (sodium_hex2bin(signature, SEAL_SIGNATURE_BYTES, found, len, NULL,
	    &count, NULL) != 0 || count != SEAL_SIGNATURE_BYTES)
		return false;
	(void)sodium_bin2hex(text, sizeof(text), signature,
	    SEAL_SIGNATURE_BYTES);
	return strcmp(text, found) == 0;
}

static bool
take_key_id(const bson_iter_t *iter, const char **out)
{
	uint32_t len;

	if (!BSON_ITER_HOLDS_UTF8(iter))
		return false;
	*out = bson_iter_utf8(iter, &len);
	return len > 0 && strlen(*out) == len;
}

static bool
take_time(const bson_iter_t *iter, int64_t *out)
{
	if (!BSON_ITER_HOLDS_DATE_TIME(iter))
		return false;
	*out = bson_iter_date_time(iter);
	return *out > 0;
}

/* Is it the next member, of that name? */
static bool
is_next(bson_iter_t *iter, const char *name)
{
	return bson_iter_next(iter) && strcmp(bson_iter_key(iter), name) == 0;
}

int
seal_parse(const uint8_t *seal, size_t len, struct seal *out)
{
	bson_iter_t iter;
	bool	    is_sound;

	*out = (struct seal){ .key_id = NULL };
	if (seal == NULL || !bson_iter_init_from_data(&iter, seal, len) ||
	    !is_next(&iter, SEAL_COLLECTIONS) ||
	    !BSON_ITER_HOLDS_DOCUMENT(&iter) || !is_next(&iter, SEAL_KEYS) ||
	    !take_hash(&iter, out->keys) || !is_next(&iter, SEAL_PREVIOUS) ||
	    !take_hash(&iter, out->previous) || !bson_iter_next(&iter))
		return -1;
	if (strcmp(bson_iter_key(&iter), SEAL_FETCHED_AT) == 0 &&
	    (!take_time(&iter, &out->fetched_at_ms) || !bson_iter_next(&iter)))
		return -1;
	if (strcmp(bson_iter_key(&iter), SEAL_KEY_ID) == 0 &&
	    (!take_key_id(&iter, &out->key_id) || !bson_iter_next(&iter)))
		return -1;
	is_sound = strcmp(bson_iter_key(&iter), SEAL_DIGEST) == 0 &&
	    take_hash(&iter, out->digest) && (out->key_id == NULL ||
	    (is_next(&iter, SEAL_SIGNATURE) &&
	    take_signature(&iter, out->signature)));
	return is_sound && !bson_iter_next(&iter) && iter.err_off == 0 ? 0 :
	    -1;
}

static bool
is_digested(const struct bson_member *member)
{
	const char *name = bson_member_name(member);

	return strcmp(name, SEAL_DIGEST) != 0 &&
	    strcmp(name, SEAL_SIGNATURE) != 0;
}

/* The seal as the digest covers it; 0 = it is in out, -1 = it is no document
 * that could be taken apart. */
static int
strip(const uint8_t *seal, size_t len, struct buf *out)
{
	struct bson_members members;
	struct bson_member  member;
	uint32_t	    total;
	int		    rc;

	if (seal == NULL || !bson_members_init(&members, seal, len))
		return -1;
	buf_append(out, seal, BSON_LENGTH_BYTES);
	while ((rc = bson_members_next(&members, &member)) == 1) {
		if (is_digested(&member))
			buf_append(out, member.start,
			    bson_member_bytes(&member));
	}
	if (rc == -1)
		return -1;
	buf_append_byte(out, '\0');
	total = BSON_UINT32_TO_LE((uint32_t)out->len);
	memcpy(out->data, &total, sizeof(total));
	return 0;
}

void
seal_feed_part(struct crypto_hash_sha256_state *state,
    const struct store_history_keys *part)
{
	feed_text(state, part->collection);
	feed_text(state, part->act);
	feed_number(state, part->part);
	feed_bytes(state, part->keys, part->keys != NULL ? part->keys_len : 0);
}

void
seal_digest(const struct store_history *entry, char text[HASH_TEXT_BYTES])
{
	crypto_hash_sha256_state state;
	struct buf		 seal = { 0 };
	uint8_t			 hash[HASH_BYTES];

	(void)crypto_hash_sha256_init(&state);
	feed_text(&state, ENTRY_DOMAIN);
	feed_number(&state, entry->version);
	feed_number(&state, entry->synced_at_ms);
	feed_number(&state, entry->duration_ms);
	feed_bytes(&state, entry->tallies,
	    entry->tallies != NULL ? entry->tallies_len : 0);
	if (strip(entry->seal, entry->seal_len, &seal) == 0)
		feed_bytes(&state, seal.data, seal.len);
	else
		feed_bytes(&state, entry->seal,
		    entry->seal != NULL ? entry->seal_len : 0);
	buf_clear(&seal);
	(void)crypto_hash_sha256_final(&state, hash);
	hash_format(hash, text);
}

void
seal_chain(const struct store_history *entry, char text[HASH_TEXT_BYTES])
{
	struct seal seal;

	if (seal_parse(entry->seal, entry->seal_len, &seal) == 0)
		memcpy(text, seal.digest, HASH_TEXT_BYTES);
	else
		seal_digest(entry, text);
}

int64_t
seal_fetched_at(const struct store_history *entry)
{
	struct seal seal;

	if (seal_parse(entry->seal, entry->seal_len, &seal) == 0 &&
	    seal.fetched_at_ms > 0)
		return seal.fetched_at_ms;
	return entry->synced_at_ms;
}

int
seal_last_fetch(struct store *store, const struct store_versions *versions,
    int64_t *at_ms, struct error *err)
{
	struct store_history entry = { .version = versions->finished };
	uint8_t		    *seal = NULL;
	int		     rc;

	*at_ms = entry.synced_at_ms = versions->finished_at_ms;
	if (versions->finished == 0)
		return 0;
	rc = store_seal_get(store, versions->finished, &seal, &entry.seal_len,
	    err);
	entry.seal = seal;
	if (rc == 1)
		*at_ms = seal_fetched_at(&entry);
	free(seal);
	return rc == -1 ? -1 : 0;
}
