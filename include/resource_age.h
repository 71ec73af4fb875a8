/* How new a FHIR resource is, and whether it is whole. */
#ifndef NOMPD_RESOURCE_AGE_H
#define NOMPD_RESOURCE_AGE_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

struct resource_age {
	int64_t updated_us; /* meta.lastUpdated; 0: unknown */
	int64_t version;    /* meta.versionId, if it is a number; 0: unknown */
	bool	is_subset;  /* meta.tag says SUBSETTED: elements are missing */
};

/* From the resource's meta (FHIR R4, 2.27.1.5; SUBSETTED: 3.1.1.5.9). */
struct resource_age resource_age_get(const bson_t *resource);
/*
 * Which one is to be kept: above 0 the first, below 0 the second, 0 when
 * nothing tells.  A whole resource is kept before a subset of another, then
 * the newer one.
 */
int resource_age_compare(const struct resource_age *one,
    const struct resource_age *other);

#endif
