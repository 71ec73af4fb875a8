#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "job_print.h"
#include "jobs.h"
#include "log.h"
#include "screen.h"
#include "seal.h"
#include "stop.h"
#include "store.h"
#include "xalloc.h"

/* How often a job that is watched is looked at. */
#define WATCH_EVERY_MS 1000

/* What is shown.  job.id is empty when there is no job, or none is known of. */
struct view {
	const struct options *opts;
	struct store	     *store;
	struct jobs	     *jobs;   /* NULL: the list cannot be read */
	struct job	      job;
	uint64_t	      ahead;  /* jobs in the queue before it */
	uint64_t	      queued; /* jobs in the queue, it included */
	struct store_versions versions;
	int64_t		      fetched_at_ms;
	int64_t		      age_ms; /* of what was fetched last */
	bool		      is_fresh;
	struct screen	      screen;
	json_t		     *shown; /* watch: what was printed last */
};

/*
 * The age of the data is known without the list of jobs, which may be damaged:
 * a probe goes on without it.  Who names a job wants that job.
 */
static int
leave_jobs(struct view *view, struct error *err)
{
	if (view->opts->job != NULL)
		return -1;
	log_warn("%s", err->text);
	err->status = STATUS_OK;
	job_clear(&view->job);
	view->ahead = view->queued = 0;
	jobs_close(view->jobs);
	view->jobs = NULL;
	return 0;
}

static int
open_view(struct view *view, struct error *err)
{
	const struct store_place *place = &view->opts->store;

	if (store_open(place, STORE_READ, &view->store, err) == -1)
		return -1;
	if (jobs_open(place, false, &view->jobs, err) == -1)
		return leave_jobs(view, err);
	return 0;
}

static void
close_view(struct view *view)
{
	job_clear(&view->job);
	json_decref(view->shown);
	jobs_close(view->jobs);
	store_close(view->store);
}

/* The job of that id, which must be there; NULL: the active or the last one,
 * if there is any. */
static int
read_job(struct view *view, const char *id, struct error *err)
{
	int rc;

	job_clear(&view->job);
	if (id == NULL)
		return jobs_current(view->jobs, &view->job, err) == -1 ? -1 :
		    0;
	rc = jobs_get(view->jobs, id, &view->job, err);
	if (rc == 0)
		return jobs_fail_unknown(view->jobs, id, "", err);
	return rc == -1 ? -1 : 0;
}

static int
read_jobs(struct view *view, const char *id, struct error *err)
{
	if (view->jobs == NULL)
		return 0;
	if (read_job(view, id, err) == -1 ||
	    jobs_ahead(view->jobs, view->job.id, &view->ahead, err) == -1 ||
	    jobs_ahead(view->jobs, "", &view->queued, err) == -1)
		/* One that is watched has an id. */
		return id == NULL ? leave_jobs(view, err) : -1;
	return 0;
}

/* 0 for a clock that was set back. */
static int64_t
age_of(int64_t at_ms)
{
	int64_t age_ms = clock_now_ms() - at_ms;

	return age_ms > 0 ? age_ms : 0;
}

/* Looks at the job, and then at the run that it may have been. */
static int
read_view(struct view *view, const char *id, struct error *err)
{
	if (read_jobs(view, id, err) == -1 ||
	    store_versions_get(view->store, &view->versions, err) == -1 ||
	    seal_last_fetch(view->store, &view->versions,
	    &view->fetched_at_ms, err) == -1)
		return -1;
	view->age_ms = age_of(view->fetched_at_ms);
	view->is_fresh = view->versions.finished != 0 &&
	    view->age_ms <= view->opts->max_age_ms;
	return 0;
}

static json_t *
make_finished(const struct view *view)
{
	char time[CLOCK_TEXT_BYTES], fetched[CLOCK_TEXT_BYTES];

	if (view->versions.finished == 0)
		return json_null();
	clock_format(view->versions.finished_at_ms, time);
	clock_format(view->fetched_at_ms, fetched);
	return json_pack("{s:I, s:s, s:s, s:I}",
	    "version", (json_int_t)view->versions.finished, "at", time,
	    "fetchedAt", fetched, "ageSeconds",
	    (json_int_t)(view->age_ms / 1000));
}

static json_t *
make_object(const struct view *view)
{
	json_t *object;

	object = json_pack("{s:o, s:o, s:o, s:b}",
	    "job", view->job.id[0] != '\0' ? job_to_json(&view->job) :
	    json_null(), "queued", view->jobs != NULL ?
	    json_integer((json_int_t)view->queued) : json_null(),
	    "lastFinished", make_finished(view), "isFresh",
	    (int)view->is_fresh);
	if (object == NULL)
		xalloc_end();
	return object;
}

/* Has the last finished run fetched what the store holds? */
static bool
is_fetch(const struct view *view)
{
	return view->fetched_at_ms == view->versions.finished_at_ms;
}

/* A line that ends in the age of at_ms; text is freed. */
static void
append_age(struct buf *out, const char *name, struct buf *text, int64_t at_ms)
{
	job_print_duration(text, age_of(at_ms));
	buf_append(text, " ago", sizeof(" ago"));
	job_print_line(out, name, (const char *)text->data);
	buf_clear(text);
}

static void
append_finished(const struct view *view, struct buf *out)
{
	struct buf text = { 0 };
	char	   time[CLOCK_TEXT_BYTES];

	if (view->versions.finished == 0) {
		job_print_line(out, "last run", "none has finished yet");
		return;
	}
	clock_format_seconds(view->versions.finished_at_ms, time);
	buf_print(&text, "version %" PRId64 ", finished at %s, ",
	    view->versions.finished, time);
	append_age(out, "last run", &text, view->versions.finished_at_ms);
	if (is_fetch(view))
		return;
	clock_format_seconds(view->fetched_at_ms, time);
	buf_print(&text, "finished at %s, ", time);
	append_age(out, "last fetch", &text, view->fetched_at_ms);
}

static void
append_block(const struct view *view, struct buf *out)
{
	char queued[sizeof("18446744073709551615")] = "unknown";

	if (view->job.id[0] != '\0')
		job_print_block(out, &view->job, view->ahead,
		    jobs_now_ms(view->jobs));
	else
		job_print_line(out, "job", view->jobs != NULL ? "none yet" :
		    "unknown");
	if (view->jobs != NULL)
		(void)snprintf(queued, sizeof(queued), "%" PRIu64,
		    view->queued);
	job_print_line(out, "in queue", queued);
	append_finished(view, out);
	job_print_counts(out, &view->job);
}

static int
print_buf(const struct buf *text, struct error *err)
{
	(void)fwrite(text->data, 1, text->len, stdout);
	return command_flush(err);
}

/* For good: what was drawn before is gone, and the rest goes behind it. */
static int
print_view(struct view *view, struct error *err)
{
	struct buf out = { 0 };
	int	   rc;

	if (view->opts->format == OUTPUT_JSON)
		return command_print(make_object(view), err);
	screen_erase(&view->screen, &out);
	append_block(view, &out);
	rc = print_buf(&out, err);
	buf_clear(&out);
	return rc;
}

static int
draw_view(struct view *view, struct error *err)
{
	struct buf text = { 0 }, out = { 0 };
	int	   rc;

	append_block(view, &text);
	screen_draw(&view->screen, screen_rows(STDOUT_FILENO), &text, &out);
	rc = print_buf(&out, err);
	buf_clear(&text);
	buf_clear(&out);
	return rc;
}

/* Is it other than at the last time?  What only the clock has changed does not
 * count. */
static bool
has_changed(struct view *view)
{
	json_t *object = make_object(view);
	bool	is_same;

	(void)json_object_del(json_object_get(object, "job"), "renewedAt");
	(void)json_object_del(json_object_get(object, "lastFinished"),
	    "ageSeconds");
	is_same = view->shown != NULL && json_equal(view->shown, object);
	json_decref(view->shown);
	view->shown = object;
	return !is_same;
}

/* Blocks that follow each other stand apart. */
static int
print_change(struct view *view, struct error *err)
{
	bool is_first = view->shown == NULL;

	if (!has_changed(view))
		return 0;
	if (!is_first && view->opts->format == OUTPUT_TABLE)
		(void)printf("\n");
	return print_view(view, err);
}

/* Shows the job until it has ended, but not its end. */
static int
watch(struct view *view, struct error *err)
{
	bool draws = view->opts->format == OUTPUT_TABLE &&
	    isatty(STDOUT_FILENO);
	char id[MAX_JOB_ID + 1];
	int  rc = 0;

	memcpy(id, view->job.id, sizeof(id));
	while (rc == 0 && job_is_active(&view->job)) {
		rc = draws ? draw_view(view, err) : print_change(view, err);
		if (rc == -1)
			break;
		stop_sleep(WATCH_EVERY_MS);
		rc = stop_check(STATUS_STORE, err);
		if (rc == 0)
			rc = read_view(view, id, err);
	}
	if (rc == 0 && view->shown != NULL &&
	    view->opts->format == OUTPUT_TABLE)
		(void)printf("\n");
	return rc;
}

static int
judge(const struct view *view, struct error *err)
{
	struct buf text = { 0 };

	if (view->is_fresh)
		return 0;
	if (view->versions.finished == 0)
		return error_set(err, STATUS_STALE, "store %s: no run has"
		    " finished yet", store_name(view->store));
	job_print_duration(&text, view->age_ms);
	buf_print(&text, " old; --max-age allows ");
	job_print_duration(&text, view->opts->max_age_ms);
	error_fill(err, STATUS_STALE, "store %s: the last %s version %" PRId64
	    ", is %.*s", store_name(view->store), is_fetch(view) ?
	    "finished run," : "run that fetched, before",
	    view->versions.finished, (int)text.len, (const char *)text.data);
	buf_clear(&text);
	return -1;
}

int
command_status(const struct options *opts, struct error *err)
{
	struct view view = { .opts = opts };
	int	    rc;

	rc = open_view(&view, err);
	if (rc == 0)
		rc = read_view(&view, opts->job, err);
	if (rc == 0 && opts->watch && view.job.id[0] != '\0')
		rc = watch(&view, err);
	if (rc == 0)
		rc = print_view(&view, err);
	if (rc == 0)
		rc = judge(&view, err);
	close_view(&view);
	return rc;
}
