#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "collection.h"

#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LETTERS	 CAPITALS "abcdefghijklmnopqrstuvwxyz"
/* The store's own collections begin so. */
#define OWN_PREFIX "Sync"

static const struct {
	const char *name;
	const char *resource_type;
	const char *path;
} rows[COLLECTION__MAX] = {
	[PLAN_DEFINITIONS] = { "PlanDefinitions", "PlanDefinition",
	    "HreseptGuidelines/PlanDefinition" },
	[ACTIVITY_DEFINITIONS] = { "ActivityDefinitions", "ActivityDefinition",
	    "HreseptGuidelines/ActivityDefinition" },
	[REGULATED_AUTHORIZATIONS] = { "RegulatedAuthorizations",
	    "RegulatedAuthorization",
	    "HreseptReimbursement/RegulatedAuthorization" },
	[TREATMENT_GROUPS] = { "TreatmentGroups", NULL, NULL },
	[REIMBURSEMENT_GROUPS] = { "ReimbursementGroups", NULL, NULL },
};

const char *
collection_name(enum collection collection)
{
	return rows[collection].name;
}

const char *
collection_resource_type(enum collection collection)
{
	return rows[collection].resource_type;
}

const char *
collection_path(enum collection collection)
{
	return rows[collection].path;
}

enum collection
collection_find(const char *name)
{
	int i;

	for (i = 0; i < COLLECTION__MAX; i++) {
		if (strcmp(rows[i].name, name) == 0)
			break;
	}
	return (enum collection)i;
}

bool
collection_is_extra(const char *name)
{
	size_t len = strlen(name);
	int    i;

	if (len == 0 || len > MAX_COLLECTION_NAME ||
	    strspn(name, LETTERS) != len || strspn(name, CAPITALS) == 0 ||
	    strncasecmp(name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0 ||
	    strcasecmp(name, COLLECTION_STATES) == 0)
		return false;
	for (i = 0; i < COLLECTION__MAX; i++) {
		if (strcasecmp(rows[i].name, name) == 0)
			return false;
	}
	return true;
}

bool
collection_is_served(const char *name)
{
	enum collection collection = collection_find(name);

	if (collection != COLLECTION__MAX)
		return collection >= COLLECTION_RAW_MAX;
	return collection_is_extra(name) &&
	    strcmp(name, COLLECTION_QUARANTINE) != 0;
}
