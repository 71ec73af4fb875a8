/* The keys of the API, for an operator in a shell. */
#ifndef NOMPD_COMMAND_KEY_H
#define NOMPD_COMMAND_KEY_H

#include "error.h"
#include "options.h"

/* Prints a new key, and nothing else, on standard output. */
int command_key_add(const struct options *opts, struct error *err);
/* Prints a table of names, scopes and dates. */
int command_key_list(const struct options *opts, struct error *err);
/* Makes a key worthless; STATUS_NOT_FOUND when there is none of that name. */
int command_key_revoke(const struct options *opts, struct error *err);

#endif
