/*
 * Bytes that grow.  A buffer is the caller's struct: zeroed is empty.
 *
 * Invariants: len <= cap; data is NULL exactly when cap is 0.
 */
#ifndef NOMPD_BUF_H
#define NOMPD_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
	uint8_t *data;
	size_t	 len;
	size_t	 cap;
};

/* Makes room for at least more bytes behind len. */
void buf_grow(struct buf *buf, size_t more);
/* Frees the memory; the buffer is empty again and may be used. */
void buf_clear(struct buf *buf);

/* Appends formatted text, without a NUL. */
void buf_print(struct buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Makes room for more bytes behind len and returns where they go. */
static inline uint8_t *
buf_reserve(struct buf *buf, size_t more)
{
	if (buf->cap - buf->len < more || buf->data == NULL)
		buf_grow(buf, more);
	return buf->data + buf->len;
}

/* Appends a copy of len bytes. */
static inline void
buf_append(struct buf *buf, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(buf_reserve(buf, len), data, len);
	buf->len += len;
}

/* Appends one byte. */
static inline void
buf_append_byte(struct buf *buf, uint8_t byte)
{
	*buf_reserve(buf, 1) = byte;
	buf->len++;
}

#endif
