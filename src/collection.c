#include <stddef.h>
#include <string.h>

#include "collection.h"

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
	size_t len;

	len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz");
	return name[0] >= 'A' && name[0] <= 'Z' && name[len] == '\0' &&
	    len < MAX_EXTRA_TEXT &&
	    strncmp(name, "Sync", strlen("Sync")) != 0 &&
	    collection_find(name) == COLLECTION__MAX;
}
