/* What a run has written to the history, read back. */
#include <bson/bson.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "balance_int.h"
#include "history.h"
#include "xalloc.h"

/* Bytes of the name of a member, as in "AddedKeys", and of an index. */
#define MAX_NAME_TEXT 16

/* A key list of the history beside the plan that it tells of. */
struct list {
	const struct balance *balance;
	const struct tally   *tally;
	enum act	      act;
	struct stage_cursor  *plan; /* NULL: nothing was planned */
	uint64_t	      keys;
};

static int
fail_entry(struct error *err)
{
	return error_set(err, STATUS_UNBALANCED, "history: the entry of this"
	    " run is not there as it was written" BALANCE_ADVICE);
}

static int
fail_list(const struct list *list, struct error *err)
{
	return error_set(err, STATUS_UNBALANCED, "history: %s has %" PRIu64
	    " keys that were planned under %s, or a part of them; want %" PRIu64
	    BALANCE_ADVICE, list->tally->name, list->keys,
	    history_act_name(list->act), tally_count(list->tally, list->act));
}

/* The next planned key goes where it has to be. */
static int
take_key(struct list *list, uint32_t index, bson_t *wanted, struct error *err)
{
	struct planned planned;
	const char    *name;
	char	       text[MAX_NAME_TEXT];
	size_t	       len;
	int	       rc;

	if (list->plan == NULL)
		return fail_list(list, err);
	rc = stage_plan_next(list->plan, &planned, err);
	if (rc != 1)
		return rc == -1 ? -1 : fail_list(list, err);
	len = bson_uint32_to_string(index, &name, text, sizeof(text));
	if (!bson_append_utf8(wanted, name, (int)len, planned.key,
	    (int)planned.len))
		xalloc_end();
	list->keys++;
	return 0;
}

/* As many planned keys as the array has: are they the same, byte for byte? */
static int
take_keys(struct list *list, const uint8_t *data, size_t len,
    struct error *err)
{
	bson_t	 keys, wanted = BSON_INITIALIZER;
	uint32_t i, n;
	int	 rc = 0;

	if (data == NULL || !bson_init_static(&keys, data, len))
		return fail_list(list, err);
	n = bson_count_keys(&keys);
	for (i = 0; i < n && rc == 0; i++)
		rc = take_key(list, i, &wanted, err);
	if (rc == 0 && !bson_equal(&keys, &wanted))
		rc = fail_list(list, err);
	bson_destroy(&wanted);
	return rc;
}

/* The keys in the entry itself. */
static int
take_inline(struct list *list, const bson_t *member, struct error *err)
{
	bson_iter_t    iter;
	const uint8_t *data = NULL;
	char	       name[MAX_NAME_TEXT];
	uint32_t       len = 0;

	(void)snprintf(name, sizeof(name), "%sKeys",
	    history_act_name(list->act));
	if (bson_iter_init_find(&iter, member, name) &&
	    BSON_ITER_HOLDS_ARRAY(&iter))
		bson_iter_array(&iter, &len, &data);
	return take_keys(list, data, len, err);
}

/* Those that it had no room for. */
static int
take_parts(struct list *list, struct error *err)
{
	struct store_history_keys part;
	struct store_cursor	 *parts;
	int64_t			  n = 0;
	int			  rc;

	if (store_history_keys_open(list->balance->store,
	    list->balance->version, list->tally->name,
	    history_act_name(list->act), &parts, err) == -1)
		return -1;
	while ((rc = store_history_keys_next(parts, &part, err)) == 1) {
		rc = part.part != ++n ? fail_list(list, err) :
		    take_keys(list, part.keys, part.keys_len, err);
		if (rc == -1)
			break;
	}
	store_cursor_close(parts);
	return rc;
}

static int
check_list(const struct balance *balance, const struct tally *tally,
    enum act act, const bson_t *member, struct error *err)
{
	struct list list = { .balance = balance, .tally = tally, .act = act };
	int	    rc = 0;

	if (tally_count(tally, act) > 0)
		rc = stage_plan_open(balance->stage, tally->list, act,
		    &list.plan, err);
	if (rc == 0)
		rc = take_inline(&list, member, err);
	if (rc == 0)
		rc = take_parts(&list, err);
	if (rc == 0 && list.keys != tally_count(tally, act))
		rc = fail_list(&list, err);
	stage_cursor_close(list.plan);
	return rc;
}

/* The key lists of a collection. */
static int
check_tally(const struct balance *balance, const struct tally *tally,
    const bson_t *tallies, struct error *err)
{
	bson_iter_t    iter;
	const uint8_t *data;
	uint32_t       len;
	enum act       act;
	bson_t	       member;

	if (!bson_iter_init_find(&iter, tallies, tally->name) ||
	    !BSON_ITER_HOLDS_DOCUMENT(&iter))
		return fail_entry(err);
	bson_iter_document(&iter, &len, &data);
	if (!bson_init_static(&member, data, len))
		return fail_entry(err);
	for (act = 0; act < ACT__MAX; act++) {
		if (check_list(balance, tally, act, &member, err) == -1)
			return -1;
	}
	return 0;
}

static bool
is_same(const struct store_history *one, const struct store_history *other)
{
	return one->version == other->version &&
	    one->synced_at_ms == other->synced_at_ms &&
	    one->duration_ms == other->duration_ms &&
	    one->tallies_len == other->tallies_len &&
	    memcmp(one->tallies, other->tallies, one->tallies_len) == 0 &&
	    one->seal_len == other->seal_len && other->seal != NULL &&
	    memcmp(one->seal, other->seal, one->seal_len) == 0;
}

static int
check_entry(const struct balance *balance, const struct store_history *entry,
    struct error *err)
{
	bson_t tallies;
	size_t i;

	if (!bson_init_static(&tallies, entry->tallies, entry->tallies_len))
		return fail_entry(err);
	for (i = 0; i < balance->count; i++) {
		if (check_tally(balance, &balance->tallies[i], &tallies,
		    err) == -1)
			return -1;
	}
	return 0;
}

int
balance_history(const struct balance *balance,
    const struct store_history *entry, struct error *err)
{
	struct store_history found;
	struct store_cursor *cursor;
	int		     rc;

	if (store_history_open(balance->store, 1, &cursor, err) == -1)
		return -1;
	rc = store_history_next(cursor, &found, err);
	if (rc == 0 || (rc == 1 && !is_same(entry, &found)))
		rc = fail_entry(err);
	if (rc == 1)
		rc = check_entry(balance, &found, err);
	store_cursor_close(cursor);
	return rc;
}
