/*
 * The promises of jobs.h on each kind of ledger (backendlib.h says on which);
 * those about the ends of jobs are in test_jobs_ends.c.
 */
#include <sys/wait.h>

#include "digest.h"
#include "jobslib.h"
#include "text.h"
#include "words.h"

/* Jobs as JSON text; the caller frees it. */
static char *
dump(const struct job *job)
{
	json_t *json = job_to_json(job);
	char   *text = json_dumps(json, JSON_INDENT(1));

	json_decref(json);
	return text;
}

static void
same_jobs(const struct job *one, const struct job *other)
{
	char *one_text = dump(one), *other_text = dump(other);

	ck_assert_str_eq(one_text, other_text);
	free(one_text);
	free(other_text);
}

/* All that a job can have, but for an abort. */
static void
fill_job(struct job *job, int64_t now_ms)
{
	job->started_at_ms = now_ms + 1;
	job->stage = JOB_STAGE_WRITING;
	job->retries = 3;
	job->n_counts = 2;
	job->counts = xcalloc(2, sizeof(*job->counts));
	job->counts[0] = (struct job_count){ PLANS, 10, 20, 7, 5 };
	job->counts[1] = (struct job_count){ "TreatmentGroups", -1, -1, 0, 0 };
	job->has_result = true;
	job->result = (struct run_result){ 7, 1, 2, 3, 4, 5 };
}

START_TEST(round_trip)
{
	struct jobs *jobs = open_jobs(true);
	struct error end = { STATUS_HELD, "held: \xc3\xa6" };
	struct job   job = { 0 }, found;
	int64_t	     now_ms = jobs_now_ms(jobs);

	job_init(&job, "j", "reconvert", now_ms - 5);
	CHECK(jobs_add(jobs, &job, &err));
	ck_assert_int_eq(job.created_at_ms, now_ms - 5);
	ck_assert_int_eq(job.renewed_at_ms, now_ms);
	get_job(jobs, "j", &found);
	same_jobs(&job, &found);
	job_clear(&found);
	passed_ms += 2000;
	fill_job(&job, now_ms);
	job_set_end(&job, &end, now_ms + 2);
	ck_assert_int_eq(jobs_put(jobs, &job, QUEUED, &err), 1);
	ck_assert_int_eq(job.renewed_at_ms, now_ms + 2000);
	get_job(jobs, "j", &found);
	ck_assert_int_eq(found.state, JOB_HELD);
	same_jobs(&job, &found);
	job_clear(&found);
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

START_TEST(made_ids_differ)
{
	struct jobs *jobs = open_jobs(true);
	struct job   job = { 0 };
	int	     i;

	for (i = 0; i < 20; i++) {
		job_init(&job, NULL, "run", START_MS);
		ck_assert(text_is_label(job.id, strlen(job.id)));
		ck_assert_int_eq(strncmp(job.id, "20231114T221320Z-", 17), 0);
		CHECK(jobs_add(jobs, &job, &err));
	}
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

START_TEST(id_twice)
{
	struct jobs *jobs = open_jobs(true);
	struct job   job = { 0 };

	add_job(jobs, "j", JOB_RUNNING);
	job_init(&job, "j", "reconvert", 1);
	ck_assert_int_eq(jobs_add(jobs, &job, &err), -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_ptr_nonnull(strstr(err.text, "there is a job j"));
	job_clear(&job);
	get_job(jobs, "j", &job);
	ck_assert_int_eq(job.state, JOB_RUNNING);
	ck_assert_str_eq(job.command, "run");
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

START_TEST(unknown_id)
{
	struct jobs *jobs = open_jobs(true);
	struct job   job = { 0 };

	add_job(jobs, "j", JOB_QUEUED);
	/* The case counts. */
	ck_assert_int_eq(jobs_get(jobs, "J", &job, &err), 0);
	job_init(&job, "J", "run", 1);
	ck_assert_int_eq(jobs_put(jobs, &job, JOB_ANY, &err), 0);
	ck_assert_int_eq(jobs_put(jobs, &job, JOB_ACTIVE, &err), 0);
	job_clear(&job);
	ck_assert_int_eq(jobs_abort(jobs, "J", "me", "", &job, &err), -1);
	ck_assert_int_eq(err.status, STATUS_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, " has no job J"));
	walk_is(jobs, 0, "j:Queued");
	jobs_close(jobs);
}
END_TEST

/* The order is that of arrival, not of the ids, nor that of the last writes. */
START_TEST(walk)
{
	struct jobs *jobs = open_jobs(true);

	walk_is(jobs, 0, "");
	add_job(jobs, "b", JOB_COMPLETED);
	add_job(jobs, "c", JOB_QUEUED);
	add_job(jobs, "a", JOB_QUEUED);
	passed_ms += 5;
	ck_assert_int_eq(put_state(jobs, "c", JOB_RUNNING, QUEUED), 1);
	walk_is(jobs, 0, "a:Queued c:Running b:Completed");
	walk_is(jobs, 1, "a:Queued");
	walk_is(jobs, 2, "a:Queued c:Running");
	walk_is(jobs, 3, "a:Queued c:Running b:Completed");
	walk_is(jobs, 1000000, "a:Queued c:Running b:Completed");
	jobs_close(jobs);
}
END_TEST

/* job_fn */
static bool
stop_at_second(void *ctx, const struct job *job)
{
	int *count = ctx;

	(void)job;
	return ++*count < 2;
}

START_TEST(walk_stops)
{
	struct jobs *jobs = open_jobs(true);
	int	     count = 0;

	add_job(jobs, "a", JOB_QUEUED);
	add_job(jobs, "b", JOB_QUEUED);
	add_job(jobs, "c", JOB_QUEUED);
	CHECK(jobs_walk(jobs, 0, stop_at_second, &count, &err));
	ck_assert_int_eq(count, 2);
	jobs_close(jobs);
}
END_TEST

/* Each state, put from each one: what was not allowed changes nothing. */
START_TEST(put_by_state)
{
	enum job_state from = (enum job_state)(_i / JOB_STATE__MAX);
	enum job_state before = (enum job_state)(_i % JOB_STATE__MAX);
	struct jobs   *jobs = open_jobs(true);
	struct job     job, found;
	int	       rc;

	add_job(jobs, "j", from);
	passed_ms += 10;
	get_job(jobs, "j", &job);
	job.state = JOB_COMPLETED;
	job.retries = 9;
	rc = jobs_put(jobs, &job, JOB_IN(before), &err);
	ck_assert_int_eq(rc, from == before);
	get_job(jobs, "j", &found);
	ck_assert_int_eq(found.state, rc == 1 ? JOB_COMPLETED : from);
	ck_assert_uint_eq(found.retries, rc == 1 ? 9 : 0);
	ck_assert_int_eq(found.renewed_at_ms, job.renewed_at_ms -
	    (rc == 1 ? 0 : 10));
	job_clear(&found);
	/* No state at all, and any. */
	ck_assert_int_eq(jobs_put(jobs, &job, 0, &err), 0);
	ck_assert_int_eq(jobs_put(jobs, &job, JOB_ANY, &err), 1);
	job_clear(&job);
	jobs_close(jobs);
}
END_TEST

START_TEST(current)
{
	struct jobs *jobs = open_jobs(true);
	struct job   job;

	current_is(jobs, "");
	add_job(jobs, "first", JOB_QUEUED);
	add_job(jobs, "second", JOB_QUEUED);
	current_is(jobs, "first");
	ck_assert_int_eq(put_state(jobs, "second", JOB_RUNNING, QUEUED), 1);
	current_is(jobs, "second");
	add_job(jobs, "third", JOB_QUEUED);
	current_is(jobs, "second");
	/* One that waits, and was asked to end, does not run. */
	ck_assert_int_eq(jobs_abort(jobs, "third", "me", "", &job, &err), 1);
	job_clear(&job);
	current_is(jobs, "second");
	ck_assert_int_eq(jobs_abort(jobs, "second", "me", "", &job, &err), 1);
	job_clear(&job);
	current_is(jobs, "second");
	ck_assert_int_eq(put_state(jobs, "second", JOB_FAILED, JOB_ANY), 1);
	current_is(jobs, "first");
	ck_assert_int_eq(put_state(jobs, "first", JOB_ABORTED, JOB_ANY), 1);
	current_is(jobs, "third");
	ck_assert_int_eq(put_state(jobs, "third", JOB_ABORTED, JOB_ANY), 1);
	/* All have ended: the last that came. */
	current_is(jobs, "third");
	jobs_close(jobs);
}
END_TEST

START_TEST(current_lost)
{
	struct jobs *jobs = open_jobs(true);

	add_job(jobs, "lost", JOB_RUNNING);
	passed_ms += JOB_LEASE_MS;
	add_job(jobs, "alive", JOB_QUEUED);
	add_job(jobs, "ended", JOB_COMPLETED);
	current_is(jobs, "alive");
	passed_ms += JOB_LEASE_MS;
	current_is(jobs, "ended");
	jobs_close(jobs);
}
END_TEST

START_TEST(ahead)
{
	struct jobs *jobs = open_jobs(true);

	ahead_is(jobs, "none", 0);
	add_job(jobs, "lost", JOB_QUEUED);
	passed_ms += JOB_LEASE_MS;
	add_job(jobs, "runs", JOB_RUNNING);
	add_job(jobs, "ended", JOB_COMPLETED);
	add_job(jobs, "a", JOB_QUEUED);
	add_job(jobs, "b", JOB_QUEUED);
	add_job(jobs, "c", JOB_QUEUED);
	ahead_is(jobs, "a", 0);
	ahead_is(jobs, "b", 1);
	ahead_is(jobs, "c", 2);
	ahead_is(jobs, "runs", 3);
	ahead_is(jobs, "none", 3);
	jobs_close(jobs);
}
END_TEST

START_TEST(two_connections)
{
	struct jobs *one = open_jobs(true), *other = open_jobs(true);
	struct jobs *reader = open_jobs(false);
	struct job   job;

	add_job(one, "a", JOB_QUEUED);
	passed_ms += 1000;
	add_job(other, "b", JOB_QUEUED);
	walk_is(one, 0, "b:Queued a:Queued");
	walk_is(other, 0, "b:Queued a:Queued");
	ahead_is(other, "b", 1);
	/* Who comes first has it. */
	ck_assert_int_eq(put_state(other, "a", JOB_RUNNING, QUEUED), 1);
	ck_assert_int_eq(put_state(one, "a", JOB_RUNNING, QUEUED), 0);
	ck_assert_int_eq(jobs_abort(one, "a", "me", "", &job, &err), 1);
	job_clear(&job);
	ck_assert_int_eq(put_state(other, "a", JOB_COMPLETED, RUNNING), 0);
	walk_is(reader, 0, "b:Queued a:AbortInitiated");
	jobs_close(reader);
	jobs_close(one);
	walk_is(other, 0, "b:Queued a:AbortInitiated");
	jobs_close(other);
}
END_TEST

#define PROCESSES 4
#define TURNS	  20

/* Adds jobs of its own, and takes jobs of all if no other does: exits with the
 * number it took. */
static int
take_turns(int number)
{
	struct jobs *jobs;
	struct job   job = { 0 };
	char	     id[16];
	int	     i, rc, taken = 0;

	if (jobs_open(&place, true, &jobs, &err) == -1)
		return 255;
	for (i = 0; i < TURNS; i++) {
		(void)snprintf(id, sizeof(id), "own%d-%d", number, i);
		job_init(&job, id, "run", 1);
		if (jobs_add(jobs, &job, &err) == -1)
			return 255;
		(void)snprintf(id, sizeof(id), "e%d", i);
		rc = jobs_get(jobs, id, &job, &err);
		job.state = JOB_HELD;
		if (rc == 1)
			rc = jobs_put(jobs, &job, JOB_IN(JOB_COMPLETED), &err);
		if (rc == -1)
			return 255;
		taken += rc;
	}
	job_clear(&job);
	jobs_close(jobs);
	return taken;
}

START_TEST(processes)
{
	struct jobs *jobs = open_jobs(true);
	pid_t	     pids[PROCESSES];
	int	     status, i, count = 0;

	add_ended(jobs, 0, TURNS);
	jobs_close(jobs);
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		ck_assert_int_ne(pids[i], -1);
		if (pids[i] == 0)
			_exit(take_turns(i));
	}
	for (i = 0; i < PROCESSES; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert(WIFEXITED(status));
		ck_assert_int_ne(WEXITSTATUS(status), 255);
		count += WEXITSTATUS(status);
	}
	ck_assert_int_eq(count, TURNS);
	jobs = open_jobs(false);
	count = 0;
	CHECK(jobs_walk(jobs, 0, count_job, &count, &err));
	ck_assert_int_eq(count, TURNS + PROCESSES * TURNS);
	jobs_close(jobs);
}
END_TEST

/* To a reader no ledger is an empty one, and none is made. */
START_TEST(reader_without_ledger)
{
	struct jobs *reader = open_jobs(false);
	struct job   job;

	walk_is(reader, 0, "");
	current_is(reader, "");
	ahead_is(reader, "j", 0);
	ck_assert_int_eq(jobs_get(reader, "j", &job, &err), 0);
	ck_assert_int_eq(jobs_abort(reader, "j", "me", "", &job, &err), -1);
	ck_assert_int_eq(err.status, STATUS_NOT_FOUND);
	jobs_close(reader);
	backend()->check_nothing();
}
END_TEST

static void
digest_of(struct digest *out)
{
	struct store *store = open_store(STORE_READ);

	CHECK(digest_store(store, DIGEST_ALL, out, &err));
	store_close(store);
}

/* The store has no part of it, whichever comes first; also while a run is in
 * the middle of its one transaction. */
START_TEST(beside_store)
{
	static const char *const a[] = { "a", NULL };
	struct jobs		*jobs = open_jobs(true);
	struct store		*store;
	struct digest		 before, after;
	int64_t			 version;
	char		       **names = NULL;

	add_job(jobs, "early", JOB_QUEUED);
	write_run(a, NULL, 1, true);
	digest_of(&before);
	store = begin_run(1000, &version);
	add_job(jobs, "late", JOB_QUEUED);
	ck_assert_int_eq(put_state(jobs, "late", JOB_RUNNING, QUEUED), 1);
	store_close(store);
	digest_of(&after);
	store = open_store(STORE_READ);
	CHECK(store_collections_get(store, &names, &err));
	ck_assert_uint_eq(words_count(names), COLLECTION__MAX);
	words_free(names);
	store_close(store);
	walk_is(jobs, 0, "late:Running early:Queued");
	/* A version may be raised when the run did not publish. */
	ck_assert_int_eq(after.records, before.records);
	ck_assert_int_eq(after.runs, before.runs);
	if (backend()->has_undo)
		ck_assert_str_eq(after.text, before.text);
	jobs_close(jobs);
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("jobs", &tests);

	tcase_add_checked_fixture(tests, start_clock, NULL);
	tcase_add_test(tests, round_trip);
	tcase_add_test(tests, made_ids_differ);
	tcase_add_test(tests, id_twice);
	tcase_add_test(tests, unknown_id);
	tcase_add_test(tests, walk);
	tcase_add_test(tests, walk_stops);
	tcase_add_loop_test(tests, put_by_state, 0,
	    JOB_STATE__MAX * JOB_STATE__MAX);
	tcase_add_test(tests, current);
	tcase_add_test(tests, current_lost);
	tcase_add_test(tests, ahead);
	tcase_add_test(tests, two_connections);
	tcase_add_test(tests, processes);
	tcase_add_test(tests, reader_without_ledger);
	tcase_add_test(tests, beside_store);
	return test_run(suite);
}
