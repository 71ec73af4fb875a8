/* The digests of the further parts of key lists, for those history entries that
 * have some. */
#ifndef NOMPD_VERIFY_PARTS_H
#define NOMPD_VERIFY_PARTS_H

#include <stdint.h>

#include "error.h"
#include "hash.h"

struct store;
struct verify_parts;

/* Reads all parts in the store; the caller frees *out. */
int verify_parts_read(struct store *store, struct verify_parts **out,
    struct error *err);
void verify_parts_free(struct verify_parts *parts);
/* The digest of those of the entry of that version, as a seal has it (Keys). */
void verify_parts_digest(const struct verify_parts *parts, int64_t version,
    char text[HASH_TEXT_BYTES]);

#endif
