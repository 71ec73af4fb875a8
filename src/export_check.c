#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "export_check.h"
#include "limit.h"
#include "private_file.h"
#include "xalloc.h"

/* Bytes of an index that tells of as many collections as there may be. */
#define MAX_INDEX_BYTES (256 * 1024)
#define INDEX_MEMBERS	4

/* A record's line up to its Data: the key twice, each byte an escape. */
#define LINE_ID		"{\"_id\":"
#define LINE_KEY	",\"BusinessKey\":"
#define LINE_DATA	",\"Data\":"
#define MAX_QUOTED	(6 * MAX_KEY_BYTES + 2)
#define MAX_START_BYTES (2 * MAX_QUOTED + 64)

/* An old file, or the start of it. */
struct old {
	struct buf content; /* with a NUL behind it that does not count */
	bool	   is_there;
	bool	   is_plain;
};

char *
export_file_name(const char *collection)
{
	return xasprintf("%s.ndjson", collection);
}

/* At most max bytes are read of it. */
static void
read_old(struct old *old, int folder, const char *name, size_t max)
{
	struct stat info;
	ssize_t	    len = -1;
	int	    fd;

	*old = (struct old){ .is_there = true };
	/* A named pipe must not make anyone wait. */
	fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOCTTY |
	    O_NONBLOCK | O_NOFOLLOW);
	if (fd == -1) {
		old->is_there = errno != ENOENT;
		return;
	}
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
		len = private_file_read(fd, buf_reserve(&old->content,
		    max + 1), max);
	(void)close(fd);
	if (len == -1)
		return;
	old->is_plain = true;
	old->content.len = (size_t)len;
	old->content.data[len] = '\0';
}

/* Behind that text, which comes at text; NULL: it does not. */
static const char *
skip(const char *text, const char *what)
{
	return strncmp(text, what, strlen(what)) == 0 ? text + strlen(what) :
	    NULL;
}

/* Behind the JSON string at text; NULL: there is none, or its end is missing.
 */
static const char *
skip_quoted(const char *text)
{
	if (*text++ != '"')
		return NULL;
	for (; *text != '"'; text++) {
		if (*text == '\\')
			text++;
		if (*text == '\0')
			return NULL;
	}
	return text + 1;
}

/* Does it begin as the line of a record does (record_json.h)?  What others
 * write of such a database begins with the _id as well. */
static bool
is_line(const char *text)
{
	const char *id, *key;
	size_t	    len;

	id = skip(text, LINE_ID);
	key = id != NULL ? skip_quoted(id) : NULL;
	if (key == NULL)
		return false;
	len = (size_t)(key - id);
	key = skip(key, LINE_KEY);
	return key != NULL && strncmp(key, id, len) == 0 &&
	    skip(key + len, LINE_DATA) != NULL;
}

/* The collections that an index tells of; NULL: it is none of ours. */
static json_t *
read_index(const struct buf *content)
{
	json_t	    *index, *names = NULL;
	json_error_t where;

	index = json_loadb((const char *)content->data, content->len,
	    JSON_REJECT_DUPLICATES, &where);
	if (json_object_size(index) == INDEX_MEMBERS &&
	    json_is_integer(json_object_get(index, "version")) &&
	    json_object_get(index, "syncedAt") != NULL &&
	    json_object_get(index, "since") != NULL)
		names = json_object_get(index, "collections");
	names = json_is_object(names) ? json_incref(names) : NULL;
	json_decref(index);
	return names;
}

static int
refuse(const char *path, const char *name, struct error *err)
{
	return error_set(err, STATUS_USAGE, "%s/%s: is no file of an export,"
	    " and is not replaced; move it away or name another folder", path,
	    name);
}

/* *names is NULL when there is no index, or an empty one. */
static int
check_index(int folder, const char *path, json_t **names, struct error *err)
{
	struct old old;
	bool	   is_ours;

	*names = NULL;
	read_old(&old, folder, EXPORT_INDEX, MAX_INDEX_BYTES);
	if (old.content.len > 0)
		*names = read_index(&old.content);
	is_ours = !old.is_there || (old.is_plain &&
	    (old.content.len == 0 || *names != NULL));
	buf_clear(&old.content);
	return is_ours ? 0 : refuse(path, EXPORT_INDEX, err);
}

static int
check_file(int folder, const char *path, const json_t *names,
    const char *collection, struct error *err)
{
	struct old old;
	char	  *name = export_file_name(collection);
	bool	   is_ours;
	int	   rc;

	read_old(&old, folder, name, MAX_START_BYTES);
	is_ours = !old.is_there || (old.is_plain &&
	    (old.content.len == 0 ||
	    json_object_get(names, collection) != NULL ||
	    is_line((const char *)old.content.data)));
	rc = is_ours ? 0 : refuse(path, name, err);
	buf_clear(&old.content);
	free(name);
	return rc;
}

int
export_check(int folder, const char *path, char *const *collections,
    struct error *err)
{
	json_t *names;
	size_t	i;
	int	rc;

	rc = check_index(folder, path, &names, err);
	for (i = 0; rc == 0 && collections[i] != NULL; i++)
		rc = check_file(folder, path, names, collections[i], err);
	json_decref(names);
	return rc;
}
