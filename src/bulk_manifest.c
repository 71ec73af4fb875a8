#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bulk_manifest.h"
#include "instant.h"
#include "text.h"
#include "url.h"
#include "xalloc.h"

/* What is being read: page_url is what its links are relative to. */
struct page {
	struct bulk_manifest *manifest;
	const char	     *url;
	const json_t	     *root;
};

/* The arrays of a manifest and where their entries go. */
static const struct {
	const char    *name;
	enum bulk_list list;
	bool	       needs_type;
} arrays[] = {
	{ "output", BULK_OUTPUT, true },
	{ "deleted", BULK_DELETED, false },
	{ "error", BULK_OUTCOME, false },
	{ "outcome", BULK_OUTCOME, false },
};

static const char *
kind_name(const json_t *value)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",
		[JSON_STRING] = "text", [JSON_INTEGER] = "a number",
		[JSON_REAL] = "a number with a fraction",
		[JSON_TRUE] = "true", [JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};

	return value == NULL ? "nothing" : names[json_typeof(value)];
}

/* The member; null counts as absent. */
static const json_t *
member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_null(value) ? NULL : value;
}

/* want is "text", ...; the path ends in the member's name. */
static int
refuse(struct error *err, const char *path, const char *name,
    const char *want, const json_t *value)
{
	return error_set(err, STATUS_PROTOCOL, "%s%s: want %s, have %s", path,
	    name, want, kind_name(value));
}

/* A member that is text and not empty; *out is borrowed, NULL when absent. */
static int
read_text(const json_t *object, const char *path, const char *name,
    const char **out, struct error *err)
{
	const json_t *value = member(object, name);

	*out = json_string_value(value);
	if (value != NULL && (*out == NULL || (*out)[0] == '\0'))
		return refuse(err, path, name, "text that is not empty",
		    value);
	return 0;
}

/* A member that is a number from 0; -1 when absent. */
static int
read_count(const json_t *object, const char *path, const char *name,
    int64_t *out, struct error *err)
{
	const json_t *value = member(object, name);

	*out = -1;
	if (value == NULL)
		return 0;
	if (!json_is_integer(value))
		return refuse(err, path, name, "a whole number", value);
	*out = json_integer_value(value);
	if (*out < 0)
		return error_set(err, STATUS_PROTOCOL, "%s%s: want a number"
		    " that is not below 0, have %" PRId64, path, name, *out);
	return 0;
}

/* A link of the page, made absolute; the caller frees *out. */
static int
resolve(const struct page *page, const char *path, const char *name,
    const char *reference, char **out, struct error *err)
{
	if (url_resolve_http(page->url, reference, out, err) == -1)
		return error_prefix(err, "%s%s", path, name);
	return 0;
}

/* Room for one more file; zeroed. */
static struct bulk_file *
add_file(struct bulk_files *files)
{
	struct bulk_file *file;

	/* Each power of two is when it is full. */
	if ((files->n & (files->n - 1)) == 0)
		files->files = xrealloc(files->files, (files->n > 0 ?
		    2 * files->n : 1) * sizeof(*files->files));
	file = &files->files[files->n++];
	memset(file, 0, sizeof(*file));
	return file;
}

static size_t
count_files(const struct bulk_manifest *manifest)
{
	size_t i, n = 0;

	for (i = 0; i < BULK_LIST__MAX; i++)
		n += manifest->lists[i].n;
	return n;
}

/* One entry; path names it, as in "output[3].". */
static int
read_file(const struct page *page, const json_t *entry, const char *path,
    enum bulk_list list, bool needs_type, struct error *err)
{
	struct bulk_file *file;
	const char	 *url, *type;

	if (count_files(page->manifest) >= MAX_FILES)
		return error_set(err, STATUS_PROTOCOL, "more than %d files",
		    MAX_FILES);
	file = add_file(&page->manifest->lists[list]);
	if (!json_is_object(entry))
		return refuse(err, path, "", "an object", entry);
	if (read_text(entry, path, "url", &url, err) == -1 ||
	    read_text(entry, path, "type", &type, err) == -1 ||
	    read_count(entry, path, "count", &file->count, err) == -1 ||
	    read_count(entry, path, "fileSize", &file->size, err) == -1)
		return -1;
	if (url == NULL)
		return refuse(err, path, "url", "a link", NULL);
	if (needs_type && type == NULL)
		return refuse(err, path, "type", "a resource type", NULL);
	if (type != NULL && !text_is_label(type, strlen(type)))
		return error_set(err, STATUS_PROTOCOL, "%stype: no resource"
		    " type: %.64s", path, type);
	if (type != NULL)
		file->type = xstrdup(type);
	return resolve(page, path, "url", url, &file->url, err);
}

/* A member that is a list, or NULL when it is absent. */
static int
read_list(const struct page *page, const char *name, const json_t **out,
    struct error *err)
{
	*out = member(page->root, name);
	if (*out != NULL && !json_is_array(*out))
		return refuse(err, "", name, "a list", *out);
	return 0;
}

static int
read_files(const struct page *page, struct error *err)
{
	const json_t *list, *entry;
	size_t	      i, at;
	char	     *path;
	int	      rc = 0;

	for (i = 0; i < sizeof(arrays) / sizeof(arrays[0]) && rc == 0; i++) {
		if (read_list(page, arrays[i].name, &list, err) == -1)
			return -1;
		for (at = 0; at < json_array_size(list) && rc == 0; at++) {
			entry = json_array_get(list, at);
			path = xasprintf("%s[%zu].", arrays[i].name, at);
			rc = read_file(page, entry, path, arrays[i].list,
			    arrays[i].needs_type, err);
			free(path);
		}
	}
	return rc;
}

/* A way round in a circle would have no end. */
static int
check_next(const struct bulk_manifest *manifest, const char *next,
    struct error *err)
{
	size_t i;

	if (manifest->n_pages >= MAX_MANIFEST_PAGES)
		return error_set(err, STATUS_PROTOCOL, "link: more than %d"
		    " pages", MAX_MANIFEST_PAGES);
	for (i = 0; i < manifest->n_pages; i++) {
		if (strcmp(manifest->page_urls[i], next) == 0)
			return error_set(err, STATUS_PROTOCOL, "link: next"
			    " leads to a page that was seen before (page"
			    " %zu)", i + 1);
	}
	return 0;
}

/* The link with relation next, NULL when there is none; borrowed. */
static int
find_next(const struct page *page, const char **next, struct error *err)
{
	const json_t *list, *entry;
	const char   *relation, *url;
	char	      path[32];
	size_t	      i;

	*next = NULL;
	if (read_list(page, "link", &list, err) == -1)
		return -1;
	for (i = 0; i < json_array_size(list); i++) {
		(void)snprintf(path, sizeof(path), "link[%zu].", i);
		entry = json_array_get(list, i);
		if (!json_is_object(entry))
			return refuse(err, path, "", "an object", entry);
		if (read_text(entry, path, "relation", &relation, err) == -1 ||
		    read_text(entry, path, "url", &url, err) == -1)
			return -1;
		if (relation == NULL || strcmp(relation, "next") != 0)
			continue;
		if (url == NULL)
			return refuse(err, path, "url", "a link", NULL);
		if (*next != NULL)
			return error_set(err, STATUS_PROTOCOL,
			    "link: more than one of them is next");
		*next = url;
	}
	return 0;
}

/* The page's URL may be the next that there was, so that one goes last. */
static int
read_next(const struct page *page, struct error *err)
{
	const char *reference;
	char	   *next = NULL;

	if (find_next(page, &reference, err) == -1)
		return -1;
	if (reference != NULL && (resolve(page, "", "link", reference, &next,
	    err) == -1 || check_next(page->manifest, next, err) == -1)) {
		free(next);
		return -1;
	}
	free(page->manifest->next);
	page->manifest->next = next;
	return 0;
}

/* The moment, which is the bookmark of the next export. */
static int
read_time(const struct page *page, struct error *err)
{
	struct bulk_manifest *manifest = page->manifest;
	const char	     *text;
	int64_t		      us;

	if (read_text(page->root, "", "transactionTime", &text, err) == -1)
		return -1;
	if (text == NULL)
		return refuse(err, "", "transactionTime", "an instant", NULL);
	if (!instant_parse(text, &us))
		return error_set(err, STATUS_PROTOCOL, "transactionTime: no"
		    " FHIR instant (as 2025-04-10T08:30:00Z): %.64s", text);
	if (manifest->n_pages > 0 && us != manifest->transaction_us)
		return error_set(err, STATUS_PROTOCOL, "transactionTime: %.64s"
		    " on page %zu, but %.64s on the first", text,
		    manifest->n_pages + 1, manifest->transaction_time);
	if (manifest->n_pages == 0) {
		manifest->transaction_time = xstrdup(text);
		manifest->transaction_us = us;
	}
	return 0;
}

static int
read_requires_token(const struct page *page, struct error *err)
{
	struct bulk_manifest *manifest = page->manifest;
	const json_t	     *value;
	bool		      requires;

	value = member(page->root, "requiresAccessToken");
	if (value != NULL && !json_is_boolean(value))
		return refuse(err, "", "requiresAccessToken", "true or false",
		    value);
	requires = json_is_true(value);
	if (manifest->n_pages > 0 && requires != manifest->requires_token)
		return error_set(err, STATUS_PROTOCOL, "requiresAccessToken:"
		    " page %zu differs from the first",
		    manifest->n_pages + 1);
	manifest->requires_token = requires;
	return 0;
}

/* What nobody asked for, and could not be read. */
static int
check_format(const struct page *page, struct error *err)
{
	static const char *const formats[] = {
		"application/fhir+ndjson", "application/ndjson", "ndjson",
	};
	const char *text;
	size_t	    i;

	if (read_text(page->root, "", "outputOrganizedBy", &text, err) == -1)
		return -1;
	if (text != NULL)
		return error_set(err, STATUS_PROTOCOL, "outputOrganizedBy: the"
		    " files are organised by %.64s, which was not asked for"
		    " and cannot be read; ask the server's operator for files"
		    " by resource type", text);
	if (read_text(page->root, "", "outputFormat", &text, err) == -1)
		return -1;
	for (i = 0; text != NULL && i < sizeof(formats) / sizeof(formats[0]);
	    i++) {
		if (strcmp(text, formats[i]) == 0)
			return 0;
	}
	return text == NULL ? 0 : error_set(err, STATUS_PROTOCOL,
	    "outputFormat: want application/fhir+ndjson, have %.64s", text);
}

static int
check_root(const struct page *page, struct error *err)
{
	const char *type;

	if (!json_is_object(page->root))
		return refuse(err, "the text", "", "an object", page->root);
	type = json_string_value(member(page->root, "resourceType"));
	return type == NULL ? 0 : error_set(err, STATUS_PROTOCOL,
	    "a resource (%.64s) instead of a manifest", type);
}

static void
add_page_url(struct bulk_manifest *manifest, const char *url)
{
	manifest->page_urls = xrealloc((void *)manifest->page_urls,
	    (manifest->n_pages + 1) * sizeof(*manifest->page_urls));
	manifest->page_urls[manifest->n_pages] = xstrdup(url);
}

int
bulk_manifest_add(struct bulk_manifest *manifest, const uint8_t *data,
    size_t len, const char *url, struct error *err)
{
	struct page  page = { .manifest = manifest, .url = url };
	json_error_t error;
	json_t	    *root;
	size_t	     mark = text_mark_bytes(data, len, 0);
	int	     rc = -1;

	if (mark != TEXT_MARK_BYTES)
		mark = 0;
	root = json_loadb((const char *)data + mark, len - mark,
	    JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	page.root = root;
	if (root == NULL)
		error_set(err, STATUS_PROTOCOL, "no sound JSON (line %d,"
		    " column %d): %s", error.line, error.column, error.text);
	else if (check_root(&page, err) == 0 &&
	    check_format(&page, err) == 0 && read_time(&page, err) == 0 &&
	    read_requires_token(&page, err) == 0 &&
	    read_files(&page, err) == 0)
		rc = 0;
	/* The page itself is one of those that next must not lead to. */
	if (rc == 0) {
		add_page_url(manifest, url);
		manifest->n_pages++;
		rc = read_next(&page, err);
	}
	json_decref(root);
	return rc == 0 ? 0 : error_prefix(err, "the manifest");
}

void
bulk_manifest_clear(struct bulk_manifest *manifest)
{
	struct bulk_files *list;
	size_t		   i, at;

	for (i = 0; i < BULK_LIST__MAX; i++) {
		list = &manifest->lists[i];
		for (at = 0; at < list->n; at++) {
			free(list->files[at].url);
			free(list->files[at].type);
		}
		free(list->files);
	}
	for (i = 0; i < manifest->n_pages; i++)
		free(manifest->page_urls[i]);
	free((void *)manifest->page_urls);
	free(manifest->transaction_time);
	free(manifest->next);
	memset(manifest, 0, sizeof(*manifest));
}
