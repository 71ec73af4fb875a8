/* What the files of smart.h share. */
#ifndef NOMPD_SMART_INT_H
#define NOMPD_SMART_INT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "http.h"
#include "smart.h"

struct jwk;
struct secret;

/* URLs that are remembered for having got the token. */
#define MAX_GIVEN 64

/*
 * Invariants: token is NULL or good until the clock (clock_boottime_ms())
 * shows renew_at_ms, and given has the last URLs that got it, of n_given.
 */
struct smart {
	char		  *base;
	char		  *client_id;
	char		  *token_url;
	char		  *scope;
	struct http_config http;
	struct jwk	  *key;
	struct secret	  *token;
	int64_t		   renew_at_ms;
	bool		   has_worked; /* there was a token before */
	char		  *given[MAX_GIVEN];
	unsigned	   n_given;
};

/* A member of a JSON object that is a text, else NULL; borrowed. */
const char *smart_text(const json_t *object, const char *name);

/* What there is to learn from a server. */
struct smart_found {
	char *token_url; /* heap; NULL: none is named */
	bool  is_v1;	 /* scopes are of SMART 1 alone */
};
/* Asks the server; hints that miss are warned of.  The caller frees
 * found->token_url. */
int smart_discover(const struct smart *smart, struct smart_found *found,
    struct error *err);

/* A scope that reads the types (none: all); the caller frees it. */
char *smart_scope_make(char *const *types, size_t n_types, bool is_v1);
/*
 * Is what was granted (NULL: the server does not say) all that was asked for?
 * -1 with STATUS_REFUSED names what is missing.  Who asked for all types is
 * content with some, and warned, if warns.
 */
int smart_scope_check(const char *asked, const char *granted, bool warns,
    struct error *err);

/* Gets a token, in place of the one there may be. */
int smart_renew(struct smart *smart, struct error *err);

#endif
