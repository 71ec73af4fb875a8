#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "number.h"
#include "query.h"

/* The value of a hex digit, or -1. */
static int
hex_value(char digit)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char	 *at;

	at = digit != '\0' ? strchr(digits, digit) : NULL;
	return at != NULL ? (int)((at - digits) % 16) : -1;
}

/*
 * Decodes the len bytes at text into out (size bytes); -1: they do not fit, or
 * there is a NUL among them.
 */
static int
decode(const char *text, size_t len, char *out, size_t size)
{
	size_t i, n = 0;
	int    high, low;
	char   byte;

	for (i = 0; i < len; i++) {
		byte = text[i] == '+' ? ' ' : text[i];
		if (text[i] == '%' && i + 2 < len) {
			high = hex_value(text[i + 1]);
			low = hex_value(text[i + 2]);
			if (high != -1 && low != -1) {
				byte = (char)(high * 16 + low);
				i += 2;
			}
		}
		if (byte == '\0' || n + 1 >= size)
			return -1;
		out[n++] = byte;
	}
	out[n] = '\0';
	return 0;
}

/* Is it the parameter of that name?  *value is what stands behind the =. */
static bool
is_named(const char *pair, size_t len, const char *name, size_t *value)
{
	char   decoded[MAX_VALUE_BYTES + 1];
	size_t name_len = 0;

	while (name_len < len && pair[name_len] != '=')
		name_len++;
	*value = name_len < len ? name_len + 1 : len;
	return decode(pair, name_len, decoded, sizeof(decoded)) == 0 &&
	    strcasecmp(decoded, name) == 0;
}

int
query_get(const char *query, const char *name, char value[MAX_VALUE_BYTES + 1])
{
	size_t len, at;
	int    found = 0;

	for (;; query += len + 1) {
		len = strcspn(query, "&");
		if (is_named(query, len, name, &at)) {
			if (found != 0 || decode(query + at, len - at, value,
			    MAX_VALUE_BYTES + 1) == -1)
				return -1;
			found = 1;
		}
		if (query[len] == '\0')
			return found;
	}
}

int
query_get_int64(const char *query, const char *name, int64_t *out)
{
	char	    value[MAX_VALUE_BYTES + 1];
	const char *end = value;
	uint64_t    number;
	int	    rc;

	rc = query_get(query, name, value);
	if (rc != 1)
		return rc;
	if (!number_read(&end, INT64_MAX, &number) || *end != '\0')
		return -1;
	*out = (int64_t)number;
	return 1;
}

int
query_get_duration(const char *query, const char *name, int64_t max,
    int64_t *out)
{
	char value[MAX_VALUE_BYTES + 1];
	int  rc;

	rc = query_get(query, name, value);
	if (rc == 1 && !number_parse_duration(value, 0, max, out))
		return -1;
	return rc;
}
