/* A thread that does something again and again, beside the main one. */
#ifndef NOMPD_TICKER_H
#define NOMPD_TICKER_H

#include <stdint.h>

#include "error.h"

struct ticker;

/*
 * Calls fn in a thread of its own every_ms after its last call has ended, until
 * ticker_stop().  fn logs nothing, and no signal comes to it.  -1
 * (STATUS_STORE): there is no thread to be had.
 */
int ticker_start(void (*fn)(void *ctx), void *ctx, int64_t every_ms,
    struct ticker **out, struct error *err);
/* Waits for a call that is under way; NULL is fine. */
void ticker_stop(struct ticker *ticker);

#endif
