#include <string.h>

#include "convert.h"
#include "convert_int.h"
#include "log.h"

/* The code system whose codings are jurisdictions. */
#define JURISDICTION_SYSTEM "urn:oid:2.16.578.1.12.4.1.102"
/* The ways a definitionCanonical may name its ActivityDefinition. */
#define MAX_CANDIDATES	    4

/* What the conversion of one PlanDefinition is about. */
struct treatment {
	struct bson_writer		 writer;
	struct fhir_node		 plan;
	struct fhir_text		 key;
	const struct convert_activities *activities;
	uint64_t			*unresolved;
};

/* Where a rule falls back, empty counts as absent. */
static struct fhir_text
first_filled(struct fhir_text a, struct fhir_text b)
{
	if (fhir_text_is_filled(a))
		return a;
	return fhir_text_is_filled(b) ? b : (struct fhir_text){ 0 };
}

static void
disease_group_write(struct treatment *treatment)
{
	struct bson_members walk;
	struct fhir_node    type, object;
	struct fhir_text    group = { 0 };

	fhir_walk(&walk, fhir_array_get(treatment->plan, "extension"));
	while (!fhir_text_is_filled(group) &&
	    fhir_next_extension(&walk, "diseaseGroup", &object))
		group = fhir_text_get(object, "valueString");
	type = fhir_object_get(treatment->plan, "type");
	group = first_filled(group, fhir_text_get(type, "text"));
	fhir_walk(&walk, fhir_array_get(type, "coding"));
	if (group.text == NULL && fhir_next_object(&walk, &object))
		group = first_filled(fhir_text_get(object, "display"), group);
	convert_text(&treatment->writer, "diseaseGroup", group);
}

static void
jurisdictions_write(struct treatment *treatment)
{
	struct bson_writer *writer = &treatment->writer;
	struct bson_members contexts, codings;
	struct fhir_node    context, concept, coding;

	convert_open_array(writer, "jurisdictions");
	fhir_walk(&contexts, fhir_array_get(treatment->plan, "useContext"));
	while (fhir_next_object(&contexts, &context)) {
		concept = fhir_object_get(context, "valueCodeableConcept");
		fhir_walk(&codings, fhir_array_get(concept, "coding"));
		while (convert_has_room(writer) &&
		    fhir_next_object(&codings, &coding))
			if (fhir_text_equals(fhir_text_get(coding, "system"),
			    JURISDICTION_SYSTEM))
				convert_coding(writer, coding);
	}
	bson_writer_close(writer);
}

static void
date_write(struct bson_writer *writer, const char *name,
    struct fhir_node object, const char *member)
{
	convert_text(writer, name,
	    fhir_text_date(fhir_text_get(object, member)));
}

static void
validity_write(struct treatment *treatment)
{
	struct bson_writer *writer = &treatment->writer;
	struct fhir_node    period;

	period = fhir_object_get(treatment->plan, "effectivePeriod");
	if (period.data == NULL) {
		convert_null(writer, "validityPeriod");
		return;
	}
	convert_open_object(writer, "validityPeriod");
	date_write(writer, "start", period, "start");
	date_write(writer, "end", period, "end");
	bson_writer_close(writer);
}

static void
indications_write(struct treatment *treatment)
{
	struct bson_writer *writer = &treatment->writer;
	struct bson_members goals, addresses;
	struct fhir_node    goal, concept;

	convert_open_array(writer, "indications");
	fhir_walk(&goals, fhir_array_get(treatment->plan, "goal"));
	while (fhir_next_object(&goals, &goal)) {
		fhir_walk(&addresses, fhir_array_get(goal, "addresses"));
		while (convert_has_room(writer) &&
		    fhir_next_object(&addresses, &concept))
			convert_concept_element(writer, concept);
	}
	bson_writer_close(writer);
}

/* Up to the first `|`, behind which a canonical may have its version. */
static struct fhir_text
without_version(struct fhir_text canonical)
{
	const char *bar;

	bar = memchr(canonical.text, '|', canonical.len);
	if (bar != NULL)
		canonical.len = (size_t)(bar - canonical.text);
	return canonical;
}

static struct fhir_text
without_slash(struct fhir_text text)
{
	if (text.len > 0 && text.text[text.len - 1] == '/')
		text.len--;
	return text;
}

/* The keys that canonical may mean, in the order they are tried; a slash in
 * its version is no part of the URL. */
static void
candidates_fill(struct fhir_text canonical,
    struct fhir_text candidates[MAX_CANDIDATES])
{
	struct fhir_text bare = without_version(canonical);
	struct fhir_text path = without_slash(bare);
	const char	*slash;
	size_t		 start = 0;

	slash = memrchr(path.text, '/', path.len);
	if (slash != NULL)
		start = (size_t)(slash - path.text) + 1;
	candidates[0] = canonical;
	candidates[1] = bare;
	candidates[2] = without_slash(canonical);
	candidates[2].text += start;
	candidates[2].len -= start;
	candidates[3] = path;
	candidates[3].text += start;
	candidates[3].len -= start;
}

/* All candidates are parts of one text: same place is same text. */
static bool
was_tried(const struct fhir_text *candidates, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++)
		if (candidates[j].text == candidates[i].text &&
		    candidates[j].len == candidates[i].len)
			return true;
	return false;
}

/* 1 = found, 0 = none, -1 = failed. */
static int
activity_find(const struct convert_activities *activities,
    struct fhir_text canonical, bson_t *activity, struct error *err)
{
	struct fhir_text candidates[MAX_CANDIDATES];
	size_t		 i;
	int		 found = 0;

	candidates_fill(canonical, candidates);
	for (i = 0; found == 0 && i < MAX_CANDIDATES; i++)
		if (candidates[i].len > 0 && !was_tried(candidates, i))
			found = activities->find(activities->ctx,
			    candidates[i].text, candidates[i].len, activity,
			    err);
	return found;
}

static void
rank_write(struct bson_writer *writer, struct fhir_node action,
    int32_t position)
{
	struct json_number  rank = { .type = BSON_TYPE_INT32 };
	struct bson_members walk;
	struct fhir_node    extension;
	int32_t		    value = position;

	fhir_walk(&walk, fhir_array_get(action, "extension"));
	while (fhir_next_extension(&walk, "rank", &extension))
		if (fhir_extension_integer(extension, &value))
			break;
	rank.integer = value;
	bson_writer_name(writer, "rank", strlen("rank"));
	bson_writer_number(writer, &rank);
}

/* activity is absent when the action refers to none that is known. */
static void
alternative_write(struct bson_writer *writer, struct fhir_node action,
    int32_t position, struct fhir_text id, struct fhir_node activity)
{
	bson_writer_open(writer, false);
	rank_write(writer, action, position);
	convert_text(writer, "treatmentId", id);
	convert_text(writer, "name",
	    first_filled(fhir_text_get(activity, "name"),
	    fhir_text_get(action, "description")));
	convert_text(writer, "description",
	    fhir_text_get(activity, "description"));
	convert_medicines(writer, activity);
	bson_writer_close(writer);
}

static void
unresolved_count(struct treatment *treatment, struct fhir_text canonical,
    int32_t position)
{
	(*treatment->unresolved)++;
	log_warn("PlanDefinition %.*s: action %d refers to \"%.*s\", and there"
	    " is no such ActivityDefinition", CONVERT_SHOWN(treatment->key),
	    position, CONVERT_SHOWN(canonical));
}

static int
action_convert(struct treatment *treatment, struct fhir_node action,
    int32_t position, struct error *err)
{
	struct fhir_text canonical, id = { 0 };
	struct fhir_node activity = { 0 };
	bson_t		 found;

	canonical = fhir_text_get(action, "definitionCanonical");
	if (fhir_text_is_filled(canonical)) {
		id = canonical;
		switch (activity_find(treatment->activities, canonical, &found,
		    err)) {
		case 0:
			unresolved_count(treatment, canonical, position);
			break;
		case 1:
			activity = fhir_root(&found);
			id = fhir_business_key(&found);
			break;
		default:
			return error_prefix(err, "TreatmentGroup %.*s",
			    CONVERT_SHOWN(treatment->key));
		}
	}
	alternative_write(&treatment->writer, action, position, id, activity);
	return 0;
}

static int
alternatives_write(struct treatment *treatment, struct error *err)
{
	struct bson_writer *writer = &treatment->writer;
	struct bson_members walk;
	struct fhir_node    action;
	int32_t		    position = 0;

	convert_open_array(writer, "treatmentAlternatives");
	fhir_walk(&walk, fhir_array_get(treatment->plan, "action"));
	while (convert_has_room(writer) && fhir_next_object(&walk, &action))
		if (action_convert(treatment, action, ++position, err) == -1)
			return -1;
	bson_writer_close(writer);
	return 0;
}

int
convert_treatment_group(const bson_t *plan_definition,
    const struct convert_activities *activities, bson_t *out,
    uint64_t *unresolved, struct error *err)
{
	struct treatment    treatment = { .activities = activities,
		.plan = fhir_root(plan_definition), .unresolved = unresolved };
	struct bson_writer *writer = &treatment.writer;
	struct fhir_node    plan = treatment.plan;
	int		    result = -1;

	if (convert_begin(writer, plan_definition, &treatment.key, out,
	    err) == -1)
		goto out;
	convert_text(writer, "name", fhir_text_get(plan, "name"));
	convert_text(writer, "description",
	    fhir_text_get(plan, "description"));
	disease_group_write(&treatment);
	jurisdictions_write(&treatment);
	validity_write(&treatment);
	date_write(writer, "reviewDate", plan, "lastReviewDate");
	indications_write(&treatment);
	if (alternatives_write(&treatment, err) == -1)
		goto out;
	result = convert_finish(writer, "TreatmentGroup", treatment.key, out,
	    err);
out:
	buf_clear(&writer->buf);
	return result;
}
