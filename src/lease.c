#include "clock.h"
#include "lease.h"
#include "log.h"
#include "stop.h"

/* How often the lease is asked for while another run has it. */
#define LEASE_POLL_MS 250

int
lease_take(struct store *store, int64_t wait_ms, char holder[MAX_HOLDER_TEXT],
    struct error *err)
{
	int64_t end_ms = clock_monotonic_ms() + wait_ms;
	bool	is_told = false;
	int	rc;

	for (;;) {
		rc = store_lease_try(store, holder, err);
		if (rc != 0)
			return rc == 1 ? 0 : -1;
		if (clock_monotonic_ms() >= end_ms)
			return error_set(err, STATUS_BUSY, "another run is"
			    " active on store %s (%s); wait for it to end, or"
			    " use --wait", store_name(store), holder);
		if (!is_told)
			log_info("waiting for another run on store %s to end"
			    " (%s)", store_name(store), holder);
		is_told = true;
		stop_sleep(LEASE_POLL_MS);
		if (stop_check(STATUS_BUSY, err) == -1)
			return -1;
	}
}
