#include <stdlib.h>

#include "convert.h"
#include "hash.h"
#include "output.h"
#include "stop.h"
#include "xalloc.h"

struct output {
	struct stage  *stage;
	struct hasher *hasher;
	uint64_t      *unresolved;
};

struct output *
output_new(struct stage *stage, uint64_t *unresolved)
{
	struct output *output;

	output = xcalloc(1, sizeof(*output));
	output->stage = stage;
	output->hasher = hasher_new();
	output->unresolved = unresolved;
	return output;
}

void
output_free(struct output *output)
{
	if (output == NULL)
		return;
	hasher_free(output->hasher);
	free(output);
}

/* An output has the key of its raw record. */
static int
stage_output(struct output *output, enum collection collection,
    const char *key, size_t len, const bson_t *doc, struct error *err)
{
	const uint8_t *data = bson_get_data(doc);
	uint8_t	       hash[HASH_BYTES];

	if (hash_document(output->hasher, data, doc->len, hash, err) == -1)
		return error_prefix(err, "%s \"%s\"",
		    collection_name(collection), key);
	return stage_add(output->stage, collection, &(struct stage_doc){
	    .key = key, .len = len, .hash = hash, .data = data,
	    .data_len = doc->len }, err);
}

int
output_reimbursement(struct output *output, const char *key, size_t len,
    const bson_t *authorization, struct error *err)
{
	bson_t doc;
	int    rc;

	rc = convert_reimbursement_group(authorization, &doc, err);
	if (rc == 0)
		rc = stage_output(output, REIMBURSEMENT_GROUPS, key, len, &doc,
		    err);
	bson_destroy(&doc);
	return rc;
}

static int
output_treatment(struct output *output, struct source *source,
    const struct source_record *raw, struct error *err)
{
	struct convert_activities activities = {
		.find = source_find_activity,
		.ctx = source,
	};
	bson_t doc;
	int    rc;

	rc = convert_treatment_group(&raw->data, &activities, &doc,
	    output->unresolved, err);
	if (rc == 0)
		rc = stage_output(output, TREATMENT_GROUPS, raw->key, raw->len,
		    &doc, err);
	bson_destroy(&doc);
	return rc;
}

int
output_all(struct output *output, enum collection collection,
    struct source *source, struct error *err)
{
	struct source_record raw;
	int		     rc;

	while ((rc = source_next(source, &raw, err)) == 1) {
		if (stop_check(STATUS_STORE, err) == -1)
			return -1;
		rc = collection == TREATMENT_GROUPS ?
		    output_treatment(output, source, &raw, err) :
		    output_reimbursement(output, raw.key, raw.len, &raw.data,
		    err);
		if (rc == -1)
			return -1;
	}
	return rc;
}
