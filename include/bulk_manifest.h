/*
 * The manifest of a bulk export: which files there are, and up to which moment
 * they tell (FHIR Bulk Data Access, STU 2 to 4 ballot, "Response - Complete
 * Status").  It may have several pages.
 */
#ifndef NOMPD_BULK_MANIFEST_H
#define NOMPD_BULK_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* One page, in bytes. */
#define MAX_MANIFEST_BYTES (32 * 1024 * 1024)
/* Pages of a manifest. */
#define MAX_MANIFEST_PAGES 1000
/* Files on all its pages. */
#define MAX_FILES 100000

/* What a file holds. */
enum bulk_list {
	BULK_OUTPUT,  /* resources */
	BULK_DELETED, /* transaction Bundles with what was deleted */
	BULK_OUTCOME, /* OperationOutcomes; `error` and `outcome` alike */
	BULK_LIST__MAX
};

struct bulk_file {
	char   *url;   /* absolute */
	char   *type;  /* resource type, a label; NULL (not in output): none */
	int64_t count; /* lines; -1: not given */
	int64_t size;  /* bytes; -1: not given */
};

struct bulk_files {
	struct bulk_file *files; /* in the order of the pages */
	size_t		  n;
};

/*
 * Zeroed is empty.  Owns all that it points to.
 *
 * Invariants: the pages agree on the first two members and requires_token; no
 * page is among page_urls twice, nor is next.
 */
struct bulk_manifest {
	char	*transaction_time; /* as the server wrote it */
	int64_t	 transaction_us;   /* the same since 1970, UTC */
	/* requiresAccessToken: false (or absent) means that none may be sent
	 * to a file's URL. */
	bool		  requires_token;
	struct bulk_files lists[BULK_LIST__MAX];
	char		**page_urls;
	size_t		  n_pages;
	char		 *next; /* the page after these, absolute; NULL: none */
};

/*
 * Adds the page that url gave as len bytes of JSON.  Absent arrays are empty,
 * members nobody knows are ignored.  -1 with STATUS_PROTOCOL: it is no
 * manifest, breaks a limit, differs from the first page in what all have in
 * common, is organised (outputOrganizedBy), is not NDJSON, leads from https to
 * http, or its next link leads back; the manifest may then only be cleared.
 */
int bulk_manifest_add(struct bulk_manifest *manifest, const uint8_t *data,
    size_t len, const char *url, struct error *err);
/* Frees what is in it; it is empty again. */
void bulk_manifest_clear(struct bulk_manifest *manifest);

#endif
