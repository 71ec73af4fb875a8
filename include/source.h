/*
 * Raw records for the conversion, in ascending byte order of their keys, and
 * the ActivityDefinitions they refer to: from this run's stage, or (when only
 * the conversion is done again) from the store.
 */
#ifndef NOMPD_SOURCE_H
#define NOMPD_SOURCE_H

#include <bson/bson.h>

#include "collection.h"
#include "error.h"
#include "stage.h"
#include "store.h"

/* A raw record; borrowed until the next call of _next. */
struct source_record {
	const char *key;
	size_t	    len;
	bson_t	    data; /* read-only view */
};

struct source;

/* Both borrow what they are given; the caller frees with source_close(). */
int source_from_stage(struct stage *stage, enum collection collection,
    struct source **out, struct error *err);
int source_from_store(struct store *store, enum collection collection,
    struct source **out, struct error *err);
/* 1 = *record filled, 0 = end, -1 = failed. */
int source_next(struct source *source, struct source_record *record,
    struct error *err);
/* A convert_find_fn; ctx is the source. */
int source_find_activity(void *ctx, const char *key, size_t len, bson_t *out,
    struct error *err);
/* NULL is fine. */
void source_close(struct source *source);

#endif
