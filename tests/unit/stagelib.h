/* Resources with an age, for the stage and for the store, and the plan that
 * comes of both. */
#ifndef NOMPD_STAGELIB_H
#define NOMPD_STAGELIB_H

#include "plan.h"
#include "resource_age.h"
#include "sqlitelib.h"

/* What stands in a resource's meta; T3 is the newest. */
#define T1     "'lastUpdated':'2025-01-01T00:00:00Z'"
#define T2     "'lastUpdated':'2025-01-02T00:00:00.5+01:00'"
#define T3     "'lastUpdated':'2025-01-02T00:00:00-01:00'"
#define V(n)   ",'versionId':'" #n "'"
#define SUBSET ",'tag':[{'code':'SUBSETTED'}]"

#define TYPE "Patient"

/* A resource, staged or stored: its content is fill, and n says so. */
struct item {
	const char	*key; /* NULL ends a list of them */
	uint8_t		 fill;
	const char	*meta;	/* NULL: none */
	bool		 is_deleted;
};
/* The end of a list of them. */
#define NO_ITEM { .key = NULL }

static inline bson_t *
item_doc(const struct item *item)
{
	bson_t *doc;
	char   *json;

	json = item->meta == NULL ? xstrdup("{}") :
	    xasprintf("{'meta':{%s}}", item->meta);
	doc = test_bson(json);
	BSON_APPEND_INT32(doc, "n", item->fill);
	free(json);
	return doc;
}

static inline void
item_stage(struct stage *stage, int list, const struct item *item)
{
	uint8_t		 hash[HASH_BYTES];
	bson_t		*doc = item_doc(item);
	struct stage_doc staged = { .key = item->key,
		.len = strlen(item->key), .kind = STAGED_DELETE };

	memset(hash, item->fill, sizeof(hash));
	if (!item->is_deleted) {
		staged.kind = STAGED_PUT;
		staged.hash = hash;
		staged.data = bson_get_data(doc);
		staged.data_len = doc->len;
		staged.age = resource_age_get(doc);
	}
	CHECK(stage_add(stage, list, &staged, &err));
	bson_destroy(doc);
}

/* A finished list of its own with the items. */
static inline int
items_stage(struct stage *stage, const struct item *items)
{
	int list;

	CHECK(list = stage_add_list(stage, &err));
	for (; items->key != NULL; items++)
		item_stage(stage, list, items);
	CHECK(stage_finish(stage, list, &err));
	return list;
}

/* A run that leaves the items in the store, under TYPE. */
static inline void
items_store(const struct item *items)
{
	struct store_writer *writer;
	struct store	    *store;
	bson_t		    *doc;
	int64_t		     version;

	store = begin_run(1000, &version);
	CHECK(store_collection_make(store, TYPE, &err));
	writer = open_writer(store, TYPE, version, 1000);
	for (; items->key != NULL; items++) {
		doc = item_doc(items);
		CHECK(put_data(writer, items->key, doc, items->fill, true));
		bson_destroy(doc);
		if (items->is_deleted)
			CHECK(store_writer_delete(writer, items->key,
			    strlen(items->key), &err));
	}
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
}

static inline struct stage *
open_stage(void)
{
	struct stage *stage;

	CHECK(stage_open(&stage, &err));
	return stage;
}

/* The store as a run sees it that only plans. */
static inline struct store *
open_begun(void)
{
	struct store *store = open_store(STORE_READ);

	CHECK(store_begin(store, &err));
	return store;
}

#endif
