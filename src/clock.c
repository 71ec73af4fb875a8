#include <stdio.h>
#include <time.h>

#include "clock.h"

#define MS_PER_SECOND 1000
#define NS_PER_MS     1000000

static int64_t
read_ms(clockid_t id)
{
	struct timespec now = { 0 };

	(void)clock_gettime(id, &now);
	return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / NS_PER_MS;
}

int64_t
clock_now_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

int64_t
clock_monotonic_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

int64_t
clock_boottime_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

/* The date and time to the second, and the milliseconds behind it. */
static unsigned
split(int64_t ms, struct tm *tm)
{
	time_t	seconds;
	int64_t behind = ms % MS_PER_SECOND;

	/* Rounded down, also before 1970. */
	seconds = (time_t)(ms / MS_PER_SECOND) - (behind < 0);
	*tm = (struct tm){ 0 };
	(void)gmtime_r(&seconds, tm);
	return (unsigned)(behind < 0 ? behind + MS_PER_SECOND : behind);
}

void
clock_format(int64_t ms, char text[CLOCK_TEXT_BYTES])
{
	struct tm tm;
	unsigned  rest;
	size_t	  len;

	rest = split(ms, &tm);
	len = strftime(text, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + len, CLOCK_TEXT_BYTES - len, ".%03uZ",
	    rest % MS_PER_SECOND);
}

void
clock_format_seconds(int64_t ms, char text[CLOCK_TEXT_BYTES])
{
	struct tm tm;

	(void)split(ms, &tm);
	(void)strftime(text, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* In English, for no program of ours sets a locale. */
void
clock_format_http(int64_t ms, char text[CLOCK_TEXT_BYTES])
{
	struct tm tm;

	(void)split(ms, &tm);
	(void)strftime(text, CLOCK_TEXT_BYTES, "%a, %d %b %Y %H:%M:%S GMT",
	    &tm);
}
