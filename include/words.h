/*
 * Lists of words: names, and commands, of which no shell is ever asked what
 * they mean.  NULL is an empty list, too.
 */
#ifndef NOMPD_WORDS_H
#define NOMPD_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* Words of a command, and bytes of its text. */
#define MAX_COMMAND_WORDS 64
#define MAX_COMMAND_BYTES 4096

/*
 * The words of text: a JSON array of texts when it begins with `[`, else what
 * stands between blanks.  A NULL-terminated array for words_free(); NULL when
 * there is no word, there are too many, or the JSON is something else.
 */
char **words_parse(const char *text);
/* Adds a copy of word at the end of a list. */
void words_add(char ***words, const char *word);
/* Is word in the list?  The case counts. */
bool words_has(char *const *words, const char *word);
size_t words_count(char *const *words);
/* NULL is fine. */
void words_free(char **words);

#endif
