/* A key pair for SMART Backend Services, or to sign the history with, for an
 * operator in a shell. */
#ifndef NOMPD_COMMAND_KEYGEN_H
#define NOMPD_COMMAND_KEYGEN_H

#include "error.h"
#include "options.h"

/*
 * Makes the private key's file (mode 0600) and that of the public JWK Set
 * (0644), and says in the log what each is for.  Neither is overwritten
 * (STATUS_USAGE), and there are both afterwards or none.
 */
int command_keygen(const struct options *opts, struct error *err);

#endif
