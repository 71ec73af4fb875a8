#include "guard.h"
#include "retry.h"
#include "testlib.h"

/* One collection's plan and what the guard says of it. */
static const struct {
	uint64_t	  live;
	uint64_t	  deleted;
	uint64_t	  usable; /* records the upstream gave */
	struct max_delete max;
	bool		  is_held;
} cases[] = {
	/* The floor of 10 and the percentage: both must be passed. */
	{ 20, 10, 10, { true, 20 }, false },
	{ 20, 11, 9, { true, 20 }, true },
	{ 55, 11, 44, { true, 20 }, false },
	{ 54, 11, 43, { true, 20 }, true },
	{ 1000, 200, 800, { true, 20 }, false },
	{ 1000, 201, 799, { true, 20 }, true },
	{ 1000, 11, 989, { true, 0 }, true },
	{ 1000, 10, 990, { true, 0 }, false },
	{ 100, 99, 1, { true, 99 }, false },
	/* Nothing from upstream: only 100 % lets it through. */
	{ 1, 1, 0, { true, 20 }, true },
	{ 1, 1, 0, { true, 99 }, true },
	{ 1, 1, 0, { false, 5 }, true },
	{ 1000, 1000, 0, { true, 100 }, false },
	{ 0, 0, 0, { true, 20 }, false },
	/* A count has no floor. */
	{ 100, 3, 97, { false, 3 }, false },
	{ 100, 4, 96, { false, 3 }, true },
	{ 100, 1, 99, { false, 0 }, true },
	{ 100, 0, 100, { false, 0 }, false },
};

START_TEST(judgement)
{
	static const char *const names[] = { "A", "B", "C" };
	struct tally		 tallies[3];
	struct error		 err;
	int			 collection, rc;

	for (collection = 0; collection < 3; collection++) {
		memset(tallies, 0, sizeof(tallies));
		tallies[collection].name = names[collection];
		tallies[collection].live = cases[_i].live;
		tallies[collection].deleted = cases[_i].deleted;
		tallies[collection].unchanged = cases[_i].usable;
		rc = guard_check(tallies, 3, cases[_i].max, &err);
		ck_assert_int_eq(rc, cases[_i].is_held ? -1 : 0);
		if (!cases[_i].is_held)
			continue;
		ck_assert_int_eq(err.status, STATUS_HELD);
		ck_assert_ptr_nonnull(strstr(err.text,
		    names[collection]));
		ck_assert_ptr_nonnull(strstr(err.text, "--max-delete"));
	}
}
END_TEST

START_TEST(every_collection_is_named)
{
	struct tally tallies[3] = {
		{ .name = "PlanDefinitions", .live = 100, .deleted = 61,
		    .unchanged = 39 },
		{ .name = "ActivityDefinitions", .live = 100,
		    .unchanged = 100 },
		{ .name = "RegulatedAuthorizations", .live = 72 },
	};
	struct max_delete max = { true, 20 };
	struct error	  err;

	ck_assert_int_eq(guard_check(tallies, 3, max, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "PlanDefinitions: 61 of 100"));
	ck_assert_ptr_null(strstr(err.text, "ActivityDefinitions"));
	ck_assert_ptr_nonnull(strstr(err.text, "holds 72 live"));
	ck_assert_ptr_nonnull(strstr(err.text, "--max-delete 100% lets"));
	/* The value in the advice is one that the guard lets through. */
	tallies[2].deleted = 71;
	tallies[2].unchanged = 1;
	ck_assert_int_eq(guard_check(tallies, 3, max, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "--max-delete 71 lets"));
	max = (struct max_delete){ false, 71 };
	ck_assert_int_eq(guard_check(tallies, 3, max, &err), 0);
	max.value = 70;
	ck_assert_int_eq(guard_check(tallies, 3, max, &err), -1);
}
END_TEST

/* Outputs, what is put aside, and what only adds are not judged as emptied;
 * what an incremental export deletes is. */
START_TEST(who_is_judged)
{
	struct tally	  tally = { .name = "Patient", .live = 100 };
	struct max_delete max = { true, 20 };
	struct error	  err;

	ck_assert_int_eq(guard_check(&tally, 1, max, &err), -1);
	tally.stale = 1;
	ck_assert_int_eq(guard_check(&tally, 1, max, &err), 0);
	tally.stale = 0;
	tally.is_merged = true;
	ck_assert_int_eq(guard_check(&tally, 1, max, &err), 0);
	tally.deleted = 21;
	ck_assert_int_eq(guard_check(&tally, 1, max, &err), -1);
	tally.is_aside = true;
	ck_assert_int_eq(guard_check(&tally, 1, max, &err), 0);
	tally.is_aside = false;
	tally.is_output = true;
	ck_assert_int_eq(guard_check(&tally, 1, max, &err), 0);
}
END_TEST

START_TEST(statuses_retried)
{
	static const long retried[] = { 408, 425, 429, 500, 502, 503, 504 };
	int		  status, i, expected;

	for (status = 100; status < 600; status++) {
		expected = 0;
		for (i = 0; i < LENGTH_OF(retried); i++)
			expected |= retried[i] == status;
		ck_assert_int_eq(retry_is_status(status), expected);
	}
}
END_TEST

/* Full jitter: from nothing up to an end that doubles, and no further. */
START_TEST(waits)
{
	int64_t	 longest, wait_ms, limit = RETRY_BASE_MS;
	unsigned attempt;
	int	 i;

	for (attempt = 0; attempt < 100; attempt++) {
		longest = 0;
		for (i = 0; i < 200; i++) {
			wait_ms = retry_wait_ms(attempt, 0);
			ck_assert_int_ge(wait_ms, 0);
			ck_assert_int_le(wait_ms, limit);
			longest = wait_ms > longest ? wait_ms : longest;
		}
		ck_assert_int_gt(longest, limit / 2);
		limit = limit * 2 < MAX_RETRY_MS ? limit * 2 : MAX_RETRY_MS;
	}
}
END_TEST

/* The same ends, and never at once. */
START_TEST(poll_waits)
{
	int64_t	 wait_ms, limit = RETRY_BASE_MS;
	unsigned asked;
	int	 i;

	for (asked = 0; asked < 100; asked++) {
		for (i = 0; i < 200; i++) {
			wait_ms = retry_poll_wait_ms(asked);
			ck_assert_int_ge(wait_ms, limit * 3 / 4);
			ck_assert_int_le(wait_ms, limit);
		}
		limit = limit * 2 < MAX_RETRY_MS ? limit * 2 : MAX_RETRY_MS;
	}
}
END_TEST

START_TEST(retry_after)
{
	ck_assert_int_eq(retry_wait_ms(0, 1), 1000);
	ck_assert_int_eq(retry_wait_ms(9, 300), 300000);
	ck_assert_int_eq(retry_wait_ms(0, 301), MAX_RETRY_AFTER_MS);
	ck_assert_int_eq(retry_wait_ms(0, INT64_MAX), MAX_RETRY_AFTER_MS);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("guard");
	TCase *guard = tcase_create("guard"), *retry = tcase_create("retry");

	tcase_add_loop_test(guard, judgement, 0, LENGTH_OF(cases));
	tcase_add_test(guard, every_collection_is_named);
	tcase_add_test(guard, who_is_judged);
	suite_add_tcase(suite, guard);
	tcase_add_test(retry, statuses_retried);
	tcase_add_test(retry, waits);
	tcase_add_test(retry, poll_waits);
	tcase_add_test(retry, retry_after);
	suite_add_tcase(suite, retry);
	return test_run(suite);
}
