/*
 * The seal of a history entry: its digests by the formulas of nompd-store(7),
 * SEALED HISTORY, and what is no seal.
 */
#include <sodium.h>

#include "seal.h"
#include "sqlitelib.h"
#include "tally.h"

/*
 * Worked out apart from the program, with hashlib and struct of Python:
 *	n(x) = struct.pack('>q', x); b(x) = n(len(x)) + x
 *	entry = sha256(b(b"nompd-sync history entry") + n(7) +
 *	    n(1700000000123) + n(45) + b(tallies) + b(seal))
 * where tallies is {PlanDefinitions: {Added: 2}}, and seal that of make_seal()
 * up to Previous, or to KeyId "k", or nothing.
 */
#define SEALED \
	"761cdd32675777116f319aae556bcddd1b959a17eb4729f8db421b1e777d0b13"
#define SEALED_WITH_KEY \
	"7e77821f3bed2e41319a08fa4d4772b655e8ef5f9c59214d8b1915e4c53ad282"
#define UNSEALED \
	"14f9e1937e944a7a92ea443aa4faa52630b799298196b651a1adafab59b76e2f"
/* SHA-256 of nothing. */
#define NO_KEYS \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/* Of two parts of Added of PlanDefinitions, each with the key "a":
 *	sha256(b(collection) + b(act) + n(1) + b(keys) + ... n(2) ...) */
#define TWO_PARTS \
	"ba4191d9ee58a19ab7e9d23c3c3e2af3b62caf972210909cb26ca7a87c0a5535"
/* Of the records of three_records(), as of a collection of the five and, with
 * keys that begin with "Basic/", as of a FHIR type:
 *	sha256(b(key) + n(version) + n(deleted) + b(hash) + ...) */
#define RECORDS \
	"9f365f037ef2322ad62dd9c6a9dbe324970c55a6358691834fc9be855108e3e9"
#define TYPE_RECORDS \
	"61836859f79a04e08b15e6adebebdfa796fc572a2c1e3723b5d067f1dfe5283d"
/*	sha256(b'1 a 1 ' + hex(sha256(b'{"n":1}')) + b'\n' + b'1 c 2 ' ...) */
#define ITEMS \
	"c00f5fa046e64fe5154ba0f6c19b149ce1a88d01eec972d0550110f11fb18270"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C64 "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define Z64 "0000000000000000000000000000000000000000000000000000000000000000"

/* Up to Previous. */
static bson_t *
make_seal(void)
{
	return BCON_NEW("Collections", "{",
	    "PlanDefinitions", "{", "Live", BCON_INT64(2),
	    "Deleted", BCON_INT64(1), "Digest", A64, "}",
	    "TreatmentGroups", "{", "Live", BCON_INT64(1),
	    "Deleted", BCON_INT64(0), "Digest", B64, "Data", C64, "}",
	    "}", "Keys", NO_KEYS, "Previous", Z64);
}

static int
parse(const bson_t *doc, struct seal *out)
{
	return seal_parse(bson_get_data(doc), doc->len, out);
}

START_TEST(sound)
{
	static const char signature[] = A64 B64;
	struct seal	  seal;
	bson_t		 *doc = make_seal();

	BSON_APPEND_UTF8(doc, "Digest", SEALED);
	ck_assert_int_eq(parse(doc, &seal), 0);
	ck_assert_str_eq(seal.keys, NO_KEYS);
	ck_assert_str_eq(seal.previous, Z64);
	ck_assert_str_eq(seal.digest, SEALED);
	ck_assert_ptr_null(seal.key_id);
	bson_destroy(doc);

	doc = make_seal();
	BSON_APPEND_UTF8(doc, "KeyId", "k");
	BSON_APPEND_UTF8(doc, "Digest", SEALED);
	BSON_APPEND_UTF8(doc, "Signature", signature);
	ck_assert_int_eq(parse(doc, &seal), 0);
	ck_assert_str_eq(seal.key_id, "k");
	ck_assert_uint_eq(seal.signature[0], 0xaa);
	ck_assert_uint_eq(seal.signature[63], 0xbb);
	bson_destroy(doc);
}
END_TEST

#define SOUND	    "Collections", "{", "}", "Keys", NO_KEYS, "Previous", Z64
#define D	    "Digest", SEALED
#define KEY	    "KeyId", "k"
#define FETCHED(ms) "FetchedAt", BCON_DATE_TIME(ms)
#define UNSOUND(...) do { \
	bson_t	   *doc_ = BCON_NEW(__VA_ARGS__); \
	struct seal seal_; \
	ck_assert_int_eq(parse(doc_, &seal_), -1); \
	bson_destroy(doc_); \
} while (0)

START_TEST(unsound)
{
	struct seal seal;
	bson_t	   *doc = BCON_NEW(SOUND, D);

	ck_assert_int_eq(parse(doc, &seal), 0);
	ck_assert_int_eq(seal_parse(bson_get_data(doc), doc->len - 1, &seal),
	    -1);
	ck_assert_int_eq(seal_parse(NULL, 0, &seal), -1);
	bson_destroy(doc);
	UNSOUND(SOUND);
	UNSOUND(D);
	UNSOUND(SOUND, D, D);
	UNSOUND(SOUND, D, "More", "x");
	UNSOUND("More", "x", SOUND, D);
	UNSOUND("Collections", "x", "Keys", NO_KEYS, "Previous", Z64, D);
	UNSOUND("Collections", "{", "}", "Previous", Z64, "Keys", NO_KEYS, D);
	UNSOUND("Collections", "{", "}", "Keys", "x", "Previous", Z64, D);
	UNSOUND("Collections", "{", "}", "Keys", NO_KEYS, "Previous", "", D);
	UNSOUND(SOUND, "Digest", BCON_INT64(7));
	UNSOUND(SOUND, "Digest", "761CDD32675777116F319AAE556BCDDD"
	    "1B959A17EB4729F8DB421B1E777D0B13");
	UNSOUND(SOUND, KEY, D);
	UNSOUND(SOUND, D, "Signature", A64 B64);
	UNSOUND(SOUND, D, KEY, "Signature", A64 B64);
	UNSOUND(SOUND, "KeyId", "", D, "Signature", A64 B64);
	UNSOUND(SOUND, KEY, D, "Signature", A64);
	UNSOUND(SOUND, KEY, D, "Signature", A64 B64 "00");
	UNSOUND(SOUND, FETCHED(1));
	UNSOUND(SOUND, FETCHED(0), D);
	UNSOUND(SOUND, FETCHED(1), FETCHED(1), D);
	UNSOUND(SOUND, D, FETCHED(1));
	UNSOUND(SOUND, "FetchedAt", BCON_INT64(1), D);
	UNSOUND(SOUND, KEY, FETCHED(1), D, "Signature", A64 B64);
}
END_TEST

START_TEST(fetched)
{
	struct store_history entry = { .synced_at_ms = 2000 };
	struct seal	     seal;
	bson_t		    *doc = BCON_NEW(SOUND, FETCHED(1000), D);

	ck_assert_int_eq(parse(doc, &seal), 0);
	ck_assert_int_eq(seal.fetched_at_ms, 1000);
	ck_assert_int_eq(seal_fetched_at(&entry), 2000);
	entry.seal = bson_get_data(doc);
	entry.seal_len = doc->len;
	ck_assert_int_eq(seal_fetched_at(&entry), 1000);
	bson_destroy(doc);
	/* A run that has fetched, and a seal that is none. */
	doc = BCON_NEW(SOUND, D);
	entry.seal = bson_get_data(doc);
	entry.seal_len = doc->len;
	ck_assert_int_eq(seal_fetched_at(&entry), 2000);
	bson_destroy(doc);
	doc = BCON_NEW(FETCHED(1000), SOUND, D);
	entry.seal = bson_get_data(doc);
	entry.seal_len = doc->len;
	ck_assert_int_eq(seal_fetched_at(&entry), 2000);
	bson_destroy(doc);
}
END_TEST

static struct store_history
make_entry(const bson_t *tallies, const bson_t *seal)
{
	return (struct store_history){
		.version = 7,
		.synced_at_ms = 1700000000123,
		.duration_ms = 45,
		.tallies = bson_get_data(tallies),
		.tallies_len = tallies->len,
		.seal = seal != NULL ? bson_get_data(seal) : NULL,
		.seal_len = seal != NULL ? seal->len : 0,
	};
}

START_TEST(entry)
{
	bson_t *tallies = BCON_NEW("PlanDefinitions", "{", "Added",
	    BCON_INT64(2), "}");
	bson_t *seal = make_seal(), *with_key = make_seal();
	struct store_history history = make_entry(tallies, NULL);
	char		     text[HASH_TEXT_BYTES];

	seal_digest(&history, text);
	ck_assert_str_eq(text, UNSEALED);
	seal_chain(&history, text);
	ck_assert_str_eq(text, UNSEALED);
	/* What comes behind counts for nothing in it, but for the next one. */
	history = make_entry(tallies, seal);
	seal_digest(&history, text);
	ck_assert_str_eq(text, SEALED);
	BSON_APPEND_UTF8(seal, "Digest", A64);
	history = make_entry(tallies, seal);
	seal_digest(&history, text);
	ck_assert_str_eq(text, SEALED);
	seal_chain(&history, text);
	ck_assert_str_eq(text, A64);
	BSON_APPEND_UTF8(with_key, "KeyId", "k");
	BSON_APPEND_UTF8(with_key, "Digest", A64);
	BSON_APPEND_UTF8(with_key, "Signature", A64 B64);
	history = make_entry(tallies, with_key);
	seal_digest(&history, text);
	ck_assert_str_eq(text, SEALED_WITH_KEY);
	bson_destroy(tallies);
	bson_destroy(seal);
	bson_destroy(with_key);
}
END_TEST

START_TEST(numbers)
{
	struct seal_numbers found;
	bson_t		   *doc = make_seal();
	char		    text[HASH_TEXT_BYTES];

#define GET(name) seal_numbers_get(bson_get_data(doc), doc->len, name, &found)
#define GET_DATA(name) \
	seal_data_digest(bson_get_data(doc), doc->len, name, text)
	ck_assert_int_eq(GET("PlanDefinitions"), 1);
	ck_assert_int_eq(found.live, 2);
	ck_assert_int_eq(found.deleted, 1);
	ck_assert_str_eq(found.records, A64);
	ck_assert_str_eq(found.data, "");
	ck_assert_int_eq(GET("TreatmentGroups"), 1);
	ck_assert_str_eq(found.data, C64);
	ck_assert_int_eq(GET("Basic"), 0);
	ck_assert_int_eq(GET_DATA("TreatmentGroups"), 1);
	ck_assert_str_eq(text, C64);
	ck_assert_int_eq(GET_DATA("PlanDefinitions"), 0);
	ck_assert_int_eq(GET_DATA("Basic"), 0);
	ck_assert_int_eq(seal_data_digest(NULL, 0, "TreatmentGroups", text),
	    0);
	bson_destroy(doc);
	doc = BCON_NEW("Collections", "{", "Basic", "{", "Live",
	    BCON_INT64(1), "Deleted", BCON_INT64(0), "Digest", A64, "Data",
	    "no hash", "}", "}");
	ck_assert_int_eq(GET_DATA("Basic"), 0);
	bson_destroy(doc);
#undef GET
#undef GET_DATA
}
END_TEST

static void
put_number(struct store_writer *writer, const char *prefix, const char *key,
    int number)
{
	bson_t data = BSON_INITIALIZER;
	char   text[32];

	(void)snprintf(text, sizeof(text), "%s%s", prefix, key);
	BSON_APPEND_INT32(&data, "n", number);
	CHECK(put_data(writer, text, &data, (uint8_t)number,
	    strcmp(key, "c") == 0 ? number == 2 : number == 1));
	bson_destroy(&data);
}

/* a {"n":1} of version 1, a tombstone b and c {"n":2} of version 2. */
static void
three_records(const char *collection, const char *prefix)
{
	struct store_writer *writer;
	struct store	    *store;
	int64_t		     version;
	char		     text[32];

	store = begin_run(1000, &version);
	CHECK(store_collection_make(store, "Basic", &err));
	writer = open_writer(store, collection, version, 1000);
	put_number(writer, prefix, "a", 1);
	put_number(writer, prefix, "b", 1);
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
	store = begin_run(1000, &version);
	writer = open_writer(store, collection, version, 1000);
	(void)snprintf(text, sizeof(text), "%sb", prefix);
	CHECK(store_writer_delete(writer, text, strlen(text), &err));
	put_number(writer, prefix, "c", 2);
	CHECK(store_writer_close(writer, &err));
	end_run(store, version, true);
}

static void
numbers_are(const char *collection, const char *records, const char *data)
{
	struct store	   *store = open_store(STORE_READ);
	struct seal_numbers found;

	CHECK(seal_numbers_make(store, collection, &found, &err));
	ck_assert_int_eq(found.live, 2);
	ck_assert_int_eq(found.deleted, 1);
	ck_assert_str_eq(found.records, records);
	ck_assert_str_eq(found.data, data);
	store_close(store);
}

START_TEST(records)
{
	three_records("TreatmentGroups", "");
	numbers_are("TreatmentGroups", RECORDS, ITEMS);
	damage("UPDATE TreatmentGroups SET JsonHash = NULL"
	       " WHERE BusinessKey = 'b'");
	numbers_are("TreatmentGroups", RECORDS, ITEMS);
	/* Where one item has no canonical JSON there is no digest of all. */
	damage("UPDATE TreatmentGroups SET JsonHash = NULL"
	       " WHERE BusinessKey = 'a'");
	numbers_are("TreatmentGroups", RECORDS, "");
}
END_TEST

/* Consumers know a resource by its id, without the type. */
START_TEST(records_of_a_type)
{
	three_records("Basic", "Basic/");
	numbers_are("Basic", TYPE_RECORDS, ITEMS);
}
END_TEST

/* No consumer gets them. */
START_TEST(records_of_a_list)
{
	three_records("PlanDefinitions", "");
	numbers_are("PlanDefinitions", RECORDS, "");
}
END_TEST

static void
put_part(struct store *store, int64_t version, const char *collection,
    const char *act, int64_t part)
{
	bson_t			  keys = BSON_INITIALIZER;
	struct store_history_keys what = { version, collection, act, part,
		NULL, 0 };

	BSON_APPEND_UTF8(&keys, "0", "a");
	what.keys = bson_get_data(&keys);
	what.keys_len = keys.len;
	CHECK(store_history_keys_put(store, &what, &err));
	bson_destroy(&keys);
}

/* Makes the seal of a run that is said to have done that, and puts its entry
 * into the store; the caller destroys it. */
static bson_t *
seal_run(struct store *store, int64_t version, const struct tally *tallies,
    size_t count, bool has_parts, const bson_t *doc)
{
	struct seal_input    input = { .store = store, .tallies = tallies,
		.count = count, .has_parts = has_parts };
	struct store_history history = make_entry(doc, NULL);
	bson_t		    *seal, made;

	history.version = version;
	CHECK(seal_make(&input, &history, &made, &err));
	seal = bson_copy(&made);
	bson_destroy(&made);
	history.seal = bson_get_data(seal);
	history.seal_len = seal->len;
	CHECK(store_history_put(store, &history, &err));
	return seal;
}

/* What the run has not written to keeps what the entry before it says of it;
 * after a prune nothing is taken over. */
START_TEST(taken_over)
{
	static const struct tally written[] = {
		{ .name = "TreatmentGroups", .updated = 1 },
		{ .name = "ReimbursementGroups", .unchanged = 9 },
	};
	bson_t		   none = BSON_INITIALIZER, *seal;
	bson_t		  *prune = BCON_NEW("Prune", "{", "}");
	struct seal_numbers found;
	struct store	   *store;
	int64_t		    version;

	/* Three runs that the history tells as it pleases this test. */
	store = begin_run(1000, &version);
	seal = seal_run(store, version, NULL, 0, false, &none);
	bson_destroy(seal);
	CHECK(store_publish(store, &err));
	store_close(store);
	damage("INSERT INTO TreatmentGroups (BusinessKey, Version, IsDeleted,"
	       " UpdatedAt, ContentHash, Data) VALUES ('x', 1, 0, 0, '" A64
	       "', x'0500000000'); INSERT INTO ReimbursementGroups"
	       " (BusinessKey, Version, IsDeleted, UpdatedAt, ContentHash,"
	       " Data) VALUES ('x', 1, 0, 0, '" A64 "', x'0500000000')");
	store = begin_run(1000, &version);
	seal = seal_run(store, version, written, 2, false, &none);
	ck_assert_int_eq(seal_numbers_get(bson_get_data(seal), seal->len,
	    "TreatmentGroups", &found), 1);
	ck_assert_int_eq(found.live, 1);
	ck_assert_int_eq(seal_numbers_get(bson_get_data(seal), seal->len,
	    "ReimbursementGroups", &found), 1);
	ck_assert_int_eq(found.live, 0);
	bson_destroy(seal);
	CHECK(store_publish(store, &err));
	store_close(store);
	store = begin_run(1000, &version);
	seal = seal_run(store, version, NULL, 0, false, prune);
	ck_assert_int_eq(seal_numbers_get(bson_get_data(seal), seal->len,
	    "ReimbursementGroups", &found), 1);
	ck_assert_int_eq(found.live, 1);
	bson_destroy(seal);
	bson_destroy(prune);
	bson_destroy(&none);
	store_close(store);
}
END_TEST

/* Only the run's own parts, in the order of the names. */
START_TEST(parts)
{
	static const struct tally tally[] = {
		{ .name = "PlanDefinitions", .added = 9, .deleted = 1 } };
	bson_t	      none = BSON_INITIALIZER, *doc;
	struct seal   seal, next;
	struct store *store;
	int64_t	      version;

	store = begin_run(1000, &version);
	put_part(store, version, "PlanDefinitions", "Added", 2);
	put_part(store, version, "PlanDefinitions", "Added", 1);
	put_part(store, version + 1, "PlanDefinitions", "Deleted", 1);
	doc = seal_run(store, version, tally, 1, true, &none);
	ck_assert_int_eq(parse(doc, &seal), 0);
	ck_assert_str_eq(seal.keys, TWO_PARTS);
	ck_assert_str_eq(seal.previous, Z64);
	bson_destroy(doc);
	CHECK(store_publish(store, &err));
	store_close(store);
	store = begin_run(1000, &version);
	doc = seal_run(store, version, tally, 1, false, &none);
	ck_assert_int_eq(parse(doc, &next), 0);
	ck_assert_str_eq(next.keys, NO_KEYS);
	ck_assert_str_eq(next.previous, seal.digest);
	bson_destroy(doc);
	store_close(store);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("seal");
	TCase *tests = tcase_create("seal");

	if (sodium_init() == -1)
		return EXIT_FAILURE;
	tcase_add_checked_fixture(tests, sqlite_set_up, sqlite_tear_down);
	tcase_add_test(tests, sound);
	tcase_add_test(tests, unsound);
	tcase_add_test(tests, fetched);
	tcase_add_test(tests, entry);
	tcase_add_test(tests, numbers);
	tcase_add_test(tests, records);
	tcase_add_test(tests, records_of_a_type);
	tcase_add_test(tests, records_of_a_list);
	tcase_add_test(tests, taken_over);
	tcase_add_test(tests, parts);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
