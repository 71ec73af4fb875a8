/* A change of a document as text: for programs, and for people. */
#include <bson/bson.h>
#include <string.h>

#include "bson_diff.h"
#include "bson_json.h"
#include "buf.h"
#include "json_quote.h"
#include "text.h"

/* U+2192, RIGHTWARDS ARROW */
#define ARROW " \xe2\x86\x92 "

static void
append(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

/* RFC 6901, 3 */
static void
escape_name(struct buf *out, const struct bson_diff_step *step)
{
	size_t i;

	for (i = 0; i < step->len; i++) {
		if (step->name[i] == '~')
			append(out, "~0");
		else if (step->name[i] == '/')
			append(out, "~1");
		else
			buf_append_byte(out, (uint8_t)step->name[i]);
	}
}

static void
append_pointer(struct buf *out, const struct bson_change *change)
{
	struct buf pointer = { 0 };
	size_t	   i;

	for (i = 0; i < change->depth; i++) {
		buf_append_byte(&pointer, '/');
		if (change->steps[i].name != NULL)
			escape_name(&pointer, &change->steps[i]);
		else
			buf_print(&pointer, "%zu", change->steps[i].to);
	}
	json_quote_append(out, (const char *)pointer.data, pointer.len);
	buf_clear(&pointer);
}

int
bson_diff_patch(struct buf *out, const struct bson_change *change)
{
	static const char *const ops[] = {
		[BSON_ADDED] = "add",
		[BSON_REMOVED] = "remove",
		[BSON_CHANGED] = "replace",
	};

	buf_print(out, "{\"op\":\"%s\",\"path\":", ops[change->kind]);
	append_pointer(out, change);
	if (change->to != NULL) {
		append(out, ",\"value\":");
		if (bson_json_append_member(out, change->to) == -1)
			return -1;
	}
	if (change->from != NULL) {
		append(out, ",\"was\":");
		if (bson_json_append_member(out, change->from) == -1)
			return -1;
	}
	buf_append_byte(out, '}');
	return 0;
}

void
bson_diff_plain(struct buf *out, const char *text, size_t len)
{
	struct buf copy = { 0 };
	size_t	   i, j, n;

	buf_append(&copy, text, len);
	buf_append_byte(&copy, '\0');
	for (i = 0; i < len; i += n) {
		n = text_control_len((const char *)copy.data + i);
		if (n == 0 && copy.data[i] != '\0') {
			buf_append_byte(out, copy.data[i]);
			n = 1;
			continue;
		}
		if (n == 0)
			n = 1;
		for (j = i; j < i + n; j++)
			buf_print(out, "\\x%02x", copy.data[j]);
	}
	buf_clear(&copy);
}

/* True when the name cannot be taken for more than one, or for a place. */
static bool
is_simple(const struct bson_diff_step *step)
{
	size_t i;

	for (i = 0; i < step->len; i++) {
		if (strchr(".[]\": ", step->name[i]) != NULL)
			return false;
	}
	return step->len > 0;
}

static void
append_path(struct buf *out, const struct bson_change *change)
{
	const struct bson_diff_step *step;
	struct buf		     quoted = { 0 };
	size_t			     i;

	for (i = 0; i < change->depth; i++) {
		step = &change->steps[i];
		if (step->name == NULL)
			buf_print(out, "[%zu]", change->kind == BSON_REMOVED ?
			    step->from : step->to);
		else if (is_simple(step)) {
			append(out, i > 0 ? "." : "");
			bson_diff_plain(out, step->name, step->len);
		} else {
			quoted.len = 0;
			json_quote_append(&quoted, step->name, step->len);
			append(out, "[");
			bson_diff_plain(out, (const char *)quoted.data,
			    quoted.len);
			append(out, "]");
		}
	}
	buf_clear(&quoted);
}

/* How many of len bytes are shown: whole characters (UTF-8, RFC 3629). */
static size_t
cut_len(const uint8_t *data, size_t len)
{
	if (len <= MAX_DIFF_VALUE_BYTES)
		return len;
	for (len = MAX_DIFF_VALUE_BYTES; len > 0; len--) {
		if ((data[len] & 0xc0) != 0x80)
			break;
	}
	return len;
}

static int
append_value(struct buf *out, const struct bson_member *value)
{
	struct buf json = { 0 };
	size_t	   len;
	int	   rc;

	rc = bson_json_append_member(&json, value);
	if (rc == 0) {
		len = cut_len(json.data, json.len);
		bson_diff_plain(out, (const char *)json.data, len);
		append(out, len < json.len ? "..." : "");
	}
	buf_clear(&json);
	return rc;
}

int
bson_diff_line(struct buf *out, const struct bson_change *change)
{
	append_path(out, change);
	append(out, change->kind == BSON_ADDED ? " added: " :
	    change->kind == BSON_REMOVED ? " removed: " : ": ");
	if (change->from != NULL && append_value(out, change->from) == -1)
		return -1;
	if (change->kind == BSON_CHANGED)
		append(out, ARROW);
	return change->to != NULL ? append_value(out, change->to) : 0;
}
