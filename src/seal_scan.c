/* The digests of a collection, of which its part of a seal is made. */
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "collection.h"
#include "log.h"
#include "seal.h"
#include "stop.h"
#include "store.h"
#include "xalloc.h"

/* Of an unsigned 64-bit number. */
#define MAX_DECIMAL_DIGITS 20

/* The digests of a collection while it is read.  Both grow with the records, so
 * that they are libcrypto's, and are fed a record at a time. */
struct seal_scan {
	struct hasher	   *records;
	struct hasher	   *data;
	bool		    has_data;
	size_t		    type_len; /* bytes of a key before the id */
	struct buf	    text;     /* of one record */
	struct seal_numbers numbers;
};

/* As feed_number() does it. */
static void
append_number(struct buf *text, int64_t number)
{
	uint64_t bytes = htobe64((uint64_t)number);

	buf_append(text, &bytes, sizeof(bytes));
}

static void
append_bytes(struct buf *text, const char *data, size_t len)
{
	append_number(text, (int64_t)len);
	buf_append(text, data, len);
}

static void
add_record(struct seal_scan *scan, const struct store_outline *outline)
{
	struct buf *text = &scan->text;

	text->len = 0;
	append_bytes(text, outline->key, outline->len);
	append_number(text, outline->version);
	append_number(text, outline->is_deleted);
	append_bytes(text, outline->hash, strlen(outline->hash));
	hash_add(scan->records, text->data, text->len);
}

/* buf_print() would take as long as all else. */
static void
append_decimal(struct buf *text, uint64_t number)
{
	char   digits[MAX_DECIMAL_DIGITS];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	buf_append(text, digits + at, sizeof(digits) - at);
}

/* The line of an item; consumers know a resource by its id alone, without the
 * type that stands before it in the key. */
static void
add_item(struct seal_scan *scan, const struct store_outline *outline)
{
	size_t	    type_len = outline->len > scan->type_len ?
		scan->type_len : 0;
	struct buf *text = &scan->text;

	text->len = 0;
	append_decimal(text, outline->len - type_len);
	buf_append_byte(text, ' ');
	buf_append(text, outline->key + type_len, outline->len - type_len);
	buf_append_byte(text, ' ');
	/* Versions are above 0. */
	append_decimal(text, (uint64_t)outline->version);
	buf_append_byte(text, ' ');
	buf_append(text, outline->json_hash, strlen(outline->json_hash));
	buf_append_byte(text, '\n');
	hash_add(scan->data, text->data, text->len);
}

void
seal_scan_add(struct seal_scan *scan, const struct store_outline *outline)
{
	add_record(scan, outline);
	if (outline->is_deleted) {
		scan->numbers.deleted++;
		return;
	}
	scan->numbers.live++;
	if (outline->json_hash[0] == '\0')
		scan->has_data = false;
	if (scan->has_data)
		add_item(scan, outline);
}

void
seal_scan_add_record(struct seal_scan *scan, const struct store_record *record)
{
	struct store_outline outline = {
		.key = record->key,
		.len = record->len,
		.version = record->version,
		.is_deleted = record->is_deleted,
	};

	memcpy(outline.hash, record->hash, sizeof(outline.hash));
	memcpy(outline.json_hash, record->json_hash,
	    sizeof(outline.json_hash));
	seal_scan_add(scan, &outline);
}

struct seal_scan *
seal_scan_new(const char *collection)
{
	struct seal_scan *scan = xcalloc(1, sizeof(*scan));

	scan->records = hasher_new();
	scan->data = hasher_new();
	scan->has_data = collection_is_served(collection);
	if (collection_is_extra(collection))
		scan->type_len = strlen(collection) + strlen("/");
	hash_begin(scan->records);
	hash_begin(scan->data);
	return scan;
}

void
seal_scan_end(struct seal_scan *scan, struct seal_numbers *out)
{
	uint8_t hash[HASH_BYTES];

	hash_end(scan->records, hash);
	hash_format(hash, scan->numbers.records);
	hash_end(scan->data, hash);
	if (scan->has_data)
		hash_format(hash, scan->numbers.data);
	*out = scan->numbers;
	hasher_free(scan->records);
	hasher_free(scan->data);
	buf_clear(&scan->text);
	free(scan);
}

int
seal_numbers_make(struct store *store, const char *collection,
    struct seal_numbers *out, struct error *err)
{
	struct seal_scan    *scan;
	struct store_cursor *cursor;
	struct store_outline outline;
	int		     rc;

	*out = (struct seal_numbers){ 0 };
	if (store_outline_open(store, collection, &cursor, err) == -1)
		return -1;
	scan = seal_scan_new(collection);
	while ((rc = store_outline_next(cursor, &outline, err)) == 1 &&
	    (rc = stop_check(STATUS_STORE, err)) == 0) {
		seal_scan_add(scan, &outline);
		log_progress("sealing: %s %" PRId64, collection,
		    scan->numbers.live + scan->numbers.deleted);
	}
	store_cursor_close(cursor);
	seal_scan_end(scan, out);
	return rc;
}
