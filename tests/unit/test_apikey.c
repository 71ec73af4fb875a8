/* Keys looked up; how they are changed is in test_apikey_edit.c. */
#include "apikeylib.h"

#define N16 "abcdefghijkl.N_-"
#define N64 N16 N16 N16 N16
/* A user without rights, for what root may not do either. */
#define NOBODY 65534

START_TEST(scope_names)
{
	ck_assert_str_eq(apikey_scope_name(APIKEY_READ), "read");
	ck_assert_str_eq(apikey_scope_name(APIKEY_SYNC), "sync");
	ck_assert_int_eq(apikey_scope_find("read"), APIKEY_READ);
	ck_assert_int_eq(apikey_scope_find("sync"), APIKEY_SYNC);
	ck_assert_int_eq(apikey_scope_find(""), APIKEY_SCOPE__MAX);
	ck_assert_int_eq(apikey_scope_find("Read"), APIKEY_SCOPE__MAX);
	ck_assert_int_eq(apikey_scope_find("rea"), APIKEY_SCOPE__MAX);
	ck_assert_int_eq(apikey_scope_find("reads"), APIKEY_SCOPE__MAX);
	ck_assert_int_eq(apikey_scope_find("sync "), APIKEY_SCOPE__MAX);
	/* The greater one includes the lesser. */
	ck_assert_int_lt(APIKEY_READ, APIKEY_SYNC);
}
END_TEST

static const struct {
	const char *name;
	bool	    is_good;
} names[] = {
	{ "a", true }, { "Z", true }, { "0", true }, { ".", true },
	{ "_", true }, { "-", true }, { "hospital-a_2.test", true },
	{ N64, true }, { N64 "a", false }, { "", false }, { " ", false },
	{ "a b", false }, { " a", false }, { "a ", false }, { "a\t", false },
	{ "a\n", false }, { "a\r", false }, { "#a", false }, { "a,b", false },
	{ "a/b", false }, { "a:b", false }, { "a@b", false },
	{ "a\x7f", false }, { "\xc3\xb8", false }, { "nompd_a", false },
	{ "xnompd_", false }, { "nompd-a", true },
};

START_TEST(name_values)
{
	ck_assert(apikey_is_name(names[_i].name) == names[_i].is_good);
}
END_TEST

START_TEST(hash_values)
{
	char hex[HASH_TEXT_BYTES];

	apikey_hash("abc", hex);
	ck_assert_str_eq(hex, HEX_ABC);
	apikey_hash("", hex);
	ck_assert_str_eq(hex, HEX_NOTHING);
}
END_TEST

/* Files with the key "abc" in them, and what it is then. */
static const struct {
	const char *text;
	int	    rc;
	const char *name;
	enum apikey_scope scope;
} lookups[] = {
	{ "", 0, NULL, 0 },
	{ "\n", 0, NULL, 0 },
	{ "# nothing\n\n", 0, NULL, 0 },
	{ "#" LINE_ABC "\n", 0, NULL, 0 },
	{ LINE("a", "read", HEX_0) "\n", 0, NULL, 0 },
	{ LINE_ABC "\n", 1, "a", APIKEY_READ },
	{ LINE("a", "sync", HEX_ABC) "\n", 1, "a", APIKEY_SYNC },
	{ LINE(N64, "read", HEX_ABC) "\n", 1, N64, APIKEY_READ },
	{ "a read - sha256:" HEX_ABC "\n", 1, "a", APIKEY_READ },
	/* First, last and in between; several keys at once. */
	{ LINE_ABC "\n" LINE("b", "sync", HEX_0) "\n", 1, "a", APIKEY_READ },
	{ LINE("b", "sync", HEX_0) "\n" LINE_ABC "\n", 1, "a", APIKEY_READ },
	{ "# x\n\n" LINE("b", "sync", HEX_0) "\n\t \n" LINE_ABC "\n# y\n"
	    LINE("c", "sync", HEX_NOTHING) "\n", 1, "a", APIKEY_READ },
	/* No newline at the end, CRLF, blanks. */
	{ LINE_ABC, 1, "a", APIKEY_READ },
	{ LINE("b", "read", HEX_0) "\n" LINE_ABC, 1, "a", APIKEY_READ },
	{ "# x\r\n\r\n" LINE_ABC "\r\n", 1, "a", APIKEY_READ },
	{ LINE_ABC "\r", 1, "a", APIKEY_READ },
	{ " \ta\t read   " DATE "\t\tsha256:" HEX_ABC " \t\n", 1, "a",
	    APIKEY_READ },
	{ "  # x\n" LINE_ABC "\n", 1, "a", APIKEY_READ },
	/* A consumer with two keys. */
	{ LINE("a", "sync", HEX_0) "\n" LINE_ABC "\n", 1, "a", APIKEY_READ },
};

START_TEST(lookup_values)
{
	struct apikey_holder holder;
	int		     rc;

	write_file(lookups[_i].text);
	memset(&holder, 'x', sizeof(holder));
	rc = apikey_check(path, "abc", &holder, &err);
	ck_assert_int_eq(rc, lookups[_i].rc);
	if (rc == 1) {
		ck_assert_str_eq(holder.name, lookups[_i].name);
		ck_assert_int_eq(holder.scope, lookups[_i].scope);
	}
}
END_TEST

/* Keys that are not it, however near. */
START_TEST(other_keys)
{
	static const char *const keys[] = { "", "a", "ab", "abcd", "ABC",
		" abc", "abc ", "abc\n", "*", HEX_ABC,
		("sha256:" HEX_ABC) };
	struct apikey_holder	 holder;
	int			 i;

	/* The hash of nothing lets nobody in. */
	write_file(LINE_ABC "\n" LINE("b", "sync", HEX_NOTHING) "\n");
	for (i = 0; i < LENGTH_OF(keys); i++)
		ck_assert_int_eq(apikey_check(path, keys[i], &holder, &err), 0);
	ck_assert_int_eq(apikey_check(path, NULL, &holder, &err), 0);
	ck_assert_int_eq(apikey_check(path, "abc", &holder, &err), 1);
}
END_TEST

static const struct {
	const char *line;
	const char *words;
} broken[] = {
	{ "a", "read or sync as its second word" },
	{ "a,b read " DATE " sha256:" HEX_ABC, "a consumer's name first" },
	{ N64 "a read " DATE " sha256:" HEX_ABC, "name first" },
	{ "\xef\xbb\xbf" LINE_ABC, "name first" },
	{ "a \vread " DATE " sha256:" HEX_ABC, "second word" },
	{ "a READ " DATE " sha256:" HEX_ABC, "read or sync" },
	{ "a rea " DATE " sha256:" HEX_ABC, "read or sync" },
	{ "a reads " DATE " sha256:" HEX_ABC, "read or sync" },
	{ "a read,sync " DATE " sha256:" HEX_ABC, "read or sync" },
	{ "a " DATE " sha256:" HEX_ABC, "read or sync" },
	{ "a read sha256:" HEX_ABC, "a date as its third word" },
	{ "a read", "fourth word" },
	{ "a read " DATE, "fourth word" },
	{ "a read " DATE " " HEX_ABC, "sha256: and 64 lower-case hex" },
	{ "a read " DATE " sha256: " HEX_ABC, "sha256: and 64" },
	{ "a read " DATE " sha512:" HEX_ABC, "sha256: and 64" },
	{ "a read " DATE " SHA256:" HEX_ABC, "sha256: and 64" },
	{ "a read " DATE " sha256:" HEX_ABC "0", "sha256: and 64" },
	{ "a read " DATE " sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A3"
	    "96177A9CB410FF61F20015AD", "lower-case" },
	{ "a read " DATE " sha256:a7816bf8f01cfea414140de5dae2223b00361a396"
	    "177a9cb410ff61f20015ad", "sha256: and 64" },
	{ "a read " DATE " sha256:ga7816bf8f01cfea414140de5dae2223b00361a39"
	    "6177a9cb410ff61f20015a", "sha256: and 64" },
	{ LINE_ABC " b", "nothing behind its fourth word" },
	{ LINE_ABC " # b", "nothing behind its fourth word" },
	{ LINE_ABC "\rb", "nothing behind its fourth word" },
	/* A key instead of its hash is in no message. */
	{ "nompd_tOpSeCrEt", "consumer" },
	{ "a read " DATE " nompd_tOpSeCrEt", "sha256: and 64" },
	{ "a nompd_tOpSeCrEt " DATE " sha256:" HEX_ABC, "read or sync" },
	{ "a read nompd_tOpSeCrEttOpSeCrEttOpSeCrEttOpSeCrEt sha256:" HEX_ABC,
	    "third word" },
	{ "tOp SeCrEt", "read or sync" },
};

/* Each use of the file fails, and names the line, not its text. */
START_TEST(broken_lines)
{
	struct apikey_holder holder;
	struct buf	     out = { 0 };
	char		     key[APIKEY_TEXT_BYTES], *text, *where;

	text = xasprintf("# x\n\n%s\n%s\n" LINE("b", "read", HEX_0) "\n",
	    LINE("abc", "read", HEX_ABC), broken[_i].line);
	where = xasprintf("keys file %s: line 4: want ", path);
	write_file(text);
	/* Also when the line that fits comes before it. */
	failed(apikey_check(path, "abc", &holder, &err), STATUS_STORE, where);
	failed(apikey_check(path, "x", &holder, &err), STATUS_STORE, where);
	failed(apikey_check(path, NULL, &holder, &err), STATUS_STORE, where);
	failed(apikey_list(path, append_name, &out, &err), STATUS_STORE,
	    where);
	failed(apikey_add(path, "c", APIKEY_READ, key, &err), STATUS_STORE,
	    where);
	failed(apikey_revoke(path, "b", &err), STATUS_STORE, where);
	ck_assert_msg(strstr(err.text, broken[_i].words) != NULL, "%s",
	    err.text);
	ck_assert_ptr_null(strstr(err.text, "SeCrEt"));
	file_is(text);
	buf_clear(&out);
	free(where);
	free(text);
}
END_TEST

/* A NUL is none of a word's letters. */
START_TEST(broken_by_nul)
{
	static const char    at_name[] = "a\0b read " DATE " sha256:" HEX_ABC;
	static const char    at_hex[] = "a read " DATE " sha256:" HEX_0;
	struct apikey_holder holder;
	char		     line[sizeof(at_hex)];

	write_bytes(at_name, sizeof(at_name) - 1, 0600);
	failed(apikey_check(path, "abc", &holder, &err), STATUS_STORE,
	    "line 1: want a consumer's name");
	memcpy(line, at_hex, sizeof(line));
	line[sizeof(line) - 2] = '\0';
	write_bytes(line, sizeof(line) - 1, 0600);
	failed(apikey_check(path, "abc", &holder, &err), STATUS_STORE,
	    "line 1: want sha256:");
}
END_TEST

/* The first and the last line have their numbers too. */
START_TEST(line_numbers)
{
	struct apikey_holder holder;

	write_file("b");
	failed(apikey_check(path, "abc", &holder, &err), STATUS_STORE,
	    ": line 1: ");
	write_file("\r\n#\r\n" LINE_ABC "\r\nb");
	failed(apikey_check(path, "abc", &holder, &err), STATUS_STORE,
	    ": line 4: ");
}
END_TEST

static const struct {
	mode_t mode;
	bool   is_good;
} modes[] = {
	{ 0600, true }, { 0400, true }, { 0640, true }, { 0440, true },
	{ 0700, true }, { 0601, false }, { 0602, false }, { 0604, false },
	{ 0644, false }, { 0660, false }, { 0620, false }, { 0666, false },
	{ 0777, false },
};

START_TEST(mode_values)
{
	struct apikey_holder holder;
	char		     key[APIKEY_TEXT_BYTES], shown[16];
	int		     rc;

	write_bytes(LINE_ABC "\n", sizeof(LINE_ABC), modes[_i].mode);
	rc = apikey_check(path, "abc", &holder, &err);
	if (modes[_i].is_good) {
		ck_assert_int_eq(rc, 1);
		/* A change leaves the mode as it is. */
		add("b", APIKEY_READ, key);
		ck_assert_uint_eq(mode_of(path), modes[_i].mode);
		CHECK(apikey_revoke(path, "b", &err));
		ck_assert_uint_eq(mode_of(path), modes[_i].mode);
	} else {
		(void)snprintf(shown, sizeof(shown), "mode %04o",
		    (unsigned)modes[_i].mode);
		failed(rc, STATUS_STORE, shown);
		failed(apikey_add(path, "b", APIKEY_READ, key, &err),
		    STATUS_STORE, shown);
		failed(apikey_revoke(path, "a", &err), STATUS_STORE, shown);
		ck_assert_uint_eq(mode_of(path), modes[_i].mode);
	}
	file_is(LINE_ABC "\n");
}
END_TEST

/* Every use of what stands at path fails so. */
static void
unusable(const char *words)
{
	struct apikey_holder holder;
	struct buf	     out = { 0 };

	failed(apikey_check(path, "abc", &holder, &err), STATUS_STORE, words);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	failed(apikey_check(path, NULL, &holder, &err), STATUS_STORE, words);
	failed(apikey_list(path, append_name, &out, &err), STATUS_STORE,
	    words);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_uint_eq(out.len, 0);
	buf_clear(&out);
}

START_TEST(none_configured)
{
	struct apikey_holder holder;

	failed(apikey_check(NULL, "abc", &holder, &err), STATUS_STORE,
	    "NOMPD_API_KEYS_FILE");
	failed(apikey_check(NULL, NULL, &holder, &err), STATUS_STORE,
	    "no keys file is configured");
}
END_TEST

START_TEST(not_there)
{
	unusable("No such file");
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(not_a_file)
{
	char key[APIKEY_TEXT_BYTES];

	ck_assert_int_eq(mkdir(path, 0700), 0);
	unusable("not a file");
	failed(apikey_add(path, "b", APIKEY_READ, key, &err), STATUS_STORE,
	    "not a file");
	ck_assert_int_eq(rmdir(path), 0);
	/* Nobody waits for the other end of a pipe. */
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	unusable("not a file");
	failed(apikey_add(path, "b", APIKEY_READ, key, &err), STATUS_STORE,
	    "not a file");
}
END_TEST

/* As another user when this one is root, who may read everything. */
START_TEST(not_readable)
{
	bool is_root = geteuid() == 0;

	write_bytes(LINE_ABC "\n", sizeof(LINE_ABC), 0000);
	ck_assert_int_eq(chmod(folder, 0711), 0);
	if (is_root)
		ck_assert_int_eq(seteuid(NOBODY), 0);
	unusable("Permission denied");
	if (is_root)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(size_at_limit)
{
	struct apikey_holder holder;
	struct stat	     info;
	char		     key[APIKEY_TEXT_BYTES];

	write_large(MAX_APIKEYS_BYTES);
	ck_assert_int_eq(apikey_check(path, "abc", &holder, &err), 1);
	list_is("a:read ");
	/* With one more it would be too large; it stays as it is. */
	failed(apikey_add(path, "b", APIKEY_READ, key, &err), STATUS_STORE,
	    "larger than 1048576 bytes");
	ck_assert_ptr_null(strstr(err.text, APIKEY_PREFIX));
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert_int_eq(info.st_size, MAX_APIKEYS_BYTES);
	CHECK(apikey_revoke(path, "a", &err));
	list_is("");
	write_large(MAX_APIKEYS_BYTES + 1);
	unusable("larger than 1048576 bytes");
	failed(apikey_revoke(path, "a", &err), STATUS_STORE, "larger than");
}
END_TEST

static TCase *
reading(void)
{
	TCase *tests = tcase_create("reading");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, scope_names);
	tcase_add_loop_test(tests, name_values, 0, LENGTH_OF(names));
	tcase_add_test(tests, hash_values);
	tcase_add_loop_test(tests, lookup_values, 0, LENGTH_OF(lookups));
	tcase_add_test(tests, other_keys);
	tcase_add_loop_test(tests, broken_lines, 0, LENGTH_OF(broken));
	tcase_add_test(tests, broken_by_nul);
	tcase_add_test(tests, line_numbers);
	tcase_add_loop_test(tests, mode_values, 0, LENGTH_OF(modes));
	tcase_add_test(tests, none_configured);
	tcase_add_test(tests, not_there);
	tcase_add_test(tests, not_a_file);
	tcase_add_test(tests, not_readable);
	tcase_add_test(tests, size_at_limit);
	return tests;
}

int
main(void)
{
	Suite *suite = suite_create("apikey");

	if (sodium_init() == -1)
		return EXIT_FAILURE;
	suite_add_tcase(suite, reading());
	return test_run(suite);
}
