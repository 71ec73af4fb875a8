#include <errno.h>
#include <fastcgi.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "fcgi.h"
#include "log.h"
#include "stop.h"

/* How long a web server may take to send the next piece of a request. */
#define MAX_RECEIVE_MS (20 * 1000)
/* How long the end of a request may take that is answered already. */
#define MAX_CLOSE_MS 2000
/* From here on a piece is worth records of its own. */
#define LARGE_BYTES 16384
/* What a record carries; the largest multiple of eight below its limit. */
#define MAX_RECORD_BYTES 65528

bool
fcgi_is_socket(int fd)
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

/* Sends a header and what it announces. */
static int
send_record(int fd, FCGI_Header *header, const char *data, size_t len)
{
	struct iovec  parts[] = { { header, sizeof(*header) },
		 { (void *)(uintptr_t)data, len } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t	      n;
	size_t	      i, taken;

	while (parts[0].iov_len + parts[1].iov_len > 0) {
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
		if (n == -1 && errno != EINTR)
			return -1;
		for (i = 0; i < 2 && n > 0; i++, n -= (ssize_t)taken) {
			taken = (size_t)n < parts[i].iov_len ? (size_t)n :
			    parts[i].iov_len;
			parts[i].iov_base = (char *)parts[i].iov_base + taken;
			parts[i].iov_len -= taken;
		}
	}
	return 0;
}

/*
 * libfcgi sends records of 8 KiB at most, each of which wakes the web server; a
 * large piece goes out in records of its own instead (FastCGI 1.0, 3.3).
 */
static int
put_large(FCGX_Request *request, const char *data, size_t len)
{
	FCGI_Header header = {
		.version = FCGI_VERSION_1,
		.type = FCGI_STDOUT,
		.requestIdB1 = (unsigned char)(request->requestId >> 8),
		.requestIdB0 = (unsigned char)request->requestId,
	};
	size_t n;

	if (FCGX_FFlush(request->out) == -1)
		return -1;
	for (; len > 0; len -= n, data += n) {
		n = len < MAX_RECORD_BYTES ? len : MAX_RECORD_BYTES;
		header.contentLengthB1 = (unsigned char)(n >> 8);
		header.contentLengthB0 = (unsigned char)n;
		if (send_record(request->ipcFd, &header, data, n) == -1)
			return -1;
	}
	return 0;
}

static int
put(void *ctx, const void *data, size_t len)
{
	FCGX_Request *request = ctx;

	if (len >= LARGE_BYTES)
		return put_large(request, data, len);
	return FCGX_PutStr(data, (int)len, request->out) == -1 ? -1 : 0;
}

static void
set_time(int fd, int option, int ms)
{
	struct timeval time = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000L };

	(void)setsockopt(fd, SOL_SOCKET, option, &time, sizeof(time));
}

/* Is it the socket that is no good, or one connection or the moment? */
static bool
is_lasting(int code)
{
	return code == EBADF || code == EINVAL || code == ENOTSOCK ||
	    code == EOPNOTSUPP || code == EFAULT;
}

/*
 * A descriptor that waits for a connection or a signal.  Of several workers
 * one wakes for a connection.
 */
static int
open_wait(int fd)
{
	struct epoll_event connection = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	struct epoll_event signal = { .events = EPOLLIN };
	int		   wait_fd;

	wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (wait_fd == -1)
		return -1;
	if (epoll_ctl(wait_fd, EPOLL_CTL_ADD, fd, &connection) == 0 &&
	    epoll_ctl(wait_fd, EPOLL_CTL_ADD, stop_fd(), &signal) == 0)
		return wait_fd;
	(void)close(wait_fd);
	return -1;
}

/* 1 = *connection is one, 0 = try again or stop, -1 = the socket failed. */
static int
accept_one(int fd, int wait_fd, int *connection, const sigset_t *mask,
    struct error *err)
{
	struct epoll_event event;

	if (epoll_pwait(wait_fd, &event, 1, -1, mask) == -1 ||
	    stop_is_signalled())
		return 0;
	*connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (*connection != -1) {
		/* One on which nothing happens must not hold a worker. */
		set_time(*connection, SO_RCVTIMEO, MAX_RECEIVE_MS);
		set_time(*connection, SO_SNDTIMEO, MAX_SEND_MS);
		return 1;
	}
	if (is_lasting(errno))
		return error_set(err, STATUS_STORE, "cannot accept a"
		    " connection on standard input: %s", strerror(errno));
	/* Without descriptors or memory it would be tried at once again. */
	if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		stop_sleep(100);
	return 0;
}

/* Will nothing more come?  A body is not waited for. */
static bool
is_read(FCGX_Request *request, const struct cgi *cgi)
{
	if (cgi_has_body(cgi))
		return false;
	set_time(request->ipcFd, SO_RCVTIMEO, MAX_CLOSE_MS);
	return FCGX_GetChar(request->in) == EOF &&
	    FCGX_GetError(request->in) == 0;
}

/*
 * Brings out what is left of the answer and closes the connection, also when
 * the web server would keep it: it would keep this worker from all others.
 * libfcgi waits for the web server to close it first, lest the answer be lost
 * when something comes that is not read; when nothing more can come, that is a
 * waste of time.  A broken answer just ends, without the record that would say
 * that it is whole.
 */
static void
finish(FCGX_Request *request, const struct cgi *cgi)
{
	if (!cgi->is_broken) {
		(void)FCGX_FClose(request->err);
		(void)FCGX_FClose(request->out);
	}
	if (cgi->is_broken || is_read(request, cgi))
		(void)FCGX_Detach(request);
	FCGX_Free(request, 1);
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
	struct cgi   cgi = { get_param, put, &request, false };

	(void)FCGX_InitRequest(&request, -1, FCGI_FAIL_ACCEPT_ON_INTR);
	request.ipcFd = connection;
	request.keepConnection = 1;
	if (FCGX_Accept_r(&request) != 0) {
		log_debug("a connection broke before its request");
		return;
	}
	/* Of half a request libfcgi gives what it has. */
	if (FCGX_GetError(request.in) != 0) {
		log_debug("a connection broke in the middle of a request");
		cgi.is_broken = true;
	} else
		fn(ctx, &cgi);
	finish(&request, &cgi);
}

static int
serve_all(int fd, int wait_fd, cgi_fn fn, void *ctx, struct error *err)
{
	sigset_t awaited, before;
	int	 connection, rc = 0;

	/* A signal in the middle of a write would cut the answer. */
	(void)sigemptyset(&awaited);
	(void)sigaddset(&awaited, SIGTERM);
	(void)sigaddset(&awaited, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &awaited, &before);
	while (rc != -1 && !stop_is_signalled()) {
		rc = accept_one(fd, wait_fd, &connection, &before, err);
		if (rc == 1)
			serve_connection(connection, fn, ctx);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return rc == -1 ? -1 : 0;
}

int
fcgi_serve(int fd, cgi_fn fn, void *ctx, struct error *err)
{
	int flags, wait_fd, rc;

	/* What libfcgi's accept() would see to; better said than ignored. */
	if (getenv("FCGI_WEB_SERVER_ADDRS") != NULL)
		return error_set(err, STATUS_USAGE, "FCGI_WEB_SERVER_ADDRS: is"
		    " not looked at; unset it, and let only the web server"
		    " reach the socket");
	if (FCGX_Init() != 0)
		return error_set(err, STATUS_STORE, "libfcgi does not start");
	/* Another worker may be faster. */
	flags = fcntl(fd, F_GETFL);
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return error_set(err, STATUS_STORE, "standard input: %s",
		    strerror(errno));
	wait_fd = open_wait(fd);
	if (wait_fd == -1)
		return error_set(err, STATUS_STORE, "standard input: cannot"
		    " wait for connections: %s", strerror(errno));
	rc = serve_all(fd, wait_fd, fn, ctx, err);
	(void)close(wait_fd);
	return rc;
}
