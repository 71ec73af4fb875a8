/*
 * A job: one run as people watch it, from its place in the queue to its end.
 * Every run that may write is one; a dry run is none.  (nompd-sync(1), JOBS)
 */
#ifndef NOMPD_JOB_H
#define NOMPD_JOB_H

#include <bson/bson.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collection.h"
#include "error.h"
#include "run.h"
#include "text.h"

/* Bytes of a job's id, which is a label (text_is_label()). */
#define MAX_JOB_ID MAX_LABEL_BYTES
/* Bytes of the reason for an abort, and of who asked for it. */
#define MAX_JOB_REASON 500
#define MAX_JOB_BY     200
/* Bytes of a host's name, a command and a version of the program. */
#define MAX_JOB_WORD 100
/* The command that fetches. */
#define JOB_COMMAND_RUN "run"

enum job_state {
	JOB_QUEUED,	     /* waits for its turn */
	JOB_RUNNING,
	JOB_ABORT_INITIATED, /* was asked to end, and has not yet */
	JOB_ABORTED,
	JOB_FAILED,
	JOB_HELD,	     /* by the guard */
	JOB_COMPLETED,	     /* published */
	JOB_STATE__MAX
};

/* What a run is at. */
enum job_stage {
	JOB_STAGE_WAITING,
	JOB_STAGE_FETCHING,
	JOB_STAGE_CONVERTING,
	JOB_STAGE_COMPARING,
	JOB_STAGE_WRITING,
	JOB_STAGE_CHECKING,
	JOB_STAGE_PUBLISHING,
	JOB_STAGE__MAX
};

/* One collection, in records. */
struct job_count {
	char	name[MAX_COLLECTION_NAME + 1];
	int64_t fetched;   /* from the upstream; -1: none are to be */
	int64_t expected;  /* as it says; -1: it does not say */
	int64_t processed; /* compared with the store */
	int64_t written;   /* changes brought to the store */
};

/*
 * Times are UTC milliseconds since 1970, 0 where there is none yet.  counts is
 * heap, for job_clear(); a zeroed job is none.
 */
struct job {
	char		  id[MAX_JOB_ID + 1];
	enum job_state	  state;
	bool		  is_lost; /* Failed, by what the ledger shows: it was
				    * not heard of any more */
	char		  command[MAX_JOB_WORD + 1]; /* "run", "reconvert" */
	char		  host[MAX_JOB_WORD + 1];
	int64_t		  process;
	char		  program_version[MAX_JOB_WORD + 1];
	int64_t		  created_at_ms;
	int64_t		  started_at_ms; /* its turn came */
	int64_t		  renewed_at_ms; /* last sign of life */
	int64_t		  ended_at_ms;
	enum job_stage	  stage;	 /* the last one it reached */
	struct job_count *counts;
	size_t		  n_counts;
	uint64_t	  retries;	 /* requests made again */
	int64_t		  abort_at_ms;	 /* 0: nobody asked for an end */
	char		  abort_by[MAX_JOB_BY + 1];
	char		  abort_reason[MAX_JOB_REASON + 1];
	struct error	  error;	 /* STATUS_OK: none */
	bool		  has_result;
	struct run_result result;
};

/* "Queued", "Running", "AbortInitiated", ... as nompd-store(7) has them. */
const char *job_state_name(enum job_state state);
/* JOB_STATE__MAX: there is no such state. */
enum job_state job_state_find(const char *name);
/* "waiting", "fetching", ... */
const char *job_stage_name(enum job_stage stage);
/* Queued, Running or AbortInitiated. */
bool job_is_active(const struct job *job);

/*
 * Begins a job of this process: id (NULL: a new one is made of now_ms and
 * chance), command, host, process, version and created_at_ms.
 */
void job_init(struct job *job, const char *id, const char *command,
    int64_t now_ms);
/* The counts of a collection, which are added when there are none; borrowed
 * until another's are. */
struct job_count *job_count_of(struct job *job, const char *name);
/* The error that the job ended with, and the state that follows from it;
 * STATUS_OK: it was published. */
void job_set_end(struct job *job, const struct error *err, int64_t now_ms);
/* *to becomes a copy; what it had is freed. */
void job_copy(struct job *to, const struct job *from);
/* Frees what the job has, and makes it none. */
void job_clear(struct job *job);

/* The members of a job that only its own process writes, as the ledger keeps
 * them (nompd-store(7)): all but id, state, renewed_at_ms and the abort's.
 * The caller destroys the document. */
void job_to_bson(const struct job *job, bson_t *out);
/* Fills job, which was cleared, from such a document; what is missing or of a
 * wrong type is as in a zeroed job. */
void job_from_bson(struct job *job, const bson_t *doc);
/* A job as people and programs get it (nompd-sync(1), JOBS); the caller frees
 * it.  Its texts are UTF-8. */
json_t *job_to_json(const struct job *job);

#endif
