/*
 * The keys of the API.  A file has one line a key,
 *
 *	NAME SCOPE CREATED sha256:HEX
 *
 * with the SHA-256 of the key's text; the keys themselves are kept nowhere.
 * They are random, 256 bits each, so that a fast hash is enough.  Lines that
 * begin with `#` and blank ones are left as they are (nompd-serve(8), KEYS).
 */
#ifndef NOMPD_APIKEY_H
#define NOMPD_APIKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "text.h"

/* Bytes of a consumer's name, which is a label (text_is_label()). */
#define MAX_APIKEY_NAME MAX_LABEL_BYTES
/* A keys file; some ten thousand keys. */
#define MAX_APIKEYS_BYTES (1024 * 1024)
/* What a key begins with, for people and for tools that look for leaks. */
#define APIKEY_PREFIX "nompd_"
/* A key's text: the prefix, 256 bits as base64url, a NUL. */
#define APIKEY_TEXT_BYTES (sizeof(APIKEY_PREFIX) - 1 + 43 + 1)

/* What a key may do; each scope includes those before it. */
enum apikey_scope { APIKEY_READ, APIKEY_SYNC, APIKEY_SCOPE__MAX };

/* A line of the file; texts are borrowed from it. */
struct apikey {
	const char	 *name;
	size_t		  name_len;
	enum apikey_scope scope;
	const char	 *created;
	size_t		  created_len;
	const char	 *hex; /* 64 digits */
};

/* The scope's name, "read" or "sync". */
const char *apikey_scope_name(enum apikey_scope scope);
/* The scope with that name (exact), or APIKEY_SCOPE__MAX. */
enum apikey_scope apikey_scope_find(const char *name);
/* 1 to MAX_APIKEY_NAME letters, digits, '.', '_' and '-', and no key. */
bool apikey_is_name(const char *name);

/* True when what a key begins with stands in the text, in upper or lower case:
 * such a text is not for a log. */
bool apikey_is_in(const char *text);

/* A key that was found. */
struct apikey_holder {
	char		  name[MAX_APIKEY_NAME + 1];
	enum apikey_scope scope;
};
/*
 * Looks the key (NULL: none was given) up in the file at path (NULL: none is
 * configured), in time that tells neither which line fits nor how much of one.
 * 1 = *holder filled, 0 = no such key, -1 = the file cannot be used
 * (STATUS_STORE): it is missing, unreadable, open to others (a group may read
 * it), too large, or has a broken line.
 */
int apikey_check(const char *path, const char *key,
    struct apikey_holder *holder, struct error *err);

/* Calls fn for each key of the file; -1 as above. */
typedef void (*apikey_fn)(void *ctx, const struct apikey *key);
int apikey_list(const char *path, apikey_fn fn, void *ctx, struct error *err);

/*
 * Makes a key, adds its line to the file (made when it is not there, for its
 * owner alone) and gives its text, which the caller wipes.  -1: STATUS_USAGE
 * when the name is taken, else STATUS_STORE.
 */
int apikey_add(const char *path, const char *name, enum apikey_scope scope,
    char text[APIKEY_TEXT_BYTES], struct error *err);
/* Takes the lines of that name out; STATUS_NOT_FOUND when there is none. */
int apikey_revoke(const char *path, const char *name, struct error *err);

#endif
