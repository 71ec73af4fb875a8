/*
 * The lease of a MongoDB store: a document with owner, expiry and a token that
 * is one higher for each new owner.  A thread renews it while the run fetches;
 * every batch of writes begins by renewing it under its token, so that a run
 * that was held up, and has lost it to another, writes nothing more, but for a
 * batch that was on its way just then.  What that brings is at a version that
 * was not finished, and a later run takes it over.  The lease's times are those
 * of the server's clock: the owners' clocks may differ.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "store_mongodb_int.h"
#include "ticker.h"
#include "xalloc.h"

/* How long a run that died keeps others out, and how often a lease is renewed
 * in that time. */
#define LEASE_MS 30000
#define RENEW_MS 10000

#define MAX_HOST_TEXT 128

/*
 * What the thread shares with its store.  Both write the same document under
 * the same token, each over a connection of its own.
 */
struct mongodb_lease {
	const struct mongodb_client *link;
	int64_t			     token;
	mongoc_client_t		    *again; /* the thread's */
	struct ticker		    *ticker;
};

/*
 * One renewal: 1 = it is ours, 0 = another has it, or might by now, -1 = that
 * is not known.
 */
static int
renew(const struct mongodb_lease *lease, mongoc_client_t *client,
    int64_t until_ms, bson_error_t *cause)
{
	mongoc_collection_t *collection;
	bson_iter_t	     iter;
	bson_t		    *selector, *update, reply;
	int		     rc = -1;

	collection = mongoc_client_get_collection(client,
	    lease->link->database, LEASE);
	selector = BCON_NEW("_id", BCON_UTF8(LEASE_ID),
	    "Token", BCON_INT64(lease->token), "ExpiresAt", "{", "$gt",
	    BCON_DATE_TIME(mongodb_client_now_ms(lease->link)), "}");
	update = BCON_NEW("$set", "{",
	    "ExpiresAt", BCON_DATE_TIME(until_ms), "}");
	if (mongoc_collection_update_one(collection, selector, update, NULL,
	    &reply, cause))
		rc = bson_iter_init_find(&iter, &reply, "matchedCount") &&
		    bson_iter_as_int64(&iter) == 1;
	bson_destroy(&reply);
	bson_destroy(update);
	bson_destroy(selector);
	mongoc_collection_destroy(collection);
	return rc;
}

/* A renewal that fails is tried again at the next turn; whether the lease was
 * lost by then is seen before the next write. */
static void
keep(void *ctx)
{
	struct mongodb_lease *lease = ctx;
	bson_error_t	      ignored;

	(void)renew(lease, lease->again,
	    mongodb_client_now_ms(lease->link) + LEASE_MS, &ignored);
}

static int
start_thread(struct mongodb_lease *lease, struct error *err)
{
	lease->again = mongodb_client_again(lease->link);
	if (lease->again == NULL)
		return error_set(err, STATUS_STORE, "cannot keep the lease:"
		    " there is no second connection to be had");
	return ticker_start(keep, lease, RENEW_MS, &lease->ticker, err);
}

static void
stop_thread(struct mongodb_lease *lease)
{
	ticker_stop(lease->ticker);
	mongoc_client_destroy(lease->again);
}

/* "process 12 on host, since TIME" */
static void
name_owner(int64_t now_ms, char owner[MAX_HOLDER_TEXT])
{
	char time[CLOCK_TEXT_BYTES], host[MAX_HOST_TEXT] = "?";

	(void)gethostname(host, sizeof(host) - 1);
	clock_format_seconds(now_ms, time);
	(void)snprintf(owner, MAX_HOLDER_TEXT, "process %ld on %s, since %s",
	    (long)getpid(), host, time);
}

static mongoc_find_and_modify_opts_t *
take_options(int64_t now_ms, const char *owner)
{
	mongoc_find_and_modify_opts_t *opts;
	bson_t			      *update;

	update = BCON_NEW("$set", "{", "Owner", BCON_UTF8(owner),
	    "AcquiredAt", BCON_DATE_TIME(now_ms),
	    "ExpiresAt", BCON_DATE_TIME(now_ms + LEASE_MS), "}",
	    "$inc", "{", "Token", BCON_INT64(1), "}");
	opts = mongoc_find_and_modify_opts_new();
	store_mongodb_must(mongoc_find_and_modify_opts_set_update(opts,
	    update));
	(void)mongoc_find_and_modify_opts_set_flags(opts,
	    MONGOC_FIND_AND_MODIFY_UPSERT | MONGOC_FIND_AND_MODIFY_RETURN_NEW);
	bson_destroy(update);
	return opts;
}

/*
 * Takes the lease if it has expired, or was never taken.  1 = taken, by owner,
 * 0 = another has it, -1 = failed.
 */
static int
take(struct store_mongodb *store, mongoc_collection_t *collection,
    int64_t *token, char owner[MAX_HOLDER_TEXT], struct error *err)
{
	mongoc_find_and_modify_opts_t *opts;
	bson_iter_t		       iter, value;
	bson_error_t		       cause;
	bson_t			      *selector, reply;
	int64_t			       now_ms;
	int			       rc = 0;

	now_ms = mongodb_client_now_ms(&store->link);
	selector = BCON_NEW("_id", BCON_UTF8(LEASE_ID),
	    "ExpiresAt", "{", "$lte", BCON_DATE_TIME(now_ms), "}");
	name_owner(now_ms, owner);
	opts = take_options(now_ms, owner);
	if (!mongoc_collection_find_and_modify_with_opts(collection, selector,
	    opts, &reply, &cause))
		/* It has not expired, so that another one cannot be made. */
		rc = mongodb_is_duplicate(&cause) ? 0 :
		    mongodb_fail(&cause, "taking the lease", err);
	else if (bson_iter_init(&iter, &reply) &&
	    bson_iter_find_descendant(&iter, "value.Token", &value)) {
		*token = bson_iter_as_int64(&value);
		rc = 1;
	} else
		rc = error_set(err, STATUS_STORE, "taking the lease: the"
		    " server's answer has no Token");
	bson_destroy(&reply);
	bson_destroy(selector);
	mongoc_find_and_modify_opts_destroy(opts);
	return rc;
}

/* Who has the lease, for people; empty when nobody has it any more. */
static int
read_holder(mongoc_collection_t *collection, char holder[MAX_HOLDER_TEXT],
    struct error *err)
{
	mongoc_cursor_t *cursor;
	const bson_t	*doc;
	bson_error_t	 cause;
	bson_iter_t	 iter;
	bson_t		 selector;
	int		 rc = 0;

	holder[0] = '\0';
	store_mongodb_select(&selector, LEASE_ID, strlen(LEASE_ID));
	cursor = mongoc_collection_find_with_opts(collection, &selector, NULL,
	    NULL);
	if (mongoc_cursor_next(cursor, &doc) &&
	    bson_iter_init_find(&iter, doc, "Owner") &&
	    BSON_ITER_HOLDS_UTF8(&iter))
		(void)snprintf(holder, MAX_HOLDER_TEXT, "%s",
		    bson_iter_utf8(&iter, NULL));
	if (mongoc_cursor_error(cursor, &cause))
		rc = mongodb_fail(&cause, "reading the lease", err);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&selector);
	return rc;
}

int
store_mongodb_lease_try(struct store *base, char holder[MAX_HOLDER_TEXT],
    struct error *err)
{
	struct store_mongodb *store = (struct store_mongodb *)base;
	mongoc_collection_t  *collection;
	int64_t		      token = 0;
	int		      rc;

	collection = store_mongodb_collection(store, LEASE);
	rc = take(store, collection, &token, holder, err);
	if (rc == 0)
		rc = read_holder(collection, holder, err);
	else if (rc == 1) {
		store->lease = xcalloc(1, sizeof(*store->lease));
		store->lease->link = &store->link;
		store->lease->token = token;
		if (start_thread(store->lease, err) == -1)
			rc = -1;
	}
	mongoc_collection_destroy(collection);
	return rc;
}

int
store_mongodb_lease_check(struct store_mongodb *store, struct error *err)
{
	bson_error_t cause;
	int	     rc;

	rc = renew(store->lease, store->link.client,
	    mongodb_client_now_ms(&store->link) + LEASE_MS, &cause);
	if (rc == -1)
		return mongodb_fail(&cause, "renewing the lease", err);
	if (rc == 0)
		return error_set(err, STATUS_STORE, "another run has taken the"
		    " lease, or may have, because this one was held up for"
		    " more than %d seconds; it stops here, and the next one"
		    " mends what it has written", LEASE_MS / 1000);
	return 0;
}

bool
store_mongodb_lease_is_lost(struct store_mongodb *store)
{
	bson_error_t ignored;

	return renew(store->lease, store->link.client,
	    mongodb_client_now_ms(&store->link) + LEASE_MS, &ignored) == 0;
}

void
store_mongodb_lease_free(struct store_mongodb *store)
{
	struct mongodb_lease *lease = store->lease;
	bson_error_t	      ignored;

	if (lease == NULL)
		return;
	stop_thread(lease);
	/* Expired long ago: the next run need not wait. */
	(void)renew(lease, store->link.client, 0, &ignored);
	free(lease);
	store->lease = NULL;
}
