/* A run of the bulk mode. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bulk.h"
#include "bulk_mark.h"
#include "collection.h"
#include "fhir.h"
#include "hash.h"
#include "history.h"
#include "limit.h"
#include "log.h"
#include "planned.h"
#include "run_int.h"

/* Business keys that stand in several resources and are named in the log, of a
 * type. */
#define MAX_DOUBLED_LOGGED 100

/* The list of the stage for the resources of a type, by business key. */
struct restage {
	struct stage   *stage;
	struct hasher  *hasher;
	enum collection list;
	uint64_t	count;
};

/* planned_fn: conversion knows resources by their business keys. */
static int
restage_one(void *ctx, const char *key, const bson_t *data, struct error *err)
{
	struct restage	*restage = ctx;
	struct stage_doc doc = { .kind = STAGED_PUT };
	struct fhir_text business_key;
	uint8_t		 hash[HASH_BYTES];

	restage->count++;
	business_key = fhir_business_key(data);
	if (business_key.text == NULL)
		return 0;
	if (business_key.len > MAX_KEY_BYTES ||
	    memchr(business_key.text, 0, business_key.len) != NULL)
		return error_set(err, STATUS_PROTOCOL, "%s: a business key"
		    " (identifier[0].value) with a NUL, or longer than %d"
		    " bytes", key, MAX_KEY_BYTES);
	doc.key = business_key.text;
	doc.len = business_key.len;
	doc.data = bson_get_data(data);
	doc.data_len = data->len;
	doc.hash = hash;
	if (hash_document(restage->hasher, doc.data, doc.data_len, hash,
	    err) == -1)
		return error_prefix(err, "%s", key);
	return stage_add(restage->stage, (int)restage->list, &doc, err);
}

/* A group has the business key of its resource: of two one is lost. */
static int
warn_of_doubles(struct run *run, enum collection list, struct error *err)
{
	struct stage_cursor *cursor;
	struct staged	     staged;
	unsigned	     doubled = 0;
	int		     rc;

	if (stage_cursor_open(run->stage, (int)list, &cursor, err) == -1)
		return -1;
	while ((rc = stage_cursor_next(cursor, &staged, err)) == 1) {
		if (staged.duplicates > 0 && ++doubled <= MAX_DOUBLED_LOGGED)
			log_warn("%s: %" PRIu64 " resources have the business"
			    " key \"%s\"; the last one counts",
			    collection_resource_type(list),
			    staged.duplicates + 1, staged.key);
	}
	if (doubled > MAX_DOUBLED_LOGGED)
		log_warn("%s: %u more business keys stand in several"
		    " resources", collection_resource_type(list),
		    doubled - MAX_DOUBLED_LOGGED);
	stage_cursor_close(cursor);
	return rc;
}

/* Restages a type, as it will be with the plan of list. */
static int
restage_type(struct run *run, struct restage *restage, int list,
    struct error *err)
{
	if (planned_walk(run->stage, list, run->store,
	    collection_resource_type(restage->list), restage_one, restage,
	    err) == -1)
		return -1;
	if (stage_finish(run->stage, (int)restage->list, err) == -1)
		return -1;
	return warn_of_doubles(run, restage->list, err);
}

/* The list of the run's tally with that name, or -1. */
static int
find_list(const struct run *run, const char *name)
{
	size_t i;

	for (i = 0; i < run->count; i++) {
		if (strcmp(run->tallies[i].name, name) == 0)
			return run->tallies[i].list;
	}
	return -1;
}

/* Restages all three types; lists has the plan of each. */
static int
restage_all(struct run *run, const int lists[COLLECTION_RAW_MAX],
    uint64_t *count, struct error *err)
{
	struct restage restage = { .stage = run->stage };
	enum collection i;
	int		rc = 0;

	restage.hasher = hasher_new();
	for (i = 0; i < COLLECTION_RAW_MAX && rc == 0; i++) {
		restage.list = i;
		rc = restage_type(run, &restage, lists[i], err);
	}
	hasher_free(restage.hasher);
	*count = restage.count;
	return rc;
}

/* Which runs convert: 1 = this one, 0 = it does not. */
static int
find_converted(const struct run *run, struct bulk *bulk,
    int lists[COLLECTION_RAW_MAX])
{
	const char     *why = "";
	enum collection i;
	unsigned	found = 0;

	for (i = 0; i < COLLECTION_RAW_MAX; i++) {
		lists[i] = find_list(run, collection_resource_type(i));
		found += lists[i] != -1;
	}
	/* Whoever asks for one of them alone does not expect groups. */
	if (found < COLLECTION_RAW_MAX)
		return 0;
	if (bulk_is_convertible(bulk, &why))
		return 1;
	log_info("no conversion to groups: %s", why);
	return 0;
}

/* Does the store follow the three lists of the api mode?  1, 0, -1. */
static int
follows_lists(struct run *run, struct error *err)
{
	struct store_counts counts;
	enum collection	    i;

	for (i = 0; i < COLLECTION_RAW_MAX; i++) {
		if (store_counts_get(run->store, collection_name(i), &counts,
		    err) == -1)
			return -1;
		if (counts.live > 0)
			return 1;
	}
	return 0;
}

/* The groups of a store come from one kind of upstream. */
static int
check_store(struct run *run, struct error *err)
{
	int rc;

	rc = follows_lists(run, err);
	return rc != 1 ? rc : error_set(err, STATUS_USAGE,
	    "store %s follows the three lists of --mode api; want another"
	    " --store for --mode bulk with these types",
	    store_name(run->store));
}

static int
convert(struct run *run, struct bulk *bulk, struct error *err)
{
	int	 lists[COLLECTION_RAW_MAX];
	uint64_t count;
	size_t	 first = run->count;

	if (find_converted(run, bulk, lists) == 0)
		return 0;
	run_add(run, TREATMENT_GROUPS);
	run_add(run, REIMBURSEMENT_GROUPS);
	if (check_store(run, err) == -1 ||
	    restage_all(run, lists, &count, err) == -1 ||
	    run_convert(run, false, err) == -1)
		return -1;
	return run_plan(run, first, err);
}

int
run_restage(struct run *run, struct error *err)
{
	int	    lists[COLLECTION_RAW_MAX];
	uint64_t    count;
	const char *types[COLLECTION_RAW_MAX];
	bool	    has_all;
	int	    none, i, rc;

	rc = follows_lists(run, err);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	for (i = 0; i < COLLECTION_RAW_MAX; i++)
		types[i] = collection_resource_type(i);
	/* A list without a plan: the records are as they are. */
	none = stage_add_list(run->stage, err);
	if (none == -1)
		return -1;
	for (i = 0; i < COLLECTION_RAW_MAX; i++)
		lists[i] = none;
	if (restage_all(run, lists, &count, err) == -1)
		return -1;
	if (count == 0)
		return 0;
	if (bulk_mark_has_all(run->store, types, COLLECTION_RAW_MAX, &has_all,
	    err) == -1)
		return -1;
	return has_all ? 1 : error_set(err, STATUS_USAGE, "store %s: reconvert"
	    " wants all resources of %s, %s and %s; a full export of these"
	    " types gets them", store_name(run->store), types[0], types[1],
	    types[2]);
}

static int
run_export(struct run *run, struct bulk *bulk, struct error *err)
{
	run_stage(run, JOB_STAGE_FETCHING);
	/* All files here and staged, or nothing happens. */
	if (bulk_fetch(bulk, err) == -1 ||
	    bulk_stage(bulk, run->tallies, &run->count, err) == -1)
		return -1;
	/* What is to be done, raw and converted; still nothing is written. */
	if (run_begin(run, err) == -1 ||
	    run_plan(run, 0, err) == -1 || convert(run, bulk, err) == -1)
		return -1;
	run_add_member(run, HISTORY_BULK, bulk_note(bulk));
	/* Guard, version, writes, history with the bookmark; all visible. */
	return run_apply(run, err);
}

int
run_bulk(struct run *run, struct error *err)
{
	struct bulk *bulk;
	struct error ignored;
	size_t	     i;
	int	     rc;

	/* What is no good makes no job. */
	rc = bulk_new(run->opts, &bulk, err);
	if (rc == 0)
		rc = run_open(run, err);
	if (rc == 0)
		rc = bulk_open(bulk, run->store, run->stage, &run->job, err);
	if (rc == 0)
		rc = run_export(run, bulk, err);
	/* What it has written goes before the journal is written to. */
	if (rc == -1 && run->store != NULL)
		(void)store_end(run->store, &ignored);
	/* The tallies have names of it; the result needs none. */
	run_note(run);
	bulk_end(bulk, rc, err);
	for (i = 0; i < run->count; i++)
		run->tallies[i].name = NULL;
	return rc;
}
