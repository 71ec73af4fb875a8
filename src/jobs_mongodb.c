/*
 * The ledger of a MongoDB store: a collection beside the store's, over a
 * connection of its own.  Each change is one write of one document, so that
 * nothing has to be locked.  Its times are those of the server's clock.
 */
#include <stdlib.h>

#include "jobs_int.h"
#include "mongodb_client.h"
#include "store_mongodb_int.h"
#include "xalloc.h"

#define LEDGER "SyncJobs"

/* ledger is the collection. */
struct jobs_mongodb {
	struct jobs	      base;
	struct mongodb_client link;
	mongoc_collection_t  *ledger;
};

static void
ledger_close(struct jobs *base)
{
	struct jobs_mongodb *jobs = (struct jobs_mongodb *)base;

	mongoc_collection_destroy(jobs->ledger);
	mongodb_client_close(&jobs->link);
	free(base->name);
	free(jobs);
}

/* A job that cannot give a sign of life for long counts as lost, so that none
 * waits as long for an answer as a write of many records may. */
static int
ledger_open(const struct store_place *place, bool is_writer,
    struct jobs **out, struct error *err)
{
	struct jobs_mongodb *jobs;
	int		     rc;

	jobs = xcalloc(1, sizeof(*jobs));
	rc = mongodb_client_open(&jobs->link, place, is_writer,
	    MONGODB_RENEW_MS, err);
	jobs->base.name = xstrdup(jobs->link.name != NULL ?
	    jobs->link.name : "mongodb://");
	if (rc == -1) {
		error_prefix(err, "store %s: jobs", jobs->base.name);
		ledger_close(&jobs->base);
		return -1;
	}
	jobs->ledger = mongoc_client_get_collection(jobs->link.client,
	    jobs->link.database, LEDGER);
	*out = &jobs->base;
	return 0;
}

static int64_t
ledger_now_ms(struct jobs *base)
{
	return mongodb_client_now_ms(&((struct jobs_mongodb *)base)->link);
}

static int
append_document(bson_t *doc, const char *name, const uint8_t *data,
    size_t len, struct error *err)
{
	bson_t part;

	if (!bson_init_static(&part, data, len))
		return error_set(err, STATUS_STORE, "%s is not BSON", name);
	store_mongodb_must(BSON_APPEND_DOCUMENT(doc, name, &part));
	return 0;
}

static int
insert(struct jobs_mongodb *jobs, const bson_t *doc, struct error *err)
{
	bson_error_t cause;

	if (mongoc_collection_insert_one(jobs->ledger, doc, NULL, NULL,
	    &cause))
		return 1;
	return mongodb_is_duplicate(&cause) ? 0 :
	    mongodb_fail(&cause, "adding to " LEDGER, err);
}

static int
ledger_add(struct jobs *base, const struct jobs_row *row, struct error *err)
{
	bson_t doc = BSON_INITIALIZER;
	int    rc;

	store_mongodb_must(BSON_APPEND_UTF8(&doc, "_id", row->id) &&
	    BSON_APPEND_UTF8(&doc, "State", row->state) &&
	    BSON_APPEND_DATE_TIME(&doc, "CreatedAt", row->created_at_ms) &&
	    BSON_APPEND_DATE_TIME(&doc, "RenewedAt", row->renewed_at_ms));
	rc = append_document(&doc, "Data", row->data, row->data_len, err);
	if (rc == 0)
		rc = insert((struct jobs_mongodb *)base, &doc, err);
	bson_destroy(&doc);
	return rc;
}

/* Fits the document of that id, or (NULL) all, whose state is one of states;
 * the caller destroys it. */
static void
select_jobs(bson_t *selector, const char *id, const char *const *states)
{
	bson_t	    condition, list;
	char	    text[16];
	const char *position;
	uint32_t    i;

	bson_init(selector);
	if (id != NULL)
		store_mongodb_must(BSON_APPEND_UTF8(selector, "_id", id));
	if (states == NULL)
		return;
	store_mongodb_must(BSON_APPEND_DOCUMENT_BEGIN(selector, "State",
	    &condition) && BSON_APPEND_ARRAY_BEGIN(&condition, "$in", &list));
	for (i = 0; states[i] != NULL; i++) {
		(void)bson_uint32_to_string(i, &position, text, sizeof(text));
		store_mongodb_must(BSON_APPEND_UTF8(&list, position,
		    states[i]));
	}
	store_mongodb_must(bson_append_array_end(&condition, &list) &&
	    bson_append_document_end(selector, &condition));
}

/* Sets the members of what in the document of that id, if its state is one of
 * before: 1, or 0. */
static int
update(struct jobs_mongodb *jobs, const char *id, const char *const *before,
    const bson_t *what, struct error *err)
{
	bson_error_t cause;
	bson_iter_t  iter;
	bson_t	     selector, change = BSON_INITIALIZER, reply;
	int	     rc;

	select_jobs(&selector, id, before);
	store_mongodb_must(BSON_APPEND_DOCUMENT(&change, "$set", what));
	if (mongoc_collection_update_one(jobs->ledger, &selector, &change,
	    NULL, &reply, &cause))
		rc = bson_iter_init_find(&iter, &reply, "matchedCount") &&
		    bson_iter_as_int64(&iter) == 1;
	else
		rc = mongodb_fail(&cause, "writing " LEDGER, err);
	bson_destroy(&reply);
	bson_destroy(&change);
	bson_destroy(&selector);
	return rc;
}

static int
ledger_put(struct jobs *base, const struct jobs_row *row,
    const char *const *before, struct error *err)
{
	bson_t what = BSON_INITIALIZER;
	int    rc;

	store_mongodb_must(BSON_APPEND_UTF8(&what, "State", row->state) &&
	    BSON_APPEND_DATE_TIME(&what, "RenewedAt", row->renewed_at_ms));
	rc = append_document(&what, "Data", row->data, row->data_len, err);
	if (rc == 0)
		rc = update((struct jobs_mongodb *)base, row->id, before,
		    &what, err);
	bson_destroy(&what);
	return rc;
}

static int
ledger_set_abort(struct jobs *base, const struct jobs_row *row,
    const char *const *before, struct error *err)
{
	bson_t what = BSON_INITIALIZER;
	int    rc;

	store_mongodb_must(BSON_APPEND_UTF8(&what, "State", row->state));
	rc = append_document(&what, "Abort", row->abort, row->abort_len, err);
	if (rc == 0)
		rc = update((struct jobs_mongodb *)base, row->id, before,
		    &what, err);
	bson_destroy(&what);
	return rc;
}

static void
read_row(const bson_t *doc, struct jobs_row *row)
{
	size_t ignored;

	row->id = mongodb_text(doc, "_id", &ignored);
	row->state = mongodb_text(doc, "State", &ignored);
	row->created_at_ms = mongodb_time(doc, "CreatedAt");
	row->renewed_at_ms = mongodb_time(doc, "RenewedAt");
	row->data = mongodb_document(doc, "Data", &row->data_len);
	row->abort = mongodb_document(doc, "Abort", &row->abort_len);
}

static mongoc_cursor_t *
find(struct jobs_mongodb *jobs, const char *id, const char *const *states)
{
	mongoc_cursor_t *cursor;
	bson_t		 selector, *opts;

	select_jobs(&selector, id, states);
	opts = id != NULL ? BCON_NEW("limit", BCON_INT64(1)) :
	    BCON_NEW("sort", "{", "CreatedAt", BCON_INT32(-1),
	    "_id", BCON_INT32(-1), "}");
	cursor = mongoc_collection_find_with_opts(jobs->ledger, &selector,
	    opts, NULL);
	bson_destroy(opts);
	bson_destroy(&selector);
	return cursor;
}

static int
ledger_walk(struct jobs *base, const char *id, const char *const *states,
    jobs_row_fn fn, void *ctx, struct error *err)
{
	struct jobs_mongodb *jobs = (struct jobs_mongodb *)base;
	struct jobs_row	     row;
	mongoc_cursor_t	    *cursor;
	const bson_t	    *doc;
	bson_error_t	     cause;
	bool		     goes_on = true;
	int		     rc = 0;

	cursor = find(jobs, id, states);
	while (goes_on && mongoc_cursor_next(cursor, &doc)) {
		read_row(doc, &row);
		goes_on = fn(ctx, &row);
	}
	if (mongoc_cursor_error(cursor, &cause))
		rc = mongodb_fail(&cause, "reading " LEDGER, err);
	mongoc_cursor_destroy(cursor);
	return rc;
}

static int
ledger_drop(struct jobs *base, const char *id, struct error *err)
{
	struct jobs_mongodb *jobs = (struct jobs_mongodb *)base;
	bson_error_t	     cause;
	bson_t		     selector;
	int		     rc = 0;

	select_jobs(&selector, id, NULL);
	if (!mongoc_collection_delete_one(jobs->ledger, &selector, NULL, NULL,
	    &cause))
		rc = mongodb_fail(&cause, "deleting from " LEDGER, err);
	bson_destroy(&selector);
	return rc;
}

const struct jobs_ops jobs_mongodb_ops = {
	.open = ledger_open,
	.close = ledger_close,
	.now_ms = ledger_now_ms,
	.add = ledger_add,
	.put = ledger_put,
	.set_abort = ledger_set_abort,
	.walk = ledger_walk,
	.drop = ledger_drop,
};
