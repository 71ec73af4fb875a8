/*
 * A MongoDB server that is none: it answers each message with what it was told
 * to say.
 */
#ifndef NOMPD_LIARLIB_H
#define NOMPD_LIARLIB_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "testlib.h"

/* Long enough for a server on this machine. */
#define SOON "serverSelectionTimeoutMS=2000&connectTimeoutMS=2000"

/* The beginning of what a server says of itself. */
#define HELLO "{'ok':1,'isWritablePrimary':true,'ismaster':true," \
	"'maxBsonObjectSize':16777216,'maxMessageSizeBytes':48000000," \
	"'maxWriteBatchSize':100000,'readOnly':false,'minWireVersion':0"

/* A socket on a port of its own; *port is that. */
static inline int
listen_somewhere(int *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t	   len = sizeof(address);
	int		   fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len),
	    0);
	*port = ntohs(address.sin_port);
	return fd;
}

/*
 * A false server: a thread that answers each message in its way until the
 * socket is shut down.
 */
struct liar {
	int	       fd;
	int	       port;
	pthread_t      thread;
	const uint8_t *answer; /* bytes as they are; or: */
	size_t	       len;
	const char    *hello; /* JSON of what it says of itself */
	const char    *mute_at; /* messages that have it get no answer */
};

static inline bool
read_all(int fd, void *data, size_t len)
{
	ssize_t n;

	for (; len > 0; len -= (size_t)n, data = (uint8_t *)data + n) {
		n = recv(fd, data, len, 0);
		if (n <= 0)
			return false;
	}
	return true;
}

/* The header of a message (MongoDB, Wire Protocol), in the order of bytes that
 * the wire and this machine share. */
struct header {
	int32_t len;
	int32_t id;
	int32_t to;
	int32_t code;
};
#define OP_REPLY 1
#define OP_QUERY 2004
#define OP_MSG	 2013

/* Answers one message, in the form that it was asked in. */
static inline bool
answer_hello(const struct liar *liar, int fd, const bson_t *hello)
{
	static const uint8_t reply_front[20] = { [16] = 1 };
	static const uint8_t msg_front[5];
	struct header	     header;
	struct buf	     out = { 0 };
	uint8_t		     body[65536];
	size_t		     front;
	bool		     is_sent;

	if (!read_all(fd, &header, sizeof(header)) ||
	    header.len < (int32_t)sizeof(header) ||
	    (size_t)header.len > sizeof(body) ||
	    !read_all(fd, body, (size_t)header.len - sizeof(header)))
		return false;
	if (liar->mute_at != NULL && memmem(body, (size_t)header.len -
	    sizeof(header), liar->mute_at, strlen(liar->mute_at)) != NULL)
		return true;
	front = header.code == OP_QUERY ? sizeof(reply_front) :
	    sizeof(msg_front);
	header = (struct header){
		.len = (int32_t)(sizeof(header) + front + hello->len),
		.to = header.id,
		.code = header.code == OP_QUERY ? OP_REPLY : OP_MSG,
	};
	buf_append(&out, &header, sizeof(header));
	buf_append(&out, header.code == OP_REPLY ? reply_front : msg_front,
	    front);
	buf_append(&out, bson_get_data(hello), hello->len);
	is_sent = send(fd, out.data, out.len, MSG_NOSIGNAL) ==
	    (ssize_t)out.len;
	buf_clear(&out);
	return is_sent;
}

static inline void *
lie(void *ctx)
{
	struct liar *liar = ctx;
	bson_t	    *hello = test_bson(liar->hello);
	uint8_t	     asked[4096];
	int	     fd;

	while ((fd = accept(liar->fd, NULL, NULL)) != -1) {
		if (liar->answer == NULL)
			while (answer_hello(liar, fd, hello))
				;
		else if (recv(fd, asked, sizeof(asked), 0) > 0) {
			(void)send(fd, liar->answer, liar->len, MSG_NOSIGNAL);
			(void)shutdown(fd, SHUT_WR);
			/* What is not read would take the answer back. */
			while (recv(fd, asked, sizeof(asked), 0) > 0)
				;
		}
		(void)close(fd);
	}
	bson_destroy(hello);
	return NULL;
}

static inline void
start_liar(struct liar *liar)
{
	liar->fd = listen_somewhere(&liar->port);
	ck_assert_int_eq(listen(liar->fd, 8), 0);
	ck_assert_int_eq(pthread_create(&liar->thread, NULL, lie, liar), 0);
}

static inline void
stop_liar(struct liar *liar)
{
	(void)shutdown(liar->fd, SHUT_RDWR);
	ck_assert_int_eq(pthread_join(liar->thread, NULL), 0);
	(void)close(liar->fd);
}

#endif
