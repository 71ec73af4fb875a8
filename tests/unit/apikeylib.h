/* Keys in real files of a folder that each test has for itself. */
#ifndef NOMPD_APIKEYLIB_H
#define NOMPD_APIKEYLIB_H

#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/apikey_int.h"
#include "testlib.h"

#define CHECK(call) ck_assert_msg((call) != -1, "%s", err.text)
#define DATE "2025-04-10T08:30:00Z"
#define HEX_0 \
	"0000000000000000000000000000000000000000000000000000000000000000"
/* SHA-256 of "abc" (FIPS 180-2, B.1) and of nothing. */
#define HEX_ABC \
	"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HEX_NOTHING \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define LINE(name, scope, hex) name " " scope " " DATE " sha256:" hex
#define LINE_ABC LINE("a", "read", HEX_ABC)

static char	    folder[] = "/tmp/nompd-test-XXXXXX";
static char	    path[64];
static struct error err;

static inline void
set_up(void)
{
	memset(folder + strlen(folder) - 6, 'X', 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/keys", folder);
	memset(&err, 0, sizeof(err));
}

static inline const char *
beside(const char *name)
{
	static char other[96];

	(void)snprintf(other, sizeof(other), "%s/%s", folder, name);
	return other;
}

/* The folder has to be empty but for the files that tests make. */
static inline void
tear_down(void)
{
	(void)unlink(path);
	(void)unlink(beside("link"));
	ck_assert_int_eq(rmdir(folder), 0);
}

static inline void
write_bytes(const char *data, size_t len, mode_t mode)
{
	FILE *file;

	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static inline void
write_file(const char *text)
{
	write_bytes(text, strlen(text), 0600);
}

/* A file of len bytes: comments around one key at its end. */
static inline void
write_large(size_t len)
{
	static const char line[] = "\n" LINE_ABC "\n";
	char		 *text = xcalloc(len + 1, 1);

	memset(text, '#', len);
	memcpy(text + len - (sizeof(line) - 1), line, sizeof(line) - 1);
	write_bytes(text, len, 0600);
	free(text);
}

/* The file's text; the caller frees it. */
static inline char *
read_file(void)
{
	struct buf out = { 0 };
	FILE	  *file;
	int	   c;

	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	while ((c = getc(file)) != EOF)
		buf_append_byte(&out, (uint8_t)c);
	fclose(file);
	buf_append_byte(&out, '\0');
	return (char *)out.data;
}

static inline void
file_is(const char *expected)
{
	char *text = read_file();

	ck_assert_str_eq(text, expected);
	free(text);
}

static inline mode_t
mode_of(const char *name)
{
	struct stat info;

	ck_assert_int_eq(lstat(name, &info), 0);
	return info.st_mode & 07777;
}

static inline void
append_name(void *ctx, const struct apikey *key)
{
	buf_print(ctx, "%.*s:%s ", (int)key->name_len, key->name,
	    apikey_scope_name(key->scope));
}

/* The list as "name:scope " each; the caller frees it. */
static inline char *
list(void)
{
	struct buf out = { 0 };

	CHECK(apikey_list(path, append_name, &out, &err));
	buf_append_byte(&out, '\0');
	return (char *)out.data;
}

static inline void
list_is(const char *expected)
{
	char *text = list();

	ck_assert_str_eq(text, expected);
	free(text);
}

/* Adds a key; *text is its text. */
static inline void
add(const char *name, enum apikey_scope scope, char text[APIKEY_TEXT_BYTES])
{
	CHECK(apikey_add(path, name, scope, text, &err));
}

/* It failed: so, with the file named and these words. */
static inline void
failed(int rc, enum status status, const char *words)
{
	ck_assert_int_eq(rc, -1);
	ck_assert_int_eq(err.status, status);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
	ck_assert_ptr_null(strchr(err.text, '\n'));
}

#endif
