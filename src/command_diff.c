#include <bson/bson.h>
#include <inttypes.h>
#include <stdio.h>

#include "bson_diff.h"
#include "bson_json.h"
#include "buf.h"
#include "collection.h"
#include "command.h"
#include "json_quote.h"
#include "log.h"
#include "past.h"
#include "stop.h"
#include "store.h"
#include "words.h"

enum diff_act { DIFF_ADD, DIFF_UPDATE, DIFF_DELETE, DIFF__MAX };

static const struct {
	const char *name; /* as JSON */
	const char *past; /* in a table */
} acts[DIFF__MAX] = {
	[DIFF_ADD] = { "add", "added" },
	[DIFF_UPDATE] = { "update", "changed" },
	[DIFF_DELETE] = { "delete", "deleted" },
};

/*
 * One question.  changes is what is told of the members of one record: lines,
 * or operations between commas.
 */
struct diff {
	const struct options *opts;
	struct store	     *store;
	int64_t		      from;
	int64_t		      to;
	const char	     *collection;
	int64_t		      counts[DIFF__MAX]; /* of the collection */
	int64_t		      total;
	struct buf	      changes;
	struct buf	      out;
};

static bool
is_table(const struct diff *diff)
{
	return diff->opts->format == OUTPUT_TABLE;
}

static int
fail_damaged(const struct diff *diff, const struct store_record *record,
    struct error *err)
{
	return error_set(err, STATUS_STORE, "store %s: the record \"%.*s\" of"
	    " %s is damaged: its Data is not BSON; see nompd-sync verify",
	    store_name(diff->store), (int)record->len, record->key,
	    diff->collection);
}

static int
on_change(void *ctx, const struct bson_change *change, struct error *err)
{
	struct diff *diff = ctx;
	int	     rc;

	if (is_table(diff)) {
		buf_print(&diff->changes, "    ");
		rc = bson_diff_line(&diff->changes, change);
		buf_append_byte(&diff->changes, '\n');
	} else {
		if (diff->changes.len > 0)
			buf_append_byte(&diff->changes, ',');
		rc = bson_diff_patch(&diff->changes, change);
	}
	return rc == 0 ? 0 : error_set(err, STATUS_STORE, "its data has no JSON"
	    " text");
}

static void
put_row(struct diff *diff, const struct store_record *new, enum diff_act act)
{
	if (diff->counts[DIFF_ADD] + diff->counts[DIFF_UPDATE] +
	    diff->counts[DIFF_DELETE] == 0)
		buf_print(&diff->out, "%s\n", diff->collection);
	buf_print(&diff->out, "  %s ", acts[act].past);
	bson_diff_plain(&diff->out, new->key, new->len);
	buf_print(&diff->out, " (version %" PRId64 ")\n", new->version);
	buf_append(&diff->out, diff->changes.data, diff->changes.len);
}

/* old NULL: there was none, not even a tombstone. */
static int
put_json(struct diff *diff, const struct store_record *old,
    const struct store_record *new, enum diff_act act)
{
	struct buf *out = &diff->out;
	bson_t	    data;

	buf_print(out, "{\"collection\":\"%s\",\"key\":", diff->collection);
	json_quote_append(out, new->key, new->len);
	buf_print(out, ",\"act\":\"%s\",\"fromVersion\":", acts[act].name);
	if (old != NULL)
		buf_print(out, "%" PRId64, old->version);
	else
		buf_print(out, "null");
	buf_print(out, ",\"toVersion\":%" PRId64, new->version);
	if (act == DIFF_UPDATE) {
		buf_print(out, ",\"patch\":[");
		buf_append(out, diff->changes.data, diff->changes.len);
		buf_append_byte(out, ']');
	} else if (act == DIFF_ADD) {
		buf_print(out, ",\"data\":");
		if (!bson_init_static(&data, new->data, new->data_len) ||
		    bson_json_append(out, &data) == -1)
			return -1;
	}
	buf_print(out, "}\n");
	return 0;
}

static int
put_record(struct diff *diff, const struct store_record *old,
    const struct store_record *new, enum diff_act act, struct error *err)
{
	int rc = 0;

	diff->out.len = 0;
	if (is_table(diff))
		put_row(diff, new, act);
	else
		rc = put_json(diff, old, new, act);
	if (rc == -1)
		return fail_damaged(diff, new, err);
	diff->counts[act]++;
	diff->total++;
	(void)fwrite(diff->out.data, 1, diff->out.len, stdout);
	return ferror(stdout) ? command_flush(err) : 0;
}

/* Of a record that is live in both versions. */
static int
compare_data(struct diff *diff, const struct store_record *old,
    const struct store_record *new, struct error *err)
{
	if (old->data == NULL || new->data == NULL)
		return fail_damaged(diff, new, err);
	if (bson_diff(old->data, old->data_len, new->data, new->data_len,
	    on_change, diff, err) == -1)
		return error_prefix(err, "store %s: the record \"%.*s\" of %s"
		    " is damaged", store_name(diff->store), (int)new->len,
		    new->key, diff->collection);
	/* Rewritten in between, and rewritten back. */
	if (diff->changes.len == 0)
		return 0;
	return put_record(diff, old, new, DIFF_UPDATE, err);
}

/* new is the record in the later version; what it was in the earlier one is
 * looked up. */
static int
compare_record(struct diff *diff, const struct store_record *new,
    struct error *err)
{
	struct store_cursor *cursor;
	struct store_record  old;
	bool		     was_live, is_live = !new->is_deleted;
	int		     found, rc = 0;

	diff->changes.len = 0;
	store_view(diff->store, diff->from);
	if (store_record_open(diff->store, diff->collection, new->key,
	    new->len, &cursor, err) == -1)
		return -1;
	found = store_record_next(cursor, &old, err);
	was_live = found == 1 && !old.is_deleted;
	if (found == -1)
		rc = -1;
	else if (was_live && is_live)
		rc = compare_data(diff, &old, new, err);
	else if (was_live || is_live)
		rc = put_record(diff, found == 1 ? &old : NULL, new,
		    is_live ? DIFF_ADD : DIFF_DELETE, err);
	store_cursor_close(cursor);
	return rc;
}

static void
print_counts(const struct diff *diff)
{
	int64_t count = 0;
	int	i;

	for (i = 0; i < DIFF__MAX; i++)
		count += diff->counts[i];
	if (count == 0 || !is_table(diff))
		return;
	(void)printf("  %" PRId64 " added, %" PRId64 " changed, %" PRId64
	    " deleted\n", diff->counts[DIFF_ADD], diff->counts[DIFF_UPDATE],
	    diff->counts[DIFF_DELETE]);
}

static int
compare_collection(struct diff *diff, const char *name, struct error *err)
{
	struct store_cursor *cursor;
	struct store_record  record;
	int		     i, rc;

	diff->collection = name;
	for (i = 0; i < DIFF__MAX; i++)
		diff->counts[i] = 0;
	store_view(diff->store, diff->to);
	if (store_changes_open(diff->store, name, diff->from, true, &cursor,
	    err) == -1)
		return -1;
	while ((rc = store_changes_next(cursor, &record, err)) == 1) {
		rc = stop_check(STATUS_STORE, err);
		if (rc == 0)
			rc = compare_record(diff, &record, err);
		if (rc == -1)
			break;
	}
	store_cursor_close(cursor);
	if (rc == 0)
		print_counts(diff);
	return rc;
}

static int
fail_missing(const struct diff *diff, char *const *names, struct error *err)
{
	struct buf list = { 0 };
	int	   rc;

	for (; *names != NULL; names++)
		buf_print(&list, "%s%s", list.len > 0 ? ", " : "", *names);
	rc = error_set(err, STATUS_NOT_FOUND, "store %s has no collection %s;"
	    " it has %.*s", store_name(diff->store),
	    diff->opts->diff_collection, (int)list.len, (char *)list.data);
	buf_clear(&list);
	return rc;
}

/* Without a name what consumers get. */
static int
compare_all(struct diff *diff, char *const *names, struct error *err)
{
	const char *wanted = diff->opts->diff_collection;
	int	    rc = 0;

	if (wanted != NULL && !words_has(names, wanted))
		return fail_missing(diff, names, err);
	if (wanted != NULL)
		return compare_collection(diff, wanted, err);
	for (; rc == 0 && *names != NULL; names++) {
		if (collection_is_served(*names))
			rc = compare_collection(diff, *names, err);
	}
	return rc;
}

/* Both versions have to be finished, and what was there in both known. */
static int
check_versions(struct diff *diff, const struct store_versions *versions,
    struct error *err)
{
	static const char hint[] = "name that one or a later one, or restore a"
	    " backup beside this store";

	diff->from = diff->opts->from_version;
	diff->to = diff->opts->to_version > 0 ? diff->opts->to_version :
	    versions->finished;
	if (past_check_finished(diff->store, versions, diff->from, "--from",
	    err) == -1 || past_check_finished(diff->store, versions, diff->to,
	    "--to", err) == -1)
		return -1;
	if (past_check_complete(diff->store, versions, diff->from, "--from",
	    hint, err) == -1)
		return -1;
	return past_check_shown(diff->store, versions, diff->from, "--from",
	    err);
}

static int
compare(struct diff *diff, struct error *err)
{
	struct store_versions versions;
	char		    **names = NULL;
	int		      rc;

	if (store_begin(diff->store, err) == -1 ||
	    store_versions_get(diff->store, &versions, err) == -1 ||
	    check_versions(diff, &versions, err) == -1)
		return -1;
	rc = store_collections_get(diff->store, &names, err);
	if (rc == 0)
		rc = compare_all(diff, names, err);
	words_free(names);
	if (rc == 0 && diff->total == 0)
		log_info("store %s: nothing has changed from version %" PRId64
		    " to version %" PRId64 "%s%s", store_name(diff->store),
		    diff->from, diff->to, diff->opts->diff_collection != NULL ?
		    " in " : "", diff->opts->diff_collection != NULL ?
		    diff->opts->diff_collection : "");
	return rc;
}

int
command_diff(const struct options *opts, struct error *err)
{
	struct diff diff = { .opts = opts };
	int	    rc;

	if (store_open(&opts->store, STORE_READ, &diff.store, err) == -1)
		return -1;
	rc = compare(&diff, err);
	buf_clear(&diff.changes);
	buf_clear(&diff.out);
	store_close(diff.store);
	return rc == 0 ? command_flush(err) : -1;
}
