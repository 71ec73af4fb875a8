#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "log.h"
#include "mongodb_client.h"
#include "secret.h"
#include "store_place.h"
#include "xalloc.h"

#define DEFAULT_DATABASE "nompd"
/* How the server's own log calls us. */
#define APPLICATION_NAME "nompd-sync"
/* Bytes of what the driver says of a URI, a NUL included; more is cut. */
#define MAX_WARNING_TEXT 256

static pthread_t main_thread;

/* What the driver warns of.  The log belongs to one thread. */
static void
pass_warning(mongoc_log_level_t level, const char *domain, const char *message,
    void *ctx)
{
	(void)domain;
	(void)ctx;
	if (level > MONGOC_LOG_LEVEL_WARNING ||
	    !pthread_equal(pthread_self(), main_thread))
		return;
	/* A session that is not ended the server forgets by itself. */
	if (strstr(message, "endSessions") != NULL)
		log_debug("MongoDB driver: %s", message);
	else
		log_warn("MongoDB driver: %s", message);
}

/* Keeps the first thing that the driver says of a URI; ctx is its text. */
static void
note_warning(mongoc_log_level_t level, const char *domain, const char *message,
    void *ctx)
{
	char *text = ctx;

	(void)domain;
	if (level <= MONGOC_LOG_LEVEL_WARNING && text[0] == '\0' &&
	    pthread_equal(pthread_self(), main_thread))
		(void)snprintf(text, MAX_WARNING_TEXT, "%s", message);
}

static void
start_driver(void)
{
	main_thread = pthread_self();
	/* First, because the start itself may have something to say. */
	mongoc_log_set_handler(pass_warning, NULL);
	mongoc_init();
	(void)atexit(mongoc_cleanup);
}

static void
default_int(mongoc_uri_t *uri, const char *option, int32_t value)
{
	if (!mongoc_uri_has_option(uri, option) &&
	    !mongoc_uri_set_option_as_int32(uri, option, value))
		xalloc_end();
}

static void
default_bool(mongoc_uri_t *uri, const char *option, bool value)
{
	if (!mongoc_uri_has_option(uri, option) &&
	    !mongoc_uri_set_option_as_bool(uri, option, value))
		xalloc_end();
}

static void
set_defaults(mongoc_uri_t *uri)
{
	/* An election takes seconds: look again instead of giving up. */
	default_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false);
	default_int(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS,
	    MONGODB_SELECT_MS);
	default_int(uri, MONGOC_URI_CONNECTTIMEOUTMS, MONGODB_CONNECT_MS);
	default_int(uri, MONGOC_URI_SOCKETTIMEOUTMS, MONGODB_ANSWER_MS);
	default_bool(uri, MONGOC_URI_RETRYWRITES, true);
}

/* A user without a password: the driver takes one for granted and crashes.  Of
 * the mechanisms that go without one the URI has to name its own. */
static int
check_login(const mongoc_uri_t *uri, struct error *err)
{
	const char *mechanism = mongoc_uri_get_auth_mechanism(uri);

	if (mongoc_uri_get_username(uri) == NULL ||
	    mongoc_uri_get_password(uri) != NULL ||
	    (mechanism != NULL && strncasecmp(mechanism, "SCRAM", 5) != 0 &&
	    strcasecmp(mechanism, "PLAIN") != 0))
		return 0;
	return error_set(err, STATUS_USAGE, "the URI names a user, but there"
	    " is no password; put it into a file and name that in"
	    " NOMPD_STORE_PASSWORD_FILE");
}

/* The driver would warn of a file that it cannot read, go on without, and get
 * nowhere. */
static int
check_files(const mongoc_uri_t *uri, struct error *err)
{
	/* The driver's names for them have small letters only. */
	static const char *const options[] = { "tlsCAFile",
		"tlsCertificateKeyFile" };
	const char		*path;
	size_t			 i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		path = mongoc_uri_get_option_as_utf8(uri, options[i], NULL);
		if (path != NULL && access(path, R_OK) == -1)
			return error_set(err, STATUS_USAGE, "%s in the URI:"
			    " want a file that this user may read; %s: %s",
			    options[i], path, strerror(errno));
	}
	return 0;
}

/* The driver only warns of an option that it does not know; a slip of the pen
 * in one must not make the connection another than was meant. */
static int
read_uri(struct mongodb_client *client, const char *uri, struct error *err)
{
	char	     warning[MAX_WARNING_TEXT] = "";
	bson_error_t cause;

	mongoc_log_set_handler(note_warning, warning);
	client->uri = mongoc_uri_new_with_error(uri, &cause);
	mongoc_log_set_handler(pass_warning, NULL);
	if (client->uri == NULL)
		return error_set(err, STATUS_USAGE, "want a URI as in"
		    " mongodb://USER@HOST:27017/DATABASE?tls=true (%s)",
		    cause.message);
	if (warning[0] != '\0')
		return error_set(err, STATUS_USAGE, "want only options of a"
		    " URI that the MongoDB driver knows (%s)", warning);
	if (!mongoc_write_concern_is_acknowledged(
	    mongoc_uri_get_write_concern(client->uri)))
		return error_set(err, STATUS_USAGE, "want writes that the"
		    " server confirms (not w=0)");
	return 0;
}

/* Not what is for the URI to say. */
static void
limit_answers(mongoc_uri_t *uri, int32_t answer_ms)
{
	if (!mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS,
	    answer_ms))
		xalloc_end();
}

static int
parse_uri(struct mongodb_client *client, const struct store_place *place,
    struct error *err)
{
	const char *database;

	if (read_uri(client, place->uri, err) == -1)
		return -1;
	if (place->password != NULL && !mongoc_uri_set_password(client->uri,
	    secret_text(place->password)))
		return error_set(err, STATUS_USAGE, "want a password in"
		    " UTF-8");
	database = mongoc_uri_get_database(client->uri);
	client->database = xstrdup(database != NULL ? database :
	    DEFAULT_DATABASE);
	set_defaults(client->uri);
	return 0;
}

/* "mongodb://host:27017,other:27017/database" */
static char *
make_name(const struct mongodb_client *client)
{
	const mongoc_host_list_t *host;
	const char		 *srv;
	struct buf		  hosts = { 0 };
	char			 *name;

	srv = mongoc_uri_get_srv_hostname(client->uri);
	if (srv != NULL)
		return xasprintf("mongodb+srv://%s/%s", srv, client->database);
	for (host = mongoc_uri_get_hosts(client->uri); host != NULL;
	    host = host->next)
		buf_print(&hosts, "%s%s", hosts.len > 0 ? "," : "",
		    host->host_and_port);
	name = xasprintf("mongodb://%.*s/%s", (int)hosts.len,
	    (const char *)hosts.data, client->database);
	buf_clear(&hosts);
	return name;
}

static void
count_started(const mongoc_apm_command_started_t *event)
{
	struct mongodb_traffic *traffic =
	    mongoc_apm_command_started_get_context(event);

	traffic->round_trips++;
	traffic->sent_bytes +=
	    mongoc_apm_command_started_get_command(event)->len;
}

static void
count_succeeded(const mongoc_apm_command_succeeded_t *event)
{
	struct mongodb_traffic *traffic =
	    mongoc_apm_command_succeeded_get_context(event);

	traffic->received_bytes +=
	    mongoc_apm_command_succeeded_get_reply(event)->len;
}

static void
count_traffic(struct mongodb_client *client)
{
	mongoc_apm_callbacks_t *callbacks;

	callbacks = mongoc_apm_callbacks_new();
	mongoc_apm_set_command_started_cb(callbacks, count_started);
	mongoc_apm_set_command_succeeded_cb(callbacks, count_succeeded);
	(void)mongoc_client_set_apm_callbacks(client->client, callbacks,
	    &client->traffic);
	mongoc_apm_callbacks_destroy(callbacks);
}

/* What a server says of itself (MongoDB, command hello). */
static int
read_hello(struct mongodb_client *client, const bson_t *hello,
    struct error *err)
{
	bson_iter_t iter;
	int64_t	    wire = 0;

	if (bson_iter_init_find(&iter, hello, "maxWireVersion"))
		wire = bson_iter_as_int64(&iter);
	if (wire < MONGODB_MIN_WIRE_VERSION)
		return error_set(err, STATUS_STORE, "the server is too old (its"
		    " wire version is %lld); MongoDB 5.0 (%d) is the oldest"
		    " that will do", (long long)wire,
		    MONGODB_MIN_WIRE_VERSION);
	if (!bson_iter_init_find(&iter, hello, "localTime") ||
	    !BSON_ITER_HOLDS_DATE_TIME(&iter))
		return error_set(err, STATUS_STORE, "the server does not tell"
		    " its time; it is not MongoDB, nor like it");
	client->server_ms = bson_iter_date_time(&iter);
	client->boottime_ms = clock_boottime_ms();
	/* A member of a replica set, or a router of a sharded cluster. */
	client->has_majority = bson_iter_init_find(&iter, hello, "setName") ||
	    bson_iter_init_find(&iter, hello, "msg");
	return 0;
}

/* Of a replica set that has no primary just now, the others can be read. */
static int
ask_hello(struct mongodb_client *client, bool is_writer, struct error *err)
{
	bson_t	     command = BSON_INITIALIZER, hello;
	bson_error_t cause;
	const char  *set = mongoc_uri_get_replica_set(client->uri);
	char	    *doing;
	int	     rc;

	doing = xasprintf("connecting%s%s", set != NULL ?
	    " to the replica set " : "", set != NULL ? set : "");
	if (!BSON_APPEND_INT32(&command, "hello", 1))
		xalloc_end();
	rc = mongoc_client_command_simple(client->client, "admin", &command,
	    is_writer ? NULL : mongoc_uri_get_read_prefs_t(client->uri),
	    &hello, &cause) ? read_hello(client, &hello, err) :
	    mongodb_fail(&cause, doing, err);
	bson_destroy(&hello);
	bson_destroy(&command);
	free(doing);
	return rc;
}

/*
 * What is confirmed must outlive its server: of the majority, or in the journal
 * where there is but one.
 */
static void
set_concerns(const struct mongodb_client *client, mongoc_client_t *handle)
{
	mongoc_read_concern_t  *read;
	mongoc_write_concern_t *write;
	int64_t			timeout_ms;

	if (client->has_majority && mongoc_read_concern_get_level(
	    mongoc_uri_get_read_concern(client->uri)) == NULL) {
		read = mongoc_read_concern_new();
		(void)mongoc_read_concern_set_level(read,
		    MONGOC_READ_CONCERN_LEVEL_MAJORITY);
		mongoc_client_set_read_concern(handle, read);
		mongoc_read_concern_destroy(read);
	}
	write = mongoc_write_concern_copy(
	    mongoc_uri_get_write_concern(client->uri));
	if (mongoc_write_concern_get_w(write) ==
	    MONGOC_WRITE_CONCERN_W_DEFAULT && client->has_majority) {
		timeout_ms = mongoc_write_concern_get_wtimeout_int64(write);
		mongoc_write_concern_set_w(write,
		    MONGOC_WRITE_CONCERN_W_MAJORITY);
		if (timeout_ms == 0)
			mongoc_write_concern_set_wtimeout_int64(write,
			    MONGODB_MAJORITY_MS);
	}
	if (!mongoc_write_concern_journal_is_set(write))
		mongoc_write_concern_set_journal(write, true);
	mongoc_client_set_write_concern(handle, write);
	mongoc_write_concern_destroy(write);
}

static void
read_from_primary(mongoc_client_t *handle)
{
	mongoc_read_prefs_t *primary;

	primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
	mongoc_client_set_read_prefs(handle, primary);
	mongoc_read_prefs_destroy(primary);
}

int
mongodb_client_open(struct mongodb_client *client,
    const struct store_place *place, bool is_writer, int32_t answer_ms,
    struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	bson_error_t	      cause;

	*client = (struct mongodb_client){ .name = NULL };
	(void)pthread_once(&once, start_driver);
	if (parse_uri(client, place, err) == -1)
		return -1;
	client->name = make_name(client);
	if (answer_ms != 0)
		limit_answers(client->uri, answer_ms);
	if (check_login(client->uri, err) == -1 ||
	    check_files(client->uri, err) == -1)
		return -1;
	client->client = mongoc_client_new_from_uri_with_error(client->uri,
	    &cause);
	if (client->client == NULL)
		return mongodb_fail(&cause, "connecting", err);
	(void)mongoc_client_set_error_api(client->client,
	    MONGOC_ERROR_API_VERSION_2);
	if (mongoc_uri_get_appname(client->uri) == NULL)
		(void)mongoc_client_set_appname(client->client,
		    APPLICATION_NAME);
	if (log_is_debug())
		count_traffic(client);
	if (ask_hello(client, is_writer, err) == -1)
		return -1;
	set_concerns(client, client->client);
	if (is_writer)
		read_from_primary(client->client);
	return 0;
}

void
mongodb_client_close(struct mongodb_client *client)
{
	if (client->traffic.round_trips > 0)
		log_debug("store %s: %llu round trips, %llu bytes sent, %llu"
		    " bytes received", client->name,
		    (unsigned long long)client->traffic.round_trips,
		    (unsigned long long)client->traffic.sent_bytes,
		    (unsigned long long)client->traffic.received_bytes);
	mongoc_client_destroy(client->client);
	mongoc_uri_destroy(client->uri);
	free(client->name);
	free(client->database);
	*client = (struct mongodb_client){ .name = NULL };
}

mongoc_client_t *
mongodb_client_again(const struct mongodb_client *client)
{
	mongoc_client_t *again;
	mongoc_uri_t	*uri;
	bson_error_t	 cause;

	uri = mongoc_uri_copy(client->uri);
	limit_answers(uri, MONGODB_RENEW_MS);
	again = mongoc_client_new_from_uri_with_error(uri, &cause);
	if (again != NULL)
		set_concerns(client, again);
	mongoc_uri_destroy(uri);
	return again;
}

int64_t
mongodb_client_now_ms(const struct mongodb_client *client)
{
	return client->server_ms + clock_boottime_ms() - client->boottime_ms;
}
