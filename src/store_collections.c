/* The front of all stores: which collections there are, and new ones. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "collection.h"
#include "store_int.h"
#include "words.h"
#include "xalloc.h"

static int
compare_names(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

int
store_collections_read(struct store *store, char ***out, struct error *err)
{
	char **extras = NULL;
	size_t i, n;
	int    rc;

	*out = NULL;
	rc = store->ops->extras_get(store, &extras, err);
	for (i = 0; rc == 0 && i < COLLECTION__MAX; i++)
		words_add(out, collection_name((enum collection)i));
	n = words_count(extras);
	if (n > 0)
		qsort((void *)extras, n, sizeof(*extras), compare_names);
	for (i = 0; rc == 0 && i < n; i++) {
		if (collection_is_extra(extras[i]))
			words_add(out, extras[i]);
	}
	words_free(extras);
	return rc;
}

int
store_collections_get(struct store *store, char ***out, struct error *err)
{
	return store_named(store, store_collections_read(store, out, err),
	    err);
}

int
store_is_missing(struct store *store, const char *collection,
    struct error *err)
{
	char **names;
	int    rc;

	/* The five are there with the store. */
	if (collection_find(collection) != COLLECTION__MAX)
		return 0;
	if (store_collections_read(store, &names, err) == -1)
		return -1;
	rc = !words_has(names, collection);
	words_free(names);
	return rc;
}

struct store_cursor *
store_cursor_empty(struct store *store)
{
	struct store_cursor *cursor;

	cursor = xcalloc(1, sizeof(*cursor));
	cursor->store = store;
	cursor->is_empty = true;
	return cursor;
}

int
store_open_missing(struct store *store, const char *collection,
    struct store_cursor **out, struct error *err)
{
	int rc;

	*out = NULL;
	rc = store_is_missing(store, collection, err);
	if (rc == 1)
		*out = store_cursor_empty(store);
	return rc;
}

/* The API ignores the case of names, and so do the tables of SQLite. */
static int
check_case(char *const *names, const char *name, struct error *err)
{
	for (; *names != NULL; names++) {
		if (strcasecmp(*names, name) == 0)
			return error_set(err, STATUS_STORE, "there is a"
			    " collection %s already, so there can be none"
			    " called %s", *names, name);
	}
	return 0;
}

static int
make_missing(struct store *store, const char *name, char *const *names,
    struct error *err)
{
	if (words_has(names, name))
		return 0;
	if (!collection_is_extra(name))
		return error_set(err, STATUS_STORE, "a collection cannot be"
		    " called \"%.*s\"; want the name of a FHIR type",
		    MAX_COLLECTION_NAME, name);
	if (check_case(names, name, err) == -1)
		return -1;
	if (words_count(names) >= MAX_COLLECTIONS)
		return error_set(err, STATUS_STORE, "no room for a collection"
		    " %s: there are %d already, more than FHIR has types",
		    name, MAX_COLLECTIONS);
	return store->ops->collection_make(store, name, err);
}

int
store_collection_make(struct store *store, const char *name, struct error *err)
{
	char **names;
	int    rc;

	store_trace_step(store, "make", name);
	rc = store_collections_read(store, &names, err);
	if (rc == 0)
		rc = make_missing(store, name, names, err);
	words_free(names);
	return store_named(store, rc, err);
}
