#include <stdlib.h>
#include <string.h>

#include "json_canonical.h"
#include "record.h"
#include "repair_int.h"
#include "seal.h"
#include "stop.h"
#include "store_int.h"

/* A merge of what a collection has and the plan for it. */
struct restore {
	struct run	      *run;
	const struct tally    *tally;
	struct json_canonical *canonical;
	struct seal_scan      *scan;
	struct stage_cursor   *plan;
	struct planned	       planned; /* valid when has_planned is 1 */
	int		       has_planned;
};

/* The record with the planned document in it. */
static void
put_planned(const struct restore *restore, const struct planned *planned,
    struct store_record *record)
{
	record->data = planned->data;
	record->data_len = planned->data_len;
	hash_format(planned->hash, record->hash);
	store_json_hash(restore->canonical, record->data, record->data_len,
	    record->json_hash);
}

/* Is that what the plan is for? */
static bool
is_planned(struct restore *restore, const struct store_record *record)
{
	const struct planned *planned = &restore->planned;

	return restore->has_planned == 1 && record_key_compare(planned->key,
	    planned->len, record->key, record->len) == 0;
}

static int
next_planned(struct restore *restore, struct error *err)
{
	restore->has_planned = stage_plan_next(restore->plan,
	    &restore->planned, err);
	return restore->has_planned == -1 ? -1 : 0;
}

/* Digests the collection as it would be; what is planned is in order of
 * keys. */
static int
scan_all(struct restore *restore, struct store_cursor *cursor,
    struct error *err)
{
	const struct planned *planned = &restore->planned;
	struct store_record   record;
	int		      rc;

	if (next_planned(restore, err) == -1)
		return -1;
	while ((rc = store_record_next(cursor, &record, err)) == 1) {
		if (stop_check(STATUS_STORE, err) == -1)
			return -1;
		while (restore->has_planned == 1 && record_key_compare(
		    planned->key, planned->len, record.key, record.len) < 0) {
			if (next_planned(restore, err) == -1)
				return -1;
		}
		if (is_planned(restore, &record) &&
		    planned->act == ACT_UPDATE && !record.is_deleted)
			put_planned(restore, planned, &record);
		seal_scan_add_record(restore->scan, &record);
	}
	return rc;
}

/* The numbers of the collection as it would be. */
static int
scan(struct restore *restore, struct seal_numbers *out, struct error *err)
{
	struct store_cursor *cursor = NULL;
	int		     rc;

	restore->scan = seal_scan_new(restore->tally->name);
	rc = stage_plan_open(restore->run->stage, restore->tally->list,
	    ACT__MAX, &restore->plan, err);
	if (rc == 0)
		rc = store_records_open(restore->run->store,
		    restore->tally->name, true, &cursor, err);
	if (rc == 0)
		rc = scan_all(restore, cursor, err);
	store_cursor_close(cursor);
	stage_cursor_close(restore->plan);
	seal_scan_end(restore->scan, out);
	return rc;
}

/* Writes the planned document into the record as it is. */
static int
write_one(const struct restore *restore, struct store_writer *writer,
    const struct planned *planned, struct error *err)
{
	struct store_cursor *cursor;
	struct store_record  record;
	int		     rc;

	if (store_record_open(restore->run->store, restore->tally->name,
	    planned->key, planned->len, &cursor, err) == -1)
		return -1;
	rc = store_record_next(cursor, &record, err);
	store_cursor_close(cursor);
	if (rc != 1 || record.is_deleted)
		return rc == -1 ? -1 : 0;
	record.key = planned->key;
	record.len = planned->len;
	put_planned(restore, planned, &record);
	return store_writer_copy(writer, &record, false, err);
}

static int
write_planned(struct restore *restore, struct store_writer *writer,
    struct error *err)
{
	struct planned planned;
	int	       rc;

	if (stage_plan_open(restore->run->stage, restore->tally->list,
	    ACT__MAX, &restore->plan, err) == -1)
		return -1;
	while ((rc = stage_plan_next(restore->plan, &planned, err)) == 1) {
		rc = stop_check(STATUS_STORE, err);
		if (rc == 0 && planned.act == ACT_UPDATE)
			rc = write_one(restore, writer, &planned, err);
		if (rc == -1)
			break;
	}
	stage_cursor_close(restore->plan);
	return rc;
}

static int
write_all(struct restore *restore, struct error *err)
{
	struct store_writer *writer;

	if (store_writer_open(restore->run->store, restore->tally->name, 0, 0,
	    &writer, err) == -1)
		return -1;
	if (write_planned(restore, writer, err) == 0)
		return store_writer_close(writer, err);
	store_writer_abort(writer);
	return -1;
}

/* Has the last seal these numbers of it? */
static int
is_sealed(const struct restore *restore, const struct seal_numbers *numbers,
    bool *out, struct error *err)
{
	struct store_versions versions;
	struct seal_numbers   sealed;
	uint8_t		     *seal = NULL;
	size_t		      len = 0;
	int		      rc;

	if (store_versions_get(restore->run->store, &versions, err) == -1)
		return -1;
	rc = store_seal_get(restore->run->store, versions.finished, &seal,
	    &len, err);
	*out = rc == 1 && seal_numbers_get(seal, len, restore->tally->name,
	    &sealed) == 1 && strcmp(sealed.records, numbers->records) == 0;
	free(seal);
	return rc == -1 ? -1 : 0;
}

int
repair_restore(struct run *run, const struct tally *tally, struct error *err)
{
	struct restore	    restore = { .run = run, .tally = tally };
	struct seal_numbers numbers;
	bool		    sealed = false;
	int		    rc;

	if (tally->updated == 0)
		return 0;
	restore.canonical = json_canonical_new();
	rc = scan(&restore, &numbers, err);
	if (rc == 0)
		rc = is_sealed(&restore, &numbers, &sealed, err);
	if (rc == 0 && sealed)
		rc = write_all(&restore, err);
	json_canonical_free(restore.canonical);
	return rc;
}
