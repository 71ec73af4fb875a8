/*
 * The seal of a history entry: what the store held when the run was published,
 * as digests, chained to the entry before it and, with a key, signed.  It is a
 * BSON document (nompd-store(7), SEALED HISTORY).
 */
#ifndef NOMPD_SEAL_H
#define NOMPD_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "hash.h"

/*
 * The consumers' digest of a collection from the seal of len bytes (NULL: there
 * is none): 1 = text is filled, 0 = the seal has none, for the collection is
 * none of consumers', was not there, has an item without canonical JSON, or the
 * seal is not sound.
 */
int seal_data_digest(const uint8_t *seal, size_t len, const char *collection,
    char text[HASH_TEXT_BYTES]);

#endif
