/* What a run has written to the records, read back. */
#include <inttypes.h>
#include <string.h>

#include "balance_int.h"
#include "log.h"
#include "record.h"
#include "stop.h"

/* A merge-join of the plan of a collection and what has the run's version. */
struct walk {
	const struct balance *balance;
	const struct tally   *tally;
	struct hasher	     *hasher;
	struct stage_cursor  *plan;
	struct store_cursor  *held;
	struct planned	      planned; /* valid when has_planned is 1 */
	struct store_record   record;  /* valid when has_record is 1 */
	int		      has_planned;
	int		      has_record;
	uint64_t	      acts[ACT__MAX]; /* planned */
	uint64_t	      strays;	      /* of all collections */
};

static int
fail_record(const struct walk *walk, const char *key, const char *what,
    struct error *err)
{
	return error_set(err, STATUS_UNBALANCED, "%s: the record \"%s\" %s"
	    BALANCE_ADVICE, walk->tally->name, key, what);
}

/* It was to be deleted: a tombstone, of this run. */
static int
check_deleted(const struct walk *walk, struct error *err)
{
	return walk->record.is_deleted ? 0 : fail_record(walk,
	    walk->record.key, "was to be deleted and is live", err);
}

/* It was to be added or updated: live, and with that content. */
static int
check_content(const struct walk *walk, struct error *err)
{
	const struct store_record *record = &walk->record;
	struct error		   why;
	uint8_t			   hash[HASH_BYTES];

	if (record->is_deleted)
		return fail_record(walk, record->key, "was to be live and is"
		    " deleted", err);
	if (hash_parse(record->hash, strlen(record->hash), hash) == -1 ||
	    memcmp(hash, walk->planned.hash, HASH_BYTES) != 0)
		return fail_record(walk, record->key, "has another ContentHash"
		    " than it was given", err);
	if (record->data == NULL || hash_document(walk->hasher, record->data,
	    record->data_len, hash, &why) == -1 ||
	    memcmp(hash, walk->planned.hash, HASH_BYTES) != 0)
		return fail_record(walk, record->key, "has other Data than it"
		    " was given", err);
	return 0;
}

static int
check_record(const struct walk *walk, struct error *err)
{
	if (walk->record.updated_at_ms != walk->balance->now_ms)
		return fail_record(walk, walk->record.key, "has another"
		    " UpdatedAt than it was given", err);
	return walk->planned.act == ACT_DELETE ? check_deleted(walk, err) :
	    check_content(walk, err);
}

/*
 * One that no plan has: left by a run that died, and given this run's version
 * as it was; anything else was written to the wrong place.
 */
static int
check_stray(struct walk *walk, struct error *err)
{
	const struct store_record *record = &walk->record;

	if (record->version == walk->balance->version &&
	    record->updated_at_ms != walk->balance->now_ms &&
	    ++walk->strays <= store_adopted(walk->balance->store))
		return 0;
	return fail_record(walk, record->key, "has this run's version, or a"
	    " later one, and was not to be written", err);
}

/* The order of the two keys; a missing side comes last. */
static int
compare(const struct walk *walk)
{
	if (walk->has_planned != 1 || walk->has_record != 1)
		return walk->has_planned == 1 ? -1 : 1;
	if (walk->record.version != walk->balance->version)
		return -1;
	return record_key_compare(walk->planned.key, walk->planned.len,
	    walk->record.key, walk->record.len);
}

static int
check_one(struct walk *walk, int order, struct error *err)
{
	if (order > 0)
		return check_stray(walk, err);
	walk->acts[walk->planned.act]++;
	if (order < 0)
		return fail_record(walk, walk->planned.key, "was to be written"
		    " and does not have this run's version", err);
	return check_record(walk, err);
}

static int
go(struct walk *walk, struct error *err)
{
	int order;

	walk->has_planned = stage_plan_next(walk->plan, &walk->planned, err);
	if (walk->has_planned != -1)
		walk->has_record = store_changes_next(walk->held,
		    &walk->record, err);
	while (walk->has_planned == 1 || walk->has_record == 1) {
		if (walk->has_planned == -1 || walk->has_record == -1 ||
		    stop_check(STATUS_STORE, err) == -1)
			return -1;
		order = compare(walk);
		if (check_one(walk, order, err) == -1)
			return -1;
		if (order <= 0)
			walk->has_planned = stage_plan_next(walk->plan,
			    &walk->planned, err);
		if (order >= 0 && walk->has_planned != -1)
			walk->has_record = store_changes_next(walk->held,
			    &walk->record, err);
	}
	return walk->has_planned == -1 || walk->has_record == -1 ? -1 : 0;
}

/* The plan that was walked is the one that was counted. */
static int
check_acts(const struct walk *walk, struct error *err)
{
	const struct tally *tally = walk->tally;
	uint64_t	    listed = walk->acts[ACT_ADD] +
	    walk->acts[ACT_UPDATE] + walk->acts[ACT_DELETE];

	if (walk->acts[ACT_ADD] == tally->added &&
	    walk->acts[ACT_UPDATE] == tally->updated &&
	    walk->acts[ACT_DELETE] == tally->deleted)
		return 0;
	return error_set(err, STATUS_UNBALANCED, "%s: %" PRIu64 " records were"
	    " to be written, and the plan has %" PRIu64 BALANCE_ADVICE,
	    tally->name, balance_writes(tally), listed);
}

static int
check_written(struct walk *walk, struct error *err)
{
	const struct balance *balance = walk->balance;
	const struct tally   *tally = walk->tally;
	int		      rc;

	memset(walk->acts, 0, sizeof(walk->acts));
	walk->held = NULL;
	rc = stage_plan_open_keys(balance->stage, tally->list, &walk->plan,
	    err);
	if (rc == 0)
		rc = store_changes_open(balance->store, tally->name,
		    balance->version - 1, true, &walk->held, err);
	if (rc == 0)
		rc = go(walk, err);
	if (rc == 0)
		rc = check_acts(walk, err);
	store_cursor_close(walk->held);
	stage_cursor_close(walk->plan);
	return rc;
}

/* Where nothing was written the plan has counted them already. */
static int
check_live(const struct balance *balance, const struct tally *tally,
    struct error *err)
{
	struct store_counts counts;

	if (balance_writes(tally) == 0)
		return 0;
	if (store_counts_get(balance->store, tally->name, &counts, err) == -1)
		return -1;
	if (counts.live >= 0 && (uint64_t)counts.live == balance_live(tally))
		return 0;
	return error_set(err, STATUS_UNBALANCED, "%s: %" PRIu64 " records were"
	    " to be live after this run, and %" PRId64 " are" BALANCE_ADVICE,
	    tally->name, balance_live(tally), counts.live);
}

static int
check_version(const struct balance *balance, struct error *err)
{
	struct store_versions versions;

	if (store_versions_get(balance->store, &versions, err) == -1)
		return -1;
	if (versions.raised == balance->version &&
	    versions.raised_at_ms == balance->now_ms)
		return 0;
	return error_set(err, STATUS_UNBALANCED, "this run has raised the"
	    " version to %" PRId64 ", and the store has %" PRId64
	    BALANCE_ADVICE, balance->version, versions.raised);
}

int
balance_records(const struct balance *balance, struct error *err)
{
	struct walk walk = { .balance = balance };
	size_t	    i;
	int	    rc;

	rc = check_version(balance, err);
	walk.hasher = hasher_new();
	for (i = 0; i < balance->count && rc == 0; i++) {
		walk.tally = &balance->tallies[i];
		log_progress("checking: %s", walk.tally->name);
		rc = check_written(&walk, err);
		if (rc == 0)
			rc = check_live(balance, walk.tally, err);
	}
	hasher_free(walk.hasher);
	return rc;
}
