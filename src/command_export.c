#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aside.h"
#include "buf.h"
#include "clock.h"
#include "command.h"
#include "export_check.h"
#include "json_text.h"
#include "log.h"
#include "past.h"
#include "record_json.h"
#include "stop.h"
#include "store.h"
#include "words.h"
#include "xalloc.h"

/* The file of a collection. */
struct export_file {
	struct aside aside;
	int64_t	     records;
	char	     sha256[HASH_TEXT_BYTES];
};

/*
 * Invariant: files[i] is the file of collections[i], which NULL ends.
 */
struct export {
	const struct options *opts;
	struct store	     *store;
	struct store_versions versions;
	char		    **collections;
	struct export_file   *files;
	struct aside	      index;
	int64_t		      records;
	int		      folder;
	bool		      is_made; /* the folder was not there */
};

static int
fail_folder(const struct export *export, const char *doing, struct error *err)
{
	return error_set(err, STATUS_STORE, "export: %s: cannot %s: %s",
	    export->opts->folder, doing, strerror(errno));
}

static int
open_folder(struct export *export, struct error *err)
{
	const char *path = export->opts->folder;

	export->is_made = mkdir(path, 0777) == 0;
	if (!export->is_made && errno != EEXIST)
		return fail_folder(export, "make the folder", err);
	export->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (export->folder == -1)
		return fail_folder(export, "open the folder", err);
	/* Two that write the same files would mix them. */
	if (flock(export->folder, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return fail_folder(export, "lock the folder", err);
	return error_set(err, STATUS_BUSY, "export: %s: another export is"
	    " writing there; wait for it, or name another folder", path);
}

/* All live records or, since a version, all changes. */
static int
open_records(struct export *export, const char *collection,
    struct store_cursor **cursor, struct error *err)
{
	int64_t since = export->opts->since_version;

	if (since == -1)
		return store_records_open(export->store, collection, false,
		    cursor, err);
	return store_changes_open(export->store, collection, since, true,
	    cursor, err);
}

static int
next_record(const struct export *export, struct store_cursor *cursor,
    struct store_record *record, struct error *err)
{
	return export->opts->since_version == -1 ?
	    store_record_next(cursor, record, err) :
	    store_changes_next(cursor, record, err);
}

static int
write_records(struct export *export, const char *collection,
    struct export_file *file, struct store_cursor *cursor, struct buf *line,
    struct error *err)
{
	crypto_hash_sha256_state state;
	struct store_record	 record;
	uint8_t			 hash[HASH_BYTES];
	int			 rc;

	(void)crypto_hash_sha256_init(&state);
	while ((rc = next_record(export, cursor, &record, err)) == 1) {
		line->len = 0;
		if (stop_check(STATUS_STORE, err) == -1)
			return -1;
		if (record_json_append(line, collection, &record, err) == -1)
			return error_prefix(err, "store %s",
			    store_name(export->store));
		buf_append_byte(line, '\n');
		(void)crypto_hash_sha256_update(&state, line->data, line->len);
		if (aside_write(&file->aside, line->data, line->len, err) ==
		    -1)
			return error_prefix(err, "export");
		file->records++;
		log_progress("exporting: %s %" PRId64, collection,
		    file->records);
	}
	(void)crypto_hash_sha256_final(&state, hash);
	hash_format(hash, file->sha256);
	export->records += file->records;
	return rc;
}

static int
write_collection(struct export *export, const char *collection,
    struct export_file *file, struct error *err)
{
	struct store_cursor *cursor;
	struct buf	     line = { 0 };
	char		    *name;
	int		     rc;

	name = export_file_name(collection);
	rc = aside_begin(&file->aside, export->folder, export->opts->folder,
	    name, err);
	free(name);
	if (rc == -1)
		return error_prefix(err, "export");
	if (open_records(export, collection, &cursor, err) == -1)
		return -1;
	rc = write_records(export, collection, file, cursor, &line, err);
	store_cursor_close(cursor);
	buf_clear(&line);
	if (rc == 0 && aside_end(&file->aside, err) == -1)
		rc = error_prefix(err, "export");
	return rc;
}

static json_t *
since_json(const struct export *export)
{
	return export->opts->since_version == -1 ? json_null() :
	    json_integer((json_int_t)export->opts->since_version);
}

static json_t *
index_json(const struct export *export)
{
	json_t *collections = json_object();
	char	time[CLOCK_TEXT_BYTES] = "";
	size_t	i;

	for (i = 0; export->collections[i] != NULL; i++)
		(void)json_object_set_new(collections, export->collections[i],
		    json_pack("{s:I, s:s}", "records",
		    (json_int_t)export->files[i].records, "sha256",
		    export->files[i].sha256));
	if (export->versions.finished > 0)
		clock_format(export->versions.finished_at_ms, time);
	return json_pack("{s:I, s:s?, s:o, s:o}", "version",
	    (json_int_t)export->versions.finished, "syncedAt",
	    time[0] != '\0' ? time : NULL, "since", since_json(export),
	    "collections", collections);
}

static int
write_index(struct export *export, struct error *err)
{
	char *text;
	int   rc;

	text = json_text(index_json(export));
	rc = aside_begin(&export->index, export->folder, export->opts->folder,
	    EXPORT_INDEX, err);
	if (rc == 0)
		rc = aside_write(&export->index, text, strlen(text), err);
	if (rc == 0)
		rc = aside_write(&export->index, "\n", 1, err);
	if (rc == 0)
		rc = aside_end(&export->index, err);
	free(text);
	return rc == -1 ? error_prefix(err, "export") : 0;
}

static int
write_all(struct export *export, struct error *err)
{
	size_t i;

	for (i = 0; export->collections[i] != NULL; i++) {
		if (write_collection(export, export->collections[i],
		    &export->files[i], err) == -1)
			return -1;
	}
	if (write_index(export, err) == -1)
		return -1;
	return stop_check(STATUS_STORE, err);
}

/* What fails here is left to the next export; the index, which is the last one,
 * then says that the files are not those that it tells of. */
static int
rename_all(struct export *export, struct error *err)
{
	size_t i;

	for (i = 0; export->collections[i] != NULL; i++) {
		if (aside_rename(&export->files[i].aside, err) == -1)
			return error_prefix(err, "export");
	}
	if (fsync(export->folder) == -1)
		return fail_folder(export, "bring it to the disk", err);
	if (aside_rename(&export->index, err) == -1)
		return error_prefix(err, "export");
	return fsync(export->folder) == -1 ? fail_folder(export,
	    "bring it to the disk", err) : 0;
}

static int
read_state(struct export *export, struct error *err)
{
	int64_t since = export->opts->since_version;

	if (store_begin(export->store, err) == -1 ||
	    store_versions_get(export->store, &export->versions, err) == -1)
		return -1;
	if (since != -1 && past_check_complete(export->store,
	    &export->versions, since, "--since", "export all, without --since,"
	    " and replace what was made of older exports", err) == -1)
		return -1;
	if (store_collections_get(export->store, &export->collections, err) ==
	    -1)
		return -1;
	export->files = xcalloc(words_count(export->collections) + 1,
	    sizeof(*export->files));
	return 0;
}

static void
clear(struct export *export, bool is_failed)
{
	size_t i;

	for (i = 0; export->files != NULL && export->collections[i] != NULL;
	    i++)
		aside_clear(&export->files[i].aside);
	aside_clear(&export->index);
	/* Only an empty one is removed by that. */
	if (is_failed && export->is_made)
		(void)rmdir(export->opts->folder);
	if (export->folder != -1)
		(void)close(export->folder);
	free(export->files);
	words_free(export->collections);
	store_close(export->store);
}

int
command_export(const struct options *opts, struct error *err)
{
	struct export export = { .opts = opts, .folder = -1 };
	json_t	     *result = NULL;
	int64_t	      start_ms = clock_monotonic_ms();
	int	      rc = -1;

	if (store_open(&opts->store, STORE_READ, &export.store, err) == -1)
		return -1;
	if (read_state(&export, err) == 0 && open_folder(&export, err) == 0 &&
	    export_check(export.folder, opts->folder, export.collections,
	    err) == 0 && write_all(&export, err) == 0)
		rc = rename_all(&export, err);
	if (rc == 0)
		result = json_pack("{s:I, s:o, s:I, s:I, s:I}",
		    "version", (json_int_t)export.versions.finished,
		    "since", since_json(&export),
		    "collections",
		    (json_int_t)words_count(export.collections),
		    "records", (json_int_t)export.records,
		    "durationMs",
		    (json_int_t)(clock_monotonic_ms() - start_ms));
	clear(&export, rc == -1);
	return rc == 0 ? command_print(result, err) : -1;
}
