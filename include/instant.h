/* A moment as FHIR writes it: `instant` (FHIR R4, 2.24.0.1). */
#ifndef NOMPD_INSTANT_H
#define NOMPD_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of an instant as text, its NUL included, for every year of FHIR. */
#define INSTANT_TEXT_BYTES 32

/*
 * Microseconds since 1970 (UTC) of an instant: date, time, zone, and a fraction
 * if there is one, whose digits beyond the microsecond are dropped.  False,
 * with *us as it was: the text is none.
 */
bool instant_parse(const char *text, int64_t *us);
/*
 * The other way, in UTC: "2025-04-10T08:30:00.123Z"; six digits when the
 * moment is no whole millisecond.
 */
void instant_format(int64_t us, char text[INSTANT_TEXT_BYTES]);

#endif
