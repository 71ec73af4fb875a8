/* What is told of a run when it has ended: the metrics file, and a command. */
#ifndef NOMPD_REPORT_H
#define NOMPD_REPORT_H

#include "buf.h"
#include "error.h"
#include "job.h"
#include "metrics.h"
#include "options.h"
#include "store.h"

/* Bytes of the metrics of a run with as many collections as there may be, and
 * of the name of the store in them; longer names are cut. */
#define MAX_METRICS_BYTES    (2 * 1024 * 1024)
#define MAX_STORE_NAME_BYTES 256

/* How long another run may take to write its metrics file. */
#define MAX_ASIDE_WAIT_MS 5000
/* Links behind each other that lead to the file. */
#define MAX_METRICS_LINKS 16

/*
 * Writes opts->metrics_file and then runs opts->notify_command, as far as they
 * are set.  To be called when the lease is free and the job is over, for the
 * command may look at the store or start the next run.  last is the store's
 * state (NULL: not known; the file then keeps what it says of it).  What fails
 * here is a warning: it is not the run that failed.
 *
 * A signal that came before is forgotten; one that comes now ends the command.
 */
void report_run(const struct options *opts, const struct job *job,
    const struct metrics_last *last);

/* The labels that all of a store's metrics have; the caller frees them. */
char *report_labels(const char *store_name);
/* The metrics of a run; last: NULL when it is not known. */
void report_metrics(struct buf *out, const char *labels, const struct job *job,
    const struct metrics_last *last);
/*
 * Whether report_replace() may have the file at path: there is none, or it is
 * empty, or it begins as metrics of ours do.  -1 (STATUS_STORE): not, for a
 * store, a key or anything else of the user's would be gone.
 */
int report_may_replace(const char *path, struct error *err);
/*
 * Replaces the file at path by that text: mode 0644, all of it or nothing; a
 * link stays one, and what it leads to is replaced.  The text is written beside
 * the file, as .NAME.nompd-new, which a killed run leaves and the next one
 * takes; of two that write at once one waits for the other, at most
 * MAX_ASIDE_WAIT_MS.  -1 (STATUS_STORE): what was there is as it was.
 */
int report_replace(const char *path, const struct buf *text,
    struct error *err);

#endif
