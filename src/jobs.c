#include <stdlib.h>
#include <string.h>

#include "jobs_int.h"
#include "store_int.h"
#include "store_place.h"
#include "words.h"
#include "xalloc.h"

static const struct jobs_ops *
find_ops(const struct store_place *place, struct error *err)
{
	switch (store_place_kind(place)) {
	case STORE_SQLITE:
		return &jobs_sqlite_ops;
	case STORE_MONGODB:
		return store_module_get(MONGODB_MODULE, "jobs_mongodb_ops",
		    err);
	case STORE_KIND__MAX:
	default:
		(void)error_set(err, STATUS_USAGE, "no kind of store knows"
		    " this URI");
		return NULL;
	}
}

int
jobs_open(const struct store_place *place, bool is_writer, struct jobs **out,
    struct error *err)
{
	const struct jobs_ops *ops;

	*out = NULL;
	ops = find_ops(place, err);
	if (ops == NULL || ops->open(place, is_writer, out, err) == -1)
		return -1;
	(*out)->ops = ops;
	return 0;
}

void
jobs_close(struct jobs *jobs)
{
	if (jobs != NULL)
		jobs->ops->close(jobs);
}

const char *
jobs_name(const struct jobs *jobs)
{
	return jobs->name;
}

int64_t
jobs_now_ms(struct jobs *jobs)
{
	return jobs->ops->now_ms(jobs);
}

/* The ledger's name goes before each of its errors; rc is given on. */
static int
named(const struct jobs *jobs, int rc, struct error *err)
{
	return rc == -1 ? error_prefix(err, "store %s: jobs", jobs->name) :
	    rc;
}

/* The names of a set of states, NULL at the end, in names; NULL: all, also such
 * as only a newer program knows. */
static const char *const *
list_states(unsigned states, const char *names[JOB_STATE__MAX + 1])
{
	int i, n = 0;

	if (states == JOB_ANY)
		return NULL;
	for (i = 0; i < JOB_STATE__MAX; i++) {
		if (states & JOB_IN(i))
			names[n++] = job_state_name((enum job_state)i);
	}
	names[n] = NULL;
	return names;
}

static void
fill_row(struct jobs_row *row, const struct job *job, const bson_t *data)
{
	*row = (struct jobs_row){
		.id = job->id,
		.state = job_state_name(job->state),
		.created_at_ms = job->created_at_ms,
		.renewed_at_ms = job->renewed_at_ms,
		.data = bson_get_data(data),
		.data_len = data->len,
	};
}

int
jobs_add(struct jobs *jobs, struct job *job, struct error *err)
{
	struct jobs_row row;
	bson_t		data;
	int		rc;

	job->renewed_at_ms = jobs_now_ms(jobs);
	job_to_bson(job, &data);
	fill_row(&row, job, &data);
	rc = jobs->ops->add(jobs, &row, err);
	bson_destroy(&data);
	if (rc == 0)
		return error_set(err, STATUS_USAGE, "--job-id: want the id of a"
		    " new job; there is a job %s", job->id);
	return named(jobs, rc == -1 ? -1 : 0, err);
}

/* As jobs_put(), but no sign of life. */
static int
put(struct jobs *jobs, const struct job *job, unsigned before,
    struct error *err)
{
	const char     *names[JOB_STATE__MAX + 1];
	struct jobs_row row;
	bson_t		data;
	int		rc;

	job_to_bson(job, &data);
	fill_row(&row, job, &data);
	rc = jobs->ops->put(jobs, &row, list_states(before, names), err);
	bson_destroy(&data);
	return named(jobs, rc, err);
}

int
jobs_put(struct jobs *jobs, struct job *job, unsigned before,
    struct error *err)
{
	job->renewed_at_ms = jobs_now_ms(jobs);
	return put(jobs, job, before, err);
}

/*
 * A sign of life from the future comes from a clock that was put back: a job
 * that lives gives another one soon.
 */
static bool
is_alive(const struct job *job, int64_t now_ms)
{
	return job->renewed_at_ms > now_ms - JOB_LEASE_MS &&
	    job->renewed_at_ms < now_ms + JOB_LEASE_MS;
}

static void
set_lost(struct job *job)
{
	job->is_lost = true;
	job->state = JOB_FAILED;
	job->ended_at_ms = job->renewed_at_ms;
	error_fill(&job->error, STATUS_STORE, "lost: its process was killed, or"
	    " its machine failed; what is published is in the history, all"
	    " else the next run does");
}

/* It goes into messages of one line, whatever hand has written it. */
static void
take_words(char *out, size_t size, const char *text)
{
	text_copy(out, size, text);
	text_make_plain(out);
}

static void
take_abort(struct job *job, const struct jobs_row *row)
{
	bson_t	    doc;
	bson_iter_t iter;

	if (row->abort == NULL ||
	    !bson_init_static(&doc, row->abort, row->abort_len))
		return;
	if (bson_iter_init_find(&iter, &doc, "At") &&
	    BSON_ITER_HOLDS_DATE_TIME(&iter))
		job->abort_at_ms = bson_iter_date_time(&iter);
	if (bson_iter_init_find(&iter, &doc, "By") &&
	    BSON_ITER_HOLDS_UTF8(&iter))
		take_words(job->abort_by, sizeof(job->abort_by),
		    bson_iter_utf8(&iter, NULL));
	if (bson_iter_init_find(&iter, &doc, "Reason") &&
	    BSON_ITER_HOLDS_UTF8(&iter))
		take_words(job->abort_reason, sizeof(job->abort_reason),
		    bson_iter_utf8(&iter, NULL));
}

/* The job of a row, as it is now; out is cleared by the caller. */
static void
fill_job(struct job *out, const struct jobs_row *row, int64_t now_ms)
{
	bson_t data;

	if (row->data != NULL &&
	    bson_init_static(&data, row->data, row->data_len))
		job_from_bson(out, &data);
	text_copy(out->id, sizeof(out->id), row->id);
	out->state = job_state_find(row->state);
	if (out->state == JOB_STATE__MAX)
		out->state = JOB_FAILED;
	out->renewed_at_ms = row->renewed_at_ms;
	take_abort(out, row);
	if (job_is_active(out) && !is_alive(out, now_ms))
		set_lost(out);
}

/* A walk for the front's caller; left counts what it still wants, -1: all. */
struct walk {
	const char *id;	    /* NULL: each ... */
	unsigned    states; /* ... that is in one of these */
	int64_t	    left;
	job_fn	    fn;
	void	   *ctx;
	int64_t	    now_ms;
};

/* jobs_row_fn */
static bool
give_row(void *ctx, const struct jobs_row *row)
{
	struct walk *walk = ctx;
	struct job   job = { 0 };
	bool	     goes_on;

	/* What another hand has written there is no job. */
	if (!text_is_label(row->id, strlen(row->id)))
		return true;
	fill_job(&job, row, walk->now_ms);
	goes_on = walk->fn(walk->ctx, &job);
	job_clear(&job);
	if (walk->left > 0)
		walk->left--;
	return goes_on && walk->left != 0;
}

static int
walk_rows(struct jobs *jobs, struct walk *walk, struct error *err)
{
	const char *names[JOB_STATE__MAX + 1];

	walk->now_ms = jobs_now_ms(jobs);
	return named(jobs, jobs->ops->walk(jobs, walk->id,
	    list_states(walk->states, names), give_row, walk, err), err);
}

int
jobs_walk(struct jobs *jobs, int64_t limit, job_fn fn, void *ctx,
    struct error *err)
{
	struct walk walk = { .states = JOB_ANY,
		.left = limit > 0 ? limit : -1, .fn = fn, .ctx = ctx };

	return walk_rows(jobs, &walk, err);
}

/* job_fn: ctx is a job. */
static bool
take_job(void *ctx, const struct job *job)
{
	job_copy(ctx, job);
	return false;
}

/* 1 = the walk, which copies what it chooses, has filled *out, 0, -1. */
static int
find_job(struct jobs *jobs, struct walk *walk, struct job *out,
    struct error *err)
{
	memset(out, 0, sizeof(*out));
	if (walk_rows(jobs, walk, err) == -1) {
		job_clear(out);
		return -1;
	}
	return out->id[0] != '\0';
}

int
jobs_get(struct jobs *jobs, const char *id, struct job *out, struct error *err)
{
	struct walk walk = { .id = id, .states = JOB_ANY, .left = 1,
		.fn = take_job, .ctx = out };

	return find_job(jobs, &walk, out, err);
}

int
jobs_fail_unknown(const struct jobs *jobs, const char *id, const char *hint,
    struct error *err)
{
	return error_set(err, STATUS_NOT_FOUND, "store %s has no job %s; see"
	    " nompd-sync jobs%s", jobs->name, id, hint);
}

/* Is it at work?  One that waits may be asked to end, too. */
static bool
is_running(const struct job *job)
{
	return job->state == JOB_RUNNING ||
	    (job->state == JOB_ABORT_INITIATED && job->started_at_ms != 0);
}

/* job_fn: ctx is a job; of those that wait the first one comes last. */
static bool
choose_active(void *ctx, const struct job *job)
{
	if (job_is_active(job))
		job_copy(ctx, job);
	return !is_running(job);
}

int
jobs_current(struct jobs *jobs, struct job *out, struct error *err)
{
	struct walk active = { .states = JOB_ACTIVE, .left = -1,
		.fn = choose_active, .ctx = out };
	struct walk last = { .states = JOB_ANY, .left = 1, .fn = take_job,
		.ctx = out };
	int	    rc;

	rc = find_job(jobs, &active, out, err);
	return rc == 0 ? find_job(jobs, &last, out, err) : rc;
}

struct queue {
	const char *id;
	uint64_t    count;
};

/* job_fn: the newest come first. */
static bool
count_ahead(void *ctx, const struct job *job)
{
	struct queue *queue = ctx;

	if (strcmp(job->id, queue->id) == 0)
		queue->count = 0;
	else if (job->state == JOB_QUEUED)
		queue->count++;
	return true;
}

int
jobs_ahead(struct jobs *jobs, const char *id, uint64_t *count,
    struct error *err)
{
	struct queue queue = { .id = id };
	struct walk  walk = { .states = JOB_IN(JOB_QUEUED), .left = -1,
		.fn = count_ahead, .ctx = &queue };

	*count = 0;
	if (walk_rows(jobs, &walk, err) == -1)
		return -1;
	*count = queue.count;
	return 0;
}

static void
make_abort(bson_t *out, int64_t now_ms, const char *by, const char *reason)
{
	char by_text[MAX_JOB_BY + 1], reason_text[MAX_JOB_REASON + 1];

	text_copy(by_text, sizeof(by_text), by);
	text_copy(reason_text, sizeof(reason_text), reason);
	bson_init(out);
	if (!BSON_APPEND_DATE_TIME(out, "At", now_ms) ||
	    !BSON_APPEND_UTF8(out, "By", by_text) ||
	    !BSON_APPEND_UTF8(out, "Reason", reason_text))
		xalloc_end();
}

int
jobs_abort(struct jobs *jobs, const char *id, const char *by,
    const char *reason, struct job *out, struct error *err)
{
	struct jobs_row row = { .id = id,
		.state = job_state_name(JOB_ABORT_INITIATED) };
	const char     *names[JOB_STATE__MAX + 1];
	bson_t		abort;
	int		rc;

	rc = jobs_get(jobs, id, out, err);
	if (rc == 0)
		return jobs_fail_unknown(jobs, id, "", err);
	if (rc == -1 || !job_is_active(out))
		return rc == -1 ? -1 : 0;
	make_abort(&abort, jobs_now_ms(jobs), by, reason);
	row.abort = bson_get_data(&abort);
	row.abort_len = abort.len;
	rc = jobs->ops->set_abort(jobs, &row, list_states(JOB_IN(JOB_QUEUED) |
	    JOB_IN(JOB_RUNNING), names), err);
	bson_destroy(&abort);
	job_clear(out);
	if (rc == -1)
		return named(jobs, rc, err);
	rc = jobs_get(jobs, id, out, err);
	return rc == 1 ? job_is_active(out) : rc;
}

/* What a sweep finds: it must not write in the middle of a walk. */
struct sweep {
	const char *own;
	size_t	    ended; /* jobs seen so far that have */
	char	  **found;
};

/*
 * job_fn: of those that are active in the ledger.  One that waits may look lost
 * while somebody sets the clock, and lives on; it is in nobody's way.
 */
static bool
find_lost(void *ctx, const struct job *job)
{
	struct sweep *sweep = ctx;

	if (strcmp(job->id, sweep->own) != 0 &&
	    ((job->is_lost && job->started_at_ms != 0) || is_running(job)))
		words_add(&sweep->found, job->id);
	return true;
}

/* job_fn */
static bool
find_surplus(void *ctx, const struct job *job)
{
	struct sweep *sweep = ctx;

	if (strcmp(job->id, sweep->own) != 0 && !job_is_active(job) &&
	    ++sweep->ended > MAX_JOBS_KEPT)
		words_add(&sweep->found, job->id);
	return true;
}

/* A job that lives on after all finds that it is not what it was. */
static int
bury(struct jobs *jobs, const char *id, struct error *err)
{
	struct job job;
	int	   rc;

	rc = jobs_get(jobs, id, &job, err);
	if (rc == 1) {
		set_lost(&job);
		rc = put(jobs, &job, JOB_ACTIVE, err);
	}
	job_clear(&job);
	return rc == -1 ? -1 : 0;
}

static int
drop(struct jobs *jobs, const char *id, struct error *err)
{
	return named(jobs, jobs->ops->drop(jobs, id, err), err);
}

/* Does act to each job of those states that find chooses. */
static int
sweep_some(struct jobs *jobs, const char *own, unsigned states, job_fn find,
    int (*act)(struct jobs *jobs, const char *id, struct error *err),
    struct error *err)
{
	struct sweep sweep = { .own = own };
	struct walk  walk = { .states = states, .left = -1, .fn = find,
		.ctx = &sweep };
	size_t	     i, n;
	int	     rc;

	rc = walk_rows(jobs, &walk, err);
	n = words_count(sweep.found);
	for (i = 0; rc == 0 && i < n; i++)
		rc = act(jobs, sweep.found[i], err);
	words_free(sweep.found);
	return rc;
}

int
jobs_sweep(struct jobs *jobs, const char *own, struct error *err)
{
	if (sweep_some(jobs, own, JOB_ACTIVE, find_lost, bury, err) == -1)
		return -1;
	return sweep_some(jobs, own, JOB_ANY, find_surplus, drop, err);
}
