/*
 * A repair: a run that makes again what can be derived from Data, the raw
 * records and the tables, and that fetches nothing.
 */
#include <inttypes.h>
#include <string.h>

#include "balance.h"
#include "clock.h"
#include "collection.h"
#include "guard.h"
#include "hash.h"
#include "history.h"
#include "history_prune.h"
#include "json_canonical.h"
#include "log.h"
#include "repair_int.h"
#include "stop.h"
#include "store_int.h"
#include "upsert.h"
#include "words.h"
#include "xalloc.h"

struct repair {
	struct run		   *run;
	const struct verify_counts *found;
	struct run_repaired	   *repaired;
	struct hasher		   *hasher;
	struct json_canonical	   *canonical;
};

/* finding_fn: an index that was made again. */
static int
note_index(void *ctx, const struct finding *finding, struct error *err)
{
	struct repair *repair = ctx;

	(void)err;
	log_info("%s: it is made again", finding->what);
	repair->repaired->indexes++;
	return 0;
}

static int
mend_indexes(struct repair *repair, struct error *err)
{
	if (repair->found->findings[FINDING_INDEX] == 0)
		return 0;
	return store_check(repair->run->store, true, note_index, repair, err);
}

/* Data that has no hash stays as it is; nobody can tell what it was. */
static int
mend_record(struct repair *repair, struct store_writer *writer,
    const char *collection, const struct store_record *record,
    struct error *err)
{
	struct error ignored;
	uint8_t	     hash[HASH_BYTES];
	char	     text[HASH_TEXT_BYTES], json[HASH_TEXT_BYTES];

	if (record->data == NULL || hash_document(repair->hasher,
	    record->data, record->data_len, hash, &ignored) == -1)
		return 0;
	hash_format(hash, text);
	store_json_hash(collection_is_served(collection) ?
	    repair->canonical : NULL, record->data, record->data_len, json);
	if (strcmp(text, record->hash) == 0 &&
	    strcmp(json, record->json_hash) == 0)
		return 0;
	repair->repaired->hashes++;
	return store_writer_hashes(writer, record->key, record->len, hash,
	    json, err);
}

static int
mend_records(struct repair *repair, struct store_writer *writer,
    const char *collection, struct store_cursor *cursor, struct error *err)
{
	struct store_record record;
	int		    rc;

	while ((rc = store_record_next(cursor, &record, err)) == 1) {
		if (stop_check(STATUS_STORE, err) == -1 || mend_record(repair,
		    writer, collection, &record, err) == -1)
			return -1;
	}
	return rc;
}

static int
mend_collection(struct repair *repair, const char *collection,
    struct error *err)
{
	struct store	    *store = repair->run->store;
	struct store_cursor *cursor;
	struct store_writer *writer;
	int		     rc;

	if (store_records_open(store, collection, true, &cursor, err) == -1)
		return -1;
	rc = store_writer_open(store, collection, 0, 0, &writer, err);
	if (rc == 0) {
		rc = mend_records(repair, writer, collection, cursor, err);
		if (rc == 0)
			rc = store_writer_close(writer, err);
		else
			store_writer_abort(writer);
	}
	store_cursor_close(cursor);
	return rc;
}

/* The hashes of all records. */
static int
mend_hashes(struct repair *repair, struct error *err)
{
	char **names, **name;
	int    rc = 0;

	if (repair->found->findings[FINDING_HASH] == 0)
		return 0;
	if (store_collections_get(repair->run->store, &names, err) == -1)
		return -1;
	for (name = names; rc == 0 && *name != NULL; name++)
		rc = mend_collection(repair, *name, err);
	words_free(names);
	return rc;
}

/*
 * What is to be done to the outputs, as reconvert finds it out; by now all
 * hashes are true.  The guard judges them, for there is no other list that it
 * could look at.
 */
static int
plan_outputs(struct repair *repair, struct balance *balance,
    struct error *err)
{
	struct run   *run = repair->run;
	struct tally *tally;
	size_t	      i;
	int	      rc;

	run_add(run, TREATMENT_GROUPS);
	run_add(run, REIMBURSEMENT_GROUPS);
	balance->count = run->count;
	rc = run_restage(run, err);
	if (rc != -1)
		rc = run_convert(run, rc == 0, err);
	if (rc == -1 || run_plan(run, 0, err) == -1 ||
	    balance_plan(balance, err) == -1)
		return -1;
	for (i = 0; i < run->count; i++) {
		tally = &run->tallies[i];
		tally->is_remade = true;
		if (tally->list == TREATMENT_GROUPS)
			tally->unresolved = run->unresolved;
	}
	return guard_check(run->tallies, run->count, run->opts->max_delete,
	    err);
}

static int
restore_outputs(struct repair *repair, struct error *err)
{
	size_t i;

	for (i = 0; i < repair->run->count; i++) {
		if (repair_restore(repair->run, &repair->run->tallies[i],
		    err) == -1)
			return -1;
	}
	return 0;
}

static int
write_outputs(struct repair *repair, const struct balance *balance,
    struct error *err)
{
	struct run   *run = repair->run;
	struct tally *tally;
	size_t	      i;

	for (i = 0; i < run->count; i++) {
		tally = &run->tallies[i];
		if (upsert_collection(run->stage, run->store, tally,
		    run->result->version, balance->now_ms, err) == -1)
			return -1;
		repair->repaired->outputs += (int64_t)(tally->added +
		    tally->updated + tally->deleted);
	}
	run_stage(run, JOB_STAGE_CHECKING);
	return balance_records(balance, err) == -1 ?
	    run_fail_unbalanced(run, err) : 0;
}

static void
add_member(struct repair *repair)
{
	bson_t member;

	bson_init(&member);
	if (!BSON_APPEND_INT64(&member, "Hashes", repair->repaired->hashes) ||
	    !BSON_APPEND_INT64(&member, "Outputs",
	    repair->repaired->outputs) ||
	    !BSON_APPEND_INT64(&member, "Indexes", repair->repaired->indexes))
		xalloc_end();
	run_add_member(repair->run, HISTORY_REPAIR, &member);
	bson_destroy(&member);
}

static int
mend(struct repair *repair, struct error *err)
{
	struct run    *run = repair->run;
	int64_t	       now_ms = clock_now_ms();
	struct balance balance = {
		.stage = run->stage,
		.store = run->store,
		.tallies = run->tallies,
		.now_ms = now_ms,
	};

	/* Data is as it is, whatever its hashes; of a repair that ends here
	 * they stay, or are as before. */
	if (mend_indexes(repair, err) == -1 || mend_hashes(repair, err) == -1 ||
	    repair_prove(run->store, repair->found,
	    &repair->repaired->is_proven, err) == -1)
		return -1;
	if (repair->repaired->is_proven &&
	    repair->found->findings[FINDING_OUTPUT] > 0 &&
	    (plan_outputs(repair, &balance, err) == -1 ||
	    restore_outputs(repair, err) == -1))
		return -1;
	run_stage(run, JOB_STAGE_WRITING);
	if (run_take_version(run, now_ms, err) == -1)
		return -1;
	balance.version = run->result->version;
	if (run->count > 0 && write_outputs(repair, &balance, err) == -1)
		return -1;
	add_member(repair);
	return run_publish(run, err);
}

/* Of what a prune that died has taken no seal tells yet: what raw records were
 * is not to be proven, though they may be as they were. */
static int
check_prunes(struct store *store, struct error *err)
{
	struct store_versions versions;
	struct history_full   full;

	if (store_versions_get(store, &versions, err) == -1 ||
	    history_full_read(store, &full, err) == -1)
		return -1;
	if (full.from <= versions.finished)
		return 0;
	return error_set(err, STATUS_STORE, "store %s: a prune has died after"
	    " version %" PRId64 ", and no seal tells yet what it has taken;"
	    " nothing is repaired: `nompd-sync prune` with the same ages, or"
	    " any other run, has to come first", store_name(store),
	    versions.finished);
}

int
run_repair(const struct options *opts, const struct verify_counts *found,
    struct run_repaired *repaired, struct error *err)
{
	struct run_result result = { 0 };
	struct run	 *run = run_new(opts, "verify", &result);
	struct repair	  repair = {
		    .run = run,
		    .found = found,
		    .repaired = repaired,
	};
	int rc;

	*repaired = (struct run_repaired){ 0 };
	repair.hasher = hasher_new();
	repair.canonical = json_canonical_new();
	rc = run_open_update(run, err);
	if (rc == 0)
		rc = run_begin(run, err);
	if (rc == 0)
		rc = check_prunes(run->store, err);
	if (rc == 0)
		rc = mend(&repair, err);
	rc = run_end(run, rc, err);
	repaired->version = result.version;
	json_canonical_free(repair.canonical);
	hasher_free(repair.hasher);
	return rc;
}
