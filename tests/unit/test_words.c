#include "testlib.h"
#include "words.h"

/* ' stands for ", and | stands between the words that come of it. */
static const struct {
	const char *text;
	const char *words; /* NULL: none */
} splits[] = {
	{ "a", "a" },
	{ "a b", "a|b" },
	{ " a  b\tc\n", "a|b|c" },
	{ "\n\t a", "a" },
	{ "a\nb", "a|b" },
	{ "/usr/bin/nompd-sync --store sqlite:/a/b.db",
	    "/usr/bin/nompd-sync|--store|sqlite:/a/b.db" },
	/* No shell: nothing else has a meaning. */
	{ "a 'b c'", "a|'b|c'" },
	{ "a b\\ c", "a|b\\|c" },
	{ "a $HOME ~ * ; b && c > d `e` $(f) # g",
	    "a|$HOME|~|*|;|b|&&|c|>|d|`e`|$(f)|#|g" },
	{ "A=1 b", "A=1|b" },
	{ "\xc3\xb8 a", "\xc3\xb8|a" },
	{ "a[b] [c]", "a[b]|[c]" },
	{ "{'a':1}", "{'a':1}" },
	/* JSON. */
	{ "['a']", "a" },
	{ "['a','b']", "a|b" },
	{ " \t\n['a' , 'b'] \n", "a|b" },
	{ "['a b','c\\td']", "a b|c\td" },
	{ "['a','']", "a|" },
	{ "['a','','']", "a||" },
	{ "['a','b\\\\c','\\u00e9','$x']", "a|b\\c|\xc3\xa9|$x" },
	{ "['a','[b]']", "a|[b]" },
	/* No word. */
	{ "", NULL },
	{ " ", NULL },
	{ " \t\n", NULL },
	{ "[]", NULL },
	{ "[ ]", NULL },
	{ "['']", NULL },
	{ "['','a']", NULL },
	/* JSON that is something else. */
	{ "[", NULL },
	{ "[a]", NULL },
	{ "['a'", NULL },
	{ "['a',]", NULL },
	{ "['a'] b", NULL },
	{ "['a']]", NULL },
	{ "['a']['b']", NULL },
	{ "['a',1]", NULL },
	{ "['a',1.5]", NULL },
	{ "['a',null]", NULL },
	{ "['a',true]", NULL },
	{ "['a',['b']]", NULL },
	{ "['a',{'b':'c'}]", NULL },
	{ "[1]", NULL },
	{ "[['a']]", NULL },
	{ "[a b]", NULL },
	{ "['a\\u0000b']", NULL },
	{ "['a','\\u0000']", NULL },
	{ "['\\ud800']", NULL },
	{ "['\xff']", NULL },
	{ "['a\nb']", NULL },
	{ "['\\x']", NULL },
};

/* The words with | between them; the caller frees the text. */
static char *
join(char *const *words)
{
	struct buf out = { 0 };
	int	   i;

	for (i = 0; words[i] != NULL; i++)
		buf_print(&out, "%s%s", i > 0 ? "|" : "", words[i]);
	buf_append_byte(&out, '\0');
	return (char *)out.data;
}

START_TEST(split_values)
{
	char *text = test_quotes(splits[_i].text), *expected, *joined;
	char **words;

	words = words_parse(text);
	if (splits[_i].words == NULL) {
		ck_assert_msg(words == NULL, "%s", text);
	} else {
		ck_assert_msg(words != NULL, "%s", text);
		expected = test_quotes(splits[_i].words);
		joined = join(words);
		ck_assert_str_eq(joined, expected);
		free(joined);
		free(expected);
	}
	words_free(words);
	free(text);
}
END_TEST

/* n words between blanks or as JSON; the caller frees the text. */
static char *
many_words(int n, const char *first, const char *next, const char *end)
{
	struct buf out = { 0 };
	int	   i;

	for (i = 0; i < n; i++)
		buf_print(&out, "%s", i == 0 ? first : next);
	buf_print(&out, "%s", end);
	buf_append_byte(&out, '\0');
	return (char *)out.data;
}

static const struct {
	const char *first;
	const char *next;
	const char *end;
} forms[] = {
	{ "w", " w", "" },
	{ " w", "\tw", "\n" },
	{ "[\"w\"", ",\"w\"", "]" },
	{ "[\"w\"", ",\"\"", "]" },
};

START_TEST(words_at_limit)
{
	char  *text;
	char **words;
	int    n = 0;

	text = many_words(MAX_COMMAND_WORDS, forms[_i].first, forms[_i].next,
	    forms[_i].end);
	words = words_parse(text);
	ck_assert_ptr_nonnull(words);
	while (words[n] != NULL)
		n++;
	ck_assert_int_eq(n, MAX_COMMAND_WORDS);
	words_free(words);
	free(text);
	text = many_words(MAX_COMMAND_WORDS + 1, forms[_i].first,
	    forms[_i].next, forms[_i].end);
	ck_assert_ptr_null(words_parse(text));
	free(text);
}
END_TEST

START_TEST(bytes_at_limit)
{
	char   text[MAX_COMMAND_BYTES + 2];
	char **words;

	memset(text, 'w', sizeof(text));
	text[MAX_COMMAND_BYTES] = '\0';
	words = words_parse(text);
	ck_assert_ptr_nonnull(words);
	ck_assert_str_eq(words[0], text);
	ck_assert_ptr_null(words[1]);
	words_free(words);
	text[MAX_COMMAND_BYTES] = 'w';
	text[MAX_COMMAND_BYTES + 1] = '\0';
	ck_assert_ptr_null(words_parse(text));
	/* JSON likewise. */
	memcpy(text, "[\"", 2);
	memcpy(text + MAX_COMMAND_BYTES - 2, "\"]", 3);
	words = words_parse(text);
	ck_assert_ptr_nonnull(words);
	ck_assert_uint_eq(strlen(words[0]), MAX_COMMAND_BYTES - 4);
	words_free(words);
	memcpy(text + MAX_COMMAND_BYTES - 2, "w\"]", 4);
	ck_assert_ptr_null(words_parse(text));
}
END_TEST

START_TEST(none_is_freed)
{
	words_free(NULL);
}
END_TEST

START_TEST(gathered)
{
	char **words = NULL;
	char   word[] = "b";

	ck_assert_uint_eq(words_count(words), 0);
	ck_assert(!words_has(words, "b"));
	words_add(&words, word);
	word[0] = 'x';
	words_add(&words, "");
	words_add(&words, "a b");
	ck_assert_uint_eq(words_count(words), 3);
	ck_assert(words_has(words, "b"));
	ck_assert(words_has(words, ""));
	ck_assert(words_has(words, "a b"));
	ck_assert(!words_has(words, "a"));
	ck_assert(!words_has(words, "B"));
	words_free(words);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("words");
	TCase *tests = tcase_create("words");

	tcase_add_loop_test(tests, split_values, 0, LENGTH_OF(splits));
	tcase_add_loop_test(tests, words_at_limit, 0, LENGTH_OF(forms));
	tcase_add_test(tests, bytes_at_limit);
	tcase_add_test(tests, none_is_freed);
	tcase_add_test(tests, gathered);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
