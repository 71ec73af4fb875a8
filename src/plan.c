#include <inttypes.h>
#include <string.h>

#include "convert.h"
#include "hash.h"
#include "log.h"
#include "plan.h"
#include "stop.h"

/* Duplicate keys that are named in the log; the others are only counted. */
#define MAX_DUPLICATES_LOGGED 20

/* What a collection is to hold, record by record in key order. */
struct wanted {
	int (*next)(struct wanted *wanted, struct planned *item,
	    struct error *err);
	enum collection	     collection;
	struct tally	    *tally;
	/* raw */
	struct stage_cursor *staged;
	/* output */
	struct source	    *source;
	struct hasher	    *hasher;
	bson_t		     output;
	bool		     has_output;
};

static void
warn_duplicates(struct wanted *wanted, const struct staged *staged)
{
	struct tally *tally = wanted->tally;

	if (tally->duplicates < MAX_DUPLICATES_LOGGED)
		log_warn("%s: the key \"%s\" came %" PRIu64 " times; the last"
		    " one counts", collection_name(wanted->collection),
		    staged->key, staged->duplicates + 1);
	tally->duplicates += staged->duplicates;
}

static int
next_raw(struct wanted *wanted, struct planned *item, struct error *err)
{
	struct staged staged;
	int	      rc;

	rc = stage_cursor_next(wanted->staged, &staged, err);
	if (rc != 1)
		return rc;
	if (staged.duplicates > 0)
		warn_duplicates(wanted, &staged);
	*item = (struct planned){
		.key = staged.key,
		.len = staged.len,
		.row = staged.row,
	};
	memcpy(item->hash, staged.hash, HASH_BYTES);
	return 1;
}

/* Converts a record; the output has the key of its raw record. */
static int
convert(struct wanted *wanted, const bson_t *raw, struct error *err)
{
	struct convert_activities activities = {
		.find = source_find_activity,
		.ctx = wanted->source,
	};

	wanted->has_output = true;
	if (wanted->collection == REIMBURSEMENT_GROUPS)
		return convert_reimbursement_group(raw, &wanted->output, err);
	return convert_treatment_group(raw, &activities, &wanted->output,
	    &wanted->tally->unresolved, err);
}

static int
next_output(struct wanted *wanted, struct planned *item, struct error *err)
{
	struct source_record raw;
	int		     rc;

	rc = source_next(wanted->source, &raw, err);
	if (rc != 1)
		return rc;
	if (wanted->has_output)
		bson_destroy(&wanted->output);
	if (convert(wanted, &raw.data, err) == -1)
		return -1;
	*item = (struct planned){
		.key = raw.key,
		.len = raw.len,
		.data = bson_get_data(&wanted->output),
		.data_len = wanted->output.len,
	};
	if (hash_document(wanted->hasher, item->data, item->data_len,
	    item->hash, err) == -1)
		return error_prefix(err, "converting \"%s\"", raw.key);
	return 1;
}

/* The order of two keys, byte by byte; a missing side comes last. */
static int
compare(bool has_item, const struct planned *item, bool has_state,
    const struct store_state *state)
{
	size_t common;
	int    order;

	if (!has_item || !has_state)
		return has_item ? -1 : 1;
	common = item->len < state->len ? item->len : state->len;
	order = memcmp(item->key, state->key, common);
	if (order == 0 && item->len != state->len)
		order = item->len < state->len ? -1 : 1;
	return order;
}

static int
plan_change(struct stage *stage, enum collection collection,
    struct planned *item, enum act act, uint64_t *count, struct error *err)
{
	(*count)++;
	item->act = act;
	return stage_plan_add(stage, collection, item, err);
}

/* One key, on one side or on both: what is to be done? */
static int
decide(struct stage *stage, struct wanted *wanted, int order,
    struct planned *item, const struct store_state *state, struct error *err)
{
	struct tally  *tally = wanted->tally;
	struct planned gone;

	if (order < 0)
		return plan_change(stage, wanted->collection, item, ACT_ADD,
		    &tally->added, err);
	if (!state->is_deleted)
		tally->live++;
	if (order == 0) {
		if (state->is_deleted ||
		    memcmp(state->hash, item->hash, HASH_BYTES) != 0)
			return plan_change(stage, wanted->collection, item,
			    ACT_UPDATE, &tally->updated, err);
		tally->unchanged++;
		return 0;
	}
	if (state->is_deleted)
		return 0;
	gone = (struct planned){ .key = state->key, .len = state->len };
	return plan_change(stage, wanted->collection, &gone, ACT_DELETE,
	    &tally->deleted, err);
}

static int
merge(struct stage *stage, struct wanted *wanted, struct store_cursor *cursor,
    struct error *err)
{
	struct store_state state;
	struct planned	   item;
	int		   has_item, has_state, order;

	has_item = wanted->next(wanted, &item, err);
	has_state = has_item == -1 ? -1 : store_state_next(cursor, &state, err);
	while (has_item == 1 || has_state == 1) {
		if (has_item == -1 || has_state == -1 ||
		    stop_check(STATUS_STORE, err) == -1)
			return -1;
		order = compare(has_item == 1, &item, has_state == 1, &state);
		if (decide(stage, wanted, order, &item, &state, err) == -1)
			return -1;
		if (order <= 0)
			has_item = wanted->next(wanted, &item, err);
		if (order >= 0 && has_item != -1)
			has_state = store_state_next(cursor, &state, err);
	}
	return has_item == -1 || has_state == -1 ? -1 : 0;
}

static int
plan(struct stage *stage, struct store *store, struct wanted *wanted,
    struct error *err)
{
	struct store_cursor *cursor;
	int		     rc;

	log_progress("comparing: %s", collection_name(wanted->collection));
	if (store_state_open(store, collection_name(wanted->collection),
	    &cursor, err) == -1)
		return -1;
	rc = merge(stage, wanted, cursor, err);
	store_cursor_close(cursor);
	return rc;
}

int
plan_raw(struct stage *stage, struct store *store,
    enum collection collection, struct tally *tally, struct error *err)
{
	struct wanted wanted = {
		.next = next_raw,
		.collection = collection,
		.tally = tally,
	};
	int rc;

	if (stage_cursor_open(stage, collection, &wanted.staged, err) == -1)
		return -1;
	rc = plan(stage, store, &wanted, err);
	stage_cursor_close(wanted.staged);
	return rc;
}

int
plan_output(struct stage *stage, struct store *store,
    enum collection collection, struct source *source, struct tally *tally,
    struct error *err)
{
	struct wanted wanted = {
		.next = next_output,
		.collection = collection,
		.tally = tally,
		.source = source,
	};
	int rc;

	wanted.hasher = hasher_new();
	rc = plan(stage, store, &wanted, err);
	if (wanted.has_output)
		bson_destroy(&wanted.output);
	hasher_free(wanted.hasher);
	return rc;
}
