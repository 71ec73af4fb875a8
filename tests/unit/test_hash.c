#include "hash.h"
#include "limit.h"
#include "testlib.h"

#define MEMBERS 1000000

/*
 * Known answers, computed apart from this program: PyMongo's bson module on
 * the document with ordered members, and Python's hashlib.
 */
#define EMPTY_HASH \
	"49e8e3297545c15ab6a79471a7a34d43e24a8f1cb25ea3d8417c61f699267a3f"
#define MIXED_HASH \
	"becef080f5a60a87c4ff1abbe957264508daab83abcc42fedae47593a92e1a04"
#define MILLION_HASH \
	"afa1e655951ac3bb441fff70d579571e8d68a7435da2d80849f10db675b8536f"

#define MIXED \
	"{'resourceType':'PlanDefinition'," \
	"'identifier':[{'value':'A-1','system':'urn:x'}]," \
	"'b':true,'a':null,'B':false,'n':{'z':1,'y':3000000000," \
	"'x':{'$numberDecimal':'1.50'},'ø':'bø','a\\u0001':''}," \
	"'list':[3,2,{'q':1,'p':[{'d':1,'c':2}]}],'ab':-1,'aa':'t'}"
#define MIXED_ORDERED \
	"{'B':false,'a':null,'aa':'t','ab':-1,'b':true," \
	"'identifier':[{'system':'urn:x','value':'A-1'}]," \
	"'list':[3,2,{'p':[{'c':2,'d':1}],'q':1}]," \
	"'n':{'a\\u0001':'','x':{'$numberDecimal':'1.50'},'y':3000000000," \
	"'z':1,'ø':'bø'},'resourceType':'PlanDefinition'}"

static struct hasher *hasher;

static void
setup(void)
{
	hasher = hasher_new();
}

static void
teardown(void)
{
	hasher_free(hasher);
}

static int
hash_bson(const bson_t *doc, char text[HASH_TEXT_BYTES], struct error *err)
{
	uint8_t hash[HASH_BYTES];

	if (hash_document(hasher, bson_get_data(doc), doc->len, hash,
	    err) == -1)
		return -1;
	hash_format(hash, text);
	return 0;
}

/* Hashes JSON; the document goes. */
static void
hash_json(const char *json, char text[HASH_TEXT_BYTES])
{
	struct error err;
	bson_t	    *doc = test_bson(json);

	ck_assert_msg(hash_bson(doc, text, &err) == 0, "%s", json);
	bson_destroy(doc);
}

START_TEST(known_answers)
{
	static const struct {
		const char *json, *hash;
	} cases[] = {
		{ "{}", EMPTY_HASH },
		{ MIXED, MIXED_HASH },
		{ MIXED_ORDERED, MIXED_HASH },
		{ "{}", EMPTY_HASH },
	};
	char text[HASH_TEXT_BYTES];
	int  i;

	/* One hasher for all: nothing of a document is left for the next. */
	for (i = 0; i < LENGTH_OF(cases); i++) {
		hash_json(cases[i].json, text);
		ck_assert_str_eq(text, cases[i].hash);
	}
}
END_TEST

static const struct {
	const char *a, *b;
	bool	    is_same;
} pairs[] = {
	{ "{'a':1,'b':2,'c':3}", "{'c':3,'a':1,'b':2}", true },
	{ "{'a':1,'aa':2,'B':3}", "{'aa':2,'B':3,'a':1}", true },
	{ "{'x':[{'a':1,'b':{'d':1,'c':2}}]}",
	    "{'x':[{'b':{'c':2,'d':1},'a':1}]}", true },
	{ "{'a':[1,2]}", "{'a':[2,1]}", false },
	{ "{'a':[{'b':1},{'c':2}]}", "{'a':[{'c':2},{'b':1}]}", false },
	{ "{'a':[]}", "{'a':{}}", false },
	{ "{'a':1}", "{'a':{'$numberLong':'1'}}", false },
	{ "{'a':{'$numberDecimal':'1.5'}}", "{'a':{'$numberDecimal':'1.50'}}",
	    false },
	{ "{'a':null}", "{}", false },
	{ "{'a':'x'}", "{'a':'X'}", false },
	{ "{'a':{'b':1},'c':{}}", "{'a':{},'c':{'b':1}}", false },
	{ "{'01':1,'02':2,'03':3,'04':4,'05':5,'06':6,'07':7,'08':8,'09':9,"
	  "'10':1,'11':2,'12':3,'13':4,'14':5,'15':6,'16':7,'17':8,'18':9}",
	    "{'18':9,'17':8,'16':7,'15':6,'14':5,'13':4,'12':3,'11':2,'10':1,"
	    "'09':9,'08':8,'07':7,'06':6,'05':5,'04':4,'03':3,'02':2,'01':1}",
	    true },
};

START_TEST(same_or_not)
{
	char a[HASH_TEXT_BYTES], b[HASH_TEXT_BYTES];

	hash_json(pairs[_i].a, a);
	hash_json(pairs[_i].b, b);
	ck_assert_int_eq(strcmp(a, b) == 0, pairs[_i].is_same);
}
END_TEST

START_TEST(input_is_kept)
{
	bson_t	    *doc = test_bson(MIXED), *copy = bson_copy(doc);
	struct error err;
	char	     text[HASH_TEXT_BYTES];

	ck_assert_int_eq(hash_bson(doc, text, &err), 0);
	ck_assert(bson_equal(doc, copy));
	bson_destroy(copy);
	bson_destroy(doc);
}
END_TEST

/* libbson's JSON reader keeps duplicates. */
static const struct {
	const char *json, *member, *path;
} duplicates[] = {
	{ "{'a':1,'a':1}", "\"a\"", ": a" },
	{ "{'b':1,'a':1,'c':1,'b':2}", "\"b\"", ": b" },
	{ "{'action':[1,{},{'x':1,'code':1,'code':2}]}", "\"code\"",
	    ": action[2].code" },
	{ "{'z':{'y':{'x':1,'w':0,'x':1}},'a':1}", "\"x\"", ": z.y.x" },
	{ "{'a':[[{'ø':1,'ø':1}]]}", "\"ø\"", ": a[0][0].ø" },
	{ "{'':1,'':2}", "\"\"", ": " },
};

START_TEST(duplicate_member)
{
	bson_t	    *doc = test_bson(duplicates[_i].json);
	struct error err;
	char	     text[HASH_TEXT_BYTES];
	const char  *path;

	ck_assert_int_eq(hash_bson(doc, text, &err), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	ck_assert_ptr_nonnull(strstr(err.text, duplicates[_i].member));
	path = strstr(err.text, ": ");
	ck_assert_ptr_nonnull(path);
	ck_assert_str_eq(path, duplicates[_i].path);
	bson_destroy(doc);

	hash_json("{}", text);
	ck_assert_str_eq(text, EMPTY_HASH);
}
END_TEST

START_TEST(duplicate_with_long_names)
{
	bson_t	    *doc = bson_new(), *outer;
	struct error err;
	char	     name[1001], text[HASH_TEXT_BYTES];
	int	     i;

	for (i = 0; i < 1000; i += 2)
		memcpy(name + i, "ø", 2);
	name[1000] = '\0';
	bson_append_int32(doc, name, -1, 1);
	bson_append_int32(doc, name, -1, 2);
	for (i = 1; i < MAX_NESTING; i++) {
		outer = bson_new();
		bson_append_document(outer, name, -1, doc);
		bson_destroy(doc);
		doc = outer;
	}
	ck_assert_int_eq(hash_bson(doc, text, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "two members named \"øøøø"));
	ck_assert_uint_lt(strlen(err.text), MAX_ERROR_TEXT - 1);
	bson_destroy(doc);
}
END_TEST

static bson_t *
nested_new(int levels, bool is_array)
{
	bson_t *doc = bson_new(), *outer;

	while (--levels > 0) {
		outer = bson_new();
		if (is_array)
			bson_append_array(outer, "0", 1, doc);
		else
			bson_append_document(outer, "0", 1, doc);
		bson_destroy(doc);
		doc = outer;
	}
	return doc;
}

START_TEST(nesting)
{
	bson_t	    *doc;
	struct error err;
	char	     text[HASH_TEXT_BYTES];
	int	     is_array;

	for (is_array = 0; is_array <= 1; is_array++) {
		doc = nested_new(MAX_NESTING, is_array);
		ck_assert_int_eq(hash_bson(doc, text, &err), 0);
		bson_destroy(doc);
		doc = nested_new(MAX_NESTING + 1, is_array);
		ck_assert_int_eq(hash_bson(doc, text, &err), -1);
		ck_assert_int_eq(err.status, STATUS_PROTOCOL);
		ck_assert_ptr_nonnull(strstr(err.text, "100"));
		bson_destroy(doc);
	}
}
END_TEST

static const struct {
	size_t	      len;
	const uint8_t data[24];
} unsound[] = {
	{ 0, { 0 } },
	{ 4, { 4, 0, 0, 0 } },
	{ 5, { 6, 0, 0, 0, 0 } },
	{ 5, { 5, 0, 0, 0, 1 } },
	{ 6, { 5, 0, 0, 0, 0, 0 } },
	/* an unknown type; a double, which no number becomes */
	{ 8, { 8, 0, 0, 0, 0x77, 'a', 0, 0 } },
	{ 16, { 16, 0, 0, 0, 0x01, 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } },
	/* a name without end; a value cut off */
	{ 8, { 8, 0, 0, 0, 0x0a, 'a', 'b', 0 } },
	{ 11, { 11, 0, 0, 0, 0x10, 'a', 0, 1, 0, 0, 0 } },
	{ 8, { 8, 0, 0, 0, 0x08, 'a', 0, 0 } },
	/* text: no length, empty, too long, huge, without NUL */
	{ 9, { 9, 0, 0, 0, 0x02, 'a', 0, 1, 0 } },
	{ 13, { 13, 0, 0, 0, 0x02, 'a', 0, 0, 0, 0, 0, 0, 0 } },
	{ 14, { 14, 0, 0, 0, 0x02, 'a', 0, 3, 0, 0, 0, 'x', 0, 0 } },
	{ 14, { 14, 0, 0, 0, 0x02, 'a', 0, 255, 255, 255, 255, 'x', 0, 0 } },
	{ 14, { 14, 0, 0, 0, 0x02, 'a', 0, 2, 0, 0, 0, 'x', 'y', 0 } },
	/* an object: too small, too long, without its NUL */
	{ 13, { 13, 0, 0, 0, 0x03, 'a', 0, 4, 0, 0, 0, 0, 0 } },
	{ 13, { 13, 0, 0, 0, 0x03, 'a', 0, 6, 0, 0, 0, 0, 0 } },
	{ 13, { 13, 0, 0, 0, 0x04, 'a', 0, 5, 0, 0, 0, 1, 0 } },
	{ 10, { 10, 0, 0, 0, 0x03, 'a', 0, 5, 0, 0 } },
	/* a byte behind the last member */
	{ 9, { 9, 0, 0, 0, 0x0a, 'a', 0, 0, 0 } },
};

START_TEST(unsound_bson)
{
	/* Of the exact size, so that a sanitizer sees a read behind it. */
	uint8_t	    *data = xcalloc(1, unsound[_i].len);
	uint8_t	     hash[HASH_BYTES];
	struct error err;

	memcpy(data, unsound[_i].data, unsound[_i].len);
	ck_assert_int_eq(hash_document(hasher, data, unsound[_i].len, hash,
	    &err), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	free(data);
}
END_TEST

START_TEST(unsound_bson_at_depth)
{
	static const uint8_t data[] = { 24, 0, 0, 0, 0x04, 'a', 0, 16, 0, 0,
		0, 0x03, '0', 0, 8, 0, 0, 0, 0x77, 'b', 0, 0, 0, 0 };
	uint8_t	     hash[HASH_BYTES];
	struct error err;

	ck_assert_int_eq(hash_document(hasher, data, sizeof(data), hash,
	    &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "in a[0]"));
}
END_TEST

START_TEST(million_members)
{
	bson_t	     doc = BSON_INITIALIZER;
	struct error err;
	char	     name[16], text[HASH_TEXT_BYTES];
	int	     i, k;

	/* 700001 and MEMBERS have no divisor in common: each k comes once. */
	for (i = 0, k = 0; i < MEMBERS; i++, k = (k + 700001) % MEMBERS) {
		(void)snprintf(name, sizeof(name), "k%07d", k);
		bson_append_int32(&doc, name, 8, k);
	}
	ck_assert_int_eq(hash_bson(&doc, text, &err), 0);
	ck_assert_str_eq(text, MILLION_HASH);
	bson_append_int32(&doc, "k0000003", 8, 0);
	ck_assert_int_eq(hash_bson(&doc, text, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "k0000003"));
	bson_destroy(&doc);
}
END_TEST

START_TEST(many_levels_of_members)
{
	bson_t	    *doc = bson_new(), *outer;
	struct error err;
	char	     name[8], a[HASH_TEXT_BYTES], b[HASH_TEXT_BYTES];
	int	     level, i;

	/* The members of all open levels outgrow the scratch memory. */
	for (level = 1; level < MAX_NESTING; level++) {
		outer = bson_new();
		for (i = 40; i > 0; i--) {
			(void)snprintf(name, sizeof(name), "m%02d", i);
			bson_append_int32(outer, name, -1, i);
			if (i == 20)
				bson_append_document(outer, "child", -1, doc);
		}
		bson_destroy(doc);
		doc = outer;
	}
	ck_assert_int_eq(hash_bson(doc, a, &err), 0);
	ck_assert_int_eq(hash_bson(doc, b, &err), 0);
	ck_assert_str_eq(a, b);
	bson_destroy(doc);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("hash");
	TCase *tests = tcase_create("hash");

	tcase_add_checked_fixture(tests, setup, teardown);
	/* Sanitizers and valgrind are slow. */
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, known_answers);
	tcase_add_loop_test(tests, same_or_not, 0, LENGTH_OF(pairs));
	tcase_add_test(tests, input_is_kept);
	tcase_add_loop_test(tests, duplicate_member, 0, LENGTH_OF(duplicates));
	tcase_add_test(tests, duplicate_with_long_names);
	tcase_add_test(tests, nesting);
	tcase_add_loop_test(tests, unsound_bson, 0, LENGTH_OF(unsound));
	tcase_add_test(tests, unsound_bson_at_depth);
	tcase_add_test(tests, million_members);
	tcase_add_test(tests, many_levels_of_members);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
