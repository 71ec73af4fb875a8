#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "fhir.h"
#include "hash.h"
#include "json_bson.h"
#include "limit.h"
#include "outcome.h"
#include "xalloc.h"

struct bundle {
	const char	  *resource_type;
	bundle_resource_fn fn;
	void		  *ctx;
	struct json_bson  *json;
	struct hasher	  *hasher;
	struct bundle_page page;
	char		  *next;
	uint64_t	   values;    /* top-level values that ended */
	bool		   is_list;   /* one of them was a Bundle or an array */
	bool		   is_placed; /* err says where */
};

/* Says where: the position and the key of the resource, if it has one. */
static int
place(struct bundle *bundle, uint64_t position, const bson_t *resource,
    struct error *err)
{
	struct fhir_text key = { 0 };

	bundle->is_placed = true;
	if (resource != NULL)
		key = fhir_business_key(resource);
	if (key.text == NULL)
		return error_prefix(err, "byte %" PRIu64, position);
	return error_prefix(err, "byte %" PRIu64 ", resource \"%.*s\"",
	    position, (int)(key.len < MAX_KEY_BYTES ? key.len : MAX_KEY_BYTES),
	    key.text);
}

/* A resource of another type; an OperationOutcome says what went wrong. */
static int
fail_type(const struct bundle *bundle, const bson_t *resource,
    struct fhir_text type, struct error *err)
{
	char text[MAX_OUTCOME_TEXT];

	if (type.text == NULL)
		return error_set(err, STATUS_PROTOCOL, "an object without a"
		    " resourceType where a %s was expected",
		    bundle->resource_type);
	if (!fhir_text_equals(type, "OperationOutcome"))
		return error_set(err, STATUS_PROTOCOL,
		    "a \"%.64s\" where a %s was expected", type.text,
		    bundle->resource_type);
	outcome_describe(resource, text);
	return error_set(err, STATUS_PROTOCOL,
	    "an OperationOutcome where a %s was expected%s%s",
	    bundle->resource_type, text[0] != '\0' ? ": " : "", text);
}

static int
take_resource(struct bundle *bundle, uint64_t position, const uint8_t *doc,
    size_t len, struct error *err)
{
	bson_t		 resource;
	struct fhir_text type;

	if (!bson_init_static(&resource, doc, len))
		return error_set(err, STATUS_PROTOCOL, "not a BSON document");
	type = fhir_resource_type(&resource);
	if (!fhir_text_equals(type, bundle->resource_type)) {
		fail_type(bundle, &resource, type, err);
		return place(bundle, position, &resource, err);
	}
	if (bundle->fn(bundle->ctx, &resource, err) == -1)
		return place(bundle, position, &resource, err);
	return 0;
}

/* True when an entry's search.mode says that it is no match. */
static bool
is_left_out(const bson_iter_t *search)
{
	struct fhir_text text;
	bson_iter_t	 mode;
	uint32_t	 len;

	if (!BSON_ITER_HOLDS_DOCUMENT(search) ||
	    !bson_iter_recurse(search, &mode) ||
	    !bson_iter_find(&mode, "mode") || !BSON_ITER_HOLDS_UTF8(&mode))
		return false;
	text.text = bson_iter_utf8(&mode, &len);
	text.len = len;
	return fhir_text_equals(text, "outcome") ||
	    fhir_text_equals(text, "include");
}

/*
 * A member of an entry, all that is below it: does a name stand in an object
 * twice?  The resource is looked at where it is taken.
 */
static int
check_below(struct bundle *bundle, const bson_iter_t *member,
    struct error *err)
{
	uint8_t	       hash[HASH_BYTES];
	const uint8_t *doc;
	uint32_t       len;

	if (BSON_ITER_HOLDS_DOCUMENT(member))
		bson_iter_document(member, &len, &doc);
	else if (BSON_ITER_HOLDS_ARRAY(member))
		bson_iter_array(member, &len, &doc);
	else
		return 0;
	if (hash_document(bundle->hasher, doc, len, hash, err) == -1)
		return error_prefix(err, "Bundle.entry.%.64s",
		    bson_iter_key(member));
	return 0;
}

/* Two members of one name in an entry: which of them would count? */
static int
check_entry(struct bundle *bundle, const bson_t *entry, struct error *err)
{
	const char *names[MAX_ENTRY_MEMBERS];
	bson_iter_t iter;
	size_t	    count = 0, i;

	if (!bson_iter_init(&iter, entry))
		return error_set(err, STATUS_PROTOCOL, "not a BSON document");
	while (bson_iter_next(&iter)) {
		if (count == MAX_ENTRY_MEMBERS)
			return error_set(err, STATUS_PROTOCOL, "a Bundle entry"
			    " with more than %d members", MAX_ENTRY_MEMBERS);
		names[count] = bson_iter_key(&iter);
		for (i = 0; i < count; i++) {
			if (strcmp(names[i], names[count]) == 0)
				return error_set(err, STATUS_PROTOCOL,
				    "duplicate member name \"%.64s\" in a"
				    " Bundle entry", names[i]);
		}
		if (strcmp(names[count], "resource") != 0 &&
		    check_below(bundle, &iter, err) == -1)
			return -1;
		count++;
	}
	return 0;
}

/* Bundle.entry (FHIR R4, 2.36) */
static int
take_entry(struct bundle *bundle, const struct json_part_info *info,
    struct error *err)
{
	bson_t	       entry;
	bson_iter_t    search, resource;
	const uint8_t *doc;
	uint32_t       len;

	if (!bson_init_static(&entry, info->doc, info->len))
		return error_set(err, STATUS_PROTOCOL, "not a BSON document");
	if (check_entry(bundle, &entry, err) == -1)
		return place(bundle, info->position, NULL, err);
	if (!bson_iter_init_find(&resource, &entry, "resource"))
		return 0;
	if (!BSON_ITER_HOLDS_DOCUMENT(&resource)) {
		error_set(err, STATUS_PROTOCOL,
		    "a Bundle entry whose resource is not an object");
		return place(bundle, info->position, NULL, err);
	}
	if (bson_iter_init_find(&search, &entry, "search") &&
	    is_left_out(&search)) {
		if (check_below(bundle, &resource, err) == -1)
			return place(bundle, info->position, NULL, err);
		return 0;
	}
	bson_iter_document(&resource, &len, &doc);
	return take_resource(bundle, info->position, doc, len, err);
}

static int
take_total(struct bundle *bundle, const bson_iter_t *iter, struct error *err)
{
	if (!BSON_ITER_HOLDS_INT(iter) || bson_iter_as_int64(iter) < 0)
		return error_set(err, STATUS_PROTOCOL,
		    "Bundle.total is not a number of resources");
	bundle->page.has_total = true;
	bundle->page.total = bson_iter_as_int64(iter);
	return 0;
}

static int
take_link(struct bundle *bundle, const bson_t *link, struct error *err)
{
	bson_iter_t iter;

	if (!bson_iter_init_find(&iter, link, "relation") ||
	    !BSON_ITER_HOLDS_UTF8(&iter) ||
	    strcmp(bson_iter_utf8(&iter, NULL), "next") != 0)
		return 0;
	if (!bson_iter_init_find(&iter, link, "url") ||
	    !BSON_ITER_HOLDS_UTF8(&iter) ||
	    bson_iter_utf8(&iter, NULL)[0] == '\0')
		return error_set(err, STATUS_PROTOCOL,
		    "a next link without a url");
	if (bundle->next == NULL)
		bundle->next = xstrdup(bson_iter_utf8(&iter, NULL));
	else if (strcmp(bundle->next, bson_iter_utf8(&iter, NULL)) != 0)
		return error_set(err, STATUS_PROTOCOL, "two next links that"
		    " differ");
	return 0;
}

static int
take_links(struct bundle *bundle, const bson_iter_t *iter, struct error *err)
{
	bson_iter_t    links;
	bson_t	       link;
	const uint8_t *doc;
	uint32_t       len;

	if (!BSON_ITER_HOLDS_ARRAY(iter) || !bson_iter_recurse(iter, &links))
		return error_set(err, STATUS_PROTOCOL,
		    "Bundle.link is not an array");
	while (bson_iter_next(&links)) {
		if (!BSON_ITER_HOLDS_DOCUMENT(&links))
			return error_set(err, STATUS_PROTOCOL,
			    "a Bundle.link that is not an object");
		bson_iter_document(&links, &len, &doc);
		if (bson_init_static(&link, doc, len) &&
		    take_link(bundle, &link, err) == -1)
			return -1;
	}
	return 0;
}

static int
check_bundle_type(const bson_iter_t *iter, struct error *err)
{
	const char *type;

	if (!BSON_ITER_HOLDS_UTF8(iter))
		return error_set(err, STATUS_PROTOCOL,
		    "Bundle.type is not text");
	type = bson_iter_utf8(iter, NULL);
	if (strcmp(type, "searchset") == 0 || strcmp(type, "collection") == 0)
		return 0;
	return error_set(err, STATUS_PROTOCOL, "a Bundle of type \"%.64s\""
	    " (searchset or collection expected)", type);
}

/* A Bundle without its entries. */
static int
take_envelope(struct bundle *bundle, const bson_t *envelope, struct error *err)
{
	uint8_t	    hash[HASH_BYTES];
	bson_iter_t iter;

	bundle->is_list = true;
	/* Only to learn whether any name stands in it twice. */
	if (hash_document(bundle->hasher, bson_get_data(envelope),
	    envelope->len, hash, err) == -1)
		return error_prefix(err, "Bundle");
	if (bson_iter_init_find(&iter, envelope, "entry"))
		return error_set(err, STATUS_PROTOCOL,
		    "Bundle.entry is not an array, or stands there twice");
	if (bson_iter_init_find(&iter, envelope, "type") &&
	    check_bundle_type(&iter, err) == -1)
		return -1;
	if (bson_iter_init_find(&iter, envelope, "total") &&
	    take_total(bundle, &iter, err) == -1)
		return -1;
	if (bson_iter_init_find(&iter, envelope, "link"))
		return take_links(bundle, &iter, err);
	return 0;
}

/* A top-level object: a Bundle or a resource. */
static int
take_object(struct bundle *bundle, const struct json_part_info *info,
    struct error *err)
{
	bson_t		 object;
	struct fhir_text type;

	if (!bson_init_static(&object, info->doc, info->len))
		return error_set(err, STATUS_PROTOCOL, "not a BSON document");
	type = fhir_resource_type(&object);
	if (fhir_text_equals(type, "Bundle"))
		return take_envelope(bundle, &object, err);
	if (info->part == JSON_PART_OBJECT)
		return take_resource(bundle, info->position, info->doc,
		    info->len, err);
	if (!fhir_text_equals(type, bundle->resource_type))
		return fail_type(bundle, &object, type, err);
	return error_set(err, STATUS_PROTOCOL, "a %s with a member \"entry\""
	    " before its resourceType", bundle->resource_type);
}

static int
on_part(void *ctx, const struct json_part_info *info, struct error *err)
{
	struct bundle *bundle = ctx;

	if (info->part == JSON_PART_ENTRY)
		return take_entry(bundle, info, err);
	if (info->part == JSON_PART_ITEM)
		return take_resource(bundle, info->position, info->doc,
		    info->len, err);
	if (info->part == JSON_PART_ARRAY)
		bundle->is_list = true;
	else if (take_object(bundle, info, err) == -1)
		return -1;
	if (++bundle->values > 1 && bundle->is_list)
		return error_set(err, STATUS_PROTOCOL,
		    "a Bundle or an array is not the only value");
	return 0;
}

struct bundle *
bundle_new(const char *resource_type, bundle_resource_fn fn, void *ctx)
{
	struct bundle *bundle;

	bundle = xcalloc(1, sizeof(*bundle));
	bundle->resource_type = resource_type;
	bundle->fn = fn;
	bundle->ctx = ctx;
	bundle->json = json_bson_new(on_part, bundle, false);
	bundle->hasher = hasher_new();
	return bundle;
}

void
bundle_free(struct bundle *bundle)
{
	if (bundle == NULL)
		return;
	json_bson_free(bundle->json);
	hasher_free(bundle->hasher);
	free(bundle->next);
	free(bundle);
}

void
bundle_reset(struct bundle *bundle)
{
	free(bundle->next);
	bundle->next = NULL;
	bundle->page = (struct bundle_page){ 0 };
	bundle->values = 0;
	bundle->is_list = bundle->is_placed = false;
	json_bson_reset(bundle->json);
}

/* Puts the place before an error of the JSON parser. */
static int
place_error(struct bundle *bundle, struct error *err)
{
	struct json_part_info info;
	bson_t		      doc;
	bson_iter_t	      iter;
	const uint8_t	     *data;
	uint32_t	      len;
	uint64_t	      position;

	if (bundle->is_placed)
		return -1;
	position = json_bson_position(bundle->json);
	if (!json_bson_partial(bundle->json, &info) ||
	    !bson_init_static(&doc, info.doc, info.len))
		return place(bundle, position, NULL, err);
	if (info.part != JSON_PART_ENTRY)
		return place(bundle, position, &doc, err);
	if (!bson_iter_init_find(&iter, &doc, "resource") ||
	    !BSON_ITER_HOLDS_DOCUMENT(&iter))
		return place(bundle, position, NULL, err);
	bson_iter_document(&iter, &len, &data);
	if (!bson_init_static(&doc, data, len))
		return place(bundle, position, NULL, err);
	return place(bundle, position, &doc, err);
}

int
bundle_feed(struct bundle *bundle, const uint8_t *data, size_t len,
    struct error *err)
{
	if (json_bson_feed(bundle->json, data, len, err) == -1)
		return place_error(bundle, err);
	return 0;
}

int
bundle_finish(struct bundle *bundle, struct bundle_page *page,
    struct error *err)
{
	if (json_bson_finish(bundle->json, err) == -1)
		return place_error(bundle, err);
	*page = bundle->page;
	page->next = bundle->next;
	return 0;
}

bool
bundle_is_cut(const struct bundle *bundle)
{
	return json_bson_is_cut(bundle->json);
}
