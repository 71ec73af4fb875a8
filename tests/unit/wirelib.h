/* An answer on its way to a web server that keeps what it gets. */
#ifndef NOMPD_WIRELIB_H
#define NOMPD_WIRELIB_H

#include "response.h"
#include "testlib.h"

/* What went to the web server, and when it shall break off. */
struct wire {
	struct buf sent;
	int	   writes;
	int	   last; /* the write that finds nobody there; 0: none */
};

static struct wire     wire;
static struct cgi      cgi;
static struct request  request;
static struct response response;

static inline int
wire_take(void *ctx, const void *data, size_t len)
{
	struct wire *to = ctx;

	to->writes++;
	if (to->last != 0 && to->writes >= to->last)
		return -1;
	buf_append(&to->sent, data, len);
	return 0;
}

/* Begins the answer to a request of that method; wire.sent is empty or was
 * cleared. */
static inline void
wire_begin(const char *method)
{
	wire = (struct wire){ .last = 0 };
	cgi = (struct cgi){ .write = wire_take, .ctx = &wire };
	/* Whatever was there before is to be of no account. */
	memset(&response, 'x', sizeof(response));
	request = (struct request){ .method = method, .id = "r-1" };
	response_init(&response, &cgi, &request);
}

#endif
