/* A record of a store as JSON: what `show` and `export` print. */
#ifndef NOMPD_RECORD_JSON_H
#define NOMPD_RECORD_JSON_H

#include "error.h"
#include "store.h"

struct buf;

/*
 * Appends the record as one line of compact JSON text (no newline): _id,
 * BusinessKey, Data, Version, IsDeleted, UpdatedAt and ContentHash.  -1
 * (STATUS_STORE): its Data is no sound BSON; the sentence names the record.
 */
int record_json_append(struct buf *out, const char *collection,
    const struct store_record *record, struct error *err);
/* The same with one member more, ReplacedIn: the version that has replaced this
 * state of the record, or null. */
int record_json_append_state(struct buf *out, const char *collection,
    const struct store_record *record, struct error *err);

#endif
