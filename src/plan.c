#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "plan.h"
#include "record.h"
#include "stop.h"

/* Keys that came more than once and are named in the log, in a collection. */
#define MAX_DOUBLED_LOGGED 100

/* What is joined, and the counts that come of it. */
struct join {
	struct stage	    *stage;
	struct store	    *store;
	struct stage_cursor *wanted;
	struct store_cursor *held;
	struct tally	    *tally;
	uint64_t	     doubled; /* keys that came more than once */
};

static const char *
newest(const struct tally *tally)
{
	return tally->list < COLLECTION__MAX ? "last" : "newest";
}

/* Outputs come from raw records, whose duplicates were counted there. */
static void
count_duplicates(struct join *join, const struct staged *staged)
{
	if (staged->duplicates == 0 || join->tally->is_output)
		return;
	join->tally->duplicates += staged->duplicates;
	if (++join->doubled <= MAX_DOUBLED_LOGGED)
		log_warn("%s: the key \"%s\" came %" PRIu64 " times; the %s"
		    " one counts", join->tally->name, staged->key,
		    staged->duplicates + 1, newest(join->tally));
}

/* A resource that is there and gone at once: which of both is true? */
static int
check_staged(const struct staged *staged, struct error *err)
{
	if (!staged->is_put || !staged->is_delete)
		return 0;
	return error_set(err, STATUS_PROTOCOL, "the upstream names \"%s\" as"
	    " deleted and gives it as well; nothing was written", staged->key);
}

static int
next_wanted(struct join *join, struct staged *staged, struct error *err)
{
	int rc;

	rc = stage_cursor_next(join->wanted, staged, err);
	if (rc != 1)
		return rc;
	if (check_staged(staged, err) == -1)
		return -1;
	count_duplicates(join, staged);
	return 1;
}

/* The order of two keys, byte by byte; a missing side comes last. */
static int
compare(bool has_staged, const struct staged *staged, bool has_state,
    const struct store_state *state)
{
	if (!has_staged || !has_state)
		return has_staged ? -1 : 1;
	return record_key_compare(staged->key, staged->len, state->key,
	    state->len);
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
	return stage_plan_add(join->stage, join->tally->list, &planned, err);
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
	return stage_plan_add(join->stage, join->tally->list, &planned, err);
}

/*
 * Is what the store has newer, or more, than what came?  Only resources with
 * an age are looked at: it costs a question to the store.  1 = so it is.
 */
static int
is_stale(const struct join *join, const struct staged *staged,
    struct error *err)
{
	struct store_cursor *cursor;
	struct store_record  record;
	struct resource_age  held;
	bson_t		     data;
	int		     rc;

	if (staged->age.updated_us == 0 && staged->age.version == 0 &&
	    !staged->age.is_subset)
		return 0;
	if (store_record_open(join->store, join->tally->name, staged->key,
	    staged->len, &cursor, err) == -1)
		return -1;
	rc = store_record_next(cursor, &record, err);
	if (rc == 1) {
		rc = 0;
		/* What is damaged is written anew. */
		if (record.data != NULL &&
		    bson_init_static(&data, record.data, record.data_len)) {
			held = resource_age_get(&data);
			rc = resource_age_compare(&staged->age, &held) < 0;
		}
	}
	store_cursor_close(cursor);
	return rc;
}

/* A key on both sides, which the upstream gives another content. */
static int
plan_change(const struct join *join, const struct staged *staged,
    struct error *err)
{
	struct tally *tally = join->tally;
	int	      rc;

	rc = is_stale(join, staged, err);
	if (rc == 1) {
		tally->stale++;
		log_debug("%s: \"%s\" is newer, or more, in the store; it"
		    " stays", tally->name, staged->key);
		return 0;
	}
	return rc == -1 ? -1 : plan_put(join, staged, ACT_UPDATE,
	    &tally->updated, err);
}

/* A key of the store that the upstream gives. */
static int
decide_known(const struct join *join, const struct staged *staged,
    const struct store_state *state, struct error *err)
{
	if (staged->is_delete)
		return state->is_deleted ? 0 : plan_delete(join, state, err);
	/* What is there is there, however old: a tombstone is no newer state
	 * of it. */
	if (state->is_deleted)
		return plan_put(join, staged, ACT_UPDATE,
		    &join->tally->updated, err);
	if (memcmp(state->hash, staged->hash, HASH_BYTES) != 0)
		return plan_change(join, staged, err);
	join->tally->unchanged++;
	return 0;
}

/* One key, on one side or on both: what is to be done? */
static int
decide(const struct join *join, int order, const struct staged *staged,
    const struct store_state *state, struct error *err)
{
	struct tally *tally = join->tally;

	if (order < 0)
		return staged->is_delete ? 0 :
		    plan_put(join, staged, ACT_ADD, &tally->added, err);
	if (!state->is_deleted)
		tally->live++;
	if (order == 0)
		return decide_known(join, staged, state, err);
	if (state->is_deleted || tally->is_merged)
		return 0;
	return plan_delete(join, state, err);
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
plan_collection(struct stage *stage, struct store *store, struct tally *tally,
    struct error *err)
{
	struct join join = {
		.stage = stage,
		.store = store,
		.tally = tally,
	};
	int rc;

	log_progress("comparing: %s", tally->name);
	rc = store_state_open(store, tally->name, &join.held, err);
	if (rc == 0)
		rc = stage_cursor_open(stage, tally->list, &join.wanted, err);
	if (rc == 0)
		rc = merge(&join, err);
	if (join.doubled > MAX_DOUBLED_LOGGED)
		log_warn("%s: %" PRIu64 " more keys came several times; the"
		    " %s one counts", tally->name,
		    join.doubled - MAX_DOUBLED_LOGGED, newest(tally));
	stage_cursor_close(join.wanted);
	store_cursor_close(join.held);
	return rc;
}
