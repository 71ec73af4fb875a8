#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "aside.h"
#include "private_file.h"
#include "xalloc.h"

static int
fail(const struct aside *aside, const char *doing, struct error *err)
{
	return error_set(err, STATUS_STORE, "%s/%s: cannot %s: %s",
	    aside->path, aside->name, doing, strerror(errno));
}

int
aside_begin(struct aside *aside, int folder, const char *path,
    const char *name, struct error *err)
{
	*aside = (struct aside){ .folder = folder, .path = path };
	aside->name = xstrdup(name);
	aside->aside = xasprintf(".%s.nompd-new", name);
	/* Never through a link that somebody has laid there. */
	(void)unlinkat(folder, aside->aside, 0);
	aside->fd = openat(folder, aside->aside,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (aside->fd != -1) {
		aside->is_open = true;
		return 0;
	}
	(void)fail(aside, "write a new one beside it", err);
	free(aside->aside);
	aside->aside = NULL;
	return -1;
}

static int
flush(struct aside *aside, struct error *err)
{
	if (private_file_write(aside->fd, aside->piece.data,
	    aside->piece.len) == -1)
		return fail(aside, "write a new one beside it", err);
	aside->piece.len = 0;
	return 0;
}

int
aside_write(struct aside *aside, const void *data, size_t len,
    struct error *err)
{
	buf_append(&aside->piece, data, len);
	return aside->piece.len < ASIDE_PIECE_BYTES ? 0 : flush(aside, err);
}

int
aside_end(struct aside *aside, struct error *err)
{
	if (flush(aside, err) == -1)
		return -1;
	if (fsync(aside->fd) == -1)
		return fail(aside, "bring a new one to the disk", err);
	aside->is_open = false;
	buf_clear(&aside->piece);
	if (close(aside->fd) == -1)
		return fail(aside, "write a new one beside it", err);
	return 0;
}

int
aside_rename(struct aside *aside, struct error *err)
{
	if (renameat(aside->folder, aside->aside, aside->folder,
	    aside->name) == -1)
		return fail(aside, "replace it", err);
	free(aside->aside);
	aside->aside = NULL;
	return 0;
}

void
aside_clear(struct aside *aside)
{
	if (aside->is_open)
		(void)close(aside->fd);
	if (aside->aside != NULL)
		(void)unlinkat(aside->folder, aside->aside, 0);
	free(aside->aside);
	free(aside->name);
	buf_clear(&aside->piece);
	*aside = (struct aside){ 0 };
}
