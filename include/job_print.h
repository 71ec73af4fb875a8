/*
 * Jobs as people read them: a block of lines for one, a table for many.  Text
 * from the ledger is made harmless: a terminal obeys nothing that is in it.
 */
#ifndef NOMPD_JOB_PRINT_H
#define NOMPD_JOB_PRINT_H

#include <stdint.h>

#include "buf.h"

struct job;

/* "0.8 s", "3 min 20 s", "5 h 3 min", "2 d 4 h"; a negative time is none. */
void job_print_duration(struct buf *out, int64_t ms);
/* "Running", "Failed (lost)", ... */
const char *job_print_state(const struct job *job);
/* Appends the first line of text. */
void job_print_text(struct buf *out, const char *text);
/* Appends a line with that name; what is in text stays in its column. */
void job_print_line(struct buf *out, const char *name, const char *text);
/* Appends the lines of a job at the time now_ms; ahead is how many jobs are in
 * the queue before it. */
void job_print_block(struct buf *out, const struct job *job, uint64_t ahead,
    int64_t now_ms);
/* Appends the table of its collections, with a blank line before it; nothing
 * when there are none. */
void job_print_counts(struct buf *out, const struct job *job);
/* Appends the table's head, and a row of it. */
void job_print_head(struct buf *out);
void job_print_row(struct buf *out, const struct job *job, int64_t now_ms);

#endif
