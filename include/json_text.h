/* JSON that was made here, as text. */
#ifndef NOMPD_JSON_TEXT_H
#define NOMPD_JSON_TEXT_H

#include <jansson.h>

/*
 * The value on one line, without a newline; the caller frees it.  The value is
 * freed here; NULL stands for one that there was no memory for, and ends the
 * process like any other lack of it.
 */
char *json_text(json_t *value);

#endif
