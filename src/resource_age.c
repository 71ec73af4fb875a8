#include <string.h>

#include "bson_member.h"
#include "fhir.h"
#include "instant.h"
#include "resource_age.h"

/* Digits of a version that is taken for a number. */
#define MAX_VERSION_DIGITS 18

static int64_t
read_version(struct fhir_text text)
{
	int64_t number = 0;
	size_t	i;

	if (text.text == NULL || text.len > MAX_VERSION_DIGITS)
		return 0;
	for (i = 0; i < text.len; i++) {
		if (text.text[i] < '0' || text.text[i] > '9')
			return 0;
		number = number * 10 + (text.text[i] - '0');
	}
	return number;
}

static bool
has_subset_tag(struct fhir_node meta)
{
	struct bson_members walk;
	struct fhir_node    tag;

	fhir_walk(&walk, fhir_array_get(meta, "tag"));
	while (fhir_next_object(&walk, &tag)) {
		if (fhir_text_equals(fhir_text_get(tag, "code"), "SUBSETTED"))
			return true;
	}
	return false;
}

struct resource_age
resource_age_get(const bson_t *resource)
{
	struct fhir_node    meta;
	struct fhir_text    updated;
	struct resource_age age = { 0 };

	meta = fhir_object_get(fhir_root(resource), "meta");
	updated = fhir_text_get(meta, "lastUpdated");
	if (updated.text != NULL)
		(void)instant_parse(updated.text, &age.updated_us);
	age.version = read_version(fhir_text_get(meta, "versionId"));
	age.is_subset = has_subset_tag(meta);
	return age;
}

static int
order(int64_t one, int64_t other)
{
	if (one == 0 || other == 0 || one == other)
		return 0;
	return one > other ? 1 : -1;
}

int
resource_age_compare(const struct resource_age *one,
    const struct resource_age *other)
{
	int by_time;

	if (one->is_subset != other->is_subset)
		return one->is_subset ? -1 : 1;
	by_time = order(one->updated_us, other->updated_us);
	return by_time != 0 ? by_time : order(one->version, other->version);
}
