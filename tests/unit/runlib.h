/*
 * Runs of a small world: lists that are staged at random, planned, and carried
 * out by the program's own run_apply().
 */
#ifndef NOMPD_RUNLIB_H
#define NOMPD_RUNLIB_H

#include "../../src/run_int.h"
#include "log.h"
#include "storelib.h"

/* A merged list beside the five. */
#define MERGED "Patient"

/* The numbers of splitmix64: the same ones for the same seed. */
static uint64_t dice;

static inline uint64_t
roll(uint64_t sides)
{
	uint64_t bits;

	dice += 0x9e3779b97f4a7c15;
	bits = (dice ^ (dice >> 30)) * 0xbf58476d1ce4e5b9;
	bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
	return (bits ^ (bits >> 31)) % sides;
}

/* What is like in all lists of one run: how many keys there may be, of which
 * length, and whether outputs are those of an older program. */
struct world {
	int  keys;
	int  key_len;
	bool is_old;
	bool is_reconvert;
};

static struct options	 run_opts;
static struct run_result run_result;

static inline struct run *
start_run(void)
{
	struct run *run = xcalloc(1, sizeof(*run));

	run_opts = (struct options){ .store = place,
		.max_delete = { .value = 100, .is_percent = true } };
	run_result = (struct run_result){ 0 };
	run->opts = &run_opts;
	run->result = &run_result;
	job_init(&run->job, NULL, "run", 0);
	run->mode = STORE_WRITE;
	CHECK(run_open(run, &err));
	return run;
}

static inline void
stage_doc(struct run *run, int list, const char *key, const bson_t *doc)
{
	struct hasher *hasher = hasher_new();
	uint8_t	       hash[HASH_BYTES];

	CHECK(hash_document(hasher, bson_get_data(doc), doc->len, hash, &err));
	CHECK(stage_add(run->stage, list, &(struct stage_doc){ .key = key,
	    .len = strlen(key), .hash = hash, .data = bson_get_data(doc),
	    .data_len = doc->len }, &err));
	hasher_free(hasher);
}

/* One resource, which conversion takes as any of the three; number is what
 * changes in it. */
static inline void
stage_resource(struct run *run, int list, const char *key, int number)
{
	char   name[32];
	bson_t *doc;

	(void)snprintf(name, sizeof(name), "name %d", number);
	doc = BCON_NEW("identifier", "[", "{", "value", BCON_UTF8(key), "}",
	    "]", "name", BCON_UTF8(name), "articleNumbers", "[",
	    BCON_UTF8(name), "]", "action", "[", "{", "definitionCanonical",
	    BCON_UTF8("A/key 01"), "}", "]");
	stage_doc(run, list, key, doc);
	bson_destroy(doc);
}

static inline void
make_key(const struct world *world, int number, char key[1024])
{
	(void)snprintf(key, 1024, "key %02d%*s", number,
	    world->key_len > 8 ? world->key_len - 8 : 0, "");
}

/* Some of the keys, in any order, a few of them twice. */
static inline void
stage_puts(struct run *run, struct tally *tally, const struct world *world)
{
	char key[1024];
	int  i, n;

	for (i = world->keys; i > 0; i--) {
		make_key(world, i, key);
		for (n = roll(4) == 0 ? 0 : roll(9) == 0 ? 2 : 1; n > 0; n--) {
			stage_resource(run, tally->list, key, (int)roll(3));
			tally->came++;
		}
	}
}

/* Wishes to delete, of keys that are there and of others; not of those in the
 * list. */
static inline void
stage_merged(struct run *run, struct tally *tally, const struct world *world)
{
	struct stage_doc doc = { .kind = STAGED_DELETE };
	char		 key[1024];
	int		 i;

	for (i = 1; i <= world->keys; i++) {
		make_key(world, i, key);
		doc.key = key;
		doc.len = strlen(key);
		switch (roll(4)) {
		case 0:
			CHECK(stage_add(run->stage, tally->list, &doc, &err));
			tally->came++;
			break;
		case 1:
		case 2:
			stage_resource(run, tally->list, key, (int)roll(3));
			tally->came++;
			break;
		default:
			break;
		}
	}
}

/* Outputs as an older program has made them: one for each raw record. */
static inline void
stage_old(struct run *run, enum collection raw, enum collection output)
{
	struct stage_cursor *cursor;
	struct staged	     staged;
	bson_t		    *doc;
	int		     rc;

	CHECK(stage_cursor_open(run->stage, (int)raw, &cursor, &err));
	while ((rc = stage_cursor_next(cursor, &staged, &err)) == 1) {
		doc = BCON_NEW("id", BCON_UTF8(staged.key), "old",
		    BCON_BOOL(true));
		stage_doc(run, (int)output, staged.key, doc);
		bson_destroy(doc);
	}
	ck_assert_int_eq(rc, 0);
	stage_cursor_close(cursor);
	CHECK(stage_finish(run->stage, (int)output, &err));
}

static inline void
convert_staged(struct run *run, const struct world *world)
{
	if (!world->is_old) {
		CHECK(run_convert(run, false, &err));
		return;
	}
	stage_old(run, PLAN_DEFINITIONS, TREATMENT_GROUPS);
	stage_old(run, REGULATED_AUTHORIZATIONS, REIMBURSEMENT_GROUPS);
}

/* All lists staged and converted. */
static inline void
stage_world(struct run *run, const struct world *world)
{
	struct tally *tally;
	int	      i;

	for (i = 0; i < COLLECTION__MAX; i++)
		run_add(run, (enum collection)i);
	for (i = 0; i < COLLECTION_RAW_MAX; i++) {
		tally = &run->tallies[i];
		stage_puts(run, tally, world);
		tally->skipped = roll(3);
		tally->came += tally->skipped;
		CHECK(stage_finish(run->stage, i, &err));
	}
	convert_staged(run, world);
	tally = &run->tallies[run->count++];
	*tally = (struct tally){ .name = MERGED, .is_merged = true };
	CHECK(tally->list = stage_add_list(run->stage, &err));
	stage_merged(run, tally, world);
	CHECK(stage_finish(run->stage, tally->list, &err));
}

/* A run up to its plan; the store is begun. */
static inline struct run *
run_planned(const struct world *world)
{
	struct run *run = start_run();

	if (world->is_reconvert) {
		run_add(run, TREATMENT_GROUPS);
		run_add(run, REIMBURSEMENT_GROUPS);
		CHECK(store_begin(run->store, &err));
		CHECK(run_convert(run, true, &err));
	} else {
		stage_world(run, world);
		CHECK(store_begin(run->store, &err));
	}
	CHECK(run_plan(run, 0, &err));
	return run;
}

/* How many records the run is to write. */
static inline uint64_t
run_writes(const struct run *run)
{
	uint64_t writes = 0;
	size_t	 i;

	for (i = 0; i < run->count; i++)
		writes += run->tallies[i].added + run->tallies[i].updated +
		    run->tallies[i].deleted;
	return writes;
}

#endif
