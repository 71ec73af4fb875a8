#include <stdio.h>
#include <string.h>

#include "fhir.h"
#include "json_bson.h"
#include "outcome.h"

/* Appends to text, cutting what does not fit. */
static void
append(char text[MAX_OUTCOME_TEXT], const char *part)
{
	size_t len = strlen(text);

	(void)snprintf(text + len, MAX_OUTCOME_TEXT - len, "%s", part);
}

static const char *
member_text(const bson_t *object, const char *dotted)
{
	bson_iter_t iter, found;

	if (!bson_iter_init(&iter, object) ||
	    !bson_iter_find_descendant(&iter, dotted, &found) ||
	    !BSON_ITER_HOLDS_UTF8(&found))
		return "";
	return bson_iter_utf8(&found, NULL);
}

static void
describe_issue(const bson_t *issue, void *ctx)
{
	char *text = ctx;

	static const char *const places[] = {
		"diagnostics", "details.text", "details.coding.0.display",
	};
	size_t i;

	append(text, text[0] != '\0' ? "; " : "");
	append(text, member_text(issue, "severity"));
	append(text, "/");
	append(text, member_text(issue, "code"));
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (member_text(issue, places[i])[0] == '\0')
			continue;
		append(text, ": ");
		append(text, member_text(issue, places[i]));
		return;
	}
}

/* Calls fn for each issue. */
static void
each_issue(const bson_t *outcome, void (*fn)(const bson_t *issue, void *ctx),
    void *ctx)
{
	bson_iter_t    iter, issues;
	bson_t	       issue;
	const uint8_t *data;
	uint32_t       len;

	if (!bson_iter_init_find(&iter, outcome, "issue") ||
	    !BSON_ITER_HOLDS_ARRAY(&iter) ||
	    !bson_iter_recurse(&iter, &issues))
		return;
	while (bson_iter_next(&issues)) {
		if (!BSON_ITER_HOLDS_DOCUMENT(&issues))
			continue;
		bson_iter_document(&issues, &len, &data);
		if (bson_init_static(&issue, data, len))
			fn(&issue, ctx);
	}
}

void
outcome_describe(const bson_t *outcome, char text[MAX_OUTCOME_TEXT])
{
	text[0] = '\0';
	each_issue(outcome, describe_issue, text);
}

static void
find_error(const bson_t *issue, void *ctx)
{
	const char *severity = member_text(issue, "severity");
	bool	   *is_error = ctx;

	if (strcmp(severity, "error") == 0 || strcmp(severity, "fatal") == 0)
		*is_error = true;
}

bool
outcome_is_error(const bson_t *outcome)
{
	bool is_error = false;

	each_issue(outcome, find_error, &is_error);
	return is_error;
}

static int
describe_part(void *ctx, const struct json_part_info *info, struct error *err)
{
	bson_t		 doc;
	struct fhir_text type;

	(void)err;
	if (info->part != JSON_PART_OBJECT ||
	    !bson_init_static(&doc, info->doc, info->len))
		return 0;
	type = fhir_resource_type(&doc);
	if (fhir_text_equals(type, "OperationOutcome"))
		outcome_describe(&doc, ctx);
	return 0;
}

void
outcome_describe_body(const uint8_t *body, size_t len,
    char text[MAX_OUTCOME_TEXT])
{
	struct json_bson *json;
	struct error	  ignored;

	text[0] = '\0';
	json = json_bson_new(describe_part, text, false);
	if (json_bson_feed(json, body, len, &ignored) == 0)
		(void)json_bson_finish(json, &ignored);
	json_bson_free(json);
}
