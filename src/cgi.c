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
#include "clock.h"
#include "number.h"

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

int
cgi_wait_writable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
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
		    cgi_wait_writable(STDOUT_FILENO) == -1))
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

/*
 * A pipe that nobody reads must not hold the process for ever; but the log may
 * go the same way, and none of it is to be lost.
 */
static void
unblock_output(void)
{
	struct stat out, log;
	int	    flags;

	if (fstat(STDOUT_FILENO, &out) == -1 ||
	    (!S_ISFIFO(out.st_mode) && !S_ISSOCK(out.st_mode)) ||
	    (fstat(STDERR_FILENO, &log) == 0 && out.st_dev == log.st_dev &&
	    out.st_ino == log.st_ino))
		return;
	flags = fcntl(STDOUT_FILENO, F_GETFL);
	if (flags != -1)
		(void)fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK);
}

bool
cgi_has_body(const struct cgi *cgi)
{
	const char *length;

	length = cgi->param(cgi->ctx, "CONTENT_LENGTH");
	return cgi->param(cgi->ctx, "HTTP_TRANSFER_ENCODING") != NULL ||
	    (length != NULL && length[strspn(length, "0")] != '\0');
}

void
cgi_discard(int fd, size_t max_bytes, int max_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int64_t	      end_ms = clock_monotonic_ms() + max_ms, left_ms;
	char	      piece[4096];
	ssize_t	      n;

	while (max_bytes > 0) {
		left_ms = end_ms - clock_monotonic_ms();
		if (left_ms <= 0 || poll(&poll_fd, 1, (int)left_ms) != 1)
			return;
		n = read(fd, piece, max_bytes < sizeof(piece) ? max_bytes :
		    sizeof(piece));
		if (n <= 0)
			return;
		max_bytes -= (size_t)n;
	}
}

/*
 * Behind Apache standard input is a socket, and to close it with a body in it
 * unread throws away the answer on its way out.  Behind the body there need
 * not be an end (RFC 3875, 4.2).
 */
static void
discard_body(const struct cgi *cgi)
{
	const char *text;
	uint64_t    length = MAX_BODY_BYTES;

	text = cgi->param(cgi->ctx, "CONTENT_LENGTH");
	if (text != NULL)
		(void)number_read(&text, MAX_BODY_BYTES, &length);
	cgi_discard(STDIN_FILENO, (size_t)length, MAX_BODY_MS);
}

int
cgi_serve(cgi_fn fn, void *ctx)
{
	struct output output = { .is_gone = false };
	struct cgi    cgi = { get_param, put, &output, false };

	unblock_output();
	fn(ctx, &cgi);
	(void)flush(&output);
	if (cgi_has_body(&cgi))
		discard_body(&cgi);
	buf_clear(&output.pending);
	return cgi.is_broken ? -1 : 0;
}
