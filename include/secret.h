/*
 * A secret (an API key, a password) in guarded memory: locked, with guard pages
 * around it (libsodium), wiped when freed.
 */
#ifndef NOMPD_SECRET_H
#define NOMPD_SECRET_H

#include "error.h"

/* The longest secret that is taken, in bytes. */
#define MAX_SECRET_BYTES 4096
/* The longest token: one may list all that its holder may do. */
#define MAX_TOKEN_BYTES (16 * 1024)

struct secret;

/* What a secret may hold beside printable ASCII. */
enum secret_kind {
	SECRET_KEY,	 /* nothing: it goes into a header line */
	SECRET_PASSWORD, /* all but control characters */
	SECRET_TOKEN,	 /* nothing, and no blanks either */
};

/*
 * Takes the secret from the environment variable name and wipes the variable's
 * value in place.  *out is NULL when it is unset or empty.  A secret with
 * control characters (it could forge header lines), with characters outside
 * ASCII or too long is an error (STATUS_USAGE).  The caller frees *out.
 */
int secret_from_variable(const char *name, struct secret **out,
    struct error *err);
/*
 * The same from the file at path; one trailing newline (LF or CR LF) is
 * dropped.  An unreadable or empty file is an error that names variable (where
 * the path came from) and path (only one with a slash: another may be a key
 * that was given by mistake).
 */
int secret_from_file(const char *variable, const char *path,
    enum secret_kind kind, struct secret **out, struct error *err);
/* A password that is a text in memory; name is how errors call it.  The caller
 * wipes text. */
int secret_from_text(const char *name, const char *text, struct secret **out,
    struct error *err);
/* The same for a token of up to MAX_TOKEN_BYTES (RFC 6750, 2.1). */
int secret_from_token(const char *name, const char *text, struct secret **out,
    struct error *err);
/* Overwrites a text with zeros, whatever the compiler thinks of it. */
void secret_wipe(char *text);
/* The text, NUL-terminated; borrowed until secret_free(). */
const char *secret_text(const struct secret *secret);
/* Wipes and frees; NULL is fine. */
void secret_free(struct secret *secret);

#endif
