/* The records of a collection, and their former states, one by one. */
#include <bson/bson.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fhir.h"
#include "json_canonical.h"
#include "limit.h"
#include "stop.h"
#include "store_int.h"
#include "verify_int.h"

/* Bytes of the sentence of a finding. */
#define MAX_WHAT 200
/* A record has the time of its run's writes.  So far the clock may have been
 * set back meanwhile, or be behind that of the run before, which was another
 * machine's. */
#define MAX_CLOCK_STEP_MS (5LL * 60 * 1000)

/* Where a record stands, and what it is of. */
struct place {
	struct verify	  *verify;
	const char	  *collection;
	enum collection	   which; /* COLLECTION__MAX: a FHIR type's */
	bool		   is_state;
	const struct store_record *record;
	/* The hashes that Data has; those of the record where it has none. */
	char			   hash[HASH_TEXT_BYTES];
	char			   json_hash[HASH_TEXT_BYTES];
};

/* What cannot be mended in a record can be pruned of a former state. */
static int
found(const struct place *place, enum finding_kind kind, const char *what,
    struct error *err)
{
	/* A record of an unfinished version below the last one stays. */
	return verify_found(place->verify, &(struct finding){
	    .is_undone = kind == FINDING_UNFINISHED && (place->is_state ||
	    place->record->version > place->verify->versions.finished),
	    .kind = place->is_state && kind != FINDING_UNFINISHED ?
	    FINDING_STATE : kind,
	    .collection = place->collection,
	    .key = place->record->key,
	    .len = place->record->len,
	    .version = place->is_state ? place->record->version : 0,
	    .what = what }, err);
}

static bool
is_output(const struct place *place)
{
	return place->which == TREATMENT_GROUPS ||
	    place->which == REIMBURSEMENT_GROUPS;
}

static int
check_key(const struct place *place, struct error *err)
{
	const struct store_record *record = place->record;

	if (record->len > 0 && record->len <= MAX_KEY_BYTES &&
	    bson_utf8_validate(record->key, record->len, false))
		return 0;
	return found(place, FINDING_DATA, "the key is empty, too long or not"
	    " UTF-8", err);
}

/* Is key "TYPE/ID", of the resource with that id and the collection's type? */
static bool
is_reference(const struct place *place, const bson_t *data)
{
	size_t		 type_len = strlen(place->collection);
	struct fhir_text id = fhir_text_get(fhir_root(data), "id");

	return fhir_text_equals(fhir_resource_type(data), place->collection) &&
	    id.text != NULL && place->record->len == type_len + 1 + id.len &&
	    memcmp(place->record->key, place->collection, type_len) == 0 &&
	    place->record->key[type_len] == '/' &&
	    memcmp(place->record->key + type_len + 1, id.text, id.len) == 0;
}

/* Does the record stand under the key that its Data has? */
static bool
is_at_home(const struct place *place, const bson_t *data)
{
	struct fhir_text key;

	if (strcmp(place->collection, COLLECTION_QUARANTINE) == 0)
		return true;
	if (place->which == COLLECTION__MAX)
		return is_reference(place, data);
	key = is_output(place) ?
	    fhir_text_get(fhir_root(data), "id") : fhir_business_key(data);
	return key.text != NULL && key.len == place->record->len &&
	    memcmp(key.text, place->record->key, key.len) == 0;
}

static int
check_hashes(struct place *place, const uint8_t hash[HASH_BYTES],
    struct error *err)
{
	const struct store_record *record = place->record;
	struct verify		  *verify = place->verify;

	hash_format(hash, place->hash);
	if (strcmp(place->hash, record->hash) != 0 && found(place, FINDING_HASH,
	    "ContentHash is not the hash of Data", err) == -1)
		return -1;
	store_json_hash(collection_is_served(place->collection) ?
	    verify->canonical : NULL, record->data, record->data_len,
	    place->json_hash);
	if (strcmp(place->json_hash, record->json_hash) == 0)
		return 0;
	return found(place, FINDING_HASH, record->json_hash[0] == '\0' ?
	    "JsonHash is missing" : "JsonHash is not the hash of Data as JSON",
	    err);
}

static int
check_data(struct place *place, struct error *err)
{
	const struct store_record *record = place->record;
	struct error		   why;
	uint8_t			   hash[HASH_BYTES];
	bson_t			   data;

	memcpy(place->hash, record->hash, HASH_TEXT_BYTES);
	memcpy(place->json_hash, record->json_hash, HASH_TEXT_BYTES);
	if (record->data == NULL ||
	    !bson_init_static(&data, record->data, record->data_len) ||
	    !bson_validate(&data, BSON_VALIDATE_UTF8 |
	    BSON_VALIDATE_UTF8_ALLOW_NULL, NULL) ||
	    hash_document(place->verify->hasher, record->data,
	    record->data_len, hash, &why) == -1)
		return found(place, FINDING_DATA, "Data is not BSON, or none of"
		    " a store", err);
	if (!is_at_home(place, &data) && found(place, FINDING_DATA, "Data is of"
	    " another key, or another type", err) == -1)
		return -1;
	return check_hashes(place, hash, err);
}

/*
 * Can the record have been written then, by that run (NULL: it is not known any
 * more)?  Where runs follow each other whose clock went back, nobody can tell.
 */
static bool
is_time_of(const struct verify *verify, const struct store_run *run,
    int64_t at_ms)
{
	const struct store_run *before;

	if (at_ms <= 0 || run == NULL)
		return at_ms > 0;
	before = run + 1 < verify->runs + verify->n_runs ? run + 1 : NULL;
	if (before != NULL && before->synced_at_ms >= run->synced_at_ms)
		return true;
	return at_ms <= run->synced_at_ms + MAX_CLOCK_STEP_MS &&
	    (before == NULL ||
	    at_ms >= before->synced_at_ms - MAX_CLOCK_STEP_MS);
}

/* Was that run finished, and the record written in it? */
static int
check_version(const struct place *place, struct error *err)
{
	const struct store_record *record = place->record;
	const struct verify	  *verify = place->verify;
	const struct store_run	  *run = verify_run(verify, record->version);
	char			   what[MAX_WHAT];

	if (record->version < 1 || (run == NULL &&
	    (verify->n_runs == 0 || record->version >= verify->oldest))) {
		(void)snprintf(what, sizeof(what), "it is of version %" PRId64
		    ", and no such run was finished", record->version);
		return found(place, record->version > verify->versions.raised ||
		    record->version < 1 ? FINDING_DATA : FINDING_UNFINISHED,
		    what, err);
	}
	if (is_time_of(verify, run, record->updated_at_ms))
		return 0;
	return found(place, FINDING_DATA, "UpdatedAt is no time between the end"
	    " of the run before and that of its own", err);
}

static int
check_replaced(const struct place *place, struct error *err)
{
	const struct store_record *record = place->record;
	char			   what[MAX_WHAT];

	if (!place->is_state || (record->replaced_in > record->version &&
	    record->replaced_in <= place->verify->versions.raised))
		return 0;
	(void)snprintf(what, sizeof(what), "ReplacedIn is %" PRId64 "; want a"
	    " later version, up to the last one", record->replaced_in);
	return found(place, FINDING_STATE, what, err);
}

static int
check_record(struct place *place, struct error *err)
{
	struct store_record mended;
	int		    rc;

	if (stop_check(STATUS_STORE, err) == -1 ||
	    check_key(place, err) == -1 || check_data(place, err) == -1 ||
	    check_version(place, err) == -1 ||
	    check_replaced(place, err) == -1)
		return -1;
	mended = *place->record;
	memcpy(mended.hash, place->hash, HASH_TEXT_BYTES);
	memcpy(mended.json_hash, place->json_hash, HASH_TEXT_BYTES);
	rc = verify_ledger_record(place->verify->ledger, place->collection,
	    &mended, place->is_state, err);
	/* A run that died had saved the state, and not written the record. */
	if (rc == 0)
		rc = found(place, verify_run(place->verify,
		    place->record->replaced_in) == NULL ? FINDING_UNFINISHED :
		    FINDING_STATE, "the record is still of this version", err);
	return rc == -1 ? -1 : 0;
}

int
verify_states(struct verify *verify, const char *collection,
    struct error *err)
{
	struct store_cursor *cursor;
	struct store_record  record;
	struct place	     place = {
		    .verify = verify,
		    .collection = collection,
		    .which = collection_find(collection),
		    .is_state = true,
		    .record = &record,
	};
	int rc;

	if (store_states_open(verify->store, collection, NULL, 0, &cursor,
	    err) == -1)
		return -1;
	while ((rc = store_states_next(cursor, &record, err)) == 1) {
		verify->counts->states++;
		rc = check_record(&place, err);
		if (rc == -1)
			break;
	}
	store_cursor_close(cursor);
	return rc;
}

int
verify_records(struct verify *verify, const char *collection,
    struct error *err)
{
	struct store_cursor *cursor;
	struct store_record  record;
	struct place	     place = {
		    .verify = verify,
		    .collection = collection,
		    .which = collection_find(collection),
		    .record = &record,
	};
	int rc;

	if (store_records_open(verify->store, collection, true, &cursor,
	    err) == -1)
		return -1;
	while ((rc = store_record_next(cursor, &record, err)) == 1) {
		verify->counts->records++;
		rc = check_record(&place, err);
		if (rc == -1)
			break;
	}
	store_cursor_close(cursor);
	return rc;
}
