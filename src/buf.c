#include <stdlib.h>

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
