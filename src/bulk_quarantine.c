/* What of an export could not be taken, and what the server said of it. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bulk_export_int.h"
#include "collection.h"
#include "text.h"
#include "xalloc.h"

/* Bytes of a bad line that are kept; the rest is cut. */
#define MAX_BAD_TEXT (1024 * 1024)
/* Bytes of an array index as text. */
#define MAX_INDEX_TEXT 16

static void
must(bool done)
{
	if (!done)
		xalloc_end();
}

/* A copy that is sound UTF-8 without NULs; bytes that are none become '?'.
 * The caller frees it. */
static char *
make_sound(const uint8_t *text, size_t len)
{
	char  *copy = xstrndup("", 0);
	size_t i;

	copy = xrealloc(copy, len + 1);
	memcpy(copy, text, len);
	copy[len] = '\0';
	for (i = 0; i < len; i++) {
		if (copy[i] == '\0')
			copy[i] = '?';
	}
	if (text_is_utf8((const uint8_t *)copy, len))
		return copy;
	for (i = 0; i < len; i++) {
		if ((unsigned char)copy[i] > 0x7f)
			copy[i] = '?';
	}
	return copy;
}

static void
append_text(bson_t *doc, const char *name, const void *text, size_t len)
{
	char *sound = make_sound(text, len);

	must(bson_append_utf8(doc, name, -1, sound, -1));
	free(sound);
}

/* By size, as all numbers of records (nompd-store(7)). */
static void
append_number(bson_t *doc, const char *name, uint64_t number)
{
	must(number <= INT32_MAX ?
	    bson_append_int32(doc, name, -1, (int32_t)number) :
	    bson_append_int64(doc, name, -1, (int64_t)number));
}

int
bulk_quarantine_add(struct bulk *bulk, const struct bulk_bad *bad,
    struct error *err)
{
	const struct ndjson_line *line = bad->line;
	struct stage_doc	  put = { .kind = STAGED_PUT };
	struct hasher		 *hasher;
	bson_t			  doc = BSON_INITIALIZER;
	uint8_t			  hash[HASH_BYTES];
	char			  text[HASH_TEXT_BYTES], *key;
	size_t			  len;
	int			  rc;

	len = line->len < MAX_BAD_TEXT ? line->len : MAX_BAD_TEXT;
	append_text(&doc, "Type", bad->kind, strlen(bad->kind));
	append_text(&doc, "File", bad->file, strlen(bad->file));
	append_number(&doc, "Line", line->number);
	append_text(&doc, "Reason", bad->reason, strlen(bad->reason));
	append_text(&doc, "Text", line->text, len);
	must(BSON_APPEND_BOOL(&doc, "IsCut", len < line->len));
	/* The same bad line, of another night, is the same record. */
	(void)crypto_hash_sha256(hash, line->text, line->len);
	hash_format(hash, text);
	key = xasprintf("%s/%s", bad->kind, text);
	put.key = key;
	put.len = strlen(key);
	put.data = bson_get_data(&doc);
	put.data_len = doc.len;
	hasher = hasher_new();
	rc = hash_document(hasher, put.data, put.data_len, hash, err);
	put.hash = hash;
	if (rc == 0)
		rc = stage_add(bulk->stage, bulk->quarantine, &put, err);
	hasher_free(hasher);
	bson_destroy(&doc);
	free(key);
	return rc;
}

/* Is the record of a type of the run, or of no type at all? */
static bool
is_of_run(const struct bulk *bulk, const struct store_record *record)
{
	const char *slash = memchr(record->key, '/', record->len);

	return slash == NULL || record->key[0] < 'A' || record->key[0] > 'Z' ||
	    bulk_find_type(bulk, record->key,
	    (size_t)(slash - record->key)) != NULL;
}

static int
wish_away(struct bulk *bulk, const struct store_record *record,
    struct error *err)
{
	struct stage_doc doc = {
		.key = record->key,
		.len = record->len,
		.kind = STAGED_DELETE,
	};

	if (bulk->quarantine == -1)
		bulk->quarantine = stage_add_list(bulk->stage, err);
	if (bulk->quarantine == -1)
		return -1;
	return stage_add(bulk->stage, bulk->quarantine, &doc, err);
}

int
bulk_quarantine_empty(struct bulk *bulk, struct error *err)
{
	struct store_cursor *cursor;
	struct store_record  record;
	int		     rc;

	if (store_records_open(bulk->store, COLLECTION_QUARANTINE, false,
	    &cursor, err) == -1)
		return -1;
	while ((rc = store_record_next(cursor, &record, err)) == 1) {
		if (is_of_run(bulk, &record) &&
		    wish_away(bulk, &record, err) == -1) {
			rc = -1;
			break;
		}
	}
	store_cursor_close(cursor);
	return rc;
}

void
bulk_note_message(struct bulk *bulk, const char *text)
{
	char	    number[MAX_INDEX_TEXT];
	const char *position;

	if (bulk->n_messages < MAX_MESSAGES) {
		(void)bson_uint32_to_string(bulk->n_messages, &position,
		    number, sizeof(number));
		append_text(&bulk->messages, position, text, strlen(text));
	}
	bulk->n_messages++;
}
