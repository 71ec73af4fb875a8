#include <sodium.h>
#include <stdio.h>

#include "buf.h"
#include "command.h"
#include "command_key.h"
#include "log.h"

/* Wide enough for most names; a longer one moves its row. */
#define NAME_COLUMNS 24

int
command_key_add(const struct options *opts, struct error *err)
{
	struct error second;
	char	     text[APIKEY_TEXT_BYTES];
	int	     rc;

	/* Before the file: what cannot be shown must not be made. */
	if (command_flush(err) == -1 || apikey_add(opts->api_keys_file,
	    opts->key_name, opts->scope, text, err) == -1)
		return -1;
	(void)printf("%s\n", text);
	rc = command_flush(err);
	sodium_memzero(text, sizeof(text));
	if (rc == 0)
		log_info("%s has a key of scope %s; it is shown this once and"
		    " kept nowhere", opts->key_name,
		    apikey_scope_name(opts->scope));
	/* Nobody has seen it, so that nobody can have it. */
	else if (apikey_revoke(opts->api_keys_file, opts->key_name, &second) ==
	    -1)
		log_error("%s; the line of %s stays in the file: revoke it",
		    second.text, opts->key_name);
	return rc;
}

static void
append_row(void *ctx, const struct apikey *key)
{
	buf_print(ctx, "%-*.*s  %-5s  %.*s\n", NAME_COLUMNS,
	    (int)key->name_len, key->name, apikey_scope_name(key->scope),
	    (int)key->created_len, key->created);
}

int
command_key_list(const struct options *opts, struct error *err)
{
	struct buf table = { 0 };
	int	   rc;

	/* Nothing is printed of a file that is no good. */
	rc = apikey_list(opts->api_keys_file, append_row, &table, err);
	if (rc == 0) {
		(void)printf("%-*s  SCOPE  CREATED\n", NAME_COLUMNS, "NAME");
		if (table.len > 0)
			(void)fwrite(table.data, 1, table.len, stdout);
		rc = command_flush(err);
	}
	buf_clear(&table);
	return rc;
}

int
command_key_revoke(const struct options *opts, struct error *err)
{
	if (apikey_revoke(opts->api_keys_file, opts->key_name, err) == -1)
		return -1;
	log_info("%s has no key any more", opts->key_name);
	return 0;
}
