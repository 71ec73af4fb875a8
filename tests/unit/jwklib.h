/* Private keys in files, and what José thinks of the signatures. */
#ifndef NOMPD_JWKLIB_H
#define NOMPD_JWKLIB_H

#include <fcntl.h>
#include <jose/b64.h>
#include <jose/jwk.h>
#include <jose/jws.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jwk.h"
#include "private_file.h"
#include "testlib.h"

static char folder[] = "/tmp/nompd-test-jwk-XXXXXX";

/* A path in the folder; borrowed until the next call but three. */
static inline const char *
in_folder(const char *name)
{
	static char  paths[4][128];
	static int   next;
	char	    *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static inline void
folder_make(void)
{
	memset(folder + strlen(folder) - 6, 'X', 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

/* What stands in the file; the caller frees it. */
static inline char *
file_text(const char *path)
{
	FILE  *file = fopen(path, "r");
	char  *text = xcalloc(1, 65536);
	size_t len;

	ck_assert_ptr_nonnull(file);
	len = fread(text, 1, 65535, file);
	ck_assert_uint_gt(len, 0);
	fclose(file);
	return text;
}

static inline mode_t
file_mode(const char *path)
{
	struct stat info;

	ck_assert_int_eq(stat(path, &info), 0);
	return info.st_mode & 07777U;
}

/* The file anew, with that mode. */
static inline void
file_put(const char *path, const char *text, mode_t mode)
{
	struct error err;

	(void)unlink(path);
	ck_assert_int_eq(private_file_make(path, mode, text, strlen(text),
	    &err), 0);
}

/* A part of the JWT as JSON; the caller frees it. */
static inline json_t *
jwt_part(const char *jwt, int part)
{
	uint8_t bytes[8192];
	size_t	len;
	json_t *json;

	for (; part > 0; part--)
		jwt = strchr(jwt, '.') + 1;
	len = jose_b64_dec_buf(jwt, strcspn(jwt, "."), bytes, sizeof(bytes));
	ck_assert_uint_ne(len, SIZE_MAX);
	json = json_loadb((char *)bytes, len, 0, NULL);
	ck_assert_ptr_nonnull(json);
	return json;
}

/* Does one of the keys of the set say that it made the JWT? */
static inline bool
jwt_is_by(const char *jwt, const char *set)
{
	const char *payload, *signature;
	json_t	   *keys, *jws;
	bool	    is_by;

	keys = json_loads(set, 0, NULL);
	ck_assert_ptr_nonnull(keys);
	payload = strchr(jwt, '.') + 1;
	signature = strchr(payload, '.') + 1;
	jws = json_pack("{s:s%, s:s%, s:s}",
	    "protected", jwt, (size_t)(payload - 1 - jwt),
	    "payload", payload, (size_t)(signature - 1 - payload),
	    "signature", signature);
	is_by = jose_jws_ver(NULL, jws, NULL, keys, false);
	json_decref(jws);
	json_decref(keys);
	return is_by;
}

#endif
