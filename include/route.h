/*
 * From a request to its answer: path, method, key, parameters and store are
 * checked in this order (nompd-api(7)).
 */
#ifndef NOMPD_ROUTE_H
#define NOMPD_ROUTE_H

#include "cgi.h"
#include "service.h"

/* Answers one request; ctx is a struct service.  Says in the log what was
 * asked, by whom, and what became of it. */
void route_serve(void *ctx, struct cgi *cgi);

#endif
