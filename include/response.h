/*
 * An answer on its way: status and headers once, then the body in pieces.
 *
 *	response_start, response_header ..., response_body, response_write ...
 *
 * or one of the calls that do all of it; then response_end.  Nothing leaves
 * before the first piece of the body: until then another answer may be begun.
 * Of an answer to HEAD the body is left out here and nowhere else.
 */
#ifndef NOMPD_RESPONSE_H
#define NOMPD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "cgi.h"
#include "request.h"

/* Seconds after which a client may ask again what could not be answered. */
#define RETRY_AFTER_S 30

struct response {
	struct cgi *cgi;
	const char *id;	      /* of the request; borrowed */
	bool	    is_head;  /* no body */
	int	    status;   /* 0: nothing was begun */
	uint64_t    bytes;    /* of the body */
	uint64_t    items;    /* for the log */
	bool	    is_sent;  /* it has begun to leave */
	bool	    is_gone;  /* nobody is there to take it */
	struct buf  head;
};

void response_init(struct response *response, struct cgi *cgi,
    const struct request *request);
void response_clear(struct response *response);

/* Begins an answer; cache is the value of Cache-Control. */
void response_start(struct response *response, int status, const char *type,
    const char *cache);
/* A header more; name and value are ours, never a client's. */
void response_header(struct response *response, const char *name,
    const char *value);
/* The end of the headers. */
void response_body(struct response *response);
/* A piece of the body.  -1: the client is gone. */
int response_write(struct response *response, const void *data, size_t len);
/* The end of the answer. */
void response_end(struct response *response);

/* A whole answer with a JSON text of len bytes; with a 503 goes Retry-After. */
void response_json(struct response *response, int status, const char *text,
    size_t len);
/* The same with a header of its own, as in response_header(); name NULL:
 * without. */
void response_json_header(struct response *response, int status,
    const char *text, size_t len, const char *name, const char *value);
/* The same for {"error":"..."}; sentence has nothing to escape. */
void response_error(struct response *response, int status,
    const char *sentence);
/* The same with a header of its own; name NULL: without. */
void response_error_header(struct response *response, int status,
    const char *sentence, const char *name, const char *value);

#endif
