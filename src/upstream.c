#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "fhir.h"
#include "file_list.h"
#include "limit.h"
#include "log.h"
#include "outcome.h"
#include "record.h"
#include "upstream.h"
#include "url.h"
#include "xalloc.h"

/* Bytes of a list's name in messages, as in "PlanDefinition page 3". */
#define MAX_LIST_NAME 64

/*
 * One list.  of_pages is what its complete pages gave, of_page what the one
 * under way has given so far; after a retry the latter starts again.
 */
struct count {
	uint64_t resources; /* with and without a key */
	uint64_t skipped;
	int64_t	 staged;
};
struct list {
	enum collection	 collection;
	struct upstream *upstream;
	struct bundle	*bundle;
	char		*url;
	char		 name[MAX_LIST_NAME];
	uint64_t	 pages;
	uint64_t	 bytes;
	struct count	 of_pages;
	struct count	 of_page;
	bool		 has_total;
	int64_t		 total;
};

struct upstream {
	struct stage  *stage;
	struct output *output;
	struct hasher *hasher;
	struct job    *job;
	struct list    lists[COLLECTION_RAW_MAX];
};

/* The lists in words that leave room for three of them on a line. */
static const char *const short_names[COLLECTION_RAW_MAX] = {
	[PLAN_DEFINITIONS] = "plans",
	[ACTIVITY_DEFINITIONS] = "activities",
	[REGULATED_AUTHORIZATIONS] = "authorizations",
};

static void
note_count(const struct list *list)
{
	struct job_count *count = job_count_of(list->upstream->job,
	    collection_name(list->collection));

	count->fetched = (int64_t)(list->of_pages.resources +
	    list->of_page.resources);
	count->expected = list->has_total ? list->total : -1;
}

static void
show_progress(const struct upstream *upstream)
{
	const struct list *list;
	char		   text[COLLECTION_RAW_MAX * MAX_LIST_NAME] = "";
	size_t		   len;
	int		   i;

	if (!log_has_progress())
		return;
	for (i = 0; i < COLLECTION_RAW_MAX; i++) {
		list = &upstream->lists[i];
		len = strlen(text);
		(void)snprintf(text + len, sizeof(text) - len,
		    "%s%s %" PRIu64 " (%.1f MB)", i > 0 ? ", " : "",
		    short_names[i], list->of_pages.resources +
		    list->of_page.resources, (double)list->bytes / 1e6);
	}
	log_progress("%s", text);
}

static int
check_key(struct fhir_text key, size_t data_len, struct error *err)
{
	if (key.len > MAX_KEY_BYTES)
		return error_set(err, STATUS_PROTOCOL, "a business key"
		    " (identifier[0].value) of %zu bytes; the limit is %d",
		    key.len, MAX_KEY_BYTES);
	if (memchr(key.text, 0, key.len) != NULL)
		return error_set(err, STATUS_PROTOCOL,
		    "a business key (identifier[0].value) with a NUL in it");
	return record_check_size(key.len, data_len, err);
}

/* bundle_resource_fn: a resource goes to the stage. */
static int
take_resource(void *ctx, const bson_t *resource, struct error *err)
{
	struct list	*list = ctx;
	struct upstream *upstream = list->upstream;
	const uint8_t	*data = bson_get_data(resource);
	struct fhir_text key;
	uint8_t		 hash[HASH_BYTES];

	list->of_page.resources++;
	if (hash_document(upstream->hasher, data, resource->len, hash, err) ==
	    -1)
		return -1;
	key = fhir_business_key(resource);
	if (key.text == NULL) {
		list->of_page.skipped++;
		return 0;
	}
	if (check_key(key, resource->len, err) == -1)
		return -1;
	list->of_page.staged++;
	if (stage_add(upstream->stage, list->collection, &(struct stage_doc){
	    .key = key.text, .len = key.len, .hash = hash, .data = data,
	    .data_len = resource->len }, err) == -1)
		return -1;
	/* Cheaper while it is in hand than read back from the stage. */
	if (list->collection == REGULATED_AUTHORIZATIONS)
		return output_reimbursement(upstream->output, key.text,
		    key.len, resource, err);
	return 0;
}

static int
begin_page(void *ctx, struct error *err)
{
	struct list  *list = ctx;
	struct stage *stage = list->upstream->stage;
	int64_t	      count = list->of_pages.staged;

	list->of_page = (struct count){ 0 };
	bundle_reset(list->bundle);
	if (list->collection == REGULATED_AUTHORIZATIONS &&
	    stage_rewind(stage, REIMBURSEMENT_GROUPS, count, err) == -1)
		return -1;
	return stage_rewind(stage, list->collection, count, err);
}

static int
take_body(void *ctx, const uint8_t *data, size_t len, struct error *err)
{
	struct list *list = ctx;

	list->bytes += len;
	if (bundle_feed(list->bundle, data, len, err) == -1)
		return -1;
	note_count(list);
	show_progress(list->upstream);
	return 0;
}

/* A next link must not take the key elsewhere, nor lead round in a circle. */
static int
take_next(struct list *list, const char *url, const char *reference,
    char **next, struct error *err)
{
	bool is_new;

	if (url_is_file(url) && url_has_scheme(reference))
		return error_set(err, STATUS_PROTOCOL, "next link: a folder's"
		    " pages are named by relative links: %.256s", reference);
	if (url_resolve(url, reference, next, err) == -1)
		return error_prefix(err, "next link");
	if (!url_is_file(url) && !url_is_same_origin(url, *next))
		return error_set(err, STATUS_PROTOCOL, "next link: it leads to"
		    " another origin (%s); the key would go with it", *next);
	if (list->pages >= MAX_PAGES)
		return error_set(err, STATUS_PROTOCOL, "next link: more than"
		    " %d pages", MAX_PAGES);
	if (stage_see_url(list->upstream->stage, list->collection, *next,
	    &is_new, err) == -1)
		return -1;
	if (!is_new)
		return error_set(err, STATUS_PROTOCOL, "next link: it leads to"
		    " a page that was seen before (%s)", *next);
	return 0;
}

/* The last page: is it all that the first one spoke of? */
static int
finish_list(struct list *list, struct error *err)
{
	const struct count *count = &list->of_pages;

	if (list->has_total && count->resources < (uint64_t)list->total)
		return error_set(err, STATUS_PROTOCOL, "the first page gives a"
		    " total of %" PRId64 ", but the list ended after %" PRIu64
		    " resources (a missing next link?)", list->total,
		    count->resources);
	log_info("%s: %" PRIu64 " resource%s on %" PRIu64 " page%s, %" PRIu64
	    " bytes", collection_resource_type(list->collection),
	    count->resources, count->resources == 1 ? "" : "s", list->pages,
	    list->pages == 1 ? "" : "s", list->bytes);
	if (count->skipped > 0)
		log_debug("%s: %" PRIu64 " without an identifier left out",
		    collection_resource_type(list->collection),
		    count->skipped);
	return 0;
}

static void
set_name(struct list *list)
{
	(void)snprintf(list->name, sizeof(list->name), "%s page %" PRIu64,
	    collection_resource_type(list->collection), list->pages + 1);
}

static int
end_page(void *ctx, const char *url, char **next, struct error *err)
{
	struct list	  *list = ctx;
	struct bundle_page page;

	if (bundle_finish(list->bundle, &page, err) == -1)
		return -1;
	if (list->pages == 0) {
		list->has_total = page.has_total;
		list->total = page.total;
	}
	list->of_pages.resources += list->of_page.resources;
	list->of_pages.skipped += list->of_page.skipped;
	list->of_pages.staged += list->of_page.staged;
	list->of_page = (struct count){ 0 };
	list->pages++;
	note_count(list);
	if (page.next == NULL)
		return finish_list(list, err);
	if (take_next(list, url, page.next, next, err) == -1) {
		free(*next);
		*next = NULL;
		return -1;
	}
	set_name(list);
	return 0;
}

static bool
is_cut(void *ctx)
{
	struct list *list = ctx;

	return bundle_is_cut(list->bundle);
}

static const struct http_sink sink = {
	.begin = begin_page,
	.body = take_body,
	.end = end_page,
	.is_cut = is_cut,
	.describe = outcome_describe_body,
};

static int
list_init(struct list *list, struct upstream *upstream,
    enum collection collection, const char *base, struct error *err)
{
	bool is_new;

	list->collection = collection;
	list->upstream = upstream;
	list->bundle = bundle_new(collection_resource_type(collection),
	    take_resource, list);
	list->url = url_below(base, collection_path(collection));
	set_name(list);
	return stage_see_url(upstream->stage, collection, list->url, &is_new,
	    err);
}

int
upstream_fetch(const char *base, const struct http_config *config,
    struct stage *stage, struct output *output,
    struct tally tallies[COLLECTION_RAW_MAX], struct job *job,
    struct error *err)
{
	struct upstream	    upstream = { .stage = stage, .output = output,
		.job = job };
	struct http_request requests[COLLECTION_RAW_MAX];
	struct list	   *list;
	int		    i, rc = 0;

	upstream.hasher = hasher_new();
	for (i = 0; i < COLLECTION_RAW_MAX; i++) {
		list = &upstream.lists[i];
		if (rc == 0)
			rc = list_init(list, &upstream, i, base, err);
		requests[i] = (struct http_request){
			.url = list->url,
			.name = list->name,
			.sink = &sink,
			.ctx = list,
		};
	}
	if (rc == 0 && url_is_file(base))
		rc = file_list_run(base, requests, COLLECTION_RAW_MAX, err);
	else if (rc == 0)
		rc = http_run(config, requests, COLLECTION_RAW_MAX, err);
	for (i = 0; i < COLLECTION_RAW_MAX; i++) {
		tallies[i].came = upstream.lists[i].of_pages.resources;
		tallies[i].skipped = upstream.lists[i].of_pages.skipped;
		bundle_free(upstream.lists[i].bundle);
		free(upstream.lists[i].url);
	}
	hasher_free(upstream.hasher);
	log_progress_end();
	return rc;
}
