/* When a request is tried again, and after how long. */
#ifndef NOMPD_RETRY_H
#define NOMPD_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* The upper end of the first wait; each further one is twice as long ... */
#define RETRY_BASE_MS 1000
/* ... up to this. */
#define MAX_RETRY_MS (60 * 1000)
/* What an upstream may make us wait with Retry-After. */
#define MAX_RETRY_AFTER_MS (5 * 60 * 1000)

/* True for the HTTP statuses that may pass; every other one is final. */
bool retry_is_status(long status);
/*
 * Milliseconds to wait after attempt (the first is 0): exponential backoff with
 * full jitter, or the seconds that Retry-After asks for (0: it is not there).
 */
int64_t retry_wait_ms(unsigned attempt, int64_t retry_after_s);
/*
 * The same between two questions whether something is done, of which asked came
 * before: the same backoff, but never at once, because the answer "not yet" is
 * as it should be (at least three quarters of its upper end).
 */
int64_t retry_poll_wait_ms(unsigned asked);

#endif
