/*
 * The job of a bulk export on the server: started, asked after until its
 * manifest is there, deleted.  (FHIR Bulk Data Access, STU 2 to 4 ballot; FHIR
 * Asynchronous Bulk Data Request Pattern)
 */
#ifndef NOMPD_BULK_JOB_H
#define NOMPD_BULK_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct bulk_manifest;
struct http_config;

/* The CapabilityStatement that tells how to kick off, in bytes. */
#define MAX_METADATA_BYTES (8 * 1024 * 1024)
/* The answer to a kick-off or a DELETE, in bytes. */
#define MAX_JOB_ANSWER_BYTES (64 * 1024)
/* What is shown of X-Progress, in bytes ("less than 100 characters"). */
#define MAX_PROGRESS_BYTES 100
/* What the end of a run may lose to a server that does not answer DELETE. */
#define MAX_DELETE_WAIT_MS (10 * 1000)
/* The least wait between two questions, even when Retry-After says 0. */
#define MIN_POLL_WAIT_MS 100

enum bulk_kick_off {
	/* GET, unless the CapabilityStatement names version 4 of the operation;
	 * and the other one when the server refuses the first as such. */
	BULK_KICK_OFF_AUTO,
	BULK_KICK_OFF_GET,
	BULK_KICK_OFF_POST,
	BULK_KICK_OFF__MAX
};

/* What to export.  All of it is borrowed; a list of 0 words is not sent. */
struct bulk_request {
	const char	  *base;       /* the server's FHIR base */
	const char	  *level_path; /* "", "Patient" or "Group/ID" */
	const char *const *types;      /* _type */
	size_t		   n_types;
	const char *const *filters;    /* _typeFilter: "Patient?active=true" */
	size_t		   n_filters;
	const char *const *elements; /* _elements */
	size_t		   n_elements;
	const char	  *since; /* an instant, sent as it is; NULL: none */
	enum bulk_kick_off kick_off;
	int64_t max_wait_ms; /* what one Retry-After may make us wait */
};

/*
 * Starts an export.  While the server says 429 with Retry-After (another
 * export is under way) it waits, to the deadline.  *poll_url is where to ask
 * for it (absolute; the caller frees it, and stores it before it asks).
 * -1: refused or no usable answer, with the issues of the server's
 * OperationOutcome; STATUS_REFUSED for 401 and 403.
 */
int bulk_kick_off(const struct http_config *config,
    const struct bulk_request *request, char **poll_url, struct error *err);

/*
 * Asks until the export is complete and reads all pages of its manifest, which
 * the caller clears.  It may be called again, for links that are fresh.  A wait
 * is as Retry-After says, at most max_wait_ms.
 * 0 = *manifest is filled.  1 = the server does not know the job (any more):
 * it may be started anew; *err tells of it, for a caller who will not.
 * -1: STATUS_UNAVAILABLE = it may go on another time, STATUS_REFUSED,
 * STATUS_PROTOCOL = the job has failed for good or the manifest is broken,
 * or as stop_check().
 */
int bulk_poll(const struct http_config *config, const char *poll_url,
    int64_t max_wait_ms, struct bulk_manifest *manifest, struct error *err);

/*
 * Tells the server that the job or its files are not needed (any more).  It
 * takes at most MAX_DELETE_WAIT_MS, also after a signal and past the deadline;
 * a failure is only a warning in the log.
 */
void bulk_delete(const struct http_config *config, const char *poll_url);

#endif
