#include "ndjson.h"
#include "testlib.h"

#define CHUNK_BYTES (1024 * 1024)
#define MARK	    "\xef\xbb\xbf"

/* ndjson_fn: "NUMBER LEN DOCUMENT|", or "?REASON|" for a bad line. */
static int
write_down(void *ctx, const struct ndjson_line *line, struct error *err)
{
	struct buf *out = ctx;
	char	   *json;

	(void)err;
	ck_assert((line->doc == NULL) == (line->why != NULL));
	ck_assert_ptr_null(memchr(line->text, '\n', line->len));
	buf_print(out, "%d %zu ", (int)line->number, line->len);
	if (line->doc == NULL) {
		ck_assert_int_eq(line->why->status, STATUS_PROTOCOL);
		buf_print(out, "?%s|", line->why->text);
		return 0;
	}
	json = test_json(line->doc);
	buf_print(out, "%s|", json);
	free(json);
	return 0;
}

/* test_feed_fn: the lines, and what ended the text before its end. */
static void
feed(struct buf *out, const uint8_t *text, size_t len, size_t cut)
{
	struct ndjson *ndjson = ndjson_new(write_down, out);
	struct error   err;
	size_t	       at, end;
	int	       rc = 0;

	for (at = 0; at < len && rc == 0; at = end) {
		end = test_chunk_end(at, len, cut);
		rc = ndjson_feed(ndjson, text + at, end - at, &err);
	}
	if (rc == 0)
		rc = ndjson_finish(ndjson, &err);
	if (rc == -1)
		buf_print(out, "!%d %s", err.status, err.text);
	ndjson_free(ndjson);
}

#define ARRAY \
	"!76 a JSON array where lines of NDJSON, a resource each, were expected"
#define CUT "?the line ends in the middle of its JSON|"

static const struct {
	const char *text;
	const char *lines;
} texts[] = {
	{ "", "" },
	{ "{'a':1}\n", "1 7 {'a':1}|" },
	{ "{'a':1}\n{'b':[2]}\n", "1 7 {'a':1}|2 9 {'b':[2]}|" },
	/* No final line break. */
	{ "{'a':1}", "1 7 {'a':1}|" },
	{ "{'a':1}\n{}", "1 7 {'a':1}|2 2 {}|" },
	/* CR LF, also at the end alone. */
	{ "{'a':1}\r\n{'b':2}\r\n", "1 7 {'a':1}|2 7 {'b':2}|" },
	{ "{'a':1}\r\n{'b':2}\r", "1 7 {'a':1}|2 7 {'b':2}|" },
	/* Blank lines count. */
	{ "\n", "" },
	{ "\r\n \t\n\n{}\n\n {}\t \n\n", "4 2 {}|6 5 {}|" },
	{ " \t\r", "" },
	/* A byte order mark. */
	{ MARK "{'a':1}\n{}\n", "1 7 {'a':1}|2 2 {}|" },
	/* A line that is no good, and the ones around it. */
	{ "{'a':1}\n{'b':\n{'c':3}\n", "1 7 {'a':1}|2 5 " CUT "3 7 {'c':3}|" },
	{ "{'b':\n{}", "1 5 " CUT "2 2 {}|" },
	{ "{}\n{'b", "1 2 {}|2 3 " CUT },
	{ "{}\n{'b':'\xff'}\n{}\n", NULL },
	{ "{}\nnonsense\n{}\n", NULL },
	{ "{}}\n{}\n{} {}\n{}\n", NULL },
	{ "1\n{}\n'a'\n{}\n", NULL },
	/* An array is no NDJSON, one in a later line a bad one. */
	{ "[{'a':1},\n{'b':2}]\n", ARRAY },
	{ "\n \t[\n{}\n]\n", ARRAY },
	{ MARK "[{}]\n", ARRAY },
	{ MARK "\n{}\n", "2 2 {}|" },
	{ "[", ARRAY },
	{ "{}\n[{}]\n{}\n", "1 2 {}|2 4 ?column 4: a JSON array where a"
	    " resource was expected|3 2 {}|" },
};

/* The lines of those that have none in the table: which ones are good. */
static void
check_good_around(const char *lines, const char *text)
{
	ck_assert_msg(strncmp(lines, "1 2 {}|2 ", 9) == 0 ||
	    strstr(lines, "|2 2 {}|") != NULL, "%s: %s", text, lines);
	ck_assert_msg(strchr(lines, '?') != NULL, "%s: %s", text, lines);
	ck_assert_msg(strcmp(lines + strlen(lines) - 3, "{}|") == 0,
	    "%s: %s", text, lines);
	ck_assert_ptr_null(strchr(lines, '!'));
}

START_TEST(in_chunks)
{
	char *text = test_quotes(texts[_i].text), *lines;

	lines = test_each_cut(feed, (const uint8_t *)text, strlen(text));
	if (texts[_i].lines != NULL)
		ck_assert_str_eq(lines, texts[_i].lines);
	else
		check_good_around(lines, text);
	free(lines);
	free(text);
}
END_TEST

/* A NUL is no line's end. */
START_TEST(with_nul)
{
	static const uint8_t text[] = "{}\n{}\0\n{}\n";
	char		    *lines;

	lines = test_each_cut(feed, text, sizeof(text) - 1);
	ck_assert_msg(strncmp(lines, "1 2 {}|2 3 ?", 12) == 0, "%s", lines);
	ck_assert_ptr_nonnull(strstr(lines, "|3 2 {}|"));
	free(lines);
}
END_TEST

/* ndjson_fn: the second line is too much; ctx counts. */
static int
end_at_second(void *ctx, const struct ndjson_line *line, struct error *err)
{
	int *calls = ctx;

	ck_assert_uint_eq(line->number, (uint64_t)++*calls);
	return *calls < 2 ? 0 : error_set(err, STATUS_STORE, "no more");
}

START_TEST(callback_ends)
{
	static const char *const ends[] = { "{}\n{}\n{}\n", "{}\n{}" };
	struct ndjson		*ndjson;
	struct error		 err;
	int			 calls = 0;

	ndjson = ndjson_new(end_at_second, &calls);
	ck_assert_int_eq(ndjson_feed(ndjson, (const uint8_t *)ends[_i],
	    strlen(ends[_i]), &err), _i == 0 ? -1 : 0);
	if (_i == 1)
		ck_assert_int_eq(ndjson_finish(ndjson, &err), -1);
	ck_assert_int_eq(calls, 2);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_str_eq(err.text, "no more");
	ndjson_free(ndjson);
	ndjson_free(NULL);
}
END_TEST

/* A blank line of that many bytes, in chunks, then a good one. */
static int
feed_long(size_t len, size_t chunk, int *calls, struct error *err)
{
	struct ndjson *ndjson;
	uint8_t	      *text;
	size_t	       at, end;
	int	       rc = 0;

	*calls = 1;
	ndjson = ndjson_new(end_at_second, calls);
	text = xcalloc(1, len + 1);
	memset(text, ' ', len);
	text[len] = '\n';
	for (at = 0; at <= len && rc == 0; at = end) {
		end = len + 1 - at < chunk ? len + 1 : at + chunk;
		rc = ndjson_feed(ndjson, text + at, end - at, err);
	}
	if (rc == 0)
		rc = ndjson_feed(ndjson, (const uint8_t *)"{}\n", 3, err);
	free(text);
	ndjson_free(ndjson);
	return rc;
}

START_TEST(longest_line)
{
	struct error err;
	int	     calls;

	/* The one that stops it comes behind the long line. */
	ck_assert_int_eq(feed_long(MAX_LINE_BYTES, CHUNK_BYTES, &calls, &err),
	    -1);
	ck_assert_str_eq(err.text, "no more");
}
END_TEST

START_TEST(too_long_line)
{
	static const size_t chunks[] = { CHUNK_BYTES, MAX_LINE_BYTES + 2 };
	struct error	    err;
	int		    calls;

	ck_assert_int_eq(feed_long(MAX_LINE_BYTES + 1, chunks[_i], &calls,
	    &err), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	ck_assert_str_eq(err.text, "line 1 is longer than 64 MiB");
	ck_assert_int_eq(calls, 1);
}
END_TEST

static const struct {
	const char *text;
	bool	    is_whole;
} ends[] = {
	{ "", true },
	{ " \t\r", true },
	{ "{}", true },
	{ "{'a':{'b':[1]}}", true },
	{ "{} \r", true },
	{ "1", true },
	/* Wrong, but not cut. */
	{ "{]", true },
	{ "nonsense", true },
	{ "{'a':1}}", true },
	{ "{", false },
	{ "{'a", false },
	{ "{'a':", false },
	{ "{'a':1", false },
	{ "{'a':1,", false },
	{ "{'a':[{}", false },
	{ "{'a':'\\u00", false },
	{ "{'a':tru", false },
};

START_TEST(whole_end)
{
	char *text = test_quotes(ends[_i].text);

	ck_assert_msg(ndjson_is_whole((const uint8_t *)text, strlen(text)) ==
	    ends[_i].is_whole, "%s", text);
	free(text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ndjson");
	TCase *tests = tcase_create("ndjson");

	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, in_chunks, 0, LENGTH_OF(texts));
	tcase_add_test(tests, with_nul);
	tcase_add_loop_test(tests, callback_ends, 0, 2);
	tcase_add_test(tests, longest_line);
	tcase_add_loop_test(tests, too_long_line, 0, 2);
	tcase_add_loop_test(tests, whole_end, 0, LENGTH_OF(ends));
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
