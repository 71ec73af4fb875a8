/* What a rollback goes back to, beside the seal of that version. */
#ifndef NOMPD_ROLLBACK_SEAL_H
#define NOMPD_ROLLBACK_SEAL_H

#include "error.h"
#include "seal.h"
#include "store.h"

struct rollback_seal;

/* The seal of a finished version, if it has one; the caller frees *out. */
int rollback_seal_read(struct store *store, int64_t version,
    struct rollback_seal **out, struct error *err);
/* NULL is fine. */
void rollback_seal_free(struct rollback_seal *seal);
/*
 * -1 (STATUS_STORE): the collection as of then has other numbers than it was
 * sealed with.  Tombstones that were pruned since are not missed: then only
 * what consumers got of it, if they did, and how many records were live is
 * compared.
 */
int rollback_seal_check(const struct rollback_seal *seal,
    const char *collection, const struct seal_numbers *is,
    struct error *err);

#endif
