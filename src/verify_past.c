/*
 * The seals of the history beside what the store can tell of each version: the
 * records and former states as of then.
 *
 * A pass over the records of a collection feeds one digest for each version
 * that is looked at.  Versions in a row that were sealed with the same numbers
 * are one: where no record begins or ends among them, one digest tells of all.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "seal.h"
#include "stop.h"
#include "verify_int.h"

/* Versions whose digests one pass makes: about 1 KiB of memory each. */
#define MAX_SEALS_AT_ONCE 64
/* Bytes of the sentence of a finding. */
#define MAX_WHAT 400

/* Versions in a row that were sealed with the same numbers. */
struct group {
	int64_t		    first;
	int64_t		    last;
	struct seal_numbers sealed;
	struct seal_numbers is;
	struct seal_scan   *scan;
	bool		    has_numbers; /* else the collection was not there */
	bool		    is_full;   /* no tombstone was pruned since */
	bool		    is_broken; /* a record begins or ends within */
};

struct past {
	struct verify *verify;
	const char    *collection;
	struct group   groups[MAX_SEALS_AT_ONCE];
	size_t	       count;
	struct group   wrong; /* the last one that is, when has_wrong ... */
	int64_t	       wrong_from; /* ... and the first version in that row */
	bool	       has_wrong;
};

/* verify_held_fn: a record, or a state, that is there from its version to the
 * one that has replaced it. */
static int
feed(void *ctx, const struct store_record *record, struct error *err)
{
	struct past  *past = ctx;
	int64_t	      end = record->replaced_in == 0 ? INT64_MAX :
		  record->replaced_in;
	struct group *group;
	size_t	      i;

	for (i = 0; i < past->count; i++) {
		group = &past->groups[i];
		if (record->version <= group->first && group->first < end)
			seal_scan_add_record(group->scan, record);
		if ((record->version > group->first &&
		    record->version <= group->last) ||
		    (end > group->first && end <= group->last))
			group->is_broken = true;
	}
	return stop_check(STATUS_STORE, err);
}

/* Of tombstones that are gone since, only what consumers had tells nothing. */
static bool
is_wrong(const struct group *group)
{
	const struct seal_numbers *is = &group->is, *sealed = &group->sealed;

	if (group->is_broken || is->live != sealed->live)
		return true;
	if (!group->is_full)
		return sealed->data[0] != '\0' &&
		    strcmp(is->data, sealed->data) != 0;
	if (!group->has_numbers)
		return is->deleted != 0;
	return is->deleted != sealed->deleted ||
	    strcmp(is->records, sealed->records) != 0;
}

static const char *
digest_of(const struct group *group, const struct seal_numbers *numbers)
{
	const char *digest = group->is_full ? numbers->records :
	    numbers->data;

	return digest[0] != '\0' ? digest : "none";
}

/* Tells of the versions in a row that are wrong. */
static int
tell(struct past *past, struct error *err)
{
	const struct group *wrong = &past->wrong;
	struct verify	   *verify = past->verify;
	bool is_last = wrong->last == verify->versions.finished;
	char what[MAX_WHAT], from[MAX_WHAT / 4] = "";

	if (!past->has_wrong)
		return 0;
	past->has_wrong = false;
	/* They are made again, and looked at then. */
	if (is_last && verify_is_remade(verify, past->collection))
		return 0;
	if (past->wrong_from < wrong->last)
		(void)snprintf(from, sizeof(from), "; it is so from version %"
		    PRId64 " on", past->wrong_from);
	(void)snprintf(what, sizeof(what), is_last ? "its records, %" PRId64
	    " live ones, have the digest %s, and the last seal has %" PRId64
	    " and %s: they are not those that the last run has left%s" :
	    "as of this version its records, %" PRId64 " live ones, have the"
	    " digest %s, and it was sealed with %" PRId64 " and %s%s",
	    wrong->is.live, digest_of(wrong, &wrong->is), wrong->sealed.live,
	    digest_of(wrong, &wrong->sealed), from);
	return verify_found(verify, &(struct finding){
	    .kind = is_last ? FINDING_DATA : FINDING_STATE,
	    .collection = past->collection,
	    .version = is_last ? 0 : wrong->last,
	    .what = what }, err);
}

/* The run has sealed a JsonHash that was damaged; a repair seals it anew. */
static int
check_data(struct past *past, const struct group *group, struct error *err)
{
	if (group->last != past->verify->versions.finished ||
	    !group->has_numbers ||
	    strcmp(group->is.data, group->sealed.data) == 0)
		return 0;
	return verify_found(past->verify, &(struct finding){
	    .kind = FINDING_HASH, .collection = past->collection,
	    .what = "the last seal has another digest of what consumers get" },
	    err);
}

static int
judge(struct past *past, const struct group *group, struct error *err)
{
	if (!is_wrong(group)) {
		if (tell(past, err) == -1)
			return -1;
		return check_data(past, group, err);
	}
	if (!past->has_wrong)
		past->wrong_from = group->first;
	past->has_wrong = true;
	past->wrong = *group;
	return 0;
}

/* Makes the digests of the versions that have come together. */
static int
look(struct past *past, struct error *err)
{
	size_t i;
	int    rc;

	if (past->count == 0)
		return 0;
	for (i = 0; i < past->count; i++)
		past->groups[i].scan = seal_scan_new(past->collection);
	rc = verify_ledger_held(past->verify->ledger, past->collection, feed,
	    past, err);
	for (i = 0; i < past->count; i++)
		seal_scan_end(past->groups[i].scan, &past->groups[i].is);
	for (i = 0; i < past->count && rc == 0; i++)
		rc = judge(past, &past->groups[i], err);
	past->count = 0;
	return rc;
}

static bool
is_same(const struct group *group, const struct group *next)
{
	const struct seal_numbers *one = &group->sealed, *other =
	    &next->sealed;

	return group->has_numbers == next->has_numbers &&
	    group->is_full == next->is_full && one->live == other->live &&
	    one->deleted == other->deleted &&
	    strcmp(one->records, other->records) == 0 &&
	    strcmp(one->data, other->data) == 0;
}

/* verify_seal_fn */
static int
take_seal(void *ctx, int64_t version, const uint8_t *data, size_t len,
    struct error *err)
{
	struct past *past = ctx;
	struct seal  seal;
	struct group next = {
		.first = version,
		.last = version,
		.is_full = version >= past->verify->full_from,
	};

	/* The chain tells of one that is not sound. */
	if (seal_parse(data, len, &seal) == -1)
		return 0;
	next.has_numbers = seal_numbers_get(data, len, past->collection,
	    &next.sealed) == 1;
	if (past->count > 0 && is_same(&past->groups[past->count - 1],
	    &next)) {
		past->groups[past->count - 1].last = version;
		return 0;
	}
	if (past->count == MAX_SEALS_AT_ONCE && look(past, err) == -1)
		return -1;
	past->groups[past->count++] = next;
	return 0;
}

int
verify_past(struct verify *verify, const char *collection, struct error *err)
{
	struct past past = { .verify = verify, .collection = collection };

	log_progress("verifying: seals of %s", collection);
	if (verify_ledger_seals(verify->ledger, take_seal, &past, err) == -1 ||
	    look(&past, err) == -1)
		return -1;
	return tell(&past, err);
}
