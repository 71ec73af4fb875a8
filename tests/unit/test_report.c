#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>

#include "report.h"
#include "reportlib.h"
#include "stage.h"
#include "words.h"

#define STORE "/var/lib/nompd/nompd.db"
/* A user who may write nowhere. */
#define NOBODY 65534

static struct options opts;
static struct job     job;
static struct error   err;
static struct buf     text;
static char	     *path; /* of the metrics file */

static void
setup(void)
{
	setup_report();
	path = xasprintf("%s/nompd.prom", folder);
	opts = (struct options){ .metrics_file = path };
	ck_assert_ptr_null(store_place_set(&opts.store, "sqlite:" STORE));
	make_job(&job, "job-1", STATUS_OK, 0);
	text = (struct buf){ 0 };
	memset(&err, 0, sizeof(err));
}

static void
teardown(void)
{
	job_clear(&job);
	buf_clear(&text);
	store_place_clear(&opts.store);
	words_free(opts.notify_command);
	free(path);
	teardown_report();
}

/* The metrics as text; borrowed until the next one. */
static const char *
metrics(const char *store, const struct metrics_last *last)
{
	char *labels = report_labels(store);

	text.len = 0;
	report_metrics(&text, labels, &job, last);
	buf_append_byte(&text, '\0');
	free(labels);
	return (const char *)text.data;
}

static void
assert_has(const char *all, const char *line)
{
	ck_assert_msg(strstr(all, line) != NULL, "no %s in:\n%s", line, all);
}

static void
assert_has_not(const char *all, const char *part)
{
	ck_assert_msg(strstr(all, part) == NULL, "%s in:\n%s", part, all);
}

/* How many files there are in the folder beside the log. */
static int
count_files(void)
{
	struct dirent *entry;
	DIR	      *dir = opendir(folder);
	int	       n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.' &&
		    strcmp(entry->d_name, "log") != 0;
	closedir(dir);
	return n;
}

#define HEAD(name, help) "# TYPE " name " gauge\n# HELP " name " " help "\n"
#define SECONDS(name, help) \
	"# TYPE " name " gauge\n# UNIT " name " seconds\n# HELP " name " " \
	help "\n"
#define OF "{store=\"s\"} "

static const char whole[] =
    HEAD("nompd_program_info", "The program that wrote this.")
    "nompd_program_info{store=\"s\",version=\"" NOMPD_VERSION "\"} 1\n"
    SECONDS("nompd_run_end_timestamp_seconds",
    "When the last run ended, however it did (UTC).")
    "nompd_run_end_timestamp_seconds" OF "1000000012.500\n"
    SECONDS("nompd_run_duration_seconds",
    "How long that run took, its wait for another one included.")
    "nompd_run_duration_seconds" OF "12.500\n"
    HEAD("nompd_run_success", "1 when that run was published, else 0.")
    "nompd_run_success" OF "1\n"
    HEAD("nompd_run_held", "1 when the guard held that run, else 0.")
    "nompd_run_held" OF "0\n"
    HEAD("nompd_run_exit_status", "The exit status of that run.")
    "nompd_run_exit_status" OF "0\n"
    HEAD("nompd_run_state",
    "1 for the state in which that run ended, 0 for the others.")
    "nompd_run_state{store=\"s\",state=\"Completed\"} 1\n"
    "nompd_run_state{store=\"s\",state=\"Held\"} 0\n"
    "nompd_run_state{store=\"s\",state=\"Failed\"} 0\n"
    "nompd_run_state{store=\"s\",state=\"Aborted\"} 0\n"
    HEAD("nompd_run_retries", "Requests that that run made again.")
    "nompd_run_retries" OF "3\n"
    HEAD("nompd_run_records", "Records of that run, by how far it came with"
    " them; expected: as the upstream says.")
    "nompd_run_records{store=\"s\",collection=\"Collection0\","
    "step=\"fetched\"} 9\n"
    "nompd_run_records{store=\"s\",collection=\"Collection0\","
    "step=\"expected\"} 9007199254740993\n"
    "nompd_run_records{store=\"s\",collection=\"Collection0\","
    "step=\"processed\"} 8\n"
    "nompd_run_records{store=\"s\",collection=\"Collection0\","
    "step=\"written\"} 7\n"
    "nompd_run_records{store=\"s\",collection=\"Collection1\","
    "step=\"processed\"} 0\n"
    "nompd_run_records{store=\"s\",collection=\"Collection1\","
    "step=\"written\"} 0\n"
    HEAD("nompd_run_acts", "What that run did to records.")
    "nompd_run_acts{store=\"s\",act=\"added\"} 1\n"
    "nompd_run_acts{store=\"s\",act=\"updated\"} 2\n"
    "nompd_run_acts{store=\"s\",act=\"unchanged\"} 3\n"
    "nompd_run_acts{store=\"s\",act=\"deleted\"} 4\n"
    HEAD("nompd_last_version",
    "The version of the last finished run; 0: none yet.")
    "nompd_last_version" OF "5\n"
    SECONDS("nompd_last_success_timestamp_seconds",
    "When the last finished run that fetched was published (UTC).")
    "nompd_last_success_timestamp_seconds" OF "1000000012.345\n"
    "# EOF\n";

START_TEST(all_of_it)
{
	struct metrics_last last = { 5, 1000000012345 };

	job_clear(&job);
	make_job(&job, "job-1", STATUS_OK, 2);
	job.retries = 3;
	job.counts[0].fetched = 9;
	job.counts[0].expected = 9007199254740993;
	job.counts[0].processed = 8;
	job.counts[0].written = 7;
	job.has_result = true;
	job.result = (struct run_result){ 5, 1, 2, 3, 4, 10000 };
	ck_assert_str_eq(metrics("s", &last), whole);
}
END_TEST

static const struct {
	enum status status;
	const char *state;
	int	    success;
	int	    held;
} outcomes[] = {
	{ STATUS_OK, "Completed", 1, 0 },
	{ STATUS_HELD, "Held", 0, 1 },
	{ STATUS_UNAVAILABLE, "Failed", 0, 0 },
	{ STATUS_STORE, "Failed", 0, 0 },
	{ STATUS_BUSY, "Failed", 0, 0 },
	{ STATUS_ABORTED, "Aborted", 0, 0 },
	{ STATUS_INTERRUPTED + SIGTERM, "Failed", 0, 0 },
};

START_TEST(each_end)
{
	const char *all, *state;
	char	    line[200];
	int	    n = 0;

	job_clear(&job);
	make_job(&job, "", outcomes[_i].status, 0);
	all = metrics("s", NULL);
	(void)snprintf(line, sizeof(line), "\nnompd_run_success" OF "%d\n",
	    outcomes[_i].success);
	assert_has(all, line);
	(void)snprintf(line, sizeof(line), "\nnompd_run_held" OF "%d\n",
	    outcomes[_i].held);
	assert_has(all, line);
	(void)snprintf(line, sizeof(line), "\nnompd_run_exit_status" OF "%d\n",
	    (int)outcomes[_i].status);
	assert_has(all, line);
	(void)snprintf(line, sizeof(line),
	    "\nnompd_run_state{store=\"s\",state=\"%s\"} 1\n",
	    outcomes[_i].state);
	assert_has(all, line);
	/* And no other state. */
	for (state = all; (state = strstr(state, "\nnompd_run_state{")) !=
	    NULL; state++)
		n += strchr(state + 1, '\n')[-1] == '1';
	ck_assert_int_eq(n, 1);
	/* What is not known is not there. */
	assert_has_not(all, "nompd_run_records");
	assert_has_not(all, "nompd_run_acts");
	assert_has_not(all, "nompd_last_");
	ck_assert_str_eq(all + strlen(all) - strlen("\n# EOF\n"), "\n# EOF\n");
}
END_TEST

static const struct {
	const char *store;
	const char *label;
} names[] = {
	{ "/a b/\xc3\xa5.db", "/a b/\xc3\xa5.db" },
	{ "a\"b", "a\\\"b" },
	{ "a\\b", "a\\\\b" },
	{ "a\nb", "a\\nb" },
	{ "a\\n\"\n", "a\\\\n\\\"\\n" },
	{ "a\xff" "b", "a?b" },
};

START_TEST(names_are_escaped)
{
	char line[200];

	(void)snprintf(line, sizeof(line), "\nnompd_run_success{store=\"%s\"}"
	    " 1\n", names[_i].label);
	assert_has(metrics(names[_i].store, NULL), line);
}
END_TEST

START_TEST(clock_that_went_back)
{
	job.ended_at_ms = job.created_at_ms - 5000;
	assert_has(metrics("s", NULL), "\nnompd_run_duration_seconds" OF
	    "0.000\n");
}
END_TEST

START_TEST(largest)
{
	char   store[2 * MAX_STORE_NAME_BYTES];
	size_t i;

	memset(store, '"', sizeof(store) - 1);
	store[sizeof(store) - 1] = '\0';
	job_clear(&job);
	make_job(&job, "job-1", STATUS_OK, MAX_LISTS);
	for (i = 0; i < MAX_LISTS; i++) {
		memset(job.counts[i].name, 'N', MAX_COLLECTION_NAME);
		job.counts[i].fetched = job.counts[i].expected = INT64_MAX;
		job.counts[i].processed = INT64_MAX;
		job.counts[i].written = INT64_MAX;
	}
	(void)metrics(store, NULL);
	text.len--;
	ck_assert_uint_gt(text.len, MAX_METRICS_BYTES / 2);
	ck_assert_int_eq(report_replace(path, &text, &err), 0);
	/* What could not be read again is not written. */
	while (text.len <= MAX_METRICS_BYTES)
		buf_append_byte(&text, '\n');
	ck_assert_int_eq(report_replace(path, &text, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "larger than 2097152 bytes"));
}
END_TEST

#define VERSION "nompd_last_version" OF
#define SUCCESS "nompd_last_success_timestamp_seconds" OF

/* at_ms of -1: it is not found. */
static const struct {
	const char *old;
	int64_t	    version;
	int64_t	    at_ms;
} olds[] = {
	{ "# EOF\n" VERSION "7\n" SUCCESS "12.345\n", 7, 12345 },
	{ SUCCESS "253402300799.999\n" VERSION "9223372036854775807\n",
	    INT64_MAX, 253402300799999 },
	{ "x\n\n" VERSION "0\n", 0, 0 },
	{ "", 0, -1 },
	{ "\n", 0, -1 },
	{ VERSION "7\n", 0, -1 },
	{ SUCCESS "12.345\n", 0, -1 },
	{ VERSION "7\n" SUCCESS "12.345", 0, -1 },
	{ VERSION "7\n" SUCCESS "12.34\n", 0, -1 },
	{ VERSION "7\n" SUCCESS "12.3456\n", 0, -1 },
	{ VERSION "7\n" SUCCESS "12\n", 0, -1 },
	{ VERSION "7\n" SUCCESS "-12.345\n", 0, -1 },
	{ VERSION "7\n" SUCCESS "253402300800.000\n", 0, -1 },
	{ VERSION "7\n" SUCCESS "99999999999999999999.000\n", 0, -1 },
	{ VERSION "7 1\n" SUCCESS "12.345\n", 0, -1 },
	{ VERSION "x\n" SUCCESS "12.345\n", 0, -1 },
	{ VERSION "9223372036854775808\n" SUCCESS "12.345\n", 0, -1 },
	{ "x" VERSION "7\n" SUCCESS "12.345\n", 0, -1 },
	{ "nompd_last_version{store=\"other\"} 7\n" SUCCESS "12.345\n", 0,
	    -1 },
};

START_TEST(old_is_read)
{
	struct metrics_last last = { -2, -2 };
	bool		    is_found;

	is_found = metrics_last_find(olds[_i].old, "store=\"s\"", &last);
	ck_assert_msg(is_found == (olds[_i].at_ms != -1), "%s", olds[_i].old);
	if (!is_found)
		return;
	ck_assert_int_eq(last.version, olds[_i].version);
	ck_assert_int_eq(last.at_ms, olds[_i].at_ms);
}
END_TEST

#define OF_STORE "{store=\"" STORE "\"} "

static void
assert_last(const char *version, const char *success)
{
	const char *all = read_in_folder("nompd.prom");
	char	    line[200];

	(void)snprintf(line, sizeof(line), "\nnompd_last_version" OF_STORE
	    "%s\n", version);
	assert_has(all, line);
	(void)snprintf(line, sizeof(line),
	    "\nnompd_last_success_timestamp_seconds" OF_STORE "%s\n", success);
	assert_has(all, line);
}

/* An alert on the age of the last success goes on when the store is away. */
START_TEST(success_is_kept)
{
	struct metrics_last last = { 5, 1000000002000 };

	report_run(&opts, &job, &last);
	assert_last("5", "1000000002.000");
	job_clear(&job);
	make_job(&job, "", STATUS_STORE, 0);
	report_run(&opts, &job, NULL);
	assert_last("5", "1000000002.000");
	assert_has(content, "\nnompd_run_success" OF_STORE "0\n");
	report_run(&opts, &job, NULL);
	assert_last("5", "1000000002.000");
	/* Not that of another store. */
	ck_assert_ptr_null(store_place_set(&opts.store, "sqlite:/other.db"));
	report_run(&opts, &job, NULL);
	assert_has_not(read_in_folder("nompd.prom"), "nompd_last_");
	ck_assert_int_eq(count_files(), 1);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(success_of_its_own)
{
	job.has_result = true;
	job.result.version = 8;
	report_run(&opts, &job, NULL);
	assert_last("8", "1000000012.500");
}
END_TEST

/* It has fetched nothing, and the file may tell who has. */
START_TEST(no_success_of_its_own)
{
	struct metrics_last last = { 5, 1000000002000 };

	job.has_result = true;
	job.result.version = 8;
	(void)snprintf(job.command, sizeof(job.command), "prune");
	report_run(&opts, &job, NULL);
	assert_has_not(read_in_folder("nompd.prom"), "nompd_last_success");
	report_run(&opts, &job, &last);
	report_run(&opts, &job, NULL);
	assert_last("5", "1000000002.000");
}
END_TEST

START_TEST(no_success_yet)
{
	struct metrics_last last = { 0 };

	job_clear(&job);
	make_job(&job, "job-1", STATUS_HELD, 0);
	report_run(&opts, &job, &last);
	assert_has(read_in_folder("nompd.prom"), "\nnompd_last_version"
	    OF_STORE "0\n");
	assert_has_not(content, "nompd_last_success");
}
END_TEST

static void
replace(const char *all)
{
	text.len = 0;
	buf_append(&text, all, strlen(all));
	ck_assert_msg(report_replace(path, &text, &err) == 0, "%s", err.text);
}

/* Of the file that is there nothing is changed, and the new one is open to all
 * whatever the umask. */
START_TEST(replaced_at_once)
{
	struct stat info;
	char	    old[8] = "";
	mode_t	    mask = umask(0177);
	int	    fd;

	replace("one\n");
	fd = open(path, O_RDONLY);
	ck_assert_int_ne(fd, -1);
	replace("two, longer\n");
	ck_assert_int_eq(read(fd, old, sizeof(old)), 4);
	ck_assert_str_eq(old, "one\n");
	close(fd);
	ck_assert_str_eq(read_in_folder("nompd.prom"), "two, longer\n");
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert_uint_eq(info.st_mode & 07777, 0644);
	ck_assert_int_eq(count_files(), 1);
	(void)umask(mask);
}
END_TEST

START_TEST(link_stays)
{
	struct stat info;
	char	   *target = xasprintf("%s/target", folder);

	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(close(open(target, O_CREAT | O_WRONLY, 0600)), 0);
	replace("one\n");
	ck_assert_int_eq(lstat(path, &info), 0);
	ck_assert(S_ISLNK(info.st_mode));
	ck_assert_str_eq(read_in_folder("target"), "one\n");
	ck_assert_int_eq(count_files(), 2);
	free(target);
}
END_TEST

/* Failed, with the old file as it was and nothing beside it. */
static void
assert_kept(const char *part)
{
	text.len = 0;
	buf_append(&text, "a much longer text than before\n", 31);
	ck_assert_int_eq(report_replace(path, &text, &err), -1);
	ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
	ck_assert_str_eq(read_in_folder("nompd.prom"), "one\n");
	ck_assert_int_eq(count_files(), 1);
}

START_TEST(full_disk)
{
	struct rlimit limit, old;

	replace("one\n");
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){ .rlim_cur = 8, .rlim_max = old.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_kept("cannot write a new one beside it: File too large");
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
}
END_TEST

START_TEST(read_only_folder)
{
	bool is_root = geteuid() == 0;

	replace("one\n");
	ck_assert_int_eq(chmod(folder, 0555), 0);
	if (is_root)
		ck_assert_int_eq(seteuid(NOBODY), 0);
	assert_kept("cannot write a new one beside it: Permission denied");
	if (is_root)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(no_folder)
{
	opts.metrics_file = "/nonexistent/nompd.prom";
	report_run(&opts, &job, NULL);
	assert_has(read_log(), " warn  --metrics-file: /nonexistent/nompd.prom:"
	    " cannot write a new one beside it: No such file or directory;"
	    " the run is as it is\n");
}
END_TEST

START_TEST(no_file)
{
	struct stat info;

	/* Neither waited for nor replaced. */
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	report_run(&opts, &job, NULL);
	assert_has(read_log(), "nompd.prom: is no file, and is not replaced by"
	    " one");
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert(S_ISFIFO(info.st_mode));
	ck_assert_int_eq(count_files(), 1);
}
END_TEST

/* The command finds the metrics there; what fails is a warning. */
START_TEST(file_and_command)
{
	opts.notify_command = words_parse("/bin/grep -c nompd_run_success{");
	words_add(&opts.notify_command, path);
	report_run(&opts, &job, NULL);
	ck_assert_str_eq(read_log(), "1\n");
	words_free(opts.notify_command);
	opts.notify_command = words_parse("/bin/false secret");
	report_run(&opts, &job, NULL);
	assert_has(read_log(), " warn  --notify-command: /bin/false has ended"
	    " with status 1; the run is as it is\n");
	assert_has_not(content, "secret");
}
END_TEST

START_TEST(neither)
{
	opts.metrics_file = NULL;
	report_run(&opts, &job, NULL);
	ck_assert_int_eq(count_files(), 0);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

static TCase *
texts(void)
{
	TCase *tests = tcase_create("texts");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, all_of_it);
	tcase_add_loop_test(tests, each_end, 0, LENGTH_OF(outcomes));
	tcase_add_loop_test(tests, names_are_escaped, 0, LENGTH_OF(names));
	tcase_add_test(tests, clock_that_went_back);
	tcase_add_test(tests, largest);
	tcase_add_loop_test(tests, old_is_read, 0, LENGTH_OF(olds));
	return tests;
}

int
main(void)
{
	Suite *suite = suite_create("report");
	TCase *tests = tcase_create("files");

	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, success_is_kept);
	tcase_add_test(tests, success_of_its_own);
	tcase_add_test(tests, no_success_of_its_own);
	tcase_add_test(tests, no_success_yet);
	tcase_add_test(tests, replaced_at_once);
	tcase_add_test(tests, link_stays);
	tcase_add_test(tests, full_disk);
	tcase_add_test(tests, read_only_folder);
	tcase_add_test(tests, no_folder);
	tcase_add_test(tests, no_file);
	tcase_add_test(tests, file_and_command);
	tcase_add_test(tests, neither);
	suite_add_tcase(suite, texts());
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
