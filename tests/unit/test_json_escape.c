#include "json_escape.h"
#include "testlib.h"

/* Texts (JSON or not) and where an escape proves to be unpaired; ALL_SOUND:
 * nowhere. */
#define ALL_SOUND SIZE_MAX

static const struct {
	const char *text;
	size_t	    sound;
} texts[] = {
	{ "", ALL_SOUND },
	{ "plain", ALL_SOUND },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", ALL_SOUND },
	{ "\"\\u0000\\u0041\\u00e6\\u20AC\\uffff\"", ALL_SOUND },
	/* the borders of both halves */
	{ "\"\\ud7ff\"", ALL_SOUND },
	{ "\"\\ue000\"", ALL_SOUND },
	{ "\"\\ud800\\udc00\"", ALL_SOUND },
	{ "\"\\udbff\\udfff\"", ALL_SOUND },
	{ "\"\\uD83D\\uDE00\"", ALL_SOUND },
	{ "\"\\uD83d\\udE00\\ud83D\\uDe00\"", ALL_SOUND },
	{ "\"a\\ud83d\\ude00b\"", ALL_SOUND },
	/* a low half alone: at its last digit */
	{ "\"\\udc00\"", 6 },
	{ "\"\\udfff\"", 6 },
	{ "\"\\ude00\\ud83d\"", 6 },
	{ "\"\\ud83d\\ude00\\ude00\"", 18 },
	/* a high half alone: at what follows */
	{ "\"\\ud800\"", 7 },
	{ "\"\\udbff\"", 7 },
	{ "\"\\ud800x\"", 7 },
	{ "\"\\ud800 \\udc00\"", 7 },
	{ "\"\\ud83d\\n\"", 8 },
	{ "\"\\ud83d\\\\ude00\"", 8 },
	{ "\"\\ud83d\\\"\"", 8 },
	{ "\"\\ud83d\\u0041\"", 12 },
	{ "\"\\ud83d\\ue000\"", 12 },
	{ "\"\\ud83d\\ud7ff\"", 12 },
	{ "\"\\ud83d\\ud83d\"", 12 },
	{ "\"\\ud83d\\ud83d\\ude00\"", 12 },
	{ "\"\\ud83d\\ude00\\ud83d\"", 19 },
	/* a backslash that is escaped starts nothing */
	{ "\"\\\\ud800\"", ALL_SOUND },
	{ "\"\\\\\\\\udc00\"", ALL_SOUND },
	{ "\"\\\\\\udc00\"", 8 },
	{ "\"\\\\\\ud800\"", 9 },
	/* no escape at all: the parser's business */
	{ "\"\\ud8\"", ALL_SOUND },
	{ "\"\\ud8zz\"", ALL_SOUND },
	{ "\"\\U0041\"", ALL_SOUND },
	/* text that ends in the middle */
	{ "\"\\", ALL_SOUND },
	{ "\"\\u", ALL_SOUND },
	{ "\"\\ud80", ALL_SOUND },
	{ "\"\\ud800", ALL_SOUND },
	{ "\"\\ud800\\", ALL_SOUND },
	{ "\"\\ud800\\udc0", ALL_SOUND },
};

static void
scan(struct buf *out, const uint8_t *text, size_t len, size_t cut)
{
	struct json_escape escape = { 0 };
	uint8_t		  *chunk;
	size_t		   at, end, sound;

	for (at = 0; at < len; at = end) {
		end = test_chunk_end(at, len, cut);
		chunk = xcalloc(1, end - at);
		memcpy(chunk, text + at, end - at);
		sound = json_escape_scan(&escape, chunk, end - at);
		ck_assert_uint_le(sound, end - at);
		free(chunk);
		if (sound < end - at) {
			buf_print(out, "%zu", at + sound);
			return;
		}
	}
	buf_print(out, "all");
}

START_TEST(unpaired)
{
	const char *text = texts[_i].text;
	char	   *found, expected[24];

	(void)snprintf(expected, sizeof(expected), "%zu", texts[_i].sound);
	if (texts[_i].sound == ALL_SOUND)
		(void)snprintf(expected, sizeof(expected), "all");
	found = test_each_cut(scan, (const uint8_t *)text, strlen(text));
	ck_assert_str_eq(found, expected);
	free(found);
}
END_TEST

/* Every code unit alone, and behind a high half. */
START_TEST(every_code)
{
	struct json_escape escape;
	char		   text[16];
	unsigned	   code;
	bool		   is_low, is_high, is_sound;

	for (code = 0; code <= 0xffff; code++) {
		is_high = code >= 0xd800 && code < 0xdc00;
		is_low = code >= 0xdc00 && code < 0xe000;
		escape = (struct json_escape){ 0 };
		(void)snprintf(text, sizeof(text), "\\u%04x.", code);
		is_sound = json_escape_scan(&escape, (const uint8_t *)text,
		    7) == 7;
		ck_assert_int_eq(is_sound, !is_high && !is_low);
		escape = (struct json_escape){ 0 };
		(void)snprintf(text, sizeof(text), "\\udaBc\\u%04X.", code);
		is_sound = json_escape_scan(&escape, (const uint8_t *)text,
		    13) == 13;
		ck_assert_int_eq(is_sound, is_low);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("json_escape");
	TCase *tests = tcase_create("json_escape");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, unpaired, 0, LENGTH_OF(texts));
	tcase_add_test(tests, every_code);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
