/* Keys of records, and how large a record is (nompd-store(7), RECORDS). */
#ifndef NOMPD_RECORD_H
#define NOMPD_RECORD_H

#include <stddef.h>

#include "error.h"

/*
 * The bytes, as BSON, of the largest document that a store makes of a record
 * whose key has key_len bytes and whose Data is a BSON document of data_len
 * bytes: its former state, in a collection with the longest name.  At most
 * MAX_RECORD_BYTES may be stored.
 */
size_t record_bytes(size_t key_len, size_t data_len);
/* -1 (STATUS_PROTOCOL): the record of a resource is larger than that. */
int record_check_size(size_t key_len, size_t data_len, struct error *err);

/* The order of two keys, byte by byte. */
int record_key_compare(const char *one, size_t one_len, const char *other,
    size_t other_len);

#endif
