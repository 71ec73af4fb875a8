#include <stdlib.h>
#include <zlib.h>

#include "gunzip.h"
#include "xalloc.h"

/* Decoded bytes that are handed on at once. */
#define CHUNK_BYTES (64 * 1024)
/* Window size, and "expect a gzip header" (zlib.h, inflateInit2). */
#define GZIP_WINDOW_BITS (15 + 16)

struct gunzip {
	z_stream stream;
	bool	 is_whole; /* the last member is complete */
	uint8_t	 chunk[CHUNK_BYTES];
};

struct gunzip *
gunzip_new(void)
{
	struct gunzip *gunzip;

	gunzip = xcalloc(1, sizeof(*gunzip));
	if (inflateInit2(&gunzip->stream, GZIP_WINDOW_BITS) != Z_OK)
		xalloc_end();
	return gunzip;
}

void
gunzip_free(struct gunzip *gunzip)
{
	if (gunzip == NULL)
		return;
	(void)inflateEnd(&gunzip->stream);
	free(gunzip);
}

void
gunzip_reset(struct gunzip *gunzip)
{
	(void)inflateReset(&gunzip->stream);
	gunzip->is_whole = false;
}

/* Decodes one chunk of output. */
static int
decode(struct gunzip *gunzip, gunzip_fn fn, void *ctx, struct error *err)
{
	z_stream *stream = &gunzip->stream;
	size_t	  len;
	int	  code;

	if (gunzip->is_whole) {
		(void)inflateReset(stream);
		gunzip->is_whole = false;
	}
	stream->next_out = gunzip->chunk;
	stream->avail_out = sizeof(gunzip->chunk);
	code = inflate(stream, Z_NO_FLUSH);
	if (code == Z_MEM_ERROR)
		xalloc_end();
	if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
		return error_set(err, STATUS_PROTOCOL, "not sound gzip (%s)",
		    stream->msg != NULL ? stream->msg : "broken stream");
	gunzip->is_whole = code == Z_STREAM_END;
	len = sizeof(gunzip->chunk) - stream->avail_out;
	return len > 0 ? fn(ctx, gunzip->chunk, len, err) : 0;
}

int
gunzip_feed(struct gunzip *gunzip, const uint8_t *data, size_t len,
    gunzip_fn fn, void *ctx, struct error *err)
{
	z_stream *stream = &gunzip->stream;

	/* Behind a whole member this must not begin another one. */
	if (len == 0)
		return 0;
	stream->next_in = (z_const Bytef *)(uintptr_t)data;
	stream->avail_in = (uInt)len;
	do {
		if (decode(gunzip, fn, ctx, err) == -1)
			return -1;
		/* A full chunk: there may be more without more input. */
	} while (stream->avail_in > 0 ||
	    (stream->avail_out == 0 && !gunzip->is_whole));
	return 0;
}

bool
gunzip_is_whole(const struct gunzip *gunzip)
{
	return gunzip->is_whole;
}
