#include "jsonlib.h"

#define PARSE_ERROR(text) "not JSON (parse error: " text ")"
#define LEXICAL_ERROR(text) "not JSON (lexical error: " text ")"
#define PREMATURE PARSE_ERROR("premature EOF")
#define MISPLACED \
	PARSE_ERROR("unallowed token at this point in JSON text")
#define NO_NAME \
	PARSE_ERROR("invalid object key (must be a string)")
#define NO_COMMA \
	PARSE_ERROR("after key and value, inside map, I expect ',' or '}'")
#define BAD_CHAR LEXICAL_ERROR("invalid char in json text.")
#define BAD_IN_TEXT LEXICAL_ERROR("invalid character inside string.")
#define BAD_WORD LEXICAL_ERROR("invalid string in json text.")
#define BAD_ESCAPE LEXICAL_ERROR( \
	"inside a string, '\\' occurs before a character which it may not.")
#define BAD_HEX LEXICAL_ERROR( \
	"invalid (non-hex) character occurs after '\\u' inside string.")
#define NO_DIGIT(where) LEXICAL_ERROR( \
	"malformed number, a digit is required after the " where ".")
#define BAD_NUMBER \
	"a number that a Decimal128 cannot hold digit for digit" \
	" (34 digits, exponent -6176 to 6111)"
#define UNPAIRED "an unpaired surrogate escape"
#define SCALAR "neither an object nor an array of resources"
#define NO_OBJECT "an element of the array that is not an object"
#define NO_ENTRY "an element of Bundle.entry that is not an object"
#define SAME_LINE "a second value on the same line"
#define SPANS \
	"several values, but one of them spans lines" \
	" (NDJSON wants each on a line of its own)"
#define HALF_MARK "not JSON (half of a byte order mark)"
#define MARK "\xef\xbb\xbf"

static const struct {
	const char *text; /* with ' for " */
	const char *expected;
} texts[] = {
	/* one value */
	{ "{}", "object@0 {}\n" },
	{ "{'a':1}", "object@0 {'a':1}\n" },
	{ " {'a':1} \n", "object@1 {'a':1}\n" },
	{ "[]", "array@0\n" },
	{ "[{}]", "item@1 {}\narray@1\n" },
	{ " [ {'a':1} , {'b':[{}]} ]",
	    "item@3 {'a':1}\nitem@13 {'b':[{}]}\narray@13\n" },
	/* `entry` before, behind and without resourceType */
	{ "{'entry':[]}", "envelope@0 {}\n" },
	{ "{'a':1,'entry':[{'x':1},{'y':2}],'b':2}",
	    "entry@16 {'x':1}\nentry@24 {'y':2}\nenvelope@0 {'a':1,"
	    "'b':2}\n" },
	{ "{'entry':[{'x':1}],'resourceType':'Bundle'}",
	    "entry@10 {'x':1}\nenvelope@0 {'resourceType':'Bundle'}\n" },
	{ "{'resourceType':'Bundle','entry':[{'x':1}],'z':[1,[2]]}",
	    "entry@34 {'x':1}\nenvelope@0 {'resourceType':'Bundle',"
	    "'z':[1,[2]]}\n" },
	{ "{'resourceType':'PlanDefinition','entry':[{'x':1}],'z':[1]}",
	    "object@0 {'resourceType':'PlanDefinition',"
	    "'entry':[{'x':1}],'z':[1]}\n" },
	{ "{'resourceType':['X'],'entry':[{}]}",
	    "object@0 {'resourceType':['X'],'entry':[{}]}\n" },
	{ "{'entry':null,'a':1}", "object@0 {'entry':null,'a':1}\n" },
	{ "{'entry':{'a':[{}]},'a':1}",
	    "object@0 {'entry':{'a':[{}]},'a':1}\n" },
	{ "{'entry':'x'}", "object@0 {'entry':'x'}\n" },
	{ "{'entry':[{}],'entry':[{}]}", "entry@10 {}\n"
	    "23 duplicate member name \"entry\": envelope@0 {}" },
	{ "{'entry':null,'entry':[{}]}",
	    "entry@23 {}\nenvelope@0 {'entry':null}\n" },
	{ "{'entry':[{}],'entry':null}",
	    "entry@10 {}\nenvelope@0 {'entry':null}\n" },
	{ "{'entry':[null]}", "14 " NO_ENTRY },
	{ "{'entry':[{},1]}", "entry@10 {}\n14 " NO_ENTRY },
	{ "{'entry':[[]]}", "11 " NO_ENTRY },
	{ "{'a':{'entry':[{}]}}", "object@0 {'a':{'entry':[{}]}}\n" },
	{ "{'entry':[{'entry':[{}],'resourceType':'X'}]}",
	    "entry@10 {'entry':[{}],'resourceType':'X'}\n"
	    "envelope@0 {}\n" },
	{ "[{'entry':[{}]}]", "item@1 {'entry':[{}]}\narray@1\n" },
	/* neither objects nor arrays of objects */
	{ "[1]", "2 " NO_OBJECT },
	{ "[null]", "5 " NO_OBJECT },
	{ "['a']", "4 " NO_OBJECT },
	{ "[[]]", "2 " NO_OBJECT },
	{ "[{},[]]", "item@1 {}\n5 " NO_OBJECT },
	{ "1", "1 " SCALAR },
	{ "-1.5", "4 " SCALAR },
	{ "'a'", "3 " SCALAR },
	{ "null", "4 " SCALAR },
	{ "true", "4 " SCALAR },
	{ " 1 ", "2 " SCALAR },
	{ "tru", "3 " BAD_WORD },
	{ "'a", "2 " PREMATURE },
	/* NDJSON */
	{ "{'a':1}\n{'b':2}", "object@0 {'a':1}\nobject@8 {'b':2}\n" },
	{ "{'a':1}\r\n{'b':2}\r\n", "object@0 {'a':1}\nobject@9 {'b':2}\n" },
	{ "\n\n{'a':1}\n\n\r\n \n{'b':2}\n\n",
	    "object@2 {'a':1}\nobject@15 {'b':2}\n" },
	{ "{}\n[]\n{}", "object@0 {}\narray@3\nobject@6 {}\n" },
	{ "{'entry':[{}]}\n{'entry':[{}]}",
	    "entry@10 {}\nenvelope@0 {}\nentry@25 {}\nenvelope@15 {}\n" },
	{ "{} {}", "object@0 {}\n4 " SAME_LINE },
	{ "{}{}", "object@0 {}\n3 " SAME_LINE },
	{ "{}\n{} {}", "object@0 {}\nobject@3 {}\n7 " SAME_LINE },
	{ "{'resourceType':'X'}\n{'entry':[{}]}", "object@0"
	    " {'resourceType':'X'}\nentry@31 {}\nenvelope@21 {}\n" },
	{ "{}\r{}", "object@0 {}\n4 " SAME_LINE },
	{ "[{}] [{}]", "item@1 {}\narray@1\n6 " SAME_LINE },
	{ "{},{}", "object@0 {}\n2 " MISPLACED },
	{ "{'a':\n1}", "object@0 {'a':1}\n" },
	{ "{'a':\n1}\n{'b':1}", "object@0 {'a':1}\n16 " SPANS },
	{ "{'a':1}\n{'b':1\n}", "object@0 {'a':1}\n16 " SPANS },
	{ "{'a':1}\n{\n'b':1}", "object@0 {'a':1}\n16 " SPANS },
	{ "{\n}\n{}", "object@0 {}\n6 " SPANS },
	{ "[\n]\n{}", "array@0\n6 " SPANS },
	{ "[{}]\n{\n}", "item@1 {}\narray@1\n8 " SPANS },
	{ "{'entry':[\n]}\n{}", "envelope@0 {}\n16 " SPANS },
	{ "{'a':1}\nx", "object@0 {'a':1}\n9 " BAD_CHAR },
	{ "{'a':1}\n1", "object@0 {'a':1}\n9 " SCALAR },
	{ "{'a':1}\n'x'", "object@0 {'a':1}\n11 " SCALAR },
	/* the byte order mark */
	{ MARK "{'a':1}", "object@3 {'a':1}\n" },
	{ MARK "{'a':1}\n{'b':1}", "object@3 {'a':1}\nobject@11 {'b':1}\n" },
	{ MARK, "3 an empty body" },
	{ "\xef\xbb", "2 " HALF_MARK " (cut)" },
	{ "\xef", "1 " HALF_MARK " (cut)" },
	{ "\xef\xbb" "{}", "2 " HALF_MARK },
	{ "\xef" "{}", "1 " HALF_MARK },
	{ MARK MARK "{}", "4 " BAD_CHAR },
	{ "{}" MARK, "object@0 {}\n3 " BAD_CHAR },
	{ "\xbf" "{}", "1 " BAD_CHAR },
	{ "\xfe\xff", "1 " BAD_CHAR },
	/* nothing */
	{ "", "0 an empty body" },
	{ "\n\n", "2 an empty body (nothing but white space)" },
	{ " \r\t ", "4 an empty body (nothing but white space)" },
	/* cut */
	{ "{", "1 " PREMATURE " (cut): object@0 {}" },
	{ "[", "1 " PREMATURE " (cut)" },
	{ "{'a'", "4 " PREMATURE " (cut): object@0 {}" },
	{ "{'a':", "5 " PREMATURE " (cut): object@0 {}" },
	{ "{'a':1", "6 " PREMATURE " (cut): object@0 {'a':1}" },
	{ "{'a':1,", "7 " PREMATURE " (cut): object@0 {'a':1}" },
	{ "{'a':t", "6 " BAD_WORD " (cut): object@0 {}" },
	{ "{'a':true", "9 " PREMATURE " (cut): object@0 {'a':true}" },
	{ "{'a':-", "6 " NO_DIGIT("minus sign") " (cut): object@0 {}" },
	{ "{'a':1e", "7 " NO_DIGIT("exponent") " (cut): object@0 {}" },
	{ "{'a':1.", "7 " NO_DIGIT("decimal point") " (cut): object@0 {}" },
	{ "{'a':1.5", "8 " PREMATURE " (cut): object@0 {'a':1.5}" },
	{ "{'a':1e99999", "12 " BAD_NUMBER " (cut): object@0 {}" },
	{ "{'a':'x", "7 " PREMATURE " (cut): object@0 {}" },
	{ "{'a':'\\", "7 " BAD_ESCAPE " (cut): object@0 {}" },
	{ "{'a':'\\ud800", "12 " PREMATURE " (cut): object@0 {}" },
	{ "{'a':'x'", "8 " PREMATURE " (cut): object@0 {'a':'x'}" },
	{ "[{}", "item@1 {}\n3 " PREMATURE " (cut)" },
	{ "[{},", "item@1 {}\n4 " PREMATURE " (cut)" },
	{ "[{'a':{'b':[1,", "14 " PREMATURE " (cut): item@1 {'a':{'b':[1]}}" },
	{ "{'a':1}\n{", "object@0 {'a':1}\n9 " PREMATURE
	    " (cut): object@8 {}" },
	{ "{'entry':[{'x':1},{'y':", "entry@10 {'x':1}\n23 " PREMATURE
	    " (cut): entry@18 {}" },
	{ "{'entry':[{'x':1}", "entry@10 {'x':1}\n17 " PREMATURE " (cut)" },
	{ "{'entry':[{'x':1}]", "entry@10 {'x':1}\n18 " PREMATURE
	    " (cut): envelope@0 {}" },
	/* not JSON */
	{ "{]", "1 " NO_NAME ": object@0 {}" },
	{ "{'a':]", "4 " MISPLACED ": object@0 {}" },
	{ "[}", "1 " MISPLACED },
	{ "{'a':1 'b':2}", "6 " NO_COMMA ": object@0 {'a':1}" },
	{ "{'a':1}\n{'b':'some text' 'more text'}", "object@0 {'a':1}\n24 "
	    NO_COMMA ": object@8 {'b':'some text'}" },
	{ "{'a':1,}", "6 " NO_NAME ": object@0 {'a':1}" },
	{ "{,}", "1 " NO_NAME ": object@0 {}" },
	{ "[{},]", "item@1 {}\n3 " MISPLACED },
	{ "[,{}]", "1 " MISPLACED },
	{ "{a:1}", "2 " BAD_CHAR ": object@0 {}" },
	{ "{1:1}", "1 " NO_NAME ": object@0 {}" },
	{ "{'a':01}", "6 " NO_COMMA ": object@0 {'a':0}" },
	{ "{'a':-01}", "7 " NO_COMMA ": object@0 {'a':-0}" },
	{ "{'a':+1}", "6 " BAD_CHAR ": object@0 {}" },
	{ "{'a':.5}", "6 " BAD_CHAR ": object@0 {}" },
	{ "{'a':5.}", "7 " NO_DIGIT("decimal point") ": object@0 {}" },
	{ "{'a':1e}", "7 " NO_DIGIT("exponent") ": object@0 {}" },
	{ "{'a':1e+}", "8 " NO_DIGIT("exponent") ": object@0 {}" },
	{ "{'a':- 1}", "6 " NO_DIGIT("minus sign") ": object@0 {}" },
	{ "{'a':0x1}", "7 " BAD_CHAR ": object@0 {'a':0}" },
	{ "{'a':NaN}", "6 " BAD_CHAR ": object@0 {}" },
	{ "{'a':Infinity}", "6 " BAD_CHAR ": object@0 {}" },
	{ "{'a':True}", "6 " BAD_CHAR ": object@0 {}" },
	{ "{'a':nul}", "8 " BAD_WORD ": object@0 {}" },
	{ "{'a':nulll}", "10 " BAD_CHAR ": object@0 {'a':null}" },
	{ "{'a':truefalse}", "9 " NO_COMMA ": object@0 {'a':true}" },
	{ "{'a':1}}", "object@0 {'a':1}\n7 " MISPLACED },
	{ "[]]", "array@0\n2 " MISPLACED },
	{ "{'a':1} x", "object@0 {'a':1}\n9 " BAD_CHAR },
	{ "{'a':'\t'}", "6 " BAD_IN_TEXT ": object@0 {}" },
	{ "{'a':'\n'}", "6 " BAD_IN_TEXT ": object@0 {}" },
	{ "{'a':'\037'}", "6 " BAD_IN_TEXT ": object@0 {}" },
	{ "{'\t':1}", "2 " BAD_IN_TEXT ": object@0 {}" },
	{ "\\", "1 " BAD_CHAR },
	{ "{\\", "2 " BAD_CHAR ": object@0 {}" },
	/* escapes */
	{ "{'a':'\\'\\\\\\/\\b\\f\\n\\r\\t'}",
	    "object@0 {'a':'\\'\\\\/\\b\\f\\n\\r\\t'}\n" },
	{ "{'a':'\\u0041\\u00E6\\u20ac\\uFFFF\177'}",
	    "object@0 {'a':'Aæ€\xef\xbf\xbf\177'}\n" },
	{ "{'a':'\\x'}", "7 " BAD_ESCAPE ": object@0 {}" },
	{ "{'a':'\\u12g4'}", "10 " BAD_HEX ": object@0 {}" },
	{ "{'a':'\\ud8zz'}", "10 " BAD_HEX ": object@0 {}" },
	{ "{'a':'\\U0041'}", "7 " BAD_ESCAPE ": object@0 {}" },
	{ "{'a':'x\\u0000y','b':'\\u0000'}",
	    "object@0 {'a':'x\\u0000y','b':'\\u0000'}\n" },
	{ "{'a\\u0000b':1}", "11 a member name with a NUL in it: object@0 {}" },
	{ "{'\\u0000':1}", "9 a member name with a NUL in it: object@0 {}" },
	{ "{'a':'\\ud83d\\ude00','\\uD83D\\uDE00':1}",
	    "object@0 {'a':'😀','😀':1}\n" },
	{ "{'a':'\\ud83d'}", "12 " UNPAIRED ": object@0 {}" },
	{ "{'a':'\\ud83dx'}", "12 " UNPAIRED ": object@0 {}" },
	{ "{'a':'\\ude00'}", "11 " UNPAIRED ": object@0 {}" },
	{ "{'\\ude00':1}", "7 " UNPAIRED ": object@0 {}" },
	{ "{'a\\ud800':1}", "9 " UNPAIRED ": object@0 {}" },
	{ "{'b':1,'a':'\\ud83d\\n'}", "19 " UNPAIRED ": object@0 {'b':1}" },
	{ "{'a':'\\ud83d\\ud83d\\ude00'}", "17 " UNPAIRED ": object@0 {}" },
	{ "[{'b':1,'a':'\\ud83d\\u0041'}]", "24 " UNPAIRED ": item@1 {'b':1}" },
	/* names are plain data, in their order */
	{ "{'$oid':'5','a.b':{'$set':1},'':[{'':null}],'$':2,'.':3}",
	    "object@0 {'$oid':'5','a.b':{'$set':1},'':[{'':null}],"
	    "'$':2,'.':3}\n" },
	{ "{'b':1,'a':2,'c':3,'B':4,'10':5,'9':6}",
	    "object@0 {'b':1,'a':2,'c':3,'B':4,'10':5,'9':6}\n" },
	{ "{'a':1,'a':2}", "object@0 {'a':1,'a':2}\n" },
	/* numbers */
	{ "{'a':[0,-0,2147483648,1.50,-1.0e2,18446744073709551616]}",
	    "object@0 {'a':[0,-0,2147483648,1.50,-1.0E+2,"
	    "18446744073709551616]}\n" },
	{ "{'a':1e6112}", "11 " BAD_NUMBER ": object@0 {}" },
	{ "{'x':2,'a':1.00000000000000000000000000000000000}", "48 "
	    BAD_NUMBER ": object@0 {'x':2}" },
	{ "[{'a':1,'b':[1,{'c':1e9999 }]}]", "26 " BAD_NUMBER
	    ": item@1 {'a':1,'b':[1,{}]}" },
	{ "{'entry':[{'resource':{'a':1,'b':1e9999}}]}", "39 " BAD_NUMBER
	    ": entry@10 {'resource':{'a':1}}" },
};

START_TEST(text_and_parts)
{
	json_check_text(texts[_i].text, texts[_i].expected);
}
END_TEST

static const char *const not_utf8[] = {
	"\x80", "\xbf", "\xff", "\xfe",			/* no start */
	"\xc0\x80", "\xc0\xaf", "\xc1\xbf",		/* overlong */
	"\xe0\x80\x80", "\xe0\x9f\xbf",
	"\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
	"\xed\xa0\x80", "\xed\xbf\xbf",			/* surrogates */
	"\xed\xa0\xbd\xed\xb8\x80",			/* a pair of them */
	"\xf4\x90\x80\x80", "\xf5\x80\x80\x80",		/* > U+10FFFF */
	"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80",
	"\xc3", "\xe2", "\xe2\x82", "\xf0", "\xf0\x9f",	/* not whole */
	"\xf0\x9f\x98", "\xc3\xc3\xa6", "\xe2\x82\xe2\x82\xac",
	"1234567\xff", "12345678\xff", "123456789012345\xff",
	"\xc3\xa6\xc3\xa6\xc3\xa6\xc3\xa6\xc3",
};

static const struct {
	const char *format;
	const char *fault;
} utf8_places[] = {
	{ "{'a':'%s'}", "text" },
	{ "{'a':'x%sy'}", "text" },
	{ "{'a':[0,'\\n%s']}", "text" },
	{ "[{},{'b':'%s'}]", "text" },
	{ "{}\n{'b':'%s'}", "text" },
	{ "{'entry':[{'b':'%s'}]}", "text" },
	{ "{'%s':1}", "a member name" },
	{ "{'x%sy':1}", "a member name" },
	{ "{'\\t%s':1}", "a member name" },
	{ "{'entry':[{'resource':{'%s':1}}]}", "a member name" },
};

START_TEST(not_utf8_anywhere)
{
	char *found, *text, *json, *fault;
	int   i;

	fault = xasprintf(" %s that is not UTF-8", utf8_places[_i].fault);
	json = test_quotes(utf8_places[_i].format);
	for (i = 0; i < LENGTH_OF(not_utf8); i++) {
		text = test_put(json, not_utf8[i]);
		found = test_each_cut(json_feed, (const uint8_t *)text,
		    strlen(text));
		ck_assert_msg(strstr(found, fault) != NULL, "%d: %s", i,
		    found);
		free(found);
		free(text);
	}
	free(json);
	free(fault);
}
END_TEST

START_TEST(borders_of_utf8)
{
	static const char *const borders[] = {
		"\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
		"\xee\x80\x80", "\xef\xbf\xbd", "\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "1234567\xc3\xa6",
		"12345678\xf0\x9f\x98\x80", "e\xcc\x81", MARK,
	};
	char *text, *expected;
	int   i;

	for (i = 0; i < LENGTH_OF(borders); i++) {
		text = xasprintf("{'%s':['%s']}", borders[i], borders[i]);
		expected = xasprintf("object@0 %s\n", text);
		json_check_text(text, expected);
		free(expected);
		free(text);
	}
}
END_TEST

#define EVERYTHING \
	"{'id':'x','a':[1,-2.50,true,false,null,'t\\u00e6xt',{},[]]," \
	"'o':{'p':{'q':[[{'r':1e2}]]}},'big':12345678901,'s':''}"

/* Cut, or broken, at any byte: what there is so far is sound BSON. */
START_TEST(partial_is_sound)
{
	char  *format, *json, *text, *found;
	size_t len, i;

	json = test_quotes(EVERYTHING);
	format = test_quotes(json_places[_i]);
	text = test_put(format, json);
	len = strlen(text);
	for (i = 0; i < len; i++) {
		found = test_transcript(json_feed, (uint8_t *)text, i, 0);
		ck_assert_int_ne(found[0], '\0');
		free(found);
		free(json);
		json = xstrdup(text);
		json[i] = '\001';
		found = test_each_cut(json_feed, (uint8_t *)json, len);
		ck_assert_ptr_nonnull(strstr(found, " not JSON ("));
		free(found);
	}
	free(text);
	free(format);
	free(json);
}
END_TEST

static int parts_wanted;

static void
feed_some(struct buf *out, const uint8_t *text, size_t len, size_t cut)
{
	json_feed_until(out, text, len, cut, parts_wanted);
}

/* The callback ends the parse with its own error. */
START_TEST(callback_says_no)
{
	static const char *const expected[] = {
		"entry@10 {}\n65 12 enough",
		"entry@10 {}\nentry@13 {'a':1}\n65 20 enough",
		"entry@10 {}\nentry@13 {'a':1}\nenvelope@0 {}\n65 22 enough",
		"entry@10 {}\nentry@13 {'a':1}\nenvelope@0 {}\n"
		    "object@23 {}\n65 25 enough",
		"entry@10 {}\nentry@13 {'a':1}\nenvelope@0 {}\n"
		    "object@23 {}\narray@26\n65 28 enough",
	};
	char *text, *found;

	text = test_quotes("{'entry':[{},{'a':1}]}\n{}\n[]\n{}");
	parts_wanted = _i;
	found = test_each_cut(feed_some, (uint8_t *)text, strlen(text));
	ck_assert_str_eq(found, expected[_i]);
	free(found);
	free(text);
}
END_TEST

/* Whatever came before, a text after a reset gives what it gives alone. */
START_TEST(reset)
{
	struct buf	  out = { 0 };
	struct json_reader	  reader = { &out, -1 };
	struct json_bson *json;
	struct error	  err;
	const char	 *text = texts[_i].text;
	char		 *before;

	before = test_quotes(text);
	json = json_bson_new(json_on_part, &reader, false);
	if (json_bson_feed(json, (uint8_t *)before, strlen(before), &err) == 0)
		(void)json_bson_finish(json, &err);
	json_bson_reset(json);
	ck_assert_uint_eq(json_bson_position(json), 0);
	ck_assert(!json_bson_is_cut(json));
	out.len = 0;
	/* Chunks of nothing are fine. */
	ck_assert_int_eq(json_bson_feed(json, NULL, 0, &err), 0);
	ck_assert_int_eq(json_bson_feed(json, (const uint8_t *)
	    MARK "{\"entry\":[{}]}\n", 18, &err), 0);
	ck_assert_int_eq(json_bson_feed(json, NULL, 0, &err), 0);
	ck_assert_int_eq(json_bson_finish(json, &err), 0);
	buf_append_byte(&out, 0);
	ck_assert_str_eq((char *)out.data, "entry@13 {}\nenvelope@3 {}\n");
	json_bson_free(json);
	buf_clear(&out);
	free(before);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("json_bson");
	TCase *tests = tcase_create("json_bson");

	/* Sanitizers and valgrind are slow. */
	tcase_set_timeout(tests, 300);
	tcase_add_loop_test(tests, text_and_parts, 0, LENGTH_OF(texts));
	tcase_add_loop_test(tests, not_utf8_anywhere, 0,
	    LENGTH_OF(utf8_places));
	tcase_add_test(tests, borders_of_utf8);
	tcase_add_loop_test(tests, partial_is_sound, 0, LENGTH_OF(json_places));
	tcase_add_loop_test(tests, callback_says_no, 0, 5);
	tcase_add_loop_test(tests, reset, 0, LENGTH_OF(texts));
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
