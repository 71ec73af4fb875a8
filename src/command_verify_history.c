#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "command_verify_history.h"
#include "json_text.h"
#include "log.h"
#include "seal_key.h"
#include "store.h"
#include "verify_history.h"

/* verify_found_fn; ctx is the format. */
static void
print_finding(void *ctx, int64_t version, const char *text)
{
	const enum output_format *format = ctx;
	json_t			 *object;
	char			 *line;

	log_progress_end();
	if (*format == OUTPUT_TABLE) {
		if (version == 0)
			(void)printf("history: %s\n", text);
		else
			(void)printf("version %" PRId64 ": %s\n", version,
			    text);
		return;
	}
	object = json_object();
	if (version != 0)
		(void)json_object_set_new(object, "version",
		    json_integer((json_int_t)version));
	(void)json_object_set_new(object, "finding", json_string(text));
	line = json_text(object);
	(void)printf("%s\n", line);
	free(line);
}

static void
print_table(const struct verify_history_result *result, bool has_keys)
{
	(void)printf("%" PRId64 " entries: %" PRId64 " sealed, %" PRId64
	    " of an older program without seals; ", result->entries,
	    result->sealed, result->older);
	if (has_keys)
		(void)printf("%" PRId64 " of %" PRId64 " signatures are"
		    " sound", result->checked, result->signed_count);
	else
		(void)printf("%" PRId64 " signed, not checked (want"
		    " --seal-key-file)", result->signed_count);
	if (result->head[0] != '\0')
		(void)printf("; head: version %" PRId64 ", digest %s",
		    result->head_version, result->head);
	(void)printf("; %" PRIu64 " finding%s\n", result->findings,
	    result->findings == 1 ? "" : "s");
}

static void
print_json(const struct verify_history_result *result, bool has_keys)
{
	(void)printf("{\"entries\":%" PRId64 ",\"sealed\":%" PRId64
	    ",\"older\":%" PRId64 ",\"signed\":%" PRId64, result->entries,
	    result->sealed, result->older, result->signed_count);
	/* Without a key nobody has looked. */
	if (has_keys)
		(void)printf(",\"signaturesSound\":%" PRId64,
		    result->checked);
	if (result->head[0] != '\0')
		(void)printf(",\"head\":{\"version\":%" PRId64
		    ",\"digest\":\"%s\"}", result->head_version,
		    result->head);
	(void)printf(",\"findings\":%" PRIu64 "}\n", result->findings);
}

static int
verify(const struct options *opts, struct store *store,
    const struct seal_keys *keys, struct error *err)
{
	enum output_format	     format = opts->format;
	struct verify_history_result result;
	struct verify_history	     what = {
		.store = store,
		.keys = keys,
		.head = opts->head,
		.found = print_finding,
		.ctx = &format,
	};

	if (verify_history(&what, &result, err) == -1)
		return -1;
	if (opts->format == OUTPUT_JSON)
		print_json(&result, keys != NULL);
	else
		print_table(&result, keys != NULL);
	if (command_flush(err) == -1)
		return -1;
	return result.findings == 0 ? 0 : error_set(err, STATUS_FINDINGS,
	    "store %s: %" PRIu64 " finding%s in the history; see nompd-sync(1),"
	    " SEALS", store_name(store), result.findings,
	    result.findings == 1 ? "" : "s");
}

int
command_verify_history(const struct options *opts, struct error *err)
{
	struct seal_keys *keys = NULL;
	struct store	 *store = NULL;
	int		  rc = 0;

	if (opts->seal_key_file != NULL)
		rc = seal_keys_read(opts->seal_key_file, &keys, err);
	if (rc == 0)
		rc = store_open(&opts->store, STORE_READ, &store, err);
	/* The entries and their parts, of one state. */
	if (rc == 0)
		rc = store_begin(store, err);
	if (rc == 0)
		rc = verify(opts, store, keys, err);
	store_close(store);
	seal_keys_free(keys);
	return rc;
}
