#include <bson/bson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bulk_journal.h"
#include "xalloc.h"

/* Before the ids of all its notes; of the job's own; of each file's. */
#define JOURNAL	     "bulk/"
#define JOURNAL_JOB  "bulk/job"
#define JOURNAL_FILE "bulk/file/"
/* Digits keep the notes in the order of the files. */
#define FILE_FORMAT JOURNAL_FILE "%010u"
#define MAX_ID_TEXT 32

static char *
copy_text(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	if (!bson_iter_init_find(&iter, doc, name) ||
	    !BSON_ITER_HOLDS_UTF8(&iter))
		return NULL;
	return xstrdup(bson_iter_utf8(&iter, NULL));
}

static int64_t
number_of(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, name) ?
	    bson_iter_as_int64(&iter) : 0;
}

/* A job that cannot be understood is none: its notes go with the next. */
static int
take_job(const struct store_note *note, struct bulk_job_note *out)
{
	bson_t doc;

	if (strcmp(note->id, JOURNAL_JOB) != 0 ||
	    !bson_init_static(&doc, note->data, note->len))
		return 0;
	out->poll_url = copy_text(&doc, "PollUrl");
	out->request = copy_text(&doc, "Request");
	out->started_at_ms = number_of(&doc, "StartedAt");
	if (out->poll_url != NULL && out->request != NULL)
		return 1;
	bulk_job_note_clear(out);
	return 0;
}

int
bulk_journal_read(struct store *store, struct bulk_job_note *out,
    struct error *err)
{
	struct store_cursor *cursor;
	struct store_note    note;
	int		     rc;

	*out = (struct bulk_job_note){ 0 };
	if (store_notes_open(store, JOURNAL_JOB, &cursor, err) == -1)
		return -1;
	rc = store_notes_next(cursor, &note, err);
	if (rc == 1)
		rc = take_job(&note, out);
	store_cursor_close(cursor);
	return rc;
}

void
bulk_job_note_clear(struct bulk_job_note *note)
{
	free(note->poll_url);
	free(note->request);
	*note = (struct bulk_job_note){ 0 };
}

static int
put(struct store *store, const char *id, bson_t *doc, bool is_built,
    struct error *err)
{
	int rc;

	if (!is_built)
		xalloc_end();
	rc = store_note_put(store, id, bson_get_data(doc), doc->len, err);
	bson_destroy(doc);
	return rc;
}

int
bulk_journal_begin(struct store *store, const struct bulk_job_note *note,
    struct error *err)
{
	bson_t doc = BSON_INITIALIZER;

	/* What an earlier job left would be taken for this one's. */
	if (bulk_journal_end(store, err) == -1)
		return -1;
	return put(store, JOURNAL_JOB, &doc,
	    BSON_APPEND_UTF8(&doc, "PollUrl", note->poll_url) &&
	    BSON_APPEND_UTF8(&doc, "Request", note->request) &&
	    BSON_APPEND_INT64(&doc, "StartedAt", note->started_at_ms), err);
}

int
bulk_journal_add(struct store *store, const struct bulk_file_note *note,
    struct error *err)
{
	bson_t doc = BSON_INITIALIZER;
	char   id[MAX_ID_TEXT], digest[HASH_TEXT_BYTES], link[HASH_TEXT_BYTES];

	(void)snprintf(id, sizeof(id), FILE_FORMAT, note->number);
	hash_format(note->digest, digest);
	hash_format(note->link, link);
	return put(store, id, &doc,
	    BSON_APPEND_INT64(&doc, "Number", note->number) &&
	    BSON_APPEND_INT64(&doc, "Bytes", (int64_t)note->bytes) &&
	    BSON_APPEND_UTF8(&doc, "Digest", digest) &&
	    BSON_APPEND_UTF8(&doc, "Link", link), err);
}

static bool
read_hash(const bson_t *doc, const char *name, uint8_t hash[HASH_BYTES])
{
	bson_iter_t iter;
	uint32_t    len;
	const char *text;

	if (!bson_iter_init_find(&iter, doc, name) ||
	    !BSON_ITER_HOLDS_UTF8(&iter))
		return false;
	text = bson_iter_utf8(&iter, &len);
	return hash_parse(text, len, hash) == 0;
}

/* False: it cannot be understood; the file is fetched again. */
static bool
read_file(const struct store_note *note, struct bulk_file_note *out)
{
	bson_t doc;

	if (!bson_init_static(&doc, note->data, note->len))
		return false;
	out->number = (unsigned)number_of(&doc, "Number");
	out->bytes = (uint64_t)number_of(&doc, "Bytes");
	return read_hash(&doc, "Digest", out->digest) &&
	    read_hash(&doc, "Link", out->link);
}

int
bulk_journal_each(struct store *store,
    int (*fn)(void *ctx, const struct bulk_file_note *note,
    struct error *err), void *ctx, struct error *err)
{
	struct store_cursor  *cursor;
	struct store_note     note;
	struct bulk_file_note file;
	int		      rc;

	if (store_notes_open(store, JOURNAL_FILE, &cursor, err) == -1)
		return -1;
	while ((rc = store_notes_next(cursor, &note, err)) == 1) {
		if (read_file(&note, &file) && fn(ctx, &file, err) == -1) {
			rc = -1;
			break;
		}
	}
	store_cursor_close(cursor);
	return rc;
}

int
bulk_journal_end(struct store *store, struct error *err)
{
	/* The job first: without it its files say nothing. */
	if (store_notes_delete(store, JOURNAL_JOB, err) == -1)
		return -1;
	return store_notes_delete(store, JOURNAL, err);
}
