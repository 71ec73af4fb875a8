#include <inttypes.h>

#include "bundle.h"
#include "limit.h"
#include "outcome.h"
#include "testlib.h"

/* The short type keeps the tables short. */
#define TYPE "X"
#define R "'resourceType':'X'"
#define X "{'resourceType':'X'}"
#define BUNDLE "'resourceType':'Bundle','type':'searchset'"

struct reader {
	struct buf *out;
	int	    resources_left; /* until the callback fails; -1: never */
};

static int
on_resource(void *ctx, const bson_t *resource, struct error *err)
{
	struct reader *reader = ctx;
	char	      *json;

	json = test_json(resource);
	buf_print(reader->out, "%s ", json);
	free(json);
	if (reader->resources_left-- == 0)
		return error_set(err, STATUS_HELD, "enough");
	return 0;
}

/* Feeds all chunks, each from memory of just its size. */
static int
feed_chunks(struct bundle *bundle, const uint8_t *text, size_t len,
    size_t cut, struct error *err)
{
	uint8_t *chunk;
	size_t	 at, end;
	int	 rc = 0;

	for (at = 0; at < len && rc == 0; at = end) {
		end = test_chunk_end(at, len, cut);
		chunk = xcalloc(1, end - at);
		memcpy(chunk, text + at, end - at);
		rc = bundle_feed(bundle, chunk, end - at, err);
		free(chunk);
	}
	return rc;
}

/* The resources, then what the page says or the error. */
static void
feed_bundle(struct bundle *bundle, struct buf *out, const uint8_t *text,
    size_t len, size_t cut)
{
	struct bundle_page page;
	struct error	   err;

	if (feed_chunks(bundle, text, len, cut, &err) == -1 ||
	    bundle_finish(bundle, &page, &err) == -1) {
		if (err.status != STATUS_PROTOCOL)
			buf_print(out, "%d ", err.status);
		buf_print(out, "%s%s", err.text,
		    bundle_is_cut(bundle) ? " (cut)" : "");
		return;
	}
	ck_assert(!bundle_is_cut(bundle));
	buf_print(out, "ok");
	if (page.has_total)
		buf_print(out, " total %" PRId64, page.total);
	if (page.next != NULL)
		buf_print(out, " next %s", page.next);
}

static void
feed(struct buf *out, const uint8_t *text, size_t len, size_t cut)
{
	struct reader  reader = { out, -1 };
	struct bundle *bundle;

	bundle = bundle_new(TYPE, on_resource, &reader);
	feed_bundle(bundle, out, text, len, cut);
	bundle_free(bundle);
}

static const struct {
	const char *text; /* with ' for " */
	const char *expected;
} pages[] = {
	/* one resource */
	{ X, X " ok" },
	{ "\xef\xbb\xbf " X "\n", X " ok" },
	{ "{'a':{},\n" R "}", "{'a':{}," R "} ok" },
	{ "{" R ",'entry':[{'resource':1}]}",
	    "{" R ",'entry':[{'resource':1}]} ok" },
	{ "{" R ",'total':'x','link':1}",
	    "{" R ",'total':'x','link':1} ok" },
	/* arrays, NDJSON */
	{ "[]", "ok" },
	{ "[" X "]", X " ok" },
	{ "[" X ",{" R ",'a':1}]", X " {" R ",'a':1} ok" },
	{ X "\n{" R ",'a':1}", X " {" R ",'a':1} ok" },
	{ "\r\n" X "\r\n\r\n" X "\r\n", X " " X " ok" },
	/* Bundles */
	{ "{'resourceType':'Bundle'}", "ok" },
	{ "{" BUNDLE "}", "ok" },
	{ "{'resourceType':'Bundle','type':'collection'}", "ok" },
	{ "{" BUNDLE ",'entry':[]}", "ok" },
	{ "{" BUNDLE ",'entry':[{'resource':" X "},{'resource':" X "}]}",
	    X " " X " ok" },
	{ "{'entry':[{'resource':" X "}]," BUNDLE "}", X " ok" },
	{ "{'entry':[]," BUNDLE ",'total':0}", "ok total 0" },
	{ "{" BUNDLE ",'a.b':1,'$c':{'entry':[1]}}", "ok" },
	/* entries that count, and others */
	{ "{" BUNDLE ",'entry':[{},{'fullUrl':'u'}]}", "ok" },
	{ "{" BUNDLE ",'entry':[{'resource':" X
	    ",'search':{'mode':'match'}}]}", X " ok" },
	{ "{" BUNDLE ",'entry':[{'search':{'mode':'include'},'resource':" X
	    "}]}", "ok" },
	{ "{" BUNDLE ",'entry':[{'resource':{'resourceType':'Y'},"
	    "'search':{'mode':'include'}}]}", "ok" },
	{ "{" BUNDLE ",'entry':[{'search':{'mode':'outcome'},'resource':"
	    "{'resourceType':'OperationOutcome'}}]}", "ok" },
	{ "{" BUNDLE ",'entry':[{'search':{},'resource':" X "}]}", X " ok" },
	{ "{" BUNDLE ",'entry':[{'search':[{'mode':'include'}],'resource':" X
	    "}]}", X " ok" },
	{ "{" BUNDLE ",'entry':[{'search':{'mode':1},'resource':" X "}]}",
	    X " ok" },
	{ "{" BUNDLE ",'entry':[{'search':{'mode':'Include'},'resource':" X
	    "}]}", X " ok" },
	/* total */
	{ "{" BUNDLE ",'total':7}", "ok total 7" },
	{ "{'total':9223372036854775807," BUNDLE "}",
	    "ok total 9223372036854775807" },
	/* links */
	{ "{" BUNDLE ",'link':[]}", "ok" },
	{ "{" BUNDLE ",'link':[{'relation':'self','url':'s'},"
	    "{'relation':'next','url':'?p=2'}],'total':1}",
	    "ok total 1 next ?p=2" },
	{ "{'link':[{'url':'n','relation':'next'}]," BUNDLE "}", "ok next n" },
	{ "{" BUNDLE ",'link':[{'relation':'Next','url':'n'},{},"
	    "{'url':'n'},{'relation':1},{'relation':'previous'}]}", "ok" },
};

static const struct {
	const char *text;
	const char *expected;
} refusals[] = {
	/* another type */
	{ "{}", "byte 0: an object without a resourceType where a X was"
	    " expected" },
	{ "{'resourceType':1}", "byte 0: an object without a resourceType"
	    " where a X was expected" },
	{ "{'resourceType':null}", "byte 0: an object without a resourceType"
	    " where a X was expected" },
	{ "{'resourceType':'x'}", "byte 0: a \"x\" where a X was expected" },
	{ "{'resourceType':'XX'}", "byte 0: a \"XX\" where a X was expected" },
	{ "{'resourceType':''}", "byte 0: a \"\" where a X was expected" },
	{ "{'resourceType':'X\\u0000'}",
	    "byte 0: a \"X\" where a X was expected" },
	{ "[" X ",{'resourceType':'Y','identifier':[{'value':'k'}]}]",
	    X " byte 22, resource \"k\": a \"Y\" where a X was expected" },
	{ X "\n{'resourceType':'Y','identifier':[{'value':'k'}]}",
	    X " byte 21, resource \"k\": a \"Y\" where a X was expected" },
	{ "{" BUNDLE ",'entry':[{'resource':{'resourceType':'Y',"
	    "'identifier':[{'value':'k'}]}}]}",
	    "byte 53, resource \"k\": a \"Y\" where a X was expected" },
	{ "{" BUNDLE ",'entry':[{'resource':{}}]}", "byte 53: an object"
	    " without a resourceType where a X was expected" },
	{ "{" BUNDLE ",'entry':[{'resource':{" BUNDLE "}}]}",
	    "byte 53: a \"Bundle\" where a X was expected" },
	{ "[{" BUNDLE "}]", "byte 1: a \"Bundle\" where a X was expected" },
	{ "{'error':'Invalid or missing API key.'}", "byte 0: an object"
	    " without a resourceType where a X was expected" },
	/* OperationOutcome */
	{ "{'resourceType':'OperationOutcome'}",
	    "byte 0: an OperationOutcome where a X was expected" },
	{ "{'resourceType':'OperationOutcome','issue':[{'severity':'error',"
	    "'code':'security','diagnostics':'no'}]}", "byte 0: an"
	    " OperationOutcome where a X was expected: error/security: no" },
	{ "{" BUNDLE ",'entry':[{'resource':{'resourceType':"
	    "'OperationOutcome','issue':[{'severity':'fatal','code':'c'}]}}]}",
	    "byte 53: an OperationOutcome where a X was expected: fatal/c" },
	/* neither objects nor arrays of them */
	{ "1", "byte 1: neither an object nor an array of resources" },
	{ "'X'", "byte 3: neither an object nor an array of resources" },
	{ "[1]",
	    "byte 2: an element of the array that is not an object" },
	{ "[" X ",null]", X
	    " byte 26: an element of the array that is not an object" },
	{ "{" BUNDLE ",'entry':[null]}", "byte 57: an element of Bundle.entry"
	    " that is not an object" },
	{ "", "byte 0: an empty body" },
	{ "\n \n", "byte 3: an empty body (nothing but white space)" },
	{ "<html>", "byte 1: not JSON (lexical error: invalid char in json"
	    " text.)" },
	/* entries */
	{ "{" BUNDLE ",'entry':null}", "byte 57: Bundle.entry is not an"
	    " array, or stands there twice" },
	{ "{" BUNDLE ",'entry':{}}", "byte 55: Bundle.entry is not an"
	    " array, or stands there twice" },
	{ "{" BUNDLE ",'entry':null,'entry':[]}", "byte 68: Bundle.entry is"
	    " not an array, or stands there twice" },
	{ "{" BUNDLE ",'entry':[],'entry':[]}",
	    "byte 64: duplicate member name \"entry\"" },
	{ "{" BUNDLE ",'entry':[{'resource':null}]}", "byte 53: a Bundle"
	    " entry whose resource is not an object" },
	{ "{" BUNDLE ",'entry':[{'resource':[" X "]}]}", "byte 53: a Bundle"
	    " entry whose resource is not an object" },
	{ "{" BUNDLE ",'entry':[{'resource':" X ",'resource':" X "}]}",
	    "byte 53: duplicate member name \"resource\" in a Bundle entry" },
	{ "{" BUNDLE ",'entry':[{'search':{'mode':'include'},'a':1,"
	    "'search':{}}]}",
	    "byte 53: duplicate member name \"search\" in a Bundle entry" },
	{ "{'entry':[]," R "}",
	    "byte 31: a X with a member \"entry\" before its resourceType" },
	{ "{'entry':[],'resourceType':'Y'}",
	    "byte 31: a \"Y\" where a X was expected" },
	{ "{'entry':[]}", "byte 12: an object without a resourceType where a"
	    " X was expected" },
	/* the Bundle itself */
	{ "{'resourceType':'Bundle','type':'history'}", "byte 42: a Bundle of"
	    " type \"history\" (searchset or collection expected)" },
	{ "{'resourceType':'Bundle','type':''}", "byte 35: a Bundle of"
	    " type \"\" (searchset or collection expected)" },
	{ "{'resourceType':'Bundle','type':null}",
	    "byte 37: Bundle.type is not text" },
	{ "{" BUNDLE ",'total':'7'}",
	    "byte 56: Bundle.total is not a number of resources" },
	{ "{" BUNDLE ",'total':-1}",
	    "byte 55: Bundle.total is not a number of resources" },
	{ "{" BUNDLE ",'total':1.0}",
	    "byte 56: Bundle.total is not a number of resources" },
	{ "{" BUNDLE ",'total':9223372036854775808}",
	    "byte 72: Bundle.total is not a number of resources" },
	{ "{" BUNDLE ",'total':null}",
	    "byte 57: Bundle.total is not a number of resources" },
	{ "{" BUNDLE ",'total':1,'total':1}",
	    "byte 64: Bundle: an object has two members named \"total\":"
	    " total" },
	{ "{" BUNDLE ",'a':{'b':1,'b':2}}",
	    "byte 62: Bundle: an object has two members named \"b\": a.b" },
	/* links */
	{ "{" BUNDLE ",'link':{}}", "byte 54: Bundle.link is not an array" },
	{ "{" BUNDLE ",'link':null}", "byte 56: Bundle.link is not an array" },
	{ "{" BUNDLE ",'link':['n']}",
	    "byte 57: a Bundle.link that is not an object" },
	{ "{" BUNDLE ",'link':[{'relation':'next'}]}",
	    "byte 73: a next link without a url" },
	{ "{" BUNDLE ",'link':[{'relation':'next','url':''}]}",
	    "byte 82: a next link without a url" },
	{ "{" BUNDLE ",'link':[{'relation':'next','url':1}]}",
	    "byte 81: a next link without a url" },
	{ "{" BUNDLE ",'link':[{'relation':'next','url':'a'},"
	    "{'relation':'next','url':'b'}]}",
	    "byte 113: two next links that differ" },
	/* names that stand twice in an entry, wherever below it */
	{ "{" BUNDLE ",'entry':[{'search':{'mode':'include','mode':'match'},"
	    "'resource':" X "}]}", "byte 53: Bundle.entry.search:"
	    " an object has two members named \"mode\": mode" },
	{ "{" BUNDLE ",'entry':[{'link':[{'a':1,'a':2}],'resource':" X "}]}",
	    "byte 53: Bundle.entry.link: an object has two members"
	    " named \"a\": 0.a" },
	{ "{" BUNDLE ",'entry':[{'search':{'mode':'outcome'},'resource':{"
	    "'id':'a','id':'b'}}]}", "byte 53: Bundle.entry.resource:"
	    " an object has two members named \"id\": id" },
	/* several values */
	{ "{" BUNDLE "}\n{" BUNDLE "}",
	    "byte 89: a Bundle or an array is not the only value" },
	{ X "\n{" BUNDLE "}", X
	    " byte 65: a Bundle or an array is not the only value" },
	{ "{" BUNDLE "}\n" X, X
	    " byte 65: a Bundle or an array is not the only value" },
	{ "[]\n[]", "byte 5: a Bundle or an array is not the only value" },
	{ X "\n[]", X
	    " byte 23: a Bundle or an array is not the only value" },
	{ X " " X, X " byte 22: a second value on the same line" },
	{ "{\n" R "}\n" X, "{" R "} byte 42: several values, but one of them"
	    " spans lines (NDJSON wants each on a line of its own)" },
	/* what is being read is named by its key */
	{ "[{'identifier':[{'value':'k'}],'a':1e9999}]",
	    "byte 41, resource \"k\": a number that a Decimal128 cannot hold"
	    " digit for digit (34 digits, exponent -6176 to 6111)" },
	{ "{'identifier':[{'value':'k'}],'a':'\\ud800'}",
	    "byte 41, resource \"k\": an unpaired surrogate escape" },
	{ X "\n{'identifier':[{'value':'k'}],'a\\u0000':1}", X
	    " byte 60, resource \"k\": a member name with a NUL in it" },
	{ "{" BUNDLE ",'entry':[{'resource':{'identifier':[{'value':'k'}],"
	    "'a':'\xff'}}]}",
	    "byte 102, resource \"k\": text that is not UTF-8" },
	{ "{" BUNDLE ",'entry':[{'resource':" X ",'a':'\xff'}]}",
	    "byte 93: text that is not UTF-8" },
};

static void
check_page(const char *text, const char *expected)
{
	char *json, *found;

	json = test_quotes(text);
	found = test_each_cut(feed, (const uint8_t *)json, strlen(json));
	ck_assert_str_eq(found, expected);
	free(found);
	free(json);
}

START_TEST(page)
{
	check_page(pages[_i].text, pages[_i].expected);
}
END_TEST

START_TEST(refused)
{
	check_page(refusals[_i].text, refusals[_i].expected);
}
END_TEST

/* A page that ends anywhere is cut; the end of a line of NDJSON is none. */
START_TEST(cut_anywhere)
{
	static const char *const texts[] = {
		"{'entry':[{'resource':" X "}],'total':1," BUNDLE "}",
		"[" X "," X "]", X, X "\n" X,
	};
	char  *text, *found;
	size_t len, i;
	bool   is_line;

	text = test_quotes(texts[_i]);
	len = strlen(text);
	for (i = 1; i < len; i++) {
		found = test_each_cut(feed, (uint8_t *)text, i);
		is_line = _i == 3 && (i == strlen(X) || i == strlen(X) + 1);
		if (is_line)
			ck_assert_str_eq(found, X " ok");
		else
			ck_assert_msg(strstr(found, " (cut)") != NULL,
			    "%zu: %s", i, found);
		free(found);
	}
	free(text);
}
END_TEST

/* What the callback says is passed on, with the place. */
START_TEST(callback_says_no)
{
	static const char *const expected[] = {
		"{" R ",'identifier':[{'value':'k'}]}"
		    " 65 byte 53, resource \"k\": enough",
		"{" R ",'identifier':[{'value':'k'}]} " X
		    " 65 byte 116: enough",
	};
	struct buf     out = { 0 };
	struct reader  reader = { &out, _i };
	struct bundle *bundle;
	char	      *text;

	text = test_quotes("{" BUNDLE ",'entry':[{'resource':{" R
	    ",'identifier':[{'value':'k'}]}},{'resource':" X "}]}");
	bundle = bundle_new(TYPE, on_resource, &reader);
	feed_bundle(bundle, &out, (uint8_t *)text, strlen(text), 0);
	buf_append_byte(&out, 0);
	ck_assert_str_eq((char *)out.data, expected[_i]);
	bundle_free(bundle);
	bundle_free(NULL);
	buf_clear(&out);
	free(text);
}
END_TEST

/* After any page or refusal a reset makes it ready for another. */
START_TEST(reset)
{
	struct buf     out = { 0 };
	struct reader  reader = { &out, -1 };
	struct bundle *bundle;
	char	      *before, *text;
	bool	       is_page = _i < LENGTH_OF(pages);

	before = test_quotes(is_page ? pages[_i].text :
	    refusals[_i - LENGTH_OF(pages)].text);
	text = test_quotes(X "\n" X);
	bundle = bundle_new(TYPE, on_resource, &reader);
	feed_bundle(bundle, &out, (uint8_t *)before, strlen(before), 0);
	bundle_reset(bundle);
	out.len = 0;
	feed_bundle(bundle, &out, (uint8_t *)text, strlen(text), 0);
	buf_append_byte(&out, 0);
	ck_assert_str_eq((char *)out.data, X " " X " ok");
	/* ... and a refusal after it has its own place. */
	bundle_reset(bundle);
	out.len = 0;
	feed_bundle(bundle, &out, (const uint8_t *)" 1 ", 3, 0);
	buf_append_byte(&out, 0);
	ck_assert_str_eq((char *)out.data, "byte 2: neither an object nor an"
	    " array of resources");
	bundle_free(bundle);
	buf_clear(&out);
	free(before);
	free(text);
}
END_TEST

/* Entries with as many members as are allowed, and one more. */
START_TEST(members_of_entry)
{
	struct buf text = { 0 };
	int	   i;

	buf_print(&text, "{" BUNDLE ",'entry':[{'m':0");
	for (i = 1; i < MAX_ENTRY_MEMBERS + _i; i++)
		buf_print(&text, ",'m%d':%d", i, i);
	buf_print(&text, "}]}");
	buf_append_byte(&text, 0);
	check_page((char *)text.data, _i == 0 ? "ok" :
	    "byte 53: a Bundle entry with more than 32 members");
	buf_clear(&text);
}
END_TEST

/* A key is cut in a message. */
START_TEST(long_key)
{
	struct buf text = { 0 };
	char	   key[MAX_KEY_BYTES + 2] = { 0 };
	char	  *found, *expected;

	memset(key, 'k', MAX_KEY_BYTES + 1);
	buf_print(&text, "[{\"identifier\":[{\"value\":\"%s\"}]}]", key);
	found = test_transcript(feed, text.data, text.len, 0);
	key[MAX_KEY_BYTES] = '\0';
	expected = xasprintf("byte 1, resource \"%s\": an object without a"
	    " resourceType where a X was expected", key);
	ck_assert_str_eq(found, expected);
	free(expected);
	free(found);
	buf_clear(&text);
}
END_TEST

static const struct {
	const char *body;
	const char *text;
} outcomes[] = {
	{ "", "" },
	{ "<html>", "" },
	{ "[]", "" },
	{ "{'issue':[{'severity':'error','code':'x'}]}", "" },
	{ "{'resourceType':'Y','issue':[{'code':'x'}]}", "" },
	{ "{'resourceType':'OperationOutcome'}", "" },
	{ "{'resourceType':'OperationOutcome','issue':{}}", "" },
	{ "{'resourceType':'OperationOutcome','issue':[]}", "" },
	{ "{'resourceType':'OperationOutcome','issue':[1]}", "" },
	{ "{'resourceType':'OperationOutcome','issue':[{'severity':'error',"
	    "'code':'x'}]}", "error/x" },
	{ "{'resourceType':'OperationOutcome','issue':[{'severity':'error',"
	    "'code':'x','diagnostics':'d','details':{'text':'t'}}]}",
	    "error/x: d" },
	{ "{'resourceType':'OperationOutcome','issue':[{'severity':'error',"
	    "'code':'x','diagnostics':'','details':{'text':'t'}}]}",
	    "error/x: t" },
	{ "{'resourceType':'OperationOutcome','issue':[{'severity':'error',"
	    "'code':'x','details':{'coding':[{'display':'s'}]}}]}",
	    "error/x: s" },
	{ "{'resourceType':'OperationOutcome','issue':[{'severity':'fatal',"
	    "'code':'x'},{'severity':'warning','code':'y',"
	    "'diagnostics':'d'}]}", "fatal/x; warning/y: d" },
	{ "{'resourceType':'OperationOutcome','issue':[{}]}", "/" },
};

START_TEST(outcome)
{
	char text[MAX_OUTCOME_TEXT];
	char *body;

	body = test_quotes(outcomes[_i].body);
	memset(text, 'x', sizeof(text));
	outcome_describe_body((uint8_t *)body, strlen(body), text);
	ck_assert_str_eq(text, outcomes[_i].text);
	free(body);
}
END_TEST

START_TEST(long_outcome)
{
	struct buf body = { 0 };
	char	   text[MAX_OUTCOME_TEXT];
	int	   i;

	buf_print(&body,
	    "{\"resourceType\":\"OperationOutcome\",\"issue\":[{}");
	for (i = 0; i < MAX_OUTCOME_TEXT; i++)
		buf_print(&body, ",{\"severity\":\"s%d\"}", i);
	buf_print(&body, "]}");
	outcome_describe_body(body.data, body.len, text);
	ck_assert_uint_eq(strlen(text), MAX_OUTCOME_TEXT - 1);
	ck_assert_int_eq(strncmp(text, "/; s0/; s1/; ", 13), 0);
	buf_clear(&body);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bundle");
	TCase *tests = tcase_create("bundle");

	/* Sanitizers and valgrind are slow. */
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, page, 0, LENGTH_OF(pages));
	tcase_add_loop_test(tests, refused, 0, LENGTH_OF(refusals));
	tcase_add_loop_test(tests, cut_anywhere, 0, 4);
	tcase_add_loop_test(tests, callback_says_no, 0, 2);
	tcase_add_loop_test(tests, reset, 0,
	    LENGTH_OF(pages) + LENGTH_OF(refusals));
	tcase_add_loop_test(tests, members_of_entry, 0, 2);
	tcase_add_test(tests, long_key);
	tcase_add_loop_test(tests, outcome, 0, LENGTH_OF(outcomes));
	tcase_add_test(tests, long_outcome);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
