/*
 * Where a store is: its URI as --store takes it, and the user's password apart.
 * Text only; whether there is a store is store_open()'s question.  Messages
 * show store_name(), never a URI: its options may hold other secrets.
 */
#ifndef NOMPD_STORE_PLACE_H
#define NOMPD_STORE_PLACE_H

#include <stdbool.h>

struct secret;

enum store_kind { STORE_SQLITE, STORE_MONGODB, STORE_KIND__MAX };

/* A URI; host lists of replica sets are long, but not that long. */
#define MAX_STORE_URI_BYTES 4096

/* Zeroed is none.  store_place_clear() frees it. */
struct store_place {
	char	      *uri;	 /* without a password */
	struct secret *password; /* NULL: none */
};

/*
 * Takes a URI: "sqlite:PATH", "mongodb://..." or "mongodb+srv://..." (MongoDB's
 * specification Connection String).  NULL, or the rule that it breaks ("want
 * ..."); *place is then as it was, else what it had before is freed.
 */
const char *store_place_set(struct store_place *place, const char *uri);
/* The kind of store that the URI names; STORE_KIND__MAX: none. */
enum store_kind store_place_kind(const struct store_place *place);
/* Does the URI name a user, but no password was in it? */
bool store_place_wants_password(const struct store_place *place);
/* The store as people know it: a path, or a server's URI without user and
 * options.  The caller frees it. */
char *store_place_name(const struct store_place *place);
/* Overwrites the passwords of the URI in text, which may hold more than a
 * URI: the user's, and those among its options. */
void store_place_blank(char *text);
void store_place_clear(struct store_place *place);

#endif
