/*
 * The decisions of a run: for each collection a merge-join of what is to be
 * (in key order) and what the store holds (in key order), with two records in
 * memory.  Nothing is written but the plan, in the stage.  (nompd-sync(1))
 */
#ifndef NOMPD_PLAN_H
#define NOMPD_PLAN_H

#include "collection.h"
#include "error.h"
#include "source.h"
#include "stage.h"
#include "store.h"
#include "tally.h"

/* Plans a raw collection from its staged list. */
int plan_raw(struct stage *stage, struct store *store,
    enum collection collection, struct tally *tally, struct error *err);

/*
 * Plans an output collection by converting all of source's records.  One that
 * cannot be converted is a failure, never a deletion.
 */
int plan_output(struct stage *stage, struct store *store,
    enum collection collection, struct source *source, struct tally *tally,
    struct error *err);

#endif
