/* A set of texts on disk: it may grow, the memory it takes does not. */
#ifndef NOMPD_SQLITE_KEYS_H
#define NOMPD_SQLITE_KEYS_H

#include <stddef.h>

#include "error.h"

struct sqlite_keys;

/* An empty set, in a temporary file that goes with the process. */
int sqlite_keys_open(struct sqlite_keys **out, struct error *err);
/* 1 = the key was added, 0 = it was there, -1 = failed. */
int sqlite_keys_add(struct sqlite_keys *keys, const char *key, size_t len,
    struct error *err);
/* NULL is fine. */
void sqlite_keys_close(struct sqlite_keys *keys);

#endif
