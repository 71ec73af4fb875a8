/*
 * What only the ledger of a MongoDB store does: how its documents look, what it
 * makes of others, and servers that are no good.  The promises that it shares
 * with the other kind are in test_jobs.c.
 */
#include "jobslib.h"
#include "liarlib.h"

/* Less than an answer may take in a store, more than in a ledger, also when the
 * driver asks a second time. */
#define MAX_SILENCE_MS 30000

static const struct {
	const char *uri;
	enum status status;
	const char *words;
} bad[] = {
	{ "mongodb:///d", STATUS_USAGE, "store mongodb://: jobs: want a URI"
	    " as in" },
	{ "mongodb://h/d?noSuchOption=1", STATUS_USAGE, "\"nosuchoption\"" },
	{ "mongodb://u@h/d", STATUS_USAGE, "store mongodb://h:27017/d: jobs:"
	    " the URI names a user, but there is no password" },
};

START_TEST(bad_uri)
{
	struct jobs *jobs;
	int	     i;

	(void)snprintf(uri, sizeof(uri), "%s", bad[_i].uri);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(jobs_open(&place, i == 0, &jobs, &err), -1);
		ck_assert_ptr_null(jobs);
		ck_assert_int_eq(err.status, bad[_i].status);
		ck_assert_msg(strncmp(err.text, "store mongodb://",
		    16) == 0 && strstr(err.text, bad[_i].words) != NULL, "%s",
		    err.text);
	}
}
END_TEST

START_TEST(closed_port)
{
	struct jobs *jobs;
	int	     fd, port;

	fd = listen_somewhere(&port);
	(void)snprintf(uri, sizeof(uri), "mongodb://127.0.0.1:%d/d?" SOON,
	    port);
	CHECK_FAILS(jobs_open(&place, true, &jobs, &err),
	    "nobody answers there");
	(void)close(fd);
}
END_TEST

#define GOOD HELLO ",'maxWireVersion':13,'localTime':{'$date':" \
	"{'$numberLong':'1744273800000'}}"

static struct jobs *
open_liar(struct liar *liar, const char *options)
{
	start_liar(liar);
	(void)snprintf(uri, sizeof(uri), "mongodb://127.0.0.1:%d/d?" SOON "%s",
	    liar->port, options);
	return open_jobs(true);
}

/* A job lives by its signs of life: it cannot wait for one as long as for the
 * writes of a run, whatever the URI says. */
START_TEST(silent_server)
{
	struct liar  liar = { .hello = GOOD "}", .mute_at = "SyncJobs" };
	struct jobs *jobs = open_liar(&liar, "&socketTimeoutMS=300000");
	struct job   job = { 0 };
	int64_t	     start_ms = clock_monotonic_ms();

	job_init(&job, "j", "run", 1);
	CHECK_FAILS(jobs_put(jobs, &job, QUEUED, &err), "writing SyncJobs: ");
	ck_assert_msg(strncmp(err.text, "store mongodb://127.0.0.1:",
	    26) == 0, "%s", err.text);
	ck_assert_int_lt(clock_monotonic_ms() - start_ms, MAX_SILENCE_MS);
	jobs_close(jobs);
	stop_liar(&liar);
}
END_TEST

/* Documents of another hand, or of a newer program. */
#define ODD GOOD ",'cursor':{'id':{'$numberLong':'0'},'ns':'d.SyncJobs'," \
	"'firstBatch':[{},{'_id':5,'State':'Queued'}," \
	"{'_id':'no label','State':'Queued'},{'_id':'','State':'Held'}," \
	"{'_id':'types','State':7,'CreatedAt':'x','RenewedAt':true," \
	"'Data':'text','Abort':[]}," \
	"{'_id':'new','State':'Paused','Data':{'Stage':'x'}}," \
	"{'_id':'bare','State':'Completed'}," \
	"{'_id':'good','State':'Running','RenewedAt':{'$date':" \
	"{'$numberLong':'1744273800000'}},'Data':{'Retries':3}," \
	"'Abort':{'At':5,'By':{},'Reason':null}}]}}"

START_TEST(odd_documents)
{
	struct liar  liar = { .hello = ODD };
	struct jobs *jobs = open_liar(&liar, "");
	struct job   job;

	walk_is(jobs, 0, "types:Failed new:Failed bare:Completed"
	    " good:Running");
	current_is(jobs, "good");
	get_job(jobs, "types", &job);
	ck_assert_int_eq(job.created_at_ms, 0);
	ck_assert_int_eq(job.renewed_at_ms, 0);
	job_clear(&job);
	jobs_close(jobs);
	stop_liar(&liar);
}
END_TEST

/* What is greater than a date is one. */
#define A_DATE "{'$gt':{'$date':{'$numberLong':'1700000000000'}}}"

/* As nompd-store(7) has them. */
START_TEST(documents)
{
	struct jobs *jobs = open_jobs(true);
	struct job   job;

	add_job(jobs, "j", JOB_QUEUED);
	ck_assert_int_eq(mongodb_count("SyncJobs", "{'_id':'j',"
	    "'State':'Queued','CreatedAt':" A_DATE ",'RenewedAt':" A_DATE ","
	    "'Abort':{'$exists':false},'Data.Command':'run',"
	    "'Data.Process':{'$gt':0},'Data.CreatedAt':" A_DATE "}"), 1);
	ck_assert_int_eq(jobs_abort(jobs, "j", "me", "why", &job, &err), 1);
	job_clear(&job);
	ck_assert_int_eq(put_state(jobs, "j", JOB_ABORTED, JOB_ANY), 1);
	ck_assert_int_eq(mongodb_count("SyncJobs", "{'_id':'j',"
	    "'State':'Aborted','Abort.At':" A_DATE ",'Abort.By':'me',"
	    "'Abort.Reason':'why','Data.Command':'run'}"), 1);
	ck_assert_int_eq(mongodb_count("SyncJobs", "{}"), 1);
	/* One collection is all that was made, and no store. */
	ck_assert_int_eq(mongodb_collections(), 1);
	jobs_close(jobs);
}
END_TEST

/* A database with nothing but a ledger can become a store, and one that lacks
 * the ledger is a store all the same. */
START_TEST(beside_new_store)
{
	struct jobs *jobs = open_jobs(true);
	int	     count;

	add_job(jobs, "j", JOB_QUEUED);
	store_close(open_store(STORE_WRITE));
	count = mongodb_collections();
	walk_is(jobs, 0, "j:Queued");
	store_close(open_store(STORE_UPDATE));
	ck_assert_int_eq(mongodb_collections(), count);
	jobs_close(jobs);
}
END_TEST

START_TEST(dropped_meanwhile)
{
	struct jobs	  *jobs = open_jobs(true);
	mongoc_database_t *handle;
	struct job	   job;
	bson_error_t	   cause;

	add_job(jobs, "j", JOB_QUEUED);
	get_job(jobs, "j", &job);
	handle = mongoc_client_get_database(driver, database);
	ck_assert_msg(mongoc_database_drop(handle, &cause), "%s",
	    cause.message);
	mongoc_database_destroy(handle);
	ck_assert_int_eq(jobs_put(jobs, &job, QUEUED, &err), 0);
	job_clear(&job);
	walk_is(jobs, 0, "");
	CHECK(jobs_sweep(jobs, "j", &err));
	add_job(jobs, "k", JOB_QUEUED);
	walk_is(jobs, 0, "k:Queued");
	jobs_close(jobs);
}
END_TEST

/* A clock of ours that is wrong does not matter. */
START_TEST(server_clock)
{
	struct jobs *jobs = open_jobs(true);
	int64_t	     now_ms = (int64_t)time(NULL) * 1000;

	ck_assert_int_gt(jobs_now_ms(jobs), now_ms - 60000);
	ck_assert_int_lt(jobs_now_ms(jobs), now_ms + 60000);
	ck_assert_int_lt(clock_now_ms(), now_ms - 60000);
	jobs_close(jobs);
}
END_TEST

static void
add_server_tests(Suite *suite)
{
	TCase *tests = tcase_create("server");

	tcase_add_checked_fixture(tests, mongodb_set_up, mongodb_tear_down);
	tcase_add_checked_fixture(tests, start_clock, NULL);
	tcase_set_timeout(tests, BACKEND_TIMEOUT_S);
	tcase_add_test(tests, documents);
	tcase_add_test(tests, beside_new_store);
	tcase_add_test(tests, dropped_meanwhile);
	tcase_add_test(tests, server_clock);
	suite_add_tcase(suite, tests);
}

int
main(void)
{
	Suite *suite = suite_create("jobs_mongodb");
	TCase *tests = tcase_create("no server");

	tcase_add_checked_fixture(tests, start_clock, NULL);
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, bad_uri, 0, LENGTH_OF(bad));
	tcase_add_test(tests, closed_port);
	tcase_add_test(tests, silent_server);
	tcase_add_test(tests, odd_documents);
	suite_add_tcase(suite, tests);
	return mongodb_test_run(suite, add_server_tests);
}
