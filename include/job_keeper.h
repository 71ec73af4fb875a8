/*
 * Keeps the job of this process in the ledger: a thread of its own brings signs
 * of life and progress there each second, and stops the run (stop_order()) when
 * somebody has asked for that, or when the job counts as lost.
 */
#ifndef NOMPD_JOB_KEEPER_H
#define NOMPD_JOB_KEEPER_H

#include <stdint.h>

#include "error.h"
#include "job.h"
#include "jobs.h"

struct job_keeper;
struct store_place;

int job_keeper_open(const struct store_place *place, struct job_keeper **out,
    struct error *err);
/* As jobs_now_ms(), jobs_ahead() and jobs_sweep(). */
int64_t job_keeper_now_ms(struct job_keeper *keeper);
int job_keeper_ahead(struct job_keeper *keeper, const char *id,
    uint64_t *count, struct error *err);
int job_keeper_sweep(struct job_keeper *keeper, const char *own,
    struct error *err);
/* Adds the job, and keeps it from now on. */
int job_keeper_add(struct job_keeper *keeper, const struct job *job,
    struct error *err);
/* What the job is by now, but for its state; the ledger gets it soon. */
void job_keeper_note(struct job_keeper *keeper, const struct job *job);
/* The job has its turn, and is running. */
int job_keeper_start(struct job_keeper *keeper, struct error *err);
/*
 * Before what cannot be taken back: is the job still what it was?  A
 * stop_check() is to follow, which knows of an end that was ordered earlier.
 * -1: STATUS_ABORTED, or STATUS_STORE when it counts as lost or that cannot be
 * found out.
 */
int job_keeper_check(struct job_keeper *keeper, struct error *err);
/*
 * Writes a job that was added as it is in the end, and keeps it no more; *job
 * gets who asked for its end.  -1: it could not be written, because the ledger
 * failed, or has another end of it; or not be read.
 */
int job_keeper_end(struct job_keeper *keeper, struct job *job,
    struct error *err);
/* Closes the ledger; NULL is fine. */
void job_keeper_close(struct job_keeper *keeper);

#endif
