#include <bson/bson.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "copy.h"
#include "copy_int.h"
#include "history_prune.h"
#include "lease.h"
#include "log.h"
#include "record.h"
#include "stop.h"
#include "store.h"
#include "words.h"
#include "xalloc.h"

/* A batch of records is published when it has so many or so many bytes: what a
 * copy that was cut off need not write again. */
#define MAX_BATCH_RECORDS 5000
#define MAX_BATCH_BYTES	  (16 * 1024 * 1024)
static int
refuse_same(const struct copy *copy, struct error *err)
{
	return error_set(err, STATUS_USAGE, "--to: want another store than"
	    " --from; both are %s", store_name(copy->from));
}

/* A store may have two names: it is the same when the lease that own has taken
 * is its lease, too. */
static int
take_leases(struct copy *copy, struct error *err)
{
	char own[MAX_HOLDER_TEXT], holder[MAX_HOLDER_TEXT];
	int  rc;

	if (lease_take(copy->from, NULL, copy->opts->wait_ms, own, err) == -1)
		return -1;
	rc = store_lease_try(copy->to, holder, err);
	if (rc == 0 && strcmp(holder, own) == 0)
		return refuse_same(copy, err);
	if (rc == 0)
		rc = lease_take(copy->to, NULL, copy->opts->wait_ms, holder,
		    err);
	return rc == -1 ? -1 : 0;
}

static int
open_stores(struct copy *copy, struct error *err)
{
	const struct options *opts = copy->opts;

	if (store_open(&opts->from, STORE_UPDATE, &copy->from, err) == -1 ||
	    store_open(&opts->to, STORE_WRITE, &copy->to, err) == -1)
		return -1;
	if (strcmp(store_name(copy->from), store_name(copy->to)) == 0)
		return refuse_same(copy, err);
	if (take_leases(copy, err) == -1 ||
	    store_open(&opts->to, STORE_RAW, &copy->held, err) == -1 ||
	    store_begin(copy->from, err) == -1 ||
	    store_begin(copy->held, err) == -1)
		return -1;
	if (store_collections_get(copy->from, &copy->collections, err) == -1)
		return -1;
	return store_versions_get(copy->from, &copy->versions, err);
}

int
copy_publish_batch(struct copy *copy, struct error *err)
{
	return store_publish(copy->to, err) == -1 ? -1 :
	    store_begin(copy->to, err);
}

static int
refuse(const struct copy *copy, struct error *err, const char *why)
{
	return error_set(err, STATUS_STORE, "store %s: %s store %s; it is not"
	    " a copy of that one: name an empty store", store_name(copy->to),
	    why, store_name(copy->from));
}

/* The target's history must be a part of the source's, but for what was pruned
 * there.  Both come newest first. */
static int
check_history(struct copy *copy, struct store_cursor *held,
    struct store_cursor *source, struct error *err)
{
	struct store_history has, entry = { .version = INT64_MAX };
	bool		     is_known = false;
	int		     rc;

	while ((rc = store_history_next(held, &has, err)) == 1) {
		while (entry.version > has.version &&
		    (rc = store_history_next(source, &entry, err)) == 1)
			;
		if (rc == -1)
			return -1;
		if (rc == 0 && is_known &&
		    has.version < copy->versions.states_from)
			return 0;
		is_known = true;
		if (entry.version != has.version ||
		    entry.synced_at_ms != has.synced_at_ms)
			return refuse(copy, err, "it has a run that is none"
			    " of");
	}
	return rc;
}

static int
check_collections(struct copy *copy, struct error *err)
{
	char **held;
	size_t i;
	int    rc;

	rc = store_collections_get(copy->held, &held, err);
	for (i = 0; rc == 0 && held[i] != NULL; i++) {
		if (!words_has(copy->collections, held[i]))
			rc = refuse(copy, err, "it has a collection that is"
			    " none of");
	}
	words_free(held);
	return rc;
}

static int
check_target(struct copy *copy, struct error *err)
{
	struct store_versions versions;
	struct store_cursor  *held = NULL, *source = NULL;
	int		      rc = -1;

	if (store_versions_get(copy->held, &versions, err) == -1 ||
	    check_collections(copy, err) == -1)
		return -1;
	if (versions.raised > copy->versions.raised)
		return refuse(copy, err, "its version is above that of");
	if (store_history_open(copy->held, INT64_MAX, &held, err) == 0 &&
	    store_history_open(copy->from, INT64_MAX, &source, err) == 0)
		rc = check_history(copy, held, source, err);
	store_cursor_close(source);
	store_cursor_close(held);
	return rc;
}

/* What was pruned of the source goes in the target as well. */
static int
prune_target(struct copy *copy, struct error *err)
{
	struct store_prune what = {
		.tombstones_to = copy->versions.horizon,
		.states_to = copy->versions.states_from,
		.history_to = copy->n_finished > 0 ?
		    copy->finished[copy->n_finished - 1] - 1 : 0,
	};
	struct store_pruned done;

	return store_prune(copy->to, &what, &done, err);
}

/* Which of the source's versions were finished. */
static int
read_finished(struct copy *copy, struct error *err)
{
	struct history_prune prune;
	struct store_history entry;
	struct store_cursor *cursor;
	int		     rc;

	if (store_history_open(copy->from, INT64_MAX, &cursor, err) == -1)
		return -1;
	while ((rc = store_history_next(cursor, &entry, err)) == 1) {
		if (history_prune_get(&entry, &prune) &&
		    prune.history_to > copy->pruned_to)
			copy->pruned_to = prune.history_to;
		copy->finished = xrealloc(copy->finished,
		    (copy->n_finished + 1) * sizeof(*copy->finished));
		copy->finished[copy->n_finished++] = entry.version;
	}
	store_cursor_close(cursor);
	return rc;
}

static int
compare_versions(const void *key, const void *element)
{
	int64_t one = *(const int64_t *)key;
	int64_t other = *(const int64_t *)element;

	/* The newest comes first. */
	return one > other ? -1 : one < other;
}

/* A version whose history entry is there, or was pruned. */
static bool
is_finished(const struct copy *copy, int64_t version)
{
	return version <= copy->pruned_to || (copy->n_finished > 0 &&
	    bsearch(&version, copy->finished, copy->n_finished,
	    sizeof(*copy->finished), compare_versions) != NULL);
}

/*
 * A record below the last finished version whose own was not finished: a run
 * that was held up has written it late.  The next run on a MongoDB store makes
 * that good; on an embedded one nobody would.
 */
static int
check_version(const struct copy *copy, const struct store_record *record,
    const char *collection, struct error *err)
{
	if (record->version > copy->versions.finished ||
	    is_finished(copy, record->version))
		return 0;
	return error_set(err, STATUS_STORE, "store %s: the record \"%s\" of %s"
	    " is of version %lld, and that run was never finished; let"
	    " nompd-sync run on that store once, and copy then",
	    store_name(copy->from), record->key, collection,
	    (long long)record->version);
}

static bool
is_same(const struct store_record *one, const struct store_record *other)
{
	return one->version == other->version &&
	    one->updated_at_ms == other->updated_at_ms &&
	    one->is_deleted == other->is_deleted &&
	    strcmp(one->hash, other->hash) == 0 &&
	    strcmp(one->json_hash, other->json_hash) == 0;
}

/* What is joined: a collection of the source, and what of it is there. */
struct join {
	const char	    *collection;
	struct store_cursor *source;
	struct store_cursor *held;
	struct store_writer *writer;
	struct store_record  has; /* the held one that is due */
	int		     has_held;
	int64_t		     records; /* of the batch */
	size_t		     bytes;
};

static int
open_writer(struct copy *copy, struct join *join, struct error *err)
{
	join->records = 0;
	join->bytes = 0;
	return store_writer_open(copy->to, join->collection,
	    copy->versions.raised, 0, &join->writer, err);
}

static int
close_writer(struct join *join, struct error *err)
{
	struct store_writer *writer = join->writer;

	join->writer = NULL;
	return writer != NULL ? store_writer_close(writer, err) : 0;
}

/* What is no BSON one kind of store would take, and the other would not. */
static bool
is_damaged(const struct store_record *record)
{
	bson_t doc;

	return record->data == NULL ||
	    !bson_init_static(&doc, record->data, record->data_len) ||
	    !bson_validate(&doc, BSON_VALIDATE_NONE, NULL);
}

/* What was joined goes; rc is that of the join. */
static int
end_join(struct join *join, int rc, struct error *err)
{
	if (rc == 0)
		rc = close_writer(join, err);
	else if (join->writer != NULL)
		store_writer_abort(join->writer);
	store_cursor_close(join->held);
	store_cursor_close(join->source);
	return rc;
}

/* One more record, or state, fits into the batch; a full one is published. */
static int
make_room(struct copy *copy, struct join *join,
    const struct store_record *record, struct error *err)
{
	if (is_damaged(record))
		return error_set(err, STATUS_STORE, "store %s: the record"
		    " \"%s\" of %s is damaged: its Data is not BSON",
		    store_name(copy->from), record->key, join->collection);
	if (join->records >= MAX_BATCH_RECORDS ||
	    join->bytes >= MAX_BATCH_BYTES) {
		if (close_writer(join, err) == -1 ||
		    copy_publish_batch(copy, err) == -1 ||
		    open_writer(copy, join, err) == -1)
			return -1;
	}
	join->records++;
	join->bytes += record->data_len;
	return 0;
}

static int
write_record(struct copy *copy, struct join *join,
    const struct store_record *record, bool is_new, struct error *err)
{
	if (make_room(copy, join, record, err) == -1)
		return -1;
	copy->result->copied++;
	log_progress("copying: %s %lld", join->collection,
	    (long long)copy->result->copied);
	return store_writer_copy(join->writer, record, is_new, err);
}

/* One record of the source; both sides come in key order. */
static int
copy_record(struct copy *copy, struct join *join,
    const struct store_record *record, struct error *err)
{
	bool is_there;

	if (check_version(copy, record, join->collection, err) == -1)
		return -1;
	if (join->has_held == 1 && strcmp(join->has.key, record->key) < 0)
		return refuse(copy, err, "it has a record that is none of");
	is_there = join->has_held == 1 &&
	    strcmp(join->has.key, record->key) == 0;
	if (!(is_there && is_same(&join->has, record)) &&
	    write_record(copy, join, record, !is_there, err) == -1)
		return -1;
	if (is_there)
		join->has_held = store_record_next(join->held, &join->has,
		    err);
	return join->has_held == -1 ? -1 : 0;
}

static int
copy_records(struct copy *copy, struct join *join, struct error *err)
{
	struct store_record record;
	int		    rc;

	join->has_held = store_record_next(join->held, &join->has, err);
	if (join->has_held == -1)
		return -1;
	while ((rc = store_record_next(join->source, &record, err)) == 1) {
		if (stop_check(STATUS_STORE, err) == -1 ||
		    copy_record(copy, join, &record, err) == -1)
			return -1;
	}
	if (rc == 0 && join->has_held == 1)
		return refuse(copy, err, "it has a record that is none of");
	return rc;
}

/* Which comes first: of one record the older state. */
static int
compare_states(const struct store_record *one,
    const struct store_record *other)
{
	int order = record_key_compare(one->key, one->len, other->key,
	    other->len);

	return order != 0 ? order : one->version < other->version ? -1 :
	    one->version > other->version;
}

/* One state of the source; both sides come in one order. */
static int
copy_state(struct copy *copy, struct join *join,
    const struct store_record *state, struct error *err)
{
	while (join->has_held == 1 && compare_states(&join->has, state) < 0)
		join->has_held = store_states_next(join->held, &join->has,
		    err);
	if (join->has_held == -1)
		return -1;
	if (join->has_held == 1 && compare_states(&join->has, state) == 0 &&
	    is_same(&join->has, state) &&
	    join->has.replaced_in == state->replaced_in)
		return 0;
	if (make_room(copy, join, state, err) == -1)
		return -1;
	return store_writer_state(join->writer, state, err);
}

/*
 * Before the records: who reads the target while a newer record comes finds
 * what it was.
 */
static int
copy_states(struct copy *copy, const char *collection, struct error *err)
{
	struct join	    join = { .collection = collection };
	struct store_record state;
	int		    rc = -1;

	if (store_states_open(copy->from, collection, NULL, 0, &join.source,
	    err) == 0 && store_states_open(copy->held, collection, NULL, 0,
	    &join.held, err) == 0 && open_writer(copy, &join, err) == 0)
		rc = join.has_held = store_states_next(join.held, &join.has,
		    err);
	while (rc != -1 && (rc = store_states_next(join.source, &state,
	    err)) == 1) {
		rc = stop_check(STATUS_STORE, err);
		if (rc == 0)
			rc = copy_state(copy, &join, &state, err);
	}
	if (end_join(&join, rc, err) == -1)
		return -1;
	return join.records > 0 ? copy_publish_batch(copy, err) : 0;
}

static int
copy_collection(struct copy *copy, const char *collection, struct error *err)
{
	struct join join = { .collection = collection };
	int	    rc = -1;

	if (store_records_open(copy->from, collection, true, &join.source,
	    err) == 0 && store_records_open(copy->held, collection, true,
	    &join.held, err) == 0 && open_writer(copy, &join, err) == 0)
		rc = copy_records(copy, &join, err);
	return end_join(&join, rc, err) == -1 ? -1 :
	    copy_publish_batch(copy, err);
}

/* Reads both stores again: are they the same by now? */
static int
verify(struct copy *copy, enum digest_part part, struct error *err)
{
	struct digest other;

	if (digest_store(copy->from, part, &copy->result->digest, err) == -1 ||
	    digest_store(copy->to, part, &other, err) == -1)
		return -1;
	if (strcmp(copy->result->digest.text, other.text) == 0)
		return 0;
	return error_set(err, STATUS_STORE, "store %s: its digest is %s, that"
	    " of store %s is %s: it is not the same; copy again and, if that"
	    " does not help, into an empty one", store_name(copy->to),
	    other.text, store_name(copy->from), copy->result->digest.text);
}

static int
copy_all(struct copy *copy, struct error *err)
{
	char *const *name;

	/* First, so that a run on an unfinished copy counts on from there. */
	if (store_begin(copy->to, err) == -1 || (copy->versions.raised > 0 &&
	    store_versions_set(copy->to, &copy->versions, err) == -1) ||
	    prune_target(copy, err) == -1)
		return -1;
	for (name = copy->collections; *name != NULL; name++) {
		if (store_collection_make(copy->to, *name, err) == -1 ||
		    copy_states(copy, *name, err) == -1 ||
		    copy_collection(copy, *name, err) == -1)
			return -1;
	}
	if (verify(copy, DIGEST_RECORDS, err) == -1 ||
	    store_lease_check(copy->from, err) == -1 ||
	    copy_history(copy, err) == -1)
		return -1;
	return verify(copy, DIGEST_ALL, err);
}

int
copy_store(const struct options *opts, struct copy_result *result,
    struct error *err)
{
	struct copy copy = { .opts = opts, .result = result };
	int64_t	    started_ms = clock_monotonic_ms();
	int	    rc = -1;

	*result = (struct copy_result){ .copied = 0 };
	if (open_stores(&copy, err) == 0 && check_target(&copy, err) == 0 &&
	    read_finished(&copy, err) == 0)
		rc = copy_all(&copy, err);
	log_progress_end();
	result->version = copy.versions.finished;
	result->duration_ms = clock_monotonic_ms() - started_ms;
	if (rc == 0)
		log_info("store %s is a copy of store %s, at version %lld",
		    store_name(copy.to), store_name(copy.from),
		    (long long)result->version);
	store_close(copy.held);
	store_close(copy.to);
	store_close(copy.from);
	words_free(copy.collections);
	free(copy.finished);
	return rc;
}
