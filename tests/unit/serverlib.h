/*
 * An HTTP server in a thread of the test: it gives its answers in order, one
 * for each connection, and keeps what it was asked.
 */
#ifndef NOMPD_SERVERLIB_H
#define NOMPD_SERVERLIB_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testlib.h"

/* Answers and requests of one server, and bytes of a request. */
#define SERVER_ANSWERS	     16
#define SERVER_REQUEST_BYTES 65536

struct server {
	int	  fd;
	char	  base[64]; /* "http://127.0.0.1:PORT" */
	char	 *answers[SERVER_ANSWERS];
	int	  n_answers;
	char	 *requests[SERVER_ANSWERS]; /* head and body */
	int	  n_requests;
	pthread_t thread;
};

/* Reads a request with its body as Content-Length has it. */
static inline char *
server_read(int fd)
{
	char	   *text = xcalloc(1, SERVER_REQUEST_BYTES);
	const char *end = NULL, *length;
	size_t	    len = 0, want = SERVER_REQUEST_BYTES - 1;
	ssize_t	    n;

	while (len < want && (n = read(fd, text + len, want - len)) > 0) {
		len += (size_t)n;
		end = strstr(text, "\r\n\r\n");
		if (end == NULL)
			continue;
		length = strcasestr(text, "\r\nContent-Length: ");
		want = (size_t)(end - text) + 4 + (length == NULL ? 0 :
		    strtoul(length + strlen("\r\nContent-Length: "), NULL,
		    10));
	}
	return text;
}

static inline void *
server_run(void *ctx)
{
	struct server *server = ctx;
	const char    *answer;
	int	       fd;

	while ((fd = accept(server->fd, NULL, NULL)) != -1) {
		if (server->n_requests == SERVER_ANSWERS) {
			close(fd);
			continue;
		}
		answer = server->n_requests < server->n_answers ?
		    server->answers[server->n_requests] : "";
		server->requests[server->n_requests++] = server_read(fd);
		(void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

/* An answer: status line and headers (each with its CR LF), and a body, in
 * which ' stands for " and %s for the server's base. */
static inline void
server_add(struct server *server, const char *head, const char *body)
{
	char *text = test_quotes(body), *part;

	if (strstr(text, "%s") != NULL) {
		part = test_put(text, server->base);
		free(text);
		text = part;
	}
	ck_assert_int_lt(server->n_answers, SERVER_ANSWERS);
	server->answers[server->n_answers++] = xasprintf("HTTP/1.1 %s"
	    "Content-Length: %zu\r\nConnection: close\r\n\r\n%s", head,
	    strlen(text), text);
	free(text);
}

/* Binds a port, for answers to name it; it serves from server_start() on. */
static inline void
server_open(struct server *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t	   len = sizeof(address);

	memset(server, 0, sizeof(*server));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_ne(server->fd, -1);
	ck_assert_int_eq(bind(server->fd, (struct sockaddr *)&address, len),
	    0);
	ck_assert_int_eq(listen(server->fd, SERVER_ANSWERS), 0);
	ck_assert_int_eq(getsockname(server->fd, (struct sockaddr *)&address,
	    &len), 0);
	(void)snprintf(server->base, sizeof(server->base),
	    "http://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
}

static inline void
server_start(struct server *server)
{
	ck_assert_int_eq(pthread_create(&server->thread, NULL, server_run,
	    server), 0);
}

/* After the last answer; what was asked can be read from then on. */
static inline void
server_stop(struct server *server)
{
	(void)shutdown(server->fd, SHUT_RDWR);
	(void)pthread_join(server->thread, NULL);
	(void)close(server->fd);
}

static inline void
server_clear(struct server *server)
{
	int i;

	for (i = 0; i < SERVER_ANSWERS; i++) {
		free(server->answers[i]);
		free(server->requests[i]);
	}
}

/* The request was that line, and had the text in it. */
static inline void
server_was_asked(const struct server *server, int i, const char *line,
    const char *text)
{
	ck_assert_int_lt(i, server->n_requests);
	if (strncmp(server->requests[i], line, strlen(line)) != 0 ||
	    strstr(server->requests[i], text) == NULL)
		ck_abort_msg("want \"%s\" and \"%s\", have\n%s", line, text,
		    server->requests[i]);
}

#endif
