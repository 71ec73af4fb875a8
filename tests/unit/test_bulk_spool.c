#include <signal.h>
#include <sys/resource.h>

#include "spoollib.h"

/* More than is read at once. */
#define LARGE_BYTES (600 * 1024 + 1)

/* Neither what is written nor what is read goes through a link. */
START_TEST(links_not_followed)
{
	struct bulk_spool_file file = NO_FILE;
	struct bulk_spool     *spool = open_spool();
	struct buf	       out = { 0 };
	uint8_t		       digest[HASH_BYTES], other[HASH_BYTES];
	char		       victim[MAX_PATH_TEXT];

	put(spool, 2, "mine\n", digest);
	(void)snprintf(victim, sizeof(victim), "%s/victim", folder);
	make_file(victim, "mine\n");
	ck_assert_int_eq(symlink(victim, in_spool("00000001.part")), 0);
	ck_assert_int_eq(symlink(victim, in_spool("00000001.ndjson")), 0);
	ck_assert(!bulk_spool_has(spool, 1, 5, digest));
	ck_assert_int_eq(bulk_spool_read(spool, 1, append, &out, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_uint_eq(out.len, 0);
	CHECK(bulk_spool_begin(spool, 1, &file, &err));
	write_text(spool, &file, "new\n");
	CHECK(bulk_spool_end(spool, &file, other, &err));
	reads_as(spool, 1, "new\n");
	file_is(victim, "mine\n");
	ck_assert_int_eq(symlink(victim, in_spool("00000003.ndjson")), 0);
	bulk_spool_clear(spool);
	file_is(victim, "mine\n");
	ck_assert(!is_there(in_spool("00000003.ndjson")));
	bulk_spool_close(spool);
}
END_TEST

START_TEST(digest_of_content)
{
	struct bulk_spool_file file = NO_FILE;
	struct bulk_spool     *spool = open_spool();
	uint8_t		       one[HASH_BYTES], other[HASH_BYTES];
	char		       text[HASH_TEXT_BYTES];

	/* BLAKE2b-256 of "abc". */
	put(spool, 1, "abc", one);
	hash_format(one, text);
	ck_assert_str_eq(text, "bddd813c634239723171ef3fee98579b"
	    "94964e3bb1cb3e427262c8c068d52319");
	/* In pieces it is the same, and another number changes nothing. */
	CHECK(bulk_spool_begin(spool, 12345678, &file, &err));
	write_text(spool, &file, "a");
	write_text(spool, &file, "");
	write_text(spool, &file, "bc");
	CHECK(bulk_spool_end(spool, &file, other, &err));
	ck_assert_mem_eq(one, other, HASH_BYTES);
	ck_assert(is_there(in_spool("12345678.ndjson")));
	put(spool, 2, "abd", other);
	ck_assert_mem_ne(one, other, HASH_BYTES);
	bulk_spool_close(spool);
}
END_TEST

/* What becomes of the file "abc", and whether it is still had. */
static void
damage_none(void)
{
}

static void
damage_byte(void)
{
	make_file(in_spool("00000001.ndjson"), "abd");
}

static void
damage_short(void)
{
	ck_assert_int_eq(truncate(in_spool("00000001.ndjson"), 2), 0);
}

static void
damage_long(void)
{
	make_file(in_spool("00000001.ndjson"), "abcd");
}

static void
damage_empty(void)
{
	ck_assert_int_eq(truncate(in_spool("00000001.ndjson"), 0), 0);
}

static void
damage_gone(void)
{
	ck_assert_int_eq(unlink(in_spool("00000001.ndjson")), 0);
}

static void
damage_folder(void)
{
	damage_gone();
	ck_assert_int_eq(mkdir(in_spool("00000001.ndjson"), 0700), 0);
}

static void
damage_pipe(void)
{
	damage_gone();
	ck_assert_int_eq(mkfifo(in_spool("00000001.ndjson"), 0600), 0);
}

/* A path beside the spool. */
static const char *
aside(void)
{
	static char path[MAX_PATH_TEXT];

	(void)snprintf(path, sizeof(path), "%s/aside", folder);
	return path;
}

static void
damage_part(void)
{
	ck_assert_int_eq(link(in_spool("00000001.ndjson"), aside()), 0);
	damage_gone();
	ck_assert_int_eq(rename(aside(), in_spool("00000001.part")), 0);
}

static void (*const damages[])(void) = { damage_none, damage_byte,
	damage_short, damage_long, damage_empty, damage_gone, damage_folder,
	damage_pipe, damage_part };

START_TEST(had_or_not)
{
	struct bulk_spool *spool = open_spool();
	uint8_t		   digest[HASH_BYTES];

	put(spool, 1, "abc", digest);
	damages[_i]();
	ck_assert_int_eq(bulk_spool_has(spool, 1, 3, digest), _i == 0);
	/* Nor with another number, size or digest. */
	ck_assert(!bulk_spool_has(spool, 2, 3, digest));
	ck_assert(!bulk_spool_has(spool, 1, 4, digest));
	digest[HASH_BYTES - 1] ^= 1;
	ck_assert(!bulk_spool_has(spool, 1, 3, digest));
	bulk_spool_close(spool);
}
END_TEST

/* A pipe has no bytes either, and whoever opens it waits. */
START_TEST(pipe_for_empty)
{
	struct bulk_spool *spool = open_spool();
	uint8_t		   digest[HASH_BYTES];

	put(spool, 1, "", digest);
	ck_assert(bulk_spool_has(spool, 1, 0, digest));
	damage_pipe();
	ck_assert(!bulk_spool_has(spool, 1, 0, digest));
	bulk_spool_close(spool);
}
END_TEST

/* A file that is begun anew, dropped, or never ended is not there. */
START_TEST(begun_anew)
{
	struct bulk_spool_file file = NO_FILE;
	struct bulk_spool     *spool = open_spool();
	uint8_t		       digest[HASH_BYTES];

	CHECK(bulk_spool_begin(spool, 1, &file, &err));
	write_text(spool, &file, "the first try");
	CHECK(bulk_spool_begin(spool, 1, &file, &err));
	ck_assert_uint_eq(file.bytes, 0);
	write_text(spool, &file, "abc");
	CHECK(bulk_spool_end(spool, &file, digest, &err));
	reads_as(spool, 1, "abc");
	ck_assert(bulk_spool_has(spool, 1, 3, digest));
	CHECK(bulk_spool_begin(spool, 2, &file, &err));
	write_text(spool, &file, "abc");
	bulk_spool_abort(&file);
	ck_assert_int_eq(file.fd, -1);
	bulk_spool_abort(&file);
	ck_assert(!bulk_spool_has(spool, 2, 3, digest));
	/* Over a whole one. */
	put(spool, 1, "def", digest);
	reads_as(spool, 1, "def");
	bulk_spool_close(spool);
}
END_TEST

START_TEST(tail_of_file)
{
	static const struct {
		size_t	    size;
		const char *text;
	} tails[] = { { 0, "" }, { 1, "g" }, { 3, "efg" }, { 7, "abcdefg" },
		{ 100, "abcdefg" } };
	struct bulk_spool_file file = NO_FILE;
	struct bulk_spool     *spool = open_spool();
	char		       out[128];
	ssize_t		       len;
	int		       i;

	CHECK(bulk_spool_begin(spool, 1, &file, &err));
	ck_assert_int_eq(bulk_spool_tail(&file, (uint8_t *)out, 100), 0);
	write_text(spool, &file, "abcd");
	write_text(spool, &file, "efg");
	for (i = 0; i < LENGTH_OF(tails); i++) {
		len = bulk_spool_tail(&file, (uint8_t *)out, tails[i].size);
		ck_assert_int_eq(len, (ssize_t)strlen(tails[i].text));
		ck_assert_mem_eq(out, tails[i].text, (size_t)len);
	}
	/* What is written next stands behind all the same. */
	write_text(spool, &file, "h");
	ck_assert_int_eq(bulk_spool_tail(&file, (uint8_t *)out, 2), 2);
	ck_assert_mem_eq(out, "gh", 2);
	bulk_spool_abort(&file);
	bulk_spool_close(spool);
}
END_TEST

/* Counts the pieces, and ends at the second. */
static int
end_at_second(void *ctx, const uint8_t *data, size_t len, struct error *error)
{
	int *calls = ctx;

	(void)data;
	(void)len;
	return ++*calls < 2 ? 0 : error_set(error, STATUS_HELD, "enough");
}

START_TEST(read_in_pieces)
{
	struct bulk_spool_file file = NO_FILE;
	struct bulk_spool     *spool = open_spool();
	struct buf	       out = { 0 };
	uint8_t		      *large, digest[HASH_BYTES];
	int		       calls = 0;
	size_t		       i;

	large = xcalloc(1, LARGE_BYTES);
	for (i = 0; i < LARGE_BYTES; i++)
		large[i] = (uint8_t)(i * 31 + i / 251);
	CHECK(bulk_spool_begin(spool, 1, &file, &err));
	CHECK(bulk_spool_write(spool, &file, large, LARGE_BYTES, &err));
	CHECK(bulk_spool_end(spool, &file, digest, &err));
	ck_assert(bulk_spool_has(spool, 1, LARGE_BYTES, digest));
	CHECK(bulk_spool_read(spool, 1, append, &out, &err));
	ck_assert_uint_eq(out.len, LARGE_BYTES);
	ck_assert(memcmp(out.data, large, LARGE_BYTES) == 0);
	ck_assert_int_eq(bulk_spool_read(spool, 1, end_at_second, &calls,
	    &err), -1);
	ck_assert_int_eq(calls, 2);
	ck_assert_int_eq(err.status, STATUS_HELD);
	ck_assert_int_eq(bulk_spool_read(spool, 2, append, &out, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "cannot open a file in it"));
	buf_clear(&out);
	free(large);
	bulk_spool_close(spool);
}
END_TEST

/* A disk that is full, or as good as. */
START_TEST(write_fails)
{
	struct bulk_spool_file file = NO_FILE;
	struct bulk_spool     *spool = open_spool();
	struct rlimit	       before, small;
	uint8_t		       data[100] = { 0 };
	int		       rc;

	CHECK(bulk_spool_begin(spool, 1, &file, &err));
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 50;
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = bulk_spool_write(spool, &file, data, sizeof(data), &err);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	ck_assert_int_eq(rc, -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	ck_assert_ptr_nonnull(strstr(err.text, "cannot write to it: "));
	ck_assert_ptr_nonnull(strstr(err.text, spool_path));
	bulk_spool_abort(&file);
	bulk_spool_close(spool);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bulk_spool");
	TCase *tests = tcase_create("bulk_spool");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, links_not_followed);
	tcase_add_test(tests, digest_of_content);
	tcase_add_loop_test(tests, had_or_not, 0, LENGTH_OF(damages));
	tcase_add_test(tests, pipe_for_empty);
	tcase_add_test(tests, begun_anew);
	tcase_add_test(tests, tail_of_file);
	tcase_add_test(tests, read_in_pieces);
	tcase_add_test(tests, write_fails);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
