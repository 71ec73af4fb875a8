#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kept.h"
#include "log.h"

/* So much is read at a time. */
#define PIECE_BYTES 65536

void
kept_begin(struct kept *kept, const char *etag)
{
	const char *folder;

	*kept = (struct kept){ 0 };
	folder = getenv("TMPDIR");
	if (folder == NULL || folder[0] == '\0')
		folder = "/tmp";
	kept->fd = open(folder, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC,
	    0600);
	if (kept->fd == -1)
		log_debug("an answer is not kept in %s: %s", folder,
		    strerror(errno));
	memcpy(kept->etag, etag, strlen(etag) + 1);
}

void
kept_add(struct kept *kept, const void *data, size_t len)
{
	const char *bytes = data;
	ssize_t	    n;

	while (len > 0 && kept_has(kept)) {
		n = TEMP_FAILURE_RETRY(write(kept->fd, bytes, len));
		if (n == -1 || kept->bytes + n > MAX_KEPT_BYTES) {
			log_debug("an answer is not kept: %s", n == -1 ?
			    strerror(errno) : "it is too large");
			(void)close(kept->fd);
			kept->fd = -1;
			return;
		}
		kept->bytes += n;
		bytes += n;
		len -= (size_t)n;
	}
}

void
kept_take(struct kept *kept, struct kept *next)
{
	kept_clear(kept);
	*kept = *next;
	*next = (struct kept){ 0 };
}

void
kept_clear(struct kept *kept)
{
	if (kept_has(kept))
		(void)close(kept->fd);
	*kept = (struct kept){ 0 };
}

bool
kept_is(const struct kept *kept, const char *etag)
{
	return kept->etag[0] != '\0' && strcmp(kept->etag, etag) == 0;
}

int
kept_send(const struct kept *kept, struct response *response)
{
	char	piece[PIECE_BYTES];
	int64_t at;
	ssize_t n;

	for (at = 0; at < kept->bytes; at += n) {
		n = TEMP_FAILURE_RETRY(pread(kept->fd, piece, sizeof(piece),
		    at));
		if (n <= 0)
			return -1;
		/* There is nobody to read on for. */
		if (response_write(response, piece, (size_t)n) == -1)
			return 0;
	}
	response->items = kept->items;
	return 0;
}
