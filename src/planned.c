#include "planned.h"
#include "record.h"
#include "stop.h"

struct walk {
	struct stage_cursor *plan;
	struct store_cursor *held;
	struct planned	     change; /* valid when has_change is 1 */
	struct store_record  record; /* valid when has_record is 1 */
	int		     has_change;
	int		     has_record;
	planned_fn	     fn;
	void		    *ctx;
};

/* The order of the two keys; a missing side comes last. */
static int
compare(const struct walk *walk)
{
	if (walk->has_change != 1 || walk->has_record != 1)
		return walk->has_change == 1 ? -1 : 1;
	return record_key_compare(walk->change.key, walk->change.len,
	    walk->record.key, walk->record.len);
}

static int
give(const struct walk *walk, const char *key, const uint8_t *data,
    size_t len, struct error *err)
{
	bson_t doc;

	if (data == NULL || !bson_init_static(&doc, data, len))
		return error_set(err, STATUS_STORE, "the record \"%s\" is"
		    " damaged: its Data is not BSON; restore the store from a"
		    " backup", key);
	return walk->fn(walk->ctx, key, &doc, err);
}

/* The record of the smaller key, as it will be. */
static int
take_one(struct walk *walk, int order, struct error *err)
{
	if (order > 0)
		return give(walk, walk->record.key, walk->record.data,
		    walk->record.data_len, err);
	if (walk->change.act == ACT_DELETE)
		return 0;
	return give(walk, walk->change.key, walk->change.data,
	    walk->change.data_len, err);
}

static int
go(struct walk *walk, struct error *err)
{
	int order;

	walk->has_change = stage_plan_next(walk->plan, &walk->change, err);
	if (walk->has_change != -1)
		walk->has_record = store_record_next(walk->held, &walk->record,
		    err);
	while (walk->has_change == 1 || walk->has_record == 1) {
		if (walk->has_change == -1 || walk->has_record == -1 ||
		    stop_check(STATUS_STORE, err) == -1)
			return -1;
		order = compare(walk);
		if (take_one(walk, order, err) == -1)
			return -1;
		if (order <= 0)
			walk->has_change = stage_plan_next(walk->plan,
			    &walk->change, err);
		if (order >= 0 && walk->has_change != -1)
			walk->has_record = store_record_next(walk->held,
			    &walk->record, err);
	}
	return walk->has_change == -1 || walk->has_record == -1 ? -1 : 0;
}

int
planned_walk(struct stage *stage, int list, struct store *store,
    const char *name, planned_fn fn, void *ctx, struct error *err)
{
	struct walk walk = { .fn = fn, .ctx = ctx };
	int	    rc;

	rc = stage_plan_open(stage, list, ACT__MAX, &walk.plan, err);
	if (rc == 0)
		rc = store_records_open(store, name, false, &walk.held, err);
	if (rc == 0)
		rc = go(&walk, err);
	stage_cursor_close(walk.plan);
	store_cursor_close(walk.held);
	return rc;
}
