/* FastCGI: the only user of libfcgi. */
#ifndef NOMPD_FCGI_H
#define NOMPD_FCGI_H

#include <stdbool.h>

#include "cgi.h"
#include "error.h"

/* True when fd is a listening socket, as a web server or systemd hands over. */
bool fcgi_is_socket(int fd);
/*
 * Accepts connections from the listening socket fd and calls fn for the
 * request of each, until a signal comes (stop_init() must have been called);
 * a request in hand is finished first.  -1: the socket failed.
 */
int fcgi_serve(int fd, cgi_fn fn, void *ctx, struct error *err);

#endif
