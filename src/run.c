#include <inttypes.h>

#include "balance.h"
#include "clock.h"
#include "collection.h"
#include "guard.h"
#include "history.h"
#include "job_keeper.h"
#include "log.h"
#include "plan.h"
#include "plan_print.h"
#include "report.h"
#include "run_int.h"
#include "seal.h"
#include "secret.h"
#include "source.h"
#include "stop.h"
#include "upsert.h"
#include "upstream.h"
#include "xalloc.h"

/* A dry run takes no lease: it may run beside a run. */
static int
open_store(struct run *run, struct error *err)
{
	if (store_open(&run->opts->store, run->mode, &run->store, err) == -1)
		return -1;
	return run->opts->dry_run ? 0 : run_job_begin(run, err);
}

/* A dry run makes no history. */
static int
read_seal_key(struct run *run, struct error *err)
{
	if (run->opts->seal_key_file == NULL || run->opts->dry_run)
		return 0;
	return seal_key_read(run->opts->seal_key_file, &run->seal_key, err);
}

int
run_open(struct run *run, struct error *err)
{
	if (run->opts->plan && plan_print_check(run->opts->plan_file, err) ==
	    -1)
		return -1;
	if (read_seal_key(run, err) == -1)
		return -1;
	/* The store first: a run that may not run fetches nothing. */
	if (open_store(run, err) == -1 ||
	    stage_open(&run->stage, err) == -1)
		return -1;
	run->output = output_new(run->stage, &run->unresolved);
	return 0;
}

int
run_open_update(struct run *run, struct error *err)
{
	run->mode = run->opts->dry_run ? STORE_PEEK : STORE_UPDATE;
	return run_open(run, err);
}

int
run_begin(struct run *run, struct error *err)
{
	return store_begin(run->store, err) == -1 ? -1 :
	    store_undo(run->store, err);
}

void
run_add(struct run *run, enum collection collection)
{
	struct tally *tally = &run->tallies[run->count++];

	tally->name = collection_name(collection);
	tally->list = (int)collection;
	tally->is_output = collection >= COLLECTION_RAW_MAX;
}

void
run_add_member(struct run *run, const char *name, const bson_t *member)
{
	if (run->members == NULL)
		run->members = bson_new();
	if (!BSON_APPEND_DOCUMENT(run->members, name, member))
		xalloc_end();
}

/* All lists into the stage, the authorizations converted on their way. */
static int
fetch(struct run *run, struct error *err)
{
	const struct options *opts = run->opts;
	struct http_config    config = {
		.retried = &run->job.retries,
		.key_header = opts->upstream_key_header,
		.ca_file = opts->ca_file,
		.retries = opts->retries,
		.timeout_ms = opts->timeout_ms,
	};
	int i;

	run_stage(run, JOB_STAGE_FETCHING);
	if (opts->upstream_key != NULL)
		config.key = secret_text(opts->upstream_key);
	if (upstream_fetch(opts->upstream, &config, run->stage, run->output,
	    run->tallies, &run->job, err) == -1)
		return -1;
	for (i = 0; i < COLLECTION_RAW_MAX; i++) {
		if (stage_finish(run->stage, i, err) == -1)
			return -1;
	}
	return 0;
}

/* Converts all that source gives, and frees it. */
static int
convert_all(struct run *run, enum collection output, struct source *source,
    struct error *err)
{
	int rc;

	run_stage(run, JOB_STAGE_CONVERTING);
	log_progress("converting: %s", collection_name(output));
	rc = output_all(run->output, output, source, err);
	source_close(source);
	return rc == -1 ? -1 : stage_finish(run->stage, output, err);
}

static int
convert_from(struct run *run, enum collection raw, enum collection output,
    bool from_store, struct error *err)
{
	struct source *source;
	int	       rc;

	rc = from_store ? source_from_store(run->store, raw, &source, err) :
	    source_from_stage(run->stage, raw, &source, err);
	return rc == -1 ? -1 : convert_all(run, output, source, err);
}

int
run_convert(struct run *run, bool from_store, struct error *err)
{
	if (convert_from(run, PLAN_DEFINITIONS, TREATMENT_GROUPS, from_store,
	    err) == -1)
		return -1;
	return convert_from(run, REGULATED_AUTHORIZATIONS,
	    REIMBURSEMENT_GROUPS, from_store, err);
}

int
run_plan(struct run *run, size_t first, struct error *err)
{
	size_t i;

	run_stage(run, JOB_STAGE_COMPARING);
	for (i = first; i < run->count; i++) {
		if (plan_collection(run->stage, run->store, &run->tallies[i],
		    err) == -1)
			return -1;
		if (run->tallies[i].stale > 0)
			log_info("%s: %" PRIu64 " skipped: older, or with fewer"
			    " elements, than what the store has",
			    run->tallies[i].name, run->tallies[i].stale);
	}
	return 0;
}

int
run_take_version(struct run *run, int64_t now_ms, struct error *err)
{
	struct store_versions versions;

	if (!run->opts->dry_run)
		return store_version_raise(run->store, now_ms,
		    &run->result->version, err);
	if (store_versions_get(run->store, &versions, err) == -1)
		return -1;
	run->result->version = versions.raised + 1;
	return 0;
}

static int
write_one(struct run *run, struct tally *tally, int64_t now_ms,
    struct error *err)
{
	if (tally->list >= COLLECTION__MAX &&
	    store_collection_make(run->store, tally->name, err) == -1)
		return -1;
	if (upsert_collection(run->stage, run->store, tally,
	    run->result->version, now_ms, err) == -1)
		return -1;
	log_info("%s: %" PRIu64 " added, %" PRIu64 " updated, %" PRIu64
	    " unchanged, %" PRIu64 " deleted", tally->name, tally->added,
	    tally->updated, tally->unchanged, tally->deleted);
	return 0;
}

static int
write_all(struct run *run, int64_t now_ms, struct error *err)
{
	size_t i;

	run_stage(run, JOB_STAGE_WRITING);
	for (i = 0; i < run->count; i++) {
		if (write_one(run, &run->tallies[i], now_ms, err) == -1)
			return -1;
	}
	return 0;
}

/* The run's side of the end-of-run check. */
static struct balance
balance_of(const struct run *run, int64_t now_ms)
{
	return (struct balance){
		.stage = run->stage,
		.store = run->store,
		.tallies = run->tallies,
		.count = run->count,
		.version = run->result->version,
		.now_ms = now_ms,
	};
}

/* The entry, whose tallies are made, with its seal; digest becomes its own. */
static int
put_history(struct run *run, bool has_parts, struct store_history *entry,
    char digest[HASH_TEXT_BYTES], struct error *err)
{
	struct seal_input input = {
		.store = run->store,
		.tallies = run->tallies,
		.count = run->count,
		.has_parts = has_parts,
		.key = run->seal_key,
		.fetched_nothing = !run->is_fetch,
	};
	struct balance balance = balance_of(run, 0);
	bson_t	       seal;
	int	       rc;

	rc = seal_make(&input, entry, &seal, err);
	entry->seal = bson_get_data(&seal);
	entry->seal_len = seal.len;
	if (rc == 0)
		rc = store_history_put(run->store, entry, err);
	if (rc == 0)
		rc = balance_history(&balance, entry, err);
	if (rc == 0)
		seal_chain(entry, digest);
	bson_destroy(&seal);
	return rc;
}

static int
write_history(struct run *run, char digest[HASH_TEXT_BYTES],
    struct error *err)
{
	bson_t		     tallies;
	int		     rc;
	struct store_history entry = {
		.version = run->result->version,
		.synced_at_ms = clock_now_ms(),
		.duration_ms = run->result->duration_ms,
	};

	rc = history_make(run->stage, run->store, run->tallies, run->count,
	    &entry, run->members, &tallies, err);
	if (rc != -1)
		rc = put_history(run, rc == 1, &entry, digest, err);
	bson_destroy(&tallies);
	return rc;
}

int
run_publish(struct run *run, struct error *err)
{
	struct run_result *result = run->result;
	char		   digest[HASH_TEXT_BYTES];

	result->duration_ms = clock_monotonic_ms() - run->started_ms;
	run_stage(run, JOB_STAGE_PUBLISHING);
	if (write_history(run, digest, err) == -1 ||
	    run_job_check(run, err) == -1 ||
	    stop_check(STATUS_STORE, err) == -1)
		return -1;
	log_progress("publishing version %" PRId64, result->version);
	if (store_publish(run->store, err) == -1)
		return -1;
	stop_ignore_signals();
	log_progress_end();
	/* Who keeps the digest elsewhere can tell later that nothing before it
	 * was changed (nompd-sync verify --history --head). */
	log_info("version %" PRId64 " is published; its history entry has the"
	    " digest %s", result->version, digest);
	return 0;
}

int
run_fail_unbalanced(struct run *run, struct error *err)
{
	struct error lost;

	if (err->status == STATUS_UNBALANCED &&
	    store_lease_check(run->store, &lost) == -1)
		*err = lost;
	return -1;
}

int
run_apply(struct run *run, struct error *err)
{
	int64_t	       now_ms = clock_now_ms();
	struct balance balance = balance_of(run, now_ms);
	size_t	       i;

	for (i = 0; i < run->count; i++) {
		if (run->tallies[i].list == TREATMENT_GROUPS)
			run->tallies[i].unresolved = run->unresolved;
	}
	if (run->opts->plan && plan_print(run->stage, run->tallies, run->count,
	    run->opts->plan_file, err) == -1)
		return -1;
	if (balance_plan(&balance, err) == -1 ||
	    guard_check(run->tallies, run->count, run->opts->max_delete,
	    err) == -1 || run_take_version(run, now_ms, err) == -1)
		return -1;
	if (run->opts->dry_run) {
		run->result->duration_ms = clock_monotonic_ms() -
		    run->started_ms;
		return stop_check(STATUS_STORE, err);
	}
	balance.version = run->result->version;
	if (write_all(run, now_ms, err) == -1)
		return -1;
	run_stage(run, JOB_STAGE_CHECKING);
	if (balance_records(&balance, err) == -1)
		return run_fail_unbalanced(run, err);
	return run_publish(run, err);
}

static void
sum_up(struct run *run)
{
	struct run_result  *result = run->result;
	const struct tally *tally;
	size_t		    i;

	for (i = 0; i < run->count; i++) {
		tally = &run->tallies[i];
		if (tally->is_aside)
			continue;
		result->added += tally->added;
		result->updated += tally->updated;
		result->unchanged += tally->unchanged;
		result->deleted += tally->deleted;
	}
}

/* A store that has failed is not asked once more. */
static bool
wants_last(const struct run *run, int rc, const struct error *err)
{
	return run->opts->metrics_file != NULL && !run->opts->dry_run &&
	    (rc == 0 || err->status != STATUS_STORE);
}

static int
read_last(struct store *store, struct metrics_last *last, struct error *err)
{
	struct store_versions versions;

	if (store_versions_get(store, &versions, err) == -1)
		return -1;
	last->version = versions.finished;
	return seal_last_fetch(store, &versions, &last->at_ms, err);
}

int
run_end(struct run *run, int rc, const struct error *err)
{
	struct metrics_last last;
	struct error	    ignored;
	bool		    has_last;

	log_progress_end();
	if (rc == 0)
		sum_up(run);
	output_free(run->output);
	stage_close(run->stage);
	/* Who sees that the job has ended finds the store at rest, and the
	 * lease free in a moment; who gets the lease finds the job ended. */
	if (rc == -1 && run->store != NULL)
		(void)store_end(run->store, &ignored);
	run_job_end(run, rc, err);
	has_last = run->store != NULL && wants_last(run, rc, err) &&
	    read_last(run->store, &last, &ignored) == 0;
	store_close(run->store);
	seal_key_free(run->seal_key);
	job_keeper_close(run->keeper);
	if (!run->opts->dry_run)
		report_run(run->opts, &run->job, has_last ? &last : NULL);
	job_clear(&run->job);
	bson_destroy(run->members);
	free(run);
	return rc;
}

struct run *
run_new(const struct options *opts, const char *command,
    struct run_result *result)
{
	struct run *run;

	run = xcalloc(1, sizeof(*run));
	run->opts = opts;
	run->result = result;
	run->started_ms = clock_monotonic_ms();
	job_init(&run->job, opts->job_id, command, clock_now_ms());
	return run;
}

/* The three lists of the upstream. */
static int
run_api(struct run *run, struct error *err)
{
	enum collection i;

	for (i = 0; i < COLLECTION__MAX; i++)
		run_add(run, i);
	/* All lists complete and converted, or nothing happens.  Plans refer
	 * to activities, so that all of these must be there. */
	if (run_open(run, err) == -1 || fetch(run, err) == -1 ||
	    convert_from(run, PLAN_DEFINITIONS, TREATMENT_GROUPS, false,
	    err) == -1 ||
	    stage_finish(run->stage, REIMBURSEMENT_GROUPS, err) == -1)
		return -1;
	/* What is to be done, raw and converted; still nothing is written. */
	if (run_begin(run, err) == -1 || run_plan(run, 0, err) == -1)
		return -1;
	/* Guard, version, raw, outputs, history; then all is visible. */
	return run_apply(run, err);
}

int
run_sync(const struct options *opts, struct run_result *result,
    struct error *err)
{
	struct run *run = run_new(opts, JOB_COMMAND_RUN, result);
	int	    rc;

	run->mode = opts->dry_run ? STORE_DRY : STORE_WRITE;
	run->is_fetch = true;
	rc = opts->mode == MODE_BULK ? run_bulk(run, err) : run_api(run, err);
	return run_end(run, rc, err);
}

int
run_reconvert(const struct options *opts, struct run_result *result,
    struct error *err)
{
	struct run *run = run_new(opts, "reconvert", result);
	int	    rc;

	run_add(run, TREATMENT_GROUPS);
	run_add(run, REIMBURSEMENT_GROUPS);
	/* There is nothing to convert in a store that is not there. */
	rc = run_open_update(run, err);
	if (rc == 0)
		rc = run_begin(run, err);
	if (rc == 0)
		rc = run_restage(run, err);
	if (rc != -1)
		rc = run_convert(run, rc == 0, err);
	if (rc == 0)
		rc = run_plan(run, 0, err);
	if (rc == 0)
		rc = run_apply(run, err);
	return run_end(run, rc, err);
}
