#include "limit.h"
#include "testlib.h"

static const struct {
	const char *json, *expected;
} round_trips[] = {
	{ "{}", "{}" },
	{ "{'a':1,'b':[],'c':{},'d':[{}],'e':[1,[2,'x']]}",
	    "{'a':1,'b':[],'c':{},'d':[{}],'e':[1,[2,'x']]}" },
	{ "{'z':1,'a':2}", "{'z':1,'a':2}" },
	{ "{'a':true,'b':false,'c':null}", "{'a':true,'b':false,'c':null}" },
	{ "{'a':0,'b':-1,'c':2147483647,'d':-2147483648}",
	    "{'a':0,'b':-1,'c':2147483647,'d':-2147483648}" },
	{ "{'a':9223372036854775807,'b':2147483648}",
	    "{'a':9223372036854775807,'b':2147483648}" },
	{ "{'a':{'$numberLong':'-9223372036854775808'}}",
	    "{'a':-9223372036854775808}" },
	{ "{'a':{'$numberDecimal':'1.50'}}", "{'a':1.50}" },
	{ "{'a':{'$numberDecimal':'-0.000'}}", "{'a':-0.000}" },
	{ "{'a':{'$numberDecimal':'1E+10'}}", "{'a':1E+10}" },
	{ "{'a':{'$numberDecimal':'1.234567890123456789012345678901234'}}",
	    "{'a':1.234567890123456789012345678901234}" },
	{ "{'d':{'$date':{'$numberLong':'0'}}}",
	    "{'d':'1970-01-01T00:00:00.000Z'}" },
	{ "{'d':{'$date':{'$numberLong':'1744273800123'}}}",
	    "{'d':'2025-04-10T08:30:00.123Z'}" },
	{ "{'æ/ø':'å/€/😀'}", "{'æ/ø':'å/€/😀'}" },
	{ "{'a b':' !#[]~'}", "{'a b':' !#[]~'}" },
};

START_TEST(round_trip)
{
	bson_t *doc = test_bson(round_trips[_i].json);

	test_json_is(doc, round_trips[_i].expected);
	bson_destroy(doc);
}
END_TEST

static const struct {
	const char *text;
	size_t	    len;
	const char *json;
} escapes[] = {
	{ "\"\\/", 3, "\\\"\\\\/" },
	{ "\b\f\n\r\t", 5, "\\b\\f\\n\\r\\t" },
	{ "\0\1\x1f", 3, "\\u0000\\u0001\\u001f" },
	{ "\v\x1b\x0e", 3, "\\u000b\\u001b\\u000e" },
	{ "\x7f", 1, "\x7f" },
	{ "a\nb\"c", 5, "a\\nb\\\"c" },
	{ "\n", 1, "\\n" },
	{ "", 0, "" },
};

START_TEST(escaped_text)
{
	bson_t	   doc = BSON_INITIALIZER;
	struct buf out = { 0 };
	char	   expected[64];

	bson_append_utf8(&doc, "k\"\n", -1, escapes[_i].text,
	    (int)escapes[_i].len);
	(void)snprintf(expected, sizeof(expected), "{\"k\\\"\\n\":\"%s\"}",
	    escapes[_i].json);
	ck_assert_int_eq(bson_json_append(&out, &doc), 0);
	buf_append_byte(&out, 0);
	ck_assert_str_eq((const char *)out.data, expected);
	buf_clear(&out);
	bson_destroy(&doc);
}
END_TEST

START_TEST(appends_behind)
{
	bson_t	  *doc = test_bson("{'a':1}");
	struct buf out = { 0 };

	buf_append(&out, "x", 1);
	ck_assert_int_eq(bson_json_append(&out, doc), 0);
	ck_assert_int_eq(bson_json_append(&out, doc), 0);
	ck_assert_uint_eq(out.len, 15);
	ck_assert_mem_eq(out.data, "x{\"a\":1}{\"a\":1}", 15);
	buf_clear(&out);
	bson_destroy(doc);
}
END_TEST

static void
is_refused(const bson_t *doc)
{
	struct buf out = { 0 };

	ck_assert_int_eq(bson_json_append(&out, doc), -1);
	buf_clear(&out);
}

START_TEST(foreign_types)
{
	static const char *const docs[] = {
		"{'a':{'$oid':'0123456789abcdef01234567'}}",
		"{'a':{'b':[{'$numberDouble':'1.5'}]}}",
		"{'a':{'$numberDecimal':'NaN'}}",
		"{'a':{'$numberDecimal':'Infinity'}}",
		"{'a':{'$numberDecimal':'-Infinity'}}",
		"{'a':{'$regularExpression':{'pattern':'x','options':''}}}",
		"{'a':{'$minKey':1}}",
	};
	bson_t *doc;
	int	i;

	for (i = 0; i < LENGTH_OF(docs); i++) {
		doc = test_bson(docs[i]);
		is_refused(doc);
		bson_destroy(doc);
	}
}
END_TEST

START_TEST(unsound_bson)
{
	static const uint8_t unknown[] = { 9, 0, 0, 0, 0x77, 'a', 0, 0, 0 };
	static const uint8_t trailing[] = { 13, 0, 0, 0, 0x10, 'a', 0, 1, 0,
		0, 0, 0, 0 };
	static const uint8_t nested[] = { 16, 0, 0, 0, 0x03, 'a', 0,
		8, 0, 0, 0, 0x0a, 'b', 'c', 0, 0 };
	bson_t doc;

	ck_assert(bson_init_static(&doc, unknown, sizeof(unknown)));
	is_refused(&doc);
	ck_assert(bson_init_static(&doc, trailing, sizeof(trailing)));
	is_refused(&doc);
	ck_assert(bson_init_static(&doc, nested, sizeof(nested)));
	is_refused(&doc);
}
END_TEST

/* {"a":{"a":...{}}}, levels deep. */
static bson_t *
nested_new(int levels)
{
	bson_t *doc = bson_new(), *outer;

	while (--levels > 0) {
		outer = bson_new();
		bson_append_document(outer, "a", 1, doc);
		bson_destroy(doc);
		doc = outer;
	}
	return doc;
}

START_TEST(nesting)
{
	struct buf out = { 0 };
	bson_t	  *doc;

	/* A resource of MAX_NESTING levels, in its record. */
	doc = nested_new(MAX_NESTING + 1);
	ck_assert_int_eq(bson_json_append(&out, doc), 0);
	bson_destroy(doc);
	buf_clear(&out);
	doc = nested_new(10000);
	is_refused(doc);
	bson_destroy(doc);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bson_json");
	TCase *tests = tcase_create("bson_json");

	tcase_add_loop_test(tests, round_trip, 0, LENGTH_OF(round_trips));
	tcase_add_loop_test(tests, escaped_text, 0, LENGTH_OF(escapes));
	tcase_add_test(tests, appends_behind);
	tcase_add_test(tests, foreign_types);
	tcase_add_test(tests, unsound_bson);
	tcase_add_test(tests, nesting);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
