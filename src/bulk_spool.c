#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bulk_manifest.h"
#include "bulk_spool.h"
#include "log.h"
#include "number.h"
#include "private_file.h"
#include "xalloc.h"

/* Bytes that are read at once. */
#define PIECE_BYTES (256 * 1024)
/* Hex digits of a store's name in the folder's. */
#define MAX_STORE_DIGITS 16
#define MAX_NAME_TEXT	 32
/* Digits of a file's number in its name. */
#define NUMBER_DIGITS 8

struct bulk_spool {
	char *folder;
	int   fd;	/* of the folder */
	bool  is_ours;	/* the folder goes with the files */
};

static int
fail(const struct bulk_spool *spool, const char *doing, struct error *err)
{
	return error_set(err, STATUS_STORE, "the spool %s (--spool): cannot %s:"
	    " %s", spool->folder, doing, strerror(errno));
}

static void
name_of(unsigned number, bool is_whole, char name[MAX_NAME_TEXT])
{
	(void)snprintf(name, MAX_NAME_TEXT, "%0*u.%s", NUMBER_DIGITS, number,
	    is_whole ? "ndjson" : "part");
}

static const char *
temporary_folder(void)
{
	const char *folder = getenv("TMPDIR");

	return folder != NULL && folder[0] == '/' ? folder : "/var/tmp";
}

/* Where the files of this store go, so that another run finds them. */
static char *
folder_of(const struct options *opts, const char *store_name)
{
	uint8_t hash[HASH_BYTES];
	char	text[HASH_TEXT_BYTES];

	if (opts->bulk.spool != NULL)
		return xstrdup(opts->bulk.spool);
	if (store_place_kind(&opts->store) == STORE_SQLITE)
		return xasprintf("%s-bulk", store_name);
	(void)crypto_generichash(hash, sizeof(hash),
	    (const uint8_t *)store_name, strlen(store_name), NULL, 0);
	hash_format(hash, text);
	text[MAX_STORE_DIGITS] = '\0';
	return xasprintf("%s/nompd-bulk-%s", temporary_folder(), text);
}

/* Two runs would write each other's files, of two stores with one --spool. */
static int
lock_folder(const struct bulk_spool *spool, struct error *err)
{
	if (flock(spool->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return fail(spool, "lock it", err);
	return error_set(err, STATUS_BUSY, "the spool %s (--spool) is in use"
	    " by another run; each store wants one of its own",
	    spool->folder);
}

/* Patients' data: for nobody else's eyes, nor hands. */
static int
check_folder(const struct bulk_spool *spool, struct error *err)
{
	struct stat info;

	if (fstat(spool->fd, &info) == -1)
		return fail(spool, "look at it", err);
	if (info.st_uid == geteuid() && (info.st_mode & 077) == 0)
		return 0;
	return error_set(err, STATUS_STORE, "the spool %s (--spool) is another"
	    " user's or open to others; want a folder of its own with mode"
	    " 0700", spool->folder);
}

static int
open_folder(struct bulk_spool *spool, struct error *err)
{
	if (mkdir(spool->folder, 0700) == -1 && errno != EEXIST)
		return fail(spool, "make it", err);
	spool->fd = open(spool->folder,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (spool->fd == -1)
		return fail(spool, "open it", err);
	return check_folder(spool, err) == -1 ? -1 : lock_folder(spool, err);
}

int
bulk_spool_open(const struct options *opts, const char *store_name,
    struct bulk_spool **out, struct error *err)
{
	struct bulk_spool *spool;

	spool = xcalloc(1, sizeof(*spool));
	spool->fd = -1;
	spool->is_ours = opts->bulk.spool == NULL || opts->dry_run;
	/* A dry run may be under way beside a run. */
	spool->folder = opts->dry_run ? xasprintf("%s/nompd-bulk-XXXXXX",
	    temporary_folder()) : folder_of(opts, store_name);
	if (opts->dry_run && mkdtemp(spool->folder) == NULL)
		fail(spool, "make it", err);
	else if (open_folder(spool, err) == 0) {
		*out = spool;
		return 0;
	}
	bulk_spool_close(spool);
	return -1;
}

void
bulk_spool_close(struct bulk_spool *spool)
{
	if (spool == NULL)
		return;
	if (spool->fd != -1)
		(void)close(spool->fd);
	free(spool->folder);
	free(spool);
}

/* A file that this module has named; that of a day (20250410.ndjson), which
 * somebody keeps where the spool is, is none. */
static bool
is_spooled(const char *name)
{
	const char *end = name;
	uint64_t    number;

	return number_read(&end, MAX_FILES, &number) && number > 0 &&
	    end - name == NUMBER_DIGITS && (strcmp(end, ".ndjson") == 0 ||
	    strcmp(end, ".part") == 0);
}

void
bulk_spool_clear(struct bulk_spool *spool)
{
	struct dirent *entry;
	DIR	      *folder;
	int	       fd;

	fd = openat(spool->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	folder = fd != -1 ? fdopendir(fd) : NULL;
	if (folder == NULL) {
		log_warn("the spool %s cannot be read: %s", spool->folder,
		    strerror(errno));
		return;
	}
	while ((entry = readdir(folder)) != NULL) {
		if (is_spooled(entry->d_name) &&
		    unlinkat(spool->fd, entry->d_name, 0) == -1)
			log_warn("%s/%s cannot be removed: %s", spool->folder,
			    entry->d_name, strerror(errno));
	}
	(void)closedir(folder);
}

void
bulk_spool_remove(struct bulk_spool *spool)
{
	bulk_spool_clear(spool);
	if (spool->is_ours && rmdir(spool->folder) == -1)
		log_warn("the spool %s cannot be removed: %s", spool->folder,
		    strerror(errno));
}

int
bulk_spool_begin(struct bulk_spool *spool, unsigned number,
    struct bulk_spool_file *file, struct error *err)
{
	char name[MAX_NAME_TEXT];

	bulk_spool_abort(file);
	name_of(number, false, name);
	/* Never through a link that somebody has laid there. */
	(void)unlinkat(spool->fd, name, 0);
	file->fd = openat(spool->fd, name,
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file->fd == -1)
		return fail(spool, "make a file in it", err);
	file->number = number;
	file->bytes = 0;
	file->digest = xcalloc(1, sizeof(crypto_generichash_state));
	(void)crypto_generichash_init(file->digest, NULL, 0, HASH_BYTES);
	return 0;
}

int
bulk_spool_write(struct bulk_spool *spool, struct bulk_spool_file *file,
    const uint8_t *data, size_t len, struct error *err)
{
	(void)crypto_generichash_update(file->digest, data, len);
	file->bytes += len;
	return private_file_write(file->fd, data, len) == -1 ?
	    fail(spool, "write to it", err) : 0;
}

ssize_t
bulk_spool_tail(const struct bulk_spool_file *file, uint8_t *out, size_t size)
{
	if (size > file->bytes)
		size = (size_t)file->bytes;
	return pread(file->fd, out, size, (off_t)(file->bytes - size));
}

void
bulk_spool_abort(struct bulk_spool_file *file)
{
	if (file->fd != -1)
		(void)close(file->fd);
	free(file->digest);
	file->fd = -1;
	file->digest = NULL;
}

int
bulk_spool_end(struct bulk_spool *spool, struct bulk_spool_file *file,
    uint8_t digest[HASH_BYTES], struct error *err)
{
	char part[MAX_NAME_TEXT], whole[MAX_NAME_TEXT];
	int  rc = 0;

	name_of(file->number, false, part);
	name_of(file->number, true, whole);
	(void)crypto_generichash_final(file->digest, digest, HASH_BYTES);
	if (renameat(spool->fd, part, spool->fd, whole) == -1)
		rc = fail(spool, "name a file in it", err);
	bulk_spool_abort(file);
	return rc;
}

static int
open_whole(const struct bulk_spool *spool, unsigned number)
{
	char name[MAX_NAME_TEXT];

	name_of(number, true, name);
	return openat(spool->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

int
bulk_spool_read(struct bulk_spool *spool, unsigned number,
    int (*fn)(void *ctx, const uint8_t *data, size_t len, struct error *err),
    void *ctx, struct error *err)
{
	uint8_t *piece;
	ssize_t	 len;
	int	 fd, rc = 0;

	fd = open_whole(spool, number);
	if (fd == -1)
		return fail(spool, "open a file in it", err);
	piece = xcalloc(1, PIECE_BYTES);
	while (rc == 0 && (len = read(fd, piece, PIECE_BYTES)) != 0) {
		if (len == -1 && errno == EINTR)
			continue;
		rc = len == -1 ? fail(spool, "read a file in it", err) :
		    fn(ctx, piece, (size_t)len, err);
	}
	free(piece);
	(void)close(fd);
	return rc;
}

static int
add_piece(void *ctx, const uint8_t *data, size_t len, struct error *err)
{
	(void)err;
	(void)crypto_generichash_update(ctx, data, len);
	return 0;
}

bool
bulk_spool_has(struct bulk_spool *spool, unsigned number, uint64_t bytes,
    const uint8_t digest[HASH_BYTES])
{
	crypto_generichash_state state;
	struct stat		 info;
	struct error		 err;
	uint8_t			 found[HASH_BYTES];
	char			 name[MAX_NAME_TEXT];

	name_of(number, true, name);
	if (fstatat(spool->fd, name, &info, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(info.st_mode) || (uint64_t)info.st_size != bytes)
		return false;
	(void)crypto_generichash_init(&state, NULL, 0, HASH_BYTES);
	if (bulk_spool_read(spool, number, add_piece, &state, &err) == -1)
		return false;
	(void)crypto_generichash_final(&state, found, HASH_BYTES);
	return memcmp(found, digest, HASH_BYTES) == 0;
}
