/*
 * A store in a database of the server that NOMPD_TEST_MONGODB_URI names, for
 * each test its own, and a way into it that is not the store's.
 */
#ifndef NOMPD_MONGODBLIB_H
#define NOMPD_MONGODBLIB_H

#include <mongoc/mongoc.h>

#include "secret.h"
#include "storelib.h"

#define MONGODB_VARIABLE "NOMPD_TEST_MONGODB_URI"

static char	       database[64];
static mongoc_client_t *driver; /* between set_up and tear_down */

static inline const char *
mongodb_server(void)
{
	return getenv(MONGODB_VARIABLE);
}

/* Runs the tests of a suite that need no server and, where there is one, those
 * that add_server_tests adds. */
static inline int
mongodb_test_run(Suite *suite, void (*add_server_tests)(Suite *suite))
{
	if (mongodb_server() != NULL)
		add_server_tests(suite);
	else
		(void)puts("the other tests need " MONGODB_VARIABLE);
	return test_run(suite);
}

/* No server is needed to see that none is there. */
static inline void
no_server_is_there(enum store_mode mode)
{
	struct store_place closed = { NULL, NULL };
	struct store	  *store;

	ck_assert_ptr_null(store_place_set(&closed,
	    "mongodb://127.0.0.1:1/d?serverSelectionTimeoutMS=100"));
	CHECK_FAILS(store_open(&closed, mode, &store, &err),
	    "store mongodb://127.0.0.1:1/d: ");
	store_place_clear(&closed);
}

/* Inserts text at a place of a URI. */
static inline void
uri_insert(char *at, const char *text)
{
	ck_assert_uint_lt(strlen(uri) + strlen(text), sizeof(uri));
	memmove(at + strlen(text), at, strlen(at) + 1);
	memcpy(at, text, strlen(text));
}

/* "option=value" behind the others. */
static inline void
uri_add_option(const char *option)
{
	char *end = uri + strlen(uri);

	uri_insert(end, option);
	uri_insert(end, strchr(uri, '?') != NULL ? "&" : "?");
}

/*
 * The URI of a database of the server: "mongodb://HOSTS/?OPTIONS" with its name
 * behind the slash.  A user is looked up where the server's admin made it.
 */
static inline void
mongodb_name(const char *server)
{
	static int count;
	char	  *slash;

	ck_assert_uint_lt(strlen(server), sizeof(uri));
	(void)snprintf(uri, sizeof(uri), "%s", server);
	slash = strstr(uri, "://");
	ck_assert_msg(slash != NULL, "want a URI in %s", MONGODB_VARIABLE);
	slash = strchr(slash + 3, '/');
	ck_assert_msg(slash != NULL && (slash[1] == '\0' || slash[1] == '?'),
	    "want a URI that ends in / or /?options in %s", MONGODB_VARIABLE);
	(void)snprintf(database, sizeof(database), "c_%ld_%d", (long)getpid(),
	    ++count);
	uri_insert(slash + 1, database);
	if (strchr(uri, '@') != NULL && strcasestr(uri, "authSource=") == NULL)
		uri_add_option("authSource=admin");
	/* A server that is busy with other tests is no failure. */
	if (strstr(uri, "serverSelectionTimeoutMS=") == NULL)
		uri_add_option("serverSelectionTimeoutMS=60000");
	if (strstr(uri, "connectTimeoutMS=") == NULL)
		uri_add_option("connectTimeoutMS=60000");
}

/* The URI becomes the place, and the password goes where it belongs. */
static inline void
mongodb_place(void)
{
	struct store_place parsed = { NULL, NULL };
	const char	  *rule = store_place_set(&parsed, uri);

	ck_assert_msg(rule == NULL, "%s", rule);
	(void)snprintf(uri, sizeof(uri), "%s", parsed.uri);
	secret_free(place.password);
	place.password = parsed.password;
	parsed.password = NULL;
	store_place_clear(&parsed);
}

static inline void
mongodb_set_up(void)
{
	mongoc_uri_t *parsed;

	mongoc_init();
	mongodb_name(mongodb_server());
	parsed = mongoc_uri_new(uri);
	ck_assert_ptr_nonnull(parsed);
	driver = mongoc_client_new_from_uri(parsed);
	(void)mongoc_client_set_error_api(driver, MONGOC_ERROR_API_VERSION_2);
	mongoc_uri_destroy(parsed);
	mongodb_place();
}

static inline void
mongodb_tear_down(void)
{
	mongoc_database_t *handle;
	bson_error_t	   cause;

	handle = mongoc_client_get_database(driver, database);
	ck_assert_msg(mongoc_database_drop(handle, &cause), "%s",
	    cause.message);
	mongoc_database_destroy(handle);
	mongoc_client_destroy(driver);
	driver = NULL;
	secret_free(place.password);
	place.password = NULL;
}

/* Runs a command, written as JSON with ' for "; the caller destroys *reply. */
static inline void
mongodb_command(const char *json, bson_t *reply)
{
	bson_t	    *command = test_bson(json);
	bson_error_t cause;

	if (!mongoc_client_command_simple(driver, database, command, NULL,
	    reply, &cause))
		ck_abort_msg("%s: %s", json, cause.message);
	bson_destroy(command);
}

static inline void
mongodb_insert(const char *collection, const char *json)
{
	mongoc_collection_t *handle;
	bson_t		    *doc = test_bson(json);
	bson_error_t	     cause;

	handle = mongoc_client_get_collection(driver, database, collection);
	ck_assert_msg(mongoc_collection_insert_one(handle, doc, NULL, NULL,
	    &cause), "%s", cause.message);
	mongoc_collection_destroy(handle);
	bson_destroy(doc);
}

/* Changes the documents that fit, of which there has to be one at least. */
static inline void
mongodb_update(const char *collection, const char *selector,
    const char *update)
{
	mongoc_collection_t *handle;
	bson_t		    *which = test_bson(selector);
	bson_t		    *what = test_bson(update), reply;
	bson_error_t	     cause;
	bson_iter_t	     iter;

	handle = mongoc_client_get_collection(driver, database, collection);
	ck_assert_msg(mongoc_collection_update_many(handle, which, what, NULL,
	    &reply, &cause), "%s", cause.message);
	ck_assert(bson_iter_init_find(&iter, &reply, "matchedCount"));
	ck_assert_int_gt(bson_iter_as_int64(&iter), 0);
	bson_destroy(&reply);
	mongoc_collection_destroy(handle);
	bson_destroy(what);
	bson_destroy(which);
}

static inline int64_t
mongodb_count(const char *collection, const char *selector)
{
	mongoc_collection_t *handle;
	bson_t		    *which = test_bson(selector);
	bson_error_t	     cause;
	int64_t		     count;

	handle = mongoc_client_get_collection(driver, database, collection);
	count = mongoc_collection_count_documents(handle, which, NULL, NULL,
	    NULL, &cause);
	ck_assert_msg(count != -1, "%s", cause.message);
	mongoc_collection_destroy(handle);
	bson_destroy(which);
	return count;
}

/* How many collections the database has. */
static inline int
mongodb_collections(void)
{
	mongoc_database_t *handle;
	bson_error_t	   cause;
	char		 **names;
	int		   n;

	handle = mongoc_client_get_database(driver, database);
	names = mongoc_database_get_collection_names_with_opts(handle, NULL,
	    &cause);
	ck_assert_msg(names != NULL, "%s", cause.message);
	for (n = 0; names[n] != NULL; n++)
		;
	bson_strfreev(names);
	mongoc_database_destroy(handle);
	return n;
}

static inline void
mongodb_make_newer(void)
{
	mongodb_update("SyncLease", "{'_id':'store'}",
	    "{'$set':{'SchemaVersion':99}}");
}

static inline void
mongodb_make_foreign(void)
{
	mongodb_insert(PLANS, "{'_id':'mine','mine':1}");
}

static inline void
mongodb_check_foreign(void)
{
	ck_assert_int_eq(mongodb_count(PLANS, "{'_id':'mine','mine':1}"), 1);
	ck_assert_int_eq(mongodb_count(PLANS, "{}"), 1);
	ck_assert_int_eq(mongodb_collections(), 1);
}

static inline void
mongodb_check_nothing(void)
{
	ck_assert_int_eq(mongodb_collections(), 0);
}

static inline void
mongodb_drop_index(const char *collection, const char *name)
{
	char  *command = xasprintf("{'dropIndexes':'%s','index':'%s_%s'}",
	     collection, collection, name);
	bson_t reply;

	mongodb_command(command, &reply);
	bson_destroy(&reply);
	free(command);
}

/* Changes all documents of a collection, also when there is none. */
static inline void
mongodb_update_all(const char *collection, const char *update)
{
	if (mongodb_count(collection, "{}") > 0)
		mongodb_update(collection, "{}", update);
}

/* A layout 1: without former states, JSON hashes and seals, and with another
 * index for the old state. */
static inline void
mongodb_make_old(void)
{
	char  *command;
	bson_t reply;
	int    i;

	for (i = 0; i < COLLECTION__MAX; i++) {
		mongodb_drop_index(collection_name(i), "Outline");
		command = xasprintf("{'createIndexes':'%s','indexes':[{'key':"
		    "{'_id':1,'IsDeleted':1,'ContentHash':1,'Version':1},"
		    "'name':'%s_State'}]}", collection_name(i),
		    collection_name(i));
		mongodb_command(command, &reply);
		bson_destroy(&reply);
		free(command);
		mongodb_update_all(collection_name(i),
		    "{'$unset':{'JsonHash':''}}");
	}
	mongodb_command("{'drop':'RecordHistory'}", &reply);
	bson_destroy(&reply);
	mongodb_update_all("SyncMetadata",
	    "{'$unset':{'StatesFrom':'','Horizon':''}}");
	mongodb_update_all("SyncHistory", "{'$unset':{'Seal':''}}");
	mongodb_update("SyncLease", "{'_id':'store'}",
	    "{'$set':{'SchemaVersion':1}}");
}

/* As if its time had passed. */
static inline void
mongodb_age_lease(void)
{
	mongodb_update("SyncLease", "{'_id':'lease'}",
	    "{'$set':{'ExpiresAt':{'$date':{'$numberLong':'0'}}}}");
}

/* What a run that was held up has written when the next one was finished: the
 * state of what was there is gone, if there was any. */
#define LATE \
	"{'_id':'d','BusinessKey':'d','Data':{'n':2},'Version':" \
	"{'$numberLong':'2'},'IsDeleted':false,'UpdatedAt':" \
	"{'$date':{'$numberLong':'5'}},'ContentHash':'02020202020202020202" \
	"02020202020202020202020202020202020202020202'}"

#endif
