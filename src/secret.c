#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private_file.h"
#include "secret.h"
#include "xalloc.h"

/* A file may end in CR LF behind the longest secret. */
#define MAX_FILE_BYTES (MAX_SECRET_BYTES + 2)

/*
 * Invariants: text is guarded memory and ends in a NUL; it is never empty once
 * a caller has it, but for a password from a text.
 */
struct secret {
	char *text;
};

/* A secret with room for max bytes and a NUL. */
static int
secret_new(const char *name, size_t max, struct secret **out,
    struct error *err)
{
	struct secret *secret;

	if (sodium_init() == -1)
		return error_set(err, STATUS_USAGE,
		    "%s: libsodium cannot start on this machine", name);
	secret = xcalloc(1, sizeof(*secret));
	secret->text = sodium_malloc(max + 1);
	if (secret->text == NULL) {
		secret_free(secret);
		return error_set(err, STATUS_USAGE,
		    "%s: no guarded memory to keep it in: %s", name,
		    strerror(errno));
	}
	*out = secret;
	return 0;
}

/* Judges the len bytes of text without ever showing them. */
static int
check_text(const char *name, enum secret_kind kind, const char *text,
    size_t len, struct error *err)
{
	unsigned char byte;
	size_t	      max, i;

	max = kind == SECRET_TOKEN ? MAX_TOKEN_BYTES : MAX_SECRET_BYTES;
	if (len > max)
		return error_set(err, STATUS_USAGE,
		    "%s: want at most %zu bytes; it is longer", name, max);
	for (i = 0; i < len; i++) {
		byte = (unsigned char)text[i];
		if (byte < 0x20 || byte == 0x7f)
			return error_set(err, STATUS_USAGE,
			    "%s: want no control characters; byte %zu is one",
			    name, i + 1);
		if (byte == ' ' && kind == SECRET_TOKEN)
			return error_set(err, STATUS_USAGE,
			    "%s: want no blanks; byte %zu is one", name,
			    i + 1);
		if (byte > 0x7f && kind != SECRET_PASSWORD)
			return error_set(err, STATUS_USAGE,
			    "%s: want printable ASCII; byte %zu is not ASCII",
			    name, i + 1);
	}
	return 0;
}

int
secret_from_variable(const char *name, struct secret **out, struct error *err)
{
	struct secret *secret = NULL;
	char	      *value;
	size_t	       len;
	int	       rc = -1;

	*out = NULL;
	value = getenv(name);
	if (value == NULL || value[0] == '\0')
		return 0;
	len = strlen(value);
	if (check_text(name, SECRET_KEY, value, len, err) == -1 ||
	    secret_new(name, len, &secret, err) == -1)
		goto out;
	memcpy(secret->text, value, len + 1);
	(void)sodium_mprotect_readonly(secret->text);
	*out = secret;
	rc = 0;
out:
	/* Gone from /proc/PID/environ, and from what a child would inherit. */
	sodium_memzero(value, len);
	return rc;
}

static size_t
drop_newline(const char *text, size_t len)
{
	if (len == 0 || text[len - 1] != '\n')
		return len;
	len--;
	if (len > 0 && text[len - 1] == '\r')
		len--;
	return len;
}

/* The bytes of the file into secret; name is how errors call it. */
static int
read_file(const char *name, const char *path, enum secret_kind kind,
    struct secret *secret, struct error *err)
{
	ssize_t n = -1;
	size_t	len;
	int	fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd != -1)
		n = private_file_read(fd, secret->text, MAX_FILE_BYTES + 1);
	if (n == -1)
		(void)error_set(err, STATUS_USAGE, "%s: want a readable file: "
		    "%s", name, strerror(errno));
	if (fd != -1)
		(void)close(fd);
	if (n == -1)
		return -1;
	len = drop_newline(secret->text, (size_t)n);
	secret->text[len] = '\0';
	if (len == 0)
		return error_set(err, STATUS_USAGE,
		    "%s: want a %s in the file; it is empty", name,
		    kind == SECRET_KEY ? "key" : "password");
	return check_text(name, kind, secret->text, len, err);
}

int
secret_from_file(const char *variable, const char *path,
    enum secret_kind kind, struct secret **out, struct error *err)
{
	struct secret *secret = NULL;
	char	      *name;
	int	       rc = -1;

	*out = NULL;
	/* A name without a slash may be a key that was given by mistake. */
	name = strchr(path, '/') != NULL ?
	    xasprintf("%s: %s", variable, path) : xstrdup(variable);
	/* One byte to notice a file that goes on. */
	if (secret_new(name, MAX_FILE_BYTES + 1, &secret, err) == -1 ||
	    read_file(name, path, kind, secret, err) == -1)
		goto out;
	(void)sodium_mprotect_readonly(secret->text);
	*out = secret;
	secret = NULL;
	rc = 0;
out:
	secret_free(secret);
	free(name);
	return rc;
}

/* A secret of that kind from a text in memory. */
static int
from_text(const char *name, enum secret_kind kind, const char *text,
    struct secret **out, struct error *err)
{
	size_t len = strlen(text);

	*out = NULL;
	if (check_text(name, kind, text, len, err) == -1 ||
	    secret_new(name, len, out, err) == -1)
		return -1;
	memcpy((*out)->text, text, len + 1);
	(void)sodium_mprotect_readonly((*out)->text);
	return 0;
}

int
secret_from_text(const char *name, const char *text, struct secret **out,
    struct error *err)
{
	return from_text(name, SECRET_PASSWORD, text, out, err);
}

int
secret_from_token(const char *name, const char *text, struct secret **out,
    struct error *err)
{
	return from_text(name, SECRET_TOKEN, text, out, err);
}

void
secret_wipe(char *text)
{
	sodium_memzero(text, strlen(text));
}

const char *
secret_text(const struct secret *secret)
{
	return secret->text;
}

void
secret_free(struct secret *secret)
{
	if (secret == NULL)
		return;
	/* Wipes as well. */
	sodium_free(secret->text);
	free(secret);
}
