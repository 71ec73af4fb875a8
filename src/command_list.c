#include <stdio.h>

#include "command.h"
#include "command_list.h"
#include "stop.h"

void
command_list_begin(struct command_list *list, enum output_format format,
    const char *head)
{
	*list = (struct command_list){ .format = format };
	(void)printf("%s", format == OUTPUT_TABLE ? head : "[");
}

int
command_list_next(struct command_list *list, struct error *err)
{
	if (ferror(stdout))
		return command_flush(err);
	if (stop_check(STATUS_STORE, err) == -1)
		return -1;
	if (list->format == OUTPUT_JSON)
		(void)printf(list->has_items ? ",\n" : "\n");
	list->has_items = true;
	return 0;
}

void
command_list_end(const struct command_list *list)
{
	if (list->format == OUTPUT_JSON)
		(void)printf("\n]\n");
}
