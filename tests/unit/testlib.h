/*
 * Short hands for the unit tests: BSON from JSON text and back.  JSON is
 * written with ' for ", so that tables can be read.
 */
#ifndef NOMPD_TESTLIB_H
#define NOMPD_TESTLIB_H

#include <bson/bson.h>
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bson_json.h"
#include "buf.h"
#include "xalloc.h"

/* A copy of text with " for each '; the caller frees it. */
static inline char *
test_quotes(const char *text)
{
	char *copy = xstrdup(text), *at;

	for (at = copy; *at != '\0'; at++)
		if (*at == '\'')
			*at = '"';
	return copy;
}

/* BSON from JSON ({'$numberDecimal':'1.50'} gives a Decimal128); the caller
 * destroys it. */
static inline bson_t *
test_bson(const char *json)
{
	bson_error_t error;
	bson_t	    *doc;
	char	    *text = test_quotes(json);

	doc = bson_new_from_json((const uint8_t *)text, -1, &error);
	if (doc == NULL)
		ck_abort_msg("%s: %s", text, error.message);
	free(text);
	return doc;
}

/* doc as JSON with " as '; the caller frees it. */
static inline char *
test_json(const bson_t *doc)
{
	struct buf out = { 0 };
	uint8_t	  *at;

	ck_assert_int_eq(bson_json_append(&out, doc), 0);
	buf_append_byte(&out, 0);
	for (at = out.data; *at != '\0'; at++)
		if (*at == '"')
			*at = '\'';
	return (char *)out.data;
}

static inline void
test_json_is(const bson_t *doc, const char *expected)
{
	char *json = test_json(doc);

	ck_assert_str_eq(json, expected);
	free(json);
}

/* A copy of text with part for its "%s"; the caller frees it. */
static inline char *
test_put(const char *text, const char *part)
{
	const char *at = strstr(text, "%s");

	ck_assert_ptr_nonnull(at);
	return xasprintf("%.*s%s%s", (int)(at - text), text, part, at + 2);
}

/* How a text is fed: whole (0), in two chunks (where the second starts), or: */
#define TEST_BYTE_BY_BYTE SIZE_MAX

/* Where the chunk that starts at the byte `at` ends. */
static inline size_t
test_chunk_end(size_t at, size_t len, size_t cut)
{
	if (cut == TEST_BYTE_BY_BYTE)
		return at + 1;
	return at < cut && cut < len ? cut : len;
}

/* Feeds the text with that cut and writes down what came of it. */
typedef void (*test_feed_fn)(struct buf *out, const uint8_t *text, size_t len,
    size_t cut);

static inline char *
test_transcript(test_feed_fn fn, const uint8_t *text, size_t len, size_t cut)
{
	struct buf out = { 0 };

	fn(&out, text, len, cut);
	buf_append_byte(&out, 0);
	return (char *)out.data;
}

/* What comes of the text, which is the same however it is cut; the caller
 * frees it. */
static inline char *
test_each_cut(test_feed_fn fn, const uint8_t *text, size_t len)
{
	char  *whole, *other;
	size_t cut;

	whole = test_transcript(fn, text, len, 0);
	for (cut = 1; cut <= len; cut++) {
		other = test_transcript(fn, text, len,
		    cut < len ? cut : TEST_BYTE_BY_BYTE);
		if (strcmp(whole, other) != 0)
			ck_abort_msg("%s\ncut at %zu of %zu: %s\nwhole: %s",
			    (const char *)text, cut, len, other, whole);
		free(other);
	}
	return whole;
}

/* Runs the suite in this process's own way; the exit status of main(). */
static inline int
test_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int	 failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#define LENGTH_OF(table) ((int)(sizeof(table) / sizeof((table)[0])))

#endif
