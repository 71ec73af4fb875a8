/*
 * The content hash: SHA-256 over the canonical BSON of a document, which is
 * the same document with the members of every object ordered by name (byte
 * order) and arrays as they are.  An upstream that reorders members has
 * changed nothing.  (nompd-store(7), CONTENT HASH)
 */
#ifndef NOMPD_HASH_H
#define NOMPD_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define HASH_BYTES 32
/* 64 lower-case hex digits and a NUL. */
#define HASH_TEXT_BYTES (2 * HASH_BYTES + 1)

/* Scratch memory that is used again for each document. */
struct hasher;

struct hasher *hasher_new(void);
void hasher_free(struct hasher *hasher);

/*
 * The hash of the BSON document of len bytes at data.  -1 with STATUS_PROTOCOL
 * when an object in it has two members of the same name (the sentence names
 * the member and the path of its object, as in "action[2].code"), is nested
 * deeper than MAX_NESTING, or is not sound BSON.
 */
int hash_document(struct hasher *hasher, const uint8_t *data, size_t len,
    uint8_t hash[HASH_BYTES], struct error *err);

/* SHA-256 of bytes that come in pieces: begun, added to, ended. */
void hash_begin(struct hasher *hasher);
void hash_add(struct hasher *hasher, const void *data, size_t len);
void hash_end(struct hasher *hasher, uint8_t hash[HASH_BYTES]);

/* The hash as text. */
void hash_format(const uint8_t hash[HASH_BYTES], char text[HASH_TEXT_BYTES]);
/* The hash that the len bytes of text stand for; -1 when they are none. */
int hash_parse(const char *text, size_t len, uint8_t hash[HASH_BYTES]);

#endif
