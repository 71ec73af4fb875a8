/*
 * A connection to a MongoDB server, replica set or sharded cluster, as a URI
 * describes it (MongoDB's specifications Connection String and URI Options),
 * and words for what can go wrong with it.
 */
#ifndef NOMPD_MONGODB_CLIENT_H
#define NOMPD_MONGODB_CLIENT_H

#include <mongoc/mongoc.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct store_place;

/* Times that hold where the URI says nothing else, in ms. */
#define MONGODB_SELECT_MS  5000	 /* until a server that fits is found */
#define MONGODB_CONNECT_MS 5000	 /* to reach one server */
#define MONGODB_ANSWER_MS  60000 /* for the answer to one command */
#define MONGODB_RENEW_MS   10000 /* the same for a sign of life */
#define MONGODB_MAJORITY_MS 30000 /* for a write to reach the majority */

/* MongoDB 5.0: the oldest whose records may have any member names. */
#define MONGODB_MIN_WIRE_VERSION 13

/* What went over the wire, as the driver's command monitoring tells. */
struct mongodb_traffic {
	uint64_t round_trips;
	uint64_t sent_bytes;
	uint64_t received_bytes;
};

/*
 * Zeroed is closed.  name is what messages show: hosts and database; database
 * is "nompd" where the URI has none.  traffic counts only when the log shows
 * debug lines, for counting takes time.
 */
struct mongodb_client {
	mongoc_uri_t	       *uri;
	mongoc_client_t	       *client;
	char		       *name;
	char		       *database;
	bool			has_majority; /* a replica set or a cluster */
	int64_t			server_ms;    /* its clock at the opening ... */
	int64_t			boottime_ms;  /* ... and ours */
	struct mongodb_traffic	traffic;
};

/*
 * Connects.  Reads and writes are those of the majority where there is one and
 * the URI says nothing else; a program that writes (is_writer) reads from the
 * primary.  answer_ms is how long to wait for an answer, whatever the URI says;
 * 0: as the URI says, or MONGODB_ANSWER_MS.  -1: STATUS_USAGE for a URI that is
 * none, STATUS_REFUSED for a user or password, else STATUS_STORE.
 */
int mongodb_client_open(struct mongodb_client *client,
    const struct store_place *place, bool is_writer, int32_t answer_ms,
    struct error *err);
void mongodb_client_close(struct mongodb_client *client);
/* A second connection of the same kind, for another thread, which waits no
 * longer than MONGODB_RENEW_MS for an answer; NULL: none can be made.  The
 * caller destroys it. */
mongoc_client_t *mongodb_client_again(const struct mongodb_client *client);
/* The server's clock, UTC ms, by ours since the opening. */
int64_t mongodb_client_now_ms(const struct mongodb_client *client);

/* Fills err with what the driver or the server says went wrong while doing. */
int mongodb_fail(const bson_error_t *cause, const char *doing,
    struct error *err);
/* Was a document not made because there is one of its key? */
bool mongodb_is_duplicate(const bson_error_t *cause);

#endif
