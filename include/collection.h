/*
 * The collections of a store and how they hang together: each raw collection
 * holds one resource type of one upstream list; two of them are converted.
 * A store may have others beside these: one for each FHIR type that a bulk
 * export brought, called as the type is, and Quarantine.
 */
#ifndef NOMPD_COLLECTION_H
#define NOMPD_COLLECTION_H

#include <stdbool.h>

/* Bytes of the name of a collection beside the five. */
#define MAX_COLLECTION_NAME 64
/* Where the lines of an export go that are no records. */
#define COLLECTION_QUARANTINE "Quarantine"
/* The former states of all records. */
#define COLLECTION_STATES "RecordHistory"

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
/*
 * Can a collection beside the five have that name?  True for a FHIR type's:
 * ASCII letters, a capital first, and neither one of the five nor one of the
 * store's own (RecordHistory, and what begins with Sync), in whatever case
 * (tables of SQLite have none).
 */
bool collection_is_extra(const char *name);
/* Do consumers get its records?  The outputs, and those of FHIR types; bad
 * lines of an export are for those who run the service. */
bool collection_is_served(const char *name);

#endif
