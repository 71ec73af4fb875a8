#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "apikey_int.h"
#include "private_file.h"

#define BLANKS " \t\r"
/* A date and time as clock_format() writes it, and a little more. */
#define MAX_CREATED_BYTES 40

static const char *const scope_names[APIKEY_SCOPE__MAX] = {
	[APIKEY_READ] = "read",
	[APIKEY_SYNC] = "sync",
};

const char *
apikey_scope_name(enum apikey_scope scope)
{
	return scope_names[scope];
}

/* The scope that the len bytes name, or APIKEY_SCOPE__MAX. */
static enum apikey_scope
find_scope(const char *name, size_t len)
{
	int i;

	for (i = 0; i < APIKEY_SCOPE__MAX; i++) {
		if (strlen(scope_names[i]) == len &&
		    memcmp(scope_names[i], name, len) == 0)
			break;
	}
	return (enum apikey_scope)i;
}

enum apikey_scope
apikey_scope_find(const char *name)
{
	return find_scope(name, strlen(name));
}

static bool
is_name(const char *name, size_t len)
{
	/* Else a key that is given for a name would stand in the log. */
	return text_is_label(name, len) && memmem(name, len, APIKEY_PREFIX,
	    sizeof(APIKEY_PREFIX) - 1) == NULL;
}

bool
apikey_is_name(const char *name)
{
	return is_name(name, strlen(name));
}

bool
apikey_is_in(const char *text)
{
	return strcasestr(text, APIKEY_PREFIX) != NULL;
}

void
apikey_hash(const char *text, char hex[HASH_TEXT_BYTES])
{
	uint8_t hash[HASH_BYTES];

	(void)crypto_hash_sha256(hash, (const uint8_t *)text, strlen(text));
	hash_format(hash, hex);
}

int
apikey_read(const char *path, struct buf *out, struct stat *info,
    struct error *err)
{
	ssize_t n;
	int	fd, rc = -1;

	fd = private_file_open(path, MAX_APIKEYS_BYTES, STATUS_STORE, info,
	    err);
	if (fd == -1)
		return error_prefix(err, "keys file %s", path);
	/* One byte to notice a file that grows. */
	n = private_file_read(fd, buf_reserve(out, MAX_APIKEYS_BYTES + 1),
	    MAX_APIKEYS_BYTES + 1);
	if (n == -1)
		(void)error_set(err, STATUS_STORE, "keys file %s: %s", path,
		    strerror(errno));
	else if (n > MAX_APIKEYS_BYTES)
		(void)error_set(err, STATUS_STORE, "keys file %s: larger than"
		    " %d bytes", path, MAX_APIKEYS_BYTES);
	else {
		out->len += (size_t)n;
		rc = 0;
	}
	(void)close(fd);
	return rc;
}

/* The next word of the line, or one of no bytes. */
static const char *
next_word(const char **at, const char *end, size_t *len)
{
	const char *word = *at;

	while (word < end && memchr(BLANKS, *word, sizeof(BLANKS) - 1) != NULL)
		word++;
	*at = word;
	while (*at < end && memchr(BLANKS, **at, sizeof(BLANKS) - 1) == NULL)
		(*at)++;
	*len = (size_t)(*at - word);
	return word;
}

static bool
is_hash(const char *word, size_t len)
{
	static const size_t prefix = sizeof(APIKEY_HASH_PREFIX) - 1;
	size_t		    i;

	if (len != prefix + HASH_TEXT_BYTES - 1 ||
	    memcmp(word, APIKEY_HASH_PREFIX, prefix) != 0)
		return false;
	for (i = prefix; i < len; i++) {
		if (word[i] == '\0' ||
		    strchr("0123456789abcdef", word[i]) == NULL)
			return false;
	}
	return true;
}

/* What is wrong with the line, or NULL. */
static const char *
parse_line(const char *line, const char *end, struct apikey *key)
{
	const char *word;
	size_t	    len;

	key->name = next_word(&line, end, &key->name_len);
	if (!is_name(key->name, key->name_len))
		return "want a consumer's name first";
	word = next_word(&line, end, &len);
	key->scope = find_scope(word, len);
	if (key->scope == APIKEY_SCOPE__MAX)
		return "want read or sync as its second word";
	key->created = next_word(&line, end, &key->created_len);
	if (key->created_len > MAX_CREATED_BYTES)
		return "want a date as its third word";
	word = next_word(&line, end, &len);
	if (!is_hash(word, len))
		return "want " APIKEY_HASH_PREFIX " and 64 lower-case hex"
		       " digits as its fourth word";
	key->hex = word + sizeof(APIKEY_HASH_PREFIX) - 1;
	(void)next_word(&line, end, &len);
	return len == 0 ? NULL : "want nothing behind its fourth word";
}

int
apikey_walk_next(struct apikey_walk *walk, const struct buf *file,
    struct apikey *key, struct error *err)
{
	const char *data = (const char *)file->data, *wrong, *at;
	size_t	    len;

	if (walk->next >= file->len)
		return 0;
	walk->line = data + walk->next;
	walk->end = memchr(walk->line, '\n', file->len - walk->next);
	if (walk->end == NULL)
		walk->end = data + file->len;
	walk->next = (size_t)(walk->end - data) + 1;
	walk->number++;
	at = walk->line;
	at = next_word(&at, walk->end, &len);
	if (len == 0 || at[0] == '#')
		return 2;
	wrong = parse_line(walk->line, walk->end, key);
	if (wrong == NULL)
		return 1;
	return error_set(err, STATUS_STORE, "line %u: %s", walk->number,
	    wrong);
}

/* Every line is compared, whichever fits; the last that does counts. */
static int
search(const struct buf *file, const char *hex, struct apikey *found,
    struct error *err)
{
	struct apikey_walk walk = { 0 };
	struct apikey	   key;
	int		   rc, is_found = 0;

	while ((rc = apikey_walk_next(&walk, file, &key, err)) > 0) {
		if (rc == 1 &&
		    sodium_memcmp(key.hex, hex, HASH_TEXT_BYTES - 1) == 0) {
			*found = key;
			is_found = 1;
		}
	}
	return rc == -1 ? -1 : is_found;
}

int
apikey_check(const char *path, const char *key, struct apikey_holder *holder,
    struct error *err)
{
	struct buf    file = { 0 };
	struct stat   info;
	struct apikey found = { 0 };
	char	      hex[HASH_TEXT_BYTES];
	int	      rc;

	if (path == NULL)
		return error_set(err, STATUS_STORE, "no keys file is"
		    " configured; set NOMPD_API_KEYS_FILE");
	apikey_hash(key != NULL ? key : "", hex);
	rc = apikey_read(path, &file, &info, err);
	if (rc == 0) {
		rc = search(&file, hex, &found, err);
		if (rc == -1)
			(void)error_prefix(err, "keys file %s", path);
	}
	if (rc == 1 && (key == NULL || key[0] == '\0'))
		rc = 0;
	if (rc == 1) {
		memcpy(holder->name, found.name, found.name_len);
		holder->name[found.name_len] = '\0';
		holder->scope = found.scope;
	}
	buf_clear(&file);
	return rc;
}

int
apikey_list(const char *path, apikey_fn fn, void *ctx, struct error *err)
{
	struct apikey_walk walk = { 0 };
	struct buf	   file = { 0 };
	struct stat	   info;
	struct apikey	   key;
	int		   rc;

	if (apikey_read(path, &file, &info, err) == -1) {
		buf_clear(&file);
		return -1;
	}
	while ((rc = apikey_walk_next(&walk, &file, &key, err)) > 0) {
		if (rc == 1)
			fn(ctx, &key);
	}
	if (rc == -1)
		(void)error_prefix(err, "keys file %s", path);
	buf_clear(&file);
	return rc;
}
