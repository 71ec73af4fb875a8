/*
 * The collections of a store and how they hang together: each raw collection
 * holds one resource type of one upstream list; two of them are converted.
 */
#ifndef NOMPD_COLLECTION_H
#define NOMPD_COLLECTION_H

#include <stdbool.h>

enum collection {
	PLAN_DEFINITIONS,
	ACTIVITY_DEFINITIONS,
	REGULATED_AUTHORIZATIONS,
	TREATMENT_GROUPS,
	REIMBURSEMENT_GROUPS,
	COLLECTION__MAX
};
/* The raw collections are the first ones, in the order of the lists. */
#define COLLECTION_RAW_MAX TREATMENT_GROUPS

/* The collection's name in the store, as in "PlanDefinitions". */
const char *collection_name(enum collection collection);
/* The FHIR type of a raw collection's resources; NULL for an output. */
const char *collection_resource_type(enum collection collection);
/* The path of a raw collection's list below the upstream's base URL. */
const char *collection_path(enum collection collection);
/* The collection with that name (exact), or COLLECTION__MAX. */
enum collection collection_find(const char *name);

/* Bytes of the name of a collection beside these, its NUL included. */
#define MAX_EXTRA_TEXT 65
/* The collection of records that could not be taken. */
#define QUARANTINE "Quarantine"
/*
 * True for the name of a collection beside these: a FHIR resource type
 * ("Patient"), or QUARANTINE.
 */
bool collection_is_extra(const char *name);

#endif
