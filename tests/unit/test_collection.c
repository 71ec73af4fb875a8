/* Which names a collection beside the five can have. */
#include "collection.h"
#include "testlib.h"

#define TEN "Abcdefghij"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const struct {
	const char *name;
	bool	    is_extra;
} names[] = {
	{ "Patient", true },
	{ "Quarantine", true },
	{ "PlanDefinition", true },
	{ "A", true },
	{ "ABC", true },
	{ "Syn", true },
	{ SIXTY "abcd", true },
	{ SIXTY "abcde", false },
	{ "", false },
	{ "patient", false },
	{ " Patient", false },
	{ "Patient ", false },
	{ "Patient2", false },
	{ "Pat_ient", false },
	{ "Patient\"", false },
	{ "P\xc3\xa5tient", false },
	{ "PlanDefinitions", false },
	{ "PLANDEFINITIONS", false },
	{ "ReimbursementGroups", false },
	{ "Reimbursementgroups", false },
	{ "Sync", false },
	{ "SyncHistory", false },
	{ "SYNCHISTORY", false },
	{ "Synchronisation", false },
};

START_TEST(extra)
{
	ck_assert_msg(collection_is_extra(names[_i].name) ==
	    names[_i].is_extra, "%s", names[_i].name);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("collection");
	TCase *tests = tcase_create("names");

	tcase_add_loop_test(tests, extra, 0, LENGTH_OF(names));
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
