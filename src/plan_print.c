#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "plan_print.h"
#include "stop.h"
#include "xalloc.h"

/* What a SQLite file begins with, its NUL included. */
#define DATABASE_START "SQLite format 3"

static const char *const act_words[ACT__MAX] = {
	[ACT_ADD] = "add",
	[ACT_UPDATE] = "update",
	[ACT_DELETE] = "delete",
};

/* file NULL: standard error, where a terminal must not obey a key. */
static int
print_line(FILE *file, const char *name, const struct planned *planned,
    struct error *err)
{
	json_t *object;
	char   *text, *line;

	object = json_pack("{s:s, s:s%, s:s}", "collection",
	    name, "key", planned->key, planned->len,
	    "act", act_words[planned->act]);
	if (object == NULL)
		return error_set(err, STATUS_STORE, "%s has a key that is not"
		    " UTF-8; the store is damaged", name);
	text = json_dumps(object, JSON_COMPACT |
	    (file == NULL ? JSON_ENSURE_ASCII : 0));
	if (text == NULL)
		xalloc_end();
	if (file != NULL)
		(void)fprintf(file, "%s\n", text);
	else {
		line = xasprintf("%s\n", text);
		log_raw(line);
		free(line);
	}
	free(text);
	json_decref(object);
	return 0;
}

static int
print_collection(struct stage *stage, FILE *file, const struct tally *tally,
    struct error *err)
{
	struct stage_cursor *cursor;
	struct planned	     planned;
	int		     rc;

	if (stage_plan_open(stage, tally->list, ACT__MAX, &cursor, err) == -1)
		return -1;
	while ((rc = stage_plan_next(cursor, &planned, err)) == 1) {
		rc = stop_check(STATUS_STORE, err);
		if (rc == 0)
			rc = print_line(file, tally->name, &planned, err);
		if (rc == -1)
			break;
	}
	stage_cursor_close(cursor);
	return rc;
}

static int
print_all(struct stage *stage, FILE *file, const struct tally *tallies,
    size_t count, struct error *err)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (print_collection(stage, file, &tallies[i], err) == -1)
			return -1;
	}
	return 0;
}

/* A pipe or a terminal cannot be replaced by a file. */
static bool
is_special(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

/* A write that a signal ended is no fault of the file. */
static int
fail(const char *path, struct error *err)
{
	if (stop_check(STATUS_STORE, err) == -1)
		return -1;
	return error_set(err, STATUS_STORE, "--plan: cannot write %s: %s",
	    path, strerror(errno));
}

/* Whoever names a store by mistake does not want it replaced. */
static bool
is_database(const char *path)
{
	char	start[sizeof(DATABASE_START)];
	ssize_t len;
	int	fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	len = read(fd, start, sizeof(start));
	(void)close(fd);
	return len == (ssize_t)sizeof(start) &&
	    memcmp(start, DATABASE_START, sizeof(start)) == 0;
}

int
plan_print_check(const char *path, struct error *err)
{
	char resolved[PATH_MAX];
	int  rc = 0;

	if (path == NULL)
		return 0;
	if (realpath(path, resolved) == NULL)
		(void)snprintf(resolved, sizeof(resolved), "%s", path);
	if (is_special(resolved))
		return 0;
	if (is_database(resolved))
		return error_set(err, STATUS_STORE, "--plan: %s is a database;"
		    " it was left as it is (name another file)", path);
	/* The file is made beside its place. */
	if (access(dirname(resolved), W_OK | X_OK) == -1)
		rc = fail(path, err);
	return rc;
}

/* True when all that was printed has arrived; closes file. */
static bool
close_whole(FILE *file)
{
	bool is_whole;

	is_whole = fflush(file) == 0 && ferror(file) == 0;
	if (is_whole && fsync(fileno(file)) == -1 && errno != EINVAL &&
	    errno != EROFS && errno != ENOTSUP)
		is_whole = false;
	return fclose(file) == 0 && is_whole;
}

int
plan_print(struct stage *stage, const struct tally *tallies, size_t count,
    const char *path, struct error *err)
{
	char  resolved[PATH_MAX];
	FILE *file;
	char *aside;
	bool  is_direct;
	int   rc;

	if (path == NULL)
		return print_all(stage, NULL, tallies, count, err);
	if (plan_print_check(path, err) == -1)
		return -1;
	/* Through a link the file is replaced, not the link. */
	if (realpath(path, resolved) != NULL)
		path = resolved;
	is_direct = is_special(path);
	aside = is_direct ? xstrdup(path) : xasprintf("%s.%ld.tmp", path,
	    (long)getpid());
	/* Left by a run that was killed, or planted: never written through. */
	if (!is_direct)
		(void)unlink(aside);
	file = fopen(aside, is_direct ? "we" : "wxe");
	if (file == NULL) {
		rc = fail(path, err);
		goto out;
	}
	rc = print_all(stage, file, tallies, count, err);
	if (!close_whole(file) && rc == 0)
		rc = fail(path, err);
	if (rc == 0 && !is_direct && rename(aside, path) == -1)
		rc = fail(path, err);
	if (rc == -1 && !is_direct)
		(void)unlink(aside);
out:
	free(aside);
	return rc;
}
