#include <string.h>

#include "options.h"
#include "options_int.h"

/* The help text's lines, for a terminal of 80 columns. */
#define HELP_COLUMNS 78
#define HELP_INDENT  8

void
options_help_text(FILE *out, const char *text)
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

void
options_help_password(FILE *out)
{
	fprintf(out, "\nA password for the store has no flag:\n  %s\n",
	    PASSWORD_FILE_VARIABLE);
	options_help_text(out, "A file with the password for a store's URI "
	    "that names a user and has no password itself.");
}

static void
print_options(const struct program *program, FILE *out)
{
	const struct option_row *row;
	char			 flag[HELP_COLUMNS];
	size_t			 i;

	for (i = 0; i < option_count; i++) {
		row = &option_rows[i];
		if ((row->commands & program->commands) == 0)
			continue;
		(void)snprintf(flag, sizeof(flag), "%s%s", row->flag,
		    row->argument != NULL ? row->argument : "");
		if (row->variable == NULL)
			fprintf(out, "  %s\n", flag);
		else
			fprintf(out, "  %-27s %s%s%s\n", flag, row->variable,
			    row->fallback != NULL ? ", default " : "",
			    row->fallback != NULL ? row->fallback : "");
		options_help_text(out, row->help);
	}
}

static void
print_usage(const struct program *program, FILE *out)
{
	const struct command_row *row;
	const char		 *head = "Usage:";
	int			  i;

	for (i = 0; i < COMMAND__MAX; i++) {
		if ((program->commands & FOR(i)) == 0)
			continue;
		row = &command_rows[i];
		fprintf(out, "%-6s %s%s%s [OPTION ...]%s\n", head,
		    program->name, row->name != NULL ? " " : "",
		    row->name != NULL ? row->name : "", row->arguments);
		head = "";
		options_help_text(out, row->help);
	}
}

void
options_help(const struct program *program, FILE *out)
{
	size_t i;

	print_usage(program, out);
	fprintf(out, "\nOptions, each with its variable; a flag wins over its "
	    "variable:\n");
	print_options(program, out);
	if (program->help != NULL)
		program->help(out);
	fprintf(out, "\nExit status:\n");
	for (i = 0; i < program->n_statuses; i++)
		fprintf(out, "  %3d  %s\n", program->statuses[i].status,
		    program->statuses[i].help);
}

bool
options_answer(const struct options *opts, const struct program *program,
    FILE *out)
{
	if (opts->help)
		options_help(program, out);
	if (opts->version)
		fprintf(out, "%s %s\n", program->name, NOMPD_VERSION);
	return opts->help || opts->version;
}
