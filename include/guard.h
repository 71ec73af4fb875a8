/*
 * Judges a complete plan before the first write: an upstream that lost its
 * data looks like a request to delete it.  (nompd-sync(1), THE GUARD)
 */
#ifndef NOMPD_GUARD_H
#define NOMPD_GUARD_H

#include <stddef.h>

#include "error.h"
#include "options.h"
#include "tally.h"

/* Below so many deletions in a collection a percentage is not looked at. */
#define GUARD_FLOOR 10

/* 0 = let through; -1 = held (STATUS_HELD), a line for each collection. */
int guard_check(const struct tally *tallies, size_t count,
    struct max_delete max_delete, struct error *err);

#endif
