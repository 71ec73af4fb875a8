/*
 * A server for one client, in a thread: it writes down what it is asked and
 * answers as the test says, one connection for each request.
 */
#ifndef NOMPD_HTTPLIB_H
#define NOMPD_HTTPLIB_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testlib.h"

#define MAX_ASKED      16
#define MAX_ASKED_SIZE 16384

/* What a path is answered with. */
struct reply {
	const char *path;
	int	    status; /* 0: with nothing, the connection ends */
	const char *headers; /* lines, each with its end; NULL: none */
	const char *body;
};

/* Only between server_start() and server_stop() the thread uses it. */
static struct {
	int		    fd;
	int		    port;
	pthread_t	    thread;
	pthread_mutex_t	    lock;
	const struct reply *replies; /* up to one without a path */
	char		    asked[MAX_ASKED][MAX_ASKED_SIZE];
	int		    n_asked;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The whole request, headers and body, as a text. */
static inline void
server_read(int fd, char *text, size_t size)
{
	size_t	    len = 0, want = 0;
	const char *end, *length;
	ssize_t	    n;

	while (len + 1 < size && (want == 0 || len < want)) {
		n = read(fd, text + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		text[len] = '\0';
		end = strstr(text, "\r\n\r\n");
		if (end == NULL)
			continue;
		length = strcasestr(text, "\r\nContent-Length:");
		want = (size_t)(end + 4 - text);
		if (length != NULL && length < end)
			want += strtoul(length + 17, NULL, 10);
	}
	text[len] = '\0';
}

/*
 * The answer to the n-th of the requests for the path: of the rows with that
 * path the n-th, else the last.
 */
static inline const struct reply *
server_find(const char *asked, int n)
{
	static const struct reply none = { "", 404, NULL, "" };
	const struct reply	 *row, *found = &none;
	const char		 *path = strchr(asked, ' ') + 1;

	for (row = server.replies; row->path != NULL && n >= 0; row++) {
		if (strncmp(path, row->path, strlen(row->path)) != 0 ||
		    path[strlen(row->path)] != ' ')
			continue;
		found = row;
		n--;
	}
	return found;
}

static inline int
server_count(const char *start)
{
	int i, n = 0;

	pthread_mutex_lock(&server.lock);
	for (i = 0; i < server.n_asked; i++)
		n += strncmp(server.asked[i], start, strlen(start)) == 0;
	pthread_mutex_unlock(&server.lock);
	return n;
}

static inline void
server_answer(int fd)
{
	static char	    text[MAX_ASKED_SIZE];
	const struct reply *reply;
	char		   *answer, start[256];

	server_read(fd, text, sizeof(text));
	if (strchr(text, ' ') == NULL)
		return;
	(void)snprintf(start, sizeof(start), "%.*s ",
	    (int)(strcspn(strchr(text, ' ') + 1, " ") +
	    strcspn(text, " ") + 1), text);
	reply = server_find(text, server_count(start));
	pthread_mutex_lock(&server.lock);
	if (server.n_asked < MAX_ASKED)
		memcpy(server.asked[server.n_asked++], text, sizeof(text));
	pthread_mutex_unlock(&server.lock);
	if (reply->status == 0)
		return;
	answer = xasprintf("HTTP/1.1 %d X\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n%s\r\n%s", reply->status,
	    strlen(reply->body), reply->headers != NULL ? reply->headers : "",
	    reply->body);
	ck_assert_int_eq(send(fd, answer, strlen(answer), MSG_NOSIGNAL),
	    (ssize_t)strlen(answer));
	free(answer);
}

static inline void *
server_run(void *ctx)
{
	int fd;

	(void)ctx;
	while ((fd = accept(server.fd, NULL, NULL)) != -1) {
		server_answer(fd);
		(void)close(fd);
	}
	return NULL;
}

static inline void
server_start(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t	   len = sizeof(address);

	server.n_asked = 0;
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ne(server.fd, -1);
	ck_assert_int_eq(bind(server.fd, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(listen(server.fd, 8), 0);
	ck_assert_int_eq(getsockname(server.fd, (struct sockaddr *)&address,
	    &len), 0);
	server.port = ntohs(address.sin_port);
	ck_assert_int_eq(pthread_create(&server.thread, NULL, server_run,
	    NULL), 0);
}

static inline void
server_stop(void)
{
	(void)shutdown(server.fd, SHUT_RDWR);
	ck_assert_int_eq(pthread_join(server.thread, NULL), 0);
	(void)close(server.fd);
}

/* The n-th request that starts so, its method and path. */
static inline const char *
server_asked(const char *start, int n)
{
	int i;

	for (i = 0; i < server.n_asked; i++) {
		if (strncmp(server.asked[i], start, strlen(start)) == 0 &&
		    n-- == 0)
			return server.asked[i];
	}
	ck_abort_msg("no request %s", start);
	return NULL;
}

#endif
