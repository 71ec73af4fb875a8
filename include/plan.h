/*
 * The decisions of a run: for each collection a merge-join of its staged list
 * (in key order) and what the store holds (in key order), with two records in
 * memory.  Nothing is written but the plan, in the stage.  (nompd-sync(1))
 */
#ifndef NOMPD_PLAN_H
#define NOMPD_PLAN_H

#include "error.h"
#include "stage.h"
#include "store.h"
#include "tally.h"

/*
 * Plans a collection from its staged list, and counts.  A resource that is
 * older, or less, than what the store has of it changes nothing.  -1 also
 * (STATUS_PROTOCOL) when a key is to be deleted and comes as well.
 */
int plan_collection(struct stage *stage, struct store *store,
    struct tally *tally, struct error *err);

#endif
