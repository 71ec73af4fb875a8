/*
 * What only the ledger beside an embedded store does: where its file is, and
 * what becomes of files that are none of ours.  The promises that it shares
 * with the other kind are in test_jobs.c.
 */
#include "jobslib.h"

/* Who may read nothing but what is for all. */
#define NOBODY 65534
#define LEDGER "store.db-jobs"

static char cwd[256];

/* The path of a file in the folder; good until the next call. */
static const char *
in_folder(const char *name)
{
	static char path[96];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void
change(const char *sql)
{
	sqlite3 *db;
	char	*why = NULL;

	ck_assert_int_eq(sqlite3_open(in_folder(LEDGER), &db), SQLITE_OK);
	ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK,
	    "%s", why);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static void
write_file(const char *name, const char *text)
{
	FILE *file = fopen(in_folder(name), "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fwrite(text, 1, strlen(text), file), strlen(text));
	ck_assert_int_eq(fclose(file), 0);
}

static void
open_fails(bool is_writer, const char *words)
{
	struct jobs *jobs;
	char	     beginning[256];

	(void)snprintf(beginning, sizeof(beginning), "list of jobs %s: ",
	    in_folder(LEDGER));
	CHECK_FAILS(jobs_open(&place, is_writer, &jobs, &err), words);
	ck_assert_ptr_null(jobs);
	ck_assert_msg(strncmp(err.text, beginning, strlen(beginning)) == 0,
	    "%s", err.text);
}

START_TEST(no_sqlite)
{
	char text[2000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	write_file(LEDGER, text);
	open_fails(_i == 0, "file is not a database; while no run is active,"
	    " move it away, with its -wal and -shm");
}
END_TEST

/* Of others, and a store. */
START_TEST(foreign)
{
	static const char *const makes[] = { "CREATE TABLE mine (a)",
		"PRAGMA application_id = 0x4e4f4d50",
		"PRAGMA user_version = 1",
		"CREATE TABLE SyncJobs (a); PRAGMA user_version = 1" };
	sqlite3			*db;
	sqlite3_stmt		*statement;

	change(makes[_i / 2]);
	open_fails(_i % 2 == 0, "a SQLite file, but no list of jobs");
	/* It is as it was. */
	ck_assert_int_eq(sqlite3_open(in_folder(LEDGER), &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_master"
	    " WHERE name LIKE 'SyncJobs_%'", -1, &statement, NULL),
	    SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_DONE);
	ck_assert_int_eq(sqlite3_finalize(statement), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

START_TEST(newer)
{
	struct jobs *jobs = open_jobs(true);

	add_job(jobs, "j", JOB_QUEUED);
	jobs_close(jobs);
	change("PRAGMA user_version = 2");
	open_fails(true, "made by a newer program (schema 2, this one knows"
	    " 1); update this program");
	open_fails(false, "made by a newer program");
	change("PRAGMA user_version = 1");
	jobs = open_jobs(false);
	walk_is(jobs, 0, "j:Queued");
	jobs_close(jobs);
}
END_TEST

/* What a kill right after the first open leaves. */
START_TEST(empty_file)
{
	struct jobs *jobs;

	write_file(LEDGER, "");
	jobs = open_jobs(false);
	walk_is(jobs, 0, "");
	jobs_close(jobs);
	jobs = open_jobs(true);
	add_job(jobs, "j", JOB_QUEUED);
	walk_is(jobs, 0, "j:Queued");
	jobs_close(jobs);
}
END_TEST

START_TEST(damaged)
{
	struct jobs *jobs = open_jobs(true);
	struct job   job = { 0 };

	add_job(jobs, "j", JOB_QUEUED);
	jobs_close(jobs);
	change("DROP TABLE SyncJobs");
	jobs = open_jobs(true);
	CHECK_FAILS(jobs_walk(jobs, 0, list_job, NULL, &err),
	    "no such table: SyncJobs");
	ck_assert_msg(strncmp(err.text, "store /tmp/", 11) == 0, "%s",
	    err.text);
	CHECK_FAILS(jobs_current(jobs, &job, &err), "no such table");
	ck_assert_ptr_null(job.counts);
	job_init(&job, "k", "run", 1);
	CHECK_FAILS(jobs_add(jobs, &job, &err), "no such table");
	CHECK_FAILS(jobs_put(jobs, &job, JOB_ANY, &err), "no such table");
	CHECK_FAILS(jobs_sweep(jobs, "k", &err), "no such table");
	CHECK_FAILS(jobs_abort(jobs, "k", "me", "", &job, &err),
	    "no such table");
	jobs_close(jobs);
}
END_TEST

START_TEST(no_folder)
{
	struct jobs *jobs;

	(void)snprintf(uri, sizeof(uri), "sqlite:%s/none/store.db", folder);
	CHECK_FAILS(jobs_open(&place, true, &jobs, &err), "check that its"
	    " folder exists");
	/* A reader has nothing to read there. */
	jobs = open_jobs(false);
	walk_is(jobs, 0, "");
	jobs_close(jobs);
}
END_TEST

/* As another user when this one is root, who may do everything. */
START_TEST(read_only)
{
	bool	     is_root = geteuid() == 0;
	struct jobs *jobs = open_jobs(true);
	struct job   job;

	add_job(jobs, "j", JOB_QUEUED);
	jobs_close(jobs);
	ck_assert_int_eq(chmod(in_folder(LEDGER), 0444), 0);
	ck_assert_int_eq(chmod(in_folder(LEDGER "-wal"), 0444), 0);
	ck_assert_int_eq(chmod(in_folder(LEDGER "-shm"), 0444), 0);
	ck_assert_int_eq(chmod(folder, 0555), 0);
	if (is_root)
		ck_assert_int_eq(seteuid(NOBODY), 0);
	open_fails(true, "let this user write the file and its folder");
	jobs = open_jobs(false);
	walk_is(jobs, 0, "j:Queued");
	/* Who may not write cannot ask for an end. */
	CHECK_FAILS(jobs_abort(jobs, "j", "me", "", &job, &err), "readonly");
	jobs_close(jobs);
	if (is_root)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(chmod(folder, 0700), 0);
}
END_TEST

/* Nothing was made yet, and nothing can be. */
START_TEST(read_only_folder)
{
	bool is_root = geteuid() == 0;

	ck_assert_int_eq(chmod(folder, 0555), 0);
	if (is_root)
		ck_assert_int_eq(seteuid(NOBODY), 0);
	open_fails(true, "check that its folder exists and that this user may"
	    " write it");
	if (is_root)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(chmod(folder, 0700), 0);
}
END_TEST

/* One store, one ledger, by whichever name. */
START_TEST(links)
{
	struct jobs *jobs;
	char	     real[96];

	store_close(open_store(STORE_WRITE));
	jobs = open_jobs(true);
	add_job(jobs, "j", JOB_QUEUED);
	jobs_close(jobs);
	(void)snprintf(real, sizeof(real), "%s", in_folder("store.db"));
	ck_assert_int_eq(symlink(real, in_folder("link.db")), 0);
	(void)snprintf(uri, sizeof(uri), "sqlite:%s", in_folder("link.db"));
	jobs = open_jobs(true);
	walk_is(jobs, 0, "j:Queued");
	jobs_close(jobs);
	ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
	ck_assert_int_eq(chdir(folder), 0);
	(void)snprintf(uri, sizeof(uri), "sqlite:link.db");
	jobs = open_jobs(false);
	walk_is(jobs, 0, "j:Queued");
	jobs_close(jobs);
	ck_assert_int_eq(chdir(cwd), 0);
	ck_assert_int_eq(access(in_folder("link.db-jobs"), F_OK), -1);
	ck_assert_int_eq(unlink(in_folder("link.db")), 0);
}
END_TEST

/* SQLite has a meaning of its own for these; here they are files. */
START_TEST(special_names)
{
	static const char *const names[] = { ":memory:", "file:x?mode=memory",
		"plain" };
	struct jobs		*jobs;
	char			 name[64];
	int			 i;
	static const char *const suffixes[] = { "-jobs", "-jobs-wal",
		"-jobs-shm" };

	ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
	ck_assert_int_eq(chdir(folder), 0);
	(void)snprintf(uri, sizeof(uri), "sqlite:%s", names[_i]);
	jobs = open_jobs(true);
	add_job(jobs, "j", JOB_QUEUED);
	jobs_close(jobs);
	jobs = open_jobs(false);
	walk_is(jobs, 0, "j:Queued");
	jobs_close(jobs);
	for (i = 0; i < LENGTH_OF(suffixes); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", names[_i],
		    suffixes[i]);
		ck_assert_int_eq(unlink(name), 0);
	}
	ck_assert_int_eq(chdir(cwd), 0);
}
END_TEST

/* Rows of another hand, or of a newer program. */
START_TEST(odd_rows)
{
	struct jobs *jobs = open_jobs(true);
	struct job   job;

	add_job(jobs, "good", JOB_QUEUED);
	change("INSERT INTO SyncJobs (_id, State, CreatedAt, RenewedAt, Data,"
	    " Abort) VALUES ('new', 'Paused', 5, 5, x'0500000000', NULL),"
	    " ('cut', 'Held', 5, 5, x'05', x'ff'),"
	    " ('text', 'Held', 'x', 'y', 'z', 'z'),"
	    " ('', 'Held', 5, 5, x'0500000000', NULL),"
	    " ('no label', 'Queued', 5, 5, x'0500000000', NULL)");
	walk_is(jobs, 0, "text:Held cut:Held new:Failed good:Queued");
	walk_is(jobs, 3, "text:Held cut:Held new:Failed");
	ck_assert_int_eq(jobs_get(jobs, "no label", &job, &err), 0);
	ahead_is(jobs, "none", 1);
	current_is(jobs, "good");
	CHECK(jobs_sweep(jobs, "own", &err));
	jobs_close(jobs);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("jobs_sqlite");
	TCase *tests = tcase_create("jobs_sqlite");

	tcase_add_checked_fixture(tests, sqlite_set_up, sqlite_tear_down);
	tcase_add_checked_fixture(tests, start_clock, NULL);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, no_sqlite, 0, 2);
	tcase_add_loop_test(tests, foreign, 0, 8);
	tcase_add_test(tests, newer);
	tcase_add_test(tests, empty_file);
	tcase_add_test(tests, damaged);
	tcase_add_test(tests, no_folder);
	tcase_add_test(tests, read_only);
	tcase_add_test(tests, read_only_folder);
	tcase_add_test(tests, links);
	tcase_add_loop_test(tests, special_names, 0, 3);
	tcase_add_test(tests, odd_rows);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
