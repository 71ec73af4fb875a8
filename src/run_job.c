/* A run as a job: its turn, its progress, its end. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "job_keeper.h"
#include "lease.h"
#include "log.h"
#include "run_int.h"
#include "stop.h"

/* How often progress is passed on to the thread that brings it out. */
#define NOTE_EVERY_MS 250

static void
note_tally(struct job *job, const struct tally *tally)
{
	struct job_count *count = job_count_of(job, tally->name);

	if (tally->is_output || tally->is_restored)
		count->fetched = -1;
	count->processed = (int64_t)(tally->added + tally->updated +
	    tally->unchanged + tally->deleted + tally->stale);
	count->written = (int64_t)tally->written;
}

void
run_note(struct run *run)
{
	size_t i;

	for (i = 0; i < run->count; i++) {
		if (run->tallies[i].name != NULL)
			note_tally(&run->job, &run->tallies[i]);
	}
}

static void
note(struct run *run)
{
	run_note(run);
	job_keeper_note(run->keeper, &run->job);
}

/* Of stop_set_watch(). */
static void
watch(void *ctx)
{
	struct run *run = ctx;
	int64_t	    now_ms = clock_monotonic_ms();

	if (now_ms < run->next_note_ms)
		return;
	run->next_note_ms = now_ms + NOTE_EVERY_MS;
	note(run);
}

void
run_stage(struct run *run, enum job_stage stage)
{
	run->job.stage = stage;
	if (run->keeper == NULL)
		return;
	log_set_job(run->job.id, job_stage_name(stage));
	note(run);
}

/* lease_queue's */
static int
is_turn(void *ctx, char holder[MAX_HOLDER_TEXT], struct error *err)
{
	struct run *run = ctx;
	uint64_t    ahead;

	if (job_keeper_ahead(run->keeper, run->job.id, &ahead, err) == -1)
		return -1;
	if (!run->is_job && ahead >= MAX_JOBS_QUEUED)
		return error_set(err, STATUS_BUSY, "%" PRIu64 " runs are in"
		    " the queue of store %s, and that is as many as may be;"
		    " see nompd-sync jobs", ahead, store_name(run->store));
	if (ahead > 0)
		(void)snprintf(holder, MAX_HOLDER_TEXT, "%" PRIu64 " %s in"
		    " its queue; see nompd-sync jobs", ahead,
		    ahead == 1 ? "run is" : "runs are");
	return ahead == 0;
}

/* Adds the job to the ledger. */
static int
enter(void *ctx, struct error *err)
{
	struct run *run = ctx;

	if (job_keeper_add(run->keeper, &run->job, err) == -1)
		return -1;
	run->is_job = true;
	log_set_job(run->job.id, job_stage_name(run->job.stage));
	stop_set_watch(watch, run);
	log_info("job %s is %s", run->job.id,
	    run->job.state == JOB_QUEUED ? "queued" : "running");
	return 0;
}

/* The run has its turn. */
static int
start(struct run *run, struct error *err)
{
	run->job.state = JOB_RUNNING;
	/* What it waited for is not its own work. */
	run->started_ms = clock_monotonic_ms();
	run->job.started_at_ms = job_keeper_now_ms(run->keeper);
	if (!run->is_job)
		return enter(run, err);
	job_keeper_note(run->keeper, &run->job);
	return job_keeper_start(run->keeper, err);
}

int
run_job_begin(struct run *run, struct error *err)
{
	const struct options	*opts = run->opts;
	const struct lease_queue queue = { is_turn, enter, run };
	char			 holder[MAX_HOLDER_TEXT];

	if (job_keeper_open(&opts->store, &run->keeper, err) == -1)
		return -1;
	run->job.created_at_ms = job_keeper_now_ms(run->keeper);
	if (lease_take(run->store, &queue, opts->queue && opts->wait_ms == 0 ?
	    INT64_MAX : opts->wait_ms, holder, err) == -1 ||
	    start(run, err) == -1)
		return -1;
	return job_keeper_sweep(run->keeper, run->job.id, err);
}

int
run_job_check(struct run *run, struct error *err)
{
	return run->keeper == NULL ? 0 : job_keeper_check(run->keeper, err);
}

/* Without secrets, and its lines as one: a list has one for it. */
static void
put_error(struct error *out, const struct error *err)
{
	struct buf  text = { 0 };
	const char *line = err->text;
	size_t	    len;

	for (;;) {
		len = strcspn(line, "\n");
		buf_append(&text, line, len);
		line += len;
		if (line[0] == '\0' || line[1] == '\0')
			break;
		buf_append(&text, "; ", 2);
		line++;
	}
	buf_append_byte(&text, '\0');
	out->status = err->status;
	log_clean(out->text, sizeof(out->text), (const char *)text.data);
	buf_clear(&text);
}

/* The result stands, or err: brings it to the ledger. */
static void
end_job(struct run *run, int rc, const struct error *err)
{
	struct error end = { .status = STATUS_OK }, late;

	if (rc == -1)
		put_error(&end, err);
	job_set_end(&run->job, &end, run->keeper != NULL ?
	    job_keeper_now_ms(run->keeper) : clock_now_ms());
	run->job.has_result = rc == 0;
	run->job.result = *run->result;
	if (run->keeper == NULL ||
	    job_keeper_end(run->keeper, &run->job, &late) == 0)
		return;
	/* Where the store has failed that is no further fault. */
	if (rc == -1 && err->status == STATUS_STORE)
		log_info("%s; the end of this job is not noted", late.text);
	else
		log_warn("%s; the end of this job is not noted", late.text);
}

void
run_job_end(struct run *run, int rc, const struct error *err)
{
	stop_set_watch(NULL, NULL);
	if (run->opts->dry_run)
		return;
	run_note(run);
	end_job(run, rc, err);
	/* An id is one that can be asked for. */
	if (!run->is_job)
		run->job.id[0] = '\0';
}
