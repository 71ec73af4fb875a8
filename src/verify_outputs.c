/* Are the outputs what the raw records give now? */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "record.h"
#include "run_int.h"
#include "stop.h"
#include "verify_int.h"

/* A merge-join of what the raw records give and what the store has. */
struct join {
	struct verify	    *verify;
	const char	    *collection;
	struct stage_cursor *given;
	struct store_cursor *held;
	struct staged	     staged; /* valid when has_staged is 1 */
	struct store_record  record; /* valid when has_record is 1 */
	int		     has_staged;
	int		     has_record;
};

static int
found(const struct join *join, const char *key, size_t len, const char *what,
    struct error *err)
{
	return verify_found(join->verify, &(struct finding){
	    .kind = FINDING_OUTPUT,
	    .collection = join->collection,
	    .key = key,
	    .len = len,
	    .what = what }, err);
}

/* Both are there.  Data that cannot be hashed was told of before. */
static int
compare(const struct join *join, struct error *err)
{
	const struct store_record *record = &join->record;
	struct error		   ignored;
	uint8_t			   hash[HASH_BYTES];

	if (record->data == NULL || hash_document(join->verify->hasher,
	    record->data, record->data_len, hash, &ignored) == -1 ||
	    memcmp(hash, join->staged.hash, HASH_BYTES) == 0)
		return 0;
	return found(join, record->key, record->len, "it differs from what its"
	    " raw record gives", err);
}

/* The order of the two keys; a missing side comes last. */
static int
order_of(const struct join *join)
{
	if (join->has_staged != 1 || join->has_record != 1)
		return join->has_staged == 1 ? -1 : 1;
	return record_key_compare(join->staged.key, join->staged.len,
	    join->record.key, join->record.len);
}

static int
check_one(const struct join *join, int order, struct error *err)
{
	if (order < 0)
		return found(join, join->staged.key, join->staged.len,
		    "its raw record is live, and it is not", err);
	if (order > 0)
		return found(join, join->record.key, join->record.len,
		    "it is live, and its raw record is not", err);
	return compare(join, err);
}

static int
go(struct join *join, struct error *err)
{
	int order;

	join->has_staged = stage_cursor_next(join->given, &join->staged, err);
	if (join->has_staged != -1)
		join->has_record = store_record_next(join->held,
		    &join->record, err);
	while (join->has_staged == 1 || join->has_record == 1) {
		if (join->has_staged == -1 || join->has_record == -1 ||
		    stop_check(STATUS_STORE, err) == -1)
			return -1;
		order = order_of(join);
		if (check_one(join, order, err) == -1)
			return -1;
		if (order <= 0)
			join->has_staged = stage_cursor_next(join->given,
			    &join->staged, err);
		if (order >= 0 && join->has_staged != -1)
			join->has_record = store_record_next(join->held,
			    &join->record, err);
	}
	return join->has_staged == -1 || join->has_record == -1 ? -1 : 0;
}

static int
compare_all(struct verify *verify, struct stage *stage,
    enum collection output, struct error *err)
{
	struct join join = {
		.verify = verify,
		.collection = collection_name(output),
	};
	int rc;

	rc = stage_cursor_open(stage, (int)output, &join.given, err);
	if (rc == 0)
		rc = store_records_open(verify->store, join.collection, false,
		    &join.held, err);
	if (rc == 0)
		rc = go(&join, err);
	store_cursor_close(join.held);
	stage_cursor_close(join.given);
	return rc;
}

/* A raw record that gives nothing is no fault of the program that looks. */
static int
found_unconverted(struct verify *verify, const struct error *why,
    struct error *err)
{
	if (why->status != STATUS_PROTOCOL)
		return -1;
	return verify_found(verify, &(struct finding){
	    .kind = FINDING_DATA, .what = why->text }, err) == -1 ? -1 : 1;
}

/* 0 = the stage has the outputs, 1 = there is nothing to compare with. */
static int
convert(struct verify *verify, struct run *run, struct error *err)
{
	struct error why;
	int	     rc;

	rc = run_restage(run, err);
	if (rc == -1 && err->status == STATUS_USAGE) {
		log_info("%s; the groups were not compared", err->text);
		return 1;
	}
	if (rc != -1)
		rc = run_convert(run, rc == 0, err);
	if (rc == 0)
		return 0;
	why = *err;
	return found_unconverted(verify, &why, err);
}

static int
check_outputs(struct verify *verify, struct error *err)
{
	struct run run = { .opts = verify->opts, .store = verify->store };
	int	   rc;

	if (stage_open(&run.stage, err) == -1)
		return -1;
	run.output = output_new(run.stage, &run.unresolved);
	rc = convert(verify, &run, err);
	if (rc == 0)
		rc = compare_all(verify, run.stage, TREATMENT_GROUPS, err);
	if (rc == 0)
		rc = compare_all(verify, run.stage, REIMBURSEMENT_GROUPS, err);
	output_free(run.output);
	stage_close(run.stage);
	return rc == -1 ? -1 : 0;
}

int
verify_outputs(struct verify *verify, struct error *err)
{
	const int64_t *findings = verify->counts->findings;
	const char    *why = NULL;

	if (verify->is_raw_damaged)
		why = "raw records are damaged";
	else if (findings[FINDING_UNFINISHED] > 0)
		why = "an unfinished run has left records";
	else if (verify->grouped_in < verify->typed_in)
		why = "the last bulk run did not convert";
	if (why == NULL)
		return check_outputs(verify, err);
	log_info("the groups were not compared with what their raw records"
	    " give: %s", why);
	return 0;
}
