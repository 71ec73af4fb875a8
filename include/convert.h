/*
 * Raw FHIR resources to the output documents that consumers get: pure
 * functions from BSON to BSON.  The mapping rules are in nompd-store(7).
 */
#ifndef NOMPD_CONVERT_H
#define NOMPD_CONVERT_H

#include <bson/bson.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/*
 * Where a PlanDefinition's references are looked up: finds the
 * ActivityDefinition with the business key of len bytes.  1 = found, *out is a
 * read-only view that holds until the next call; 0 = none; -1 = failed.
 */
typedef int (*convert_find_fn)(void *ctx, const char *key, size_t len,
    bson_t *out, struct error *err);

struct convert_activities {
	convert_find_fn find;
	void	       *ctx;
};

/*
 * A PlanDefinition as TreatmentGroup.  out is initialised here and the
 * caller destroys it, also after -1.  *unresolved is raised by one for each
 * reference that resolves to nothing, which is logged as a warning with both
 * keys.
 */
int convert_treatment_group(const bson_t *plan_definition,
    const struct convert_activities *activities, bson_t *out,
    uint64_t *unresolved, struct error *err);

/*
 * A RegulatedAuthorization as ReimbursementGroup.  out is initialised here and
 * the caller destroys it, also after -1.
 */
int convert_reimbursement_group(const bson_t *authorization, bson_t *out,
    struct error *err);

#endif
