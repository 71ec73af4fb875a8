#include "jsonlib.h"

/* The limit of a document: a record, and 64 KiB for what is around it. */
#define DOCUMENT_BYTES (MAX_RECORD_BYTES + 64 * 1024)
/* {"a":""} as BSON */
#define FRAME_BYTES (4 + 1 + 2 + 4 + 1 + 1)
#define TOKEN_BYTES (6 * (size_t)MAX_RECORD_BYTES)
/* Few chunks: the parser reads a token that is cut again from its start. */
#define CHUNK_BYTES (TOKEN_BYTES / 4)

/* A resource of that many levels, of objects or (below the first) arrays. */
static char *
nested(int depth, bool is_array)
{
	struct buf text = { 0 };
	int	   i;

	for (i = 1; i < depth; i++)
		buf_print(&text, is_array && i > 1 ? "[" : "{\"a\":");
	buf_print(&text, is_array ? "[" : "{");
	buf_print(&text, is_array ? "]" : "}");
	for (i = depth - 1; i > 0; i--)
		buf_print(&text, is_array && i > 1 ? "]" : "}");
	buf_append_byte(&text, 0);
	return (char *)text.data;
}

START_TEST(nesting)
{
	bool  is_array, is_deep;
	char *format, *resource, *text, *found;
	int   i;

	format = test_quotes(json_places[_i]);
	for (i = 0; i < 4; i++) {
		is_array = i % 2 == 1;
		is_deep = i / 2 == 1;
		resource = nested(MAX_NESTING + is_deep, is_array);
		text = test_put(format, resource);
		found = test_each_cut(json_feed, (const uint8_t *)text,
		    strlen(text));
		ck_assert_msg((strstr(found, "nested deeper than 100 levels") !=
		    NULL) == is_deep, "%s", found);
		ck_assert_msg(is_deep || found[strlen(found) - 1] == '\n',
		    "%s", found);
		free(found);
		free(text);
		free(resource);
	}
	free(format);
}
END_TEST

/* What stands in a Bundle beside its entries counts from the Bundle. */
START_TEST(nesting_of_envelope)
{
	static const char *const formats[] = {
		"{'entry':[],'x':%s}", "{'x':%s,'entry':[]}",
	};
	char *format, *value, *text, *found;
	int   i;

	for (i = 0; i < 4; i++) {
		format = test_quotes(formats[i % 2]);
		value = nested(MAX_NESTING - 1 + i / 2, false);
		text = test_put(format, value);
		found = test_each_cut(json_feed, (const uint8_t *)text,
		    strlen(text));
		ck_assert_msg((strstr(found, "nested deeper") != NULL) ==
		    (i / 2 == 1), "%s", found);
		free(found);
		free(text);
		free(value);
		free(format);
	}
}
END_TEST

static int
on_sized_part(void *ctx, const struct json_part_info *info, struct error *err)
{
	size_t *largest = ctx;
	bson_t	doc;

	(void)err;
	ck_assert(info->part == JSON_PART_ARRAY ||
	    bson_init_static(&doc, info->doc, info->len));
	if (info->len > *largest)
		*largest = info->len;
	return 0;
}

static void
add_text(struct buf *text, size_t len)
{
	memset(buf_reserve(text, len), 'x', len);
	text->len += len;
}

/* -1 when refused for its size, else the size of the largest part. */
static long
largest_part(const struct buf *text)
{
	struct json_bson *json;
	struct error	  err;
	size_t		  largest = 0, at, len;
	int		  rc = 0;

	json = json_bson_new(on_sized_part, &largest, false);
	for (at = 0; at < text->len && rc == 0; at += len) {
		len = text->len - at < CHUNK_BYTES ? text->len - at :
		    CHUNK_BYTES;
		rc = json_bson_feed(json, text->data + at, len, &err);
	}
	if (rc == 0)
		rc = json_bson_finish(json, &err);
	if (rc == -1)
		ck_assert_str_eq(err.text,
		    "a resource over the limit of 16 MiB (as BSON)");
	json_bson_free(json);
	return rc == -1 ? -1 : (long)largest;
}

/* One text, at the limit and one byte over it, wherever it stands. */
START_TEST(document_size)
{
	const char *place = json_places[_i];
	struct buf  text = { 0 };
	size_t	    around = strstr(place, "resource'") != NULL ? 15 : 0;
	long	    size;
	int	    over;
	char	   *format, *at;

	format = test_quotes(place);
	at = strstr(format, "%s");
	for (over = 0; over < 2; over++) {
		text.len = 0;
		buf_append(&text, format, (size_t)(at - format));
		buf_print(&text, "{\"a\":\"");
		add_text(&text, DOCUMENT_BYTES - around - FRAME_BYTES + over);
		buf_print(&text, "\"}%s", at + 2);
		size = largest_part(&text);
		ck_assert_int_eq(size, over ? -1 : DOCUMENT_BYTES);
	}
	buf_clear(&text);
	free(format);
}
END_TEST

/* Members that fit alone, but not together. */
START_TEST(document_size_of_many)
{
	static const char *const formats[] = {
		"{\"entry\":[],\"a\":\"", "{\"a\":\"", "[{\"a\":\"",
		"{\"b\":{\"a\":\"",
	};
	static const char *const ends[] = { "}", "}", "}]", "}}" };
	struct buf text = { 0 };
	int	   more;

	for (more = 0; more < 2; more++) {
		text.len = 0;
		buf_print(&text, "%s", formats[_i]);
		add_text(&text, DOCUMENT_BYTES / 2);
		buf_print(&text, "\",\"b\":\"");
		add_text(&text, DOCUMENT_BYTES / 2 * more);
		buf_print(&text, "\"%s", ends[_i]);
		ck_assert_int_eq(largest_part(&text) == -1, more);
	}
	buf_clear(&text);
}
END_TEST

START_TEST(document_size_of_numbers)
{
	struct buf text = { 0 };
	int	   i, round;

	buf_print(&text, "{\"a\":[0");
	for (round = 0; round < 2; round++) {
		/* Each is a type, an index of up to 7 digits with its NUL,
		 * and an int32. */
		for (i = 0; i < DOCUMENT_BYTES / 13; i++)
			buf_append(&text, ",0", 2);
		buf_print(&text, "]}");
		ck_assert_int_eq(largest_part(&text) == -1, round);
		text.len -= 2;
	}
	buf_clear(&text);
}
END_TEST

START_TEST(name_size)
{
	struct buf text = { 0 };

	buf_print(&text, "{\"");
	add_text(&text, DOCUMENT_BYTES + 1);
	buf_print(&text, "\":1}");
	ck_assert_int_eq(largest_part(&text), -1);
	buf_clear(&text);
}
END_TEST

/* The longest way to write a text that fits a record. */
START_TEST(longest_token)
{
	struct buf text = { 0 };
	size_t	   i;

	buf_print(&text, "{\"a\":\"");
	for (i = 0; i < MAX_RECORD_BYTES - FRAME_BYTES; i++)
		buf_append(&text, "\\u0041", 6);
	buf_print(&text, "\"}");
	ck_assert_int_eq(largest_part(&text), MAX_RECORD_BYTES);
	buf_clear(&text);
}
END_TEST

/* A token that never ends is refused before memory does. */
START_TEST(endless_token)
{
	static const char *const starts[] = {
		"{\"a\":\"", "{\"", "\"", "{\"a\":1", "9", "[{\"a\":1.0",
	};
	const char	 *start = starts[_i];
	struct json_bson *json;
	struct error	  err;
	uint8_t		 *chunk;
	size_t		  largest = 0, fed = 0;

	chunk = xcalloc(1, CHUNK_BYTES);
	memset(chunk, '0', CHUNK_BYTES);
	json = json_bson_new(on_sized_part, &largest, false);
	ck_assert_int_eq(json_bson_feed(json, (const uint8_t *)start,
	    strlen(start), &err), 0);
	while (json_bson_feed(json, chunk, CHUNK_BYTES, &err) == 0)
		fed += CHUNK_BYTES;
	ck_assert_str_eq(err.text,
	    "a single value over the limit of 96 MiB of text");
	ck_assert_uint_gt(fed, TOKEN_BYTES - 2 * CHUNK_BYTES);
	ck_assert_uint_le(fed, TOKEN_BYTES);
	json_bson_free(json);
	free(chunk);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("json_limits");
	TCase *tests = tcase_create("json_limits");

	/* Sanitizers and valgrind are slow. */
	tcase_set_timeout(tests, 300);
	tcase_add_loop_test(tests, nesting, 0, LENGTH_OF(json_places));
	tcase_add_test(tests, nesting_of_envelope);
	tcase_add_loop_test(tests, document_size, 0, LENGTH_OF(json_places));
	tcase_add_loop_test(tests, document_size_of_many, 0, 4);
	tcase_add_test(tests, document_size_of_numbers);
	tcase_add_test(tests, name_size);
	tcase_add_test(tests, longest_token);
	tcase_add_loop_test(tests, endless_token, 0, 6);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
