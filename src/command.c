#include <bson/bson.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bson_json.h"
#include "clock.h"
#include "collection.h"
#include "command.h"
#include "json_text.h"
#include "log.h"
#include "store.h"

int
command_flush(struct error *err)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return 0;
	return error_set(err, STATUS_STORE, "cannot write to standard output:"
	    " %s", strerror(errno));
}

int
command_print(json_t *object, struct error *err)
{
	char *text = json_text(object);

	(void)printf("%s\n", text);
	free(text);
	return command_flush(err);
}

int
command_init(const struct options *opts, struct error *err)
{
	struct store_versions versions;
	struct store	     *store;
	int		      rc;

	if (store_open(&opts->store, STORE_WRITE, &store, err) == -1)
		return -1;
	rc = store_versions_get(store, &versions, err);
	if (rc == 0)
		log_info("store %s is ready, at version %lld",
		    store_name(store), (long long)versions.finished);
	store_close(store);
	return rc;
}

static int
append_record(struct buf *out, const struct store_record *record)
{
	bson_t doc, data;
	bool   is_built;
	int    rc = -1;

	if (record->data == NULL ||
	    !bson_init_static(&data, record->data, record->data_len))
		return -1;
	bson_init(&doc);
	is_built = bson_append_utf8(&doc, "_id", -1, record->key,
	    (int)record->len) &&
	    bson_append_utf8(&doc, "BusinessKey", -1, record->key,
	    (int)record->len) &&
	    BSON_APPEND_DOCUMENT(&doc, "Data", &data) &&
	    BSON_APPEND_INT64(&doc, "Version", record->version) &&
	    BSON_APPEND_BOOL(&doc, "IsDeleted", record->is_deleted) &&
	    BSON_APPEND_DATE_TIME(&doc, "UpdatedAt", record->updated_at_ms) &&
	    BSON_APPEND_UTF8(&doc, "ContentHash", record->hash);
	if (is_built)
		rc = bson_json_append(out, &doc);
	bson_destroy(&doc);
	return rc;
}

static int
print_record(const struct options *opts, const struct store *store,
    struct store_cursor *cursor, struct error *err)
{
	struct store_record record;
	struct buf	    text = { 0 };
	int		    rc;

	rc = store_record_next(cursor, &record, err);
	if (rc == -1)
		return -1;
	if (rc == 0)
		return error_set(err, STATUS_NOT_FOUND, "store %s: %s has no"
		    " record \"%s\"", store_name(store),
		    opts->show_collection, opts->show_key);
	rc = append_record(&text, &record);
	if (rc == 0) {
		buf_append_byte(&text, '\n');
		(void)fwrite(text.data, 1, text.len, stdout);
		rc = command_flush(err);
	} else
		error_set(err, STATUS_STORE, "store %s: the record \"%s\" of"
		    " %s is damaged: its Data is not BSON",
		    store_name(store), opts->show_key, opts->show_collection);
	buf_clear(&text);
	return rc;
}

int
command_show(const struct options *opts, struct error *err)
{
	struct store	    *store;
	struct store_cursor *cursor;
	int		     rc;

	if (store_open(&opts->store, STORE_READ, &store, err) == -1)
		return -1;
	rc = store_record_open(store, opts->show_collection, opts->show_key,
	    strlen(opts->show_key), &cursor, err);
	if (rc == 0) {
		rc = print_record(opts, store, cursor, err);
		store_cursor_close(cursor);
	}
	store_close(store);
	return rc;
}
