/* Feeds the JSON parser and writes down what it finds. */
#ifndef NOMPD_JSONLIB_H
#define NOMPD_JSONLIB_H

#include <inttypes.h>

#include "json_bson.h"
#include "limit.h"
#include "testlib.h"

/* Where a resource may stand. */
static const char *const json_places[] = {
	"%s", "[%s]", "[{},%s]", "{}\n%s", "{'entry':[{'resource':%s}]}",
	"{'resourceType':'Bundle','entry':[{},{'resource':%s}]}",
};

struct json_reader {
	struct buf *out;
	int	    parts_left; /* until the callback fails; -1: never */
};

static inline void
json_say_part(struct buf *out, const struct json_part_info *info)
{
	static const char *const names[] = {
		[JSON_PART_ENTRY] = "entry", [JSON_PART_ITEM] = "item",
		[JSON_PART_OBJECT] = "object",
		[JSON_PART_ENVELOPE] = "envelope", [JSON_PART_ARRAY] = "array",
	};
	bson_t doc;
	char  *json;

	buf_print(out, "%s@%" PRIu64, names[info->part], info->position);
	if (info->part == JSON_PART_ARRAY) {
		ck_assert_ptr_null(info->doc);
		ck_assert_uint_eq(info->len, 0);
		return;
	}
	ck_assert(bson_init_static(&doc, info->doc, info->len));
	ck_assert(bson_validate(&doc, BSON_VALIDATE_UTF8 |
	    BSON_VALIDATE_UTF8_ALLOW_NULL, NULL));
	json = test_json(&doc);
	buf_print(out, " %s", json);
	free(json);
}

static inline int
json_on_part(void *ctx, const struct json_part_info *info,
    struct error *err)
{
	struct json_reader *reader = ctx;

	json_say_part(reader->out, info);
	buf_append_byte(reader->out, '\n');
	if (reader->parts_left-- == 0)
		return error_set(err, STATUS_HELD, "enough");
	return 0;
}

/* Feeds all chunks, each from memory of just its size. */
static inline int
json_feed_chunks(struct json_bson *json, const uint8_t *text, size_t len,
    size_t cut, struct error *err)
{
	uint8_t *chunk;
	size_t	 at, end;
	int	 rc = 0;

	for (at = 0; at < len && rc == 0; at = end) {
		end = test_chunk_end(at, len, cut);
		chunk = xcalloc(1, end - at);
		memcpy(chunk, text + at, end - at);
		rc = json_bson_feed(json, chunk, end - at, err);
		free(chunk);
	}
	return rc == 0 ? json_bson_finish(json, err) : -1;
}

/* Parts, each on a line; then the error, where, and what was being built. */
static inline void
json_feed_until(struct buf *out, const uint8_t *text, size_t len, size_t cut,
    int parts_left)
{
	struct json_reader	      reader = { out, parts_left };
	struct json_part_info info;
	struct json_bson     *json;
	struct error	      err;

	json = json_bson_new(json_on_part, &reader, false);
	if (json_feed_chunks(json, text, len, cut, &err) == -1) {
		if (err.status != STATUS_PROTOCOL)
			buf_print(out, "%d ", err.status);
		buf_print(out, "%" PRIu64 " %s%s", json_bson_position(json),
		    err.text, json_bson_is_cut(json) ? " (cut)" : "");
		if (json_bson_partial(json, &info)) {
			buf_print(out, ": ");
			json_say_part(out, &info);
		}
	} else
		ck_assert(!json_bson_is_cut(json));
	json_bson_free(json);
}

static inline void
json_feed(struct buf *out, const uint8_t *text, size_t len, size_t cut)
{
	json_feed_until(out, text, len, cut, -1);
}

/* The text, with ' for ", is fed in every way and gives expected. */
static inline void
json_check_text(const char *text, const char *expected)
{
	char *json, *found;

	json = test_quotes(text);
	found = test_each_cut(json_feed, (const uint8_t *)json, strlen(json));
	ck_assert_str_eq(found, expected);
	free(found);
	free(json);
}

#endif
