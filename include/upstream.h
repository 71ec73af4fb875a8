/*
 * The upstream: the lists of PlanDefinitions, ActivityDefinitions and
 * RegulatedAuthorizations, side by side, each to its last page, into the
 * stage.  (nompd-sync(1), UPSTREAM)
 */
#ifndef NOMPD_UPSTREAM_H
#define NOMPD_UPSTREAM_H

#include "collection.h"
#include "error.h"
#include "http.h"
#include "job.h"
#include "output.h"
#include "stage.h"
#include "tally.h"

/* Pages of one list. */
#define MAX_PAGES 100000

/*
 * Fetches all lists below base (http:, https: or file:) into stage, and what
 * can be converted at once into output; counts skipped resources in tallies,
 * and what came in job.  -1 as soon as one list fails: what is staged then is
 * of no use.
 */
int upstream_fetch(const char *base, const struct http_config *config,
    struct stage *stage, struct output *output,
    struct tally tallies[COLLECTION_RAW_MAX], struct job *job,
    struct error *err);

#endif
