/* Numbers and times as people write them in options and queries. */
#ifndef NOMPD_NUMBER_H
#define NOMPD_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Reads the ASCII digits at *text, up to the value max, and moves *text behind
 * them.  False, with nothing changed: no digit is there, or the number is
 * above max.
 */
bool number_read(const char **text, uint64_t max, uint64_t *out);
/* A whole number from min to max and nothing else; *out only when true. */
bool number_parse(const char *text, uint64_t min, uint64_t max,
    unsigned *out);
/*
 * "500ms", "30s", "5m", "1h", "2d", "2y" (years of 365 days) or plain seconds,
 * in milliseconds, from min to max; *out only when true.
 */
bool number_parse_duration(const char *text, int64_t min, int64_t max,
    int64_t *out);

#endif
