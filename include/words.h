/* A command as a list of words; no shell is ever asked what it means. */
#ifndef NOMPD_WORDS_H
#define NOMPD_WORDS_H

/* Words of a command, and bytes of its text. */
#define MAX_COMMAND_WORDS 64
#define MAX_COMMAND_BYTES 4096

/*
 * The words of text: a JSON array of texts when it begins with `[`, else what
 * stands between blanks.  A NULL-terminated array for words_free(); NULL when
 * there is no word, there are too many, or the JSON is something else.
 */
char **words_parse(const char *text);
/* NULL is fine. */
void words_free(char **words);

#endif
