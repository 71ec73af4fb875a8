/*
 * The conversion of a run: raw records, wherever they are, to staged outputs.
 */
#ifndef NOMPD_OUTPUT_H
#define NOMPD_OUTPUT_H

#include <bson/bson.h>
#include <stdint.h>

#include "collection.h"
#include "error.h"
#include "source.h"
#include "stage.h"

struct output;

/* stage and *unresolved (raised by unresolved references) are borrowed. */
struct output *output_new(struct stage *stage, uint64_t *unresolved);
/* NULL is fine. */
void output_free(struct output *output);

/*
 * Converts a RegulatedAuthorization with the business key of len bytes into
 * the list of ReimbursementGroups.  It needs nothing but itself, so that it is
 * converted while it is in hand.
 */
int output_reimbursement(struct output *output, const char *key, size_t len,
    const bson_t *authorization, struct error *err);

/*
 * Converts all of source, a raw collection, into the list of collection.  -1 at
 * the first record that cannot be converted.
 */
int output_all(struct output *output, enum collection collection,
    struct source *source, struct error *err);

#endif
