/*
 * Versions of the past that a command is asked for: whether they were finished,
 * and whether the store can still show them.
 */
#ifndef NOMPD_PAST_H
#define NOMPD_PAST_H

#include <stdint.h>

#include "error.h"
#include "store.h"

/* All of these after store_begin(); each -1 that is no failure of the store has
 * STATUS_NOT_FOUND, and says which versions there are. */

/* -1: version, which flag asked for, is no finished one. */
int past_check_finished(struct store *store,
    const struct store_versions *versions, int64_t version, const char *flag,
    struct error *err);
/* -1: store_view() cannot show the version any more. */
int past_check_shown(const struct store *store,
    const struct store_versions *versions, int64_t version, const char *flag,
    struct error *err);
/* -1: changes since the version, 0 for all there ever were, are not complete
 * any more; hint says what to do instead. */
int past_check_complete(const struct store *store,
    const struct store_versions *versions, int64_t version, const char *flag,
    const char *hint, struct error *err);
/*
 * The finished run whose state was there at the version and at at_ms, either of
 * which is INT64_MAX when it does not matter.  -1: none had finished by then,
 * or the version is above the last one.
 */
int past_find(struct store *store, const struct store_versions *versions,
    int64_t version, int64_t at_ms, const char *flag, struct store_run *out,
    struct error *err);

#endif
