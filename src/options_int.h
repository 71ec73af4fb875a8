/* The option table, shared by the files that make up the options module. */
#ifndef NOMPD_OPTIONS_INT_H
#define NOMPD_OPTIONS_INT_H

#include <stddef.h>

#include "options.h"

/* The key has no flag, for anyone on the machine can read a command line. */
#define KEY_VARIABLE	  "NOMPD_UPSTREAM_API_KEY"
#define KEY_FILE_VARIABLE "NOMPD_UPSTREAM_API_KEY_FILE"

/* A command as one bit of option_row's commands. */
#define FOR(command) (1U << (command))
/* Beside them: a wrong value may hold a secret and is not shown. */
#define HIDE_VALUE   FOR(COMMAND__MAX)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Takes value into opts; NULL, or the rule that it breaks ("want ...").  opts
 * is only touched by a good one.
 */
typedef const char *(*option_set_fn)(struct options *opts, const char *value);

/*
 * Invariants: fallback is a good value; a switch has no argument; an argument
 * starts with a space, or with [= when it may be left out (then "-" is set).
 */
struct option_row {
	const char   *flag;
	const char   *variable; /* NULL: none */
	const char   *argument; /* NULL: a switch, set to "1" */
	const char   *fallback; /* the default; NULL: none */
	option_set_fn set;
	unsigned      commands; /* FOR() bits */
	const char   *help;
};

#define MAX_OPTIONS 32
extern const struct option_row option_rows[];
extern const size_t	       option_count; /* at most MAX_OPTIONS */

struct command_row {
	const char *name;      /* NULL: the one without a name */
	const char *arguments; /* as --help shows them */
	int	    n_arguments;
	const char *help;
};

extern const struct command_row command_rows[COMMAND__MAX];

#endif
