/* Differences of documents: what is told, and that it leads from the one to the
 * other. */
#include <check.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bson_align.h"
#include "bson_diff.h"
#include "testlib.h"

enum form { LINES, PATCH };

struct told {
	enum form  form;
	struct buf text;
	int	   n;
	int	   n_left; /* until the callback fails; -1: never */
};

static int
on_change(void *ctx, const struct bson_change *change, struct error *err)
{
	struct told *told = ctx;

	if (told->n_left-- == 0)
		return error_set(err, STATUS_HELD, "enough");
	if (told->form == PATCH && told->n > 0)
		buf_append_byte(&told->text, ',');
	ck_assert_int_eq(told->form == LINES ? bson_diff_line(&told->text,
	    change) : bson_diff_patch(&told->text, change), 0);
	if (told->form == LINES)
		buf_append_byte(&told->text, '\n');
	told->n++;
	return 0;
}

static int
diff(const bson_t *from, const bson_t *to, struct told *told,
    struct error *err)
{
	return bson_diff(bson_get_data(from), from->len, bson_get_data(to),
	    to->len, on_change, told, err);
}

/* The changes as text; the caller frees it. */
static char *
tell(const bson_t *from, const bson_t *to, enum form form, int *n)
{
	struct told  told = { .form = form, .n_left = -1 };
	struct error err;

	if (form == PATCH)
		buf_append_byte(&told.text, '[');
	ck_assert_int_eq(diff(from, to, &told, &err), 0);
	if (form == PATCH)
		buf_append_byte(&told.text, ']');
	buf_append_byte(&told.text, '\0');
	if (n != NULL)
		*n = told.n;
	return (char *)told.text.data;
}

static const struct {
	const char *from;
	const char *to;
	const char *lines;
	const char *patch;
} known[] = {
	{ "{}", "{}", "", "[]" },
	{ "{'a':1,'b':[1,{'c':2,'d':3}]}", "{'b':[1,{'d':3,'c':2}],'a':1}",
	    "", "[]" },
	{ "{'a':1}", "{'a':2}", "a: 1 \xe2\x86\x92 2\n",
	    "[{'op':'replace','path':'/a','value':2,'was':1}]" },
	{ "{'a':1}", "{'b':1}", "a removed: 1\nb added: 1\n",
	    "[{'op':'remove','path':'/a','was':1},"
	    "{'op':'add','path':'/b','value':1}]" },
	/* A kind is changed as a whole. */
	{ "{'a':[]}", "{'a':{}}", "a: [] \xe2\x86\x92 {}\n",
	    "[{'op':'replace','path':'/a','value':{},'was':[]}]" },
	{ "{'a':null}", "{'a':''}", "a: null \xe2\x86\x92 \"\"\n",
	    "[{'op':'replace','path':'/a','value':'','was':null}]" },
	/* Digits are told as they are. */
	{ "{'a':{'$numberDecimal':'1.5'}}", "{'a':{'$numberDecimal':'1.50'}}",
	    "a: 1.5 \xe2\x86\x92 1.50\n",
	    "[{'op':'replace','path':'/a','value':1.50,'was':1.5}]" },
	{ "{'t':[{'rank':1},{'rank':2},{'rank':3}]}",
	    "{'t':[{'rank':1},{'rank':2},{'rank':1}]}",
	    "t[2].rank: 3 \xe2\x86\x92 1\n",
	    "[{'op':'replace','path':'/t/2/rank','value':1,'was':3}]" },
	/* One that comes first does not change those behind it, */
	{ "{'t':[1,2,3]}", "{'t':[0,1,2,3]}", "t[0] added: 0\n",
	    "[{'op':'add','path':'/t/0','value':0}]" },
	/* and neither does one that goes; */
	{ "{'t':[0,1,2,3]}", "{'t':[1,2,3]}", "t[0] removed: 0\n",
	    "[{'op':'remove','path':'/t/0','was':0}]" },
	/* also where all are changed a little, */
	{ "{'t':[{'r':1,'a':'x','b':'x'},{'r':2,'a':'y','b':'y'}]}",
	    "{'t':[{'r':1,'a':'n','b':'n'},{'r':2,'a':'x','b':'x'},"
	    "{'r':3,'a':'y','b':'y'}]}",
	    "t[0] added: {\"r\":1,\"a\":\"n\",\"b\":\"n\"}\n"
	    "t[1].r: 1 \xe2\x86\x92 2\nt[2].r: 2 \xe2\x86\x92 3\n",
	    "[{'op':'add','path':'/t/0','value':{'r':1,'a':'n','b':'n'}},"
	    "{'op':'replace','path':'/t/1/r','value':2,'was':1},"
	    "{'op':'replace','path':'/t/2/r','value':3,'was':2}]" },
	/* or where one comes and another goes. */
	{ "{'t':[1,2,3,4,5]}", "{'t':[0,1,2,4,5,6]}",
	    "t[0] added: 0\nt[2] removed: 3\nt[5] added: 6\n",
	    "[{'op':'add','path':'/t/0','value':0},"
	    "{'op':'remove','path':'/t/3','was':3},"
	    "{'op':'add','path':'/t/5','value':6}]" },
	{ "{'t':[1,2]}", "{'t':[]}", "t[0] removed: 1\nt[1] removed: 2\n",
	    "[{'op':'remove','path':'/t/0','was':1},"
	    "{'op':'remove','path':'/t/0','was':2}]" },
	{ "{'t':[[1,2],[3]]}", "{'t':[[2],[3,4]]}",
	    "t[0][0] removed: 1\nt[1][1] added: 4\n",
	    "[{'op':'remove','path':'/t/0/0','was':1},"
	    "{'op':'add','path':'/t/1/1','value':4}]" },
	/* Names that mean something else, and a control character. */
	{ "{'a/b':{'~':1},'':1,'x.y':{'c d':1}}",
	    "{'a/b':{'~':2},'':2,'x.y':{'c d':'\xc2\x9b'}}",
	    "[\"\"]: 1 \xe2\x86\x92 2\na/b.~: 1 \xe2\x86\x92 2\n"
	    "[\"x.y\"][\"c d\"]: 1 \xe2\x86\x92 \"\\xc2\\x9b\"\n",
	    "[{'op':'replace','path':'/','value':2,'was':1},"
	    "{'op':'replace','path':'/a~1b/~0','value':2,'was':1},"
	    "{'op':'replace','path':'/x.y/c d','value':'\xc2\x9b','was':1}]" },
};

START_TEST(known_changes)
{
	bson_t *from = test_bson(known[_i].from);
	bson_t *to = test_bson(known[_i].to);
	char   *text, *patch = test_quotes(known[_i].patch);

	text = tell(from, to, LINES, NULL);
	ck_assert_str_eq(text, known[_i].lines);
	free(text);
	text = tell(from, to, PATCH, NULL);
	ck_assert_str_eq(text, patch);
	free(text);
	free(patch);
	bson_destroy(from);
	bson_destroy(to);
}
END_TEST

/* A long value is cut between two characters. */
START_TEST(long_value)
{
	struct buf text = { 0 }, wanted = { 0 };
	bson_t	   from, to;
	char	  *told;
	int	   i;

	for (i = 0; i < MAX_DIFF_VALUE_BYTES; i++)
		buf_append(&text, "\xc3\xa5", 2);
	bson_init(&from);
	bson_init(&to);
	ck_assert(bson_append_utf8(&to, "a", 1, (char *)text.data,
	    (int)text.len));
	told = tell(&from, &to, LINES, NULL);
	buf_print(&wanted, "a added: \"");
	/* With its quote it has an odd number of bytes. */
	buf_append(&wanted, text.data, MAX_DIFF_VALUE_BYTES - 2);
	buf_print(&wanted, "...\n");
	buf_append_byte(&wanted, '\0');
	ck_assert_str_eq(told, (char *)wanted.data);
	free(told);
	bson_destroy(&to);
	buf_clear(&text);
	buf_clear(&wanted);
}
END_TEST

/* Random documents */

static unsigned seed;

static unsigned
chance(unsigned n)
{
	seed = seed * 1103515245U + 12345U;
	return (seed >> 16) % n;
}

static json_t *
random_value(int depth)
{
	static const char *const names[] = { "a", "b", "c/d", "e~f", "", "g" };
	json_t		  *value;
	unsigned	   i, n;

	switch (depth > 0 ? chance(6) : chance(4)) {
	case 0:
		return json_integer(chance(3));
	case 1:
		return json_string(chance(2) ? "x" : "\xc3\xa5");
	case 2:
		return json_boolean(chance(2));
	case 3:
		return json_null();
	case 4:
		value = json_array();
		for (i = 0, n = chance(7); i < n; i++)
			json_array_append_new(value, random_value(depth - 1));
		return value;
	default:
		value = json_object();
		for (i = 0, n = chance(5); i < n; i++)
			json_object_set_new(value, names[chance(6)],
			    random_value(depth - 1));
		return value;
	}
}

/* Another value that has much in common with this one; frees it. */
static json_t *
mutate(json_t *value, int depth)
{
	const char *name;
	json_t	   *member;
	void	   *next;
	size_t	    i;

	if (chance(8) == 0) {
		json_decref(value);
		return random_value(depth);
	}
	for (i = 0; i < json_array_size(value); i++)
		json_array_set_new(value, i, mutate(json_incref(
		    json_array_get(value, i)), depth - 1));
	if (json_is_array(value) && chance(3) == 0)
		json_array_insert_new(value, chance(1 +
		    (unsigned)json_array_size(value)),
		    random_value(depth - 1));
	if (json_array_size(value) > 0 && chance(3) == 0)
		json_array_remove(value,
		    chance((unsigned)json_array_size(value)));
	json_object_foreach_safe(value, next, name, member)
		json_object_set_new(value, name, mutate(json_incref(member),
		    depth - 1));
	return value;
}

static bson_t *
bson_of(const json_t *value)
{
	json_t *holder = json_pack("{s:O}", "top", value);
	char   *text = json_dumps(holder, JSON_COMPACT);
	bson_t *doc;

	doc = bson_new_from_json((const uint8_t *)text, -1, NULL);
	ck_assert_ptr_nonnull(doc);
	free(text);
	json_decref(holder);
	return doc;
}

static void
unescape(char *name)
{
	char *out = name;

	for (; *name != '\0'; name++) {
		if (*name != '~')
			*out++ = *name;
		else
			*out++ = *++name == '0' ? '~' : '/';
	}
	*out = '\0';
}

/* RFC 6902, 4: one operation at what a pointer leads to. */
static void
apply_at(json_t *holder, const char *name, const char *op, json_t *value)
{
	size_t place = strtoul(name, NULL, 10);
	bool   is_add = strcmp(op, "add") == 0;

	if (json_is_object(holder)) {
		ck_assert_int_eq(json_object_get(holder, name) == NULL, is_add);
		if (strcmp(op, "remove") == 0)
			ck_assert_int_eq(json_object_del(holder, name), 0);
		else
			ck_assert_int_eq(json_object_set(holder, name, value),
			    0);
	} else if (is_add)
		ck_assert_int_eq(json_array_insert(holder, place, value), 0);
	else if (strcmp(op, "remove") == 0)
		ck_assert_int_eq(json_array_remove(holder, place), 0);
	else
		ck_assert_int_eq(json_array_set(holder, place, value), 0);
}

static void
apply(json_t *doc, const json_t *op)
{
	char *path = xstrdup(json_string_value(json_object_get(op, "path")));
	char *name = path + 1, *end;

	ck_assert_int_eq(path[0], '/');
	while ((end = strchr(name, '/')) != NULL) {
		*end = '\0';
		unescape(name);
		doc = json_is_array(doc) ? json_array_get(doc,
		    strtoul(name, NULL, 10)) : json_object_get(doc, name);
		ck_assert_ptr_nonnull(doc);
		name = end + 1;
	}
	unescape(name);
	apply_at(doc, name, json_string_value(json_object_get(op, "op")),
	    json_object_get(op, "value"));
	free(path);
}

static json_t *
load(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	ck_assert_msg(value != NULL, "%s", text);
	return value;
}

static json_t *
json_of(const bson_t *doc)
{
	struct buf text = { 0 };
	json_t	  *value;

	ck_assert_int_eq(bson_json_append(&text, doc), 0);
	buf_append_byte(&text, '\0');
	value = load((char *)text.data);
	buf_clear(&text);
	return value;
}

/* The patch from the one to the other, applied; gives its operations. */
static int
check_applies(const bson_t *from, const bson_t *to)
{
	char   *text;
	json_t *patch, *doc = json_of(from), *wanted = json_of(to);
	json_t *op;
	size_t	i;
	int	n;

	text = tell(from, to, PATCH, &n);
	patch = load(text);
	json_array_foreach(patch, i, op)
		apply(doc, op);
	ck_assert_msg(json_equal(doc, wanted), "seed %u: %s", seed, text);
	free(text);
	json_decref(patch);
	json_decref(doc);
	json_decref(wanted);
	return n;
}

/* Both ways, and to itself. */
START_TEST(random_documents)
{
	json_t *value, *other;
	bson_t *from, *to;
	int	i;

	seed = (unsigned)_i;
	for (i = 0; i < 200; i++) {
		value = random_value(4);
		from = bson_of(value);
		other = mutate(json_deep_copy(value), 4);
		to = bson_of(other);
		ck_assert_int_eq(check_applies(from, to) == 0,
		    json_equal(value, other));
		check_applies(to, from);
		ck_assert_int_eq(check_applies(from, from), 0);
		json_decref(value);
		json_decref(other);
		bson_destroy(from);
		bson_destroy(to);
	}
}
END_TEST

/* An array of n objects, from the number first on. */
static bson_t *
numbers(int first, int n)
{
	json_t *value = json_array();
	bson_t *doc;
	int	i;

	for (i = 0; i < n; i++)
		json_array_append_new(value, json_pack("{s:i, s:s}", "id",
		    first + i, "same", "x"));
	doc = bson_of(value);
	json_decref(value);
	return doc;
}

/* Beyond the limit what is not the same at both ends goes by its place, and is
 * right all the same. */
START_TEST(long_arrays)
{
	bson_t *from = numbers(0, 500), *to = numbers(1, 500);

	/* One goes at the start, one comes at the end. */
	ck_assert_int_eq(check_applies(from, to), 2);
	bson_destroy(from);
	bson_destroy(to);
	from = numbers(0, 600);
	to = numbers(1, 600);
	ck_assert_int_eq(check_applies(from, to), 600);
	bson_destroy(to);
	to = numbers(1, 599);
	ck_assert_int_eq(check_applies(from, to), 1);
	bson_destroy(from);
	bson_destroy(to);
}
END_TEST

static void
assert_fails(const bson_t *from, const bson_t *to)
{
	struct told  told = { .form = LINES, .n_left = -1 };
	struct error err;

	ck_assert_int_eq(diff(from, to, &told, &err), -1);
	ck_assert_int_eq(err.status, STATUS_STORE);
	buf_clear(&told.text);
}

/* A document in n arrays inside each other. */
static bson_t *
nest(int n, int32_t value)
{
	bson_t *doc = bson_new(), *outer;

	BSON_APPEND_INT32(doc, "0", value);
	for (; n > 0; n--) {
		outer = bson_new();
		BSON_APPEND_ARRAY(outer, "0", doc);
		bson_destroy(doc);
		doc = outer;
	}
	return doc;
}

START_TEST(faults)
{
	bson_t	    *good = test_bson("{'a':1}"), *twice = bson_new();
	bson_t	    *one = nest(MAX_NESTING - 1, 1);
	bson_t	    *other = nest(MAX_NESTING - 1, 2);
	struct told  told = { .n_left = 0 };
	struct error err;

	BSON_APPEND_INT32(twice, "a", 1);
	BSON_APPEND_INT32(twice, "a", 2);
	assert_fails(good, twice);
	assert_fails(twice, good);
	ck_assert_int_eq(bson_diff(bson_get_data(good), good->len - 1,
	    bson_get_data(good), good->len, on_change, &told, &err), -1);
	/* As deep as it may be, and deeper. */
	ck_assert_int_eq(diff(one, other, &told, &err), -1);
	ck_assert_int_eq(err.status, STATUS_HELD);
	bson_destroy(one);
	bson_destroy(other);
	one = nest(MAX_NESTING, 1);
	other = nest(MAX_NESTING, 2);
	assert_fails(one, other);
	bson_destroy(one);
	bson_destroy(other);
	bson_destroy(twice);
	bson_destroy(good);
}
END_TEST

static TCase *
cases(void)
{
	TCase *tcase = tcase_create("bson_diff");

	tcase_add_loop_test(tcase, known_changes, 0, LENGTH_OF(known));
	tcase_add_test(tcase, long_value);
	tcase_add_loop_test(tcase, random_documents, 0, 10);
	tcase_add_test(tcase, long_arrays);
	tcase_add_test(tcase, faults);
	return tcase;
}

int
main(void)
{
	Suite *suite = suite_create("bson_diff");

	suite_add_tcase(suite, cases());
	return test_run(suite);
}
