#include "convertlib.h"

/* Every member is absent, or of a type that FHIR does not give it. */
static const char *const bare_plans[] = {
	PLAN(""),
	PLAN(",'name':null,'description':null,'extension':null,'type':null,"
	     "'useContext':null,'effectivePeriod':null,'lastReviewDate':null,"
	     "'goal':null,'action':null"),
	PLAN(",'name':1,'description':true,'extension':{'url':'diseaseGroup',"
	     "'valueString':'x'},'type':[{'text':'x'}],'useContext':{"
	     "'valueCodeableConcept':{'coding':[{'system':'" OID "'}]}},"
	     "'effectivePeriod':['2025'],'lastReviewDate':2025,"
	     "'goal':{'addresses':[{}]},'action':{'description':'x'}"),
	PLAN(",'name':['x'],'description':{'x':'y'},'extension':['x',1,null],"
	     "'type':'x','useContext':['x',null,[]],'effectivePeriod':'2025',"
	     "'lastReviewDate':{},'goal':[1,null,'x',[]],"
	     "'action':['x',null,7,[{}]]"),
};

START_TEST(treatment_bare)
{
	treatment_is(bare_plans[_i], NULL, "{'id':'K','name':null,"
	    "'description':null,'diseaseGroup':null,'jurisdictions':[],"
	    "'validityPeriod':null,'reviewDate':null,'indications':[],"
	    "'treatmentAlternatives':[]}");
}
END_TEST

START_TEST(treatment_whole)
{
	/* The upstream's order of members does not matter. */
	treatment_is("{'action':[{'description':'First','extension':["
	    "{'url':'http://x/rank','valueInteger':5}],"
	    "'definitionCanonical':'http://x/ActivityDefinition/A-1|3'}],"
	    "'goal':[{'addresses':[{'text':'Pain','coding':[{'display':'P',"
	    "'code':'R52','system':'urn:icd'}]}]}],"
	    "'lastReviewDate':'2025-04-10','effectivePeriod':{"
	    "'end':'2026-01-01','start':'2025-01-01T00:00:00+01:00'},"
	    "'useContext':[{'valueCodeableConcept':{'coding':[{"
	    "'system':'" OID "','code':'NO','display':'Norge'}]}}],"
	    "'extension':[{'valueString':'Neurology',"
	    "'url':'http://x/DiseaseGroup'}],'description':'D','name':'N',"
	    "'identifier':[{'value':'K'}],'resourceType':'PlanDefinition'}",
	    NULL,
	    "{'id':'K','name':'N','description':'D',"
	    "'diseaseGroup':'Neurology','jurisdictions':[{'system':'" OID "',"
	    "'code':'NO','display':'Norge'}],'validityPeriod':{"
	    "'start':'2025-01-01','end':'2026-01-01'},"
	    "'reviewDate':'2025-04-10','indications':[{'coding':[{"
	    "'system':'urn:icd','code':'R52','display':'P'}],'text':'Pain'}],"
	    "'treatmentAlternatives':[{'rank':5,'treatmentId':'A-1',"
	    "'name':'Paracet','description':'Against pain','medicines':["
	    MEDICINE("0012") "," MEDICINE("34") "]}]}");
}
END_TEST

#define GROUP(extensions, rest) ",'extension':[" extensions "]" rest
#define TYPE_TEXT		",'type':{'text':'T'}"

static const struct {
	const char *plan, *member, *expected;
} treatments[] = {
	{ PLAN(",'name':''"), "name", "''" },
	{ PLAN(",'name':'a\\u0000\\nb'"), "name", "'a\\u0000\\nb'" },
	{ PLAN(",'description':''"), "description", "''" },

	/* diseaseGroup: the extension ... */
	{ PLAN(GROUP("{'url':'a/diseasegroup/b','valueString':'X'}",
	    TYPE_TEXT)), "diseaseGroup", "'X'" },
	{ PLAN(GROUP("{'url':'DISEASEGROUP','valueCode':'c'},"
	    "{'url':'other','valueString':'o'},"
	    "{'url':'diseaseGroup','valueString':'Y'},"
	    "{'url':'diseaseGroup','valueString':'Z'}", "")),
	    "diseaseGroup", "'Y'" },
	{ PLAN(GROUP("{'url':'diseaseGroup','valueString':''},"
	    "{'url':'diseaseGroup','valueString':'Y'}", "")),
	    "diseaseGroup", "'Y'" },
	{ PLAN(GROUP("{'url':'diseaseGroup','valueString':''}", TYPE_TEXT)),
	    "diseaseGroup", "'T'" },
	{ PLAN(GROUP("{'url':'diseaseGroup','valueString':5}", TYPE_TEXT)),
	    "diseaseGroup", "'T'" },
	{ PLAN(GROUP("{'url':5,'valueString':'X'},"
	    "{'valueString':'X'}", TYPE_TEXT)), "diseaseGroup", "'T'" },
	/* ... type.text ... */
	{ PLAN(",'type':{'coding':[{'display':'D'}],'text':'T'}"),
	    "diseaseGroup", "'T'" },
	/* ... type.coding[0].display */
	{ PLAN(",'type':{'coding':[{'display':'D'},{'display':'E'}]}"),
	    "diseaseGroup", "'D'" },
	{ PLAN(",'type':{'text':'','coding':[{'display':'D'}]}"),
	    "diseaseGroup", "'D'" },
	{ PLAN(",'type':{'text':7,'coding':[{'display':'D'}]}"),
	    "diseaseGroup", "'D'" },
	{ PLAN(",'type':{'coding':[null,{'display':'D'}]}"),
	    "diseaseGroup", "'D'" },
	{ PLAN(",'type':{'coding':[{},{'display':'E'}]}"),
	    "diseaseGroup", "null" },
	{ PLAN(",'type':{'text':'','coding':[{'display':''}]}"),
	    "diseaseGroup", "null" },
	{ PLAN(",'type':{'coding':{'display':'D'}}"),
	    "diseaseGroup", "null" },

	{ PLAN(",'useContext':[{'valueCodeableConcept':{'coding':["
	    "{'system':'" OID "','code':'1'},{'system':'other','code':'2'},"
	    "'x',{'code':'3'},{'system':'" OID "','code':4,'display':'d'}]}},"
	    "{'valueCodeableConcept':[{'coding':[{'system':'" OID "'}]}]},"
	    "{'valueQuantity':{}},null,"
	    "{'valueCodeableConcept':{'coding':[{'system':'" OID "'}]}}]"),
	    "jurisdictions",
	    "[{'system':'" OID "','code':'1','display':null},"
	    "{'system':'" OID "','code':null,'display':'d'},"
	    "{'system':'" OID "','code':null,'display':null}]" },
	{ PLAN(",'useContext':[{'valueCodeableConcept':{'coding':["
	    "{'system':'" OID ".1'},{'system':'URN:OID:2.16.578.1.12.4.1.102'"
	    "},{'system':'x" OID "'}]}}]"), "jurisdictions", "[]" },

	{ PLAN(",'effectivePeriod':{}"), "validityPeriod",
	    "{'start':null,'end':null}" },
	{ PLAN(",'effectivePeriod':{'start':'2025-02','end':''}"),
	    "validityPeriod", "{'start':'2025-02','end':''}" },
	{ PLAN(",'effectivePeriod':{'start':20250101,"
	    "'end':'2025-12-31T23:59:59.999Z'}"), "validityPeriod",
	    "{'start':null,'end':'2025-12-31'}" },
	{ PLAN(",'lastReviewDate':'2025-04-10T08:00:00Z'"), "reviewDate",
	    "'2025-04-10'" },
	{ PLAN(",'lastReviewDate':'2025'"), "reviewDate", "'2025'" },
	{ PLAN(",'lastReviewDate':''"), "reviewDate", "''" },

	{ PLAN(",'goal':[{'addresses':[{'text':'a'},'x',{'coding':[]}]},"
	    "{'addresses':[]},{},{'addresses':{'text':'no'}},7,"
	    "{'addresses':[{'coding':[{'code':'c'},null,{}],'text':''}]},"
	    "{'addresses':[{'coding':{'code':'c'},'text':5}]}]"),
	    "indications",
	    "[{'coding':[],'text':'a'},{'coding':[],'text':null},"
	    "{'coding':[{'system':null,'code':'c','display':null},"
	    "{'system':null,'code':null,'display':null}],'text':''},"
	    "{'coding':[],'text':null}]" },
};

START_TEST(treatment_member)
{
	char expected[2048];

	(void)snprintf(expected, sizeof(expected), "{'%s':%s}",
	    treatments[_i].member, treatments[_i].expected);
	treatment_is(treatments[_i].plan, treatments[_i].member, expected);
}
END_TEST

#define NONE(rank, id, name) \
	"{'rank':" rank ",'treatmentId':" id ",'name':" name "," \
	"'description':null,'medicines':[]}"

static const struct {
	const char *actions, *expected;
	uint64_t    unresolved;
} alternatives[] = {
	/* The reference: whole, bare, last segment, its bare form. */
	{ "{'definitionCanonical':'http://x/AD/9|2'}",
	    NONE("1", "'http://x/AD/9|2'", "'Whole'"), 0 },
	{ "{'definitionCanonical':'http://x/AD/9|3'}",
	    NONE("1", "'http://x/AD/9'", "'Bare'"), 0 },
	{ "{'definitionCanonical':'http://x/AD/9'}",
	    NONE("1", "'http://x/AD/9'", "'Bare'"), 0 },
	{ "{'definitionCanonical':'http://y/AD/9|2'}",
	    NONE("1", "'9|2'", "'Segment'"), 0 },
	{ "{'definitionCanonical':'9|2'}",
	    NONE("1", "'9|2'", "'Segment'"), 0 },
	{ "{'definitionCanonical':'http://y/AD/2|1|9'}",
	    NONE("1", "'2'", "'No version'"), 0 },
	{ "{'definitionCanonical':'2'}",
	    NONE("1", "'2'", "'No version'"), 0 },
	{ "{'definitionCanonical':'http://y/AD/2/'}",
	    NONE("1", "'2'", "'No version'"), 0 },
	{ "{'definitionCanonical':'http://y/AD/2/|7'}",
	    NONE("1", "'2'", "'No version'"), 0 },
	{ "{'definitionCanonical':'http://y/AD/9|2/'}",
	    NONE("1", "'9|2'", "'Segment'"), 0 },
	/* A slash in the version starts no segment. */
	{ "{'definitionCanonical':'http://y/AD/8|1/2'}",
	    NONE("1", "'http://y/AD/8|1/2'", "null"), 1 },
	{ "{'definitionCanonical':'http://y/AD/2//'}",
	    NONE("1", "'http://y/AD/2//'", "null"), 1 },
	{ "{'definitionCanonical':'/'}", NONE("1", "'/'", "null"), 1 },
	{ "{'definitionCanonical':'|2'}", NONE("1", "'|2'", "null"), 1 },
	/* Keys have a case. */
	{ "{'definitionCanonical':'http://x/a-1','description':'d'}",
	    NONE("1", "'http://x/a-1'", "'d'"), 1 },

	/* No reference at all. */
	{ "{}", NONE("1", "null", "null"), 0 },
	{ "{'definitionCanonical':'','description':'d'}",
	    NONE("1", "null", "'d'"), 0 },
	{ "{'definitionCanonical':5,'description':5}",
	    NONE("1", "null", "null"), 0 },
	{ "{'definitionCanonical':['2'],'description':''}",
	    NONE("1", "null", "null"), 0 },

	/* A name or description that is not there, or empty. */
	{ "{'definitionCanonical':'E','description':'d'}",
	    "{'rank':1,'treatmentId':'E','name':'d','description':'',"
	    "'medicines':[]}", 0 },
	{ "{'definitionCanonical':'E','description':''}",
	    "{'rank':1,'treatmentId':'E','name':null,'description':'',"
	    "'medicines':[]}", 0 },
	{ "{'definitionCanonical':'N','description':'d'}",
	    NONE("1", "'N'", "'d'"), 0 },
	{ "{'definitionCanonical':'A-1','description':'not this'}",
	    "{'rank':1,'treatmentId':'A-1','name':'Paracet',"
	    "'description':'Against pain','medicines':[" MEDICINE("0012") ","
	    MEDICINE("34") "]}", 0 },

	/* Order, positions, entries of another type, nested actions. */
	{ "{'description':'a'},{'description':'b','action':[{}]},"
	    "{'definitionCanonical':'q'},{'definitionCanonical':'q'}",
	    NONE("1", "null", "'a'") "," NONE("2", "null", "'b'") ","
	    NONE("3", "'q'", "null") "," NONE("4", "'q'", "null"), 2 },
	{ "'x',{'description':'a'},null,{'description':'b'}",
	    NONE("1", "null", "'a'") "," NONE("2", "null", "'b'"), 0 },
};

START_TEST(treatment_alternatives)
{
	char	 plan[2048], expected[4096], *json;
	uint64_t unresolved = 40;

	(void)snprintf(plan, sizeof(plan), PLAN(",'action':[%s]"),
	    alternatives[_i].actions);
	(void)snprintf(expected, sizeof(expected),
	    "{'treatmentAlternatives':[%s]}", alternatives[_i].expected);
	json = treatment(plan, "treatmentAlternatives", &unresolved);
	ck_assert_str_eq(json, expected);
	ck_assert_uint_eq(unresolved, 40 + alternatives[_i].unresolved);
	free(json);
}
END_TEST

#define RANK(value) "{'url':'x/Rank','value" value "}"

static const struct {
	const char *extensions, *rank;
} ranks[] = {
	{ "", "2" },
	{ RANK("Integer':9"), "9" },
	{ RANK("PositiveInt':9"), "9" },
	{ RANK("UnsignedInt':0"), "0" },
	{ RANK("String':'007'"), "7" },
	{ RANK("Decimal':{'$numberDecimal':'3.00'}"), "3" },
	{ RANK("Integer':-1"), "-1" },
	{ RANK("Integer':2147483647"), "2147483647" },
	{ RANK("Integer':2147483648"), "2" },
	{ RANK("String':'2147483648'"), "2" },
	{ RANK("Decimal':{'$numberDecimal':'1E+10'}"), "2" },
	{ RANK("Decimal':{'$numberDecimal':'1.5'}"), "2" },
	{ RANK("Code':'3'"), "2" },
	{ RANK("String':'first'"), "2" },
	{ "{'url':'position','valueInteger':9}", "2" },
	{ "{'valueInteger':9},null,'rank'", "2" },
	{ RANK("Integer':8") "," RANK("Integer':9"), "8" },
	/* An extension without a usable value is passed over. */
	{ RANK("String':'first'") "," RANK("Integer':9"), "9" },
	{ RANK("Integer':2147483648") "," RANK("Integer':9"), "9" },
	{ "{'url':'other','valueInteger':8}," RANK("Integer':9"), "9" },
};

START_TEST(treatment_rank)
{
	char plan[1024], expected[1024];

	(void)snprintf(plan, sizeof(plan),
	    PLAN(",'action':[{},{'extension':[%s]}]"), ranks[_i].extensions);
	(void)snprintf(expected, sizeof(expected),
	    "{'treatmentAlternatives':[" NONE("1", "null", "null")
	    ",{'rank':%s,'treatmentId':null,'name':null,"
	    "'description':null,'medicines':[]}]}", ranks[_i].rank);
	treatment_is(plan, "treatmentAlternatives", expected);
}
END_TEST

START_TEST(rank_is_int32)
{
	struct error err;
	uint64_t     unresolved = 0;
	bson_t	    *doc = test_bson(PLAN(",'action':[{'extension':[{"
	    "'url':'rank','valueInteger':{'$numberLong':'4'}}]}]"));
	bson_t	     out;
	bson_iter_t  iter, rank;

	ck_assert_int_eq(convert_treatment_group(doc, &activities, &out,
	    &unresolved, &err), 0);
	ck_assert(bson_iter_init(&iter, &out));
	ck_assert(bson_iter_find_descendant(&iter,
	    "treatmentAlternatives.0.rank", &rank));
	ck_assert(BSON_ITER_HOLDS_INT32(&rank));
	bson_destroy(&out);
	bson_destroy(doc);
}
END_TEST

START_TEST(lookups_in_order)
{
	uint64_t unresolved = 0;

	free(treatment(PLAN(",'action':[{'definitionCanonical':"
	    "'http://y/AD/7|1'}]"), NULL, &unresolved));
	ck_assert_str_eq(fixture.asked,
	    "http://y/AD/7|1 http://y/AD/7 7|1 7 ");
	/* None is asked twice. */
	fixture.asked[0] = '\0';
	free(treatment(PLAN(",'action':[{'definitionCanonical':'q'}]"), NULL,
	    &unresolved));
	ck_assert_str_eq(fixture.asked, "q ");
	fixture.asked[0] = '\0';
	free(treatment(PLAN(",'action':[{'definitionCanonical':'y/q/'}]"),
	    NULL, &unresolved));
	ck_assert_str_eq(fixture.asked, "y/q/ q ");
	ck_assert_uint_eq(unresolved, 3);
}
END_TEST

START_TEST(unresolved_warning)
{
	struct capture capture;
	struct error   err;
	uint64_t       unresolved = 0;
	bson_t	      *doc = test_bson("{'identifier':[{'value':'Plan-77'}],"
	    "'action':[{},{'definitionCanonical':'http://x/AD/gone|1'},"
	    "{'definitionCanonical':'A-1'}]}");
	bson_t	       out;
	char	      *text;

	capture_begin(&capture);
	ck_assert_int_eq(convert_treatment_group(doc, &activities, &out,
	    &unresolved, &err), 0);
	text = capture_end(&capture);
	ck_assert_ptr_nonnull(strstr(text, "Plan-77"));
	ck_assert_ptr_nonnull(strstr(text, "http://x/AD/gone|1"));
	ck_assert_ptr_null(strstr(text, "A-1"));
	ck_assert_uint_eq(unresolved, 1);
	free(text);
	bson_destroy(&out);
	bson_destroy(doc);
}
END_TEST

START_TEST(lookup_fails)
{
	struct error err;
	uint64_t     unresolved = 0;
	bson_t	    *doc = test_bson(PLAN(",'action':["
	    "{'definitionCanonical':'A-1|2'}]"));
	bson_t	     out;

	fixture.is_failing = true;
	ck_assert_int_eq(convert_treatment_group(doc, &activities, &out,
	    &unresolved, &err), -1);
	ck_assert_int_eq(fixture.finds, 1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_str_eq(err.text, "TreatmentGroup K: the stage is gone");
	ck_assert_uint_eq(unresolved, 0);
	bson_destroy(&out);
	bson_destroy(doc);
}
END_TEST

START_TEST(no_identifier)
{
	struct error err;
	uint64_t     unresolved = 0;
	bson_t	    *doc = test_bson("{'name':'x'}"), out;

	ck_assert_int_eq(convert_treatment_group(doc, &activities, &out,
	    &unresolved, &err), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	bson_destroy(&out);
	ck_assert_int_eq(convert_reimbursement_group(doc, &out, &err), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	bson_destroy(&out);
	bson_destroy(doc);
}
END_TEST

/* A PlanDefinition with a name of len bytes; the caller destroys it. */
static bson_t *
plan_with_name(size_t len)
{
	bson_t *doc = test_bson(PLAN(""));
	char   *name = xcalloc(1, len + 1);

	memset(name, 'n', len);
	bson_append_utf8(doc, "name", -1, name, (int)len);
	free(name);
	return doc;
}

START_TEST(size_limit)
{
	struct error err;
	uint64_t     unresolved = 0;
	bson_t	    *doc = plan_with_name(0), out;
	size_t	     room;

	ck_assert_int_eq(convert_treatment_group(doc, &activities, &out,
	    &unresolved, &err), 0);
	room = MAX_RECORD_BYTES - record_bytes(1, out.len);
	bson_destroy(&out);
	bson_destroy(doc);

	doc = plan_with_name(room);
	ck_assert_int_eq(convert_treatment_group(doc, &activities, &out,
	    &unresolved, &err), 0);
	ck_assert_uint_eq(record_bytes(1, out.len), MAX_RECORD_BYTES);
	bson_destroy(&out);
	bson_destroy(doc);

	doc = plan_with_name(room + 1);
	ck_assert_int_eq(convert_treatment_group(doc, &activities, &out,
	    &unresolved, &err), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	ck_assert_str_eq(err.text, "TreatmentGroup K: its record would take"
	    " 16777217 bytes, a record may take 16777216");
	bson_destroy(&out);
	bson_destroy(doc);
}
END_TEST

START_TEST(growing_treatment)
{
	struct error err;
	uint64_t     unresolved = 0;
	bson_t	    *doc = resource_new("P-1", "action",
	    "{'definitionCanonical':'BIG'}", 20000);
	bson_t	     out;

	/* 20,000 times 20,000 medicines, would it not stop early. */
	fixture.activities[ACTIVITIES] = resource_new("BIG",
	    "articleNumbers", "'1'", 20000);
	ck_assert_int_eq(convert_treatment_group(doc, &activities, &out,
	    &unresolved, &err), -1);
	ck_assert_int_lt(fixture.finds, 10);
	ck_assert_ptr_nonnull(strstr(err.text, "TreatmentGroup P-1: "));
	ck_assert_ptr_nonnull(strstr(err.text, " or more"));
	bson_destroy(&out);
	bson_destroy(doc);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("treatment");
	TCase *tests = tcase_create("treatment");

	tcase_add_checked_fixture(tests, setup, teardown);
	/* Sanitizers and valgrind are slow. */
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, treatment_bare, 0, LENGTH_OF(bare_plans));
	tcase_add_test(tests, treatment_whole);
	tcase_add_loop_test(tests, treatment_member, 0, LENGTH_OF(treatments));
	tcase_add_loop_test(tests, treatment_alternatives, 0,
	    LENGTH_OF(alternatives));
	tcase_add_loop_test(tests, treatment_rank, 0, LENGTH_OF(ranks));
	tcase_add_test(tests, rank_is_int32);
	tcase_add_test(tests, lookups_in_order);
	tcase_add_test(tests, unresolved_warning);
	tcase_add_test(tests, lookup_fails);
	tcase_add_test(tests, no_identifier);
	tcase_add_test(tests, size_limit);
	tcase_add_test(tests, growing_treatment);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
