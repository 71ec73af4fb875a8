#include <sodium.h>

#include "hash.h"
#include "json_bson.h"
#include "json_canonical.h"
#include "limit.h"
#include "testlib.h"

#define MEMBERS	  100000
/* Longer than any piece that goes into a hash. */
#define LONG_TEXT 100000
/* Of an object that ends in m40. */
#define END	  "\"m39\":39,\"m40\":40}"

static struct json_canonical *canonical;

static void
setup(void)
{
	canonical = json_canonical_new();
}

static void
teardown(void)
{
	json_canonical_free(canonical);
}

/* The canonical text of doc and, by the way, that its hash is that of it, also
 * behind other bytes; the caller frees it. */
static char *
text_of(const uint8_t *doc, size_t len)
{
	struct error err;
	struct buf   out = { 0 };
	uint8_t	     hash[HASH_BYTES], expected[HASH_BYTES];

	buf_append(&out, "x", 1);
	ck_assert_msg(json_canonical_append(canonical, doc, len, &out,
	    &err) == 0, "%s", err.text);
	(void)crypto_hash_sha256(expected, out.data + 1, out.len - 1);
	ck_assert_int_eq(json_canonical_hash(canonical, doc, len, hash, &err),
	    0);
	ck_assert_mem_eq(hash, expected, HASH_BYTES);
	buf_append_byte(&out, 0);
	memmove(out.data, out.data + 1, out.len - 1);
	return (char *)out.data;
}

static int
on_document(void *ctx, const struct json_part_info *info, struct error *err)
{
	(void)err;
	ck_assert_int_eq(info->part, JSON_PART_OBJECT);
	*(char **)ctx = text_of(info->doc, info->len);
	return 0;
}

/* What becomes of JSON as it comes from an upstream. */
static void
json_becomes(const char *json, const char *expected)
{
	struct error	  err;
	struct json_bson *parser;
	char		 *text = NULL;

	parser = json_bson_new(on_document, &text, true);
	ck_assert_msg(json_bson_feed(parser, (const uint8_t *)json,
	    strlen(json), &err) == 0 && json_bson_finish(parser, &err) == 0,
	    "%s", err.text);
	json_bson_free(parser);
	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, expected);
	free(text);
}

/* RFC 8785, 3.2.2 and what it becomes in 3.2.3. */
START_TEST(rfc_document)
{
	json_becomes("{\n  \"numbers\": [333333333.33333329, 1E30, 4.50,\n"
	    "              2e-3, 0.000000000000000000000000001],\n"
	    "  \"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c"
	    "\\\\\\\"\\/\",\n"
	    "  \"literals\": [null, true, false]\n}\n",
	    "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,"
	    "1e+30,4.5,0.002,1e-27],\"string\":\"\u20ac$\\u000f\\nA'B\\\""
	    "\\\\\\\\\\\"/\"}");
}
END_TEST

/* RFC 8785, 3.2.4: the same as bytes. */
START_TEST(rfc_bytes)
{
	static const uint8_t bytes[] = {
		0x7b, 0x22, 0x6c, 0x69, 0x74, 0x65, 0x72, 0x61, 0x6c, 0x73,
		0x22, 0x3a, 0x5b, 0x6e, 0x75, 0x6c, 0x6c, 0x2c, 0x74, 0x72,
		0x75, 0x65, 0x2c, 0x66, 0x61, 0x6c, 0x73, 0x65, 0x5d, 0x2c,
		0x22, 0x6e, 0x75, 0x6d, 0x62, 0x65, 0x72, 0x73, 0x22, 0x3a,
		0x5b, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33,
		0x2e, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x2c, 0x31,
		0x65, 0x2b, 0x33, 0x30, 0x2c, 0x34, 0x2e, 0x35, 0x2c, 0x30,
		0x2e, 0x30, 0x30, 0x32, 0x2c, 0x31, 0x65, 0x2d, 0x32, 0x37,
		0x5d, 0x2c, 0x22, 0x73, 0x74, 0x72, 0x69, 0x6e, 0x67, 0x22,
		0x3a, 0x22, 0xe2, 0x82, 0xac, 0x24, 0x5c, 0x75, 0x30, 0x30,
		0x30, 0x66, 0x5c, 0x6e, 0x41, 0x27, 0x42, 0x5c, 0x22, 0x5c,
		0x5c, 0x5c, 0x5c, 0x5c, 0x22, 0x2f, 0x22, 0x7d, 0x00,
	};

	json_becomes("{\"string\":\"\u20ac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\","
	    "\"literals\":[null,true,false],\"numbers\":"
	    "[333333333.3333333,1e30,4.5,0.002,1e-27]}", (const char *)bytes);
}
END_TEST

/* RFC 8785, 3.2.3. */
START_TEST(rfc_order)
{
	json_becomes("{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\","
	    "\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\","
	    "\"\\ud83d\\ude00\":\"Emoji: Grinning Face\","
	    "\"\\u0080\":\"Control\","
	    "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
	    "{\"\\r\":\"Carriage Return\",\"1\":\"One\","
	    "\"\xc2\x80\":\"Control\","
	    "\"\u00f6\":\"Latin Small Letter O With Diaeresis\","
	    "\"\u20ac\":\"Euro Sign\",\"\U0001f600\":\"Emoji: Grinning Face\","
	    "\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}");
}
END_TEST

static const struct {
	const char *json, *expected;
} orders[] = {
	{ "{}", "{}" },
	{ "{'':1,'a':2}", "{'':1,'a':2}" },
	{ "{'b':1,'aa':2,'a':3,'B':4,'':5}",
	    "{'':5,'B':4,'a':3,'aa':2,'b':1}" },
	{ "{'b':[{'d':1,'c':[{'f':2,'e':3}]}],'a':{'h':4,'g':{}}}",
	    "{'a':{'g':{},'h':4},'b':[{'c':[{'e':3,'f':2}],'d':1}]}" },
	{ "{'10':1,'9':2,'1':3}", "{'1':3,'10':1,'9':2}" },
	/* pairs before what is behind them: at the start, behind a common
	 * part, among themselves, and beside what is below them */
	{ "{'\uffff':1,'\U00010000':2}", "{'\U00010000':2,'\uffff':1}" },
	{ "{'\ue000':1,'\U0010ffff':2}", "{'\U0010ffff':2,'\ue000':1}" },
	{ "{'a\ue000':1,'a\U0010ffff':2,'a':3}",
	    "{'a':3,'a\U0010ffff':2,'a\ue000':1}" },
	{ "{'\U00010001':1,'\U00010000':2,'\U00100000':3}",
	    "{'\U00010000':2,'\U00010001':1,'\U00100000':3}" },
	{ "{'\U00010000':1,'\ud7ff':2,'\uffff':3,'\ue000':4}",
	    "{'\ud7ff':2,'\U00010000':1,'\ue000':4,'\uffff':3}" },
	{ "{'\U00010000\uffff':1,'\U00010000\U00010000':2}",
	    "{'\U00010000\U00010000':2,'\U00010000\uffff':1}" },
};

START_TEST(order)
{
	char *json = test_quotes(orders[_i].json);
	char *expected = test_quotes(orders[_i].expected);

	json_becomes(json, expected);
	free(expected);
	free(json);
}
END_TEST

static const struct {
	const char *text;
	size_t	    len;
	const char *json;
} escapes[] = {
	{ "\"\\/", 3, "\\\"\\\\/" },
	{ "\b\t\n\f\r", 5, "\\b\\t\\n\\f\\r" },
	{ "\0\1\x1f", 3, "\\u0000\\u0001\\u001f" },
	{ "\v\x1b\x0e", 3, "\\u000b\\u001b\\u000e" },
	{ "\x7f\xc2\x80", 3, "\x7f\xc2\x80" },
	{ "\u2028\u2029\ufeff<>&'", 13, "\u2028\u2029\ufeff<>&'" },
	/* no normal form: as it is */
	{ "A\u030a", 3, "A\u030a" },
	{ "", 0, "" },
};

START_TEST(escaped_text)
{
	bson_t doc = BSON_INITIALIZER;
	char  *text, *expected;

	bson_append_utf8(&doc, "k\"\n\x1f", -1, escapes[_i].text,
	    (int)escapes[_i].len);
	text = text_of(bson_get_data(&doc), doc.len);
	expected = xasprintf("{\"k\\\"\\n\\u001f\":\"%s\"}",
	    escapes[_i].json);
	ck_assert_str_eq(text, expected);
	free(expected);
	free(text);
	bson_destroy(&doc);
}
END_TEST

/* Types as they are in BSON. */
START_TEST(each_type)
{
	bson_t doc = BSON_INITIALIZER, *inner = test_bson("{'z':1,'a':2}");
	bson_t list = BSON_INITIALIZER;
	char  *text;

	bson_append_double(&list, "0", 1, 0.1);
	bson_append_bool(&list, "1", 1, true);
	bson_append_double(&doc, "d", 1, 1e21);
	bson_append_array(&doc, "l", 1, &list);
	bson_append_null(&doc, "n", 1);
	bson_append_int64(&doc, "i", 1, INT64_MAX);
	bson_append_int32(&doc, "j", 1, INT32_MIN);
	bson_append_bool(&doc, "b", 1, false);
	bson_append_double(&doc, "e", 1, -0.0);
	bson_append_document(&doc, "o", 1, inner);
	text = text_of(bson_get_data(&doc), doc.len);
	ck_assert_str_eq(text, "{\"b\":false,\"d\":1e+21,\"e\":0,"
	    "\"i\":9223372036854776000,\"j\":-2147483648,\"l\":[0.1,true],"
	    "\"n\":null,\"o\":{\"a\":2,\"z\":1}}");
	free(text);
	bson_destroy(inner);
	bson_destroy(&list);
	bson_destroy(&doc);
}
END_TEST

/* Refused, in these words; the buffer keeps what it had. */
static void
is_refused(const uint8_t *doc, size_t len, const char *words)
{
	struct error err;
	struct buf   out = { 0 };
	uint8_t	     hash[HASH_BYTES];

	buf_append(&out, "x", 1);
	ck_assert_int_eq(json_canonical_append(canonical, doc, len, &out,
	    &err), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
	ck_assert_uint_eq(out.len, 1);
	ck_assert_int_eq(out.data[0], 'x');
	buf_clear(&out);
	ck_assert_int_eq(json_canonical_hash(canonical, doc, len, hash, &err),
	    -1);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
}

static const struct {
	const char *json, *words;
} refused[] = {
	{ "{'a':[1,{'b':{'$numberDecimal':'1E+400'}}]}",
	    "the number 1E+400 is beyond what a double can hold"
	    " (in a[1].b), so that" },
	{ "{'a':{'$numberDecimal':'-1.797693134862315808E+308'}}", "(in a)" },
	{ "{'a':{'b':{}},'c':[[],{},{'$numberDecimal':'1E+400'}]}",
	    "(in c[2]), so that" },
	{ "{'a':{'$numberDecimal':'NaN'}}", "the number NaN" },
	{ "{'a':{'$numberDouble':'NaN'}}", "not a number (in a)" },
	{ "{'a':[{'$numberDouble':'-Infinity'}]}", "infinite" },
	{ "{'a':{'$date':{'$numberLong':'0'}}}", "type 0x09" },
	{ "{'a':{'$oid':'0123456789abcdef01234567'}}", "not sound" },
	{ "{'b':1,'a':1,'b':2}", "two members named \"b\" (in b)" },
	{ "{'c':[{'b':1,'a':1,'b':2}]}",
	    "two members named \"b\" (in c[0].b)" },
	{ "{'b':1,'b':2}", "two members" },
	{ "{'':1,'':2}", "two members" },
};

START_TEST(no_canonical_text)
{
	bson_t *doc = test_bson(refused[_i].json);

	is_refused(bson_get_data(doc), doc->len, refused[_i].words);
	bson_destroy(doc);
	json_becomes("{\"a\":1}", "{\"a\":1}");
}
END_TEST

/* A byte beyond ASCII, the half of a character, an overlong one, half a
 * surrogate pair, one beyond U+10FFFF. */
static const char *const not_utf8[] = {
	"\xff", "a\xe2\x82", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
};

START_TEST(invalid_utf8)
{
	bson_t doc = BSON_INITIALIZER, outer = BSON_INITIALIZER;

	bson_append_utf8(&doc, "t", 1, not_utf8[_i], -1);
	bson_append_document(&outer, "o", 1, &doc);
	is_refused(bson_get_data(&outer), outer.len,
	    "a string is not UTF-8 (in o.t)");
	bson_reinit(&doc);
	bson_append_int32(&doc, not_utf8[_i], -1, 1);
	bson_reinit(&outer);
	bson_append_document(&outer, "o", 1, &doc);
	is_refused(bson_get_data(&outer), outer.len,
	    "a member's name is not UTF-8 (in o)");
	bson_destroy(&outer);
	bson_destroy(&doc);
}
END_TEST

static const struct {
	size_t	      len;
	const uint8_t data[24];
} unsound[] = {
	{ 0, { 0 } },
	{ 4, { 4, 0, 0, 0 } },
	{ 5, { 6, 0, 0, 0, 0 } },
	{ 5, { 5, 0, 0, 0, 1 } },
	{ 8, { 8, 0, 0, 0, 0x77, 'a', 0, 0 } },
	{ 8, { 8, 0, 0, 0, 0x0a, 'a', 'b', 0 } },
	/* a double: without a value, one byte short, without the end of its
	 * name, without a name */
	{ 8, { 8, 0, 0, 0, 0x01, 'a', 0, 0 } },
	{ 15, { 15, 0, 0, 0, 0x01, 'a', 0, 1, 1, 1, 1, 1, 1, 1, 0 } },
	{ 8, { 8, 0, 0, 0, 0x01, 'a', 'b', 0 } },
	{ 6, { 6, 0, 0, 0, 0x01, 0 } },
	/* in an array */
	{ 16, { 16, 0, 0, 0, 0x04, 'a', 0, 8, 0, 0, 0, 0x01, '0', 0, 0, 0 } },
	{ 13, { 13, 0, 0, 0, 0x03, 'a', 0, 6, 0, 0, 0, 0, 0 } },
	{ 13, { 13, 0, 0, 0, 0x04, 'a', 0, 5, 0, 0, 0, 1, 0 } },
};

START_TEST(unsound_bson)
{
	/* Of the exact size, so that a sanitizer sees a read behind it. */
	uint8_t *data = xcalloc(1, unsound[_i].len);

	memcpy(data, unsound[_i].data, unsound[_i].len);
	is_refused(data, unsound[_i].len, "not sound BSON");
	free(data);
}
END_TEST

static bson_t *
nested_new(int levels, bool is_array)
{
	bson_t *doc = bson_new(), *outer;

	while (--levels > 0) {
		outer = bson_new();
		if (is_array)
			bson_append_array(outer, "0", 1, doc);
		else
			bson_append_document(outer, "0", 1, doc);
		bson_destroy(doc);
		doc = outer;
	}
	return doc;
}

START_TEST(nesting)
{
	bson_t *doc = nested_new(MAX_NESTING, _i == 1);
	char   *text;

	text = text_of(bson_get_data(doc), doc->len);
	ck_assert_uint_eq(strlen(text), _i == 1 ? 2 * MAX_NESTING + 4 :
	    6 * MAX_NESTING - 4);
	free(text);
	bson_destroy(doc);
	doc = nested_new(MAX_NESTING + 1, _i == 1);
	is_refused(bson_get_data(doc), doc->len, "nested deeper than 100");
	bson_destroy(doc);
	doc = nested_new(2000, _i == 1);
	is_refused(bson_get_data(doc), doc->len, "nested deeper than 100");
	bson_destroy(doc);
}
END_TEST

START_TEST(many_members)
{
	bson_t	   doc = BSON_INITIALIZER;
	struct buf expected = { 0 };
	char	   name[16], *text;
	int	   i, k;

	/* 70001 and MEMBERS have no divisor in common: each k comes once. */
	for (i = 0, k = 0; i < MEMBERS; i++, k = (k + 70001) % MEMBERS) {
		(void)snprintf(name, sizeof(name), "k%07d", k);
		bson_append_int32(&doc, name, 8, k);
	}
	buf_append_byte(&expected, '{');
	for (i = 0; i < MEMBERS; i++)
		buf_print(&expected, "%s\"k%07d\":%d", i > 0 ? "," : "", i, i);
	buf_append(&expected, "}", 2);
	text = text_of(bson_get_data(&doc), doc.len);
	ck_assert_uint_eq(strlen(text), expected.len - 1);
	ck_assert_mem_eq(text, expected.data, expected.len);
	free(text);
	bson_append_int32(&doc, "k0000003", 8, 0);
	is_refused(bson_get_data(&doc), doc.len, "named \"k0000003\"");
	buf_clear(&expected);
	bson_destroy(&doc);
}
END_TEST

START_TEST(long_text)
{
	bson_t doc = BSON_INITIALIZER;
	char  *value = xcalloc(1, LONG_TEXT + 1), *text, *expected;

	memset(value, 'v', LONG_TEXT);
	value[LONG_TEXT - 1] = '\n';
	bson_append_utf8(&doc, "b", 1, value, LONG_TEXT);
	bson_append_utf8(&doc, "a", 1, value, LONG_TEXT);
	text = text_of(bson_get_data(&doc), doc.len);
	value[LONG_TEXT - 1] = '\0';
	expected = xasprintf("{\"a\":\"%s\\n\",\"b\":\"%s\\n\"}", value, value);
	ck_assert_int_eq(strcmp(text, expected), 0);
	free(expected);
	free(text);
	free(value);
	bson_destroy(&doc);
}
END_TEST

START_TEST(document_too_large)
{
	size_t	 len = MAX_RECORD_BYTES;
	uint8_t *data = xcalloc(1, len + 1);

	/* Not of a size that is refused, but nothing else is right. */
	is_refused(data, len, "not sound BSON");
	is_refused(data, len + 1, "16777217 bytes, more than the 16777216");
	free(data);
}
END_TEST

START_TEST(many_levels_of_members)
{
	bson_t	    *doc = bson_new(), *outer;
	char	     name[8], *one, *other;
	int	     level, i;

	/* The members of all open levels outgrow the scratch memory. */
	for (level = 1; level < MAX_NESTING; level++) {
		outer = bson_new();
		for (i = 40; i > 0; i--) {
			(void)snprintf(name, sizeof(name), "m%02d", i);
			bson_append_int32(outer, name, -1, i);
			if (i == 20)
				bson_append_document(outer, "child", -1, doc);
		}
		bson_destroy(doc);
		doc = outer;
	}
	one = text_of(bson_get_data(doc), doc->len);
	ck_assert_int_eq(strncmp(one, "{\"child\":{\"child\":", 18), 0);
	ck_assert_ptr_nonnull(strstr(one, "{\"child\":{},\"m01\":1,\"m02\":2"));
	ck_assert_str_eq(one + strlen(one) - strlen(END), END);
	other = text_of(bson_get_data(doc), doc->len);
	ck_assert_str_eq(one, other);
	free(other);
	free(one);
	bson_destroy(doc);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("json_canonical");
	TCase *tests = tcase_create("json_canonical");

	tcase_add_checked_fixture(tests, setup, teardown);
	/* Sanitizers and valgrind are slow. */
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, rfc_document);
	tcase_add_test(tests, rfc_bytes);
	tcase_add_test(tests, rfc_order);
	tcase_add_loop_test(tests, order, 0, LENGTH_OF(orders));
	tcase_add_loop_test(tests, escaped_text, 0, LENGTH_OF(escapes));
	tcase_add_test(tests, each_type);
	tcase_add_loop_test(tests, no_canonical_text, 0, LENGTH_OF(refused));
	tcase_add_loop_test(tests, invalid_utf8, 0, LENGTH_OF(not_utf8));
	tcase_add_loop_test(tests, unsound_bson, 0, LENGTH_OF(unsound));
	tcase_add_loop_test(tests, nesting, 0, 2);
	tcase_add_test(tests, many_members);
	tcase_add_test(tests, long_text);
	tcase_add_test(tests, document_too_large);
	tcase_add_test(tests, many_levels_of_members);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
