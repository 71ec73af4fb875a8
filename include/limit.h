/* Limits that more than one module keeps; each other limit stands with the
 * one module that keeps it, as MAX_<WHAT>. */
#ifndef NOMPD_LIMIT_H
#define NOMPD_LIMIT_H

#include <stdint.h>

/* A record (wrapper and Data) as BSON: what a MongoDB document may be. */
#define MAX_RECORD_BYTES (16 * 1024 * 1024)
/* A business key, in bytes. */
#define MAX_KEY_BYTES 1024
/* Objects and arrays inside each other, the resource itself being 1. */
#define MAX_NESTING 100

#endif
