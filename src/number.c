#include <stddef.h>
#include <string.h>

#include "number.h"

#define MS_PER_DAY (24LL * 60 * 60 * 1000)

bool
number_read(const char **text, uint64_t max, uint64_t *out)
{
	const char *p = *text;
	uint64_t    number = 0, digit;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		digit = (uint64_t)(*p - '0');
		if (digit > max || number > (max - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*text = p;
	*out = number;
	return true;
}

bool
number_parse(const char *text, uint64_t min, uint64_t max, unsigned *out)
{
	uint64_t number;

	if (!number_read(&text, max, &number) || *text != '\0' ||
	    number < min)
		return false;
	*out = (unsigned)number;
	return true;
}

bool
number_parse_duration(const char *text, int64_t min, int64_t max,
    int64_t *out)
{
	static const struct {
		const char *name;
		int64_t	    ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 },
		{ "m", 60 * 1000 }, { "h", 60 * 60 * 1000 },
		{ "d", MS_PER_DAY }, { "y", 365 * MS_PER_DAY } };
	static const size_t n_units = sizeof(units) / sizeof(units[0]);
	uint64_t	    number;
	size_t		    i;
	int64_t		    ms;

	if (!number_read(&text, (uint64_t)max, &number))
		return false;
	for (i = 0; i < n_units; i++) {
		if (strcmp(text, units[i].name) == 0)
			break;
	}
	if (i == n_units || (int64_t)number > max / units[i].ms)
		return false;
	ms = (int64_t)number * units[i].ms;
	if (ms < min)
		return false;
	*out = ms;
	return true;
}
