/* One run at a time per store. */
#ifndef NOMPD_LEASE_H
#define NOMPD_LEASE_H

#include <stdint.h>

#include "error.h"
#include "store.h"

/*
 * Takes the store's lease until store_close(); waits up to wait_ms for another
 * run to end.  holder says who has it in the end, as store_lease_try().  -1:
 * STATUS_BUSY, naming who has it; or as store_lease_try().
 */
int lease_take(struct store *store, int64_t wait_ms,
    char holder[MAX_HOLDER_TEXT], struct error *err);

#endif
