#include "../../src/smart_int.h"
#include "log.h"
#include "testlib.h"

static char  condition[] = "Condition", patient[] = "Patient";
static char *types[] = { condition, patient };

START_TEST(made)
{
	static const struct {
		size_t	    n_types;
		bool	    is_v1;
		const char *scope;
	} made_of[] = {
		{ 0, false, "system/*.rs" },
		{ 0, true, "system/*.read" },
		{ 1, false, "system/Condition.rs" },
		{ 2, false, "system/Condition.rs system/Patient.rs" },
		{ 2, true, "system/Condition.read system/Patient.read" },
	};
	char  *scope;
	size_t i;

	for (i = 0; i < LENGTH_OF(made_of); i++) {
		scope = smart_scope_make(types, made_of[i].n_types,
		    made_of[i].is_v1);
		ck_assert_str_eq(scope, made_of[i].scope);
		free(scope);
	}
}
END_TEST

#define TWO "system/Condition.rs system/Patient.rs"

static const struct {
	const char *asked;
	const char *granted;
	const char *missing; /* NULL: nothing is */
} checks[] = {
	{ TWO, TWO, NULL },
	{ TWO, NULL, NULL },
	{ TWO, "  system/Patient.rs  openid system/Condition.rs ", NULL },
	{ TWO, "system/*.rs", NULL },
	{ TWO, "system/*.read", NULL },
	{ TWO, "system/*.*", NULL },
	{ TWO, "system/*.cruds", NULL },
	{ TWO, "system/Patient.read system/Condition.crs", NULL },
	{ "system/Patient.read", "system/Patient.rs", NULL },
	{ "openid x", "x openid", NULL },
	{ TWO, "system/Patient.rs", "good for Condition:" },
	{ TWO, "", "good for Condition, Patient:" },
	{ TWO, "openid", "good for Condition, Patient:" },
	{ TWO, "user/*.rs", "good for Condition, Patient:" },
	{ TWO, "patient/*.rs", "good for Condition, Patient:" },
	{ TWO, "system/Patient.rs system/Condition.r", "for Condition:" },
	{ TWO, "system/Patient.rs system/Condition.s", "for Condition:" },
	{ TWO, "system/Patient.rs system/Condition.write", "for Condition:" },
	{ TWO, "system/Patient.rs system/Condition.", "for Condition:" },
	{ TWO, "system/Patient.rs system/Condition.rsx", "for Condition:" },
	{ TWO, "system/Patient.rs system/Condition", "for Condition:" },
	{ TWO, "system/Patient.rs system/ConditionX.rs", "for Condition:" },
	{ TWO, "system/Patient.rs system/Cond.rs", "for Condition:" },
	{ TWO, "system/Patient.rs system/Condition.rs?a=b", "for Condition:" },
	{ "system/Condition.rs?a=b", "system/Condition.rs?a=b", NULL },
	{ "system/Condition.rs?a=b", "system/Condition.rs?a=c",
	    "good for system/Condition.rs?a=b:" },
	{ "openid system/Patient.rs", "system/Patient.rs", "for openid:" },
	/* All types: whatever there is, but there has to be something. */
	{ "system/*.rs", "system/Patient.rs", NULL },
	{ "system/*.rs", "system/Patient.c", "good for *:" },
	{ "system/*.rs", "user/Patient.rs", "good for *:" },
	{ "system/*.rs", "", "good for *:" },
};

START_TEST(checked)
{
	struct error err = { .text = "" };
	int	     rc;

	rc = smart_scope_check(checks[_i].asked, checks[_i].granted, false,
	    &err);
	ck_assert_int_eq(rc, checks[_i].missing == NULL ? 0 : -1);
	if (checks[_i].missing == NULL)
		return;
	ck_assert_int_eq(err.status, STATUS_REFUSED);
	if (strstr(err.text, checks[_i].missing) == NULL)
		ck_abort_msg("%s\nwanted: %s", err.text, checks[_i].missing);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("smart_scope");
	TCase *tests = tcase_create("smart_scope");

	tcase_add_test(tests, made);
	tcase_add_loop_test(tests, checked, 0, LENGTH_OF(checks));
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
