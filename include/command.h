/* What an operator asks of a store besides a run. */
#ifndef NOMPD_COMMAND_H
#define NOMPD_COMMAND_H

#include "error.h"
#include "options.h"

/* Makes the store when it is not there; says so in the log. */
int command_init(const struct options *opts, struct error *err);
/* Prints the latest history entries, newest first, as a table or JSON. */
int command_history(const struct options *opts, struct error *err);
/* Prints one record as JSON; STATUS_NOT_FOUND when there is none. */
int command_show(const struct options *opts, struct error *err);

/* Flushes standard output: -1 (STATUS_STORE) when not all has arrived. */
int command_flush(struct error *err);

#endif
