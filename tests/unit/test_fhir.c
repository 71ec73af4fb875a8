#include "bson_member.h"
#include "fhir.h"
#include "testlib.h"

#define ABSENT NULL

static void
text_is(struct fhir_text text, const char *expected)
{
	if (expected == ABSENT) {
		ck_assert_ptr_null(text.text);
		ck_assert_uint_eq(text.len, 0);
		return;
	}
	ck_assert_ptr_nonnull(text.text);
	ck_assert_uint_eq(text.len, strlen(expected));
	ck_assert_mem_eq(text.text, expected, text.len);
}

static const struct {
	const char *resource, *key;
} keys[] = {
	{ "{'identifier':[{'value':'A-1'}]}", "A-1" },
	{ "{'identifier':[{'system':'urn:x','value':'A'},{'value':'B'}]}",
	    "A" },
	{ "{'x':1,'identifier':[{'value':' '}]}", " " },
	{ "{}", ABSENT },
	{ "{'identifier':null}", ABSENT },
	{ "{'identifier':'A-1'}", ABSENT },
	{ "{'identifier':{'value':'A-1'}}", ABSENT },
	{ "{'identifier':{'0':{'value':'A-1'}}}", ABSENT },
	{ "{'identifier':[]}", ABSENT },
	{ "{'identifier':[{}]}", ABSENT },
	{ "{'identifier':[{'value':''}]}", ABSENT },
	{ "{'identifier':[{'value':7}]}", ABSENT },
	{ "{'identifier':[{'value':null}]}", ABSENT },
	{ "{'identifier':[{'value':['A']}]}", ABSENT },
	{ "{'identifier':[{},{'value':'B'}]}", ABSENT },
	{ "{'identifier':['A',{'value':'B'}]}", ABSENT },
	{ "{'identifier':[null,{'value':'B'}]}", ABSENT },
	{ "{'identifier':[[{'value':'A'}]]}", ABSENT },
	{ "{'identifier':[{'Value':'A'}]}", ABSENT },
};

START_TEST(business_key)
{
	bson_t *doc = test_bson(keys[_i].resource);

	text_is(fhir_business_key(doc), keys[_i].key);
	bson_destroy(doc);
}
END_TEST

START_TEST(business_key_with_nul)
{
	bson_t		 doc = BSON_INITIALIZER, list, entry;
	struct fhir_text key;

	bson_append_array_begin(&doc, "identifier", -1, &list);
	bson_append_document_begin(&list, "0", -1, &entry);
	bson_append_utf8(&entry, "value", -1, "a\0b", 3);
	bson_append_document_end(&list, &entry);
	bson_append_array_end(&doc, &list);
	key = fhir_business_key(&doc);
	ck_assert_uint_eq(key.len, 3);
	ck_assert_mem_eq(key.text, "a\0b", 3);
	bson_destroy(&doc);
}
END_TEST

START_TEST(resource_type)
{
	bson_t *plan = test_bson("{'id':'1','resourceType':'PlanDefinition'}");
	bson_t *none = test_bson("{'resourceType':['PlanDefinition']}");

	text_is(fhir_resource_type(plan), "PlanDefinition");
	text_is(fhir_resource_type(none), ABSENT);
	bson_destroy(plan);
	bson_destroy(none);
}
END_TEST

START_TEST(members_by_type)
{
	bson_t *doc = test_bson("{'t':'x','o':{'i':'y'},'a':['z'],'e':''}");
	struct fhir_node root = fhir_root(doc), absent = { 0 };

	text_is(fhir_text_get(root, "t"), "x");
	text_is(fhir_text_get(root, "e"), "");
	text_is(fhir_text_get(root, "o"), ABSENT);
	text_is(fhir_text_get(root, "a"), ABSENT);
	text_is(fhir_text_get(root, "none"), ABSENT);
	text_is(fhir_text_get(absent, "t"), ABSENT);
	text_is(fhir_text_get(fhir_object_get(root, "o"), "i"), "y");
	ck_assert_ptr_null(fhir_object_get(root, "a").data);
	ck_assert_ptr_null(fhir_object_get(root, "t").data);
	ck_assert_ptr_nonnull(fhir_array_get(root, "a").data);
	ck_assert_ptr_null(fhir_array_get(root, "o").data);
	bson_destroy(doc);
}
END_TEST

START_TEST(walks)
{
	bson_t *doc = test_bson("{'a':[1,{'n':'1'},'x',null,{'n':'2'},'',[]]}");
	struct fhir_node array = fhir_array_get(fhir_root(doc), "a"), object;
	struct fhir_text text;
	struct bson_members walk;

	fhir_walk(&walk, array);
	ck_assert(fhir_next_object(&walk, &object));
	text_is(fhir_text_get(object, "n"), "1");
	ck_assert(fhir_next_object(&walk, &object));
	text_is(fhir_text_get(object, "n"), "2");
	ck_assert(!fhir_next_object(&walk, &object));

	fhir_walk(&walk, array);
	ck_assert(fhir_next_text(&walk, &text));
	text_is(text, "x");
	ck_assert(fhir_next_text(&walk, &text));
	text_is(text, "");
	ck_assert(!fhir_next_text(&walk, &text));

	fhir_walk(&walk, (struct fhir_node){ 0 });
	ck_assert(!fhir_next_object(&walk, &object));
	bson_destroy(doc);
}
END_TEST

START_TEST(extensions_by_url)
{
	bson_t *doc = test_bson("{'e':[{'n':'none'},{'url':5},{'url':'a/b'},"
	    "'http://x/RANK',{'url':'http://x/RANK#1','n':'1'},"
	    "{'n':'2','url':'rank'},{'url':'ran'}]}");
	struct fhir_node extension;
	struct bson_members walk;

	fhir_walk(&walk, fhir_array_get(fhir_root(doc), "e"));
	ck_assert(fhir_next_extension(&walk, "rank", &extension));
	text_is(fhir_text_get(extension, "n"), "1");
	ck_assert(fhir_next_extension(&walk, "Rank", &extension));
	text_is(fhir_text_get(extension, "n"), "2");
	ck_assert(!fhir_next_extension(&walk, "rank", &extension));
	bson_destroy(doc);
}
END_TEST

#define NO_INTEGER INT64_MIN
#define DECIMAL(digits) "{'valueDecimal':{'$numberDecimal':'" digits "'}}"

static const struct {
	const char *extension;
	int64_t	    value;
} integers[] = {
	{ "{'valueInteger':3}", 3 },
	{ "{'valueInteger':0}", 0 },
	{ "{'valueInteger':-7}", -7 },
	{ "{'valueInteger':2147483647}", INT32_MAX },
	{ "{'valueInteger':-2147483648}", INT32_MIN },
	{ "{'valueInteger':{'$numberLong':'5'}}", 5 },
	{ "{'valueInteger':2147483648}", NO_INTEGER },
	{ "{'valueInteger':-2147483649}", NO_INTEGER },
	{ "{'valueInteger':9223372036854775807}", NO_INTEGER },
	{ "{'valueInteger':'3'}", NO_INTEGER },
	{ "{'valueInteger':true}", NO_INTEGER },
	{ "{'valueInteger':null}", NO_INTEGER },
	{ "{'valueInteger':{'$numberDecimal':'3'}}", NO_INTEGER },
	{ "{'valuePositiveInt':4}", 4 },
	{ "{'valuePositiveInt':2147483648}", NO_INTEGER },
	{ "{'valueUnsignedInt':0}", 0 },
	{ "{'valueUnsignedInt':'0'}", NO_INTEGER },
	{ "{'valueDecimal':6}", 6 },
	{ "{'valueDecimal':2147483648}", NO_INTEGER },
	{ DECIMAL("2.0"), 2 },
	{ DECIMAL("2.000000"), 2 },
	{ DECIMAL("120.00"), 120 },
	{ DECIMAL("2.5"), NO_INTEGER },
	{ DECIMAL("2.50"), NO_INTEGER },
	{ DECIMAL("0.1"), NO_INTEGER },
	{ DECIMAL("0.00"), 0 },
	{ DECIMAL("-0.0"), 0 },
	{ DECIMAL("0E+6111"), 0 },
	{ DECIMAL("0E-6176"), 0 },
	{ DECIMAL("1E+1"), 10 },
	{ DECIMAL("1.25E+2"), 125 },
	{ DECIMAL("1.250E+2"), 125 },
	{ DECIMAL("1.255E+2"), NO_INTEGER },
	{ DECIMAL("1E-1"), NO_INTEGER },
	{ DECIMAL("10E-1"), 1 },
	{ DECIMAL("1E+9"), 1000000000 },
	{ DECIMAL("1E+10"), NO_INTEGER },
	{ DECIMAL("1E+6111"), NO_INTEGER },
	{ DECIMAL("1E-6176"), NO_INTEGER },
	{ DECIMAL("2147483647.0"), INT32_MAX },
	{ DECIMAL("2147483648.0"), NO_INTEGER },
	{ DECIMAL("-2147483648.0"), INT32_MIN },
	{ DECIMAL("-2147483649.0"), NO_INTEGER },
	{ DECIMAL("-2147483648E+1"), NO_INTEGER },
	{ DECIMAL("-21474836480"), NO_INTEGER },
	{ DECIMAL("9999999999999999999999999999999999"), NO_INTEGER },
	{ DECIMAL("Infinity"), NO_INTEGER },
	{ DECIMAL("-Infinity"), NO_INTEGER },
	{ DECIMAL("NaN"), NO_INTEGER },
	{ "{'valueDecimal':'2'}", NO_INTEGER },
	{ "{'valueString':'12'}", 12 },
	{ "{'valueString':'007'}", 7 },
	{ "{'valueString':'00000000000000000000000000000000001'}", 1 },
	{ "{'valueString':'2147483647'}", INT32_MAX },
	{ "{'valueString':'2147483648'}", NO_INTEGER },
	{ "{'valueString':'99999999999999999999999999'}", NO_INTEGER },
	{ "{'valueString':''}", NO_INTEGER },
	{ "{'valueString':'-3'}", NO_INTEGER },
	{ "{'valueString':'+3'}", NO_INTEGER },
	{ "{'valueString':' 3'}", NO_INTEGER },
	{ "{'valueString':'3 '}", NO_INTEGER },
	{ "{'valueString':'3.0'}", NO_INTEGER },
	{ "{'valueString':'٣'}", NO_INTEGER },
	{ "{'valueString':'3\\u0000'}", NO_INTEGER },
	{ "{'valueString':3}", NO_INTEGER },
	{ "{'valueCode':'3'}", NO_INTEGER },
	{ "{'valueInteger':'x','valueString':'8'}", 8 },
	{ "{}", NO_INTEGER },
};

START_TEST(extension_integer)
{
	bson_t *doc = test_bson(integers[_i].extension);
	int32_t value = 42;
	bool	has_integer;

	has_integer = fhir_extension_integer(fhir_root(doc), &value);
	ck_assert_msg(has_integer == (integers[_i].value != NO_INTEGER),
	    "%s", integers[_i].extension);
	if (has_integer)
		ck_assert_int_eq(value, integers[_i].value);
	bson_destroy(doc);
}
END_TEST

static struct fhir_text
text_from(const char *text)
{
	return (struct fhir_text){ text, strlen(text) };
}

START_TEST(contains)
{
	ck_assert(fhir_text_contains(text_from("http://x/DISEASEgroup/1"),
	    "diseaseGroup"));
	ck_assert(fhir_text_contains(text_from("rank"), "rank"));
	ck_assert(fhir_text_contains(text_from("rarank"), "rank"));
	ck_assert(fhir_text_contains((struct fhir_text){ "a\0rank", 6 },
	    "rank"));
	ck_assert(!fhir_text_contains(text_from("ran"), "rank"));
	ck_assert(!fhir_text_contains((struct fhir_text){ "rank", 3 },
	    "rank"));
	ck_assert(!fhir_text_contains(text_from(""), "rank"));
	ck_assert(!fhir_text_contains((struct fhir_text){ 0 }, "rank"));
	/* Only ASCII letters have a case: 0x4b with bit 5 is no letter. */
	ck_assert(!fhir_text_contains(text_from("ran\x0b"), "ran+"));
	ck_assert(!fhir_text_contains(text_from("[x"), "{x"));
}
END_TEST

static const struct {
	const char *text, *date;
} dates[] = {
	{ "2025-04-10T08:30:00Z", "2025-04-10" },
	{ "2025-04-10T23:59:59.999+02:00", "2025-04-10" },
	{ "2025-04-10", "2025-04-10" },
	{ "2025-04", "2025-04" },
	{ "2025", "2025" },
	{ "", "" },
	{ "in the spring of 2025", "in the spring of 2025" },
	{ "2025/04/10T08:30:00Z", "2025/04/10T08:30:00Z" },
};

START_TEST(date_part)
{
	text_is(fhir_text_date(text_from(dates[_i].text)), dates[_i].date);
	text_is(fhir_text_date((struct fhir_text){ 0 }), ABSENT);
}
END_TEST

START_TEST(unsound_bson)
{
	/* The text claims more bytes than there are. */
	static const uint8_t data[] = { 17, 0, 0, 0, 0x02, 'u', 'r', 'l', 0,
		99, 0, 0, 0, 'x', 0, 0, 0 };
	struct fhir_node node = { data, sizeof(data) };

	text_is(fhir_text_get(node, "url"), ABSENT);
	node.len--;
	text_is(fhir_text_get(node, "url"), ABSENT);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fhir");
	TCase *tests = tcase_create("fhir");

	tcase_add_loop_test(tests, business_key, 0, LENGTH_OF(keys));
	tcase_add_test(tests, business_key_with_nul);
	tcase_add_test(tests, resource_type);
	tcase_add_test(tests, members_by_type);
	tcase_add_test(tests, walks);
	tcase_add_test(tests, extensions_by_url);
	tcase_add_loop_test(tests, extension_integer, 0, LENGTH_OF(integers));
	tcase_add_test(tests, contains);
	tcase_add_loop_test(tests, date_part, 0, LENGTH_OF(dates));
	tcase_add_test(tests, unsound_bson);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
