/* What the files of the bulk mode share. */
#ifndef NOMPD_BULK_EXPORT_INT_H
#define NOMPD_BULK_EXPORT_INT_H

#include "bulk.h"
#include "bulk_job.h"
#include "bulk_manifest.h"
#include "bulk_mark.h"
#include "bulk_spool.h"
#include "hash.h"
#include "http.h"
#include "instant.h"
#include "ndjson.h"

struct smart;

/* A file of the manifest that is wanted. */
struct bulk_download {
	enum bulk_list list;
	size_t	       index;  /* in that list */
	unsigned       number; /* among all files, from 1 */
	bool	       is_here;
	uint64_t       bytes; /* of a file that is here */
	unsigned       refreshes;
	bool	       was_cut; /* and is fetched once more */
	bool	       is_unmeasured; /* nothing tells that it is whole */
};

/* A resource type of the run, and what a file of it may hold. */
struct bulk_type {
	char *name;
	int   list; /* of the stage */
};

/*
 * Texts are heap unless said otherwise.  source is what is asked for but
 * _since; request is all of it.
 */
struct bulk {
	const struct options *opts;
	struct store	     *store;
	struct stage	     *stage;
	struct http_config    http;
	struct smart	     *smart; /* NULL: no tokens */
	struct bulk_spool    *spool; /* NULL: not made yet */

	char		   *source;
	char		   *request;
	char		   *level; /* "", "Patient" or "Group/ID" */
	char		    since[INSTANT_TEXT_BYTES]; /* of --since auto */
	struct bulk_request asked;
	struct bulk_mark    mark;
	bool		    overwrites;
	bool		    is_complete;
	bool		    has_gap; /* asked from after the mark on */

	char		     *poll_url; /* NULL: there is no job */
	bool		      is_resumed;
	struct bulk_manifest  manifest;
	struct bulk_download *downloads;
	size_t		      n_downloads;
	bool		      links_want_query;

	struct bulk_type *types; /* sorted by name, after staging */
	size_t		  n_types;
	int		  quarantine; /* its list; -1: none */
	uint64_t	  bytes;
	uint64_t	  bad;
	bool		  is_unproved; /* a file may lack its end */
	bson_t		  messages; /* an array of texts */
	uint32_t	  n_messages;
	bson_t		  note;
};

/* The manifest's entry of a download. */
const struct bulk_file *bulk_file_of(const struct bulk *bulk,
    const struct bulk_download *download);
/* What it holds: its resource type, "deleted" or "error". */
const char *bulk_file_type(const struct bulk *bulk,
    const struct bulk_download *download);
/* Fetches the manifest of the job again. */
int bulk_refresh(struct bulk *bulk, struct error *err);
/* Lists what is to be fetched, and fetches it. */
int bulk_download_all(struct bulk *bulk, struct error *err);
/* Do links differ behind the ? alone?  Else there is at most a signature, which
 * is another one each time. */
bool bulk_links_want_query(const struct bulk_manifest *manifest);
/* By what a link is known again. */
void bulk_link_digest(const char *url, bool has_query,
    uint8_t digest[HASH_BYTES]);
/* Does other have a link in another place than one? */
bool bulk_links_moved(const struct bulk_manifest *one,
    const struct bulk_manifest *other);
/* Is the type among those asked for? */
bool bulk_is_wanted(const struct bulk *bulk, const char *type);

/* A line that could not be taken. */
struct bulk_bad {
	const char *kind; /* a resource type, "deleted" or "error" */
	const char *file; /* for people */
	const struct ndjson_line *line;
	const char *reason;
};
/* Stages it as a record of COLLECTION_QUARANTINE. */
int bulk_quarantine_add(struct bulk *bulk, const struct bulk_bad *bad,
    struct error *err);
/*
 * After a full export without bad records: wishes the records of its types
 * away, which are good now, or gone.
 */
int bulk_quarantine_empty(struct bulk *bulk, struct error *err);
/* The run's type with the name of len bytes, or NULL. */
struct bulk_type *bulk_find_type(const struct bulk *bulk, const char *name,
    size_t len);
/* Keeps a message of the server for the history, up to MAX_MESSAGES. */
void bulk_note_message(struct bulk *bulk, const char *text);

#endif
