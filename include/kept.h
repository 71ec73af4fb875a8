/*
 * An answer that was sent, kept in a temporary file for the next client who
 * asks the same: reading it there takes a tenth of the work of making it.
 * What fails here only means that it is made again, unless a part of it was
 * sent already.
 */
#ifndef NOMPD_KEPT_H
#define NOMPD_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "response.h"

/* Bytes of an entity tag's text, its NUL included. */
#define MAX_ETAG_TEXT 160
/* Larger answers are not kept; a temporary folder may lie in memory. */
#define MAX_KEPT_BYTES (16LL * 1024 * 1024)

/*
 * Zeroed is empty.  Invariant: while etag is not empty, fd is a file without a
 * name that holds bytes bytes, or -1: that answer cannot be kept, and is not
 * tried again.
 */
struct kept {
	char	 etag[MAX_ETAG_TEXT];
	int	 fd;
	int64_t	 bytes;
	uint64_t items;
};

/* Begins an answer with that entity tag. */
void kept_begin(struct kept *kept, const char *etag);
/* Adds a piece, as long as it is kept. */
void kept_add(struct kept *kept, const void *data, size_t len);
/* Becomes what next is, which is empty then. */
void kept_take(struct kept *kept, struct kept *next);
void kept_clear(struct kept *kept);

/* Is it the answer with that entity tag, kept or not? */
bool kept_is(const struct kept *kept, const char *etag);
static inline bool
kept_has(const struct kept *kept)
{
	return kept->etag[0] != '\0' && kept->fd != -1;
}
/* Sends all of it.  -1: the file cannot be read; something of it may have been
 * sent. */
int kept_send(const struct kept *kept, struct response *response);

#endif
