#include "collection.h"
#include "hash.h"
#include "limit.h"
#include "record.h"
#include "testlib.h"

/* A former state as the stores write it, which is larger than its record. */
static size_t
written_bytes(const char *key, size_t key_len, const bson_t *data)
{
	char   hash[HASH_TEXT_BYTES], name[MAX_COLLECTION_NAME + 1] = "";
	char  *id;
	bson_t record = BSON_INITIALIZER;
	size_t bytes;

	memset(hash, 'f', sizeof(hash) - 1);
	hash[sizeof(hash) - 1] = '\0';
	memset(name, 'N', sizeof(name) - 1);
	id = xasprintf("%s/%lld/%.*s", name, (long long)INT64_MAX,
	    (int)key_len, key);
	bson_append_utf8(&record, "_id", -1, id, -1);
	free(id);
	bson_append_utf8(&record, "Collection", -1, name, -1);
	bson_append_utf8(&record, "BusinessKey", -1, key, (int)key_len);
	bson_append_int64(&record, "Version", -1, INT64_MAX);
	bson_append_int64(&record, "ReplacedIn", -1, INT64_MAX);
	bson_append_bool(&record, "IsDeleted", -1, false);
	bson_append_date_time(&record, "UpdatedAt", -1, 1744273800123);
	bson_append_utf8(&record, "ContentHash", -1, hash, -1);
	bson_append_document(&record, "Data", -1, data);
	bson_append_utf8(&record, "JsonHash", -1, hash, -1);
	bytes = record.len;
	bson_destroy(&record);
	return bytes;
}

START_TEST(bytes_as_written)
{
	static const size_t key_lens[] = { 1, 36, MAX_KEY_BYTES };
	char		    key[MAX_KEY_BYTES];
	bson_t		   *docs[] = { test_bson("{}"),
		   test_bson("{'name':'x','list':[1,2,3]}") };
	int i, k;

	memset(key, 'k', sizeof(key));
	for (i = 0; i < LENGTH_OF(docs); i++) {
		for (k = 0; k < LENGTH_OF(key_lens); k++)
			ck_assert_uint_eq(record_bytes(key_lens[k],
			    docs[i]->len),
			    written_bytes(key, key_lens[k], docs[i]));
		bson_destroy(docs[i]);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("record");
	TCase *tests = tcase_create("record");

	tcase_add_test(tests, bytes_as_written);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
