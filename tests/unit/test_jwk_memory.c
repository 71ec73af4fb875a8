/*
 * A process that has read a private key, signed with it and freed it is looked
 * through from outside: nothing of the key is to be left in its memory.
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "jwklib.h"
#include "log.h"

/* Larger ones are a sanitizer's, not the program's. */
#define MAX_MAPPING (256 * 1024 * 1024)
/* So much of a number is no accident, and its start may be overwritten by what
 * free() notes there. */
#define NEEDLE_BYTES 20
#define NEEDLE_START 20

/* As the process ends up, with a pipe to each side. */
struct other {
	pid_t pid;
	int   go[2];
	int   done[2];
};

static struct error err;

static void
work(const struct other *other, bool is_wiped, bool is_freed)
{
	struct jwk *key;
	json_t	   *claims;
	char	   *jwt, byte = 'x';

	if (is_wiped)
		json_set_alloc_funcs(xalloc_wiped, xfree_wiped);
	if (read(other->go[0], &byte, 1) != 1 ||
	    jwk_read(in_folder("k"), &key, &err) == -1)
		_exit(1);
	claims = json_pack("{s:s}", "iss", "me");
	if (jwk_sign(key, claims, &jwt, &err) == -1)
		_exit(1);
	json_decref(claims);
	free(jwt);
	if (is_freed)
		jwk_free(key);
	(void)!write(other->done[1], &byte, 1);
	/* Until it is no longer needed. */
	(void)!read(other->go[0], &byte, 1);
	_exit(0);
}

/* How often the bytes, forwards or backwards, are in the data. */
static int
count(const uint8_t *data, size_t len, const uint8_t *needle)
{
	uint8_t	       back[NEEDLE_BYTES];
	const uint8_t *at;
	int	       i, n = 0;

	for (i = 0; i < NEEDLE_BYTES; i++)
		back[i] = needle[NEEDLE_BYTES - 1 - i];
	for (at = data; (at = memmem(at, len - (size_t)(at - data), needle,
	    NEEDLE_BYTES)) != NULL; at++)
		n++;
	for (at = data; (at = memmem(at, len - (size_t)(at - data), back,
	    NEEDLE_BYTES)) != NULL; at++)
		n++;
	return n;
}

/* The same for all that the process can read. */
static int
count_in(pid_t pid, const uint8_t *needle)
{
	char	 path[64], line[512], mode[8];
	uint64_t start, end;
	uint8_t *data;
	FILE	*maps;
	ssize_t	 len;
	int	 fd, n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "r");
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY);
	ck_assert_ptr_nonnull(maps);
	ck_assert_int_ne(fd, -1);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &end,
		    mode) != 3 || mode[0] != 'r' || end - start > MAX_MAPPING)
			continue;
		data = xcalloc(1, end - start);
		len = pread(fd, data, end - start, (off_t)start);
		if (len > 0)
			n += count(data, (size_t)len, needle);
		free(data);
	}
	fclose(maps);
	close(fd);
	return n;
}

static int
count_left(bool is_wiped, bool is_freed, bool is_text, enum jwk_alg alg)
{
	static const char *const secret[] = { "d", "p" };
	struct other	   other;
	struct jwk	  *key;
	json_t		  *json, *member;
	uint8_t		   number[1024];
	char		   byte;
	int		   n, status;

	ck_assert_int_eq(pipe(other.go), 0);
	ck_assert_int_eq(pipe(other.done), 0);
	/* Before there is a key. */
	other.pid = fork();
	if (other.pid == 0)
		work(&other, is_wiped, is_freed);
	ck_assert_int_eq(jwk_make(alg, &key, &err), 0);
	file_put(in_folder("k"), jwk_private_text(key), 0600);
	ck_assert_int_eq(write(other.go[1], "x", 1), 1);
	ck_assert_int_eq(read(other.done[0], &byte, 1), 1);
	json = json_loads(jwk_private_text(key), 0, NULL);
	member = json_object_get(json, secret[alg]);
	(void)jose_b64_dec(member, number, sizeof(number));
	n = count_in(other.pid, is_text ?
	    (const uint8_t *)json_string_value(member) + NEEDLE_START :
	    number + NEEDLE_START);
	ck_assert_int_eq(write(other.go[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(other.pid, &status, 0), other.pid);
	ck_assert_int_eq(status, 0);
	json_decref(json);
	jwk_free(key);
	(void)unlink(in_folder("k"));
	return n;
}

static void
folder_remove(void)
{
	ck_assert_int_eq(rmdir(folder), 0);
}

/* Where it is, in guarded memory and in what was freed, there it is found. */
START_TEST(text_is_seen)
{
	ck_assert_int_eq(count_left(true, false, true, JWK_ES384), 1);
	ck_assert_int_ge(count_left(false, true, true, JWK_ES384), 1);
}
END_TEST

START_TEST(text_is_gone)
{
	ck_assert_int_eq(count_left(true, true, true, _i), 0);
}
END_TEST

/* OpenSSL leaves the primes of RSA behind. */
START_TEST(number_is_gone)
{
	ck_assert_int_eq(count_left(true, true, false, JWK_ES384), 0);
}
END_TEST

START_TEST(wiped_memory)
{
	uint8_t *data = xalloc_wiped(100);

	memset(data, 'x', 100);
	xfree_wiped(data);
	ck_assert_ptr_nonnull(data = xalloc_wiped(0));
	xfree_wiped(data);
	xfree_wiped(NULL);
}
END_TEST

/* Its memory is its own, and not that of the program alone. */
static bool
is_under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

int
main(void)
{
	Suite *suite = suite_create("jwk_memory");
	TCase *tests = tcase_create("jwk_memory");

	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, folder_make, folder_remove);
	tcase_add_test(tests, wiped_memory);
	if (!is_under_valgrind()) {
		tcase_add_test(tests, text_is_seen);
		tcase_add_loop_test(tests, text_is_gone, 0, JWK_ALG__MAX);
		tcase_add_test(tests, number_is_gone);
	}
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
