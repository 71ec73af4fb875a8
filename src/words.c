#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"
#include "xalloc.h"

#define BLANKS " \t\n"

static int
split_blanks(char **words, const char *text)
{
	size_t n = 0, len;

	for (text += strspn(text, BLANKS); *text != '\0';
	    text += len + strspn(text + len, BLANKS)) {
		len = strcspn(text, BLANKS);
		if (n == MAX_COMMAND_WORDS)
			return -1;
		words[n++] = xstrndup(text, len);
	}
	return n > 0 ? 0 : -1;
}

static int
split_json(char **words, const char *text)
{
	json_error_t ignored;
	json_t	    *array, *element;
	const char  *word;
	size_t	     i, n = 0;
	int	     rc = -1;

	/* A NUL in a text is refused, for want of a flag that allows it. */
	array = json_loads(text, 0, &ignored);
	if (!json_is_array(array) || json_array_size(array) == 0)
		goto out;
	json_array_foreach(array, i, element) {
		word = json_string_value(element);
		/* Arguments may be empty, the program may not. */
		if (word == NULL || n == MAX_COMMAND_WORDS ||
		    (n == 0 && word[0] == '\0'))
			goto out;
		words[n++] = xstrdup(word);
	}
	rc = 0;
out:
	json_decref(array);
	return rc;
}

char **
words_parse(const char *text)
{
	char **words;
	int    rc;

	if (strlen(text) > MAX_COMMAND_BYTES)
		return NULL;
	words = xcalloc(MAX_COMMAND_WORDS + 1, sizeof(*words));
	rc = text[strspn(text, BLANKS)] == '[' ? split_json(words, text) :
	    split_blanks(words, text);
	if (rc == 0)
		return words;
	words_free(words);
	return NULL;
}

size_t
words_count(char *const *words)
{
	size_t n = 0;

	while (words != NULL && words[n] != NULL)
		n++;
	return n;
}

void
words_add(char ***words, const char *word)
{
	size_t n = words_count(*words);

	*words = xrealloc((void *)*words, (n + 2) * sizeof(**words));
	(*words)[n] = xstrdup(word);
	(*words)[n + 1] = NULL;
}

bool
words_has(char *const *words, const char *word)
{
	for (; words != NULL && *words != NULL; words++) {
		if (strcmp(*words, word) == 0)
			return true;
	}
	return false;
}

void
words_free(char **words)
{
	size_t i;

	for (i = 0; words != NULL && words[i] != NULL; i++)
		free(words[i]);
	free((void *)words);
}
