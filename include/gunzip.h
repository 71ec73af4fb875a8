/*
 * gzip (RFC 1952) in chunks.  libcurl can do this too, but does not tell a
 * body that lacks its trailer from a whole one, and a list that lost its end
 * must not look like deletions.
 */
#ifndef NOMPD_GUNZIP_H
#define NOMPD_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Takes decoded bytes; -1 ends it. */
typedef int (*gunzip_fn)(void *ctx, const uint8_t *data, size_t len,
    struct error *err);

struct gunzip;

struct gunzip *gunzip_new(void);
void gunzip_free(struct gunzip *gunzip);
/* Makes it ready for another body. */
void gunzip_reset(struct gunzip *gunzip);
/*
 * Decodes the next len bytes; members that follow each other are one text.
 * -1: not gzip (STATUS_PROTOCOL) or what fn said.
 */
int gunzip_feed(struct gunzip *gunzip, const uint8_t *data, size_t len,
    gunzip_fn fn, void *ctx, struct error *err);
/* True when the body may end here: behind a member's trailer. */
bool gunzip_is_whole(const struct gunzip *gunzip);

#endif
