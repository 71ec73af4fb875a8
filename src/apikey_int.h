/* What looking keys up and changing them share. */
#ifndef NOMPD_APIKEY_INT_H
#define NOMPD_APIKEY_INT_H

#include <sys/stat.h>

#include "apikey.h"
#include "buf.h"
#include "hash.h"

#define APIKEY_HASH_PREFIX "sha256:"

/* The whole file; -1 as for apikey_check().  The caller clears out. */
int apikey_read(const char *path, struct buf *out, struct stat *info,
    struct error *err);

/* A walk over the lines of a file that was read; zeroed is its start. */
struct apikey_walk {
	const char *line; /* where the current line begins, and its end */
	const char *end;
	size_t	    next;
	unsigned    number;
};
/*
 * 1 = a line with a key, 0 = the end, 2 = a comment or a blank line, -1 = a
 * line that is neither (the sentence has its number, not its text).
 */
int apikey_walk_next(struct apikey_walk *walk, const struct buf *file,
    struct apikey *key, struct error *err);

/* The SHA-256 of a key's text, as hex digits and a NUL. */
void apikey_hash(const char *text, char hex[HASH_TEXT_BYTES]);

#endif
