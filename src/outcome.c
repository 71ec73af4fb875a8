#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fhir.h"
#include "json_bson.h"
#include "outcome.h"

/* Appends to text, on one line, cutting what does not fit. */
static void
append(char text[MAX_OUTCOME_TEXT], const char *part)
{
	size_t len = strlen(text);

	(void)snprintf(text + len, MAX_OUTCOME_TEXT - len, "%s", part);
	for (; text[len] != '\0'; len++) {
		if ((unsigned char)text[len] < ' ')
			text[len] = ' ';
	}
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

/* each_issue() callback: ctx is the text to append to. */
static void
describe_issue(void *ctx, const bson_t *issue)
{
	static const char *const places[] = {
		"diagnostics", "details.text", "details.coding.0.display",
	};
	char  *text = ctx;
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

static void
each_issue(const bson_t *outcome, void (*fn)(void *ctx, const bson_t *issue),
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
			fn(ctx, &issue);
	}
}

void
outcome_describe(const bson_t *outcome, char text[MAX_OUTCOME_TEXT])
{
	text[0] = '\0';
	each_issue(outcome, describe_issue, text);
}

/* The code is "transient" or below it in the value set issue-type. */
static bool
is_transient(const char *code)
{
	static const char *const codes[] = {
		"transient", "lock-error", "no-store", "exception", "timeout",
		"incomplete", "throttled",
	};
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(code, codes[i]) == 0)
			return true;
	}
	return false;
}

/* each_issue() callback: ctx is the kind so far. */
static void
judge_issue(void *ctx, const bson_t *issue)
{
	enum outcome_kind *kind = ctx;
	const char	  *severity = member_text(issue, "severity");

	if (strcmp(severity, "error") != 0 && strcmp(severity, "fatal") != 0)
		return;
	if (!is_transient(member_text(issue, "code")))
		*kind = OUTCOME_FINAL;
	else if (*kind == OUTCOME_NONE)
		*kind = OUTCOME_PASSING;
}

bool
outcome_is_error(const bson_t *outcome)
{
	enum outcome_kind kind = OUTCOME_NONE;

	each_issue(outcome, judge_issue, &kind);
	return kind != OUTCOME_NONE;
}

/* What is found in a body; text may be NULL. */
struct finding {
	char		 *text;
	enum outcome_kind kind;
};

static int
take_part(void *ctx, const struct json_part_info *info, struct error *err)
{
	struct finding *finding = ctx;
	bson_t		doc;

	(void)err;
	if (info->part != JSON_PART_OBJECT ||
	    !bson_init_static(&doc, info->doc, info->len) ||
	    !fhir_text_equals(fhir_resource_type(&doc), "OperationOutcome"))
		return 0;
	if (finding->text != NULL)
		outcome_describe(&doc, finding->text);
	finding->kind = OUTCOME_NONE;
	each_issue(&doc, judge_issue, &finding->kind);
	if (finding->kind == OUTCOME_NONE)
		finding->kind = OUTCOME_FINAL;
	return 0;
}

/* Reads the body, which may be anything. */
static void
find(const uint8_t *body, size_t len, struct finding *finding)
{
	struct json_bson *json;
	struct error	  ignored;

	json = json_bson_new(take_part, finding, false);
	if (json_bson_feed(json, body, len, &ignored) == 0)
		(void)json_bson_finish(json, &ignored);
	json_bson_free(json);
}

void
outcome_describe_body(const uint8_t *body, size_t len,
    char text[MAX_OUTCOME_TEXT])
{
	struct finding finding = { .text = text };

	text[0] = '\0';
	find(body, len, &finding);
}

enum outcome_kind
outcome_judge_body(const uint8_t *body, size_t len)
{
	struct finding finding = { .kind = OUTCOME_NONE };

	find(body, len, &finding);
	return finding.kind;
}
