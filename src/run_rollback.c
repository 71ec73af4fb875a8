/*
 * A run that goes back: what an earlier version had is staged as if it came
 * from an upstream, and then compared and written as in any other run.
 */
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "hash.h"
#include "history.h"
#include "log.h"
#include "past.h"
#include "rollback_seal.h"
#include "run_int.h"
#include "stop.h"
#include "words.h"
#include "xalloc.h"

/* What of a collection goes into its list. */
struct restore {
	struct run	 *run;
	struct tally	 *tally;
	struct hasher	 *hasher;
	struct seal_scan *scan;
};

/* Is it a finished version whose records can be told? */
static int
check_target(struct run *run, struct error *err)
{
	struct store_versions versions;
	struct store_run      found;
	int64_t		      to = run->opts->to_version;
	char		      time[CLOCK_TEXT_BYTES];

	if (store_versions_get(run->store, &versions, err) == -1 ||
	    past_check_shown(run->store, &versions, to, "--to", err) == -1 ||
	    past_check_finished(run->store, &versions, to, "--to", err) ==
	    -1 || store_run_find(run->store, to, INT64_MAX, &found, err) ==
	    -1)
		return -1;
	clock_format(found.synced_at_ms, time);
	log_info("going back to version %" PRId64 " of %s: %s", to, time,
	    run->opts->reason);
	return 0;
}

static int
fail_damaged(const struct restore *restore, const struct store_record *record,
    const char *what, struct error *err)
{
	return error_set(err, STATUS_STORE, "store %s: the record \"%s\" of %s"
	    " as of version %" PRId64 " is damaged: %s; `nompd-sync verify`"
	    " tells more, another --to may do", store_name(restore->run->store),
	    record->key, restore->tally->name, restore->run->opts->to_version,
	    what);
}

/*
 * The hash of what is to be written once more, which must be the one it was
 * given at first: what is damaged is not made a version again.  A record that
 * is still there is the same as itself, whatever it is.
 */
static int
hash_record(const struct restore *restore, const struct store_record *record,
    uint8_t hash[HASH_BYTES], struct error *err)
{
	struct error why;
	uint8_t	     stored[HASH_BYTES];
	int	     rc;

	rc = hash_parse(record->hash, strlen(record->hash), stored);
	if (rc == 0 && record->replaced_in == 0) {
		memcpy(hash, stored, HASH_BYTES);
		return 0;
	}
	if (record->data == NULL || hash_document(restore->hasher,
	    record->data, record->data_len, hash, &why) == -1)
		return fail_damaged(restore, record, "its Data is not BSON",
		    err);
	if (rc == 0 && memcmp(hash, stored, HASH_BYTES) != 0)
		return fail_damaged(restore, record, "its Data has another"
		    " ContentHash", err);
	return 0;
}

static int
restore_one(const struct restore *restore, const struct store_record *record,
    struct error *err)
{
	uint8_t		 hash[HASH_BYTES];
	struct stage_doc doc = {
		.kind = STAGED_PUT,
		.key = record->key,
		.len = record->len,
		.data = record->data,
		.data_len = record->data_len,
		.hash = hash,
	};

	restore->tally->came++;
	if (hash_record(restore, record, hash, err) == -1)
		return -1;
	return stage_add(restore->run->stage, restore->tally->list, &doc, err);
}

/* Tombstones are a part of the seal, and of nothing else. */
static int
restore_all(const struct restore *restore, struct store_cursor *cursor,
    struct error *err)
{
	struct store_record record;
	int		    rc;

	while ((rc = store_record_next(cursor, &record, err)) == 1) {
		if (stop_check(STATUS_STORE, err) == -1)
			return -1;
		seal_scan_add_record(restore->scan, &record);
		if (!record.is_deleted &&
		    restore_one(restore, &record, err) == -1)
			return -1;
	}
	return rc == -1 ? -1 : stage_finish(restore->run->stage,
	    restore->tally->list, err);
}

/* Stages the records of a collection that were live then. */
static int
restore_collection(struct run *run, struct tally *tally,
    const struct rollback_seal *seal, struct error *err)
{
	struct restore	     restore = { .run = run, .tally = tally };
	struct seal_numbers  numbers;
	struct store_cursor *cursor;
	int		     rc;

	log_progress("reading: %s of version %" PRId64, tally->name,
	    run->opts->to_version);
	store_view(run->store, run->opts->to_version);
	rc = store_records_open(run->store, tally->name, true, &cursor, err);
	store_view(run->store, 0);
	if (rc == -1)
		return -1;
	restore.hasher = hasher_new();
	restore.scan = seal_scan_new(tally->name);
	rc = restore_all(&restore, cursor, err);
	seal_scan_end(restore.scan, &numbers);
	hasher_free(restore.hasher);
	store_cursor_close(cursor);
	return rc == -1 ? -1 : rollback_seal_check(seal, tally->name,
	    &numbers, err);
}

/* The next tally is that of the collection; NULL: there is no list for it. */
static struct tally *
add_tally(struct run *run, const char *name, struct error *err)
{
	struct tally *tally = &run->tallies[run->count];
	int	      list = (int)collection_find(name);

	if (list == COLLECTION__MAX)
		list = stage_add_list(run->stage, err);
	if (list == -1)
		return NULL;
	*tally = (struct tally){
		.name = name,
		.list = list,
		.is_restored = true,
	};
	run->count++;
	return tally;
}

/* All collections; but what was put aside is no version of anything. */
static int
restore_names(struct run *run, char *const *names,
    const struct rollback_seal *seal, struct error *err)
{
	struct tally *tally;
	size_t	      i;

	for (i = 0; names[i] != NULL; i++) {
		if (strcmp(names[i], COLLECTION_QUARANTINE) == 0)
			continue;
		tally = add_tally(run, names[i], err);
		if (tally == NULL ||
		    restore_collection(run, tally, seal, err) == -1)
			return -1;
	}
	return 0;
}

static int
restore_store(struct run *run, char *const *names, struct error *err)
{
	struct rollback_seal *seal;
	int		      rc;

	run_stage(run, JOB_STAGE_COMPARING);
	rc = rollback_seal_read(run->store, run->opts->to_version, &seal, err);
	if (rc == 0)
		rc = restore_names(run, names, seal, err);
	rollback_seal_free(seal);
	return rc;
}

static void
note_rollback(struct run *run)
{
	bson_t note = BSON_INITIALIZER;

	if (!BSON_APPEND_INT64(&note, ROLLBACK_TO, run->opts->to_version) ||
	    !BSON_APPEND_UTF8(&note, "Reason", run->opts->reason))
		xalloc_end();
	run_add_member(run, HISTORY_ROLLBACK, &note);
	bson_destroy(&note);
}

/* names is the caller's to free, after the run. */
static int
go_back(struct run *run, char ***names, struct error *err)
{
	/* Nothing of one that is not there can be told. */
	if (run_open_update(run, err) == -1 ||
	    run_begin(run, err) == -1 ||
	    check_target(run, err) == -1 ||
	    store_collections_get(run->store, names, err) == -1 ||
	    restore_store(run, *names, err) == -1 ||
	    run_plan(run, 0, err) == -1)
		return -1;
	note_rollback(run);
	return run_apply(run, err);
}

int
run_rollback(const struct options *opts, struct run_result *result,
    struct error *err)
{
	struct run *run = run_new(opts, "rollback", result);
	char	  **names = NULL;
	int	    rc;

	rc = go_back(run, &names, err);
	rc = run_end(run, rc, err);
	words_free(names);
	return rc;
}
