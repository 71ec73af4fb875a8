#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "bson_writer.h"
#include "json_bson.h"
#include "json_escape.h"
#include "json_number.h"
#include "limit.h"
#include "text.h"
#include "xalloc.h"

/* An entry or resource while it is built: a record's size and a little for
 * what stands around the resource in a Bundle's entry. */
#define MAX_DOCUMENT_BYTES (MAX_RECORD_BYTES + 64 * 1024)
/* Text of one JSON token, which the parser holds until it is whole: a string
 * of MAX_RECORD_BYTES may be written as six bytes (\u0041) a character. */
#define MAX_TOKEN_BYTES (6 * (uint64_t)MAX_RECORD_BYTES)
/* Up to here the parser may read a token again with each chunk. */
#define MIN_HELD_BYTES (256 * 1024)

/*
 * Invariants: writer holds the part being built; while elements are cut from
 * an object's `entry`, what came before them stands in front of it in the
 * writer's buffer, from its byte 0.  At most one of in_array and in_entries.
 */
struct json_bson {
	json_part_fn	   fn;
	void		  *ctx;
	yajl_handle	   parser;
	struct bson_writer writer;
	struct json_escape escape;

	bool in_array;		 /* inside a top-level array */
	bool in_entries;	 /* inside the `entry` of an object */
	bool is_entry_due;	 /* the last name at the top was `entry` */
	bool is_type_due;	 /* ... was `resourceType` */
	bool is_resource;	 /* the top is known not to be a Bundle */
	bool had_entries, is_cut, is_past_bom, is_whole;
	bool is_at_end;		 /* of the text */
	bool is_misplaced;	 /* a token, by the JSON grammar */
	bool is_filled;		 /* there is more than white space */
	bool is_failed;		 /* a callback has set err */
	bool value_has_break;	 /* in the top-level value that is open */
	bool gap_has_break;	 /* since the last one */
	bool is_multiline;	 /* some top-level value had a line break */

	struct buf     held;	 /* chunks that wait, of a long token */
	const uint8_t *chunk;	 /* being parsed */
	uint64_t chunk_start;	 /* bytes before it */
	uint64_t scanned;	 /* line breaks were looked for up to here */
	uint64_t last_event;	 /* position of the last token */
	uint64_t part_start;
	uint64_t top_start;	 /* of the object whose entries are cut */
	uint64_t values;	 /* top-level values begun */
	size_t	 bom_bytes;	 /* of a byte order mark seen so far */
	struct error *err;	 /* of the call under way */
};

static int
fail(struct json_bson *json, const char *text)
{
	json->is_failed = true;
	return error_set(json->err, STATUS_PROTOCOL, "%s", text);
}

static int
fail_size(struct json_bson *json)
{
	return fail(json, "a resource over the limit of 16 MiB (as BSON)");
}

static uint64_t
position_now(const struct json_bson *json)
{
	/* To end a text the parser gives itself one byte more. */
	return json->is_at_end ? json->chunk_start :
	    json->chunk_start + yajl_get_bytes_consumed(json->parser);
}

static bool
is_inside(const struct json_bson *json)
{
	return json->writer.depth > 0 || json->in_array || json->in_entries;
}

static bool
is_over_size(const struct json_bson *json)
{
	return json->writer.buf.len - json->writer.start > MAX_DOCUMENT_BYTES;
}

/* Looks for a line break from where the last look ended up to position. */
static bool
has_break_until(struct json_bson *json, uint64_t position)
{
	bool   found = false;
	size_t from, to;

	if (position > json->scanned) {
		from = (size_t)(json->scanned - json->chunk_start);
		to = (size_t)(position - json->chunk_start);
		found = memchr(json->chunk + from, '\n', to - from) != NULL;
		json->scanned = position;
	}
	return found;
}

/* Brings the line break flags up to position. */
static void
count_breaks(struct json_bson *json, uint64_t position)
{
	bool *flag;

	flag = is_inside(json) ? &json->value_has_break : &json->gap_has_break;
	if (*flag)
		json->scanned = position;
	else
		*flag = has_break_until(json, position);
}

/* A value comes: is there room, and something that it belongs to? */
static int
check_value(struct json_bson *json)
{
	json->last_event = position_now(json);
	if (json->writer.depth == 0)
		return fail(json, json->in_entries ?
		    "an element of Bundle.entry that is not an object" :
		    json->in_array ?
		    "an element of the array that is not an object" :
		    "neither an object nor an array of resources");
	return is_over_size(json) ? fail_size(json) : 0;
}

static int
on_null(void *ctx)
{
	struct json_bson *json = ctx;

	if (check_value(json) == -1)
		return 0;
	bson_writer_null(&json->writer);
	return 1;
}

static int
on_boolean(void *ctx, int value)
{
	struct json_bson *json = ctx;

	if (check_value(json) == -1)
		return 0;
	bson_writer_bool(&json->writer, value != 0);
	return 1;
}

static int
on_number(void *ctx, const char *text, size_t len)
{
	struct json_bson  *json = ctx;
	struct json_number number;

	if (check_value(json) == -1)
		return 0;
	if (json_number_parse(text, len, &number) == -1)
		return fail(json, "a number that a Decimal128 cannot hold digit"
		    " for digit (34 digits, exponent -6176 to 6111)") == 0;
	bson_writer_number(&json->writer, &number);
	return 1;
}

static bool
is_word(const unsigned char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

static int
on_string(void *ctx, const unsigned char *text, size_t len)
{
	struct json_bson *json = ctx;

	if (check_value(json) == -1)
		return 0;
	if (!text_is_utf8(text, len))
		return fail(json, "text that is not UTF-8") == 0;
	if (len > MAX_DOCUMENT_BYTES)
		return fail_size(json) == 0;
	if (json->is_type_due) {
		json->is_resource |= !is_word(text, len, "Bundle");
		json->is_type_due = false;
	}
	bson_writer_text(&json->writer, text, len);
	return 1;
}

static int
on_name(void *ctx, const unsigned char *text, size_t len)
{
	struct json_bson *json = ctx;
	bool		  is_top;

	json->last_event = position_now(json);
	if (len > MAX_DOCUMENT_BYTES)
		return fail_size(json) == 0;
	if (memchr(text, 0, len) != NULL)
		return fail(json, "a member name with a NUL in it") == 0;
	if (!text_is_utf8(text, len))
		return fail(json, "a member name that is not UTF-8") == 0;
	is_top = json->writer.depth == 1 && !json->in_array &&
	    !json->in_entries;
	json->is_entry_due = is_top && !json->is_resource &&
	    is_word(text, len, "entry");
	json->is_type_due = is_top && is_word(text, len, "resourceType");
	bson_writer_name(&json->writer, text, len);
	return 1;
}

/* A top-level value, or an element that is cut, begins. */
static int
begin_part(struct json_bson *json)
{
	json->last_event = position_now(json);
	json->part_start = json->last_event - 1;
	if (is_inside(json))
		return 0;
	count_breaks(json, json->part_start);
	if (json->values++ > 0 && !json->gap_has_break)
		return fail(json, "a second value on the same line");
	json->gap_has_break = json->value_has_break = json->had_entries = false;
	json->is_resource = json->is_whole;
	return 0;
}

/* A top-level value has ended.  NDJSON: a resource stands on one line. */
static int
end_top_value(struct json_bson *json)
{
	json->is_multiline |= json->value_has_break;
	if (json->values > 1 && json->is_multiline)
		return fail(json, "several values, but one of them spans"
		    " lines (NDJSON wants each on a line of its own)");
	return 0;
}

static int
open_level(struct json_bson *json, bool is_array)
{
	size_t limit = json->in_entries ? MAX_WRITER_LEVELS : MAX_NESTING;

	if (json->writer.depth >= limit)
		return fail(json, "objects and arrays nested deeper than 100"
		    " levels") == 0;
	bson_writer_open(&json->writer, is_array);
	return 1;
}

static int
on_start_object(void *ctx)
{
	struct json_bson *json = ctx;

	if (json->writer.depth > 0) {
		if (check_value(json) == -1)
			return 0;
	} else if (begin_part(json) == -1)
		return 0;
	return open_level(json, false);
}

/* The array that follows is the top object's `entry`: cut its elements. */
static int
begin_entries(struct json_bson *json)
{
	if (json->had_entries)
		return fail(json, "duplicate member name \"entry\"");
	bson_writer_unname(&json->writer);
	json->writer.depth = 0;
	json->top_start = json->part_start;
	json->in_entries = json->had_entries = true;
	json->is_entry_due = false;
	return 0;
}

/* Back to the object whose `entry` it was. */
static void
end_entries(struct json_bson *json)
{
	json->in_entries = false;
	json->writer.start = 0;
	json->writer.levels[0].start = 0;
	json->writer.levels[0].is_array = false;
	json->writer.depth = 1;
	json->part_start = json->top_start;
}

static int
on_start_array(void *ctx)
{
	struct json_bson *json = ctx;

	json->last_event = position_now(json);
	if (json->writer.depth == 1 && json->is_entry_due)
		return begin_entries(json) == 0;
	if (!is_inside(json)) {
		if (begin_part(json) == -1)
			return 0;
		json->in_array = true;
		return 1;
	}
	if (check_value(json) == -1)
		return 0;
	return open_level(json, true);
}

static void
fill_info(const struct json_bson *json, enum json_part part,
    struct json_part_info *info)
{
	const struct bson_writer *writer = &json->writer;

	*info = (struct json_part_info){
		.part = part,
		.position = json->bom_bytes + json->part_start,
		.len = writer->buf.len - writer->start,
	};
	if (info->len > 0)
		info->doc = writer->buf.data + writer->start;
}

static int
give(struct json_bson *json, enum json_part part)
{
	struct bson_writer   *writer = &json->writer;
	struct json_part_info info;
	int		      rc;

	fill_info(json, part, &info);
	rc = json->fn(json->ctx, &info, json->err);
	json->is_failed = rc == -1;
	writer->buf.len = writer->sound_len = writer->start;
	return rc;
}

static enum json_part
part_of_object(const struct json_bson *json)
{
	if (json->in_entries)
		return JSON_PART_ENTRY;
	if (json->in_array)
		return JSON_PART_ITEM;
	return json->had_entries ? JSON_PART_ENVELOPE : JSON_PART_OBJECT;
}

static int
on_end_object(void *ctx)
{
	struct json_bson *json = ctx;

	json->last_event = position_now(json);
	if (json->writer.depth > 1) {
		bson_writer_close(&json->writer);
		return 1;
	}
	count_breaks(json, json->last_event);
	bson_writer_close(&json->writer);
	if (is_over_size(json))
		return fail_size(json) == 0;
	if (!is_inside(json) && end_top_value(json) == -1)
		return 0;
	return give(json, part_of_object(json)) == 0;
}

static int
on_end_array(void *ctx)
{
	struct json_bson *json = ctx;

	json->last_event = position_now(json);
	if (json->writer.depth > 0)
		bson_writer_close(&json->writer);
	else if (json->in_entries)
		end_entries(json);
	else {
		count_breaks(json, json->last_event);
		json->in_array = false;
		json->writer.start = json->writer.buf.len;
		return end_top_value(json) == 0 &&
		    give(json, JSON_PART_ARRAY) == 0;
	}
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_object,
	.yajl_map_key = on_name,
	.yajl_end_map = on_end_object,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end_array,
};

static yajl_handle
parser_new(struct json_bson *json)
{
	yajl_handle parser;

	parser = yajl_alloc(&callbacks, NULL, json);
	if (parser == NULL)
		xalloc_end();
	(void)yajl_config(parser, yajl_allow_multiple_values, 1);
	/* text_is_utf8() is stricter than the parser's own check. */
	(void)yajl_config(parser, yajl_dont_validate_strings, 1);
	return parser;
}

struct json_bson *
json_bson_new(json_part_fn fn, void *ctx, bool is_whole)
{
	struct json_bson *json;

	json = xcalloc(1, sizeof(*json));
	json->fn = fn;
	json->ctx = ctx;
	json->is_whole = is_whole;
	json->parser = parser_new(json);
	return json;
}

void
json_bson_free(struct json_bson *json)
{
	if (json == NULL)
		return;
	yajl_free(json->parser);
	buf_clear(&json->writer.buf);
	buf_clear(&json->held);
	free(json);
}

void
json_bson_reset(struct json_bson *json)
{
	struct buf buf = json->writer.buf;

	yajl_free(json->parser);
	buf_clear(&json->held);
	buf.len = 0;
	*json = (struct json_bson){
		.fn = json->fn, .ctx = json->ctx, .is_whole = json->is_whole,
		.writer = { .buf = buf },
	};
	json->parser = parser_new(json);
}

static bool
is_half_bom(const struct json_bson *json)
{
	return json->bom_bytes % TEXT_MARK_BYTES != 0;
}

/* How many of the bytes belong to a byte order mark at the start. */
static size_t
skip_bom(struct json_bson *json, const uint8_t *data, size_t len)
{
	size_t skipped;

	if (json->is_past_bom)
		return 0;
	skipped = text_mark_bytes(data, len, json->bom_bytes);
	json->bom_bytes += skipped;
	json->is_past_bom = skipped < len || json->bom_bytes == TEXT_MARK_BYTES;
	return skipped;
}

/* The parser's own words for what it met. */
static int
fail_parser(struct json_bson *json)
{
	unsigned char *text;

	if (json->is_failed)
		return -1;
	text = yajl_get_error(json->parser, 0, NULL, 0);
	/* Where the parser stands after such an error depends on the chunks. */
	json->is_misplaced = strncmp((char *)text, "parse", 5) == 0;
	error_set(json->err, STATUS_PROTOCOL, "not JSON (%.*s)",
	    (int)strcspn((char *)text, "\n"), (char *)text);
	yajl_free_error(json->parser, text);
	return -1;
}

static int
parse(struct json_bson *json, const uint8_t *data, size_t len)
{
	size_t sound;

	json->chunk = data;
	sound = json_escape_scan(&json->escape, data, len);
	if (yajl_parse(json->parser, data, sound) != yajl_status_ok)
		return fail_parser(json);
	if (sound < len)
		return fail(json, "an unpaired surrogate escape");
	count_breaks(json, json->chunk_start + len);
	json->chunk_start += len;
	json->scanned = json->chunk_start;
	return 0;
}

static int
parse_held(struct json_bson *json)
{
	int rc;

	rc = parse(json, json->held.data, json->held.len);
	json->held.len = 0;
	return rc;
}

/*
 * The parser reads a token that is not whole again from its start with each
 * chunk.  Of a long one, chunks are held back until there is as much again.
 */
static int
parse_or_hold(struct json_bson *json, const uint8_t *data, size_t len)
{
	uint64_t pending = json->chunk_start - json->last_event;

	if (pending + json->held.len + len > MAX_TOKEN_BYTES)
		return fail(json, "a single value over the limit of 96 MiB of"
		    " text");
	if (pending < MIN_HELD_BYTES)
		return parse(json, data, len);
	buf_append(&json->held, data, len);
	return json->held.len < pending ? 0 : parse_held(json);
}

int
json_bson_feed(struct json_bson *json, const uint8_t *data, size_t len,
    struct error *err)
{
	size_t skipped;

	json->err = err;
	skipped = skip_bom(json, data, len);
	if (json->is_past_bom && is_half_bom(json))
		return fail(json, "not JSON (half of a byte order mark)");
	if (!json->is_filled)
		json->is_filled = !text_is_blank(data + skipped,
		    len - skipped);
	return parse_or_hold(json, data + skipped, len - skipped);
}

int
json_bson_finish(struct json_bson *json, struct error *err)
{
	json->err = err;
	if (json->held.len > 0 && parse_held(json) == -1)
		return -1;
	json->is_at_end = true;
	json->is_cut = is_inside(json) || is_half_bom(json);
	if (is_half_bom(json))
		return fail(json, "not JSON (half of a byte order mark)");
	if (!json->is_filled)
		return fail(json, json->chunk_start == 0 ? "an empty body" :
		    "an empty body (nothing but white space)");
	if (yajl_complete_parse(json->parser) != yajl_status_ok)
		return fail_parser(json);
	json->is_cut = false;
	return 0;
}

bool
json_bson_is_cut(const struct json_bson *json)
{
	return json->is_cut;
}

uint64_t
json_bson_position(const struct json_bson *json)
{
	return json->bom_bytes + (json->is_misplaced && !json->is_at_end ?
	    json->last_event : position_now(json));
}

bool
json_bson_partial(struct json_bson *json, struct json_part_info *info)
{
	struct bson_writer *writer = &json->writer;

	if (writer->depth == 0)
		return false;
	bson_writer_close_all(writer);
	fill_info(json, part_of_object(json), info);
	return true;
}
