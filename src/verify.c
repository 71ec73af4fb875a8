#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "json_canonical.h"
#include "log.h"
#include "seal_key.h"
#include "verify_int.h"
#include "words.h"

/* Bytes of the sentence of a finding. */
#define MAX_WHAT 200

int64_t
verify_findings(const struct verify_counts *counts)
{
	int64_t sum = 0;
	int	i;

	for (i = 0; i < FINDING__MAX; i++)
		sum += counts->findings[i];
	return sum;
}

bool
verify_is_remade(const struct verify *verify, const char *collection)
{
	return words_has(verify->remade, collection);
}

/* Outputs are made of what such a collection has. */
static bool
is_raw(const char *collection)
{
	enum collection which;

	if (collection == NULL)
		return false;
	which = collection_find(collection);
	return which == COLLECTION__MAX || which < COLLECTION_RAW_MAX;
}

int
verify_found(struct verify *verify, const struct finding *finding,
    struct error *err)
{
	verify->counts->findings[finding->kind]++;
	if (finding->kind == FINDING_OUTPUT &&
	    !verify_is_remade(verify, finding->collection))
		words_add(&verify->remade, finding->collection);
	if (!is_raw(finding->collection) || finding->is_undone)
		return verify->found(verify->ctx, finding, err);
	verify->counts->raw++;
	if (finding->kind == FINDING_DATA)
		verify->is_raw_damaged = true;
	return verify->found(verify->ctx, finding, err);
}

static int
compare_versions(const void *key, const void *element)
{
	int64_t one = *(const int64_t *)key;
	int64_t other = ((const struct store_run *)element)->version;

	/* The newest comes first. */
	return one > other ? -1 : one < other;
}

const struct store_run *
verify_run(const struct verify *verify, int64_t version)
{
	if (verify->n_runs == 0)
		return NULL;
	return bsearch(&version, verify->runs, verify->n_runs,
	    sizeof(*verify->runs), compare_versions);
}

/* finding_fn: what the kind of store has found. */
static int
take_finding(void *ctx, const struct finding *finding, struct error *err)
{
	return verify_found(ctx, finding, err);
}

static int
found_versions(struct verify *verify, const char *what, struct error *err)
{
	return verify_found(verify, &(struct finding){
	    .kind = FINDING_DATA, .what = what }, err);
}

/* Do the numbers of SyncMetadata fit the history? */
static int
check_versions(struct verify *verify, struct error *err)
{
	const struct store_versions *versions = &verify->versions;
	char			     what[MAX_WHAT];

	if (versions->raised < versions->finished) {
		(void)snprintf(what, sizeof(what), "CurrentVersion is %" PRId64
		    ", and the history goes up to %" PRId64, versions->raised,
		    versions->finished);
		if (found_versions(verify, what, err) == -1)
			return -1;
	}
	if (versions->horizon < 0 || versions->horizon > versions->finished) {
		(void)snprintf(what, sizeof(what), "Horizon is %" PRId64
		    "; want a finished version, or 0", versions->horizon);
		if (found_versions(verify, what, err) == -1)
			return -1;
	}
	/* A store that an older program has left in the middle of a run can be
	 * seen from its next version on. */
	if (versions->states_from < 0 ||
	    (versions->states_from != STORE_NO_STATES &&
	    versions->states_from > versions->raised + 1)) {
		(void)snprintf(what, sizeof(what), "StatesFrom is %" PRId64
		    "; want at most the version", versions->states_from);
		if (found_versions(verify, what, err) == -1)
			return -1;
	}
	return 0;
}

static int
check_collections(struct verify *verify, struct error *err)
{
	char **name;

	for (name = verify->collections; *name != NULL; name++) {
		log_progress("verifying: %s", *name);
		if (verify_records(verify, *name, err) == -1 ||
		    verify_states(verify, *name, err) == -1)
			return -1;
	}
	return 0;
}

/* The seals of raw records, or of outputs. */
static int
check_seals(struct verify *verify, bool of_raw, struct error *err)
{
	char **name;

	/* What it has left will be given the next run's version. */
	if (verify->counts->findings[FINDING_UNFINISHED] > 0) {
		if (of_raw)
			log_info("an unfinished run has left records: they"
			    " were not compared with the seals of the"
			    " history");
		return 0;
	}
	for (name = verify->collections; *name != NULL; name++) {
		if (is_raw(*name) == of_raw &&
		    verify_past(verify, *name, err) == -1)
			return -1;
	}
	return 0;
}

static int
read_versions(struct verify *verify, struct error *err)
{
	struct store_versions *versions = &verify->versions;

	if (store_versions_get(verify->store, versions, err) == -1)
		return -1;
	if (versions->raised > versions->finished)
		log_warn("a run has died after version %" PRId64 "; what is"
		    " found may be due to it: let the next run end well and"
		    " verify again", versions->finished);
	return 0;
}

static int
check_all(struct verify *verify, struct error *err)
{
	if (read_versions(verify, err) == -1 ||
	    store_collections_get(verify->store, &verify->collections, err) ==
	    -1 || check_versions(verify, err) == -1)
		return -1;
	/* What was done, what is there, and whether the two agree. */
	if (verify_runs(verify, err) == -1 ||
	    verify_bounds(verify, err) == -1 ||
	    check_collections(verify, err) == -1 ||
	    verify_ledger_compare(verify, err) == -1)
		return -1;
	/* What wants the indexes. */
	if (verify->counts->findings[FINDING_INDEX] > 0) {
		log_info("an index is damaged: the seals of the history, and"
		    " what outputs are made of, were not looked at");
		return 0;
	}
	if (verify_chain(verify, err) == -1 ||
	    check_seals(verify, true, err) == -1)
		return -1;
	/* Outputs that raw records do not give are damaged, however sealed. */
	if (verify_outputs(verify, err) == -1)
		return -1;
	return check_seals(verify, false, err);
}

/* A file that is damaged may not be readable to its end. */
static int
give_up(struct verify *verify, struct error *err)
{
	struct error why = *err;

	if (why.status != STATUS_STORE || !verify->is_damaged)
		return -1;
	error_prefix(&why, "what comes after this was not looked at");
	return verify_found(verify, &(struct finding){
	    .kind = FINDING_DATA, .what = why.text }, err);
}

static int
check_store(struct verify *verify, struct error *err)
{
	int rc;

	rc = store_check(verify->store, false, take_finding, verify, err);
	verify->is_damaged = verify_findings(verify->counts) > 0;
	if (rc == 0)
		rc = check_all(verify, err);
	return rc == -1 ? give_up(verify, err) : 0;
}

static int
open_all(struct verify *verify, struct error *err)
{
	const char *path = verify->opts->seal_key_file;

	if (path != NULL && seal_keys_read(path, &verify->keys, err) == -1)
		return -1;
	verify->hasher = hasher_new();
	verify->canonical = json_canonical_new();
	return verify_ledger_open(&verify->ledger, err);
}

static void
close_all(struct verify *verify)
{
	json_canonical_free(verify->canonical);
	hasher_free(verify->hasher);
	verify_ledger_close(verify->ledger);
	seal_keys_free(verify->keys);
	words_free(verify->collections);
	words_free(verify->remade);
	free(verify->prunes);
	free(verify->runs);
}

int
verify_store(struct store *store, const struct options *opts, finding_fn found,
    void *ctx, struct verify_counts *counts, struct error *err)
{
	struct verify verify = {
		.store = store,
		.opts = opts,
		.found = found,
		.ctx = ctx,
		.counts = counts,
	};
	int rc;

	*counts = (struct verify_counts){ 0 };
	rc = open_all(&verify, err);
	if (rc == 0)
		rc = check_store(&verify, err);
	log_progress_end();
	close_all(&verify);
	return rc;
}
