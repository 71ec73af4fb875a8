/*
 * The promises of store.h on each kind of store (backendlib.h says on which):
 * how it is opened, its versions, and what a run does to it as a whole.
 */
#include <sys/socket.h>

#include "backendlib.h"
#include "log.h"
#include "plan.h"
#include "upsert.h"

static const char *const abc[] = { "b", "a", "c", NULL };
static const char *const only_b[] = { "b", NULL };
static const char *const only_c[] = { "c", NULL };
static const char *const only_d[] = { "d", NULL };

static const enum store_mode modes[] = {
	STORE_WRITE, STORE_UPDATE, STORE_READ, STORE_DRY,
};

/* All that can be read is empty. */
static void
is_empty(struct store *store)
{
	struct store_cursor	 *cursor;
	struct store_history	  entry;
	struct store_history_keys keys;
	int			  i;

	versions_are(store, 0, 0);
	for (i = 0; i < COLLECTION__MAX; i++) {
		counts_are(store, collection_name(i), 0, 0);
		ck_assert(!is_there(store, collection_name(i), "a", 1));
	}
	scan(store);
	CHECK(store_history_open(store, 10, &cursor, &err));
	ck_assert_int_eq(store_history_next(cursor, &entry, &err), 0);
	store_cursor_close(cursor);
	CHECK(store_history_parts_open(store, &cursor, &err));
	ck_assert_int_eq(store_history_keys_next(cursor, &keys, &err), 0);
	store_cursor_close(cursor);
}

START_TEST(write_makes)
{
	struct store *store;

	store_close(open_store(STORE_WRITE));
	store_close(open_store(STORE_UPDATE));
	store = open_store(modes[_i]);
	is_empty(store);
	store_close(store);
}
END_TEST

START_TEST(update_and_read_make_nothing)
{
	static const enum store_mode refused[] = { STORE_UPDATE, STORE_READ };
	struct store		    *store;

	CHECK_FAILS(store_open(&place, refused[_i], &store, &err),
	    "it is not there");
	ck_assert_ptr_null(store);
	backend()->check_nothing();
}
END_TEST

START_TEST(dry_makes_nothing)
{
	struct store *store = open_store(STORE_DRY);

	CHECK(store_begin(store, &err));
	is_empty(store);
	store_close(store);
	backend()->check_nothing();
}
END_TEST

START_TEST(newer_is_refused)
{
	struct store *store;

	write_run(abc, NULL, 1, true);
	backend()->make_newer();
	CHECK_FAILS(store_open(&place, modes[_i], &store, &err),
	    "2); update this program");
}
END_TEST

START_TEST(foreign_is_refused)
{
	struct store *store;

	backend()->make_foreign();
	CHECK_FAILS(store_open(&place, modes[_i], &store, &err),
	    "not a store of ours");
	backend()->check_foreign();
}
END_TEST

/* Errors begin with it, and it has no secret. */
START_TEST(name)
{
	struct store *store = open_store(STORE_WRITE);

	ck_assert_ptr_nonnull(strstr(uri, "://") != NULL ?
	    strstr(store_name(store), "mongodb://") :
	    strstr(uri, store_name(store)));
	ck_assert_ptr_null(strchr(store_name(store), '@'));
	ck_assert(!store_is_replaced(store));
	store_close(store);
	store_close(NULL);
}
END_TEST

START_TEST(unknown_kind)
{
	struct store_place other = { (char[]){ "mysql:x" }, NULL };
	struct store	  *store;

	ck_assert_int_eq(store_open(&other, STORE_WRITE, &store, &err), -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_ptr_null(store);
}
END_TEST

START_TEST(versions)
{
	struct store_versions read;
	struct store	     *store;
	int64_t		      version;

	store = begin_run(1744273800001, &version);
	ck_assert_int_eq(version, 1);
	put_history(store, version, 1744273800002);
	CHECK(store_publish(store, &err));
	store_close(store);
	store = begin_run(1744273800003, &version);
	ck_assert_int_eq(version, 2);
	put_history(store, version, 1744273800004);
	CHECK(store_publish(store, &err));
	store_close(store);
	store = open_store(STORE_READ);
	CHECK(store_versions_get(store, &read, &err));
	ck_assert_int_eq(read.raised, 2);
	ck_assert_int_eq(read.raised_at_ms, 1744273800003);
	ck_assert_int_eq(read.finished, 2);
	ck_assert_int_eq(read.finished_at_ms, 1744273800004);
	store_close(store);
}
END_TEST

/* As a copy does it: the versions come from elsewhere, twice the same. */
START_TEST(versions_set)
{
	struct store_versions set = { .raised = (int64_t)1 << 40,
		.raised_at_ms = 1744273800123 }, read;
	struct store	     *store;
	int		      i;

	for (i = 0; i < 2; i++) {
		store = open_store(STORE_WRITE);
		take_lease(store);
		CHECK(store_begin(store, &err));
		CHECK(store_versions_set(store, &set, &err));
		if (i == 0)
			put_history(store, 40, 77);
		CHECK(store_publish(store, &err));
		store_close(store);
	}
	store = open_store(STORE_READ);
	CHECK(store_versions_get(store, &read, &err));
	ck_assert_int_eq(read.raised, set.raised);
	ck_assert_int_eq(read.raised_at_ms, set.raised_at_ms);
	ck_assert_int_eq(read.finished, 40);
	ck_assert_int_eq(read.finished_at_ms, 77);
	store_close(store);
	/* The next run goes on from there. */
	store = begin_run(0, &set.raised);
	ck_assert_int_eq(set.raised, ((int64_t)1 << 40) + 1);
	store_close(store);
}
END_TEST

/* A reader's versions are those of its begin until it lets them go. */
START_TEST(end_and_begin_anew)
{
	struct store *store;
	int	      i;

	write_run(abc, NULL, 1, true);
	store = open_store(STORE_READ);
	CHECK(store_begin(store, &err));
	versions_are(store, 1, 1);
	write_run(only_d, only_b, 2, true);
	versions_are(store, 1, 1);
	CHECK(store_end(store, &err));
	for (i = 0; i < 20; i++) {
		CHECK(store_begin(store, &err));
		versions_are(store, 2, 2);
		counts_are(store, PLANS, 3, 1);
		CHECK(store_end(store, &err));
	}
	store_close(store);
}
END_TEST

/* A reader sees none of a run before its end, and then all of it. */
START_TEST(publish_is_last)
{
	struct store	    *reader, *writer;
	struct store_writer *plans;
	int64_t		     version;

	write_run(abc, NULL, 1, true);
	reader = open_store(STORE_READ);
	writer = begin_run(5, &version);
	plans = open_writer(writer, PLANS, version, 5);
	CHECK(put_fill(plans, "d", 2, true));
	CHECK(store_writer_close(plans, &err));
	put_history(writer, version, 6);
	CHECK(store_begin(reader, &err));
	versions_are(reader, backend()->has_undo ? 1 : 2, 1);
	CHECK(store_end(reader, &err));
	CHECK(store_publish(writer, &err));
	CHECK(store_begin(reader, &err));
	versions_are(reader, 2, 2);
	ck_assert(is_there(reader, PLANS, "d", 1));
	store_close(reader);
	store_close(writer);
}
END_TEST

/* Without store_publish() no version is finished; the next run mends. */
START_TEST(unpublished)
{
	struct store *store;

	write_run(abc, NULL, 1, true);
	write_run(only_b, only_c, 2, false);
	store = open_store(STORE_READ);
	versions_are(store, backend()->has_undo ? 1 : 2, 1);
	store_close(store);
	records_are(backend()->has_undo ? "a:1 b:1 c:1" : "a:1 b:2 c:1-");
	/* What it has left may be anything. */
	state_is(backend()->has_undo ? "a:1 b:1 c:1" : "a:1 b:0 c:0-");
	write_run(only_c, NULL, 3, true);
	changes_are(1, true, backend()->has_undo ? "c:2" : "c:3");
}
END_TEST

/* Every row of the contract's table of states at once, and a duplicate. */
START_TEST(merge_join)
{
	static const char *const unseen[] = { "gone", "same", "tomb", "was",
		NULL };
	static const char *const tombs[] = { "tomb", "rests", NULL };
	static const char *const rests[] = { "rests", NULL };
	struct stage		*stage;
	struct store		*store;
	struct tally		 tally = { .name = "PlanDefinitions" };
	int64_t			 version;

	write_run(unseen, NULL, 1, true);
	write_run(rests, NULL, 1, true);
	write_run(NULL, tombs, 1, true);
	CHECK(stage_open(&stage, &err));
	stage_one(stage, "was", 7);
	stage_one(stage, "tomb", 1);
	stage_one(stage, "new", 7);
	stage_one(stage, "same", 7);
	stage_one(stage, "same", 1);
	CHECK(stage_finish(stage, PLAN_DEFINITIONS, &err));
	store = begin_run(9, &version);
	CHECK(plan_collection(stage, store, &tally, &err));
	ck_assert_uint_eq(tally.added, 1);
	ck_assert_uint_eq(tally.updated, 2);
	ck_assert_uint_eq(tally.unchanged, 1);
	ck_assert_uint_eq(tally.deleted, 1);
	ck_assert_uint_eq(tally.duplicates, 1);
	ck_assert_uint_eq(tally.live, 3);
	CHECK(upsert_collection(stage, store, &tally, version, 9, &err));
	end_run(store, version, true);
	stage_close(stage);
	state_is("gone:1- new:7 rests:1- same:1 tomb:1 was:7");
	changes_are(3, true, "gone:4- new:4 tomb:4 was:4");
}
END_TEST

/* Standard error, line by line, while fn runs. */
static void
capture(void (*fn)(void), char *text, size_t size)
{
	int	pair[2], saved;
	ssize_t n;
	size_t	len = 0;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	saved = dup(STDERR_FILENO);
	ck_assert_int_ne(dup2(pair[0], STDERR_FILENO), -1);
	fn();
	ck_assert_int_ne(dup2(saved, STDERR_FILENO), -1);
	(void)close(saved);
	(void)close(pair[0]);
	while ((n = recv(pair[1], text + len, size - 1 - len, 0)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	(void)close(pair[1]);
}

static void
traced_run(void)
{
	write_run(only_b, only_c, 2, true);
}

/* A run whose steps are logged does what it does else. */
START_TEST(traced)
{
	/* A kind of store may have more of its own in between. */
	static const char *const steps[] = {
		" step 1: lease ", ": begin ", ": version ",
		": writer PlanDefinitions", ": put b", ": delete c",
		": writer end ", ": history ", ": publish ", ": published ",
	};
	char	    text[4096];
	const char *at = text;
	int	    i;

	write_run(abc, NULL, 1, true);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, false);
	ck_assert_int_eq(setenv("NOMPD_STORE_TRACE", "1", 1), 0);
	capture(traced_run, text, sizeof(text));
	ck_assert_int_eq(unsetenv("NOMPD_STORE_TRACE"), 0);
	for (i = 0; i < LENGTH_OF(steps); i++) {
		at = strstr(at, steps[i]);
		ck_assert_msg(at != NULL, "no %s: %s", steps[i], text);
	}
	state_is("a:1 b:2 c:1-");
	changes_are(1, true, "b:2 c:2-");
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("store_conformance", &tests);

	tcase_add_loop_test(tests, write_makes, 0, LENGTH_OF(modes));
	tcase_add_loop_test(tests, update_and_read_make_nothing, 0, 2);
	tcase_add_test(tests, dry_makes_nothing);
	tcase_add_loop_test(tests, newer_is_refused, 0, LENGTH_OF(modes));
	tcase_add_loop_test(tests, foreign_is_refused, 0, LENGTH_OF(modes));
	tcase_add_test(tests, name);
	tcase_add_test(tests, unknown_kind);
	tcase_add_test(tests, versions);
	tcase_add_test(tests, versions_set);
	tcase_add_test(tests, end_and_begin_anew);
	tcase_add_test(tests, publish_is_last);
	tcase_add_test(tests, unpublished);
	tcase_add_test(tests, merge_join);
	tcase_add_test(tests, traced);
	return test_run(suite);
}
