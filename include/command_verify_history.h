/* The part of `verify` that is about the history alone. */
#ifndef NOMPD_COMMAND_VERIFY_HISTORY_H
#define NOMPD_COMMAND_VERIFY_HISTORY_H

#include "error.h"
#include "options.h"

/* Findings that are printed, of records or of the history; more are counted. */
#define MAX_FINDINGS_PRINTED 1000

/*
 * Prints each finding, and what was checked, as lines or JSON.  -1
 * (STATUS_FINDINGS): all is printed, and there are findings.
 */
int command_verify_history(const struct options *opts, struct error *err);

#endif
