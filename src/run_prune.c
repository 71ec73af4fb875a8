/*
 * A run that takes away what is old.  It has no lists and no plan: what goes is
 * counted first, and what has gone is counted against that.
 *
 * The history goes last, when the run is published: until then it is the run's
 * own entry that is missing, and from then on that entry says what is gone, so
 * that at no moment it begins somewhere without a word.
 */
#include <bson/bson.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "balance.h"
#include "clock.h"
#include "history.h"
#include "history_prune.h"
#include "log.h"
#include "run_int.h"
#include "seal.h"
#include "stop.h"
#include "words.h"
#include "xalloc.h"

#define PRUNE_ADVICE \
	"; nothing was published: start it again and, when it comes again," \
	" report it with the log"

struct prune {
	struct run	    *run;
	struct prune_result *result;
	int64_t		     now_ms;
	char		   **names; /* of all collections */
	struct store_counts *before;
	struct store_prune   what;
	struct store_pruned  wanted; /* what goes, counted beforehand */
};

/* The newest version up to which all runs are that old; 0: none, and so it is
 * for an age below 0. */
static int
find_age(const struct prune *prune, int64_t age_ms, int64_t *version,
    struct error *err)
{
	struct store	*store = prune->run->store;
	int64_t		 at_ms = prune->now_ms - age_ms;
	struct store_run found = { 0 }, young;
	int		 rc;

	*version = 0;
	if (age_ms < 0)
		return 0;
	if (store_run_find(store, INT64_MAX, at_ms, &found, err) == -1)
		return -1;
	/* One from the past must not take those before it along, unless they
	 * are from the future, by a clock that was wrong, which says
	 * nothing. */
	rc = store_run_first(store, at_ms, prune->now_ms, &young, err);
	if (rc == -1)
		return -1;
	if (rc == 1 && young.version <= found.version &&
	    store_run_find(store, young.version - 1, INT64_MAX, &found,
	    err) == -1)
		return -1;
	*version = found.version;
	return 0;
}

/* What the ages of the options mean in versions; the last entry stays. */
static int
choose(struct prune *prune, const struct store_versions *versions,
    struct error *err)
{
	const struct options *opts = prune->run->opts;
	struct store_prune   *what = &prune->what;
	struct store_run      last;

	if (find_age(prune, opts->tombstones_age_ms, &what->tombstones_to,
	    err) == -1 ||
	    find_age(prune, opts->states_age_ms, &what->states_to, err) ==
	    -1 ||
	    find_age(prune, opts->history_age_ms, &what->history_to, err) ==
	    -1)
		return -1;
	if (what->history_to < versions->finished)
		return 0;
	if (store_run_find(prune->run->store, versions->finished - 1,
	    INT64_MAX, &last, err) == -1)
		return -1;
	what->history_to = last.version;
	return 0;
}

static bool
is_nothing(const struct store_pruned *pruned)
{
	return pruned->tombstones == 0 && pruned->states == 0 &&
	    pruned->entries == 0;
}

/* How much of it is there? */
static int
count(const struct prune *prune, struct store_pruned *out, struct error *err)
{
	struct store_prune what = prune->what;

	what.is_dry = true;
	return store_prune(prune->run->store, &what, out, err);
}

/* What goes; without the oldest entries the former states that only their
 * versions show are of no use, and go as well. */
static int
count_all(struct prune *prune, struct error *err)
{
	struct store_prune  *what = &prune->what;
	struct store_pruned *wanted = &prune->wanted;

	if (count(prune, wanted, err) == -1)
		return -1;
	if (wanted->entries == 0 || wanted->states_from <= what->states_to)
		return 0;
	what->states_to = wanted->states_from;
	return count(prune, wanted, err);
}

static int
count_records(struct prune *prune, struct error *err)
{
	struct store *store = prune->run->store;
	size_t	      i, n;

	if (store_collections_get(store, &prune->names, err) == -1)
		return -1;
	n = words_count(prune->names);
	prune->before = xcalloc(n, sizeof(*prune->before));
	for (i = 0; i < n; i++) {
		if (store_counts_get(store, prune->names[i],
		    &prune->before[i], err) == -1)
			return -1;
	}
	return 0;
}

static int
fail_count(const char *what, int64_t have, int64_t want, struct error *err)
{
	return error_set(err, STATUS_UNBALANCED, "%s: %" PRId64 " were to go,"
	    " and %" PRId64 " have gone" PRUNE_ADVICE, what, want, have);
}

/* Each collection has the live records it had, and all of them together lack as
 * many tombstones as have gone. */
static int
check_records(const struct prune *prune, struct error *err)
{
	const struct store_counts *before = prune->before;
	struct store_counts	   now;
	int64_t			   gone = 0;
	size_t			   i;

	for (i = 0; prune->names[i] != NULL; i++) {
		if (store_counts_get(prune->run->store, prune->names[i], &now,
		    err) == -1)
			return -1;
		if (now.live != before[i].live)
			return error_set(err, STATUS_UNBALANCED, "%s: %" PRId64
			    " records were live, and now %" PRId64 " are"
			    PRUNE_ADVICE, prune->names[i], before[i].live,
			    now.live);
		gone += before[i].deleted - now.deleted;
	}
	return gone == prune->wanted.tombstones ? 0 : fail_count("tombstones",
	    gone, prune->wanted.tombstones, err);
}

/* The end-of-run check: what the store says it did, and what it has now. */
static int
check(const struct prune *prune, const struct store_pruned *done,
    struct error *err)
{
	const struct store_pruned *wanted = &prune->wanted;
	struct balance		   balance = {
		.store = prune->run->store,
		.version = prune->run->result->version,
		.now_ms = prune->now_ms,
	};
	struct store_pruned	   left;

	run_stage(prune->run, JOB_STAGE_CHECKING);
	if (done->tombstones != wanted->tombstones)
		return fail_count("tombstones", done->tombstones,
		    wanted->tombstones, err);
	if (done->states != wanted->states)
		return fail_count("former states", done->states,
		    wanted->states, err);
	if (balance_records(&balance, err) == -1 ||
	    count(prune, &left, err) == -1)
		return -1;
	if (left.tombstones != 0 || left.states != 0)
		return error_set(err, STATUS_UNBALANCED, "%" PRId64
		    " tombstones and %" PRId64 " former states were to go and"
		    " are still there" PRUNE_ADVICE, left.tombstones,
		    left.states);
	return check_records(prune, err);
}

/* What the oldest entry that stays is chained to; empty: no entry goes. */
static int
find_anchor(const struct prune *prune, char text[HASH_TEXT_BYTES],
    struct error *err)
{
	struct store_cursor *cursor;
	struct store_history entry;
	int		     rc;

	text[0] = '\0';
	if (prune->what.history_to == 0)
		return 0;
	if (store_history_open(prune->run->store, INT64_MAX, &cursor, err) ==
	    -1)
		return -1;
	do {
		rc = store_history_next(cursor, &entry, err);
	} while (rc == 1 && entry.version > prune->what.history_to);
	if (rc == 1)
		seal_chain(&entry, text);
	store_cursor_close(cursor);
	return rc == -1 ? -1 : 0;
}

/* What the history says of it. */
static int
note_prune(const struct prune *prune, struct error *err)
{
	const struct store_prune  *what = &prune->what;
	const struct store_pruned *wanted = &prune->wanted;
	char			   anchor[HASH_TEXT_BYTES];
	bson_t			   note;
	bool			   is_built;

	if (find_anchor(prune, anchor, err) == -1)
		return -1;
	bson_init(&note);
	is_built = BSON_APPEND_INT64(&note, "TombstonesTo",
	    what->tombstones_to) &&
	    BSON_APPEND_INT64(&note, "StatesTo", what->states_to) &&
	    BSON_APPEND_INT64(&note, "HistoryTo", what->history_to) &&
	    BSON_APPEND_INT64(&note, "Tombstones", wanted->tombstones) &&
	    BSON_APPEND_INT64(&note, "States", wanted->states) &&
	    BSON_APPEND_INT64(&note, "Entries", wanted->entries) &&
	    BSON_APPEND_INT64(&note, "Horizon", wanted->horizon) &&
	    BSON_APPEND_INT64(&note, "StatesFrom", wanted->states_from) &&
	    (anchor[0] == '\0' || BSON_APPEND_UTF8(&note, "Anchor", anchor));
	if (!is_built)
		xalloc_end();
	run_add_member(prune->run, HISTORY_PRUNE, &note);
	bson_destroy(&note);
	return 0;
}

/* Tombstones and states, up to the publication. */
static int
apply(struct prune *prune, struct error *err)
{
	struct run	   *run = prune->run;
	struct store_prune  what = prune->what;
	struct store_pruned done;

	what.history_to = 0;
	if (count_records(prune, err) == -1 || note_prune(prune, err) == -1 ||
	    run_take_version(run, prune->now_ms, err) == -1)
		return -1;
	run_stage(run, JOB_STAGE_WRITING);
	if (store_prune(run->store, &what, &done, err) == -1 ||
	    stop_check(STATUS_STORE, err) == -1)
		return -1;
	if (check(prune, &done, err) == -1)
		return run_fail_unbalanced(run, err);
	return run_publish(run, err);
}

/* The run is published and stays so; what cannot be done now the next prune
 * does. */
static void
prune_history(struct prune *prune)
{
	struct store_prune  what = { .history_to = prune->what.history_to };
	struct store_pruned done = { 0 };
	struct error	    err;

	if (what.history_to == 0)
		return;
	if (store_prune(prune->run->store, &what, &done, &err) == -1)
		log_error("%s; version %" PRId64 " is published all the same,"
		    " and old history entries are still there: the next prune"
		    " removes them", err.text, prune->run->result->version);
	prune->result->entries = done.entries;
}

static void
fill_result(struct prune *prune)
{
	struct prune_result *result = prune->result;

	result->tombstones = prune->wanted.tombstones;
	result->states = prune->wanted.states;
	result->entries = prune->wanted.entries;
	result->horizon = prune->wanted.horizon;
	result->states_from = prune->wanted.states_from;
}

/* One that died has left a horizon that no entry tells of, and seals with
 * tombstones that are gone: the next entry ends that, whatever it takes. */
static int
has_died(const struct prune *prune, const struct store_versions *versions,
    bool *out, struct error *err)
{
	struct history_full full;

	if (history_full_read(prune->run->store, &full, err) == -1)
		return -1;
	*out = full.from > versions->finished;
	return 0;
}

static int
do_prune(struct prune *prune, struct error *err)
{
	struct run	     *run = prune->run;
	struct store_versions versions;
	bool		      is_next;

	if (run_open_update(run, err) == -1 ||
	    run_begin(run, err) == -1 ||
	    store_versions_get(run->store, &versions, err) == -1)
		return -1;
	prune->now_ms = clock_now_ms();
	if (choose(prune, &versions, err) == -1 ||
	    count_all(prune, err) == -1 ||
	    has_died(prune, &versions, &is_next, err) == -1)
		return -1;
	fill_result(prune);
	if (is_nothing(&prune->wanted) && !is_next) {
		log_info("nothing is old enough; the store stays as it is");
		run->result->version = versions.finished;
		prune->result->horizon = versions.horizon;
		prune->result->states_from = versions.states_from;
		return 0;
	}
	if (run->opts->dry_run)
		return run_take_version(run, prune->now_ms, err);
	if (apply(prune, err) == -1)
		return -1;
	prune_history(prune);
	return 0;
}

int
run_prune(const struct options *opts, struct prune_result *result,
    struct error *err)
{
	struct prune prune = { .result = result };
	int	     rc;

	prune.run = run_new(opts, "prune", &result->run);
	rc = do_prune(&prune, err);
	/* Of the history of a run that is published; of others it is told
	 * here. */
	if (rc == 0 && result->run.duration_ms == 0)
		result->run.duration_ms = clock_monotonic_ms() -
		    prune.run->started_ms;
	rc = run_end(prune.run, rc, err);
	free(prune.before);
	words_free(prune.names);
	return rc;
}
