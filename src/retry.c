#include <sodium.h>
#include <stddef.h>

#include "retry.h"

bool
retry_is_status(long status)
{
	static const long statuses[] = { 408, 425, 429, 500, 502, 503, 504 };
	size_t		  i;

	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (status == statuses[i])
			return true;
	}
	return false;
}

/* The upper end of the wait. */
static uint32_t
wait_limit(unsigned attempt)
{
	uint32_t limit = RETRY_BASE_MS;

	while (attempt-- > 0 && limit < MAX_RETRY_MS)
		limit *= 2;
	return limit > MAX_RETRY_MS ? MAX_RETRY_MS : limit;
}

int64_t
retry_wait_ms(unsigned attempt, int64_t retry_after_s)
{
	if (retry_after_s > MAX_RETRY_AFTER_MS / 1000)
		return MAX_RETRY_AFTER_MS;
	if (retry_after_s > 0)
		return retry_after_s * 1000;
	return randombytes_uniform(wait_limit(attempt) + 1);
}

int64_t
retry_poll_wait_ms(unsigned asked)
{
	uint32_t limit = wait_limit(asked);

	return limit - randombytes_uniform(limit / 4 + 1);
}
