#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cgi.h"

/* Small pieces are gathered up to here. */
#define GATHER_BYTES 65536

struct output {
	struct buf pending;
	int	   is_gone;
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
			output->is_gone = 1;
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

void
cgi_serve(cgi_fn fn, void *ctx)
{
	struct output output = { .is_gone = 0 };
	struct cgi    cgi = { get_param, put, &output };

	unblock(STDOUT_FILENO);
	fn(ctx, &cgi);
	(void)flush(&output);
	buf_clear(&output.pending);
}
