#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "command.h"
#include "command_verify_history.h"
#include "json_quote.h"
#include "lease.h"
#include "run.h"
#include "seal_key.h"
#include "store.h"
#include "store_place.h"
#include "verify.h"

/* Repairs of one command; what one has mended may show what else is broken. */
#define MAX_REPAIRS 3

struct listing {
	const struct options *opts;
	int64_t		      found;
};

/* Keys and reasons may be any text: quoted, one line holds them. */
static void
append_quoted(struct buf *text, const char *value, size_t len)
{
	json_quote_append(text, value, len);
}

static void
append_member(struct buf *text, const char *name, const char *value,
    size_t len)
{
	buf_print(text, "%s\"%s\":", text->len > 1 ? "," : "", name);
	append_quoted(text, value, len);
}

static void
make_json(struct buf *text, const struct finding *finding)
{
	const char *advice = finding_advice(finding->kind);

	buf_append_byte(text, '{');
	if (finding->collection != NULL)
		append_member(text, "collection", finding->collection,
		    strlen(finding->collection));
	if (finding->key != NULL)
		append_member(text, "key", finding->key, finding->len);
	if (finding->version != 0)
		buf_print(text, "%s\"version\":%" PRId64,
		    text->len > 1 ? "," : "", finding->version);
	append_member(text, "finding", finding->what, strlen(finding->what));
	append_member(text, "advice", advice, strlen(advice));
	buf_append_byte(text, '}');
}

static void
make_line(struct buf *text, const struct finding *finding)
{
	const char *separator = "";
	size_t	    i;

	if (finding->collection != NULL) {
		buf_print(text, "%s", finding->collection);
		separator = " ";
	}
	if (finding->key != NULL) {
		buf_print(text, "%s", separator);
		append_quoted(text, finding->key, finding->len);
		separator = ", ";
	}
	if (finding->version != 0) {
		buf_print(text, "%sversion %" PRId64, separator,
		    finding->version);
		separator = ", ";
	}
	buf_print(text, "%s%s; %s", separator[0] != '\0' ? ": " : "",
	    finding->what, finding_advice(finding->kind));
	/* What a library says may have several. */
	for (i = 0; i < text->len; i++) {
		if (text->data[i] == '\n')
			text->data[i] = ' ';
	}
}

/* finding_fn */
static int
print_finding(void *ctx, const struct finding *finding, struct error *err)
{
	struct listing *listing = ctx;
	struct buf	text = { 0 };

	if (++listing->found > MAX_FINDINGS_PRINTED)
		return 0;
	if (listing->opts->format == OUTPUT_TABLE)
		make_line(&text, finding);
	else
		make_json(&text, finding);
	(void)printf("%.*s\n", (int)text.len, (const char *)text.data);
	buf_clear(&text);
	return command_flush(err);
}

static int
print_counts(const struct options *opts, const struct verify_counts *counts,
    struct error *err)
{
	int64_t found = verify_findings(counts);

	if (opts->format != OUTPUT_TABLE) {
		(void)printf("{\"records\":%" PRId64 ",\"states\":%" PRId64
		    ",\"entries\":%" PRId64 ",\"findings\":%" PRId64 "}\n",
		    counts->records, counts->states, counts->entries, found);
		return command_flush(err);
	}
	if (found > MAX_FINDINGS_PRINTED)
		(void)printf("%" PRId64 " more\n",
		    found - MAX_FINDINGS_PRINTED);
	(void)printf("records %" PRId64 ", former states %" PRId64
	    ", history entries %" PRId64 ", findings %" PRId64 "\n",
	    counts->records, counts->states, counts->entries, found);
	return command_flush(err);
}

/* Under the lease no run is at work: what would look like damage in the middle
 * of one is damage. */
static int
look(const struct options *opts, struct verify_counts *counts,
    struct error *err)
{
	struct listing listing = { .opts = opts };
	struct store  *store;
	char	       holder[MAX_HOLDER_TEXT];
	int	       rc;

	if (store_open(&opts->store, STORE_RAW, &store, err) == -1)
		return -1;
	rc = lease_take(store, NULL, opts->wait_ms, holder, err);
	if (rc == 0)
		rc = store_begin(store, err);
	if (rc == 0)
		rc = verify_store(store, opts, print_finding, &listing, counts,
		    err);
	if (rc == 0)
		rc = store_lease_check(store, err);
	store_close(store);
	return rc == 0 ? print_counts(opts, counts, err) : -1;
}

static bool
is_mendable(const struct verify_counts *counts)
{
	return counts->findings[FINDING_HASH] > 0 ||
	    counts->findings[FINDING_OUTPUT] > 0 ||
	    counts->findings[FINDING_INDEX] > 0;
}

static int
repair(const struct options *opts, struct verify_counts *counts,
    struct run_repaired *out, struct error *err)
{
	struct run_repaired repaired;

	if (run_repair(opts, counts, &repaired, err) == -1)
		return -1;
	if (opts->format != OUTPUT_TABLE)
		(void)printf("{\"version\":%" PRId64 ",\"hashes\":%" PRId64
		    ",\"outputs\":%" PRId64 ",\"indexes\":%" PRId64
		    ",\"proven\":%s}\n", repaired.version, repaired.hashes,
		    repaired.outputs, repaired.indexes,
		    repaired.is_proven ? "true" : "false");
	else
		(void)printf("version %" PRId64 " is a repair: hashes %" PRId64
		    ", outputs %" PRId64 ", indexes %" PRId64 "%s\n",
		    repaired.version, repaired.hashes, repaired.outputs,
		    repaired.indexes, repaired.is_proven ? "" :
		    "; the raw records are not proven");
	*out = repaired;
	return look(opts, counts, err);
}

/* The repair signs its entry: what it could not do then is said before. */
static int
check_key(const struct options *opts, struct error *err)
{
	struct seal_key *key = NULL;
	int		 rc;

	if (!opts->repair || opts->seal_key_file == NULL)
		return 0;
	rc = seal_key_read(opts->seal_key_file, &key, err);
	seal_key_free(key);
	return rc == -1 ? error_prefix(err, "verify --repair signs the entry of"
	    " the repair, and needs the private key") : 0;
}

static int
fail_findings(const struct options *opts, int64_t found, struct error *err)
{
	char *name = store_place_name(&opts->store);

	error_fill(err, STATUS_FINDINGS, "store %s: what verify has found: %"
	    PRId64, name, found);
	free(name);
	return -1;
}

int
command_verify(const struct options *opts, struct error *err)
{
	struct run_repaired  repaired = { .is_proven = true };
	struct verify_counts counts;
	int		     i;

	if (opts->with_history)
		return command_verify_history(opts, err);
	if (check_key(opts, err) == -1 || look(opts, &counts, err) == -1)
		return -1;
	/* What is not proven now is no better for a repair more. */
	for (i = 0; i < MAX_REPAIRS && opts->repair && repaired.is_proven &&
	    is_mendable(&counts); i++) {
		if (repair(opts, &counts, &repaired, err) == -1)
			return -1;
	}
	if (verify_findings(&counts) == 0)
		return 0;
	return fail_findings(opts, verify_findings(&counts), err);
}
