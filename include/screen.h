/* Text that is drawn again and again at one place of a terminal. */
#ifndef NOMPD_SCREEN_H
#define NOMPD_SCREEN_H

#include <stddef.h>

#include "buf.h"

/* Zeroed: nothing is drawn yet. */
struct screen {
	size_t lines; /* that stand there */
};

/*
 * Appends to out what puts the lines of text (whole ones) where those of the
 * last time stand.  Of more lines than rows - 1 the last ones are left out, for
 * what has scrolled away cannot be replaced; a line that is too long is cut by
 * the terminal.
 */
void screen_draw(struct screen *screen, size_t rows, const struct buf *text,
    struct buf *out);
/* Appends what takes the lines away. */
void screen_erase(struct screen *screen, struct buf *out);
/* The rows of the terminal that the descriptor is. */
size_t screen_rows(int fd);

#endif
