/*
 * The promises of store.h on each kind of store (backendlib.h says on which):
 * what is written to it comes back as it was.
 */
#include "backendlib.h"
#include "json_bson.h"
#include "limit.h"
#include "record.h"

static const char *const only_a[] = { "a", NULL };

/* json_part_fn: a document as the program makes it from JSON. */
static int
take_document(void *ctx, const struct json_part_info *info,
    struct error *ignored)
{
	(void)ignored;
	ck_assert_ptr_nonnull(info->doc);
	*(bson_t **)ctx = bson_new_from_data(info->doc, info->len);
	return 0;
}

static bson_t *
document(const char *json)
{
	struct json_bson *parser;
	bson_t		 *doc = NULL;

	parser = json_bson_new(take_document, &doc, false);
	CHECK(json_bson_feed(parser, (const uint8_t *)json, strlen(json),
	    &err));
	CHECK(json_bson_finish(parser, &err));
	json_bson_free(parser);
	ck_assert_ptr_nonnull(doc);
	return doc;
}

/* The bytes of the record's Data are those of doc, by each way to it. */
static void
check_data(struct store *store, const char *key, const bson_t *doc)
{
	struct store_cursor *cursor;
	struct store_record  record;
	int		     way;

	for (way = 0; way < 3; way++) {
		if (way == 0)
			CHECK(store_record_open(store, PLANS, key,
			    strlen(key), &cursor, &err));
		else if (way == 1)
			CHECK(store_records_open(store, PLANS, true, &cursor,
			    &err));
		else
			CHECK(store_changes_open(store, PLANS, 0, true,
			    &cursor, &err));
		CHECK_NEXT((way == 2 ? store_changes_next : store_record_next)(
		    cursor, &record, &err));
		ck_assert_str_eq(record.key, key);
		ck_assert_uint_eq(record.data_len, doc->len);
		ck_assert_mem_eq(record.data, bson_get_data(doc), doc->len);
		store_cursor_close(cursor);
	}
}

/* Writes doc as new, then replaces something else with it. */
static void
check_round_trip(const bson_t *doc)
{
	struct store	    *store;
	struct store_writer *writer;
	int64_t		     version;

	store = begin_run(0, &version);
	writer = open_writer(store, PLANS, version, 0);
	CHECK(put_data(writer, "a", doc, 1, true));
	CHECK(store_writer_close(writer, &err));
	check_data(store, "a", doc);
	end_run(store, version, true);
	write_run(only_a, NULL, 2, true);
	store = begin_run(0, &version);
	writer = open_writer(store, PLANS, version, 0);
	CHECK(put_data(writer, "a", doc, 1, false));
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
	/* A tombstone has it still. */
	write_run(NULL, only_a, 3, true);
	store = open_store(STORE_READ);
	check_data(store, "a", doc);
	store_close(store);
}

static const char *const documents[] = {
	"{}",
	"{\"a\":null,\"b\":true,\"c\":false,\"d\":{},\"e\":[],\"f\":\"\"}",
	/* Names that mean something to a database. */
	"{\"$a\":1,\"$set\":{\"x\":1},\"a.b\":2,\".\":3,\"$\":4,\"\":5,"
	    "\"_id\":6,\"$ref\":\"x\",\"$id\":1,\"$db\":2,\"..\":{\"$\":7},"
	    "\"$oid\":\"0123456789ab0123456789ab\",\"__proto__\":{}}",
	"{\"_id\":{\"_id\":[{\"_id\":\"x\"}]},\"$where\":\"x\",\"0\":0}",
	"{\"$date\":\"2026-01-01T00:00:00Z\",\"$numberDecimal\":\"1\"}",
	/* Names that are another's but for their case or form. */
	"{\"a\":1,\"A\":2,\"\xc3\xa9\":3,\"e\xcc\x81\":4,\" a\":5,\"a \":6}",
	/* Order of names is kept, whatever it is. */
	"{\"z\":1,\"a\":2,\"10\":3,\"9\":4,\"m\":{\"y\":1,\"b\":2}}",
	/* Digits are kept. */
	"{\"a\":1.50,\"b\":1.5,\"c\":0.10,\"d\":100.0,\"e\":1e5,\"f\":1E+5,"
	    "\"g\":1.0e-5,\"h\":0.0,\"i\":-0.0,\"j\":-0,\"k\":0e10}",
	"{\"a\":1234567890123456789012345678901234,"
	    "\"b\":0.1234567890123456789012345678901234,"
	    "\"c\":-9.999999999999999999999999999999999e6144,"
	    "\"d\":1e-6176,\"e\":1e6111,\"f\":-1.000000000000000000}",
	"{\"a\":2147483647,\"b\":2147483648,\"c\":-2147483648,"
	    "\"d\":-2147483649,\"e\":9223372036854775807,"
	    "\"f\":-9223372036854775808,\"g\":9223372036854775808,"
	    "\"h\":-9223372036854775809,\"i\":0}",
	/* Arrays of all kinds, and inside each other. */
	"{\"a\":[[],[[]],[{}],[1,2147483648,1.50,\"x\",null,true,{\"\":[]}]]}",
	/* Texts of all kinds. */
	"{\"a\":\"\\u0000\",\"b\":\"x\\u0000y\",\"c\":\"\\\"\\\\/\\b\\n\","
	    "\"d\":\"\xf4\x8f\xbf\xbf\",\"e\":\"\\u2028\",\"f\":\"$a.b\","
	    "\"g\":\" x \",\"h\":\"\xef\xbb\xbfx\",\"i\":\"e\xcc\x81\"}",
};

START_TEST(data_byte_for_byte)
{
	bson_t *doc = document(documents[_i]);

	check_round_trip(doc);
	bson_destroy(doc);
}
END_TEST

/* Objects, arrays, or both, as deep as a resource may be. */
START_TEST(data_nested)
{
	struct buf json = { 0 };
	bson_t	  *doc;
	int	   i;

	for (i = 1; i < MAX_NESTING; i++)
		buf_print(&json, "%s", _i == 0 || i % 2 == 1 ? "{\"a\":" :
		    "[");
	buf_print(&json, "%s", _i == 0 || i % 2 == 1 ? "{}" : "[]");
	while (--i >= 1)
		buf_print(&json, "%s", _i == 0 || i % 2 == 1 ? "}" : "]");
	buf_append_byte(&json, 0);
	doc = document((const char *)json.data);
	check_round_trip(doc);
	bson_destroy(doc);
	buf_clear(&json);
}
END_TEST

/* {"t":TEXT} with as much text as makes it len bytes. */
static bson_t *
large_document(size_t len)
{
	bson_t *doc = bson_new(), empty = BSON_INITIALIZER;
	size_t	text_len;
	char   *text;

	BSON_APPEND_UTF8(&empty, "t", "");
	text_len = len - empty.len;
	text = xcalloc(text_len + 1, 1);
	memset(text, 'x', text_len);
	ck_assert(BSON_APPEND_UTF8(doc, "t", text));
	ck_assert_uint_eq(doc->len, len);
	free(text);
	bson_destroy(&empty);
	return doc;
}

START_TEST(data_largest)
{
	/* The wrapper and Data together. */
	size_t	wrapper = record_bytes(1, 0);
	bson_t *doc = large_document(MAX_RECORD_BYTES - wrapper);

	ck_assert_uint_eq(record_bytes(1, doc->len), MAX_RECORD_BYTES);
	check_round_trip(doc);
	bson_destroy(doc);
}
END_TEST

/* More of them than go into one batch of any kind. */
#define MANY 12000

START_TEST(many_small)
{
	char		     key[16];
	struct store	    *store;
	struct store_writer *writer;
	struct store_cursor *cursor;
	struct store_record  record;
	int64_t		     version;
	int		     i;

	store = begin_run(0, &version);
	writer = open_writer(store, PLANS, version, 0);
	for (i = 0; i < MANY; i++) {
		(void)snprintf(key, sizeof(key), "k%05d", i);
		CHECK(put_fill(writer, key, (uint8_t)i, true));
	}
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
	/* Each third changes, each next one goes. */
	store = begin_run(0, &version);
	writer = open_writer(store, PLANS, version, 0);
	for (i = 0; i < MANY; i++) {
		(void)snprintf(key, sizeof(key), "k%05d", i);
		if (i % 3 == 0)
			CHECK(put_fill(writer, key, (uint8_t)(i + 1), false));
		else if (i % 3 == 1)
			CHECK(store_writer_delete(writer, key, strlen(key),
			    &err));
	}
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
	store = open_store(STORE_READ);
	counts_are(store, PLANS, MANY - MANY / 3, MANY / 3);
	CHECK(store_records_open(store, PLANS, true, &cursor, &err));
	for (i = 0; i < MANY; i++) {
		CHECK_NEXT(store_record_next(cursor, &record, &err));
		(void)snprintf(key, sizeof(key), "k%05d", i);
		ck_assert_str_eq(record.key, key);
		ck_assert_int_eq(record.version, i % 3 == 2 ? 1 : 2);
		ck_assert_int_eq(record.is_deleted, i % 3 == 1);
	}
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}
END_TEST

#define LARGE 6
#define LARGE_BYTES (3 * 1024 * 1024)

START_TEST(some_large)
{
	bson_t		    *doc = large_document(LARGE_BYTES);
	struct store	    *store;
	struct store_writer *writer;
	struct store_cursor *cursor;
	struct store_record  record;
	int64_t		     version;
	int		     run, i;

	for (run = 0; run < 2; run++) {
		store = begin_run(0, &version);
		writer = open_writer(store, PLANS, version, 0);
		for (i = 0; i < LARGE; i++)
			CHECK(put_data(writer, (char[]){ (char)('a' + i), 0 },
			    doc, 1, run == 0));
		CHECK(store_writer_close(writer, &err));
		end_run(store, version, true);
	}
	store = open_store(STORE_READ);
	CHECK(store_changes_open(store, PLANS, 1, true, &cursor, &err));
	for (i = 0; i < LARGE; i++) {
		CHECK_NEXT(store_changes_next(cursor, &record, &err));
		ck_assert_int_eq(record.key[0], 'a' + i);
		ck_assert_uint_eq(record.data_len, doc->len);
		ck_assert_mem_eq(record.data, bson_get_data(doc), doc->len);
	}
	ck_assert_int_eq(store_changes_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
	bson_destroy(doc);
}
END_TEST

/* Each collection is for itself, also in one run. */
START_TEST(collections_apart)
{
	struct store	    *store;
	struct store_writer *writer;
	int64_t		     version;
	int		     i, run;

	for (run = 0; run < 2; run++) {
		store = begin_run(0, &version);
		for (i = 0; i < COLLECTION__MAX; i++) {
			writer = open_writer(store, collection_name(i),
			    version, 0);
			if (run == 0)
				CHECK(put_fill(writer, "a", 1, true));
			else if (i % 2 == 0)
				CHECK(store_writer_delete(writer, "a", 1,
				    &err));
			CHECK(store_writer_close(writer, &err));
		}
		end_run(store, version, true);
	}
	store = open_store(STORE_READ);
	for (i = 0; i < COLLECTION__MAX; i++)
		counts_are(store, collection_name(i), i % 2, i % 2 == 0);
	store_close(store);
}
END_TEST

/* A record as a copy of another store's: nothing of it is this run's. */
static struct store_record
copied(const bson_t *doc, int64_t version, bool is_deleted)
{
	struct store_record record = {
		.key = "a",
		.len = 1,
		.data = bson_get_data(doc),
		.data_len = doc->len,
		.version = version,
		.updated_at_ms = 1744273800000 + version,
		.is_deleted = is_deleted,
	};

	memset(record.hash, "0123456789abcdef"[version % 16],
	    sizeof(record.hash) - 1);
	return record;
}

static void
copy_one(const struct store_record *record, bool is_new)
{
	struct store_versions versions = { .raised = 50 };
	struct store	     *store = open_store(STORE_WRITE);
	struct store_writer  *writer;

	take_lease(store);
	CHECK(store_begin(store, &err));
	CHECK(store_versions_set(store, &versions, &err));
	writer = open_writer(store, PLANS, 50, 123);
	CHECK(store_writer_copy(writer, record, is_new, &err));
	CHECK(store_writer_close(writer, &err));
	CHECK(store_publish(store, &err));
	store_close(store);
}

static void
check_copied(const struct store_record *expected)
{
	struct store	    *store = open_store(STORE_READ);
	struct store_cursor *cursor;
	struct store_record  record;

	CHECK(store_records_open(store, PLANS, true, &cursor, &err));
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 1);
	ck_assert_str_eq(record.key, expected->key);
	ck_assert_int_eq(record.version, expected->version);
	ck_assert_int_eq(record.updated_at_ms, expected->updated_at_ms);
	ck_assert_int_eq(record.is_deleted, expected->is_deleted);
	ck_assert_str_eq(record.hash, expected->hash);
	ck_assert_uint_eq(record.data_len, expected->data_len);
	ck_assert_mem_eq(record.data, expected->data, record.data_len);
	ck_assert_int_eq(store_record_next(cursor, &record, &err), 0);
	store_cursor_close(cursor);
	store_close(store);
}

START_TEST(copy)
{
	bson_t		   *doc = document("{\"$a\":1.50,\"a.b\":[]}");
	struct store_record live = copied(doc, 41, false);
	struct store_record tombstone = copied(doc, 47, true);
	int64_t		    back = (int64_t)1 << 40;
	struct store_record again = copied(doc, back, false);

	copy_one(&live, true);
	check_copied(&live);
	copy_one(&tombstone, false);
	check_copied(&tombstone);
	/* The same once more, as after a copy that was cut short. */
	copy_one(&tombstone, false);
	check_copied(&tombstone);
	copy_one(&again, false);
	check_copied(&again);
	bson_destroy(doc);
}
END_TEST

/* A record that is not there cannot be deleted: what was written is less than
 * what was to be. */
START_TEST(fewer_written)
{
	struct store	    *store;
	struct store_writer *writer;
	int64_t		     version;

	write_run(only_a, NULL, 1, true);
	store = begin_run(0, &version);
	writer = open_writer(store, PLANS, version, 0);
	CHECK(store_writer_delete(writer, "a", 1, &err));
	CHECK(store_writer_delete(writer, "b", 1, &err));
	ck_assert_int_eq(store_writer_close(writer, &err), -1);
	ck_assert(err.status == STATUS_UNBALANCED ||
	    err.status == STATUS_STORE);
	ck_assert_msg(strstr(err.text, PLANS) != NULL, "%s", err.text);
	store_close(store);
}
END_TEST

/* A writer that has nothing to write is as good as none. */
START_TEST(nothing_to_write)
{
	struct store *store;
	int64_t	      version;

	store = begin_run(0, &version);
	CHECK(store_writer_close(open_writer(store, PLANS, version, 0),
	    &err));
	end_run(store, version, true);
	state_is("");
	changes_are(0, true, "");
}
END_TEST

int
main(void)
{
	TCase *tests;
	Suite *suite = backend_suite("store_conformance_write", &tests);

	tcase_add_loop_test(tests, data_byte_for_byte, 0,
	    LENGTH_OF(documents));
	tcase_add_loop_test(tests, data_nested, 0, 2);
	tcase_add_test(tests, data_largest);
	tcase_add_test(tests, many_small);
	tcase_add_test(tests, some_large);
	tcase_add_test(tests, collections_apart);
	tcase_add_test(tests, copy);
	tcase_add_test(tests, nothing_to_write);
	tcase_add_test(tests, fewer_written);
	return test_run(suite);
}
