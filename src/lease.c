#include "clock.h"
#include "lease.h"
#include "log.h"
#include "stop.h"

/* How often the lease is asked for while another run has it. */
#define LEASE_POLL_MS 250

/* 1 = taken, 0 = others have it, or have the right to it. */
static int
try_once(struct store *store, const struct lease_queue *queue,
    char holder[MAX_HOLDER_TEXT], struct error *err)
{
	int rc = 1;

	if (queue != NULL)
		rc = queue->is_turn(queue->ctx, holder, err);
	return rc == 1 ? store_lease_try(store, holder, err) : rc;
}

int
lease_take(struct store *store, const struct lease_queue *queue,
    int64_t wait_ms, char holder[MAX_HOLDER_TEXT], struct error *err)
{
	int64_t start_ms = clock_monotonic_ms();
	bool	is_waiting = false;
	int	rc;

	for (;;) {
		rc = try_once(store, queue, holder, err);
		if (rc != 0)
			return rc == 1 ? 0 : -1;
		if (clock_monotonic_ms() - start_ms >= wait_ms)
			return error_set(err, STATUS_BUSY, "another run is"
			    " active on store %s (%s); wait for it to end, or"
			    " use --wait%s", store_name(store), holder,
			    queue != NULL ? " or --queue" : "");
		if (!is_waiting) {
			log_info("waiting for another run on store %s to end"
			    " (%s)", store_name(store), holder);
			if (queue != NULL &&
			    queue->enter(queue->ctx, err) == -1)
				return -1;
		}
		is_waiting = true;
		stop_sleep(LEASE_POLL_MS);
		if (stop_check(STATUS_BUSY, err) == -1)
			return -1;
	}
}
