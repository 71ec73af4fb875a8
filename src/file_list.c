#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_list.h"
#include "stop.h"
#include "url.h"
#include "xalloc.h"

#define CHUNK_BYTES (64 * 1024)

/* The upstream's folder, as its URL names it and with links resolved. */
struct folder {
	char *path;
	char  root[PATH_MAX];
};

static bool
is_inside(const char *root, const char *path)
{
	size_t len = strlen(root);

	/* The root may be "/" itself. */
	while (len > 0 && root[len - 1] == '/')
		len--;
	return strncmp(root, path, len) == 0 && path[len] == '/';
}

/* Opens the first of the names under which the list may lie. */
static int
open_candidate(const char *path, char resolved[PATH_MAX], int *fd)
{
	static const char *const suffixes[] = { "", ".json", ".ndjson" };
	struct stat		 status;
	char			*name;
	size_t			 i;
	int			 reason = ENOENT;

	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		name = xasprintf("%s%s", path, suffixes[i]);
		*fd = -1;
		errno = 0;
		if (realpath(name, resolved) != NULL &&
		    stat(resolved, &status) == 0 && !S_ISDIR(status.st_mode))
			*fd = open(resolved, O_RDONLY | O_CLOEXEC);
		else if (errno == 0)
			errno = ENOENT;
		free(name);
		if (*fd != -1)
			return 0;
		/* What keeps us from reading it says more than its absence. */
		if (errno != ENOENT && reason == ENOENT)
			reason = errno;
	}
	errno = reason;
	return -1;
}

/* True when the path as written stays inside, before links are resolved. */
static bool
is_written_inside(const char *folder, const char *path)
{
	size_t len = strlen(path);

	if (!is_inside(folder, path) || strstr(path, "/../") != NULL)
		return false;
	return len < 3 || strcmp(path + len - 3, "/..") != 0;
}

static int
open_url(const struct folder *folder, const char *url, int *fd,
    struct error *err)
{
	char  resolved[PATH_MAX];
	char *path;
	int   rc = -1;

	*fd = -1;
	if (url_file_path(url, &path, err) == -1) {
		err->status = STATUS_PROTOCOL;
		return -1;
	}
	if (!is_written_inside(folder->path, path))
		error_set(err, STATUS_PROTOCOL, "a link that leaves the"
		    " upstream's folder %s: %s", folder->path, path);
	else if (open_candidate(path, resolved, fd) == -1)
		error_set(err, STATUS_UNAVAILABLE, "cannot read %s (nor with"
		    " .json or .ndjson): %s", path, strerror(errno));
	else if (!is_inside(folder->root, resolved))
		error_set(err, STATUS_PROTOCOL, "a link that leaves the"
		    " upstream's folder %s: %s", folder->root, resolved);
	else
		rc = 0;
	free(path);
	if (rc == -1 && *fd != -1)
		(void)close(*fd);
	return rc;
}

static int
read_all(int fd, const struct http_request *request, struct error *err)
{
	uint8_t	 chunk[CHUNK_BYTES];
	uint64_t total = 0;
	ssize_t	 len;

	while ((len = read(fd, chunk, sizeof(chunk))) != 0) {
		if (len == -1 && errno == EINTR)
			continue;
		if (len == -1)
			return error_set(err, STATUS_UNAVAILABLE,
			    "reading failed: %s", strerror(errno));
		total += (uint64_t)len;
		if (total > MAX_RESPONSE_BYTES)
			return error_set(err, STATUS_PROTOCOL,
			    "a file over the limit of 4 GiB");
		if (stop_check(STATUS_UNAVAILABLE, err) == -1 ||
		    request->sink->body(request->ctx, chunk, (size_t)len,
		    err) == -1)
			return -1;
	}
	return 0;
}

/* One page; *next is the next one's URL or NULL. */
static int
read_page(const struct folder *folder, const struct http_request *request,
    const char *url, char **next, struct error *err)
{
	int fd, rc;

	if (open_url(folder, url, &fd, err) == -1)
		return -1;
	rc = request->sink->begin(request->ctx, err);
	if (rc == 0)
		rc = read_all(fd, request, err);
	(void)close(fd);
	return rc == -1 ? -1 : request->sink->end(request->ctx, url, next,
	    err);
}

static int
read_chain(const struct folder *folder, const struct http_request *request,
    struct error *err)
{
	char *url, *next;
	int   rc;

	url = xstrdup(request->url);
	do {
		next = NULL;
		rc = read_page(folder, request, url, &next, err);
		if (rc == -1)
			error_prefix(err, "%s (%s)", request->name, url);
		free(url);
		url = next;
	} while (rc == 0 && url != NULL);
	return rc;
}

int
file_list_run(const char *base, const struct http_request *requests,
    size_t count, struct error *err)
{
	struct folder folder;
	size_t	      i;
	int	      rc = 0;

	if (url_file_path(base, &folder.path, err) == -1)
		return -1;
	if (realpath(folder.path, folder.root) == NULL)
		rc = error_set(err, STATUS_UNAVAILABLE, "--upstream: no such"
		    " folder %s: %s", folder.path, strerror(errno));
	for (i = 0; i < count && rc == 0; i++)
		rc = read_chain(&folder, &requests[i], err);
	free(folder.path);
	return rc;
}
