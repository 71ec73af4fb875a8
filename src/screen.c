#include <string.h>
#include <sys/ioctl.h>

#include "screen.h"

/* The height of a terminal that does not tell its own. */
#define DEFAULT_ROWS 24

/* ECMA-48: up so many lines; to the end of the screen nothing. */
#define UP    "\033[%zuA"
#define WIPE  "\r\033[J"
/* DEC: whether a line that is too long goes on in the next row. */
#define CUTS  "\033[?7l"
#define WRAPS "\033[?7h"

void
screen_erase(struct screen *screen, struct buf *out)
{
	if (screen->lines > 0)
		buf_print(out, UP WIPE, screen->lines);
	screen->lines = 0;
}

void
screen_draw(struct screen *screen, size_t rows, const struct buf *text,
    struct buf *out)
{
	const uint8_t *end;
	size_t	       len = 0;

	screen_erase(screen, out);
	while (len < text->len && screen->lines + 1 < rows) {
		end = memchr(text->data + len, '\n', text->len - len);
		if (end == NULL)
			break;
		len = (size_t)(end - text->data) + 1;
		screen->lines++;
	}
	buf_print(out, CUTS);
	buf_append(out, text->data, len);
	buf_print(out, WRAPS);
}

size_t
screen_rows(int fd)
{
	struct winsize size = { 0 };

	if (ioctl(fd, TIOCGWINSZ, &size) == -1 || size.ws_row < 2)
		return DEFAULT_ROWS;
	return size.ws_row;
}
