#include <bson/bson.h>
#include <stdio.h>

#include "collection.h"
#include "history.h"
#include "xalloc.h"

/* Bytes of an array index as text, and of "AddedKeys" and the like. */
#define MAX_NAME_TEXT 16

static const char *const act_names[ACT__MAX] = {
	[ACT_ADD] = "Added",
	[ACT_UPDATE] = "Updated",
	[ACT_DELETE] = "Deleted",
};

const char *
history_act_name(enum act act)
{
	return act_names[act];
}

struct context {
	struct stage *stage;
	struct store *store;
	int64_t	      version;
	size_t	      room; /* for keys in the entry itself */
	bool	      has_parts;
};

static void
append_number(bson_t *doc, const char *name, uint64_t number)
{
	if (!BSON_APPEND_INT64(doc, name, (int64_t)number))
		xalloc_end();
}

static void
append_key(bson_t *keys, uint32_t index, const struct planned *planned)
{
	char	    text[MAX_NAME_TEXT];
	const char *name;
	size_t	    len;

	len = bson_uint32_to_string(index, &name, text, sizeof(text));
	if (!bson_append_utf8(keys, name, (int)len, planned->key,
	    (int)planned->len))
		xalloc_end();
}

/*
 * Fills keys from the cursor up to limit bytes; *is_ahead says that planned
 * holds a key that did not fit (and, at the start, one to begin with).
 */
static int
fill_keys(struct stage_cursor *cursor, struct planned *planned,
    bool *is_ahead, size_t limit, bson_t *keys, struct error *err)
{
	uint32_t index = 0;
	int	 rc;

	for (;;) {
		if (!*is_ahead) {
			rc = stage_plan_next(cursor, planned, err);
			if (rc != 1)
				return rc;
		}
		*is_ahead = keys->len + planned->len + 2 * MAX_NAME_TEXT >
		    limit;
		if (*is_ahead)
			return 0;
		append_key(keys, index++, planned);
	}
}

static int
write_parts(struct context *context, struct stage_cursor *cursor,
    struct planned *planned, const char *collection, enum act act,
    struct error *err)
{
	struct store_history_keys part = {
		.version = context->version,
		.collection = collection,
		.act = act_names[act],
	};
	bson_t keys;
	bool   is_ahead = true;
	int    rc = 0;

	context->has_parts = true;
	while (is_ahead && rc == 0) {
		bson_init(&keys);
		rc = fill_keys(cursor, planned, &is_ahead, MAX_PART_KEY_BYTES,
		    &keys, err);
		if (rc == 0) {
			part.part++;
			part.keys = bson_get_data(&keys);
			part.keys_len = keys.len;
			rc = store_history_keys_put(context->store, &part, err);
		}
		bson_destroy(&keys);
	}
	return rc;
}

/* The keys of one act: as many as fit into the entry, the rest in parts. */
static int
append_keys(struct context *context, const struct tally *tally, enum act act,
    bson_t *doc, struct error *err)
{
	struct stage_cursor *cursor;
	struct planned	     planned;
	char		     name[MAX_NAME_TEXT];
	bson_t		     keys;
	bool		     is_ahead = false;
	int		     rc = 0;

	if (stage_plan_open(context->stage, tally->list, act, &cursor, err) ==
	    -1)
		return -1;
	(void)snprintf(name, sizeof(name), "%sKeys", act_names[act]);
	bson_init(&keys);
	/* To find none takes as long as to find all of them. */
	if (tally_count(tally, act) > 0)
		rc = fill_keys(cursor, &planned, &is_ahead, context->room,
		    &keys, err);
	context->room -= keys.len < context->room ? keys.len : context->room;
	if (!BSON_APPEND_ARRAY(doc, name, &keys))
		xalloc_end();
	bson_destroy(&keys);
	if (rc == 0 && is_ahead)
		rc = write_parts(context, cursor, &planned, tally->name, act,
		    err);
	stage_cursor_close(cursor);
	return rc;
}

static int
append_tally(struct context *context, const struct tally *tally, bson_t *doc,
    struct error *err)
{
	enum act act;

	append_number(doc, "Added", tally->added);
	append_number(doc, "Updated", tally->updated);
	append_number(doc, "Unchanged", tally->unchanged);
	append_number(doc, "Deleted", tally->deleted);
	append_number(doc, "Skipped", tally->skipped +
	    tally->stale);
	append_number(doc, "Duplicates", tally->duplicates);
	if (tally->list == TREATMENT_GROUPS)
		append_number(doc, "Unresolved", tally->unresolved);
	for (act = 0; act < ACT__MAX; act++) {
		if (append_keys(context, tally, act, doc, err) == -1)
			return -1;
	}
	return 0;
}

int
history_make(struct stage *stage, struct store *store,
    const struct tally *tallies, size_t count, struct store_history *entry,
    const bson_t *members, bson_t *doc, struct error *err)
{
	struct context context = {
		.stage = stage,
		.store = store,
		.version = entry->version,
		.room = MAX_INLINE_KEY_BYTES,
	};
	bson_t part;
	size_t i;
	int    rc = 0;

	bson_init(doc);
	for (i = 0; i < count && rc == 0; i++) {
		bson_init(&part);
		rc = append_tally(&context, &tallies[i], &part, err);
		if (!BSON_APPEND_DOCUMENT(doc, tallies[i].name, &part))
			xalloc_end();
		bson_destroy(&part);
	}
	if (members != NULL && !bson_concat(doc, members))
		xalloc_end();
	entry->tallies = bson_get_data(doc);
	entry->tallies_len = doc->len;
	return rc == 0 ? context.has_parts : -1;
}
