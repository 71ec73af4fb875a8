#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "json_bson.h"
#include "ndjson.h"
#include "text.h"
#include "xalloc.h"

/* carry is the start of a line whose end has not come. */
struct ndjson {
	ndjson_fn	  fn;
	void		 *ctx;
	struct json_bson *json;
	struct buf	  carry;
	struct buf	  doc; /* of the line being read */
	uint64_t	  number;
	bool		  is_begun; /* a line that is not blank was seen */
};

/* json_part_fn: the document of the line. */
static int
take_part(void *ctx, const struct json_part_info *info, struct error *err)
{
	struct ndjson *ndjson = ctx;

	if (info->part != JSON_PART_OBJECT)
		return error_set(err, STATUS_PROTOCOL,
		    "a JSON array where a resource was expected");
	ndjson->doc.len = 0;
	buf_append(&ndjson->doc, info->doc, info->len);
	return 0;
}

struct ndjson *
ndjson_new(ndjson_fn fn, void *ctx)
{
	struct ndjson *ndjson;

	ndjson = xcalloc(1, sizeof(*ndjson));
	ndjson->fn = fn;
	ndjson->ctx = ctx;
	ndjson->json = json_bson_new(take_part, ndjson, true);
	return ndjson;
}

void
ndjson_free(struct ndjson *ndjson)
{
	if (ndjson == NULL)
		return;
	json_bson_free(ndjson->json);
	buf_clear(&ndjson->carry);
	buf_clear(&ndjson->doc);
	free(ndjson);
}

static int
parse(struct ndjson *ndjson, const uint8_t *text, size_t len,
    struct error *err)
{
	json_bson_reset(ndjson->json);
	if (json_bson_feed(ndjson->json, text, len, err) == -1)
		return error_prefix(err, "column %" PRIu64,
		    json_bson_position(ndjson->json) + 1);
	if (json_bson_finish(ndjson->json, err) == 0)
		return 0;
	return !json_bson_is_cut(ndjson->json) ? -1 : error_set(err,
	    STATUS_PROTOCOL, "the line ends in the middle of its JSON");
}

static int
take_line(struct ndjson *ndjson, const uint8_t *text, size_t len,
    struct error *err)
{
	struct ndjson_line line = { 0 };
	struct error	   why;
	bson_t		   doc;

	line.number = ++ndjson->number;
	/* Before the first line may stand a byte order mark. */
	if (line.number == 1 &&
	    text_mark_bytes(text, len, 0) == TEXT_MARK_BYTES) {
		text += TEXT_MARK_BYTES;
		len -= TEXT_MARK_BYTES;
	}
	line.text = text;
	if (len > 0 && text[len - 1] == '\r')
		len--;
	line.len = len;
	if (text_is_blank(text, len))
		return 0;
	if (!ndjson->is_begun && text[strspn((const char *)text, " \t")] ==
	    '[')
		return error_set(err, STATUS_PROTOCOL, "a JSON array where"
		    " lines of NDJSON, a resource each, were expected");
	ndjson->is_begun = true;
	if (parse(ndjson, text, len, &why) == -1)
		line.why = &why;
	else if (bson_init_static(&doc, ndjson->doc.data, ndjson->doc.len))
		line.doc = &doc;
	else
		xalloc_end();
	return ndjson->fn(ndjson->ctx, &line, err);
}

static int
take_carried(struct ndjson *ndjson, struct error *err)
{
	size_t len = ndjson->carry.len;
	int    rc;

	/* So that looking for a byte always finds an end. */
	buf_append_byte(&ndjson->carry, 0);
	rc = take_line(ndjson, ndjson->carry.data, len, err);
	ndjson->carry.len = 0;
	return rc;
}

/* len: what of the line comes to the part that is carried. */
static int
check_length(const struct ndjson *ndjson, size_t len, struct error *err)
{
	if (ndjson->carry.len + len <= MAX_LINE_BYTES)
		return 0;
	return error_set(err, STATUS_PROTOCOL, "line %" PRIu64 " is longer"
	    " than %d MiB", ndjson->number + 1,
	    MAX_LINE_BYTES / (1024 * 1024));
}

static int
carry(struct ndjson *ndjson, const uint8_t *data, size_t len,
    struct error *err)
{
	if (check_length(ndjson, len, err) == -1)
		return -1;
	buf_append(&ndjson->carry, data, len);
	return 0;
}

int
ndjson_feed(struct ndjson *ndjson, const uint8_t *data, size_t len,
    struct error *err)
{
	const uint8_t *end;
	size_t	       line_len;

	while ((end = memchr(data, '\n', len)) != NULL) {
		line_len = (size_t)(end - data);
		if (ndjson->carry.len > 0) {
			if (carry(ndjson, data, line_len, err) == -1 ||
			    take_carried(ndjson, err) == -1)
				return -1;
		} else if (check_length(ndjson, line_len, err) == -1 ||
		    take_line(ndjson, data, line_len, err) == -1)
			return -1;
		data = end + 1;
		len -= line_len + 1;
	}
	return carry(ndjson, data, len, err);
}

int
ndjson_finish(struct ndjson *ndjson, struct error *err)
{
	return ndjson->carry.len > 0 ? take_carried(ndjson, err) : 0;
}

static int
pass_part(void *ctx, const struct json_part_info *info, struct error *err)
{
	(void)ctx;
	(void)info;
	(void)err;
	return 0;
}

bool
ndjson_is_whole(const uint8_t *text, size_t len)
{
	struct json_bson *json;
	struct error	  err;
	bool		  is_whole;

	if (text_is_blank(text, len))
		return true;
	json = json_bson_new(pass_part, NULL, true);
	/* What is wrong in another way is not cut. */
	is_whole = json_bson_feed(json, text, len, &err) == -1 ||
	    json_bson_finish(json, &err) == 0 || !json_bson_is_cut(json);
	json_bson_free(json);
	return is_whole;
}
