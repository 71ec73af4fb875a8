/* What the tests of the conversions share. */
#ifndef NOMPD_CONVERTLIB_H
#define NOMPD_CONVERTLIB_H

#include <stdio.h>
#include <unistd.h>

#include "convert.h"
#include "fhir.h"
#include "limit.h"
#include "record.h"
#include "testlib.h"

#define PLAN(members)  "{'identifier':[{'value':'K'}]" members "}"
#define OID	       "urn:oid:2.16.578.1.12.4.1.102"
#define MEDICINE(text) \
	"{'reference':null,'type':'FEST/LegemiddelPakning'," \
	"'identifier':{'system':'FEST/Varenummer','value':'" text "'}," \
	"'display':null}"

/* The ActivityDefinitions that the tests know; the last one has a key that
 * looks like a reference. */
static const char *const activity_texts[] = {
	("{'identifier':[{'value':'A-1'}],'name':'Paracet',"
	 "'description':'Against pain','articleNumbers':['0012','34']}"),
	"{'identifier':[{'value':'http://x/AD/9|2'}],'name':'Whole'}",
	"{'identifier':[{'value':'http://x/AD/9'}],'name':'Bare'}",
	"{'identifier':[{'value':'9|2'}],'name':'Segment'}",
	"{'identifier':[{'value':'E'}],'name':'','description':''}",
	"{'identifier':[{'value':'N'}],'name':5,'description':null}",
	"{'identifier':[{'value':'2'}],'name':'No version'}",
};
#define ACTIVITIES LENGTH_OF(activity_texts)

struct fixture {
	bson_t *activities[16];
	int	finds;
	bool	is_failing;
	char	asked[512]; /* the keys looked up, a space behind each */
};

static struct fixture fixture;

static inline void
setup(void)
{
	int i;

	memset(&fixture, 0, sizeof(fixture));
	for (i = 0; i < ACTIVITIES; i++)
		fixture.activities[i] = test_bson(activity_texts[i]);
}

static inline void
teardown(void)
{
	int i;

	for (i = 0; i < LENGTH_OF(fixture.activities); i++)
		bson_destroy(fixture.activities[i]);
}

static inline int
find(void *ctx, const char *key, size_t len, bson_t *out, struct error *err)
{
	struct fixture	*fix = ctx;
	struct fhir_text found;
	size_t		 used = strlen(fix->asked);
	int		 i;

	fix->finds++;
	if (fix->is_failing)
		return error_set(err, STATUS_STORE, "the stage is gone");
	(void)snprintf(fix->asked + used, sizeof(fix->asked) - used, "%.*s ",
	    (int)len, key);
	for (i = 0; i < LENGTH_OF(fix->activities); i++) {
		if (fix->activities[i] == NULL)
			continue;
		found = fhir_business_key(fix->activities[i]);
		if (found.len == len && memcmp(found.text, key, len) == 0)
			return bson_init_static(out,
			    bson_get_data(fix->activities[i]),
			    fix->activities[i]->len);
	}
	return 0;
}

static const struct convert_activities activities = { find, &fixture };

/* Sends standard error to a file while fn's warnings are of interest. */
struct capture {
	FILE *file;
	int   saved;
};

static inline void
capture_begin(struct capture *capture)
{
	(void)fflush(stderr);
	capture->file = tmpfile();
	ck_assert_ptr_nonnull(capture->file);
	capture->saved = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(fileno(capture->file), STDERR_FILENO), 0);
}

/* The text until now; the caller frees it. */
static inline char *
capture_end(struct capture *capture)
{
	char  *text = xcalloc(1, 65536);
	size_t len;

	(void)fflush(stderr);
	(void)dup2(capture->saved, STDERR_FILENO);
	(void)close(capture->saved);
	rewind(capture->file);
	len = fread(text, 1, 65535, capture->file);
	text[len] = '\0';
	(void)fclose(capture->file);
	return text;
}

/* Converts and returns the JSON of one member of the output (of all of it for
 * NULL); the caller frees it. */
static inline char *
member_json(const bson_t *out, const char *member)
{
	bson_t	    only = BSON_INITIALIZER;
	bson_iter_t iter;
	char	   *json;

	if (member == NULL)
		return test_json(out);
	ck_assert(bson_iter_init_find(&iter, out, member));
	bson_append_iter(&only, member, -1, &iter);
	json = test_json(&only);
	bson_destroy(&only);
	return json;
}

static inline char *
treatment(const char *plan, const char *member, uint64_t *unresolved)
{
	struct capture capture;
	struct error   err;
	bson_t	      *doc = test_bson(plan), out;
	char	      *json;
	int	       result;

	capture_begin(&capture);
	result = convert_treatment_group(doc, &activities, &out, unresolved,
	    &err);
	free(capture_end(&capture));
	ck_assert_msg(result == 0, "%s", plan);
	ck_assert(bson_validate(&out, BSON_VALIDATE_NONE, NULL));
	json = member_json(&out, member);
	bson_destroy(&out);
	bson_destroy(doc);
	return json;
}

static inline void
treatment_is(const char *plan, const char *member, const char *expected)
{
	uint64_t unresolved = 0;
	char	*json = treatment(plan, member, &unresolved);

	ck_assert_str_eq(json, expected);
	free(json);
}

static inline void
reimbursement_is(const char *authorization, const char *member,
    const char *expected)
{
	struct error err;
	bson_t	    *doc = test_bson(authorization), out;
	char	    *json;

	ck_assert_int_eq(convert_reimbursement_group(doc, &out, &err), 0);
	json = member_json(&out, member);
	ck_assert_str_eq(json, expected);
	free(json);
	bson_destroy(&out);
	bson_destroy(doc);
}

static inline void
text_append(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text) + 1);
	out->len--;
}

/* member: an array of n times entry; the caller destroys it. */
static inline bson_t *
resource_new(const char *key, const char *member, const char *entry, int n)
{
	struct buf json = { 0 };
	bson_t	  *doc;
	int	   i;

	text_append(&json, "{'identifier':[{'value':'");
	text_append(&json, key);
	text_append(&json, "'}],'");
	text_append(&json, member);
	text_append(&json, "':[");
	for (i = 0; i < n; i++) {
		text_append(&json, i > 0 ? "," : "");
		text_append(&json, entry);
	}
	text_append(&json, "]}");
	doc = test_bson((const char *)json.data);
	buf_clear(&json);
	return doc;
}

#endif
