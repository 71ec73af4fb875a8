/*
 * One request as a web server hands it over, and the way back for the answer:
 * the environment and standard output (CGI/1.1, RFC 3875), or what a FastCGI
 * connection carries.
 */
#ifndef NOMPD_CGI_H
#define NOMPD_CGI_H

#include <stdbool.h>
#include <stddef.h>

/* How long a web server may take for the next piece of an answer. */
#define MAX_SEND_MS (5 * 60 * 1000)

struct cgi {
	/* The variable's value, or NULL; borrowed until the answer's end. */
	const char *(*param)(void *ctx, const char *name);
	/* -1: whoever asked is gone, or has not taken anything for too long. */
	int (*write)(void *ctx, const void *data, size_t len);
	void *ctx;
	/* Set by who answers: what was written is not a whole answer, and the
	 * web server is to be told so, as far as it can be. */
	bool is_broken;
};

/* Does a body come with the request? */
bool cgi_has_body(const struct cgi *cgi);

/* Waits until fd takes more: 0, or -1 when it did not in MAX_SEND_MS. */
int cgi_wait_writable(int fd);
/* Takes what comes on fd off its sender's hands: max_bytes at most, for max_ms
 * at most, and to its end. */
void cgi_discard(int fd, size_t max_bytes, int max_ms);

/* Answers one request; calls write as often as it likes. */
typedef void (*cgi_fn)(void *ctx, struct cgi *cgi);

/* Carries out the one request of a process that was started for it.  -1: its
 * answer is broken off, and the process is to end so. */
int cgi_serve(cgi_fn fn, void *ctx);

#endif
