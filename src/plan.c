#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "plan.h"
#include "stop.h"

/* Keys that came more than once and are named in the log, in a collection. */
#define MAX_DOUBLED_LOGGED 100

/* What is joined, and the counts that come of it. */
struct join {
	enum collection	     collection;
	struct stage	    *stage;
	struct stage_cursor *wanted;
	struct store_cursor *held;
	struct tally	    *tally;
	uint64_t	     doubled; /* keys that came more than once */
};

/* Outputs come from raw records, whose duplicates were counted there. */
static void
count_duplicates(struct join *join, const struct staged *staged)
{
	if (staged->duplicates == 0 || join->collection >= COLLECTION_RAW_MAX)
		return;
	join->tally->duplicates += staged->duplicates;
	if (++join->doubled <= MAX_DOUBLED_LOGGED)
		log_warn("%s: the key \"%s\" came %" PRIu64 " times; the last"
		    " one counts", collection_name(join->collection),
		    staged->key, staged->duplicates + 1);
}

static int
next_wanted(struct join *join, struct staged *staged, struct error *err)
{
	int rc;

	rc = stage_cursor_next(join->wanted, staged, err);
	if (rc == 1)
		count_duplicates(join, staged);
	return rc;
}

/* The order of two keys, byte by byte; a missing side comes last. */
static int
compare(bool has_staged, const struct staged *staged, bool has_state,
    const struct store_state *state)
{
	size_t common;
	int    order;

	if (!has_staged || !has_state)
		return has_staged ? -1 : 1;
	common = staged->len < state->len ? staged->len : state->len;
	order = memcmp(staged->key, state->key, common);
	if (order == 0 && staged->len != state->len)
		order = staged->len < state->len ? -1 : 1;
	return order;
}

static int
plan_put(const struct join *join, const struct staged *staged, enum act act,
    uint64_t *count, struct error *err)
{
	struct planned planned = {
		.act = act,
		.key = staged->key,
		.len = staged->len,
		.row = staged->row,
	};

	(*count)++;
	memcpy(planned.hash, staged->hash, HASH_BYTES);
	return stage_plan_add(join->stage, join->collection, &planned, err);
}

static int
plan_delete(const struct join *join, const struct store_state *state,
    struct error *err)
{
	struct planned planned = {
		.act = ACT_DELETE,
		.key = state->key,
		.len = state->len,
	};

	join->tally->deleted++;
	return stage_plan_add(join->stage, join->collection, &planned, err);
}

/* One key, on one side or on both: what is to be done? */
static int
decide(const struct join *join, int order, const struct staged *staged,
    const struct store_state *state, struct error *err)
{
	struct tally *tally = join->tally;

	if (order < 0)
		return plan_put(join, staged, ACT_ADD, &tally->added, err);
	if (!state->is_deleted)
		tally->live++;
	if (order > 0)
		return state->is_deleted ? 0 : plan_delete(join, state, err);
	if (state->is_deleted ||
	    memcmp(state->hash, staged->hash, HASH_BYTES) != 0)
		return plan_put(join, staged, ACT_UPDATE, &tally->updated,
		    err);
	tally->unchanged++;
	return 0;
}

static int
merge(struct join *join, struct error *err)
{
	struct store_state state;
	struct staged	   staged;
	int		   has_staged, has_state, order;

	has_staged = next_wanted(join, &staged, err);
	has_state = has_staged == -1 ? -1 :
	    store_state_next(join->held, &state, err);
	while (has_staged == 1 || has_state == 1) {
		if (has_staged == -1 || has_state == -1 ||
		    stop_check(STATUS_STORE, err) == -1)
			return -1;
		order = compare(has_staged == 1, &staged, has_state == 1,
		    &state);
		if (decide(join, order, &staged, &state, err) == -1)
			return -1;
		if (order <= 0)
			has_staged = next_wanted(join, &staged, err);
		if (order >= 0 && has_staged != -1)
			has_state = store_state_next(join->held, &state, err);
	}
	return has_staged == -1 || has_state == -1 ? -1 : 0;
}

int
plan_collection(struct stage *stage, struct store *store,
    enum collection collection, struct tally *tally, struct error *err)
{
	const char *name = collection_name(collection);
	struct join join = {
		.collection = collection,
		.stage = stage,
		.tally = tally,
	};
	int rc;

	log_progress("comparing: %s", name);
	rc = store_state_open(store, name, &join.held, err);
	if (rc == 0)
		rc = stage_cursor_open(stage, collection, &join.wanted, err);
	if (rc == 0)
		rc = merge(&join, err);
	if (join.doubled > MAX_DOUBLED_LOGGED)
		log_warn("%s: %" PRIu64 " more keys came several times; the"
		    " last one counts", name,
		    join.doubled - MAX_DOUBLED_LOGGED);
	stage_cursor_close(join.wanted);
	store_cursor_close(join.held);
	return rc;
}
