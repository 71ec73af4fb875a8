#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "job.h"
#include "xalloc.h"

/* Bytes of chance in an id: two jobs of one second are not alike. */
#define ID_CHANCE_BYTES 4

static const char *const state_names[JOB_STATE__MAX] = {
	[JOB_QUEUED] = "Queued",
	[JOB_RUNNING] = "Running",
	[JOB_ABORT_INITIATED] = "AbortInitiated",
	[JOB_ABORTED] = "Aborted",
	[JOB_FAILED] = "Failed",
	[JOB_HELD] = "Held",
	[JOB_COMPLETED] = "Completed",
};

static const char *const stage_names[JOB_STAGE__MAX] = {
	[JOB_STAGE_WAITING] = "waiting",
	[JOB_STAGE_FETCHING] = "fetching",
	[JOB_STAGE_CONVERTING] = "converting",
	[JOB_STAGE_COMPARING] = "comparing",
	[JOB_STAGE_WRITING] = "writing",
	[JOB_STAGE_CHECKING] = "checking",
	[JOB_STAGE_PUBLISHING] = "publishing",
};

const char *
job_state_name(enum job_state state)
{
	return state_names[state];
}

enum job_state
job_state_find(const char *name)
{
	int i;

	for (i = 0; i < JOB_STATE__MAX; i++) {
		if (strcmp(state_names[i], name) == 0)
			break;
	}
	return (enum job_state)i;
}

const char *
job_stage_name(enum job_stage stage)
{
	return stage_names[stage];
}

bool
job_is_active(const struct job *job)
{
	return job->state == JOB_QUEUED || job->state == JOB_RUNNING ||
	    job->state == JOB_ABORT_INITIATED;
}

/* "20261122T015534Z-3f9a1c07": in a list they stand in the order of time. */
static void
make_id(char id[MAX_JOB_ID + 1], int64_t now_ms)
{
	uint8_t	  chance[ID_CHANCE_BYTES];
	char	  hex[2 * ID_CHANCE_BYTES + 1];
	char	  time_text[sizeof("YYYYMMDDTHHMMSSZ")];
	time_t	  seconds = (time_t)(now_ms / 1000);
	struct tm utc;

	randombytes_buf(chance, sizeof(chance));
	(void)sodium_bin2hex(hex, sizeof(hex), chance, sizeof(chance));
	time_text[0] = '\0';
	if (gmtime_r(&seconds, &utc) != NULL)
		(void)strftime(time_text, sizeof(time_text), "%Y%m%dT%H%M%SZ",
		    &utc);
	(void)snprintf(id, MAX_JOB_ID + 1, "%s-%s", time_text, hex);
}

void
job_init(struct job *job, const char *id, const char *command, int64_t now_ms)
{
	char host[MAX_JOB_WORD + 1] = "";

	job_clear(job);
	if (id != NULL)
		text_copy(job->id, sizeof(job->id), id);
	else
		make_id(job->id, now_ms);
	job->state = JOB_QUEUED;
	job->created_at_ms = now_ms;
	job->process = (int64_t)getpid();
	text_copy(job->command, sizeof(job->command), command);
	text_copy(job->program_version, sizeof(job->program_version),
	    NOMPD_VERSION);
	if (gethostname(host, sizeof(host) - 1) == -1)
		host[0] = '\0';
	text_copy(job->host, sizeof(job->host), host);
}

struct job_count *
job_count_of(struct job *job, const char *name)
{
	struct job_count *count;
	size_t		  i;

	for (i = 0; i < job->n_counts; i++) {
		if (strcmp(job->counts[i].name, name) == 0)
			return &job->counts[i];
	}
	job->counts = xrealloc(job->counts,
	    (job->n_counts + 1) * sizeof(*job->counts));
	count = &job->counts[job->n_counts++];
	*count = (struct job_count){ .expected = -1 };
	text_copy(count->name, sizeof(count->name), name);
	return count;
}

void
job_set_end(struct job *job, const struct error *err, int64_t now_ms)
{
	job->ended_at_ms = now_ms;
	job->error.status = err->status;
	text_copy(job->error.text, sizeof(job->error.text), err->text);
	if (err->status == STATUS_OK)
		job->state = JOB_COMPLETED;
	else if (err->status == STATUS_HELD)
		job->state = JOB_HELD;
	else if (err->status == STATUS_ABORTED)
		job->state = JOB_ABORTED;
	else
		job->state = JOB_FAILED;
}

void
job_copy(struct job *to, const struct job *from)
{
	struct job_count *counts = NULL;

	if (from->n_counts > 0) {
		counts = xcalloc(from->n_counts, sizeof(*counts));
		memcpy(counts, from->counts,
		    from->n_counts * sizeof(*counts));
	}
	free(to->counts);
	*to = *from;
	to->counts = counts;
}

void
job_clear(struct job *job)
{
	free(job->counts);
	memset(job, 0, sizeof(*job));
}
