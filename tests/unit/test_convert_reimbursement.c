#include "convertlib.h"

static const char *const bare_authorizations[] = {
	PLAN(""),
	PLAN(",'extension':null,'basis':null,'articleNumbers':null"),
	PLAN(",'extension':{'url':'reimbursementRegulation',"
	     "'valueCodeableConcept':{}},'basis':'x','articleNumbers':'1',"
	     "'articleNumber':['1'],'productReference':[{'identifier':{"
	     "'system':'varenummer','value':'1'}}],'subject':'x'"),
	PLAN(",'extension':[{'url':'reimbursementRegulation',"
	     "'valueCodeableConcept':'x'},7],'basis':['x',null,[{'coding':["
	     "{}]}],{'coding':{}}],'articleNumbers':[1,null,'',{}],"
	     "'articleNumber':12,'subject':['x',null]"),
};

START_TEST(reimbursement_bare)
{
	reimbursement_is(bare_authorizations[_i], NULL,
	    "{'id':'K','legalBasis':null,'indications':[],'medicines':[]}");
}
END_TEST

#define CODING(code) "{'system':'s','code':'" code "','display':'d'}"

static const struct {
	const char *authorization, *member, *expected;
} reimbursements[] = {
	{ "{'articleNumber':'04','basis':[{'coding':[" CODING("1") "]}],"
	  "'extension':[{'valueCodeableConcept':{'text':'t','coding':["
	  CODING("2") "]},'url':'x/reimbursementregulation'}],"
	  "'identifier':[{'value':'K'}]}", NULL,
	    "'id':'K','legalBasis':{'coding':[" CODING("2") "],'text':'t'},"
	    "'indications':[{'coding':[" CODING("1") "],'text':null}],"
	    "'medicines':[" MEDICINE("04") "]" },

	{ PLAN(",'extension':[{'url':'reimbursementRegulation'},"
	    "{'url':'other','valueCodeableConcept':{'text':'o'}},"
	    "{'url':'http://x/ReimbursementRegulation/1',"
	    "'valueCodeableConcept':{}},"
	    "{'url':'reimbursementRegulation',"
	    "'valueCodeableConcept':{'text':'late'}}]"), "legalBasis",
	    "'legalBasis':{'coding':[],'text':null}" },

	/* One basis, or an array of them. */
	{ PLAN(",'basis':{'coding':[" CODING("1") ",'x'," CODING("2") "],"
	    "'text':'not this'}"), "indications",
	    "'indications':[{'coding':[" CODING("1") "],'text':null},"
	    "{'coding':[" CODING("2") "],'text':null}]" },
	{ PLAN(",'basis':[{'coding':[" CODING("1") "," CODING("2") "]},"
	    "{'text':'x'},null,{'coding':[" CODING("3") "]}]"), "indications",
	    "'indications':[{'coding':[" CODING("1") "],'text':null},"
	    "{'coding':[" CODING("2") "],'text':null},"
	    "{'coding':[" CODING("3") "],'text':null}]" },
};

START_TEST(reimbursement_member)
{
	char expected[2048];

	(void)snprintf(expected, sizeof(expected), "{%s}",
	    reimbursements[_i].expected);
	reimbursement_is(reimbursements[_i].authorization,
	    reimbursements[_i].member, expected);
}
END_TEST

#define EXTENSION(value) \
	",'extension':[{'url':'http://x/ARTICLEnumber','value" value "}]"
#define PRODUCT(value) \
	",'productReference':{'identifier':{'system':'x/Varenummer'," \
	"'value':" value "}}"

static const struct {
	const char *members;
	const char *numbers[8]; /* none: NULL */
} articles[] = {
	/* 1: the members */
	{ ",'articleNumbers':['007','1','007','','2',3,null,{}]",
	    { "007", "1", "007", "2" } },
	{ ",'ArticleNumbers':['b'],'articleNumbers':['a']", { "a" } },
	{ ",'ArticleNumbers':['b'],'articleNumbers':[]", { "b" } },
	{ ",'ArticleNumbers':['b'],'articleNumbers':'a'", { "b" } },
	{ ",'articleNumber':'a','articleNumbers':['b']", { "b" } },
	{ ",'articleNumber':'a','ArticleNumbers':['b']", { "b" } },
	{ ",'articleNumber':'a','ArticleNumber':'b'", { "a" } },
	{ ",'articleNumber':'','ArticleNumber':'b'", { "b" } },
	{ ",'articleNumber':'a','articleNumbers':['',5]", { "a" } },
	{ ",'articleNumber':'a'" EXTENSION("String':'b'"), { "a" } },
	{ ",'articleNumber':'b','articleNumbers':['a','']", { "a" } },
	{ ",'articlenumber':'a','ARTICLENUMBERS':['b']", { NULL } },
	/* 2: extensions */
	{ EXTENSION("String':'01'"), { "01" } },
	{ EXTENSION("Code':'02'"), { "02" } },
	{ EXTENSION("Identifier':{'value':'03'}"), { "03" } },
	{ EXTENSION("Coding':{'code':'04'}"), { "04" } },
	{ EXTENSION("Coding':{'value':'04'}"), { NULL } },
	{ EXTENSION("Integer':5"), { NULL } },
	{ EXTENSION("Code':'c','valueString':''"), { "c" } },
	{ EXTENSION("Code':'c','valueString':'s'"), { "s" } },
	{ ",'extension':[{'url':'articleNumber','valueString':'1'},"
	  "{'url':'other','valueString':'x'},{'valueString':'x'},"
	  "{'url':'articleNumber','valueString':''},"
	  "{'url':'articleNumbers','valueCode':'2'},"
	  "{'url':'articleNumber','valueString':'1'}]", { "1", "2", "1" } },
	{ ",'articleNumbers':['']" EXTENSION("String':'b'"), { "b" } },
	{ EXTENSION("String':'b'") PRODUCT("'c'"), { "b" } },
	{ ",'extension':[{'url':'articleNumber','valueCode':'b'},"
	  "{'url':'articleNumber'}]" PRODUCT("'c'"), { "b" } },
	/* 3: what the resource is about */
	{ EXTENSION("String':''") PRODUCT("'c'"), { "c" } },
	{ PRODUCT("''"), { NULL } },
	{ PRODUCT("12"), { NULL } },
	{ ",'productReference':{'identifier':{'system':'x','value':'1'}}",
	    { NULL } },
	{ ",'productReference':{'identifier':[{'system':'varenummer',"
	  "'value':'1'}]}", { NULL } },
	{ ",'productCodeableConcept':{'coding':[{'system':'VARENUMMER',"
	  "'code':'1'},{'system':'atc','code':'x'},null,{'code':'y'},"
	  "{'system':'varenummer','value':'z'},"
	  "{'system':'fest/varenummer','code':'2'}]}", { "1", "2" } },
	{ ",'subject':{'identifier':{'system':'varenummer','value':'1'}}",
	    { "1" } },
	{ ",'subject':[{'identifier':{'system':'varenummer','value':'1'}},"
	  "{'reference':'x'},'x',{'identifier':{'system':'y','value':'y'}},"
	  "{'identifier':{'system':'varenummer','value':'2'}}]",
	    { "1", "2" } },
	{ ",'subject':[{'identifier':{'system':'varenummer','value':'4'}}],"
	  "'productCodeableConcept':{'coding':[{'system':'varenummer',"
	  "'code':'3'}]}" PRODUCT("'2'"), { "2", "3", "4" } },
};

/* With a NUL behind it, which the next one replaces. */
static void
medicines_append(struct buf *out, const char *const *numbers)
{
	int i;

	for (i = 0; numbers[i] != NULL; i++) {
		text_append(out, i > 0 ? "," : "");
		text_append(out, "{'reference':null,"
		    "'type':'FEST/LegemiddelPakning','identifier':{"
		    "'system':'FEST/Varenummer','value':'");
		text_append(out, numbers[i]);
		text_append(out, "'},'display':null}");
	}
}

START_TEST(article_numbers)
{
	struct buf expected = { 0 };
	char	   authorization[2048], activity[2048];

	(void)snprintf(authorization, sizeof(authorization), PLAN("%s"),
	    articles[_i].members);
	text_append(&expected, "{'medicines':[");
	medicines_append(&expected, articles[_i].numbers);
	text_append(&expected, "]}");
	reimbursement_is(authorization, "medicines",
	    (const char *)expected.data);

	/* An ActivityDefinition has them in the same places. */
	(void)snprintf(activity, sizeof(activity),
	    "{'identifier':[{'value':'M'}]%s}", articles[_i].members);
	fixture.activities[ACTIVITIES] = test_bson(activity);
	expected.len = 0;
	text_append(&expected, "{'treatmentAlternatives':[{'rank':1,"
	    "'treatmentId':'M','name':null,'description':null,'medicines':[");
	medicines_append(&expected, articles[_i].numbers);
	text_append(&expected, "]}]}");
	treatment_is(PLAN(",'action':[{'definitionCanonical':'M'}]"),
	    "treatmentAlternatives", (const char *)expected.data);
	buf_clear(&expected);
}
END_TEST

static const struct {
	const char *member, *entry;
	int	    n;
} growing[] = {
	{ "articleNumbers", "'1'", 200000 },
	{ "extension", "{'url':'articleNumber','valueCode':'1'}", 200000 },
	{ "subject", "{'identifier':{'system':'varenummer','value':'1'}}",
	    200000 },
	{ "basis", "{'coding':[{},{},{},{}]}", 120000 },
};

START_TEST(growing_reimbursement)
{
	struct error err;
	bson_t	    *doc = resource_new("R-1", growing[_i].member,
	    growing[_i].entry, growing[_i].n);
	bson_t	     out;

	ck_assert_int_eq(convert_reimbursement_group(doc, &out, &err), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	ck_assert_ptr_nonnull(strstr(err.text, "ReimbursementGroup R-1: "));
	ck_assert_ptr_nonnull(strstr(err.text, " or more"));
	ck_assert_ptr_nonnull(strstr(err.text, "16777216"));
	bson_destroy(&out);
	bson_destroy(doc);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("reimbursement");
	TCase *tests = tcase_create("reimbursement");

	tcase_add_checked_fixture(tests, setup, teardown);
	/* Sanitizers and valgrind are slow. */
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, reimbursement_bare, 0,
	    LENGTH_OF(bare_authorizations));
	tcase_add_loop_test(tests, reimbursement_member, 0,
	    LENGTH_OF(reimbursements));
	tcase_add_loop_test(tests, article_numbers, 0, LENGTH_OF(articles));
	tcase_add_loop_test(tests, growing_reimbursement, 0,
	    LENGTH_OF(growing));
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
