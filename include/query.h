/*
 * The parameters of a query string (WHATWG URL, application/x-www-form-
 * urlencoded).  Names ignore ASCII case; unknown ones are nobody's business.
 */
#ifndef NOMPD_QUERY_H
#define NOMPD_QUERY_H

#include <stddef.h>
#include <stdint.h>

/* A query string in bytes; longer ones are refused as a whole. */
#define MAX_QUERY_BYTES 8192
/* A decoded value of a parameter that is known; a longer one is no good. */
#define MAX_VALUE_BYTES 64

/*
 * The decoded value of the parameter.  1 = value filled, 0 = it is not there,
 * -1 = it is there twice, too long, or has a NUL in it.
 */
int query_get(const char *query, const char *name,
    char value[MAX_VALUE_BYTES + 1]);
/*
 * The same for words of people, of up to size - 1 bytes; -1 also when they are
 * not text_is_plain().
 */
int query_get_words(const char *query, const char *name, char *value,
    size_t size);
/*
 * A parameter of ASCII digits up to INT64_MAX.  1 = *out filled, 0 = it is not
 * there, -1 = it is anything else.
 */
int query_get_int64(const char *query, const char *name, int64_t *out);
/* A parameter such as "26h" (number_parse_duration()), in ms up to max. */
int query_get_duration(const char *query, const char *name, int64_t max,
    int64_t *out);

#endif
