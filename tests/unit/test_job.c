#include <unistd.h>

#include "job.h"
#include "store.h"
#include "testlib.h"

/* job as JSON with ' for "; the caller frees it. */
static char *
dump(const struct job *job)
{
	json_t *json = job_to_json(job);
	char   *text, *at;

	text = json_dumps(json, JSON_COMPACT);
	ck_assert_ptr_nonnull(text);
	for (at = text; *at != '\0'; at++)
		if (*at == '"')
			*at = '\'';
	json_decref(json);
	return text;
}

static void
dump_is(const struct job *job, const char *expected)
{
	char *text = dump(job);

	ck_assert_str_eq(text, expected);
	free(text);
}

/* All that a job can have. */
static void
fill(struct job *job)
{
	*job = (struct job){
		.id = "j-1", .state = JOB_ABORTED, .is_lost = true,
		.command = "reconvert", .host = "h", .process = 17,
		.program_version = "1.2.3", .created_at_ms = 1000,
		.started_at_ms = 2000, .renewed_at_ms = 3000,
		.ended_at_ms = 4000, .stage = JOB_STAGE_CHECKING,
		.retries = 5, .abort_at_ms = 2500, .abort_by = "me",
		.abort_reason = "why", .has_result = true,
		.error = { STATUS_ABORTED, "ended \xc3\xa6" },
		.result = { 7, 1, 2, 3, 4, 99 },
	};
	job->n_counts = 2;
	job->counts = xcalloc(2, sizeof(*job->counts));
	job->counts[0] = (struct job_count){ "Patient", 10, 20, 7, 5 };
	job->counts[1] = (struct job_count){ "TreatmentGroups", -1, -1, 0, 0 };
}

#define FULL "{'id':'j-1','state':'Aborted','lost':true,'stage':'checking'," \
	"'command':'reconvert','host':'h','process':17," \
	"'programVersion':'1.2.3','createdAt':'1970-01-01T00:00:01.000Z'," \
	"'startedAt':'1970-01-01T00:00:02.000Z'," \
	"'renewedAt':'1970-01-01T00:00:03.000Z'," \
	"'endedAt':'1970-01-01T00:00:04.000Z','retries':5,'collections':[" \
	"{'collection':'Patient','fetched':10,'expected':20,'processed':7," \
	"'written':5},{'collection':'TreatmentGroups','fetched':null," \
	"'expected':null,'processed':0,'written':0}]," \
	"'abort':{'at':'1970-01-01T00:00:02.500Z','by':'me'," \
	"'reason':'why'},'error':{'status':79,'text':'ended \xc3\xa6'}," \
	"'result':{'version':7,'added':1,'updated':2,'unchanged':3," \
	"'deleted':4,'durationMs':99}}"
#define NONE "{'id':'','state':'Queued','lost':false,'stage':'waiting'," \
	"'command':'','host':'','process':0,'programVersion':''," \
	"'createdAt':null,'startedAt':null,'renewedAt':null,'endedAt':null," \
	"'retries':0,'collections':[],'abort':null,'error':null," \
	"'result':null}"

START_TEST(json)
{
	struct job job = { 0 };

	dump_is(&job, NONE);
	fill(&job);
	dump_is(&job, FULL);
	job_clear(&job);
	dump_is(&job, NONE);
}
END_TEST

/* What the ledger has beside it is put back by hand. */
START_TEST(bson_round_trip)
{
	struct job job, copy = { 0 };
	bson_t	   doc;

	fill(&job);
	job_to_bson(&job, &doc);
	job_from_bson(&copy, &doc);
	bson_destroy(&doc);
	(void)snprintf(copy.id, sizeof(copy.id), "%s", job.id);
	copy.state = job.state;
	copy.renewed_at_ms = job.renewed_at_ms;
	copy.abort_at_ms = job.abort_at_ms;
	(void)snprintf(copy.abort_by, sizeof(copy.abort_by), "%s",
	    job.abort_by);
	(void)snprintf(copy.abort_reason, sizeof(copy.abort_reason), "%s",
	    job.abort_reason);
	dump_is(&copy, FULL);
	job_clear(&copy);
	job_clear(&job);
}
END_TEST

/* As nompd-store(7) has it. */
START_TEST(bson_members)
{
	struct job job;
	bson_t	   doc;

	fill(&job);
	job_to_bson(&job, &doc);
	test_json_is(&doc, "{'Command':'reconvert','Host':'h','Process':17,"
	    "'ProgramVersion':'1.2.3','CreatedAt':'1970-01-01T00:00:01.000Z',"
	    "'StartedAt':'1970-01-01T00:00:02.000Z',"
	    "'EndedAt':'1970-01-01T00:00:04.000Z','Stage':'checking',"
	    "'Retries':5,'Collections':{'Patient':{'Fetched':10,"
	    "'Expected':20,'Processed':7,'Written':5},"
	    "'TreatmentGroups':{'Processed':0,'Written':0}},"
	    "'Error':{'Status':79,'Text':'ended \xc3\xa6'},'Lost':true,"
	    "'Result':{'Version':7,'Added':1,'Updated':2,'Unchanged':3,"
	    "'Deleted':4,'DurationMs':99}}");
	bson_destroy(&doc);
	job_clear(&job);
	job_to_bson(&job, &doc);
	test_json_is(&doc, "{'Command':'','Host':'','Process':0,"
	    "'ProgramVersion':'','Stage':'waiting','Retries':0,"
	    "'Collections':{}}");
	bson_destroy(&doc);
}
END_TEST

/* Of these nothing is taken. */
static const char *const nothing[] = {
	"{}",
	"{'Command':1,'Host':{},'Process':'17','ProgramVersion':null}",
	"{'Process':{'$numberDouble':'17'}}",
	"{'CreatedAt':1000,'StartedAt':'1970-01-01','EndedAt':null}",
	"{'Stage':'dreaming'}",
	"{'Stage':3}",
	"{'stage':'checking','retries':3}",
	"{'Retries':-1}",
	"{'Retries':'3'}",
	"{'Collections':[]}",
	"{'Collections':'Patient'}",
	"{'Collections':{'Patient':5,'A':null,'B':[]}}",
	"{'Error':'words'}",
	"{'Error':{}}",
	"{'Error':{'Status':'74'}}",
	"{'Error':{'Status':-74}}",
	"{'Error':{'Status':256}}",
	"{'Error':{'Status':{'$numberLong':'4294967370'}}}",
	"{'Error':{'Text':'words'}}",
	"{'Lost':1}",
	"{'Lost':'true'}",
	"{'Lost':false}",
	"{'Result':7}",
};

START_TEST(bson_nothing)
{
	struct job job = { 0 };
	bson_t	  *doc = test_bson(nothing[_i]);

	job_from_bson(&job, doc);
	dump_is(&job, NONE);
	job_clear(&job);
	bson_destroy(doc);
}
END_TEST

START_TEST(bson_odd_counts)
{
	struct job job = { 0 };
	bson_t	  *doc = test_bson("{'Collections':{'A':{'Fetched':-7,"
	    "'Expected':'x','Processed':-1,'Written':1.5}},"
	    "'Result':{'Version':-1,'Added':-2,'DurationMs':-3}}");
	char	  *text;

	job_from_bson(&job, doc);
	text = dump(&job);
	ck_assert_ptr_nonnull(strstr(text, "[{'collection':'A',"
	    "'fetched':null,'expected':null,'processed':0,'written':0}]"));
	ck_assert_ptr_nonnull(strstr(text, "{'version':0,'added':0,"
	    "'updated':0,'unchanged':0,'deleted':0,'durationMs':0}"));
	free(text);
	job_clear(&job);
	bson_destroy(doc);
}
END_TEST

START_TEST(bson_long_texts)
{
	char	   text[2 * MAX_ERROR_TEXT + 1];
	struct job job = { 0 };
	bson_t	   doc = BSON_INITIALIZER, part;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	BSON_APPEND_UTF8(&doc, "Command", text);
	/* Neither ours nor UTF-8. */
	BSON_APPEND_UTF8(&doc, "Host", "a\xff\xc3\xa6");
	BSON_APPEND_DOCUMENT_BEGIN(&doc, "Error", &part);
	BSON_APPEND_INT64(&part, "Status", 74);
	BSON_APPEND_UTF8(&part, "Text", text);
	bson_append_document_end(&doc, &part);
	job_from_bson(&job, &doc);
	ck_assert_uint_eq(strlen(job.command), MAX_JOB_WORD);
	ck_assert_str_eq(job.host, "a???");
	ck_assert_int_eq(job.error.status, STATUS_STORE);
	ck_assert_uint_eq(strlen(job.error.text), MAX_ERROR_TEXT - 1);
	bson_destroy(&doc);
	job_clear(&job);
}
END_TEST

/* No more than a store has; a long name is cut. */
START_TEST(bson_many_counts)
{
	char	   name[MAX_COLLECTION_NAME + 32];
	struct job job = { 0 };
	bson_t	   doc = BSON_INITIALIZER, all, one;
	int	   i;

	BSON_APPEND_DOCUMENT_BEGIN(&doc, "Collections", &all);
	for (i = 0; i < MAX_COLLECTIONS + 10; i++) {
		(void)snprintf(name, sizeof(name), "%0*d",
		    MAX_COLLECTION_NAME + 20, i);
		BSON_APPEND_DOCUMENT_BEGIN(&all, name, &one);
		bson_append_document_end(&all, &one);
	}
	bson_append_document_end(&doc, &all);
	job_from_bson(&job, &doc);
	ck_assert_uint_eq(job.n_counts, MAX_COLLECTIONS);
	ck_assert_uint_eq(strlen(job.counts[0].name), MAX_COLLECTION_NAME);
	bson_destroy(&doc);
	job_clear(&job);
}
END_TEST

/* A document with bytes that are others: whatever is read of it, there is no
 * harm, and it can be shown. */
START_TEST(bson_damaged)
{
	struct job job;
	uint32_t   chance = 1;
	uint8_t	  *data;
	bson_t	   doc, damaged;
	char	  *text;
	int	   round, i;

	fill(&job);
	job_to_bson(&job, &doc);
	job_clear(&job);
	data = xcalloc(1, doc.len);
	for (round = 0; round < 2000; round++) {
		memcpy(data, bson_get_data(&doc), doc.len);
		for (i = 0; i <= round % 8; i++) {
			chance = chance * 1664525 + 1013904223;
			/* The length at the start has been looked at. */
			data[4 + (chance >> 8) % (doc.len - 5)] =
			    (uint8_t)(chance >> 3);
		}
		ck_assert(bson_init_static(&damaged, data, doc.len));
		job_from_bson(&job, &damaged);
		text = dump(&job);
		free(text);
		job_clear(&job);
	}
	free(data);
	bson_destroy(&doc);
}
END_TEST

START_TEST(names)
{
	int i;

	for (i = 0; i < JOB_STATE__MAX; i++)
		ck_assert_int_eq(job_state_find(job_state_name(
		    (enum job_state)i)), i);
	ck_assert_int_eq(job_state_find("queued"), JOB_STATE__MAX);
	ck_assert_int_eq(job_state_find(""), JOB_STATE__MAX);
	for (i = 0; i < JOB_STAGE__MAX; i++)
		ck_assert_str_ne(job_stage_name((enum job_stage)i), "");
}
END_TEST

/* How a job ends. */
static const struct {
	enum status    status;
	enum job_state state;
} ends[] = {
	{ STATUS_OK, JOB_COMPLETED },
	{ STATUS_HELD, JOB_HELD },
	{ STATUS_ABORTED, JOB_ABORTED },
	{ STATUS_UNAVAILABLE, JOB_FAILED },
	{ STATUS_STORE, JOB_FAILED },
	{ STATUS_BUSY, JOB_FAILED },
	{ STATUS_INTERRUPTED + 15, JOB_FAILED },
};

START_TEST(end)
{
	struct error err = { ends[_i].status, "words \xff" };
	struct job   job = { 0 };

	job_init(&job, NULL, "run", 1);
	ck_assert_int_eq(job.state, JOB_QUEUED);
	ck_assert(job_is_active(&job));
	job_set_end(&job, &err, 77);
	ck_assert_int_eq(job.state, ends[_i].state);
	ck_assert(!job_is_active(&job));
	ck_assert_int_eq(job.ended_at_ms, 77);
	ck_assert_int_eq(job.error.status, ends[_i].status);
	ck_assert_str_eq(job.error.text, "words ?");
}
END_TEST

START_TEST(init)
{
	struct job job;
	char	   host[MAX_JOB_WORD + 1];

	fill(&job);
	job_init(&job, "id", "run", 1234);
	ck_assert_str_eq(job.id, "id");
	ck_assert_str_eq(job.command, "run");
	ck_assert_str_eq(job.program_version, NOMPD_VERSION);
	ck_assert_int_eq(gethostname(host, sizeof(host)), 0);
	ck_assert_str_eq(job.host, host);
	ck_assert_int_eq(job.process, getpid());
	ck_assert_int_eq(job.created_at_ms, 1234);
	ck_assert_ptr_null(job.counts);
	ck_assert(!job.is_lost && !job.has_result);
	ck_assert_int_eq(job.started_at_ms + job.renewed_at_ms +
	    job.ended_at_ms + job.abort_at_ms, 0);
}
END_TEST

/* It has its own counts, also when it had others before. */
START_TEST(copy)
{
	struct job one, other;

	fill(&one);
	fill(&other);
	other.n_counts = 1;
	job_copy(&other, &one);
	job_clear(&one);
	dump_is(&other, FULL);
	job_copy(&other, &one);
	dump_is(&other, NONE);
	job_clear(&other);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("job");
	TCase *tests = tcase_create("job");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, json);
	tcase_add_test(tests, bson_round_trip);
	tcase_add_test(tests, bson_members);
	tcase_add_loop_test(tests, bson_nothing, 0, LENGTH_OF(nothing));
	tcase_add_test(tests, bson_odd_counts);
	tcase_add_test(tests, bson_long_texts);
	tcase_add_test(tests, bson_many_counts);
	tcase_add_test(tests, bson_damaged);
	tcase_add_test(tests, names);
	tcase_add_loop_test(tests, end, 0, LENGTH_OF(ends));
	tcase_add_test(tests, init);
	tcase_add_test(tests, copy);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
