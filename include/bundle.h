/*
 * One page of an upstream list: which of what the JSON parser finds are the
 * resources, and where the next page is.  The shapes are told apart by their
 * content: a FHIR Bundle (searchset or collection), an array of resources,
 * NDJSON, or a single resource.  Everything else is an error.  No network, no
 * files.
 */
#ifndef NOMPD_BUNDLE_H
#define NOMPD_BUNDLE_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Members of one Bundle entry; FHIR has ten. */
#define MAX_ENTRY_MEMBERS 32

/*
 * Called for each resource; it has the expected type and is borrowed until the
 * call returns.  -1 ends the page.
 */
typedef int (*bundle_resource_fn)(void *ctx, const bson_t *resource,
    struct error *err);

/* What a page says besides its resources. */
struct bundle_page {
	bool	    has_total;
	int64_t	    total;     /* Bundle.total */
	const char *next;      /* link relation next, or NULL; borrowed until
				* the next bundle_reset() */
};

struct bundle;

/* resource_type, fn and ctx are borrowed.  The caller frees the result. */
struct bundle *bundle_new(const char *resource_type, bundle_resource_fn fn,
    void *ctx);
void bundle_free(struct bundle *bundle);

/* Makes it ready for another page. */
void bundle_reset(struct bundle *bundle);

/*
 * Takes the next len bytes of the body.  -1: not what was asked for
 * (STATUS_PROTOCOL; the sentence has the position and, where there is one, the
 * resource's key) or what fn said.
 */
int bundle_feed(struct bundle *bundle, const uint8_t *data, size_t len,
    struct error *err);
/* The body is complete: fills *page, or -1 as above. */
int bundle_finish(struct bundle *bundle, struct bundle_page *page,
    struct error *err);
/* True after -1 when the body ended in the middle of its JSON. */
bool bundle_is_cut(const struct bundle *bundle);

#endif
