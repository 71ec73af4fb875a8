#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history_prune.h"
#include "log.h"
#include "seal.h"
#include "stop.h"
#include "store.h"
#include "verify_history.h"
#include "verify_parts.h"
#include "words.h"
#include "xalloc.h"

/* Bytes of a finding, and of the name of a key in it. */
#define MAX_FINDING_TEXT 1024
#define MAX_SHOWN_KEY_ID 80

/* Entries that lack what an older one has. */
struct gap {
	int64_t newest;
	int64_t oldest;
	int64_t count;
};

/*
 * The walk from the newest entry to the oldest one.  later is the entry that
 * was seen before: its version, 0 for none, and what its seal has as Previous,
 * empty when that cannot be told; pruned_to and anchor are what the newest
 * prune of the history says.
 */
struct walk {
	const struct verify_history  *what;
	struct verify_history_result *out;
	struct verify_parts	     *parts;
	int64_t			      later;
	char			      previous[HASH_TEXT_BYTES];
	struct gap		      unsealed;
	struct gap		      unsigned_ones;
	struct history_full	      full;
	int64_t			      pruned_to; /* 0: there was none */
	char			      anchor[HASH_TEXT_BYTES];
	bool			      has_head;
	uint8_t			     *newest_seal; /* heap; NULL: it has none */
	size_t			      newest_seal_len;
	int64_t			      states_from; /* of the store */
};

static void found(struct walk *walk, int64_t version, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
found(struct walk *walk, int64_t version, const char *fmt, ...)
{
	char	text[MAX_FINDING_TEXT];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	walk->out->findings++;
	walk->what->found(walk->what->ctx, version, text);
}

static void
gap_add(struct gap *gap, int64_t version)
{
	if (gap->count++ == 0)
		gap->newest = version;
	gap->oldest = version;
}

/* There is an older entry that has what these lack. */
static void
gap_end(struct walk *walk, struct gap *gap, int64_t older, const char *lack)
{
	if (gap->count == 1)
		found(walk, gap->newest, "the entry has no %s, and that of"
		    " version %" PRId64 " before it has", lack, older);
	else if (gap->count > 1)
		found(walk, gap->newest, "%" PRId64 " entries, down to version"
		    " %" PRId64 ", have no %s, and that of version %" PRId64
		    " before them has", gap->count, gap->oldest, lack, older);
	*gap = (struct gap){ .count = 0 };
}

/* Is the entry the one that the later one was chained to? */
static void
check_link(struct walk *walk, const struct store_history *entry)
{
	char chain[HASH_TEXT_BYTES];

	if (walk->later == 0)
		return;
	if (entry->version >= walk->later)
		found(walk, walk->later, "the entry comes after that of"
		    " version %" PRId64 ", which is not below it",
		    entry->version);
	if (walk->previous[0] == '\0')
		return;
	seal_chain(entry, chain);
	if (strcmp(chain, walk->previous) != 0)
		found(walk, walk->later, "the entry is chained to one with the"
		    " digest %s; before it is that of version %" PRId64
		    " with the digest %s: an entry there was changed, dropped,"
		    " moved or put in", walk->previous, entry->version, chain);
}

static void
check_signature(struct walk *walk, int64_t version, const struct seal *seal)
{
	char shown[MAX_SHOWN_KEY_ID];

	if (seal->key_id == NULL) {
		gap_add(&walk->unsigned_ones, version);
		return;
	}
	walk->out->signed_count++;
	if (walk->what->keys == NULL)
		return;
	gap_end(walk, &walk->unsigned_ones, version, "signature");
	log_clean(shown, sizeof(shown), seal->key_id);
	switch (seal_keys_check(walk->what->keys, seal->key_id, seal->digest,
	    seal->signature)) {
	case 1:
		walk->out->checked++;
		break;
	case 0:
		found(walk, version, "the signature of the entry was not made"
		    " by the key %s", shown);
		break;
	default:
		found(walk, version, "the entry is signed by the key %s, which"
		    " is not among those given", shown);
	}
}

/* The newest prune of the history tells what the oldest entry is chained to. */
static void
note_prune(struct walk *walk, const struct store_history *entry,
    bool is_sealed)
{
	struct history_prune prune;

	if (!history_prune_get(entry, &prune))
		return;
	history_full_add(&walk->full, &prune);
	if (!is_sealed || walk->pruned_to > 0 || prune.anchor[0] == '\0')
		return;
	walk->pruned_to = prune.history_to;
	memcpy(walk->anchor, prune.anchor, sizeof(walk->anchor));
}

/* The content of an entry whose seal is sound. */
static void
check_content(struct walk *walk, const struct store_history *entry,
    const struct seal *seal)
{
	char digest[HASH_TEXT_BYTES], keys[HASH_TEXT_BYTES];

	seal_digest(entry, digest);
	if (strcmp(digest, seal->digest) != 0)
		found(walk, entry->version, "the entry was changed: it was"
		    " sealed with the digest %s, and its content gives %s",
		    seal->digest, digest);
	verify_parts_digest(walk->parts, entry->version, keys);
	if (strcmp(keys, seal->keys) != 0)
		found(walk, entry->version, "the further parts of the entry's"
		    " key lists were changed: they were sealed with the digest"
		    " %s, and give %s", seal->keys, keys);
}

static void
check_sealed(struct walk *walk, const struct store_history *entry,
    const struct seal *seal)
{
	const char *head = walk->what->head;

	walk->out->sealed++;
	gap_end(walk, &walk->unsealed, entry->version, "seal");
	if (walk->out->head[0] == '\0') {
		memcpy(walk->out->head, seal->digest, HASH_TEXT_BYTES);
		walk->out->head_version = entry->version;
	}
	if (head != NULL && strcmp(head, seal->digest) == 0)
		walk->has_head = true;
	check_content(walk, entry, seal);
	check_signature(walk, entry->version, seal);
}

static void
keep_newest(struct walk *walk, const struct store_history *entry)
{
	walk->newest_seal = xcalloc(1, entry->seal_len);
	memcpy(walk->newest_seal, entry->seal, entry->seal_len);
	walk->newest_seal_len = entry->seal_len;
}

static void
check_entry(struct walk *walk, const struct store_history *entry)
{
	struct seal seal;
	int	    rc;

	/* What a prune that was killed has not removed any more. */
	if (entry->version <= walk->pruned_to)
		return;
	walk->out->entries++;
	rc = seal_parse(entry->seal, entry->seal_len, &seal);
	check_link(walk, entry);
	if (rc == 0)
		check_sealed(walk, entry, &seal);
	else if (entry->seal != NULL)
		found(walk, entry->version, "the seal of the entry is damaged:"
		    " it is no document of the members that a seal has");
	else
		gap_add(&walk->unsealed, entry->version);
	note_prune(walk, entry, rc == 0);
	if (rc == 0 && walk->later == 0)
		keep_newest(walk, entry);
	walk->later = entry->version;
	memcpy(walk->previous, rc == 0 ? seal.previous : "",
	    rc == 0 ? HASH_TEXT_BYTES : 1);
}

/* What is left to be said at the oldest entry. */
static void
check_start(struct walk *walk)
{
	const char *previous = walk->previous;

	walk->out->older = walk->unsealed.count;
	if (previous[0] == '\0' || strspn(previous, "0") == strlen(previous) ||
	    strcmp(walk->anchor, previous) == 0)
		return;
	found(walk, walk->later, "the entry is the oldest one and is chained"
	    " to one before it, with the digest %s, which no prune has"
	    " removed: it was dropped", previous);
}

static void
check_whole(struct walk *walk)
{
	const struct verify_history *what = walk->what;

	if (what->keys != NULL && walk->out->entries > 0 &&
	    walk->out->signed_count == 0)
		found(walk, 0, "no entry is signed, and a key to check"
		    " signatures with is given");
	if (what->head != NULL && !walk->has_head &&
	    strcmp(walk->anchor, what->head) != 0)
		found(walk, 0, "no entry has the digest %s: it was changed,"
		    " cut off, or pruned since", what->head);
}

/* Tombstones that were pruned since have to be missing, and no more. */
static bool
is_same(const struct walk *walk, const struct store_counts *counts,
    const struct seal_numbers *sealed)
{
	if (counts->live != sealed->live)
		return false;
	return walk->out->head_version >= walk->full.from ?
	    counts->deleted == sealed->deleted :
	    counts->deleted <= sealed->deleted;
}

/* The newest seal beside what the store has. */
static int
check_counts(struct walk *walk, const char *name, struct error *err)
{
	struct store_counts counts;
	struct seal_numbers numbers;

	(void)seal_numbers_get(walk->newest_seal, walk->newest_seal_len, name,
	    &numbers);
	if (store_counts_get(walk->what->store, name, &counts, err) == -1)
		return -1;
	if (!is_same(walk, &counts, &numbers))
		found(walk, walk->out->head_version, "%s: the entry was sealed"
		    " with %" PRId64 " live records and %" PRId64
		    " tombstones; the store has %" PRId64 " and %" PRId64,
		    name, numbers.live, numbers.deleted, counts.live,
		    counts.deleted);
	return 0;
}

/* Collections of the newest seal that the store has not. */
static void
add_sealed(const struct walk *walk, char ***names)
{
	bson_iter_t iter, members;

	if (!bson_iter_init_from_data(&iter, walk->newest_seal,
	    walk->newest_seal_len) || !bson_iter_next(&iter) ||
	    !bson_iter_recurse(&iter, &members))
		return;
	while (bson_iter_next(&members)) {
		if (!words_has(*names, bson_iter_key(&members)))
			words_add(names, bson_iter_key(&members));
	}
}

static int
check_newest(struct walk *walk, struct error *err)
{
	char **names, **name;
	int    rc = 0;

	/* Or no view goes back to it. */
	if (walk->newest_seal == NULL ||
	    walk->states_from > walk->out->head_version)
		return 0;
	if (store_collections_get(walk->what->store, &names, err) == -1)
		return -1;
	add_sealed(walk, &names);
	store_view(walk->what->store, walk->out->head_version);
	for (name = names; rc == 0 && *name != NULL; name++)
		rc = check_counts(walk, *name, err);
	store_view(walk->what->store, 0);
	words_free(names);
	return rc;
}

static int
walk_entries(struct walk *walk, struct error *err)
{
	struct store_history entry;
	struct store_cursor *cursor;
	int		     rc;

	if (store_history_open(walk->what->store, INT64_MAX, &cursor, err) ==
	    -1)
		return -1;
	while ((rc = store_history_next(cursor, &entry, err)) == 1 &&
	    (rc = stop_check(STATUS_STORE, err)) == 0) {
		check_entry(walk, &entry);
		log_progress("checking the history: version %" PRId64,
		    entry.version);
	}
	store_cursor_close(cursor);
	return rc;
}

int
verify_history(const struct verify_history *what,
    struct verify_history_result *out, struct error *err)
{
	struct walk	      walk = { .what = what, .out = out };
	struct store_versions versions;
	int		      rc;

	*out = (struct verify_history_result){ .entries = 0 };
	if (store_versions_get(what->store, &versions, err) == -1)
		return -1;
	history_full_init(&walk.full, &versions);
	walk.states_from = versions.states_from;
	rc = verify_parts_read(what->store, &walk.parts, err);
	if (rc == 0)
		rc = walk_entries(&walk, err);
	if (rc == 0) {
		check_start(&walk);
		check_whole(&walk);
		rc = check_newest(&walk, err);
	}
	log_progress_end();
	verify_parts_free(walk.parts);
	free(walk.newest_seal);
	return rc;
}
