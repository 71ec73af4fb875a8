/* One run at a time per store. */
#ifndef NOMPD_LEASE_H
#define NOMPD_LEASE_H

#include <stdint.h>

#include "error.h"
#include "store.h"

/* Where runs wait for each other in order. */
struct lease_queue {
	/* 1 = it is our turn, 0 = others come first, and holder says so. */
	int (*is_turn)(void *ctx, char holder[MAX_HOLDER_TEXT],
	    struct error *err);
	/* We wait from now on. */
	int (*enter)(void *ctx, struct error *err);
	void *ctx;
};

/*
 * Takes the store's lease until store_close(); waits up to wait_ms for other
 * runs to end, in queue's order (NULL: there is no queue).  holder says who has
 * it in the end, as store_lease_try().  -1: STATUS_BUSY, naming who has it; or
 * as store_lease_try().
 */
int lease_take(struct store *store, const struct lease_queue *queue,
    int64_t wait_ms, char holder[MAX_HOLDER_TEXT], struct error *err);

#endif
