/* A run on request that nobody waits for: its job is the answer. */
#include <jansson.h>
#include <string.h>

#include "clock.h"
#include "job.h"
#include "log.h"
#include "page_int.h"
#include "trigger.h"

/* How long a command has to show its job. */
#define MAX_JOB_START_MS 10000
/* How often the ledger is looked at: soon at first, then less often. */
#define MIN_LOOK_MS 20
#define MAX_LOOK_MS 500

struct start {
	struct trigger trigger;
	bool	       has_ended;
	int	       status; /* then */
	bool	       is_told; /* job is there */
	struct job     job;
};

/* Waits for ms, or for the command's end.  False: it is not waited for any
 * longer. */
static bool
wait_command(struct exchange *exchange, struct start *start, int64_t ms)
{
	struct error err;
	int	     rc;

	rc = trigger_wait(&start->trigger, ms, &start->status, &err);
	if (rc == -1)
		log_warn("request %s: %s", exchange->request->id, err.text);
	start->has_ended = rc == 1;
	return rc != -1;
}

/*
 * Waits until the job is in the ledger, the command has ended without one, or
 * it took too long.  A ledger that cannot be read, why says so, may be one that
 * is just being made.
 */
static void
wait_job(struct exchange *exchange, struct start *start, const char *id,
    struct error *why)
{
	int64_t end_ms = clock_monotonic_ms() + MAX_JOB_START_MS;
	int64_t look_ms = MIN_LOOK_MS;
	bool	goes_on = true;

	while (goes_on) {
		goes_on = wait_command(exchange, start, look_ms) &&
		    !start->has_ended && clock_monotonic_ms() < end_ms;
		why->status = STATUS_OK;
		if (page_job_find(exchange, id, &start->job, why) == 1) {
			start->is_told = true;
			return;
		}
		look_ms = look_ms < MAX_LOOK_MS / 2 ? 2 * look_ms :
		    MAX_LOOK_MS;
	}
}

static int
answer_start(struct exchange *exchange, const struct start *start,
    const char *id, struct error *err)
{
	if (start->is_told) {
		page_job_send(exchange, 202, id, job_to_json(&start->job),
		    true);
		return 0;
	}
	if (start->has_ended && start->status == STATUS_OK)
		return error_set(err, STATUS_USAGE, "the command ended well,"
		    " but the store has no job %s (NOMPD_SYNC_COMMAND is to"
		    " run nompd-sync on the store of nompd-serve, and to hand"
		    " NOMPD_JOB_ID on to it)", id);
	if (start->has_ended) {
		log_info("request %s: the run ended with status %d, before"
		    " there was a job", exchange->request->id, start->status);
		page_sync_failed(exchange, start->status);
		return 0;
	}
	log_warn("request %s: the command goes on, and the store has no job %s"
	    " so far", exchange->request->id, id);
	page_job_send(exchange, 202, id, json_pack("{s:s}", "id", id), true);
	return 0;
}

int
page_job_start(struct exchange *exchange, struct error *err)
{
	struct start start = { .status = STATUS_OK };
	struct error why = { .status = STATUS_OK };
	struct job   wanted = { .counts = NULL };
	int	     rc;

	job_init(&wanted, NULL, "run", clock_now_ms());
	if (trigger_start(exchange->service->opts->sync_command, wanted.id,
	    &start.trigger, err) == -1) {
		/* A 500, as for the trigger that waits. */
		err->status = STATUS_USAGE;
		return -1;
	}
	wait_job(exchange, &start, wanted.id, &why);
	if (why.status != STATUS_OK)
		log_error("request %s: %s", exchange->request->id, why.text);
	rc = answer_start(exchange, &start, wanted.id, err);
	trigger_leave(&start.trigger);
	job_clear(&start.job);
	job_clear(&wanted);
	return rc;
}
