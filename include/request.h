/* What a request asks, out of the variables of its web server. */
#ifndef NOMPD_REQUEST_H
#define NOMPD_REQUEST_H

#include "apikey.h"
#include "cgi.h"

/* A path, or what stands before it; no route is longer. */
#define MAX_PATH_BYTES 1024
/* Bytes of If-None-Match that are looked at; a longer one is not there. */
#define MAX_VALIDATOR_BYTES 4096
/* A request's id, its own or one that it brought. */
#define MAX_REQUEST_ID_BYTES MAX_LABEL_BYTES

/* Texts are borrowed from the web server's variables; none is NULL but key and
 * validator. */
struct request {
	const char *method;
	const char *path;
	const char *prefix;    /* what stands before it in a URL */
	const char *query;
	const char *key;       /* X-API-KEY */
	const char *validator; /* If-None-Match */
	char	    id[MAX_REQUEST_ID_BYTES + 1];
	struct apikey_holder holder; /* name is empty before it is known */
};

/*
 * The path is PATH_INFO or, when that is empty, SCRIPT_NAME, as it comes from
 * a server that does not know where a program's name ends (nginx); its parts
 * below which the program is mounted are the prefix, empty when they are not
 * known, too long, or need an escape in a URL.  The id is X-Request-Id
 * when that is good, else a new one.
 */
void request_read(struct request *request, const struct cgi *cgi);

#endif
