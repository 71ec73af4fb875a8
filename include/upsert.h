/* Carries out the plan of one collection, for every kind of store alike. */
#ifndef NOMPD_UPSERT_H
#define NOMPD_UPSERT_H

#include <stdint.h>

#include "error.h"
#include "stage.h"
#include "store.h"
#include "tally.h"

/* Every record that changes gets version and now_ms. */
int upsert_collection(struct stage *stage, struct store *store,
    struct tally *tally, int64_t version, int64_t now_ms,
    struct error *err);

#endif
