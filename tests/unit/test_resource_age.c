#include "resource_age.h"
#include "testlib.h"

/* 2025-04-10T08:30:00Z */
#define TIME_US INT64_C(1744273800000000)
#define HOUR_US INT64_C(3600000000)

static const struct {
	const char	   *resource;
	struct resource_age age;
} resources[] = {
	{ "{}", { 0, 0, false } },
	{ "{'lastUpdated':'2025-04-10T08:30:00Z'}", { 0, 0, false } },
	{ "{'meta':{}}", { 0, 0, false } },
	{ "{'meta':'2025-04-10T08:30:00Z'}", { 0, 0, false } },
	{ "{'meta':[{'versionId':'3'}]}", { 0, 0, false } },
	/* Times with zones and fractions. */
	{ "{'meta':{'lastUpdated':'2025-04-10T08:30:00Z'}}",
	    { TIME_US, 0, false } },
	{ "{'meta':{'lastUpdated':'2025-04-10T10:30:00+02:00'}}",
	    { TIME_US, 0, false } },
	{ "{'meta':{'lastUpdated':'2025-04-10T03:00:00-05:30'}}",
	    { TIME_US, 0, false } },
	{ "{'meta':{'lastUpdated':'2025-04-10T09:30:00Z'}}",
	    { TIME_US + HOUR_US, 0, false } },
	{ "{'meta':{'lastUpdated':'2025-04-10T08:30:00.123Z'}}",
	    { TIME_US + 123000, 0, false } },
	{ "{'meta':{'lastUpdated':'2025-04-10T08:30:00.1234567-00:00'}}",
	    { TIME_US + 123456, 0, false } },
	{ "{'meta':{'lastUpdated':'1969-12-31T23:59:59Z'}}",
	    { -1000000, 0, false } },
	/* None: without a time or zone, no text. */
	{ "{'meta':{'lastUpdated':'2025-04-10'}}", { 0, 0, false } },
	{ "{'meta':{'lastUpdated':'2025-04-10T08:30:00'}}", { 0, 0, false } },
	{ "{'meta':{'lastUpdated':''}}", { 0, 0, false } },
	{ "{'meta':{'lastUpdated':1744273800}}", { 0, 0, false } },
	/* Versions. */
	{ "{'meta':{'versionId':'7'}}", { 0, 7, false } },
	{ "{'meta':{'versionId':'007'}}", { 0, 7, false } },
	{ "{'meta':{'versionId':'999999999999999999'}}",
	    { 0, INT64_C(999999999999999999), false } },
	{ "{'meta':{'versionId':'1000000000000000000'}}", { 0, 0, false } },
	{ "{'meta':{'versionId':''}}", { 0, 0, false } },
	{ "{'meta':{'versionId':'-1'}}", { 0, 0, false } },
	{ "{'meta':{'versionId':'7a'}}", { 0, 0, false } },
	{ "{'meta':{'versionId':' 7'}}", { 0, 0, false } },
	{ "{'meta':{'versionId':'5c29-11'}}", { 0, 0, false } },
	{ "{'meta':{'versionId':7}}", { 0, 0, false } },
	/* SUBSETTED. */
	{ "{'meta':{'tag':[{'code':'SUBSETTED'}]}}", { 0, 0, true } },
	{ "{'meta':{'tag':[{'code':'x'},{'system':'s','code':'SUBSETTED'}]}}",
	    { 0, 0, true } },
	{ "{'meta':{'tag':[{'code':'subsetted'},{'display':'SUBSETTED'}]}}",
	    { 0, 0, false } },
	{ "{'meta':{'security':[{'code':'SUBSETTED'}]}}", { 0, 0, false } },
	{ "{'meta':{'tag':['SUBSETTED',null,1]}}", { 0, 0, false } },
	{ "{'tag':[{'code':'SUBSETTED'}]}", { 0, 0, false } },
	/* All at once. */
	{ "{'meta':{'versionId':'2','tag':[{'code':'SUBSETTED'}],"
	    "'lastUpdated':'2025-04-10T08:30:00Z'}}", { TIME_US, 2, true } },
};

START_TEST(read_resource)
{
	bson_t		   *doc = test_bson(resources[_i].resource);
	struct resource_age age = resource_age_get(doc);

	ck_assert_int_eq(age.updated_us, resources[_i].age.updated_us);
	ck_assert_int_eq(age.version, resources[_i].age.version);
	ck_assert_int_eq(age.is_subset, resources[_i].age.is_subset);
	bson_destroy(doc);
}
END_TEST

static const struct {
	struct resource_age one;
	struct resource_age other;
	int		    order; /* of one to other */
} pairs[] = {
	{ { 0, 0, false }, { 0, 0, false }, 0 },
	{ { 5, 0, false }, { 5, 0, false }, 0 },
	{ { 6, 0, false }, { 5, 0, false }, 1 },
	/* The time before the version. */
	{ { 6, 1, false }, { 5, 2, false }, 1 },
	{ { 5, 2, false }, { 5, 1, false }, 1 },
	{ { 0, 2, false }, { 0, 1, false }, 1 },
	/* What is unknown on a side tells nothing. */
	{ { 5, 0, false }, { 0, 0, false }, 0 },
	{ { 0, 2, false }, { 0, 0, false }, 0 },
	{ { 5, 0, false }, { 0, 2, false }, 0 },
	{ { 5, 1, false }, { 0, 2, false }, -1 },
	{ { 6, 2, false }, { 5, 0, false }, 1 },
	/* A whole one before a subset, whatever their ages. */
	{ { 5, 1, false }, { 6, 2, true }, 1 },
	{ { 0, 0, false }, { 6, 2, true }, 1 },
	{ { 5, 1, true }, { 6, 1, true }, -1 },
	{ { 5, 2, true }, { 5, 1, true }, 1 },
	{ { 0, 0, true }, { 0, 0, true }, 0 },
	/* Before 1970 is a time, too. */
	{ { -5, 0, false }, { -6, 0, false }, 1 },
	{ { 5, 0, false }, { -6, 0, false }, 1 },
};

static int
sign(int number)
{
	return (number > 0) - (number < 0);
}

START_TEST(compare_both_ways)
{
	ck_assert_int_eq(sign(resource_age_compare(&pairs[_i].one,
	    &pairs[_i].other)), pairs[_i].order);
	ck_assert_int_eq(sign(resource_age_compare(&pairs[_i].other,
	    &pairs[_i].one)), -pairs[_i].order);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("resource_age");
	TCase *tests = tcase_create("resource_age");

	tcase_add_loop_test(tests, read_resource, 0, LENGTH_OF(resources));
	tcase_add_loop_test(tests, compare_both_ways, 0, LENGTH_OF(pairs));
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
