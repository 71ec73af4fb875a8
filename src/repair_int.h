/* What the parts of a repair share. */
#ifndef NOMPD_REPAIR_INT_H
#define NOMPD_REPAIR_INT_H

#include <stdbool.h>

#include "run_int.h"
#include "verify.h"

/*
 * repair_proof.c: Are the raw records, all hashes made again, those that the
 * last finished run has left, as its seal says?  Without a seal it is so where
 * nothing was found in them.  Where it is not the log says why, and what to
 * do.
 */
int repair_prove(struct store *store, const struct verify_counts *found,
    bool *is_proven, struct error *err);

/*
 * repair_restore.c: an output that is damaged is to be written again, and what
 * it was stays behind as a former state.  When what is to be written now is, in
 * the place of what is there, all that the last seal was made of, then that
 * state has to be it: it is put there, with its version, before the outputs are
 * written.
 */
int repair_restore(struct run *run, const struct tally *tally,
    struct error *err);

#endif
