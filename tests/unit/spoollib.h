/* A spool in a folder that each test has for itself. */
#ifndef NOMPD_SPOOLLIB_H
#define NOMPD_SPOOLLIB_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bulk_spool.h"
#include "testlib.h"

#define MAX_PATH_TEXT 128
#define NO_FILE	      { .fd = -1 }

#define CHECK(call) ck_assert_msg((call) != -1, "%s", err.text)

static char	      folder[] = "/tmp/nompd-test-XXXXXX";
static char	      spool_path[MAX_PATH_TEXT];
static char	      sqlite_uri[] = "sqlite:s.db";
static struct options opts;
static struct error   err;

static inline void
set_up(void)
{
	memset(folder + strlen(folder) - 6, 'X', 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(spool_path, sizeof(spool_path), "%s/spool", folder);
	memset(&opts, 0, sizeof(opts));
	opts.store.uri = sqlite_uri;
	opts.bulk.spool = spool_path;
	setenv("TMPDIR", folder, 1);
}

/* Removes what a test left, which may be one level deep. */
static inline void
empty(const char *path)
{
	struct dirent *entry;
	DIR	      *dir = opendir(path);
	char	       below[2 * MAX_PATH_TEXT];

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		(void)snprintf(below, sizeof(below), "%s/%.100s", path,
		    entry->d_name);
		if (unlink(below) == -1) {
			empty(below);
			ck_assert_int_eq(rmdir(below), 0);
		}
	}
	ck_assert_int_eq(closedir(dir), 0);
}

static inline void
tear_down(void)
{
	empty(folder);
	ck_assert_int_eq(rmdir(folder), 0);
	unsetenv("TMPDIR");
}

/* The path of name in the spool; valid until the next call. */
static inline const char *
in_spool(const char *name)
{
	static char path[2 * MAX_PATH_TEXT];

	(void)snprintf(path, sizeof(path), "%s/%s", spool_path, name);
	return path;
}

static inline bool
is_there(const char *path)
{
	struct stat info;

	return lstat(path, &info) == 0;
}

static inline mode_t
mode_of(const char *path)
{
	struct stat info;

	ck_assert_int_eq(lstat(path, &info), 0);
	return info.st_mode & 07777;
}

static inline void
make_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static inline void
file_is(const char *path, const char *text)
{
	FILE *file = fopen(path, "r");
	char  found[256];

	ck_assert_ptr_nonnull(file);
	found[fread(found, 1, sizeof(found) - 1, file)] = '\0';
	ck_assert_str_eq(found, text);
	ck_assert_int_eq(fclose(file), 0);
}

static inline struct bulk_spool *
open_spool(void)
{
	struct bulk_spool *spool;

	CHECK(bulk_spool_open(&opts, "x.db", &spool, &err));
	return spool;
}

static inline void
write_text(struct bulk_spool *spool, struct bulk_spool_file *file,
    const char *text)
{
	CHECK(bulk_spool_write(spool, file, (const uint8_t *)text,
	    strlen(text), &err));
}

/* A whole file with that text. */
static inline void
put(struct bulk_spool *spool, unsigned number, const char *text,
    uint8_t digest[HASH_BYTES])
{
	struct bulk_spool_file file = NO_FILE;

	CHECK(bulk_spool_begin(spool, number, &file, &err));
	write_text(spool, &file, text);
	ck_assert_uint_eq(file.bytes, strlen(text));
	ck_assert_uint_eq(file.number, number);
	CHECK(bulk_spool_end(spool, &file, digest, &err));
	ck_assert_int_eq(file.fd, -1);
}

static inline int
append(void *ctx, const uint8_t *data, size_t len, struct error *error)
{
	(void)error;
	buf_append(ctx, data, len);
	return 0;
}

static inline void
reads_as(struct bulk_spool *spool, unsigned number, const char *text)
{
	struct buf out = { 0 };

	CHECK(bulk_spool_read(spool, number, append, &out, &err));
	buf_append_byte(&out, 0);
	ck_assert_str_eq((const char *)out.data, text);
	buf_clear(&out);
}

#endif
