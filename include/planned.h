/*
 * What a collection will hold once its plan is carried out: the stored live
 * records and the planned changes, joined.
 */
#ifndef NOMPD_PLANNED_H
#define NOMPD_PLANNED_H

#include <bson/bson.h>

#include "error.h"
#include "stage.h"
#include "store.h"

/*
 * Called for each live record in ascending byte order of the keys; all of it
 * is borrowed until the call returns.  -1 ends the walk.
 */
typedef int (*planned_fn)(void *ctx, const char *key, const bson_t *data,
    struct error *err);

/* Walks the collection of that name, whose plan is that of list. */
int planned_walk(struct stage *stage, int list, struct store *store,
    const char *name, planned_fn fn, void *ctx, struct error *err);

#endif
