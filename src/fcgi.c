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

#include "buf.h"
#include "fcgi.h"
#include "log.h"
#include "stop.h"

/* How long a web server may take to send the next piece of a request, and what
 * is left of a body when all is answered. */
#define MAX_RECEIVE_MS (20 * 1000)
/* How long the end of a request without a body may take that is answered. */
#define MAX_CLOSE_MS 2000
/* Up to here small pieces are gathered. */
#define LARGE_BYTES 16384
/* A body that is taken whole, when it is there, without more ado. */
#define MAX_SMALL_BODY_BYTES 4096
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

/*
 * One request on its connection.  libfcgi reads it; what goes back is written
 * here, for libfcgi would wait for a web server that takes nothing as often as
 * it has something to say.
 *
 * Invariant: pending has less than LARGE_BYTES between two calls.
 */
struct connection {
	FCGX_Request request;
	struct buf   pending;
	bool	     is_cut; /* perhaps in a record: nothing more may follow */
};

static const char *
get_param(void *ctx, const char *name)
{
	struct connection *connection = ctx;

	return FCGX_GetParam(name, connection->request.envp);
}

/* The first len bytes have gone. */
static void
skip(struct msghdr *message, size_t len)
{
	struct iovec *part;

	while (message->msg_iovlen > 0) {
		part = message->msg_iov;
		if (len < part->iov_len) {
			part->iov_base = (char *)part->iov_base + len;
			part->iov_len -= len;
			return;
		}
		len -= part->iov_len;
		message->msg_iov++;
		message->msg_iovlen--;
	}
}

/* Sends all of the parts, or cuts the connection. */
static void
send_parts(struct connection *connection, struct iovec *parts, size_t n_parts)
{
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = n_parts };
	int	      fd = connection->request.ipcFd;
	ssize_t	      n;

	while (!connection->is_cut && message.msg_iovlen > 0) {
		n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			skip(&message, (size_t)n);
		else if (errno != EINTR && (errno != EAGAIN ||
		    cgi_wait_writable(fd) == -1))
			connection->is_cut = true;
	}
}

static FCGI_Header
make_header(const struct connection *connection, int type, size_t len)
{
	return (FCGI_Header){
		.version = FCGI_VERSION_1,
		.type = (unsigned char)type,
		.requestIdB1 =
		    (unsigned char)(connection->request.requestId >> 8),
		.requestIdB0 = (unsigned char)connection->request.requestId,
		.contentLengthB1 = (unsigned char)(len >> 8),
		.contentLengthB0 = (unsigned char)len,
	};
}

/* In records as large as may be: each wakes the web server. */
static void
send_output(struct connection *connection, const void *data, size_t len)
{
	FCGI_Header  header;
	struct iovec parts[2];
	const char  *at = data;
	size_t	     n;

	for (; len > 0; len -= n, at += n) {
		n = len < MAX_RECORD_BYTES ? len : MAX_RECORD_BYTES;
		header = make_header(connection, FCGI_STDOUT, n);
		parts[0] = (struct iovec){ &header, sizeof(header) };
		parts[1] = (struct iovec){ (void *)(uintptr_t)at, n };
		send_parts(connection, parts, 2);
	}
}

static int
put(void *ctx, const void *data, size_t len)
{
	struct connection *connection = ctx;
	struct buf	  *pending = &connection->pending;

	if (len < LARGE_BYTES)
		buf_append(pending, data, len);
	if (len >= LARGE_BYTES || pending->len >= LARGE_BYTES) {
		send_output(connection, pending->data, pending->len);
		pending->len = 0;
	}
	if (len >= LARGE_BYTES)
		send_output(connection, data, len);
	return connection->is_cut ? -1 : 0;
}

/* The rest of the output, its end and that of the request (FastCGI 1.0, 5.3
 * and 5.5), in one piece. */
static void
send_end(struct connection *connection)
{
	size_t		      len = connection->pending.len;
	FCGI_Header	      rest, empty;
	FCGI_EndRequestRecord end = {
		.body = { .protocolStatus = FCGI_REQUEST_COMPLETE },
	};
	struct iovec	      parts[] = {
		{ &rest, len > 0 ? sizeof(rest) : 0 },
		{ connection->pending.data, len },
		{ &empty, sizeof(empty) },
		{ &end, sizeof(end) },
	};

	rest = make_header(connection, FCGI_STDOUT, len);
	empty = make_header(connection, FCGI_STDOUT, 0);
	end.header = make_header(connection, FCGI_END_REQUEST,
	    sizeof(end.body));
	send_parts(connection, parts, sizeof(parts) / sizeof(parts[0]));
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
		set_time(*connection, SO_SNDTIMEO, MAX_RECEIVE_MS);
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

/* Has the end of the request come already? */
static bool
is_read(FCGX_Request *request)
{
	char piece[MAX_SMALL_BODY_BYTES];

	(void)fcntl(request->ipcFd, F_SETFL, O_NONBLOCK);
	return FCGX_GetStr(piece, sizeof(piece), request->in) <
	    (int)sizeof(piece) && FCGX_GetError(request->in) == 0;
}

/*
 * Brings out what is left of the answer and closes the connection, also when
 * the web server would keep it: it would keep this worker from all others.
 * When something more may come the web server is to close it first, lest the
 * answer be lost with what is not read; but not for ever.  A broken answer
 * just ends, without the record that would say that it is whole.
 */
static void
finish(struct connection *connection, const struct cgi *cgi)
{
	FCGX_Request *request = &connection->request;

	if (!cgi->is_broken)
		send_end(connection);
	if (!cgi->is_broken && !connection->is_cut && !is_read(request)) {
		(void)shutdown(request->ipcFd, SHUT_WR);
		cgi_discard(request->ipcFd, SIZE_MAX, cgi_has_body(cgi) ?
		    MAX_RECEIVE_MS : MAX_CLOSE_MS);
	}
	FCGX_Free(request, 1);
	buf_clear(&connection->pending);
}

/*
 * libfcgi's own accept() cannot be woken without a race and knows no time
 * limits.  It is left out for a request that has a connection already, which
 * is one kept from a request before: so it is told.  Without a listening
 * socket it gives up when that connection breaks.  A detached one it closes
 * without waiting for the web server.
 */
static void
serve_connection(int fd, cgi_fn fn, void *ctx)
{
	struct connection connection = { .is_cut = false };
	FCGX_Request	 *request = &connection.request;
	struct cgi	  cgi = { get_param, put, &connection, false };

	(void)FCGX_InitRequest(request, -1, FCGI_FAIL_ACCEPT_ON_INTR);
	request->ipcFd = fd;
	request->keepConnection = 1;
	FCGX_Detach(request);
	if (FCGX_Accept_r(request) != 0) {
		log_debug("a connection broke before its request");
		return;
	}
	/* Of half a request libfcgi gives what it has. */
	if (FCGX_GetError(request->in) != 0) {
		log_debug("a connection broke in the middle of a request");
		cgi.is_broken = true;
	} else
		fn(ctx, &cgi);
	finish(&connection, &cgi);
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
