/* Options parsed from a line of words, with the log captured. */
#ifndef NOMPD_OPTIONSLIB_H
#define NOMPD_OPTIONSLIB_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "testlib.h"

#define MAX_ARGUMENTS 64
#define MAX_TEXT      16384
#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* A command line that is good as it stands. */
#define GOOD "--upstream=file:///u "

/* The program whose options are parsed; a suite may set another one. */
static const struct program *program = &program_sync;

static struct options opts;
static struct error   err;
static char	      line[MAX_TEXT];
static FILE	     *captured;
static char	      logged[MAX_TEXT];

static inline void
setup(void)
{
	clearenv();
	captured = tmpfile();
	ck_assert_ptr_nonnull(captured);
	dup2(fileno(captured), STDERR_FILENO);
}

static inline void
teardown(void)
{
	options_clear(&opts);
	fclose(captured);
}

/* Parses the words, which stand apart by spaces; '' is an empty one. */
static inline int
parse(const char *words)
{
	static char name[] = "nompd", empty[] = "";
	char	   *argv[MAX_ARGUMENTS], *rest = line, *word;
	int	    argc = 0;

	ck_assert_uint_lt(strlen(words), sizeof(line));
	(void)snprintf(line, sizeof(line), "%s", words);
	argv[argc++] = name;
	while ((word = strsep(&rest, " ")) != NULL) {
		ck_assert_int_lt(argc, MAX_ARGUMENTS - 1);
		if (word[0] != '\0')
			argv[argc++] = strcmp(word, "''") == 0 ? empty : word;
	}
	argv[argc] = NULL;
	memset(&err, 0, sizeof(err));
	options_clear(&opts);
	return options_parse(&opts, program, argc, argv, &err);
}

/* What went to standard error up to now. */
static inline const char *
read_log(void)
{
	size_t n;

	rewind(captured);
	n = fread(logged, 1, sizeof(logged) - 1, captured);
	logged[n] = '\0';
	return logged;
}

static inline int
count_lines(const char *text)
{
	int n = 1;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static inline void
assert_good(const char *words)
{
	int rc;

	rc = parse(words);
	ck_assert_msg(rc == 0, "\"%s\": %s", words, err.text);
}

/* The words are good, and of the variable there is a warning or none; its value
 * is not shown. */
static inline void
assert_warned(const char *words, const char *variable, bool is_warned)
{
	char want[128];

	setenv(variable, "some value", 1);
	assert_good(words);
	(void)snprintf(want, sizeof(want), " warn  %s: ", variable);
	if (is_warned)
		ck_assert_ptr_nonnull(strstr(read_log(), want));
	else
		ck_assert_str_eq(read_log(), "");
	ck_assert_ptr_null(strstr(read_log(), "some value"));
}

/* One fault, which starts so and goes on with that. */
static inline void
assert_fault(const char *words, const char *name, const char *part)
{
	ck_assert_msg(parse(words) == -1, "\"%s\" is no fault", words);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_msg(count_lines(err.text) == 1, "%s", err.text);
	ck_assert_msg(strncmp(err.text, name, strlen(name)) == 0,
	    "\"%s\": %s", words, err.text);
	ck_assert_msg(strstr(err.text, part) != NULL, "\"%s\": %s", words,
	    err.text);
}

#endif
