#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "number.h"
#include "query.h"
#include "text.h"

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
			high = text_hex_value((uint8_t)text[i + 1]);
			low = text_hex_value((uint8_t)text[i + 2]);
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

/*
 * The parameter as it stands in the query.  1 = *value and *len filled, 0 = it
 * is not there, -1 = it is there twice.
 */
static int
find(const char *query, const char *name, const char **value, size_t *value_len)
{
	size_t len, at;
	int    found = 0;

	for (;; query += len + 1) {
		len = strcspn(query, "&");
		if (is_named(query, len, name, &at)) {
			if (found != 0)
				return -1;
			*value = query + at;
			*value_len = len - at;
			found = 1;
		}
		if (query[len] == '\0')
			return found;
	}
}

static int
get(const char *query, const char *name, char *value, size_t size)
{
	const char *text;
	size_t	    len;
	int	    rc;

	rc = find(query, name, &text, &len);
	if (rc == 1 && decode(text, len, value, size) == -1)
		return -1;
	return rc;
}

int
query_get(const char *query, const char *name, char value[MAX_VALUE_BYTES + 1])
{
	return get(query, name, value, MAX_VALUE_BYTES + 1);
}

int
query_get_words(const char *query, const char *name, char *value, size_t size)
{
	int rc;

	rc = get(query, name, value, size);
	return rc == 1 && !text_is_plain(value) ? -1 : rc;
}

int
query_get_int64(const char *query, const char *name, int64_t *out)
{
	/* However many zeros stand in front. */
	char	    digits[MAX_QUERY_BYTES + 1];
	const char *text, *end = digits;
	uint64_t    number;
	size_t	    len;
	int	    rc;

	rc = find(query, name, &text, &len);
	if (rc != 1)
		return rc;
	if (decode(text, len, digits, sizeof(digits)) == -1 ||
	    !number_read(&end, INT64_MAX, &number) || *end != '\0')
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
