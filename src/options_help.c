#include <string.h>

#include "options.h"
#include "options_int.h"

/* The help text's lines, for a terminal of 80 columns. */
#define HELP_COLUMNS 78
#define HELP_INDENT  8

static const struct {
	int	    status;
	const char *help;
} statuses[] = {
	{ STATUS_OK, "done" },
	{ STATUS_USAGE, "usage or configuration error" },
	{ STATUS_HELD, "held by the guard: too many deletions" },
	{ STATUS_NOT_FOUND, "show: no such record" },
	{ STATUS_UNAVAILABLE, "no usable answer from the upstream" },
	{ 71, "out of memory" },
	{ STATUS_STORE, "the store failed or is not ours" },
	{ STATUS_BUSY, "another run is active" },
	{ STATUS_PROTOCOL, "the upstream answered something else" },
	{ STATUS_REFUSED, "the upstream refused the key" },
	{ 130, "interrupted (SIGINT)" },
	{ 143, "terminated (SIGTERM)" },
};

/* Prints text, indented and broken between words. */
static void
print_wrapped(FILE *out, const char *text)
{
	size_t column = 0, len;

	while (*text != '\0') {
		len = strcspn(text, " ");
		if (column == 0 || column + 1 + len > HELP_COLUMNS) {
			fprintf(out, "%s%*s", column > 0 ? "\n" : "",
			    HELP_INDENT, "");
			column = HELP_INDENT;
		} else {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int)len, text);
		column += len;
		text += len + strspn(text + len, " ");
	}
	fputc('\n', out);
}

static void
print_options(FILE *out)
{
	const struct option_row *row;
	char			 flag[HELP_COLUMNS];
	size_t			 i;

	for (i = 0; i < option_count; i++) {
		row = &option_rows[i];
		(void)snprintf(flag, sizeof(flag), "%s%s", row->flag,
		    row->argument != NULL ? row->argument : "");
		if (row->variable == NULL)
			fprintf(out, "  %s\n", flag);
		else
			fprintf(out, "  %-27s %s%s%s\n", flag, row->variable,
			    row->fallback != NULL ? ", default " : "",
			    row->fallback != NULL ? row->fallback : "");
		print_wrapped(out, row->help);
	}
}

static void
print_usage(FILE *out)
{
	const struct command_row *row;
	size_t			  i;

	for (i = 0; i < COMMAND__MAX; i++) {
		row = &command_rows[i];
		fprintf(out, "%-6s nompd-sync%s%s [OPTION ...]%s\n",
		    i == 0 ? "Usage:" : "", row->name != NULL ? " " : "",
		    row->name != NULL ? row->name : "", row->arguments);
		print_wrapped(out, row->help);
	}
}

void
options_help(FILE *out)
{
	size_t i;

	print_usage(out);
	fprintf(out, "\nOptions, each with its variable; a flag wins over its "
	    "variable:\n");
	print_options(out);
	fprintf(out, "\nThe key has no flag:\n  %s\n  %s\n", KEY_VARIABLE,
	    KEY_FILE_VARIABLE);
	print_wrapped(out, "The upstream's key, or a file that holds it; one "
	    "of them.");
	fprintf(out, "\nExit status:\n");
	for (i = 0; i < LENGTH(statuses); i++)
		fprintf(out, "  %3d  %s\n", statuses[i].status,
		    statuses[i].help);
}
