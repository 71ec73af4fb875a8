/* What the answers about runs and jobs share. */
#ifndef NOMPD_PAGE_INT_H
#define NOMPD_PAGE_INT_H

#include <jansson.h>

#include "service.h"

struct job;

/* Answers for a run that has ended with that exit status, not with 0. */
void page_sync_failed(struct exchange *exchange, int status);

/* Looks the job up in the ledger, which is opened for it: 1 = *out is filled,
 * for job_clear(), 0 = there is none of that id, -1. */
int page_job_find(struct exchange *exchange, const char *id, struct job *out,
    struct error *err);
/* Sends the object, which is freed here, for the job of that id; is_new: with
 * its place in Location. */
void page_job_send(struct exchange *exchange, int status, const char *id,
    json_t *object, bool is_new);

#endif
