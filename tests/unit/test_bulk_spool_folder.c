#include "spoollib.h"

static char mongodb_uri[] = "mongodb://h/db";

START_TEST(private_modes)
{
	struct bulk_spool_file file = NO_FILE;
	struct bulk_spool     *spool;
	uint8_t		       digest[HASH_BYTES];
	mode_t		       before = umask(0);

	spool = open_spool();
	ck_assert_int_eq(mode_of(spool_path), 0700);
	CHECK(bulk_spool_begin(spool, 1, &file, &err));
	ck_assert_int_eq(mode_of(in_spool("00000001.part")), 0600);
	CHECK(bulk_spool_end(spool, &file, digest, &err));
	ck_assert_int_eq(mode_of(in_spool("00000001.ndjson")), 0600);
	ck_assert(!is_there(in_spool("00000001.part")));
	bulk_spool_close(spool);
	(void)umask(before);
}
END_TEST

/* Of another run, with what it left. */
START_TEST(found_again)
{
	struct bulk_spool *spool = open_spool();
	uint8_t		   digest[HASH_BYTES];

	put(spool, 1, "{}\n", digest);
	bulk_spool_close(spool);
	spool = open_spool();
	ck_assert(bulk_spool_has(spool, 1, 3, digest));
	reads_as(spool, 1, "{}\n");
	bulk_spool_close(spool);
	bulk_spool_close(NULL);
}
END_TEST

/* Not for two runs at once, whose stores may differ. */
START_TEST(locked)
{
	struct bulk_spool *spool = open_spool(), *other = NULL;

	ck_assert_int_eq(bulk_spool_open(&opts, "y.db", &other, &err), -1);
	ck_assert_ptr_null(other);
	ck_assert_int_eq(err.status, STATUS_BUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "in use by another run"));
	ck_assert_ptr_nonnull(strstr(err.text, opts.bulk.spool));
	bulk_spool_close(spool);
	bulk_spool_close(open_spool());
}
END_TEST

/* Whether the folder can be opened as the spool; the sentence has part. */
static void
is_refused(const char *part)
{
	struct bulk_spool *spool = NULL;

	ck_assert_int_eq(bulk_spool_open(&opts, "x.db", &spool, &err), -1);
	ck_assert_ptr_null(spool);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
	ck_assert_ptr_nonnull(strstr(err.text, opts.bulk.spool));
	ck_assert_ptr_nonnull(strstr(err.text, "--spool"));
}

static const mode_t open_modes[] = { 0701, 0710, 0740, 0720, 0702, 0704,
	0777 };

START_TEST(open_folder_refused)
{
	ck_assert_int_eq(mkdir(spool_path, 0700), 0);
	ck_assert_int_eq(chmod(spool_path, open_modes[_i]), 0);
	is_refused("open to others; want a folder of its own with mode 0700");
	/* It is not made to fit either. */
	ck_assert_int_eq(mode_of(spool_path), open_modes[_i]);
	ck_assert_int_eq(chmod(spool_path, 0700), 0);
	bulk_spool_close(open_spool());
}
END_TEST

/* root alone can give a folder away; the others have one that is root's. */
START_TEST(foreign_folder_refused)
{
	if (geteuid() == 0) {
		ck_assert_int_eq(mkdir(spool_path, 0700), 0);
		ck_assert_int_eq(chown(spool_path, 1, 1), 0);
	} else {
		opts.bulk.spool = "/usr";
	}
	is_refused("is another user's");
}
END_TEST

START_TEST(no_folder_refused)
{
	static const char *const parts[] = { "cannot open it: ",
		"cannot make it: No such file", "cannot open it: ",
		"cannot open it: " };
	char			 missing[MAX_PATH_TEXT];

	switch (_i) {
	case 0:
		make_file(spool_path, "a file");
		break;
	case 1:
		(void)snprintf(missing, sizeof(missing), "%s/a/b", folder);
		opts.bulk.spool = missing;
		break;
	case 2:
		/* A link, be it to a good folder or to none. */
		(void)snprintf(missing, sizeof(missing), "%s/real", folder);
		ck_assert_int_eq(mkdir(missing, 0700), 0);
		ck_assert_int_eq(symlink(missing, spool_path), 0);
		break;
	default:
		ck_assert_int_eq(symlink("nowhere", spool_path), 0);
	}
	is_refused(parts[_i]);
}
END_TEST

static const struct {
	const char *name;
	bool	    is_ours;
} names[] = {
	{ "00000001.ndjson", true }, { "00000002.part", true },
	{ "00100000.ndjson", true }, { "notes.txt", false },
	/* Somebody's files, one a day. */
	{ "20250410.ndjson", false }, { "20250410.part", false },
	{ "00000000.ndjson", false }, { "000000001.ndjson", false },
	{ "1.ndjson", false }, { "00000001.ndjson.bak", false },
	{ "x00000001.ndjson", false }, { "00000001", false },
	{ "00000001.json", false },
};

START_TEST(cleared)
{
	struct bulk_spool *spool = open_spool();
	int		   i;

	for (i = 0; i < LENGTH_OF(names); i++)
		make_file(in_spool(names[i].name), "x");
	bulk_spool_clear(spool);
	for (i = 0; i < LENGTH_OF(names); i++)
		ck_assert_msg(is_there(in_spool(names[i].name)) !=
		    names[i].is_ours, "%s", names[i].name);
	bulk_spool_close(spool);
}
END_TEST

/* A folder that --spool named stays. */
START_TEST(named_folder_stays)
{
	struct bulk_spool *spool = open_spool();
	uint8_t		   digest[HASH_BYTES];

	put(spool, 1, "abc", digest);
	bulk_spool_remove(spool);
	bulk_spool_close(spool);
	ck_assert(is_there(spool_path));
	ck_assert(!is_there(in_spool("00000001.ndjson")));
}
END_TEST

/* The only entry of the test's folder that begins so; "" when there is none. */
static void
find_only(const char *start, char path[MAX_PATH_TEXT])
{
	struct dirent *entry;
	DIR	      *dir = opendir(folder);

	path[0] = '\0';
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, start, strlen(start)) != 0)
			continue;
		ck_assert_str_eq(path, "");
		(void)snprintf(path, MAX_PATH_TEXT, "%s/%.64s", folder,
		    entry->d_name);
	}
	ck_assert_int_eq(closedir(dir), 0);
}

/* Without --spool: where it lies, and that it goes with its files, unless there
 * is something else in it. */
START_TEST(own_folder)
{
	static const char *const starts[] = { "s.db-bulk", "nompd-bulk-" };
	struct bulk_spool	*spool;
	uint8_t			 digest[HASH_BYTES];
	char			 name[MAX_PATH_TEXT], again[MAX_PATH_TEXT];

	opts.bulk.spool = NULL;
	opts.store.uri = _i == 0 ? sqlite_uri : mongodb_uri;
	(void)snprintf(name, sizeof(name), "%s/s.db", folder);
	CHECK(bulk_spool_open(&opts, name, &spool, &err));
	find_only(starts[_i], spool_path);
	ck_assert_int_eq(mode_of(spool_path), 0700);
	put(spool, 1, "abc", digest);
	bulk_spool_close(spool);
	/* The next run finds it. */
	CHECK(bulk_spool_open(&opts, name, &spool, &err));
	find_only(starts[_i], again);
	ck_assert_str_eq(again, spool_path);
	ck_assert(bulk_spool_has(spool, 1, 3, digest));
	make_file(in_spool("notes.txt"), "mine");
	bulk_spool_remove(spool);
	file_is(in_spool("notes.txt"), "mine");
	ck_assert(!is_there(in_spool("00000001.ndjson")));
	ck_assert_int_eq(unlink(in_spool("notes.txt")), 0);
	bulk_spool_remove(spool);
	ck_assert(!is_there(spool_path));
	bulk_spool_close(spool);
}
END_TEST

/* Each store of a server has its own. */
START_TEST(folder_of_each_store)
{
	struct bulk_spool *one, *other;
	char		   path[MAX_PATH_TEXT];

	opts.bulk.spool = NULL;
	opts.store.uri = mongodb_uri;
	CHECK(bulk_spool_open(&opts, "mongodb://h/db", &one, &err));
	find_only("nompd-bulk-", path);
	ck_assert_uint_eq(strlen(path), strlen(folder) +
	    strlen("/nompd-bulk-") + 16);
	CHECK(bulk_spool_open(&opts, "mongodb://h/other", &other, &err));
	bulk_spool_remove(one);
	ck_assert(!is_there(path));
	find_only("nompd-bulk-", path);
	ck_assert(is_there(path));
	bulk_spool_remove(other);
	bulk_spool_close(one);
	bulk_spool_close(other);
}
END_TEST

/* A dry run leaves the folder of the runs alone, also when it is named. */
START_TEST(dry_run_apart)
{
	struct bulk_spool *spool = open_spool(), *dry;
	uint8_t		   digest[HASH_BYTES], ignored[HASH_BYTES];
	char		   path[MAX_PATH_TEXT];

	put(spool, 1, "abc", digest);
	opts.dry_run = true;
	CHECK(bulk_spool_open(&opts, "x.db", &dry, &err));
	find_only("nompd-bulk-", path);
	ck_assert_int_eq(mode_of(path), 0700);
	ck_assert(!bulk_spool_has(dry, 1, 3, digest));
	put(dry, 1, "other", ignored);
	bulk_spool_remove(dry);
	ck_assert(!is_there(path));
	bulk_spool_close(dry);
	ck_assert(bulk_spool_has(spool, 1, 3, digest));
	bulk_spool_close(spool);
	/* Nor is there one to be made in a folder that is gone. */
	(void)snprintf(path, sizeof(path), "%s/gone", folder);
	setenv("TMPDIR", path, 1);
	ck_assert_int_eq(bulk_spool_open(&opts, "x.db", &dry, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "cannot make it: "));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bulk_spool_folder");
	TCase *tests = tcase_create("bulk_spool_folder");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, private_modes);
	tcase_add_test(tests, found_again);
	tcase_add_test(tests, locked);
	tcase_add_loop_test(tests, open_folder_refused, 0,
	    LENGTH_OF(open_modes));
	tcase_add_test(tests, foreign_folder_refused);
	tcase_add_loop_test(tests, no_folder_refused, 0, 4);
	tcase_add_test(tests, cleared);
	tcase_add_test(tests, named_folder_stays);
	tcase_add_loop_test(tests, own_folder, 0, 2);
	tcase_add_test(tests, folder_of_each_store);
	tcase_add_test(tests, dry_run_apart);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
