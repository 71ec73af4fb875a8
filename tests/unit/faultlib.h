/*
 * A store that is not to be trusted: the functions of a real one, of which one
 * call that writes, chosen beforehand, is lost, done twice, or altered.
 */
#ifndef NOMPD_FAULTLIB_H
#define NOMPD_FAULTLIB_H

#include "../../src/store_int.h"
#include "runlib.h"

/* What the fault is in. */
enum target { IN_VERSION, IN_RECORD, IN_KEYS, IN_ENTRY };
/* What is done to it. */
enum lapse_kind {
	LAPSE_LOSE,
	LAPSE_DOUBLE,
	LAPSE_DOUBLE_ELSEWHERE, /* and once more under another key */
	LAPSE_ELSEWHERE,	/* under another key instead */
	LAPSE_DATA,		/* a bit of it */
	LAPSE_HASH,
	LAPSE_VERSION,
	LAPSE_TIME,
	LAPSE_DELETED,
	LAPSE__MAX
};

static const char *const fault_names[LAPSE__MAX] = { "lose", "double",
	"double elsewhere", "elsewhere", "data", "hash", "version", "time",
	"deleted" };

static struct {
	const struct store_ops *real;
	enum target		target;
	enum lapse_kind		kind;
	uint64_t		at; /* calls of the target until then */
	bool			has_fired;
	bool			is_mongodb;
	/* What the store's writer is for. */
	const char	       *collection;
	int64_t			now_ms;
} fault;

/* Is this the call? */
static inline bool
fires(enum target target)
{
	if (fault.target != target || fault.has_fired || --fault.at > 0)
		return false;
	fault.has_fired = true;
	return true;
}

static inline bool
is_sound(const uint8_t *data, size_t len)
{
	bson_t doc;

	return bson_init_static(&doc, data, len) &&
	    bson_validate(&doc, BSON_VALIDATE_UTF8, NULL);
}

/* A copy with one bit changed; the caller frees it.  The driver of MongoDB
 * takes only what is BSON. */
static inline uint8_t *
flip(const uint8_t *data, size_t len)
{
	uint8_t *copy = xcalloc(1, len);
	uint64_t bit;

	for (;;) {
		memcpy(copy, data, len);
		bit = roll(8 * len);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (!fault.is_mongodb || is_sound(copy, len))
			return copy;
	}
}

static inline int
faulty_version_raise(struct store *store, int64_t now_ms, int64_t *version,
    struct error *why)
{
	struct store_versions versions;
	int64_t		      ignored;

	if (!fires(IN_VERSION))
		return fault.real->version_raise(store, now_ms, version, why);
	switch ((int)fault.kind) {
	case LAPSE_LOSE:
		CHECK(fault.real->versions_get(store, &versions, &err));
		*version = versions.raised + 1;
		return 0;
	case LAPSE_DOUBLE:
		CHECK(fault.real->version_raise(store, now_ms, version, &err));
		return fault.real->version_raise(store, now_ms, &ignored, why);
	default:
		return fault.real->version_raise(store, now_ms + 1, version,
		    why);
	}
}

static inline int
faulty_writer_open(struct store *store, const char *collection,
    int64_t version, int64_t now_ms, struct store_writer **out,
    struct error *why)
{
	fault.collection = collection;
	fault.now_ms = now_ms;
	return fault.real->writer_open(store, collection, version, now_ms,
	    out, why);
}

/* One thing of the record is another one. */
static inline int
put_altered(struct store_writer *writer, struct store_record record,
    bool is_new, struct error *why)
{
	uint8_t *data = NULL;
	char	*hex;
	int	 rc;

	switch ((int)fault.kind) {
	case LAPSE_DATA:
		data = flip(record.data, record.data_len);
		record.data = data;
		break;
	case LAPSE_HASH:
		hex = &record.hash[roll(HASH_TEXT_BYTES - 1)];
		*hex = *hex == '0' ? '1' : '0';
		break;
	case LAPSE_VERSION:
		record.version += roll(2) == 0 ? 1 : -1;
		break;
	case LAPSE_TIME:
		record.updated_at_ms += roll(2) == 0 ? 1 : -1;
		break;
	default:
		record.is_deleted = true;
		break;
	}
	rc = fault.real->writer_put(writer, &record, is_new, why);
	free(data);
	return rc;
}

static inline int
faulty_put(struct store_writer *writer, const struct store_record *record,
    bool is_new, struct error *why)
{
	struct store_record other = *record;
	char		   *key;
	int		    rc;

	if (!fires(IN_RECORD))
		return fault.real->writer_put(writer, record, is_new, why);
	if (fault.kind == LAPSE_LOSE)
		return 0;
	if (fault.kind > LAPSE_ELSEWHERE)
		return put_altered(writer, *record, is_new, why);
	rc = fault.kind == LAPSE_ELSEWHERE ? 0 :
	    fault.real->writer_put(writer, record, is_new, why);
	if (rc == -1 || fault.kind == LAPSE_DOUBLE)
		return rc == -1 ? -1 : fault.real->writer_put(writer, record,
		    is_new, why);
	key = xasprintf("%s~", record->key);
	other.key = key;
	other.len = strlen(key);
	rc = fault.real->writer_put(writer, &other, true, why);
	free(key);
	return rc;
}

/* Deletes with a version or a time that is another one. */
static inline int
delete_altered(const struct store_writer *writer, const char *key, size_t len,
    struct error *why)
{
	struct store_writer *other;
	struct store	    *store = writer->store;
	int64_t		     step = roll(2) == 0 ? 1 : -1;
	int		     rc;

	CHECK(fault.real->writer_open(store, fault.collection,
	    writer->version + (fault.kind == LAPSE_VERSION ? step : 0),
	    fault.now_ms + (fault.kind == LAPSE_VERSION ? 0 : step), &other,
	    &err));
	other->store = store;
	rc = fault.real->writer_delete(other, key, len, why);
	if (rc == 0)
		return fault.real->writer_close(other, why);
	fault.real->writer_abort(other);
	return rc;
}

/* It stays live, at this run's version. */
static inline int
delete_not(struct store_writer *writer, const char *key, size_t len,
    struct error *why)
{
	struct store_cursor *cursor;
	struct store_record  record;
	int		     rc;

	CHECK(store_record_open(writer->store, fault.collection, key, len,
	    &cursor, &err));
	CHECK_NEXT(store_record_next(cursor, &record, &err));
	record.version = writer->version;
	record.updated_at_ms = fault.now_ms;
	rc = fault.real->writer_put(writer, &record, false, why);
	store_cursor_close(cursor);
	return rc;
}

/* Deletes another live record, when there is one. */
static inline int
delete_another(struct store_writer *writer, const char *key, size_t len,
    struct error *why)
{
	struct store_cursor *cursor;
	struct store_record  record;
	int		     rc;

	CHECK(store_records_open(writer->store, fault.collection, false,
	    &cursor, &err));
	do {
		rc = store_record_next(cursor, &record, why);
	} while (rc == 1 && record.len == len &&
	    memcmp(record.key, key, len) == 0);
	if (rc == 1)
		rc = fault.real->writer_delete(writer, record.key, record.len,
		    why);
	else if (fault.kind == LAPSE_DOUBLE_ELSEWHERE)
		rc = fault.real->writer_delete(writer, key, len, why);
	store_cursor_close(cursor);
	return rc;
}

static inline int
faulty_delete(struct store_writer *writer, const char *key, size_t len,
    struct error *why)
{
	if (!fires(IN_RECORD))
		return fault.real->writer_delete(writer, key, len, why);
	switch ((int)fault.kind) {
	case LAPSE_LOSE:
		return 0;
	case LAPSE_DOUBLE:
	case LAPSE_DOUBLE_ELSEWHERE:
		CHECK(fault.real->writer_delete(writer, key, len, &err));
		return fault.kind == LAPSE_DOUBLE ?
		    fault.real->writer_delete(writer, key, len, why) :
		    delete_another(writer, key, len, why);
	case LAPSE_ELSEWHERE:
		return delete_another(writer, key, len, why);
	case LAPSE_VERSION:
	case LAPSE_TIME:
		return delete_altered(writer, key, len, why);
	default:
		return delete_not(writer, key, len, why);
	}
}

/* Where the history has no such part. */
static inline void
move_part(struct store_history_keys *keys)
{
	static const char *const acts[] = { "Added", "Updated", "Deleted" };
	const char		*act = keys->act;

	switch (roll(4)) {
	case 0:
		keys->part += 1000;
		break;
	case 1:
		keys->collection = "ActivityDefinitions~";
		break;
	case 2:
		keys->version++;
		break;
	default:
		while (strcmp(act, keys->act) == 0)
			act = acts[roll(3)];
		keys->act = act;
		keys->part += 1000;
		break;
	}
}

static inline int
faulty_history_keys_put(struct store *store,
    const struct store_history_keys *keys, struct error *why)
{
	struct store_history_keys other = *keys;
	uint8_t			 *data = NULL;
	int			  rc = 0;

	if (!fires(IN_KEYS))
		return fault.real->history_keys_put(store, keys, why);
	if (fault.kind == LAPSE_LOSE)
		return 0;
	if (fault.kind == LAPSE_DOUBLE ||
	    fault.kind == LAPSE_DOUBLE_ELSEWHERE)
		rc = fault.real->history_keys_put(store, keys, why);
	if (fault.kind == LAPSE_DOUBLE_ELSEWHERE ||
	    fault.kind == LAPSE_ELSEWHERE)
		move_part(&other);
	else if (fault.kind != LAPSE_DOUBLE) {
		data = flip(keys->keys, keys->keys_len);
		other.keys = data;
	}
	if (rc == 0)
		rc = fault.real->history_keys_put(store, &other, why);
	free(data);
	return rc;
}

static inline int
faulty_history_put(struct store *store, const struct store_history *entry,
    struct error *why)
{
	struct store_history other = *entry;
	uint8_t		    *data;
	int		     rc;

	if (!fires(IN_ENTRY))
		return fault.real->history_put(store, entry, why);
	if (fault.kind == LAPSE_LOSE)
		return 0;
	if (fault.kind == LAPSE_DOUBLE) {
		rc = fault.real->history_put(store, entry, why);
		return rc == -1 ? -1 : fault.real->history_put(store, entry,
		    why);
	}
	data = flip(entry->tallies, entry->tallies_len);
	if (fault.kind == LAPSE_VERSION)
		other.version += roll(2) == 0 ? 1 : -1;
	else if (fault.kind == LAPSE_TIME && roll(2) == 0)
		other.synced_at_ms++;
	else if (fault.kind == LAPSE_TIME)
		other.duration_ms++;
	else
		other.tallies = data;
	rc = fault.real->history_put(store, &other, why);
	free(data);
	return rc;
}

/* From here on the store is one of these. */
static inline void
fault_set(struct store *store, enum target target, enum lapse_kind kind,
    uint64_t at)
{
	static struct store_ops faulty;

	fault.real = store->ops;
	fault.target = target;
	fault.kind = kind;
	fault.at = at;
	fault.has_fired = false;
	fault.is_mongodb = strncmp(place.uri, "mongodb", 7) == 0;
	faulty = *store->ops;
	faulty.version_raise = faulty_version_raise;
	faulty.writer_open = faulty_writer_open;
	faulty.writer_put = faulty_put;
	faulty.writer_delete = faulty_delete;
	faulty.history_keys_put = faulty_history_keys_put;
	faulty.history_put = faulty_history_put;
	store->ops = &faulty;
}

#endif
