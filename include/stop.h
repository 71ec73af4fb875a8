/*
 * One question, asked between records, batches and bytes: is there a reason to
 * stop?  A signal (SIGTERM, SIGINT) only sets a flag and wakes whoever waits
 * on stop_fd(); so does the order of another thread; the deadline is a point on
 * the monotonic clock.
 */
#ifndef NOMPD_STOP_H
#define NOMPD_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/*
 * Catches the signals and sets the deadline, in ms from now; 0 = none.  The
 * only state of the process beside the log.
 */
int stop_init(int64_t deadline_ms, struct error *err);

/* The run is published: from here on signals and orders change nothing. */
void stop_ignore_signals(void);

/*
 * Another thread orders the end: from now on stop_check() gives this error.
 * Only the first order counts.
 */
void stop_order(const struct error *order);
/* Each stop_check() calls fn as well, in its own thread; NULL: no more. */
void stop_set_watch(void (*fn)(void *ctx), void *ctx);

/* True once a signal has come. */
bool stop_is_signalled(void);

/*
 * 0 = go on.  -1 = stop: err has STATUS_INTERRUPTED + the signal, the order's
 * error, or late when the deadline has passed.
 */
int stop_check(enum status late, struct error *err);

/* Milliseconds to the deadline, at least 0; INT64_MAX when there is none. */
int64_t stop_remaining_ms(void);
/* Becomes readable once a signal or an order has come; -1 before
 * stop_init(). */
int stop_fd(void);
/* Sleeps for ms, until a signal, an order or the deadline, whichever comes
 * first. */
void stop_sleep(int64_t ms);

/*
 * For what is to be done after a run's end, however that came: forgets the
 * signal that has come, and catches the next one.
 */
void stop_renew(void);

/*
 * Ends the process as the signal that error carries would have (so that a
 * shell sees it); returns the exit status to use when there was none.
 */
int stop_end_status(enum status status);

#endif
