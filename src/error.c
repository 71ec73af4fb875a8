#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

void
error_fill(struct error *err, enum status status, const char *fmt, ...)
{
	va_list ap;

	err->status = status;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
}

void
error_put_before(struct error *err, const char *fmt, ...)
{
	char	tail[MAX_ERROR_TEXT];
	va_list ap;
	int	len;
	size_t	room;

	memcpy(tail, err->text, sizeof(tail));
	va_start(ap, fmt);
	len = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (len < 0)
		len = 0;
	if ((size_t)len >= sizeof(err->text))
		return;
	/* What does not fit is cut, as anywhere in an error. */
	room = sizeof(err->text) - (size_t)len;
	if (snprintf(err->text + len, room, ": %s", tail) < 0)
		err->text[len] = '\0';
}
