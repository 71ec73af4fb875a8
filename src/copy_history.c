#include <string.h>

#include "copy_int.h"
#include "stop.h"

/* So many history entries, or parts of key lists, are published at a time. */
#define MAX_BATCH_ENTRIES 100

static int
compare_parts(const struct store_history_keys *one,
    const struct store_history_keys *other)
{
	int order;

	if (one->version != other->version)
		return one->version < other->version ? -1 : 1;
	order = strcmp(one->collection, other->collection);
	if (order == 0)
		order = strcmp(one->act, other->act);
	if (order == 0 && one->part != other->part)
		order = one->part < other->part ? -1 : 1;
	return order;
}

static int
copy_parts(struct copy *copy, struct store_cursor *source,
    struct store_cursor *held, struct error *err)
{
	struct store_history_keys keys, has;
	int			  rc, has_held, n = 0;

	has_held = store_history_keys_next(held, &has, err);
	while (has_held != -1 &&
	    (rc = store_history_keys_next(source, &keys, err)) == 1) {
		while (has_held == 1 && compare_parts(&has, &keys) < 0)
			has_held = store_history_keys_next(held, &has, err);
		if (keys.version > copy->versions.finished ||
		    (has_held == 1 && compare_parts(&has, &keys) == 0))
			continue;
		if (has_held == -1 || stop_check(STATUS_STORE, err) == -1 ||
		    store_history_keys_put(copy->to, &keys, err) == -1 ||
		    (++n % MAX_BATCH_ENTRIES == 0 &&
		    copy_publish_batch(copy, err) == -1))
			return -1;
	}
	return has_held == -1 ? -1 : rc;
}

/* Newest first: it, too, is there only when all records are. */
static int
copy_entries(struct copy *copy, struct store_cursor *source,
    struct store_cursor *held, struct error *err)
{
	struct store_history entry, has;
	int		     rc, has_held, n = 0;

	has_held = store_history_next(held, &has, err);
	while (has_held != -1 &&
	    (rc = store_history_next(source, &entry, err)) == 1) {
		while (has_held == 1 && has.version > entry.version)
			has_held = store_history_next(held, &has, err);
		if (entry.version > copy->versions.finished ||
		    (has_held == 1 && has.version == entry.version))
			continue;
		if (has_held == -1 || stop_check(STATUS_STORE, err) == -1 ||
		    store_history_put(copy->to, &entry, err) == -1 ||
		    (++n % MAX_BATCH_ENTRIES == 0 &&
		    copy_publish_batch(copy, err) == -1))
			return -1;
	}
	return has_held == -1 ? -1 : rc;
}

int
copy_history(struct copy *copy, struct error *err)
{
	struct store_cursor *source = NULL, *held = NULL;
	int		     rc = -1;

	if (store_history_parts_open(copy->from, &source, err) == 0 &&
	    store_history_parts_open(copy->held, &held, err) == 0)
		rc = copy_parts(copy, source, held, err);
	store_cursor_close(held);
	store_cursor_close(source);
	if (rc == -1)
		return -1;
	source = held = NULL;
	rc = -1;
	if (store_history_open(copy->from, INT64_MAX, &source, err) == 0 &&
	    store_history_open(copy->held, INT64_MAX, &held, err) == 0)
		rc = copy_entries(copy, source, held, err);
	store_cursor_close(held);
	store_cursor_close(source);
	return rc == 0 ? copy_publish_batch(copy, err) : -1;
}
