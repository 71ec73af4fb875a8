/* What can be told of a run before it writes. */
#include <inttypes.h>
#include <stdlib.h>

#include "balance_int.h"
#include "collection.h"
#include "record.h"
#include "stop.h"

/* Each output collection, and the raw one that it is made of. */
static const struct {
	enum collection output;
	enum collection raw;
} sources[] = {
	{ TREATMENT_GROUPS, PLAN_DEFINITIONS },
	{ REIMBURSEMENT_GROUPS, REGULATED_AUTHORIZATIONS },
};
#define N_SOURCES (sizeof(sources) / sizeof(sources[0]))

/* Was each of the staged documents decided on? */
static int
check_staged(const struct balance *balance, const struct tally *tally,
    struct error *err)
{
	uint64_t staged = stage_count(balance->stage, tally->list);
	uint64_t decided = balance_keys(tally) + tally->named +
	    tally->repeated;

	if (staged == decided)
		return 0;
	return error_set(err, STATUS_UNBALANCED, "%s: %" PRIu64 " were staged,"
	    " and %" PRIu64 " are accounted for (%" PRIu64 " added, %" PRIu64
	    " updated, %" PRIu64 " unchanged, %" PRIu64 " older, %" PRIu64
	    " named as deleted, %" PRIu64 " duplicates)" BALANCE_ADVICE,
	    tally->name, staged, decided, tally->added, tally->updated,
	    tally->unchanged, tally->stale, tally->named, tally->repeated);
}

/* Is all that came staged, or skipped? */
static int
check_came(const struct balance *balance, const struct tally *tally,
    struct error *err)
{
	uint64_t staged = stage_count(balance->stage, tally->list);

	if (tally->is_output || tally->is_aside ||
	    tally->came == staged + tally->skipped)
		return 0;
	return error_set(err, STATUS_UNBALANCED, "%s: %" PRIu64 " came, and %"
	    PRIu64 " were staged and %" PRIu64 " skipped" BALANCE_ADVICE,
	    tally->name, tally->came, staged, tally->skipped);
}

/* What is not merged has the upstream's usable keys in the end, no others. */
static int
check_live(const struct tally *tally, struct error *err)
{
	if (tally->is_merged || balance_live(tally) == balance_keys(tally))
		return 0;
	return error_set(err, STATUS_UNBALANCED, "%s: the upstream has %" PRIu64
	    " usable keys, and %" PRIu64 " records would be live"
	    BALANCE_ADVICE, tally->name, balance_keys(tally),
	    balance_live(tally));
}

static int
fail_alone(const char *name, const char *key, const char *other,
    struct error *err)
{
	return error_set(err, STATUS_UNBALANCED, "%s: \"%s\" is live, and %s"
	    " has no live record of that key" BALANCE_ADVICE, name, key,
	    other);
}

/* Is each key of a list in the other one? */
static int
check_pair(const struct balance *balance, enum collection list,
    enum collection other, struct error *err)
{
	char *key;
	int   rc;

	rc = stage_find_missing(balance->stage, (int)list, (int)other, &key,
	    err);
	if (rc == 1) {
		rc = fail_alone(collection_name(list), key,
		    collection_name(other), err);
		free(key);
	}
	return rc;
}

/* A merge-join of staged outputs and the stored raw records they come of. */
struct join {
	enum collection	     output;
	enum collection	     raw;
	struct stage_cursor *staged;
	struct store_cursor *held;
	struct staged	     has;   /* valid when has_staged is 1 */
	struct store_state   state; /* valid when has_state is 1 */
	int		     has_staged;
	int		     has_state;
};

/* The next live one. */
static int
next_state(struct join *join, struct error *err)
{
	do {
		join->has_state = store_state_next(join->held, &join->state,
		    err);
	} while (join->has_state == 1 && join->state.is_deleted);
	return join->has_state;
}

/* Do both sides have the same keys? */
static int
go(struct join *join, struct error *err)
{
	int order;

	join->has_staged = stage_cursor_next(join->staged, &join->has, err);
	while (join->has_staged != -1 && next_state(join, err) != -1) {
		if (join->has_staged != 1 && join->has_state != 1)
			return 0;
		if (stop_check(STATUS_STORE, err) == -1)
			return -1;
		order = join->has_staged != 1 ? 1 : join->has_state != 1 ? -1 :
		    record_key_compare(join->has.key, join->has.len,
		    join->state.key, join->state.len);
		if (order < 0)
			return fail_alone(collection_name(join->output),
			    join->has.key, collection_name(join->raw), err);
		if (order > 0)
			return fail_alone(collection_name(join->raw),
			    join->state.key, collection_name(join->output),
			    err);
		join->has_staged = stage_cursor_next(join->staged, &join->has,
		    err);
	}
	return -1;
}

static int
check_stored(const struct balance *balance, enum collection output,
    enum collection raw, struct error *err)
{
	struct join join = { .output = output, .raw = raw };
	int	    rc;

	rc = stage_cursor_open(balance->stage, (int)output, &join.staged, err);
	if (rc == 0)
		rc = store_state_open(balance->store, collection_name(raw),
		    &join.held, err);
	if (rc == 0)
		rc = go(&join, err);
	store_cursor_close(join.held);
	stage_cursor_close(join.staged);
	return rc;
}

/* Raw records that are not staged are converted from the store. */
static int
check_output(const struct balance *balance, enum collection output,
    struct error *err)
{
	enum collection raw = COLLECTION__MAX;
	size_t		i;

	for (i = 0; i < N_SOURCES; i++) {
		if (sources[i].output == output)
			raw = sources[i].raw;
	}
	if (!stage_is_finished(balance->stage, (int)raw))
		return check_stored(balance, output, raw, err);
	if (check_pair(balance, output, raw, err) == -1)
		return -1;
	return check_pair(balance, raw, output, err);
}

int
balance_plan(const struct balance *balance, struct error *err)
{
	const struct tally *tally;
	size_t		    i;

	for (i = 0; i < balance->count; i++) {
		tally = &balance->tallies[i];
		if (check_came(balance, tally, err) == -1 ||
		    check_staged(balance, tally, err) == -1 ||
		    check_live(tally, err) == -1)
			return -1;
		if (tally->is_output && check_output(balance,
		    (enum collection)tally->list, err) == -1)
			return -1;
	}
	return 0;
}
