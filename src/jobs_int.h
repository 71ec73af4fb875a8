/* What the kinds of ledger implement; the promises are in jobs.h. */
#ifndef NOMPD_JOBS_INT_H
#define NOMPD_JOBS_INT_H

#include "jobs.h"

/* A job as a ledger has it; everything is borrowed. */
struct jobs_row {
	const char    *id;
	const char    *state; /* its name */
	int64_t	       created_at_ms;
	int64_t	       renewed_at_ms;
	const uint8_t *data; /* job_to_bson() */
	size_t	       data_len;
	/* Who asked for its end (By, Reason, At); NULL: nobody. */
	const uint8_t *abort;
	size_t	       abort_len;
};
typedef bool (*jobs_row_fn)(void *ctx, const struct jobs_row *row);

/*
 * A kind of ledger: a row of functions.  States are names of states, NULL at
 * the end; NULL: any state.
 */
struct jobs_ops {
	int (*open)(const struct store_place *place, bool is_writer,
	    struct jobs **out, struct error *err);
	void (*close)(struct jobs *jobs);
	int64_t (*now_ms)(struct jobs *jobs);
	/* 1 = added, 0 = there is one of that id; no abort. */
	int (*add)(struct jobs *jobs, const struct jobs_row *row,
	    struct error *err);
	/* Writes state, renewed_at_ms and data of the row of that id if its
	 * state is one of before: 1, or 0.  In one atomic step. */
	int (*put)(struct jobs *jobs, const struct jobs_row *row,
	    const char *const *before, struct error *err);
	/* The same for state and abort. */
	int (*set_abort)(struct jobs *jobs, const struct jobs_row *row,
	    const char *const *before, struct error *err);
	/* Gives the row of id, or (NULL) those whose state is one of states,
	 * newest first by arrival, until fn gives false.  fn makes no call of
	 * the ledger. */
	int (*walk)(struct jobs *jobs, const char *id,
	    const char *const *states, jobs_row_fn fn, void *ctx,
	    struct error *err);
	/* Drops the row of that id. */
	int (*drop)(struct jobs *jobs, const char *id, struct error *err);
};

extern const struct jobs_ops jobs_sqlite_ops;
/* Of the module nompd-mongodb.so. */
extern const struct jobs_ops jobs_mongodb_ops;

/* Each kind's own struct begins with this.  The front fills ops; the kinds fill
 * name (heap; freed by their close), as messages show it. */
struct jobs {
	const struct jobs_ops *ops;
	char		      *name;
};

#endif
