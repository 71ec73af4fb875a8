#include <inttypes.h>

#include "clock.h"
#include "collection.h"
#include "guard.h"
#include "history.h"
#include "lease.h"
#include "log.h"
#include "output.h"
#include "plan.h"
#include "plan_print.h"
#include "run.h"
#include "secret.h"
#include "source.h"
#include "stage.h"
#include "stop.h"
#include "store.h"
#include "upsert.h"
#include "upstream.h"

struct run {
	const struct options *opts;
	struct store	     *store;
	struct stage	     *stage;
	struct output	     *output;
	struct tally	      tallies[COLLECTION__MAX];
	struct run_result    *result;
	int64_t		      started_ms; /* monotonic */
};

/* A dry run takes no lease: it may run beside a run. */
static int
open_store(struct run *run, enum store_mode mode, struct error *err)
{
	const struct options *opts = run->opts;
	char		      holder[MAX_HOLDER_TEXT];

	if (store_open(&opts->store, mode, &run->store, err) == -1)
		return -1;
	return opts->dry_run ? 0 : lease_take(run->store, opts->wait_ms,
	    holder, err);
}

static int
open_stage(struct run *run, struct error *err)
{
	if (stage_open(&run->stage, err) == -1)
		return -1;
	run->output = output_new(run->stage,
	    &run->tallies[TREATMENT_GROUPS].unresolved);
	return 0;
}

/* All lists into the stage, the authorizations converted on their way. */
static int
fetch(struct run *run, struct error *err)
{
	const struct options *opts = run->opts;
	struct http_config    config = {
		.key_header = opts->upstream_key_header,
		.ca_file = opts->ca_file,
		.retries = opts->retries,
		.timeout_ms = opts->timeout_ms,
	};
	int i;

	if (opts->upstream_key != NULL)
		config.key = secret_text(opts->upstream_key);
	if (upstream_fetch(opts->upstream, &config, run->stage, run->output,
	    run->tallies, err) == -1)
		return -1;
	for (i = 0; i < COLLECTION_RAW_MAX; i++) {
		if (stage_finish(run->stage, i, err) == -1)
			return -1;
	}
	return stage_finish(run->stage, REIMBURSEMENT_GROUPS, err);
}

/* Converts all that source gives, and frees it. */
static int
convert_all(struct run *run, enum collection output, struct source *source,
    struct error *err)
{
	int rc;

	log_progress("converting: %s", collection_name(output));
	rc = output_all(run->output, output, source, err);
	source_close(source);
	return rc == -1 ? -1 : stage_finish(run->stage, output, err);
}

/* The plans refer to activities, so that all of these must be there. */
static int
convert_staged(struct run *run, struct error *err)
{
	struct source *source;

	if (source_from_stage(run->stage, PLAN_DEFINITIONS, &source, err) ==
	    -1)
		return -1;
	return convert_all(run, TREATMENT_GROUPS, source, err);
}

static int
convert_stored(struct run *run, struct error *err)
{
	struct source *source;

	if (source_from_store(run->store, PLAN_DEFINITIONS, &source, err) ==
	    -1 || convert_all(run, TREATMENT_GROUPS, source, err) == -1)
		return -1;
	if (source_from_store(run->store, REGULATED_AUTHORIZATIONS, &source,
	    err) == -1)
		return -1;
	return convert_all(run, REIMBURSEMENT_GROUPS, source, err);
}

/* What is to be done to the collections from first on. */
static int
plan_from(struct run *run, enum collection first, struct error *err)
{
	enum collection i;

	for (i = first; i < COLLECTION__MAX; i++) {
		if (plan_collection(run->stage, run->store, i,
		    &run->tallies[i], err) == -1)
			return -1;
	}
	return 0;
}

/* The version that the run has or, when it is dry, would have. */
static int
take_version(struct run *run, int64_t now_ms, struct error *err)
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
write_all(struct run *run, int64_t now_ms, struct error *err)
{
	int i;

	for (i = 0; i < COLLECTION__MAX; i++) {
		if (upsert_collection(run->stage, run->store, i,
		    run->result->version, now_ms, err) == -1)
			return -1;
		log_info("%s: %" PRIu64 " added, %" PRIu64 " updated, %" PRIu64
		    " unchanged, %" PRIu64 " deleted", collection_name(i),
		    run->tallies[i].added, run->tallies[i].updated,
		    run->tallies[i].unchanged, run->tallies[i].deleted);
	}
	return 0;
}

/* The history entry, and then the flip: all of the run at once. */
static int
publish(struct run *run, struct error *err)
{
	struct run_result *result = run->result;

	result->duration_ms = clock_monotonic_ms() - run->started_ms;
	if (history_write(run->stage, run->store, run->tallies,
	    result->version, clock_now_ms(), result->duration_ms, err) == -1 ||
	    stop_check(STATUS_STORE, err) == -1)
		return -1;
	log_progress("publishing version %" PRId64, result->version);
	if (store_publish(run->store, err) == -1)
		return -1;
	stop_ignore_signals();
	log_progress_end();
	log_info("version %" PRId64 " is published", result->version);
	return 0;
}

/* From a complete plan to the end: what all runs have in common. */
static int
apply(struct run *run, struct error *err)
{
	int64_t now_ms = clock_now_ms();

	if (run->opts->plan && plan_print(run->stage, run->opts->plan_file,
	    err) == -1)
		return -1;
	if (guard_check(run->tallies, run->opts->max_delete, err) == -1 ||
	    take_version(run, now_ms, err) == -1)
		return -1;
	if (run->opts->dry_run) {
		run->result->duration_ms = clock_monotonic_ms() -
		    run->started_ms;
		return stop_check(STATUS_STORE, err);
	}
	if (write_all(run, now_ms, err) == -1)
		return -1;
	return publish(run, err);
}

static void
sum_up(struct run *run)
{
	struct run_result  *result = run->result;
	const struct tally *tally;
	int		    i;

	for (i = 0; i < COLLECTION__MAX; i++) {
		tally = &run->tallies[i];
		result->added += tally->added;
		result->updated += tally->updated;
		result->unchanged += tally->unchanged;
		result->deleted += tally->deleted;
	}
}

static int
end(struct run *run, int rc)
{
	log_progress_end();
	if (rc == 0)
		sum_up(run);
	output_free(run->output);
	stage_close(run->stage);
	store_close(run->store);
	return rc;
}

int
run_sync(const struct options *opts, struct run_result *result,
    struct error *err)
{
	struct run run = {
		.opts = opts,
		.result = result,
		.started_ms = clock_monotonic_ms(),
	};
	int rc = -1;

	/* The store first: a run that may not run fetches nothing. */
	if (open_store(&run, opts->dry_run ? STORE_DRY : STORE_WRITE, err) ==
	    -1 || open_stage(&run, err) == -1)
		goto out;
	/* All lists complete and converted, or nothing happens. */
	if (fetch(&run, err) == -1 || convert_staged(&run, err) == -1)
		goto out;
	/* What is to be done, raw and converted; still nothing is written. */
	if (store_begin(run.store, err) == -1 ||
	    plan_from(&run, PLAN_DEFINITIONS, err) == -1)
		goto out;
	/* Guard, version, raw, outputs, history; then all is visible. */
	rc = apply(&run, err);
out:
	return end(&run, rc);
}

int
run_reconvert(const struct options *opts, struct run_result *result,
    struct error *err)
{
	struct run run = {
		.opts = opts,
		.result = result,
		.started_ms = clock_monotonic_ms(),
	};
	int rc = -1;

	/* There is nothing to convert in a store that is not there. */
	if (open_store(&run, opts->dry_run ? STORE_READ : STORE_UPDATE, err) ==
	    -1 || open_stage(&run, err) == -1)
		goto out;
	if (store_begin(run.store, err) == -1 ||
	    convert_stored(&run, err) == -1 ||
	    plan_from(&run, TREATMENT_GROUPS, err) == -1)
		goto out;
	rc = apply(&run, err);
out:
	return end(&run, rc);
}
