#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "instant.h"

#define US_PER_SECOND	   INT64_C(1000000)
#define US_PER_MS	   1000
#define US_DIGITS	   6
#define SECONDS_PER_MINUTE 60
#define SECONDS_PER_HOUR   3600
/* The farthest zone from UTC (FHIR R4, the pattern of instant). */
#define MAX_ZONE_SECONDS (14 * SECONDS_PER_HOUR)
/* Years with four digits; 0000 is none. */
#define MIN_YEAR  1
#define TM_YEAR_0 1900

/* Exactly n digits, with a value from min to max. */
static bool
read_digits(const char **text, int n, int min, int max, int *out)
{
	int i, value = 0;

	for (i = 0; i < n; i++) {
		if ((*text)[i] < '0' || (*text)[i] > '9')
			return false;
		value = value * 10 + ((*text)[i] - '0');
	}
	*text += n;
	*out = value;
	return value >= min && value <= max;
}

static bool
read_sign(const char **text, char sign)
{
	if (**text != sign)
		return false;
	(*text)++;
	return true;
}

/* Date and time to the second; the second 60 is a leap second. */
static bool
read_time(const char **text, struct tm *tm)
{
	return read_digits(text, 4, MIN_YEAR, 9999, &tm->tm_year) &&
	    read_sign(text, '-') && read_digits(text, 2, 1, 12, &tm->tm_mon) &&
	    read_sign(text, '-') && read_digits(text, 2, 1, 31, &tm->tm_mday) &&
	    read_sign(text, 'T') && read_digits(text, 2, 0, 23, &tm->tm_hour) &&
	    read_sign(text, ':') && read_digits(text, 2, 0, 59, &tm->tm_min) &&
	    read_sign(text, ':') && read_digits(text, 2, 0, 60, &tm->tm_sec);
}

/* The seconds since 1970, without the zone; false for a day that is none. */
static bool
count_seconds(struct tm *tm, int64_t *seconds)
{
	int day = tm->tm_mday, second = tm->tm_sec;

	tm->tm_year -= TM_YEAR_0;
	tm->tm_mon--;
	tm->tm_sec = 0;
	*seconds = (int64_t)timegm(tm) + second;
	return tm->tm_mday == day;
}

static bool
read_fraction(const char **text, int64_t *us)
{
	int digit, n = 0;

	*us = 0;
	if (!read_sign(text, '.'))
		return true;
	for (; read_digits(text, 1, 0, 9, &digit); n++) {
		if (n < US_DIGITS)
			*us = *us * 10 + digit;
	}
	if (n == 0)
		return false;
	for (; n < US_DIGITS; n++)
		*us *= 10;
	return true;
}

static bool
read_zone(const char **text, int *seconds)
{
	int hours, minutes, sign;

	*seconds = 0;
	if (read_sign(text, 'Z'))
		return true;
	sign = **text == '-' ? -1 : 1;
	if ((!read_sign(text, '+') && !read_sign(text, '-')) ||
	    !read_digits(text, 2, 0, 14, &hours) || !read_sign(text, ':') ||
	    !read_digits(text, 2, 0, 59, &minutes))
		return false;
	*seconds = hours * SECONDS_PER_HOUR + minutes * SECONDS_PER_MINUTE;
	if (*seconds > MAX_ZONE_SECONDS)
		return false;
	*seconds *= sign;
	return true;
}

bool
instant_parse(const char *text, int64_t *us)
{
	struct tm tm = { 0 };
	int64_t	  seconds, fraction;
	int	  zone;

	if (!read_time(&text, &tm) || !count_seconds(&tm, &seconds) ||
	    !read_fraction(&text, &fraction) || !read_zone(&text, &zone) ||
	    *text != '\0')
		return false;
	*us = (seconds - zone) * US_PER_SECOND + fraction;
	return true;
}

void
instant_format(int64_t us, char text[INSTANT_TEXT_BYTES])
{
	int64_t	  behind = us % US_PER_SECOND;
	struct tm tm = { 0 };
	time_t	  seconds;
	size_t	  len;

	/* Rounded down, also before 1970. */
	seconds = (time_t)(us / US_PER_SECOND) - (behind < 0);
	if (behind < 0)
		behind += US_PER_SECOND;
	(void)gmtime_r(&seconds, &tm);
	len = (size_t)snprintf(text, INSTANT_TEXT_BYTES, "%04d",
	    (tm.tm_year + TM_YEAR_0) % 10000);
	len += strftime(text + len, INSTANT_TEXT_BYTES - len,
	    "-%m-%dT%H:%M:%S", &tm);
	if (behind % US_PER_MS == 0)
		(void)snprintf(text + len, INSTANT_TEXT_BYTES - len, ".%03dZ",
		    (int)(behind / US_PER_MS));
	else
		(void)snprintf(text + len, INSTANT_TEXT_BYTES - len, ".%06dZ",
		    (int)behind);
}
