/* What the kinds of runs share: the three lists, and the bulk mode. */
#ifndef NOMPD_RUN_INT_H
#define NOMPD_RUN_INT_H

#include <bson/bson.h>

#include "job.h"
#include "options.h"
#include "output.h"
#include "run.h"
#include "stage.h"
#include "store.h"
#include "tally.h"

struct job_keeper;
struct seal_key;

/*
 * tallies are the collections of the run in the order in which they are
 * written; each has a list of the stage.  keeper is NULL in a dry run, which is
 * no job; is_job says that the ledger has it.
 */
struct run {
	const struct options *opts;
	enum store_mode	      mode;
	struct store	     *store;
	struct stage	     *stage;
	struct output	     *output;
	struct tally	      tallies[MAX_LISTS];
	size_t		      count;
	uint64_t	      unresolved; /* of the conversion */
	bson_t		     *members;	  /* of the history entry, beside the
					   * collections; NULL: none */
	struct seal_key	     *seal_key;	  /* NULL: the entry is not signed */
	struct run_result    *result;
	int64_t		      started_ms; /* monotonic */
	struct job	      job;
	struct job_keeper    *keeper;
	bool		      is_job;
	bool		      is_fetch; /* of what the upstream has now */
	int64_t		      next_note_ms; /* monotonic */
};

/* A run that begins now; run_end() frees it. */
struct run *run_new(const struct options *opts, const char *command,
    struct run_result *result);
/* Opens the store, takes its lease (but for a dry run), makes the stage. */
int run_open(struct run *run, struct error *err);
/* The same of a store that has to be there. */
int run_open_update(struct run *run, struct error *err);
/* Adds one of the five collections. */
void run_add(struct run *run, enum collection collection);
/* store_begin() for a run: it finds what the last finished one has left. */
int run_begin(struct run *run, struct error *err);
/* The history entry gets a member of that name, which is copied. */
void run_add_member(struct run *run, const char *name, const bson_t *member);
/*
 * Converts what is staged in the lists of the three raw collections, or from
 * the store when from_store.  The outputs are staged then.
 */
int run_convert(struct run *run, bool from_store, struct error *err);
/* What is to be done to the collections from the tally first on. */
int run_plan(struct run *run, size_t first, struct error *err);
/* From a complete plan to the end: guard, version, writes, history, flip. */
int run_apply(struct run *run, struct error *err);

/* The steps of run_apply() that other runs have, too: */
/* The version that the run has or, when it is dry, would have. */
int run_take_version(struct run *run, int64_t now_ms, struct error *err);
/* Gives -1.  What another run has written meanwhile, which has taken the lease,
 * adds up to nothing: err says so then. */
int run_fail_unbalanced(struct run *run, struct error *err);
/* The history entry, and then the flip: all of the run at once. */
int run_publish(struct run *run, struct error *err);

/* Frees what the run has; fills the result when rc is 0, and gives rc. */
int run_end(struct run *run, int rc, const struct error *err);

/* The job's counts become those of the tallies; one without a name is over. */
void run_note(struct run *run);
/* What the run is at from now on. */
void run_stage(struct run *run, enum job_stage stage);
/* Opens the ledger, waits for the lease as the options say, and is a job. */
int run_job_begin(struct run *run, struct error *err);
/* As job_keeper_check(). */
int run_job_check(struct run *run, struct error *err);
/* The ledger has the end of the job, with err when rc is -1. */
void run_job_end(struct run *run, int rc, const struct error *err);

/* A run of the bulk mode. */
int run_bulk(struct run *run, struct error *err);
/*
 * Stages the stored resources of the bulk mode that conversion wants, by their
 * business keys.  1 = there are some, 0 = there are none.
 */
int run_restage(struct run *run, struct error *err);

#endif
