/*
 * The promises of store.h on each kind of store (backendlib.h says on which):
 * a version as it was, while and after others came.
 */
#include "timelib.h"

#define RUNS 12
#define SEEDS 4

/*
 * A random sequence of runs, of which some die: in the middle of each the last
 * finished version is seen exactly, and in the end each one that was finished.
 */
START_TEST(views)
{
	struct store *store;
	int64_t	      version;
	bool	      is_published;
	int	      i;

	past_begin((uint64_t)_i);
	for (i = 0; i < RUNS; i++) {
		past_change();
		is_published = i == 0 || past_roll(3) != 0;
		store = past_write(&version);
		past_check_reader(past.last);
		past_end(store, version, is_published);
		past_check_reader(past.last);
	}
	past_check_reader(0);
}
END_TEST

/* Who only looks sees the same in a view, and without one what is there. */
START_TEST(view_of_others)
{
	static const enum store_mode modes[] = { STORE_PEEK, STORE_DRY,
		STORE_UPDATE };
	struct store *store;
	int	      i;

	past_begin(77);
	for (i = 0; i < 3; i++) {
		past_change();
		(void)past_run(true);
	}
	store = open_store(modes[_i]);
	if (modes[_i] == STORE_UPDATE)
		take_lease(store);
	CHECK(store_begin(store, &err));
	for (i = 3; i >= 0; i--) {
		store_view(store, i);
		past_check(store, i == 0 ? 3 : i, true);
	}
	store_close(store);
}
END_TEST

/* A run that reads a version while it writes what that was: a rollback. */
START_TEST(view_while_writing)
{
	struct store_writer *writer;
	struct store_cursor *cursor;
	struct store_record  record;
	struct store	    *store;
	int64_t		     version;
	int		     i, rc, n = 0;

	past_begin(0);
	for (i = 0; i < PAST_KEYS; i++)
		past_set(i, 1);
	(void)past_run(true);
	for (i = 0; i < PAST_KEYS; i++)
		past_set(i, i % 3 == 0 ? 0 : 2);
	(void)past_run(true);
	store = begin_run(0, &version);
	store_view(store, 1);
	CHECK(store_records_open(store, PLANS, true, &cursor, &err));
	while ((rc = store_record_next(cursor, &record, &err)) == 1) {
		ck_assert_int_eq(record.version, 1);
		writer = open_writer(store, PLANS, version, 1000 * version);
		CHECK(put_fill(writer, record.key, 1, false));
		CHECK(store_writer_close(writer, &err));
		n++;
	}
	ck_assert_msg(rc == 0, "%s", err.text);
	ck_assert_int_eq(n, PAST_KEYS);
	store_cursor_close(cursor);
	for (i = 0; i < PAST_KEYS; i++)
		past_set(i, 1);
	past_end(store, version, true);
	past_check_reader(0);
}
END_TEST

/* More of them than a chunk of any kind has. */
#define MANY 4500

static void
key_of(int number, char key[16])
{
	(void)snprintf(key, 16, "k%05d", number);
}

/* All are put, or every third is deleted. */
static void
write_many(uint8_t fill)
{
	char		     key[16];
	struct store_writer *writer;
	struct store	    *store;
	int64_t		     version;
	int		     i;

	store = begin_run(0, &version);
	writer = open_writer(store, PLANS, version, 0);
	for (i = 0; i < MANY; i++) {
		key_of(i, key);
		if (version > 1 && i % 3 == 0)
			CHECK(store_writer_delete(writer, key, strlen(key),
			    &err));
		else
			CHECK(put_fill(writer, key, fill, version == 1));
	}
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
}

/* After how many records a run rewrites them all. */
static const int moments[] = { 0, 1, 1000, 2000, 2001, 4499, 4500 };

/* By key or by version, a reader gets what there was when it began. */
START_TEST(rewritten_while_read)
{
	bool		     by_version = _i % 2 == 1;
	char		     key[16];
	struct store	    *store;
	struct store_cursor *cursor;
	struct store_record  record;
	int		     i, rc;

	write_many(1);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	CHECK(by_version ? store_changes_open(store, PLANS, 0, false, &cursor,
	    &err) : store_records_open(store, PLANS, false, &cursor, &err));
	for (i = 0; i <= MANY; i++) {
		if (i == moments[_i / 2])
			write_many(2);
		rc = by_version ? store_changes_next(cursor, &record, &err) :
		    store_record_next(cursor, &record, &err);
		ck_assert_msg(rc == (i < MANY), "%d: %s", i, err.text);
		if (rc == 0)
			break;
		key_of(i, key);
		ck_assert_str_eq(record.key, key);
		ck_assert_int_eq(record.version, 1);
		ck_assert_int_eq(record.hash[1], '1');
		ck_assert(!record.is_deleted);
	}
	store_cursor_close(cursor);
	counts_are(store, PLANS, MANY, 0);
	store_close(store);
}
END_TEST

/* Before there is a finished version there is nothing to be seen. */
START_TEST(first_run_died)
{
	struct store *store;

	past_begin(0);
	past_set(1, 1);
	(void)past_run(false);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	past_check(store, 0, true);
	store_close(store);
	(void)past_run(true);
	past_check_reader(0);
}
END_TEST

static void
states_from_is(int64_t expected)
{
	struct store	     *store = open_store(STORE_READ);
	struct store_versions versions;

	CHECK(store_begin(store, &err));
	CHECK(store_versions_get(store, &versions, &err));
	ck_assert_int_eq(versions.states_from, expected);
	ck_assert_int_eq(versions.horizon, 0);
	store_close(store);
}

/* A store of an older program: who takes the lease brings it up to date. */
START_TEST(upgrade)
{
	struct store *store;
	int	      i;

	past_begin(5);
	for (i = 0; i < 3; i++) {
		past_change();
		(void)past_run(true);
	}
	states_from_is(0);
	backend()->make_old();
	for (i = 0; i < 2; i++) {
		/* It is read before and after. */
		store = open_store(STORE_READ);
		CHECK(store_begin(store, &err));
		past_check(store, 3, true);
		store_close(store);
		store = open_store(STORE_WRITE);
		take_lease(store);
		store_close(store);
		states_from_is(3);
	}
	for (i = 0; i < 3; i++) {
		past_change();
		(void)past_run(i != 1);
		past_check_reader(3);
	}
}
END_TEST

/* It was made, and never synchronised. */
START_TEST(upgrade_of_empty)
{
	store_close(open_store(STORE_WRITE));
	backend()->make_old();
	past_begin(6);
	past_change();
	(void)past_run(true);
	past_change();
	(void)past_run(true);
	states_from_is(0);
	past_check_reader(0);
}
END_TEST

/* A reader that stays open while the store is brought up to date. */
START_TEST(upgrade_meanwhile)
{
	struct store *reader, *store;
	int64_t	      version;

	past_begin(8);
	past_change();
	(void)past_run(true);
	backend()->make_old();
	reader = open_store(STORE_READ);
	CHECK(store_begin(reader, &err));
	past_check(reader, 1, true);
	CHECK(store_end(reader, &err));
	past_change();
	store = past_write(&version);
	CHECK(store_begin(reader, &err));
	past_check(reader, 1, true);
	CHECK(store_end(reader, &err));
	past_end(store, version, true);
	CHECK(store_begin(reader, &err));
	past_check(reader, version, true);
	CHECK(store_end(reader, &err));
	store_close(reader);
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("store_conformance_time", &tests);

	tcase_add_loop_test(tests, views, 0, SEEDS);
	tcase_add_loop_test(tests, view_of_others, 0, 3);
	tcase_add_test(tests, view_while_writing);
	tcase_add_loop_test(tests, rewritten_while_read, 0,
	    2 * LENGTH_OF(moments));
	tcase_add_test(tests, first_run_died);
	tcase_add_test(tests, upgrade);
	tcase_add_test(tests, upgrade_of_empty);
	tcase_add_test(tests, upgrade_meanwhile);
	return test_run(suite);
}
