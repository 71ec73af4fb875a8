/* Keys added and revoked. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "apikeylib.h"

/* The file grows up to its limit, to the byte, and not beyond. */
START_TEST(adding_up_to_limit)
{
	static const size_t line = sizeof(LINE_ABC);
	struct stat	    info;
	char		    key[APIKEY_TEXT_BYTES];

	write_large(MAX_APIKEYS_BYTES - line + 1);
	failed(apikey_add(path, "b", APIKEY_READ, key, &err), STATUS_STORE,
	    "larger than");
	write_large(MAX_APIKEYS_BYTES - line);
	add("b", APIKEY_READ, key);
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert_int_eq(info.st_size, MAX_APIKEYS_BYTES);
	list_is("a:read b:read ");
}
END_TEST

START_TEST(added_key)
{
	static const char    letters[] = "abcdefghijklmnopqrstuvwxyz"
					 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789_-";
	struct apikey_holder holder;
	char		     key[APIKEY_TEXT_BYTES], *text;

	memset(key, 'x', sizeof(key));
	add("hospital-a", APIKEY_SYNC, key);
	ck_assert_uint_eq(strlen(key), strlen("nompd_") + 43);
	ck_assert_int_eq(strncmp(key, "nompd_", 6), 0);
	ck_assert_uint_eq(strspn(key + 6, letters), 43);
	ck_assert_int_eq(apikey_check(path, key, &holder, &err), 1);
	ck_assert_str_eq(holder.name, "hospital-a");
	ck_assert_int_eq(holder.scope, APIKEY_SYNC);
	/* The key itself is not kept, not even a part of it. */
	text = read_file();
	ck_assert_ptr_null(strstr(text, key + 6));
	key[12] = '\0';
	ck_assert_ptr_null(strstr(text, key));
	free(text);
	ck_assert_int_eq(apikey_check(path, key, &holder, &err), 0);
}
END_TEST

static void
note_key(void *ctx, const struct apikey *key)
{
	buf_print(ctx, "%.*s|%s|%.*s|%.*s\n", (int)key->name_len, key->name,
	    apikey_scope_name(key->scope), (int)key->created_len,
	    key->created, (HASH_TEXT_BYTES - 1), key->hex);
}

/* The line that is added has the time and the hash. */
START_TEST(added_line)
{
	struct buf out = { 0 };
	struct tm  tm = { 0 };
	char	   key[APIKEY_TEXT_BYTES], hex[HASH_TEXT_BYTES], *expected;
	char	   created[21];
	time_t	   before, after, at;

	before = time(NULL);
	add("a", APIKEY_READ, key);
	after = time(NULL);
	CHECK(apikey_list(path, note_key, &out, &err));
	buf_append_byte(&out, '\0');
	ck_assert_int_eq(sscanf((const char *)out.data, "a|read|%20[^|]|",
	    created), 1);
	apikey_hash(key, hex);
	expected = xasprintf("a|read|%s|%s\n", created, hex);
	ck_assert_str_eq((const char *)out.data, expected);
	ck_assert_ptr_eq(strptime(created, "%Y-%m-%dT%H:%M:%SZ", &tm),
	    created + 20);
	at = timegm(&tm);
	ck_assert_int_ge(at, before - 1);
	ck_assert_int_le(at, after + 1);
	free(expected);
	buf_clear(&out);
}
END_TEST

/* A new file is its owner's alone, whatever the umask lets through. */
START_TEST(new_file)
{
	mode_t old = umask(0);
	char   key[APIKEY_TEXT_BYTES], *text, *line;

	add("a", APIKEY_READ, key);
	(void)umask(old);
	ck_assert_uint_eq(mode_of(path), 0600);
	text = read_file();
	/* Its head is comments that say what it is. */
	ck_assert_int_eq(text[0], '#');
	ck_assert_ptr_nonnull(strstr(text, "NAME SCOPE CREATED sha256:HEX\n"));
	line = strstr(text, "\na read ");
	ck_assert_ptr_nonnull(line);
	ck_assert_ptr_eq(strchr(line + 1, '\n') + 1, strchr(text, '\0'));
	free(text);
	list_is("a:read ");
}
END_TEST

/* What a killed command left beside it is neither kept nor trusted. */
START_TEST(new_file_beside_old_remains)
{
	char  key[APIKEY_TEXT_BYTES];
	FILE *file;

	file = fopen(beside("keys.new"), "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ne(fputs("nonsense\n", file), EOF);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(chmod(beside("keys.new"), 0666), 0);
	add("a", APIKEY_READ, key);
	ck_assert_int_eq(access(beside("keys.new"), F_OK), -1);
	ck_assert_uint_eq(mode_of(path), 0600);
	list_is("a:read ");
}
END_TEST

START_TEST(keys_differ)
{
	char key[APIKEY_TEXT_BYTES], other[APIKEY_TEXT_BYTES];

	add("a", APIKEY_READ, key);
	add("b", APIKEY_READ, other);
	ck_assert_str_ne(key, other);
	ck_assert_str_ne(key + 28, other + 28);
	list_is("a:read b:read ");
}
END_TEST

#define COMMENTED \
	"# head\n\n" LINE("a", "read", HEX_0) "\n   # between\n" \
	LINE("b", "sync", HEX_ABC) "\n\t\n#end\n"

START_TEST(comments_are_kept)
{
	char  key[APIKEY_TEXT_BYTES], *text;
	size_t len = strlen(COMMENTED);

	write_file(COMMENTED);
	add("c", APIKEY_READ, key);
	text = read_file();
	ck_assert_int_eq(strncmp(text, COMMENTED, len), 0);
	ck_assert_int_eq(strncmp(text + len, "c read ", 7), 0);
	/* One line more, no second head. */
	ck_assert_uint_eq(strlen(text + len), sizeof(LINE_ABC));
	free(text);
	CHECK(apikey_revoke(path, "c", &err));
	file_is(COMMENTED);
	CHECK(apikey_revoke(path, "a", &err));
	file_is("# head\n\n   # between\n" LINE("b", "sync", HEX_ABC)
	    "\n\t\n#end\n");
	CHECK(apikey_revoke(path, "b", &err));
	file_is("# head\n\n   # between\n\t\n#end\n");
}
END_TEST

/* Files whose last line has no end, or others than ours. */
static const struct {
	const char *before;
	const char *revoked; /* with a, without b */
} ends[] = {
	{ LINE_ABC, LINE_ABC "\n" },
	{ "# x", "# x\n" },
	{ LINE_ABC "\r\n# x\r\n", LINE_ABC "\r\n# x\r\n" },
	{ LINE_ABC "\r\n# x\r", LINE_ABC "\r\n# x\r\n" },
	{ "", "" },
	{ "\n\n", "\n\n" },
};

START_TEST(last_line_stays_one)
{
	char   key[APIKEY_TEXT_BYTES], *text;
	size_t len = strlen(ends[_i].revoked);

	write_file(ends[_i].before);
	add("b", APIKEY_SYNC, key);
	text = read_file();
	ck_assert_int_eq(strncmp(text, ends[_i].revoked, len), 0);
	ck_assert_int_eq(strncmp(text + len, "b sync ", 7), 0);
	free(text);
	CHECK(apikey_revoke(path, "b", &err));
	file_is(ends[_i].revoked);
}
END_TEST

START_TEST(name_is_taken)
{
	char key[APIKEY_TEXT_BYTES];

	write_file(LINE_ABC "\n");
	failed(apikey_add(path, "a", APIKEY_SYNC, key, &err), STATUS_USAGE,
	    "a has a key already");
	file_is(LINE_ABC "\n");
	/* Another one is only nearly so. */
	add("A", APIKEY_READ, key);
	add("aa", APIKEY_READ, key);
	add("a-2", APIKEY_READ, key);
	list_is("a:read A:read aa:read a-2:read ");
}
END_TEST

START_TEST(revoked_key)
{
	struct apikey_holder holder;
	char		     key[APIKEY_TEXT_BYTES];

	add("a", APIKEY_READ, key);
	CHECK(apikey_revoke(path, "a", &err));
	ck_assert_int_eq(apikey_check(path, key, &holder, &err), 0);
	ck_assert_uint_eq(mode_of(path), 0600);
	failed(apikey_revoke(path, "a", &err), STATUS_NOT_FOUND, "\"a\"");
	ck_assert_ptr_nonnull(strstr(err.text, path));
	/* The name is free again, for another key. */
	add("a", APIKEY_READ, key);
	ck_assert_int_eq(apikey_check(path, key, &holder, &err), 1);
}
END_TEST

START_TEST(revoke_takes_all_of_the_name)
{
	write_file(LINE_ABC "\n# x\n" LINE("b", "read", HEX_0) "\n"
	    LINE("a", "sync", HEX_NOTHING) "\n" LINE("aa", "read", HEX_0));
	failed(apikey_revoke(path, "c", &err), STATUS_NOT_FOUND, "\"c\"");
	CHECK(apikey_revoke(path, "a", &err));
	file_is("# x\n" LINE("b", "read", HEX_0) "\n"
	    LINE("aa", "read", HEX_0) "\n");
}
END_TEST

START_TEST(revoke_without_file)
{
	failed(apikey_revoke(path, "a", &err), STATUS_NOT_FOUND, path);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* Owner and group stay; who may not give files away keeps its own. */
START_TEST(owner_is_kept)
{
	struct stat info;
	bool	    is_root = geteuid() == 0;
	uid_t	    user = is_root ? 12345 : geteuid();
	gid_t	    group = is_root ? 23456 : getegid();
	char	    key[APIKEY_TEXT_BYTES];

	write_bytes(LINE_ABC "\n", sizeof(LINE_ABC), 0440);
	ck_assert_int_eq(chown(path, user, group), 0);
	add("b", APIKEY_READ, key);
	CHECK(apikey_revoke(path, "a", &err));
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert_uint_eq(info.st_uid, user);
	ck_assert_uint_eq(info.st_gid, group);
	ck_assert_uint_eq(info.st_mode & 07777, 0440);
	list_is("b:read ");
}
END_TEST

/* An access control list as the kernel takes it (linux/posix_acl_xattr.h). */
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define ACL_NOBODY UINT32_MAX
enum acl_tag { ACL_USER_OBJ = 1, ACL_USER = 2, ACL_GROUP_OBJ = 4,
	ACL_MASK = 16, ACL_OTHER = 32 };

static void
append_entry(struct buf *list, enum acl_tag tag, unsigned rights, uint32_t id)
{
	struct {
		uint16_t tag, rights;
		uint32_t id;
	} entry = { htole16(tag), htole16((uint16_t)rights), htole32(id) };

	buf_append(list, &entry, sizeof(entry));
}

/* The owner may read and write, count users beside may read, nobody else. */
static void
make_list(struct buf *list, unsigned count)
{
	uint32_t version = htole32(2);
	unsigned i;

	buf_append(list, &version, sizeof(version));
	append_entry(list, ACL_USER_OBJ, 6, ACL_NOBODY);
	for (i = 0; i < count; i++)
		append_entry(list, ACL_USER, 4, 54321 + i);
	append_entry(list, ACL_GROUP_OBJ, 0, ACL_NOBODY);
	append_entry(list, ACL_MASK, 4, ACL_NOBODY);
	append_entry(list, ACL_OTHER, 0, ACL_NOBODY);
}

/* False, and said, where the file system has no such lists. */
static bool
set_list(const char *name, const char *kind, const struct buf *list)
{
	if (setxattr(name, kind, list->data, list->len, 0) == 0)
		return true;
	ck_assert_msg(errno == ENOTSUP, "%s: %s", name, strerror(errno));
	(void)fprintf(stderr, "skipped: no access control lists in %s\n",
	    folder);
	return false;
}

/* The list of the keys file is this one; NULL: there is none. */
static void
list_of_rights_is(const struct buf *list)
{
	char	found[4096];
	ssize_t len;

	len = getxattr(path, ACL_ACCESS, found, sizeof(found));
	if (list == NULL) {
		ck_assert_int_eq(len, -1);
		ck_assert_int_eq(errno, ENODATA);
		return;
	}
	ck_assert_int_eq(len, (ssize_t)list->len);
	ck_assert_int_eq(memcmp(found, list->data, list->len), 0);
}

static const unsigned list_lengths[] = { 1, 2, 100 };

/* Whoever may read the keys by a list may do so after a change. */
START_TEST(access_control_list_is_kept)
{
	char	   key[APIKEY_TEXT_BYTES];
	struct buf rights = { 0 };

	write_file(LINE_ABC "\n");
	make_list(&rights, list_lengths[_i]);
	if (set_list(path, ACL_ACCESS, &rights)) {
		ck_assert_uint_eq(mode_of(path), 0640);
		add("b", APIKEY_READ, key);
		list_of_rights_is(&rights);
		CHECK(apikey_revoke(path, "a", &err));
		list_of_rights_is(&rights);
		ck_assert_uint_eq(mode_of(path), 0640);
		list_is("b:read ");
	}
	buf_clear(&rights);
}
END_TEST

/* A list that the folder gives to new files is not the old file's. */
START_TEST(no_list_comes_from_the_folder)
{
	char	   key[APIKEY_TEXT_BYTES];
	struct buf rights = { 0 };

	write_bytes(LINE_ABC "\n", sizeof(LINE_ABC), 0640);
	make_list(&rights, 1);
	if (set_list(folder, ACL_DEFAULT, &rights)) {
		list_of_rights_is(NULL);
		add("b", APIKEY_READ, key);
		list_of_rights_is(NULL);
		ck_assert_uint_eq(mode_of(path), 0640);
	}
	buf_clear(&rights);
}
END_TEST

/* A link stays one; the file that it leads to is changed. */
START_TEST(link_is_kept)
{
	char	    key[APIKEY_TEXT_BYTES], link[96];
	struct stat info;

	write_file(LINE_ABC "\n");
	(void)snprintf(link, sizeof(link), "%s", beside("link"));
	ck_assert_int_eq(symlink("keys", link), 0);
	CHECK(apikey_add(link, "b", APIKEY_READ, key, &err));
	ck_assert_int_eq(lstat(link, &info), 0);
	ck_assert(S_ISLNK(info.st_mode));
	list_is("a:read b:read ");
	CHECK(apikey_revoke(link, "a", &err));
	ck_assert_int_eq(lstat(link, &info), 0);
	ck_assert(S_ISLNK(info.st_mode));
	list_is("b:read ");
}
END_TEST

/* A name without a folder stands in the one that we are in. */
START_TEST(relative_path)
{
	char key[APIKEY_TEXT_BYTES];
	int  here;

	here = open(".", O_RDONLY | O_DIRECTORY);
	ck_assert_int_ne(here, -1);
	ck_assert_int_eq(chdir(folder), 0);
	CHECK(apikey_add("keys", "a", APIKEY_READ, key, &err));
	CHECK(apikey_add("./keys", "b", APIKEY_READ, key, &err));
	CHECK(apikey_revoke("keys", "a", &err));
	ck_assert_int_eq(fchdir(here), 0);
	close(here);
	list_is("b:read ");
}
END_TEST

/* Where nothing can be written, nothing is changed or left. */
START_TEST(cannot_be_written)
{
	char key[APIKEY_TEXT_BYTES];

	write_file(LINE_ABC "\n");
	ck_assert_int_eq(mkdir(beside("keys.new"), 0700), 0);
	failed(apikey_add(path, "b", APIKEY_READ, key, &err), STATUS_STORE,
	    path);
	ck_assert_ptr_null(strstr(err.text, APIKEY_PREFIX));
	failed(apikey_revoke(path, "a", &err), STATUS_STORE, path);
	ck_assert_int_eq(rmdir(beside("keys.new")), 0);
	file_is(LINE_ABC "\n");
	failed(apikey_add(beside("none/keys"), "b", APIKEY_READ, key, &err),
	    STATUS_STORE, "none/keys");
	failed(apikey_add(beside("keys/keys"), "b", APIKEY_READ, key, &err),
	    STATUS_STORE, "keys/keys");
	ck_assert_ptr_null(strstr(err.text, APIKEY_PREFIX));
}
END_TEST

#define WRITERS 4
#define KEYS_EACH 12

/* One of several commands at once: adds keys and takes every third out. */
static void
work(int worker)
{
	char name[32], key[APIKEY_TEXT_BYTES];
	int  i;

	for (i = 0; i < KEYS_EACH; i++) {
		(void)snprintf(name, sizeof(name), "w%d-%d", worker, i);
		if (apikey_add(path, name, APIKEY_READ, key, &err) == -1 ||
		    (i % 3 == 2 && apikey_revoke(path, name, &err) == -1))
			_exit(EXIT_FAILURE);
	}
	_exit(EXIT_SUCCESS);
}

START_TEST(many_at_once)
{
	pid_t pids[WRITERS];
	char  want[32], *text;
	int   i, j, status;

	for (i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		ck_assert_int_ne(pids[i], -1);
		if (pids[i] == 0)
			work(i);
	}
	for (i = 0; i < WRITERS; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert(WIFEXITED(status));
		ck_assert_int_eq(WEXITSTATUS(status), EXIT_SUCCESS);
	}
	text = list();
	for (i = 0; i < WRITERS; i++) {
		for (j = 0; j < KEYS_EACH; j++) {
			(void)snprintf(want, sizeof(want), "w%d-%d:read ", i,
			    j);
			ck_assert_msg((strstr(text, want) != NULL) ==
			    (j % 3 != 2), "%s in %s", want, text);
		}
	}
	free(text);
}
END_TEST

static TCase *
changing(void)
{
	TCase *tests = tcase_create("changing");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, adding_up_to_limit);
	tcase_add_test(tests, added_key);
	tcase_add_test(tests, added_line);
	tcase_add_test(tests, new_file);
	tcase_add_test(tests, new_file_beside_old_remains);
	tcase_add_test(tests, keys_differ);
	tcase_add_test(tests, comments_are_kept);
	tcase_add_loop_test(tests, last_line_stays_one, 0, LENGTH_OF(ends));
	tcase_add_test(tests, name_is_taken);
	tcase_add_test(tests, revoked_key);
	tcase_add_test(tests, revoke_takes_all_of_the_name);
	tcase_add_test(tests, revoke_without_file);
	tcase_add_test(tests, owner_is_kept);
	tcase_add_loop_test(tests, access_control_list_is_kept, 0,
	    LENGTH_OF(list_lengths));
	tcase_add_test(tests, no_list_comes_from_the_folder);
	tcase_add_test(tests, link_is_kept);
	tcase_add_test(tests, relative_path);
	tcase_add_test(tests, cannot_be_written);
	tcase_add_test(tests, many_at_once);
	return tests;
}

int
main(void)
{
	Suite *suite = suite_create("apikey_edit");

	if (sodium_init() == -1)
		return EXIT_FAILURE;
	suite_add_tcase(suite, changing());
	return test_run(suite);
}
