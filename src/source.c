#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "source.h"
#include "stop.h"
#include "xalloc.h"

/* Where the records come from is what rows is set: staged or stored. */
struct source {
	enum collection	     collection;
	struct stage	    *stage;
	struct store	    *store;
	struct stage_cursor *staged;
	struct store_cursor *stored;
	struct store_cursor *found;
	/* The last ActivityDefinition that was looked for; plans with many
	 * actions often name the same one again. */
	struct buf	     last_key;
	const uint8_t	    *last_data;
	size_t		     last_len;
	int		     last_answer;
	bool		     has_last;
};

int
source_from_stage(struct stage *stage, enum collection collection,
    struct source **out, struct error *err)
{
	struct source *source;

	*out = NULL;
	source = xcalloc(1, sizeof(*source));
	source->collection = collection;
	source->stage = stage;
	if (stage_cursor_open(stage, collection, &source->staged, err) == -1) {
		source_close(source);
		return -1;
	}
	*out = source;
	return 0;
}

int
source_from_store(struct store *store, enum collection collection,
    struct source **out, struct error *err)
{
	struct source *source;

	*out = NULL;
	source = xcalloc(1, sizeof(*source));
	source->collection = collection;
	source->store = store;
	if (store_records_open(store, collection_name(collection), false,
	    &source->stored, err) == -1) {
		source_close(source);
		return -1;
	}
	*out = source;
	return 0;
}

void
source_close(struct source *source)
{
	if (source == NULL)
		return;
	stage_cursor_close(source->staged);
	store_cursor_close(source->stored);
	store_cursor_close(source->found);
	buf_clear(&source->last_key);
	free(source);
}

/* A view of the BSON document that was read; it may be damaged. */
static int
view(const uint8_t *data, size_t len, const char *key, bson_t *out,
    struct error *err)
{
	if (data != NULL && bson_init_static(out, data, len))
		return 1;
	return error_set(err, STATUS_STORE, "the record \"%s\" is damaged: its"
	    " Data is not BSON; restore the store from a backup", key);
}

static int
next_staged(struct source *source, struct source_record *record,
    struct error *err)
{
	struct staged  staged;
	const uint8_t *data;
	size_t	       len;
	int	       rc;

	rc = stage_cursor_next(source->staged, &staged, err);
	if (rc != 1)
		return rc;
	if (stage_data(source->stage, source->collection, staged.row, &data,
	    &len, err) == -1)
		return -1;
	record->key = staged.key;
	record->len = staged.len;
	return view(data, len, staged.key, &record->data, err);
}

int
source_next(struct source *source, struct source_record *record,
    struct error *err)
{
	struct store_record stored;
	int		    rc;

	if (source->staged != NULL)
		return next_staged(source, record, err);
	rc = store_record_next(source->stored, &stored, err);
	if (rc != 1)
		return rc;
	record->key = stored.key;
	record->len = stored.len;
	return view(stored.data, stored.data_len, stored.key, &record->data,
	    err);
}

static int
find_activity(struct source *source, const char *key, size_t len, bson_t *out,
    struct error *err)
{
	struct store_record stored;
	const uint8_t	   *data;
	size_t		    data_len;
	int		    rc;

	if (source->staged != NULL) {
		rc = stage_find(source->stage, ACTIVITY_DEFINITIONS, key, len,
		    &data, &data_len, err);
		return rc != 1 ? rc : view(data, data_len, key, out, err);
	}
	store_cursor_close(source->found);
	source->found = NULL;
	if (store_record_open(source->store,
	    collection_name(ACTIVITY_DEFINITIONS), key, len, &source->found,
	    err) == -1)
		return -1;
	rc = store_record_next(source->found, &stored, err);
	if (rc != 1 || stored.is_deleted)
		return rc == -1 ? -1 : 0;
	return view(stored.data, stored.data_len, stored.key, out, err);
}

int
source_find_activity(void *ctx, const char *key, size_t len, bson_t *out,
    struct error *err)
{
	struct source *source = ctx;

	if (stop_check(STATUS_STORE, err) == -1)
		return -1;
	if (source->has_last && source->last_key.len == len &&
	    memcmp(source->last_key.data, key, len) == 0) {
		if (source->last_answer == 1)
			(void)bson_init_static(out, source->last_data,
			    source->last_len);
		return source->last_answer;
	}
	source->has_last = false;
	source->last_answer = find_activity(source, key, len, out, err);
	if (source->last_answer == -1)
		return -1;
	if (source->last_answer == 1) {
		/* These bytes stay until the next look-up. */
		source->last_data = bson_get_data(out);
		source->last_len = out->len;
	}
	source->last_key.len = 0;
	buf_append(&source->last_key, key, len);
	source->has_last = len > 0;
	return source->last_answer;
}
