/*
 * The bulk mode: an export of a FHIR server, from the question to the staged
 * resources, and its end.  (FHIR Bulk Data Access 2.0.0 to 4.0.0-ballot;
 * nompd-bulk(7))
 *
 *	bulk_new	the options, and the key for a token
 *	bulk_open	what to ask for: all, or what changed since when
 *	bulk_fetch	the job, and its files into the spool
 *	bulk_stage	the files into lists of the stage
 *	bulk_end	the job is deleted, or kept for the next run
 */
#ifndef NOMPD_BULK_H
#define NOMPD_BULK_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "job.h"
#include "options.h"
#include "stage.h"
#include "store.h"
#include "tally.h"

/* A job that began longer ago is not gone on with: its data is old. */
#define MAX_RESUME_AGE_MS (24LL * 60 * 60 * 1000)
/* How often the manifest is read again for fresh links to one file. */
#define MAX_REFRESHES 3
/* Messages of the server (OperationOutcome) that go to the history, and to the
 * log. */
#define MAX_MESSAGES 100

struct bulk;

/*
 * Looks at what needs neither store nor server: the key, and where it may be
 * shown (STATUS_USAGE).  opts is borrowed.  *out is set, and to be ended, also
 * after -1.
 */
int bulk_new(const struct options *opts, struct bulk **out,
    struct error *err);
/* All three are borrowed; job gets the counts. */
int bulk_open(struct bulk *bulk, struct store *store, struct stage *stage,
    struct job *job, struct error *err);

/* All files of the export are in the spool. */
int bulk_fetch(struct bulk *bulk, struct error *err);

/*
 * Reads the files into lists of the stage, which are finished then, and fills
 * tallies (room for MAX_LISTS), in the order of their names.
 */
int bulk_stage(struct bulk *bulk, struct tally *tallies, size_t *count,
    struct error *err);

/*
 * True when the store will have all resources of the types that conversion
 * wants; else why has a reason to be logged.
 */
bool bulk_is_convertible(const struct bulk *bulk, const char **why);
/* The history entry's member; borrowed until bulk_end(). */
const bson_t *bulk_note(struct bulk *bulk);

/*
 * The run is published, or over with err when rc is -1: deletes the job unless
 * another run can go on with it.  Frees bulk; NULL is fine.
 */
void bulk_end(struct bulk *bulk, int rc, const struct error *err);

#endif
