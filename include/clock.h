/* Time, in one place, so that a test can replace it when it links. */
#ifndef NOMPD_CLOCK_H
#define NOMPD_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of a time as text, its NUL included, whatever its year. */
#define CLOCK_TEXT_BYTES 48

/* UTC, milliseconds since 1970. */
int64_t clock_now_ms(void);
/* Milliseconds since some start; never goes back.  For durations. */
int64_t clock_monotonic_ms(void);
/* The same, and it goes on while the machine sleeps. */
int64_t clock_boottime_ms(void);
/* ms (UTC since 1970) as "2025-04-10T08:30:00.123Z" (RFC 3339). */
void clock_format(int64_t ms, char text[CLOCK_TEXT_BYTES]);
/* The same to the second, cut, not rounded: "2025-04-10T08:30:00Z". */
void clock_format_seconds(int64_t ms, char text[CLOCK_TEXT_BYTES]);
/* The same as "Thu, 10 Apr 2025 08:30:00 GMT" (RFC 9110, 5.6.7). */
void clock_format_http(int64_t ms, char text[CLOCK_TEXT_BYTES]);

#endif
