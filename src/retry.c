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

int64_t
retry_wait_ms(unsigned attempt, int64_t retry_after_s)
{
	uint32_t limit = RETRY_BASE_MS;

	if (retry_after_s > MAX_RETRY_AFTER_MS / 1000)
		return MAX_RETRY_AFTER_MS;
	if (retry_after_s > 0)
		return retry_after_s * 1000;
	while (attempt-- > 0 && limit < MAX_RETRY_MS)
		limit *= 2;
	if (limit > MAX_RETRY_MS)
		limit = MAX_RETRY_MS;
	return randombytes_uniform(limit + 1);
}
