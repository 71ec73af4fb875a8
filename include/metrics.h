/*
 * What texts of metrics share.  They are OpenMetrics 1.0, and of it only what
 * the text format of Prometheus has as well.  Every metric is a gauge: a store
 * may be restored or begun anew.
 *
 * labels are such as `store="a",act="b"`, escaped; NULL: none.
 */
#ifndef NOMPD_METRICS_H
#define NOMPD_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

/* How the metrics of a run begin. */
#define METRICS_OF_RUN "# TYPE nompd_program_info gauge\n"

/* The published state of a store, as nompd-serve and the metrics file have it.
 */
struct metrics_last {
	int64_t version; /* of the last finished run; 0: none yet */
	int64_t at_ms;	 /* when that was published which fetched last; 0: none
			  * yet */
};

/* The lines of a metric before its samples; unit NULL: none. */
void metrics_head(struct buf *out, const char *name, const char *unit,
    const char *help);
/* A sample that is a whole number. */
void metrics_number(struct buf *out, const char *name, const char *labels,
    int64_t value);
/* A sample that is ms milliseconds, in seconds. */
void metrics_seconds(struct buf *out, const char *name, const char *labels,
    int64_t ms);
/* Appends text as it stands between the quotes of a label's value. */
void metrics_escape(struct buf *out, const char *text);
/* The line behind which there is nothing. */
void metrics_end(struct buf *out);

/* The metrics of the last finished run; without a time there is no sample of
 * it. */
void metrics_last_put(struct buf *out, const char *labels,
    const struct metrics_last *last);
/* Finds these in text, NUL-terminated, that metrics_last_put() wrote with the
 * same labels; false: they are not there. */
bool metrics_last_find(const char *text, const char *labels,
    struct metrics_last *last);

#endif
