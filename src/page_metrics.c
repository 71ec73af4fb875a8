/* What monitoring wants to know, as OpenMetrics text (OpenMetrics 1.0). */
#include <bson/bson.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "metrics.h"
#include "seal.h"
#include "service.h"
#include "words.h"
#include "xalloc.h"

#define TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* The counts of a run's history (nompd-store(7)) and their label. */
static const struct {
	const char *name;
	const char *label;
} acts[] = {
	{ "Added", "added" },
	{ "Updated", "updated" },
	{ "Unchanged", "unchanged" },
	{ "Deleted", "deleted" },
	{ "Skipped", "skipped" },
	{ "Duplicates", "duplicates" },
	{ "Unresolved", "unresolved" },
};

/* One line a collection: of counts[i] the member live, or deleted. */
static void
append_gauges(struct buf *out, const char *gauge, char *const *names,
    const struct store_counts *counts, bool is_live)
{
	size_t i;

	for (i = 0; names[i] != NULL; i++)
		buf_print(out, "%s{collection=\"%s\"} %" PRId64 "\n", gauge,
		    names[i], is_live ? counts[i].live : counts[i].deleted);
}

static int
read_counts(struct store *store, char *const *names,
    struct store_counts *counts, struct error *err)
{
	size_t i;

	for (i = 0; names[i] != NULL; i++) {
		if (store_counts_get(store, names[i], &counts[i], err) == -1)
			return -1;
	}
	return 0;
}

static int
append_counts(struct buf *out, struct store *store, struct error *err)
{
	struct store_counts *counts;
	char		   **names;
	int		     rc;

	if (store_collections_get(store, &names, err) == -1)
		return -1;
	counts = xcalloc(words_count(names), sizeof(*counts));
	rc = read_counts(store, names, counts, err);
	if (rc == 0) {
		metrics_head(out, "nompd_records", NULL, "Live records.");
		append_gauges(out, "nompd_records", names, counts, true);
		metrics_head(out, "nompd_tombstones", NULL,
		    "Deleted records.");
		append_gauges(out, "nompd_tombstones", names, counts, false);
	}
	free(counts);
	words_free(names);
	return rc;
}

/* The counts of one collection in the last run. */
static void
append_tally(struct buf *out, const bson_iter_t *collection)
{
	bson_iter_t tally, found;
	size_t	    i;

	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (!bson_iter_recurse(collection, &tally) ||
		    !bson_iter_find_descendant(&tally, acts[i].name, &found) ||
		    !BSON_ITER_HOLDS_INT(&found))
			continue;
		buf_print(out, "nompd_last_run_records{collection=\"%s\","
		    "act=\"%s\"} %" PRId64 "\n", bson_iter_key(collection),
		    acts[i].label, bson_iter_as_int64(&found));
	}
}

static void
append_run(struct buf *out, const struct store_history *entry)
{
	bson_iter_t collection;
	bson_t	    tallies;
	int64_t	    age_ms;

	age_ms = clock_now_ms() - seal_fetched_at(entry);
	metrics_head(out, "nompd_last_success_age_seconds", "seconds",
	    "How long ago that was.");
	metrics_number(out, "nompd_last_success_age_seconds", NULL,
	    age_ms > 0 ? age_ms / 1000 : 0);
	metrics_head(out, "nompd_last_run_duration_seconds", "seconds",
	    "How long the last finished run took.");
	metrics_seconds(out, "nompd_last_run_duration_seconds", NULL,
	    entry->duration_ms);
	metrics_head(out, "nompd_last_run_records", NULL,
	    "What the last finished run did to records.");
	if (entry->tallies == NULL || !bson_init_static(&tallies,
	    entry->tallies, entry->tallies_len) ||
	    !bson_iter_init(&collection, &tallies))
		return;
	while (bson_iter_next(&collection))
		append_tally(out, &collection);
}

static int
append_last(struct buf *out, struct store *store, struct error *err)
{
	struct store_cursor *cursor;
	struct store_history entry;
	struct metrics_last  last = { 0, 0 };
	int		     rc;

	if (store_history_open(store, 1, &cursor, err) == -1)
		return -1;
	rc = store_history_next(cursor, &entry, err);
	if (rc == 1)
		last = (struct metrics_last){ entry.version,
			seal_fetched_at(&entry) };
	if (rc != -1)
		metrics_last_put(out, NULL, &last);
	if (rc == 1)
		append_run(out, &entry);
	store_cursor_close(cursor);
	return rc == -1 ? -1 : 0;
}

/* From when on the store can tell how it was, and what has changed since. */
static int
append_reach(struct buf *out, struct store *store, struct error *err)
{
	struct store_versions versions;

	if (store_versions_get(store, &versions, err) == -1)
		return -1;
	if (versions.finished == 0)
		return 0;
	metrics_head(out, "nompd_horizon_version", NULL,
	    "Changes are complete since this version, or a later one.");
	metrics_number(out, "nompd_horizon_version", NULL, versions.horizon);
	if (versions.states_from > versions.finished)
		return 0;
	metrics_head(out, "nompd_states_from_version", NULL,
	    "The oldest version that can be shown.");
	metrics_number(out, "nompd_states_from_version", NULL,
	    versions.states_from);
	return 0;
}

int
page_metrics(struct exchange *exchange, struct error *err)
{
	struct response *response = &exchange->response;
	struct store	*store;
	struct buf	 text = { 0 };
	int		 rc;

	if (service_begin(exchange->service, &store, err) == -1)
		return -1;
	rc = append_last(&text, store, err);
	if (rc == 0)
		rc = append_reach(&text, store, err);
	if (rc == 0)
		rc = append_counts(&text, store, err);
	service_end(exchange->service, rc == -1);
	if (rc == 0) {
		metrics_end(&text);
		response_start(response, 200, TYPE, "no-store");
		response_body(response);
		(void)response_write(response, text.data, text.len);
	}
	buf_clear(&text);
	return rc;
}
