/*
 * What the answers of nompd-serve share: the settings, and the store that a
 * FastCGI worker keeps open from one request to the next.
 */
#ifndef NOMPD_SERVICE_H
#define NOMPD_SERVICE_H

#include "collection.h"
#include "error.h"
#include "kept.h"
#include "options.h"
#include "request.h"
#include "response.h"
#include "store.h"

/* So many full lists are kept; more are made each time. */
#define MAX_KEPT_LISTS 16

struct kept_list {
	char	   *collection; /* NULL: a free row */
	struct kept kept;
};

struct service {
	const struct options *opts;
	struct store	     *store; /* NULL: not open */
	bool		      is_lasting; /* more requests will come */
	/* The full lists; of a program that lasts. */
	struct kept_list      lists[MAX_KEPT_LISTS];
};

/*
 * The store in one state, for one answer, its view that of now; opened when it
 * is not open, opened anew when another one has taken its place.  Borrowed
 * until service_end().
 */
int service_begin(struct service *service, struct store **out,
    struct error *err);
/* The answer is done; failed says that the store is better opened anew. */
void service_end(struct service *service, bool failed);
/* Where the full list of a collection is kept; NULL: there is no room. */
struct kept *service_kept(struct service *service, const char *collection);
/* Frees all that it has. */
void service_clear(struct service *service);

/* Bytes of what may stand in a path for {...}. */
#define MAX_PART_BYTES MAX_LABEL_BYTES
/* Bytes of what is asked, as the log shows it, with its NUL. */
#define MAX_QUESTION_TEXT 160

/* One request and its answer. */
struct exchange {
	struct service	     *service;
	const struct request *request;
	struct response	      response;
	int		      argument; /* of the route */
	/* What stands in the path for the route's {type}, letters, or {id}, a
	 * label (text_is_label()). */
	char		      part[MAX_PART_BYTES + 1];
	char		      question[MAX_QUESTION_TEXT];
};

/*
 * Gives an answer.  -1: err says why there is none; when nothing has left
 * yet the caller answers for it, else the answer is broken off.
 */
typedef int (*page_fn)(struct exchange *exchange, struct error *err);

/* The answers; the argument of page_diff is the collection, or COLLECTION__MAX
 * for the one of the type. */
int page_diff(struct exchange *exchange, struct error *err);
int page_live(struct exchange *exchange, struct error *err);
int page_ready(struct exchange *exchange, struct error *err);
int page_metrics(struct exchange *exchange, struct error *err);
int page_openapi(struct exchange *exchange, struct error *err);
int page_sync(struct exchange *exchange, struct error *err);
int page_jobs(struct exchange *exchange, struct error *err);
int page_job(struct exchange *exchange, struct error *err);
int page_job_abort(struct exchange *exchange, struct error *err);
int page_job_start(struct exchange *exchange, struct error *err);

#endif
