/*
 * The decisions of a run: for each collection a merge-join of its staged list
 * (in key order) and what the store holds (in key order), with two records in
 * memory.  Nothing is written but the plan, in the stage.  (nompd-sync(1))
 */
#ifndef NOMPD_PLAN_H
#define NOMPD_PLAN_H

#include "collection.h"
#include "error.h"
#include "stage.h"
#include "store.h"
#include "tally.h"

/* Plans a collection, raw or output, from its staged list, and counts. */
int plan_collection(struct stage *stage, struct store *store,
    enum collection collection, struct tally *tally, struct error *err);

#endif
