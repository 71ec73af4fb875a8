/* What is nompd-serve's own among the options. */
#include <string.h>

#include "options_int.h"

static void
check(struct parse *parse)
{
	char	    shown[MAX_SHOWN_BYTES];
	const char *name;

	options_read_password(parse, "--store", PASSWORD_FILE_VARIABLE,
	    &parse->opts->store);
	if (parse->command == COMMAND_SERVE)
		return;
	if (parse->opts->api_keys_file == NULL)
		options_fault(parse, "--api-keys-file: want the file of the "
		    "keys, there or in NOMPD_API_KEYS_FILE; have none");
	if (parse->command == COMMAND_KEY_LIST)
		return;
	name = parse->arguments[0];
	parse->opts->key_name = name;
	if (strstr(name, APIKEY_PREFIX) != NULL)
		options_fault(parse, "%s: want the name of a consumer; have a"
		    " key, as it seems (" APIKEY_PREFIX "...)",
		    command_rows[parse->command].name);
	else if (!apikey_is_name(name))
		options_fault(parse, "%s: want a name of 1 to %d letters, "
		    "digits, '.', '_' and '-'; have \"%s\"",
		    command_rows[parse->command].name, MAX_APIKEY_NAME,
		    options_shown(shown, name));
}

static const struct status_row statuses[] = {
	{ STATUS_OK, "done" },
	{ STATUS_USAGE, "usage or configuration error" },
	{ STATUS_NOT_FOUND, "key revoke: no such key" },
	{ STATUS_MEMORY, "out of memory" },
	{ STATUS_STORE, "the keys file or the socket failed" },
	{ STATUS_SIGINT, "interrupted (SIGINT)" },
	{ STATUS_SIGTERM, "terminated (SIGTERM)" },
};

const struct program program_serve = {
	.name = "nompd-serve",
	.commands = FOR(COMMAND_SERVE) | FOR(COMMAND_KEY_ADD) |
	    FOR(COMMAND_KEY_LIST) | FOR(COMMAND_KEY_REVOKE),
	.unnamed = COMMAND_SERVE,
	.unnamed_text = "serving",
	.check = check,
	.help = options_help_password,
	.statuses = statuses,
	.n_statuses = LENGTH(statuses),
};
