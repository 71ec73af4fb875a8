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
#include "xalloc.h"

/* What a prune takes away while the history is read looks as if it had been
 * dropped: so often it is read again when a run has done so meanwhile. */
#define MAX_TRIES 5

/* Findings, printed when it is certain that they are some. */
struct kept {
	int64_t version;
	char   *text;
};
struct findings {
	struct kept *list;
	size_t		count;
};

/* verify_found_fn */
static void
keep_finding(void *ctx, int64_t version, const char *text)
{
	struct findings *findings = ctx;

	if (findings->count == MAX_FINDINGS_PRINTED)
		return;
	findings->list = xrealloc(findings->list,
	    (findings->count + 1) * sizeof(*findings->list));
	findings->list[findings->count++] = (struct kept){ version,
		xstrdup(text) };
}

static void
findings_clear(struct findings *findings)
{
	size_t i;

	for (i = 0; i < findings->count; i++)
		free(findings->list[i].text);
	free(findings->list);
	*findings = (struct findings){ .count = 0 };
}

static void
print_finding(enum output_format format, int64_t version, const char *text)
{
	json_t *object;
	char   *line;

	if (format == OUTPUT_TABLE) {
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

/* 1 = a run was published since the store was read, or a prune is at work, 0 =
 * none. */
static int
is_outdated(struct store *store, struct error *err)
{
	struct store_versions before, now;

	if (store_versions_get(store, &before, err) == -1 ||
	    store_end(store, err) == -1 || store_begin(store, err) == -1 ||
	    store_versions_get(store, &now, err) == -1)
		return -1;
	return now.finished != before.finished ||
	    now.horizon != before.horizon;
}

static int
look(struct store *store, struct verify_history *what,
    struct findings *findings, struct verify_history_result *result,
    struct error *err)
{
	int i, rc = 1;

	what->store = store;
	what->found = keep_finding;
	what->ctx = findings;
	for (i = 0; rc == 1 && i < MAX_TRIES; i++) {
		findings_clear(findings);
		rc = verify_history(what, result, err);
		if (rc == 0 && findings->count > 0)
			rc = is_outdated(store, err);
	}
	return rc == -1 ? -1 : 0;
}

static int
print_result(const struct options *opts, const struct findings *findings,
    const struct verify_history_result *result, bool has_keys,
    struct error *err)
{
	size_t i;

	log_progress_end();
	for (i = 0; i < findings->count; i++)
		print_finding(opts->format, findings->list[i].version,
		    findings->list[i].text);
	if (result->findings > findings->count && opts->format == OUTPUT_TABLE)
		(void)printf("%" PRIu64 " more\n",
		    result->findings - findings->count);
	if (opts->format == OUTPUT_JSON)
		print_json(result, has_keys);
	else
		print_table(result, has_keys);
	return command_flush(err);
}

static int
verify(const struct options *opts, struct store *store,
    const struct seal_keys *keys, struct error *err)
{
	struct findings		     findings = { .count = 0 };
	struct verify_history_result result;
	struct verify_history	     what = {
		.keys = keys,
		.head = opts->head,
	};
	int rc;

	rc = look(store, &what, &findings, &result, err);
	if (rc == 0)
		rc = print_result(opts, &findings, &result, keys != NULL, err);
	findings_clear(&findings);
	if (rc == -1)
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
