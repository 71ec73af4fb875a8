#include <bson/bson.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bson_json.h"
#include "clock.h"
#include "collection.h"
#include "command.h"
#include "command_list.h"
#include "history.h"
#include "store.h"
#include "xalloc.h"

/* The counts of a table row, summed over the collections of an entry. */
static const char *const count_names[] = {
	"Added", "Updated", "Unchanged", "Deleted", "Skipped", "Duplicates",
	"Unresolved",
};
/* "AddedKeys" is the list of the act "Added". */
#define KEYS_SUFFIX "Keys"
#define COUNTS (sizeof(count_names) / sizeof(count_names[0]))

static int
fail_damaged(const struct store_history *entry, struct error *err)
{
	return error_set(err, STATUS_STORE, "the history entry of version %"
	    PRId64 " is damaged; restore the store from a backup",
	    entry->version);
}

static void
add_counts(bson_iter_t *collection, int64_t counts[COUNTS])
{
	bson_iter_t tally;
	size_t	    i;

	if (!bson_iter_recurse(collection, &tally))
		return;
	while (bson_iter_next(&tally)) {
		for (i = 0; i < COUNTS; i++) {
			if (strcmp(bson_iter_key(&tally), count_names[i]) == 0)
				counts[i] += bson_iter_as_int64(&tally);
		}
	}
}

/* Behind a row: what kind of run it was, if it is no plain one. */
static void
print_kind(const bson_t *tallies)
{
	bson_iter_t iter, to;

	if (bson_iter_init(&iter, tallies) && bson_iter_find_descendant(&iter,
	    HISTORY_ROLLBACK ".To", &to))
		(void)printf("  rollback to %" PRId64,
		    bson_iter_as_int64(&to));
	if (bson_has_field(tallies, HISTORY_PRUNE))
		(void)printf("  prune");
	if (bson_has_field(tallies, HISTORY_REPAIR))
		(void)printf("  repair");
}

static int
print_row(const struct store_history *entry, const bson_t *tallies)
{
	char	    time[CLOCK_TEXT_BYTES];
	int64_t	    counts[COUNTS] = { 0 };
	bson_iter_t iter;
	size_t	    i;

	if (!bson_iter_init(&iter, tallies))
		return -1;
	while (bson_iter_next(&iter)) {
		/* As in the result, what was put aside does not count. */
		if (BSON_ITER_HOLDS_DOCUMENT(&iter) &&
		    strcmp(bson_iter_key(&iter), COLLECTION_QUARANTINE) != 0)
			add_counts(&iter, counts);
	}
	clock_format(entry->synced_at_ms, time);
	(void)printf("%7" PRId64 "  %s %9" PRId64 " ms", entry->version, time,
	    entry->duration_ms);
	for (i = 0; i < COUNTS; i++)
		(void)printf(" %10" PRId64, counts[i]);
	print_kind(tallies);
	(void)printf("\n");
	return 0;
}

/* The caller clears it. */
static struct buf
make_head(void)
{
	struct buf head = { 0 };
	size_t	   i;

	buf_print(&head, "%7s  %-24s %12s", "VERSION", "SYNCED AT",
	    "DURATION");
	for (i = 0; i < COUNTS; i++)
		buf_print(&head, " %10s", count_names[i]);
	buf_append(&head, "\n", sizeof("\n"));
	return head;
}

/* What goes out is flushed now and then, so that memory does not grow. */
static void
print_buf(struct buf *text)
{
	(void)fwrite(text->data, 1, text->len, stdout);
	text->len = 0;
}

/* Prints the elements of an array; *is_first: none came before. */
static int
print_elements(bson_iter_t *elements, bool *is_first, struct buf *text)
{
	while (bson_iter_next(elements)) {
		if (!*is_first)
			buf_append_byte(text, ',');
		*is_first = false;
		if (bson_json_append_value(text, elements) == -1)
			return -1;
		print_buf(text);
	}
	return 0;
}

/* One list of an entry and the parts of it that did not fit. */
struct key_list {
	struct store		   *store;
	const struct store_history *entry;
	const char		   *collection;
	const char		   *name; /* "AddedKeys" */
};

static int
print_parts(const struct key_list *list, bool *is_first, struct buf *text,
    struct error *err)
{
	struct store_cursor	 *cursor;
	struct store_history_keys part;
	bson_iter_t		  keys;
	char			 *act;
	int			  rc;

	act = xstrndup(list->name, strlen(list->name) - strlen(KEYS_SUFFIX));
	rc = store_history_keys_open(list->store, list->entry->version,
	    list->collection, act, &cursor, err);
	free(act);
	if (rc == -1)
		return -1;
	while ((rc = store_history_keys_next(cursor, &part, err)) == 1) {
		if (part.keys != NULL && bson_iter_init_from_data(&keys,
		    part.keys, part.keys_len) &&
		    print_elements(&keys, is_first, text) == 0)
			continue;
		rc = fail_damaged(list->entry, err);
		break;
	}
	store_cursor_close(cursor);
	return rc;
}

/* Is the array one of keys, which may go on in parts? */
static bool
is_key_list(const struct key_list *list, const bson_iter_t *member)
{
	size_t len = strlen(list->name);

	return BSON_ITER_HOLDS_ARRAY(member) && len > strlen(KEYS_SUFFIX) &&
	    strcmp(list->name + len - strlen(KEYS_SUFFIX), KEYS_SUFFIX) == 0;
}

/* A member of a collection's tally: a count, or a list of keys. */
static int
print_member(const struct key_list *list, const bson_iter_t *member,
    struct buf *text, struct error *err)
{
	bson_iter_t elements;
	bool	    is_first = true;

	if (!is_key_list(list, member)) {
		if (bson_json_append_value(text, member) == -1)
			return fail_damaged(list->entry, err);
		print_buf(text);
		return 0;
	}
	(void)printf("[");
	if (!bson_iter_recurse(member, &elements) ||
	    print_elements(&elements, &is_first, text) == -1)
		return fail_damaged(list->entry, err);
	if (print_parts(list, &is_first, text, err) == -1)
		return -1;
	(void)printf("]");
	return 0;
}

static int
print_collection(struct key_list *list, const bson_iter_t *collection,
    struct buf *text, struct error *err)
{
	const char *separator = "";
	bson_iter_t member;

	if (!BSON_ITER_HOLDS_DOCUMENT(collection))
		return print_member(list, collection, text, err);
	if (!bson_iter_recurse(collection, &member))
		return fail_damaged(list->entry, err);
	(void)printf("{");
	while (bson_iter_next(&member)) {
		list->name = bson_iter_key(&member);
		(void)printf("%s\"%s\":", separator, list->name);
		separator = ",";
		if (print_member(list, &member, text, err) == -1)
			return -1;
	}
	(void)printf("}");
	return 0;
}

/* The seal as it is, if there is one. */
static int
print_seal(const struct store_history *entry, struct buf *text,
    struct error *err)
{
	bson_t seal;

	if (entry->seal == NULL)
		return 0;
	if (!bson_init_static(&seal, entry->seal, entry->seal_len) ||
	    bson_json_append(text, &seal) == -1)
		return fail_damaged(entry, err);
	(void)printf(",\"Seal\":");
	print_buf(text);
	return 0;
}

static int
print_json(struct store *store, const struct store_history *entry,
    const bson_t *tallies, struct error *err)
{
	struct key_list list = { .store = store, .entry = entry };
	struct buf	text = { 0 };
	char		time[CLOCK_TEXT_BYTES];
	bson_iter_t	iter;
	int		rc = 0;

	if (!bson_iter_init(&iter, tallies))
		return fail_damaged(entry, err);
	clock_format(entry->synced_at_ms, time);
	(void)printf("{\"Version\":%" PRId64 ",\"SyncedAt\":\"%s\","
	    "\"DurationMs\":%" PRId64, entry->version, time,
	    entry->duration_ms);
	while (rc == 0 && bson_iter_next(&iter)) {
		list.collection = bson_iter_key(&iter);
		(void)printf(",\"%s\":", list.collection);
		rc = print_collection(&list, &iter, &text, err);
	}
	if (rc == 0)
		rc = print_seal(entry, &text, err);
	(void)printf("}");
	buf_clear(&text);
	return rc;
}

static int
print_entry(const struct options *opts, struct store *store,
    const struct store_history *entry, struct error *err)
{
	bson_t tallies;

	if (entry->tallies == NULL || !bson_init_static(&tallies,
	    entry->tallies, entry->tallies_len))
		return fail_damaged(entry, err);
	if (opts->format == OUTPUT_TABLE)
		return print_row(entry, &tallies) == -1 ?
		    fail_damaged(entry, err) : 0;
	return print_json(store, entry, &tallies, err);
}

static int
print_entries(const struct options *opts, struct store *store,
    struct error *err)
{
	struct store_cursor *cursor;
	struct store_history entry;
	struct command_list  list;
	struct buf	     head = make_head();
	int		     rc;

	rc = store_history_open(store, opts->limit, &cursor, err);
	if (rc == 0)
		command_list_begin(&list, opts->format,
		    (const char *)head.data);
	buf_clear(&head);
	if (rc == -1)
		return -1;
	while ((rc = store_history_next(cursor, &entry, err)) == 1) {
		rc = command_list_next(&list, err);
		if (rc == 0)
			rc = print_entry(opts, store, &entry, err);
		if (rc == -1)
			break;
	}
	if (rc == 0)
		command_list_end(&list);
	store_cursor_close(cursor);
	return rc;
}

int
command_history(const struct options *opts, struct error *err)
{
	struct store *store;
	int	      rc;

	if (store_open(&opts->store, STORE_READ, &store, err) == -1)
		return -1;
	/* The entries and their parts, of one state. */
	rc = store_begin(store, err);
	if (rc == 0)
		rc = print_entries(opts, store, err);
	store_close(store);
	return rc == 0 ? command_flush(err) : -1;
}
