/*
 * A file that is written aside, in the folder where it is to be, and gets its
 * name when all that belongs together is whole: until then what was there is as
 * it was.
 *
 *	aside_begin, aside_write ..., aside_end	it is whole, and on disk
 *	aside_rename				it replaces the one there
 *	aside_clear				in any case
 */
#ifndef NOMPD_ASIDE_H
#define NOMPD_ASIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "error.h"

/* Bytes that are written at once. */
#define ASIDE_PIECE_BYTES (256 * 1024)

/*
 * Zeroed is none.  Until it is renamed its name is .NAME.nompd-new; what a
 * process that was killed has left there is replaced.
 *
 * Invariants: aside is NULL when there is no such file, or no more; fd counts
 * only while is_open.
 */
struct aside {
	int	    folder; /* borrowed */
	const char *path;   /* of the folder, for messages; borrowed */
	char	   *name;
	char	   *aside;
	bool	    is_open;
	int	    fd;
	struct buf  piece;
};

/* The mode is 0666 without what the umask takes.  -1, here and below:
 * STATUS_STORE. */
int aside_begin(struct aside *aside, int folder, const char *path,
    const char *name, struct error *err);
int aside_write(struct aside *aside, const void *data, size_t len,
    struct error *err);
int aside_end(struct aside *aside, struct error *err);
int aside_rename(struct aside *aside, struct error *err);
/* Frees it; a file that was not renamed is removed. */
void aside_clear(struct aside *aside);

#endif
