#include <bson/bson.h>
#include <inttypes.h>
#include <string.h>

#include "bson_json.h"
#include "buf.h"
#include "clock.h"
#include "json_quote.h"
#include "record_json.h"

/* All but the brace at its end. */
static int
append_members(struct buf *out, const struct store_record *record)
{
	char   time[CLOCK_TEXT_BYTES];
	bson_t data;

	if (record->data == NULL ||
	    !bson_init_static(&data, record->data, record->data_len))
		return -1;
	buf_print(out, "{\"_id\":");
	json_quote_append(out, record->key, record->len);
	buf_print(out, ",\"BusinessKey\":");
	json_quote_append(out, record->key, record->len);
	buf_print(out, ",\"Data\":");
	if (bson_json_append(out, &data) == -1)
		return -1;
	clock_format(record->updated_at_ms, time);
	buf_print(out, ",\"Version\":%" PRId64 ",\"IsDeleted\":%s,"
	    "\"UpdatedAt\":\"%s\",\"ContentHash\":", record->version,
	    record->is_deleted ? "true" : "false", time);
	json_quote_append(out, record->hash, strlen(record->hash));
	return 0;
}

static int
append_record(struct buf *out, const char *collection,
    const struct store_record *record, struct error *err)
{
	if (append_members(out, record) == 0)
		return 0;
	return error_set(err, STATUS_STORE, "the record \"%.*s\" of %s is"
	    " damaged: its Data is not BSON; see nompd-sync verify",
	    (int)record->len, record->key, collection);
}

int
record_json_append(struct buf *out, const char *collection,
    const struct store_record *record, struct error *err)
{
	if (append_record(out, collection, record, err) == -1)
		return -1;
	buf_append_byte(out, '}');
	return 0;
}

int
record_json_append_state(struct buf *out, const char *collection,
    const struct store_record *record, struct error *err)
{
	if (append_record(out, collection, record, err) == -1)
		return -1;
	if (record->replaced_in > 0)
		buf_print(out, ",\"ReplacedIn\":%" PRId64 "}",
		    record->replaced_in);
	else
		buf_print(out, ",\"ReplacedIn\":null}");
	return 0;
}
