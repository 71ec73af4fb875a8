/* A list on standard output: the rows of a table, or a JSON array. */
#ifndef NOMPD_COMMAND_LIST_H
#define NOMPD_COMMAND_LIST_H

#include <stdbool.h>

#include "error.h"
#include "options.h"

struct command_list {
	enum output_format format;
	bool		   has_items;
};

/* Begins it; head is the table's, with its newline. */
void command_list_begin(struct command_list *list, enum output_format format,
    const char *head);
/* Goes before each item, which is printed then: a row with its newline, or JSON
 * without one.  -1: there is a reason to stop. */
int command_list_next(struct command_list *list, struct error *err);
void command_list_end(const struct command_list *list);

#endif
