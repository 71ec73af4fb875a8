/*
 * SMART Backend Services, as a client: finds the token endpoint of a FHIR
 * server, shows it who we are with a JWT signed by our key, and keeps a token
 * at hand for the requests of a run.  (HL7 SMART App Launch 2.2, Backend
 * Services and Asymmetric Client Authentication; RFC 6749, RFC 7523)
 */
#ifndef NOMPD_SMART_H
#define NOMPD_SMART_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

struct http_config;

/* What a server says of itself, or in the answer with a token, in bytes. */
#define MAX_SMART_ANSWER_BYTES (256 * 1024)
/* How long a token counts as good whatever the server says. */
#define MAX_TOKEN_LIFE_S (24 * 3600)

struct smart;

struct smart_config {
	const char *base;      /* of the FHIR server; its origin gets tokens */
	const char *client_id; /* under which the key is registered */
	const char *key_file;  /* as jwk_read() wants it */
	const char *token_url; /* NULL: the one that the server names */
	const char *scope;     /* NULL: to read the types */
	char *const *types;    /* resource types that are wanted ... */
	size_t	     n_types;  /* ... 0: all */
	/* Its ca_file, retries, retried and timeout_ms count; no key is
	 * sent. */
	const struct http_config *http;
};

/*
 * Reads the key; nobody is asked for anything.  -1 (STATUS_USAGE): the key file
 * is no good, or the base or token URL is neither https nor http on this
 * machine.  The caller calls smart_close().
 */
int smart_new(const struct smart_config *config, struct smart **out,
    struct error *err);
/*
 * Reads, unless the same configuration has both token URL and scope, what the
 * server says at .well-known/smart-configuration.  No token is asked for yet.
 * -1: STATUS_PROTOCOL when the server names no token endpoint that may be used,
 * else as http_call().  Nothing of *config but http->ca_file and http->retried
 * is needed afterwards.
 */
int smart_open(struct smart *smart, const struct smart_config *config,
    struct error *err);
/* Wipes the token and the key.  The log goes on hiding the token.  NULL is
 * fine. */
void smart_close(struct smart *smart);

/*
 * The authorize function of struct http_config; the ctx is a struct smart.
 * *value is "Bearer ..." for a URL on the origin of the base, NULL for any
 * other.  A token is asked for when there is none, when 80 per cent of the
 * last one's life are over or only 30 seconds are left, and with anew, unless
 * there is a newer one already than url was tried with.  -1: STATUS_REFUSED
 * when the server gives none, or one that cannot read all wanted types;
 * STATUS_PROTOCOL when its answer makes no sense; STATUS_UNAVAILABLE when there
 * is none after the retries.
 */
int smart_authorize(void *ctx, const char *url, bool anew, char **value,
    struct error *err);

#endif
