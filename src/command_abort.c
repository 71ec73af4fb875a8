#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "job_print.h"
#include "jobs.h"
#include "log.h"
#include "number.h"
#include "stop.h"
#include "store.h"
#include "text.h"
#include "xalloc.h"

/* How often a job that is to end is looked at. */
#define POLL_MS 1000

/* "nompd@db1.example, process 4711" */
static void
name_us(char by[MAX_JOB_BY + 1])
{
	const struct passwd *user = getpwuid(geteuid());
	char		     host[MAX_JOB_WORD + 1] = "";
	char		    *text;

	if (gethostname(host, sizeof(host) - 1) == -1)
		host[0] = '\0';
	if (user != NULL)
		text = xasprintf("%s@%s, process %ld", user->pw_name, host,
		    (long)getpid());
	else
		text = xasprintf("user %lu@%s, process %ld",
		    (unsigned long)geteuid(), host, (long)getpid());
	text_copy(by, MAX_JOB_BY + 1, text);
	free(text);
}

static int
fail_ended(const struct job *job, struct error *err)
{
	char time[CLOCK_TEXT_BYTES];

	clock_format_seconds(job->ended_at_ms, time);
	return error_set(err, STATUS_NOT_FOUND, "job %s has ended already, at"
	    " %s: %s", job->id, time, job_print_state(job));
}

/* The word behind a --wait without a time may be meant as one. */
static int
fail_unknown(const struct options *opts, const struct jobs *jobs,
    struct error *err)
{
	char   *hint;
	int64_t ms;
	int	rc;

	if (!opts->waits || opts->wait_ms != INT64_MAX ||
	    !number_parse_duration(opts->job, 0, MAX_WAIT_MS, &ms))
		return jobs_fail_unknown(jobs, opts->job, "", err);
	hint = xasprintf("; for a time write --wait=%s", opts->job);
	rc = jobs_fail_unknown(jobs, opts->job, hint, err);
	free(hint);
	return rc;
}

/* The id of the job that is meant.  Nothing is made or written yet. */
static int
choose(const struct options *opts, char id[MAX_JOB_ID + 1], struct error *err)
{
	struct job    job = { 0 };
	struct store *store;
	struct jobs  *jobs = NULL;
	int	      rc;

	if (store_open(&opts->store, STORE_READ, &store, err) == -1)
		return -1;
	rc = jobs_open(&opts->store, false, &jobs, err);
	if (rc == 0)
		rc = opts->job != NULL ?
		    jobs_get(jobs, opts->job, &job, err) :
		    jobs_current(jobs, &job, err);
	if (rc == 0 && opts->job != NULL)
		rc = fail_unknown(opts, jobs, err);
	else if (rc == 0 || (rc == 1 && opts->job == NULL &&
	    !job_is_active(&job)))
		rc = error_set(err, STATUS_NOT_FOUND, "store %s: no job is"
		    " active", store_name(store));
	if (rc == 1)
		text_copy(id, MAX_JOB_ID + 1, job.id);
	job_clear(&job);
	jobs_close(jobs);
	store_close(store);
	return rc == -1 ? -1 : 0;
}

static int
fail_late(const struct job *job, int64_t wait_ms, struct error *err)
{
	return error_set(err, STATUS_BUSY, "job %s is asked to end, but has not"
	    " ended within %.1f s (--wait); see nompd-sync status", job->id,
	    (double)wait_ms / 1000);
}

static int
fail_gone(const char *id, struct error *err)
{
	return error_set(err, STATUS_NOT_FOUND, "job %s has gone from the list"
	    " of jobs", id);
}

/* Until the job has ended, or is not heard of any more. */
static int
wait_for(struct jobs *jobs, int64_t wait_ms, struct job *job,
    struct error *err)
{
	int64_t start_ms = clock_monotonic_ms(), left_ms = INT64_MAX;
	char	id[MAX_JOB_ID + 1];
	int	rc;

	memcpy(id, job->id, sizeof(id));
	while (job_is_active(job)) {
		if (wait_ms != INT64_MAX)
			left_ms = start_ms + wait_ms - clock_monotonic_ms();
		if (left_ms <= 0)
			return fail_late(job, wait_ms, err);
		stop_sleep(left_ms < POLL_MS ? left_ms : POLL_MS);
		if (stop_check(STATUS_STORE, err) == -1)
			return -1;
		job_clear(job);
		rc = jobs_get(jobs, id, job, err);
		if (rc == 0)
			return fail_gone(id, err);
		if (rc == -1)
			return -1;
	}
	return 0;
}

static int
print_job(const struct options *opts, const struct job *job,
    struct error *err)
{
	char	   time[CLOCK_TEXT_BYTES];
	struct buf text = { 0 };

	if (opts->format == OUTPUT_JSON)
		return command_print(job_to_json(job), err);
	if (job_is_active(job)) {
		clock_format_seconds(job->abort_at_ms, time);
		buf_print(&text, "job %s is asked to end, since %s by ",
		    job->id, time);
		/* Who has asked first, as the ledger says. */
		job_print_text(&text, job->abort_by);
	} else
		buf_print(&text, "job %s has ended: %s", job->id,
		    job_print_state(job));
	buf_append_byte(&text, '\n');
	(void)fwrite(text.data, 1, text.len, stdout);
	buf_clear(&text);
	return command_flush(err);
}

static int
end_job(const struct options *opts, struct jobs *jobs, const char *id,
    struct error *err)
{
	struct job job = { 0 };
	char	   by[MAX_JOB_BY + 1];
	int	   rc;

	name_us(by);
	rc = jobs_abort(jobs, id, by, opts->reason != NULL ? opts->reason :
	    "", &job, err);
	/* An empty one was taken from the list in the meantime. */
	if (rc == 0)
		rc = job.id[0] != '\0' ? fail_ended(&job, err) :
		    fail_gone(id, err);
	if (rc == 1 && opts->waits) {
		log_info("job %s is asked to end; waiting for it", id);
		rc = wait_for(jobs, opts->wait_ms, &job, err);
	}
	if (rc != -1)
		rc = print_job(opts, &job, err);
	job_clear(&job);
	return rc;
}

int
command_abort(const struct options *opts, struct error *err)
{
	struct jobs *jobs;
	char	     id[MAX_JOB_ID + 1];
	int	     rc;

	if (choose(opts, id, err) == -1 ||
	    jobs_open(&opts->store, true, &jobs, err) == -1)
		return -1;
	rc = end_job(opts, jobs, id, err);
	jobs_close(jobs);
	return rc;
}
