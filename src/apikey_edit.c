/*
 * Keys made and revoked.  The file is written aside, brought to the disk and
 * renamed, under a lock on its folder, so that a reader always finds a whole
 * one and two commands at once lose nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "apikey_int.h"
#include "clock.h"
#include "log.h"
#include "private_file.h"
#include "xalloc.h"

/* Random bytes of a key. */
#define KEY_BYTES 32
/* A file that is made is its owner's alone. */
#define NEW_FILE_MODE 0600
/* An access control list; some hundred entries. */
#define MAX_LIST_BYTES 4096

static const char file_head[] =
    "# Keys of nompd-serve: NAME SCOPE CREATED sha256:HEX\n"
    "# Made by `nompd-serve key add`; the keys themselves are kept nowhere.\n";

/*
 * One change of a keys file.
 *
 * Invariants: folder_fd is locked while it is not -1; info is that of the
 * file read, and is_new says that there was none.
 */
struct edit {
	char	   *path; /* links resolved */
	char	   *aside;
	int	    folder_fd;
	struct buf  old;
	struct buf  new;
	struct stat info;
	bool	    is_new;
};

static int
fail(const struct edit *edit, const char *doing, struct error *err)
{
	return error_set(err, STATUS_STORE, "keys file %s: cannot %s: %s",
	    edit->path, doing, strerror(errno));
}

static int
lock_folder(struct edit *edit, struct error *err)
{
	char *copy;

	copy = xstrdup(edit->path);
	edit->folder_fd = open(dirname(copy),
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (edit->folder_fd == -1)
		return fail(edit, "open its folder", err);
	if (TEMP_FAILURE_RETRY(flock(edit->folder_fd, LOCK_EX)) == -1)
		return fail(edit, "lock its folder", err);
	return 0;
}

/* Takes the lock and reads what there is. */
static int
edit_begin(struct edit *edit, const char *path, struct error *err)
{
	*edit = (struct edit){ .folder_fd = -1 };
	edit->path = realpath(path, NULL);
	if (edit->path == NULL) {
		edit->path = xstrdup(path);
		/* A link is not to be replaced by a file. */
		if (errno != ENOENT || (lstat(path, &edit->info) == 0 &&
		    S_ISLNK(edit->info.st_mode)))
			return fail(edit, "follow its path", err);
	}
	edit->aside = xasprintf("%s.new", edit->path);
	if (lock_folder(edit, err) == -1)
		return -1;
	edit->is_new = access(edit->path, F_OK) == -1 && errno == ENOENT;
	if (edit->is_new)
		return 0;
	return apikey_read(edit->path, &edit->old, &edit->info, err);
}

static void
edit_end(struct edit *edit)
{
	if (edit->folder_fd != -1)
		(void)close(edit->folder_fd);
	buf_clear(&edit->old);
	buf_clear(&edit->new);
	free(edit->aside);
	free(edit->path);
}

/* An access control list, as the kernel hands it out, to the new file. */
static int
keep_list(const struct edit *edit, int fd)
{
	static const char name[] = "system.posix_acl_access";
	char		  list[MAX_LIST_BYTES];
	ssize_t		  len;

	/* The new file may have one by its folder, with other readers. */
	if (fremovexattr(fd, name) == -1 && errno != ENODATA &&
	    errno != ENOTSUP)
		return -1;
	len = getxattr(edit->path, name, list, sizeof(list));
	if (len == -1)
		return errno == ENODATA || errno == ENOTSUP ? 0 : -1;
	return fsetxattr(fd, name, list, (size_t)len, 0);
}

/* Owner, group, mode and access control list stay: a reader must not be shut
 * out by a change. */
static int
keep_rights(const struct edit *edit, int fd)
{
	if (edit->is_new)
		return 0;
	if (fchown(fd, edit->info.st_uid, edit->info.st_gid) == -1 ||
	    keep_list(edit, fd) == -1)
		return -1;
	return fchmod(fd, edit->info.st_mode & 07777U);
}

/* The new content takes the place of the old one. */
static int
edit_commit(struct edit *edit, struct error *err)
{
	int fd, rc = -1;

	if (edit->new.len > MAX_APIKEYS_BYTES)
		return error_set(err, STATUS_STORE, "keys file %s: with one"
		    " more key it would be larger than %d bytes", edit->path,
		    MAX_APIKEYS_BYTES);
	/* One that a killed command left has a mode and links of its own. */
	(void)unlink(edit->aside);
	fd = open(edit->aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    NEW_FILE_MODE);
	if (fd == -1)
		return fail(edit, "write a new one beside it", err);
	if (keep_rights(edit, fd) == -1)
		(void)fail(edit, "keep its owner, group and mode", err);
	else if (private_file_write(fd, edit->new.data,
	    edit->new.len) == -1 || fsync(fd) == -1)
		(void)fail(edit, "write a new one beside it", err);
	else if (rename(edit->aside, edit->path) == -1)
		(void)fail(edit, "replace it", err);
	else
		rc = 0;
	(void)close(fd);
	if (rc == -1)
		(void)unlink(edit->aside);
	else if (fsync(edit->folder_fd) == -1)
		/* It is changed for everybody all the same. */
		log_warn("keys file %s: cannot bring its folder to the disk:"
		    " %s; if the machine fails now, look whether the change is"
		    " still there", edit->path, strerror(errno));
	return rc;
}

/*
 * The old lines to the new content, but those of the key named so; *count is
 * how many there were of these.
 */
static int
copy_others(struct edit *edit, const char *name, unsigned *count,
    struct error *err)
{
	struct apikey_walk walk = { 0 };
	struct apikey	   key;
	int		   rc;

	*count = 0;
	while ((rc = apikey_walk_next(&walk, &edit->old, &key, err)) > 0) {
		if (rc == 1 && strlen(name) == key.name_len &&
		    memcmp(name, key.name, key.name_len) == 0) {
			(*count)++;
			continue;
		}
		buf_append(&edit->new, walk.line,
		    (size_t)(walk.end - walk.line));
		buf_append_byte(&edit->new, '\n');
	}
	return rc == -1 ? error_prefix(err, "keys file %s", edit->path) : 0;
}

static void
make_key(char text[APIKEY_TEXT_BYTES])
{
	static const size_t prefix = sizeof(APIKEY_PREFIX) - 1;
	uint8_t		    random[KEY_BYTES];

	randombytes_buf(random, sizeof(random));
	memcpy(text, APIKEY_PREFIX, prefix);
	(void)sodium_bin2base64(text + prefix, APIKEY_TEXT_BYTES - prefix,
	    random, sizeof(random), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof(random));
}

static void
append_line(struct buf *out, const char *name, enum apikey_scope scope,
    const char *text)
{
	char hex[HASH_TEXT_BYTES], created[CLOCK_TEXT_BYTES];

	apikey_hash(text, hex);
	clock_format_seconds(clock_now_ms(), created);
	buf_print(out, "%s %s %s " APIKEY_HASH_PREFIX "%s\n", name,
	    apikey_scope_name(scope), created, hex);
}

int
apikey_add(const char *path, const char *name, enum apikey_scope scope,
    char text[APIKEY_TEXT_BYTES], struct error *err)
{
	struct edit edit;
	unsigned    count;
	int	    rc;

	rc = edit_begin(&edit, path, err);
	if (rc == 0)
		rc = copy_others(&edit, name, &count, err);
	if (rc == 0 && count > 0)
		rc = error_set(err, STATUS_USAGE, "key add: %s has a key"
		    " already; give the new one another name (%s-2), and"
		    " revoke the old one when nobody uses it any more", name,
		    name);
	if (rc == 0) {
		if (edit.is_new)
			buf_append(&edit.new, file_head,
			    sizeof(file_head) - 1);
		make_key(text);
		append_line(&edit.new, name, scope, text);
		rc = edit_commit(&edit, err);
	}
	edit_end(&edit);
	return rc;
}

int
apikey_revoke(const char *path, const char *name, struct error *err)
{
	struct edit edit;
	unsigned    count;
	int	    rc;

	rc = edit_begin(&edit, path, err);
	if (rc == 0)
		rc = copy_others(&edit, name, &count, err);
	if (rc == 0 && count == 0)
		rc = error_set(err, STATUS_NOT_FOUND, "key revoke: keys file"
		    " %s has no key \"%s\"", path, name);
	if (rc == 0)
		rc = edit_commit(&edit, err);
	edit_end(&edit);
	return rc;
}
