#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "xalloc.h"

#define MIN_CAPACITY 256

void
buf_grow(struct buf *buf, size_t more)
{
	size_t cap;

	cap = buf->cap > 0 ? buf->cap : MIN_CAPACITY;
	while (cap - buf->len < more)
		cap *= 2;
	buf->data = xrealloc(buf->data, cap);
	buf->cap = cap;
}

void
buf_clear(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ 0 };
}

void
buf_print(struct buf *buf, const char *fmt, ...)
{
	va_list ap;
	char   *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	buf_append(buf, text, strlen(text));
	free(text);
}
