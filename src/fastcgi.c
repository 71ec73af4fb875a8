#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "fastcgi.h"
#include "log.h"
#include "stop.h"

/* How long a web server may take to send the next piece of a request. */
#define MAX_RECEIVE_MS (20 * 1000)

bool
fastcgi_is_socket(int fd)
{
	int	  value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 &&
	    value != 0;
}

static const char *
get_param(void *ctx, const char *name)
{
	FCGX_Request *request = ctx;

	return FCGX_GetParam(name, request->envp);
}

static int
put(void *ctx, const void *data, size_t len)
{
	FCGX_Request *request = ctx;
	const char   *bytes = data;
	size_t	      n;

	for (; len > 0; len -= n, bytes += n) {
		n = len < INT_MAX ? len : INT_MAX;
		if (FCGX_PutStr(bytes, (int)n, request->out) == -1)
			return -1;
	}
	return 0;
}

/* A connection on which nothing happens must not hold a worker for ever. */
static void
limit_time(int fd)
{
	struct timeval receive = { .tv_sec = MAX_RECEIVE_MS / 1000 };
	struct timeval send = { .tv_sec = MAX_SEND_MS / 1000 };

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive,
	    sizeof(receive));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof(send));
}

/* Is it a fault of the one connection, or of the moment? */
static bool
is_passing(int code)
{
	return code == EAGAIN || code == EINTR || code == ECONNABORTED ||
	    code == EPROTO || code == EMFILE || code == ENFILE ||
	    code == ENOBUFS || code == ENOMEM;
}

/* 1 = *connection is one, 0 = try again or stop, -1 = the socket failed. */
static int
accept_one(int fd, int *connection, struct error *err)
{
	struct pollfd poll_fds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = stop_fd(), .events = POLLIN },
	};

	if (poll(poll_fds, 2, -1) == -1 || stop_is_signalled())
		return 0;
	*connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (*connection != -1) {
		limit_time(*connection);
		return 1;
	}
	if (!is_passing(errno))
		return error_set(err, STATUS_STORE, "cannot accept a"
		    " connection on standard input: %s", strerror(errno));
	/* Without descriptors or memory it would be tried at once again. */
	if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		stop_sleep(100);
	return 0;
}

/*
 * libfcgi's own accept() cannot be woken without a race and knows no time
 * limits.  It is left out for a request that has a connection already, which
 * is one kept from a request before: so it is told.  Without a listening
 * socket it gives up when that connection breaks.
 */
static void
serve_connection(int connection, cgi_fn fn, void *ctx)
{
	FCGX_Request request;
	struct cgi   cgi = { get_param, put, &request };

	(void)FCGX_InitRequest(&request, -1, FCGI_FAIL_ACCEPT_ON_INTR);
	request.ipcFd = connection;
	request.keepConnection = 1;
	if (FCGX_Accept_r(&request) != 0) {
		log_debug("a connection broke before its request was whole");
		return;
	}
	fn(ctx, &cgi);
	/* One that is kept would keep the worker from all others. */
	request.keepConnection = 0;
	FCGX_Finish_r(&request);
}

int
fastcgi_serve(int fd, cgi_fn fn, void *ctx, struct error *err)
{
	int connection, flags, rc;

	/* What libfcgi's accept() would see to; better said than ignored. */
	if (getenv("FCGI_WEB_SERVER_ADDRS") != NULL)
		return error_set(err, STATUS_USAGE, "FCGI_WEB_SERVER_ADDRS: is"
		    " not looked at; unset it, and let only the web server"
		    " reach the socket");
	if (FCGX_Init() != 0)
		return error_set(err, STATUS_STORE, "libfcgi does not start");
	/* Several workers wake for one connection, and one gets it. */
	flags = fcntl(fd, F_GETFL);
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return error_set(err, STATUS_STORE, "standard input: %s",
		    strerror(errno));
	while (!stop_is_signalled()) {
		rc = accept_one(fd, &connection, err);
		if (rc == -1)
			return -1;
		if (rc == 1)
			serve_connection(connection, fn, ctx);
	}
	return 0;
}
