/* The plan for people and programs: a JSON line for each change. */
#ifndef NOMPD_PLAN_PRINT_H
#define NOMPD_PLAN_PRINT_H

#include <stddef.h>

#include "error.h"
#include "stage.h"
#include "tally.h"

/*
 * Writes {"collection":...,"key":...,"act":"add"|"update"|"delete"} for each
 * planned change to the file at path, written aside and renamed when whole, or
 * to standard error when path is NULL.  -1 (STATUS_STORE): it cannot be
 * written.
 */
int plan_print(struct stage *stage, const struct tally *tallies, size_t count,
    const char *path, struct error *err);
/* Can it be written there?  Asked before a run begins, for the same error. */
int plan_print_check(const char *path, struct error *err);

#endif
