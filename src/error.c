#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

int
error_set(struct error *err, enum status status, const char *fmt, ...)
{
	va_list ap;

	err->status = status;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -1;
}

int
error_prefix(struct error *err, const char *fmt, ...)
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
		return -1;
	room = sizeof(err->text) - (size_t)len;
	(void)snprintf(err->text + len, room, ": %s", tail);
	return -1;
}
