/*
 * Scopes: system/Type.rs in SMART 2, system/Type.read in SMART 1 (HL7 SMART App
 * Launch 2.2, Scopes and Launch Context).
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "smart_int.h"

#define BLANKS " "
/* Bytes of a server's scopes that a message shows. */
#define MAX_SHOWN_SCOPE 500

/* What may be done, in the order of SMART 2. */
static const char letters[] = "cruds";
#define MAY_READ  (1U << 1 | 1U << 4)
#define MAY_WRITE (1U << 0 | 1U << 2 | 1U << 3)

/* A scope in its parts, which are borrowed from its text. */
struct scope {
	const char *text;
	size_t	    len;
	const char *type; /* NULL: it is no scope for resources */
	size_t	    type_len;
	unsigned    may;
};

static bool
is_text(const char *data, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(data, text, len) == 0;
}

/* The rights of the text, or 0 when it names none. */
static unsigned
rights(const char *text, size_t len)
{
	const char *letter;
	unsigned    may = 0;
	size_t	    i;

	if (is_text(text, len, "read"))
		return MAY_READ;
	if (is_text(text, len, "write"))
		return MAY_WRITE;
	if (is_text(text, len, "*"))
		return MAY_READ | MAY_WRITE;
	for (i = 0; i < len; i++) {
		letter = strchr(letters, text[i]);
		if (letter == NULL)
			return 0;
		may |= 1U << (letter - letters);
	}
	return may;
}

static void
parse(struct scope *scope)
{
	const char *slash, *dot, *end = scope->text + scope->len;

	scope->type = NULL;
	slash = memchr(scope->text, '/', scope->len);
	if (slash == NULL)
		return;
	dot = memchr(slash, '.', (size_t)(end - slash));
	if (dot == NULL)
		return;
	scope->may = rights(dot + 1, (size_t)(end - dot - 1));
	/* With a ? behind it, it is good for a part of the type only. */
	if (scope->may == 0)
		return;
	scope->type = slash + 1;
	scope->type_len = (size_t)(dot - slash - 1);
}

/* The next scope of the list at *text; false at its end. */
static bool
next_scope(const char **text, struct scope *scope)
{
	*text += strspn(*text, BLANKS);
	scope->text = *text;
	scope->len = strcspn(*text, BLANKS);
	*text += scope->len;
	if (scope->len == 0)
		return false;
	parse(scope);
	return true;
}

/* Both are for resources of the same context: system, user or patient. */
static bool
is_same_context(const struct scope *one, const struct scope *other)
{
	size_t len = (size_t)(one->type - one->text);

	return len == (size_t)(other->type - other->text) &&
	    memcmp(one->text, other->text, len) == 0;
}

static bool
is_all_types(const struct scope *scope)
{
	return scope->type != NULL &&
	    is_text(scope->type, scope->type_len, "*");
}

/* Does have do for what want asks?  With is_part for one type of all. */
static bool
covers(const struct scope *have, const struct scope *want, bool is_part)
{
	if (have->len == want->len &&
	    memcmp(have->text, want->text, have->len) == 0)
		return true;
	if (have->type == NULL || want->type == NULL ||
	    !is_same_context(have, want) ||
	    (have->may & want->may) != want->may)
		return false;
	return is_part || is_all_types(have) ||
	    (have->type_len == want->type_len &&
	    memcmp(have->type, want->type, have->type_len) == 0);
}

static bool
is_covered(const char *granted, const struct scope *want, bool is_part)
{
	struct scope have;

	while (next_scope(&granted, &have)) {
		if (covers(&have, want, is_part))
			return true;
	}
	return false;
}

static void
append_name(struct buf *list, const struct scope *scope)
{
	const char *name = scope->type != NULL ? scope->type : scope->text;
	size_t	    len;

	len = scope->type != NULL ? scope->type_len : scope->len;
	buf_print(list, "%s%.*s", list->len > 0 ? ", " : "", (int)len, name);
}

char *
smart_scope_make(char *const *types, size_t n_types, bool is_v1)
{
	const char *may = is_v1 ? "read" : "rs";
	struct buf  text = { 0 };
	size_t	    i;

	for (i = 0; i < n_types; i++)
		buf_print(&text, "%ssystem/%s.%s", i > 0 ? " " : "", types[i],
		    may);
	if (n_types == 0)
		buf_print(&text, "system/*.%s", may);
	buf_append_byte(&text, 0);
	return (char *)text.data;
}

int
smart_scope_check(const char *asked, const char *granted, bool warns,
    struct error *err)
{
	struct buf   missing = { 0 };
	struct scope want;
	const char  *rest = asked;
	int	     rc = 0;

	if (granted == NULL) {
		if (warns)
			log_warn("the server does not say which scopes the"
			    " token has; \"%s\" was asked for", asked);
		return 0;
	}
	while (next_scope(&rest, &want)) {
		if (is_covered(granted, &want, false))
			continue;
		if (!is_all_types(&want) ||
		    !is_covered(granted, &want, true))
			append_name(&missing, &want);
		else if (warns)
			log_warn("all types were asked for, and only \"%.*s\""
			    " are granted; the export will have no others",
			    MAX_SHOWN_SCOPE, granted);
	}
	if (missing.len > 0)
		rc = error_set(err, STATUS_REFUSED, "the token is not good for"
		    " %.*s: asked for \"%.*s\", granted \"%.*s\"; have the"
		    " client's scopes widened at the server, or ask for fewer"
		    " types (--type)", (int)missing.len,
		    (const char *)missing.data, MAX_SHOWN_SCOPE, asked,
		    MAX_SHOWN_SCOPE, granted);
	buf_clear(&missing);
	return rc;
}
