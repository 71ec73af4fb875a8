#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "command.h"
#include "past.h"
#include "record_json.h"
#include "store.h"

/* Bytes of " as of version N". */
#define MAX_WHEN_TEXT 64

static int
fail_none(const struct options *opts, const struct store *store,
    const char *when, struct error *err)
{
	return error_set(err, STATUS_NOT_FOUND, "store %s: %s has no record"
	    " \"%s\"%s", store_name(store), opts->show_collection,
	    opts->show_key, when);
}

static int
print_line(const struct options *opts, const struct store *store,
    const struct store_record *record, struct error *err)
{
	struct buf text = { 0 };
	int	   rc;

	rc = opts->with_history ? record_json_append_state(&text,
	    opts->show_collection, record, err) : record_json_append(&text,
	    opts->show_collection, record, err);
	if (rc == 0) {
		buf_append_byte(&text, '\n');
		(void)fwrite(text.data, 1, text.len, stdout);
		rc = command_flush(err);
	} else
		(void)error_prefix(err, "store %s", store_name(store));
	buf_clear(&text);
	return rc;
}

/* The record as it is or, in a view, was: 1 = printed, 0 = there is none. */
static int
print_record(const struct options *opts, struct store *store,
    struct error *err)
{
	struct store_record  record;
	struct store_cursor *cursor;
	int		     rc;

	if (store_record_open(store, opts->show_collection, opts->show_key,
	    strlen(opts->show_key), &cursor, err) == -1)
		return -1;
	rc = store_record_next(cursor, &record, err);
	if (rc == 1) {
		record.replaced_in = 0;
		rc = print_line(opts, store, &record, err) == 0 ? 1 : -1;
	}
	store_cursor_close(cursor);
	return rc;
}

/* The former states; how many. */
static int
print_states(const struct options *opts, struct store *store,
    int64_t finished, int64_t *count, struct error *err)
{
	struct store_record  state;
	struct store_cursor *cursor;
	int		     rc;

	*count = 0;
	if (store_states_open(store, opts->show_collection, opts->show_key,
	    strlen(opts->show_key), &cursor, err) == -1)
		return -1;
	while ((rc = store_states_next(cursor, &state, err)) == 1) {
		/* One that a run is replacing is still the record. */
		if (state.replaced_in > finished)
			continue;
		rc = print_line(opts, store, &state, err);
		if (rc == -1)
			break;
		(*count)++;
	}
	store_cursor_close(cursor);
	return rc;
}

static int
show_history(const struct options *opts, struct store *store,
    const struct store_versions *versions, struct error *err)
{
	int64_t count;
	int	rc;

	if (print_states(opts, store, versions->finished, &count, err) == -1)
		return -1;
	rc = print_record(opts, store, err);
	if (rc == 0 && count == 0)
		return fail_none(opts, store, "", err);
	return rc == -1 ? -1 : 0;
}

static int
show_as_of(const struct options *opts, struct store *store,
    const struct store_versions *versions, struct error *err)
{
	struct store_run run;
	char		 when[MAX_WHEN_TEXT];
	int		 rc;

	if (past_find(store, versions, opts->as_of_version, opts->as_of_ms,
	    "--as-of", &run, err) == -1 || past_check_shown(store, versions,
	    run.version, "--as-of", err) == -1)
		return -1;
	store_view(store, run.version);
	rc = print_record(opts, store, err);
	if (rc != 0)
		return rc == -1 ? -1 : 0;
	(void)snprintf(when, sizeof(when), " as of version %" PRId64,
	    run.version);
	return fail_none(opts, store, when, err);
}

static int
show(const struct options *opts, struct store *store, struct error *err)
{
	struct store_versions versions;
	int		      rc;

	if (store_begin(store, err) == -1 ||
	    store_versions_get(store, &versions, err) == -1)
		return -1;
	if (opts->with_history)
		return show_history(opts, store, &versions, err);
	if (opts->as_of_version != INT64_MAX || opts->as_of_ms != INT64_MAX)
		return show_as_of(opts, store, &versions, err);
	rc = print_record(opts, store, err);
	return rc == 0 ? fail_none(opts, store, "", err) : rc == -1 ? -1 : 0;
}

int
command_show(const struct options *opts, struct error *err)
{
	struct store *store;
	int	      rc;

	if (store_open(&opts->store, STORE_READ, &store, err) == -1)
		return -1;
	rc = show(opts, store, err);
	store_close(store);
	return rc;
}
