#include <inttypes.h>

#include "log.h"
#include "stop.h"
#include "upsert.h"

static int
write_one(struct store_writer *writer, const struct planned *planned,
    struct error *err)
{
	struct store_put put;

	if (planned->act == ACT_DELETE)
		return store_writer_delete(writer, planned->key, planned->len,
		    err);
	put = (struct store_put){
		.key = planned->key,
		.len = planned->len,
		.data = planned->data,
		.data_len = planned->data_len,
		.hash = planned->hash,
		.is_new = planned->act == ACT_ADD,
	};
	return store_writer_put(writer, &put, err);
}

static int
write_all(struct store_writer *writer, struct stage_cursor *cursor,
    struct tally *tally, struct error *err)
{
	struct planned planned;
	int	       rc;

	while ((rc = stage_plan_next(cursor, &planned, err)) == 1) {
		if (stop_check(STATUS_STORE, err) == -1 ||
		    write_one(writer, &planned, err) == -1)
			return -1;
		tally->written++;
		log_progress("writing: %s %" PRIu64, tally->name,
		    tally->written);
	}
	return rc;
}

int
upsert_collection(struct stage *stage, struct store *store,
    struct tally *tally, int64_t version, int64_t now_ms,
    struct error *err)
{
	struct store_writer *writer;
	struct stage_cursor *cursor;
	int		     rc;

	if (stage_plan_open(stage, tally->list, ACT__MAX, &cursor, err) == -1)
		return -1;
	rc = store_writer_open(store, tally->name, version, now_ms, &writer,
	    err);
	if (rc == 0) {
		rc = write_all(writer, cursor, tally, err);
		if (rc == 0)
			rc = store_writer_close(writer, err);
		else
			store_writer_abort(writer);
	}
	stage_cursor_close(cursor);
	return rc;
}
