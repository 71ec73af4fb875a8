#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cgi.h"

/* Small pieces are gathered up to here. */
#define GATHER_BYTES 65536
/* Of a body that nobody wants so much is taken off the web server's hands, and
 * so long is it waited for. */
#define MAX_BODY_BYTES 65536
#define MAX_BODY_MS    1000

struct output {
	struct buf pending;
	bool	   is_gone;
};

static const char *
get_param(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

/* Waits until the web server takes more; 0 or -1. */
static int
wait_writable(void)
{
	struct pollfd poll_fd = { .fd = STDOUT_FILENO, .events = POLLOUT };
	int	      rc;

	do
		rc = poll(&poll_fd, 1, MAX_SEND_MS);
	while (rc == -1 && errno == EINTR);
	return rc == 1 ? 0 : -1;
}

static int
flush(struct output *output)
{
	size_t	done = 0;
	ssize_t n;

	while (done < output->pending.len && !output->is_gone) {
		n = write(STDOUT_FILENO, output->pending.data + done,
		    output->pending.len - done);
		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR && (errno != EAGAIN ||
		    wait_writable() == -1))
			output->is_gone = true;
	}
	output->pending.len = 0;
	return output->is_gone ? -1 : 0;
}

static int
put(void *ctx, const void *data, size_t len)
{
	struct output *output = ctx;

	buf_append(&output->pending, data, len);
	return output->pending.len < GATHER_BYTES ? 0 : flush(output);
}

/* A pipe that nobody reads must not hold the process for ever. */
static void
unblock(int fd)
{
	struct stat info;
	int	    flags;

	if (fstat(fd, &info) == -1 ||
	    (!S_ISFIFO(info.st_mode) && !S_ISSOCK(info.st_mode)))
		return;
	flags = fcntl(fd, F_GETFL);
	if (flags != -1)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static bool
has_body(void)
{
	const char *length;

	length = getenv("CONTENT_LENGTH");
	return getenv("HTTP_TRANSFER_ENCODING") != NULL ||
	    (length != NULL && length[strspn(length, "0")] != '\0');
}

/*
 * Behind Apache standard input is a socket, and to close it with a body in it
 * unread throws away the answer on its way out.
 */
static void
discard_body(void)
{
	struct pollfd poll_fd = { .fd = STDIN_FILENO, .events = POLLIN };
	char	      piece[4096];
	ssize_t	      n = 1;
	size_t	      total = 0;

	while (n > 0 && total < MAX_BODY_BYTES &&
	    poll(&poll_fd, 1, MAX_BODY_MS) == 1) {
		n = read(STDIN_FILENO, piece, sizeof(piece));
		total += n > 0 ? (size_t)n : 0;
	}
}

void
cgi_serve(cgi_fn fn, void *ctx)
{
	struct output output = { .is_gone = false };
	struct cgi    cgi = { get_param, put, &output };

	unblock(STDOUT_FILENO);
	fn(ctx, &cgi);
	(void)flush(&output);
	if (has_body())
		discard_body();
	buf_clear(&output.pending);
}
