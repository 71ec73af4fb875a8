#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "bulk_export_int.h"
#include "bulk_journal.h"
#include "clock.h"
#include "log.h"
#include "secret.h"
#include "smart.h"
#include "stop.h"
#include "url.h"
#include "xalloc.h"

#define US_PER_MS 1000
/* What a server's clock may be ahead of ours. */
#define MAX_AHEAD_MS (24LL * 60 * 60 * 1000)

static size_t
count_words(char *const *words)
{
	size_t n = 0;

	while (words != NULL && words[n] != NULL)
		n++;
	return n;
}

static void
append_words(struct buf *out, const char *name, char *const *words)
{
	size_t i;

	for (i = 0; words != NULL && words[i] != NULL; i++) {
		if (i == 0)
			buf_print(out, " %s=", name);
		buf_print(out, "%s%s", i > 0 ? "," : "", words[i]);
	}
}

/* What is asked for but the time, on one line. */
static char *
make_source(const struct bulk *bulk)
{
	const struct options *opts = bulk->opts;
	struct buf	      out = { 0 };
	size_t		      len = strlen(opts->upstream);

	while (len > 0 && opts->upstream[len - 1] == '/')
		len--;
	buf_print(&out, "%.*s/%s%s$export", (int)len, opts->upstream,
	    bulk->level, bulk->level[0] != '\0' ? "/" : "");
	append_words(&out, "_type", opts->bulk.types);
	append_words(&out, "_typeFilter", opts->bulk.filters);
	append_words(&out, "_elements", opts->bulk.elements);
	buf_append_byte(&out, '\0');
	return (char *)out.data;
}

/* Is it to be a full export, whatever came before? */
static bool
is_full(const struct bulk *bulk)
{
	const struct bulk_options *opts = &bulk->opts->bulk;

	if (opts->since == NULL || opts->full_refresh)
		return true;
	return strcmp(opts->since, "auto") == 0 && !bulk->mark.is_there;
}

static bool
is_reconcile_due(const struct bulk *bulk)
{
	unsigned every = bulk->opts->bulk.reconcile_every;

	return every > 0 && bulk->mark.since_full + 1 >= every;
}

/* The instant from which on changes are asked for, or NULL: all. */
static const char *
choose_since(struct bulk *bulk)
{
	const struct bulk_options *opts = &bulk->opts->bulk;

	if (is_full(bulk) || is_reconcile_due(bulk))
		return NULL;
	if (strcmp(opts->since, "auto") != 0)
		return opts->since;
	instant_format(bulk->mark.transaction_us -
	    opts->overlap_ms * US_PER_MS, bulk->since);
	return bulk->since;
}

/* Is the export of a part of the server's resources of its types? */
static bool
is_part(const struct bulk *bulk)
{
	return bulk->level[0] != '\0' || bulk->opts->bulk.filters != NULL ||
	    bulk->opts->bulk.elements != NULL;
}

/* What a part does not have is not gone, if the store is of more than that. */
static int
check_scope(struct bulk *bulk, struct error *err)
{
	bool is_other;

	if (bulk_mark_is_other_scope(bulk->store, bulk->source, &is_other,
	    err) == -1)
		return -1;
	if (!is_other)
		return 0;
	return error_set(err, STATUS_USAGE, "store %s: the last run was of"
	    " another level, server, filters or elements; what this export (%s)"
	    " does not have would be deleted; want another --store for it, or"
	    " --save merge", store_name(bulk->store), bulk->source);
}

/* Conversion wants all of a type: which of the runs can say so? */
static bool
will_be_complete(const struct bulk *bulk)
{
	if (is_part(bulk))
		return false;
	if (bulk->asked.since == NULL)
		return true;
	return bulk->mark.is_complete && !bulk->has_gap;
}

/* Has something changed since the mark that is not asked for? */
static bool
leaves_gap(const struct bulk *bulk)
{
	int64_t since_us;

	return bulk->asked.since != NULL && bulk->mark.is_there &&
	    instant_parse(bulk->asked.since, &since_us) &&
	    since_us > bulk->mark.transaction_us;
}

/* What to ask for, and what its answer will mean. */
static int
decide(struct bulk *bulk, struct error *err)
{
	const struct bulk_options *opts = &bulk->opts->bulk;

	if (bulk_mark_find(bulk->store, bulk->source, opts->reconcile_every,
	    &bulk->mark, err) == -1)
		return -1;
	bulk->asked = (struct bulk_request){
		.base = bulk->opts->upstream,
		.level_path = bulk->level,
		.types = (const char *const *)opts->types,
		.n_types = count_words(opts->types),
		.filters = (const char *const *)opts->filters,
		.n_filters = count_words(opts->filters),
		.elements = (const char *const *)opts->elements,
		.n_elements = count_words(opts->elements),
		.since = choose_since(bulk),
		.kick_off = opts->kick_off,
		.max_wait_ms = opts->max_poll_wait_ms,
	};
	bulk->overwrites = bulk->asked.since == NULL &&
	    (opts->save != SAVE_MERGE || is_reconcile_due(bulk));
	if (bulk->overwrites && is_part(bulk) && check_scope(bulk, err) == -1)
		return -1;
	bulk->has_gap = leaves_gap(bulk);
	bulk->is_complete = will_be_complete(bulk);
	bulk->request = xasprintf("%s _since=%s save=%s", bulk->source,
	    bulk->asked.since != NULL ? bulk->asked.since : "",
	    bulk->overwrites ? "overwrite" : "merge");
	if (bulk->asked.since == NULL)
		log_info("a full export; %s", bulk->overwrites ?
		    "what it does not have is deleted" :
		    "nothing is deleted because it is absent");
	else
		log_info("an export of what changed since %s%s",
		    bulk->asked.since, bulk->has_gap ? ", which is after the"
		    " last run; --since auto will go on from that one" : "");
	return 0;
}

static struct smart_config
smart_config_of(const struct bulk *bulk)
{
	const struct bulk_options *opts = &bulk->opts->bulk;

	return (struct smart_config){
		.base = bulk->opts->upstream,
		.client_id = opts->client_id,
		.key_file = opts->private_key_file,
		.token_url = opts->token_url,
		.scope = opts->token_scope,
		.types = opts->types,
		.n_types = count_words(opts->types),
		.http = &bulk->http,
	};
}

int
bulk_new(const struct options *opts, struct bulk **out, struct error *err)
{
	struct bulk	   *bulk;
	struct smart_config config;

	*out = bulk = xcalloc(1, sizeof(*bulk));
	bulk->opts = opts;
	bulk->quarantine = -1;
	bson_init(&bulk->messages);
	bson_init(&bulk->note);
	if (opts->bulk.client_id == NULL)
		return 0;
	config = smart_config_of(bulk);
	return smart_new(&config, &bulk->smart, err);
}

static int
open_smart(struct bulk *bulk, struct error *err)
{
	struct smart_config config = smart_config_of(bulk);

	if (smart_open(bulk->smart, &config, err) == -1)
		return -1;
	bulk->http.authorize = smart_authorize;
	bulk->http.authorize_ctx = bulk->smart;
	return 0;
}

int
bulk_open(struct bulk *bulk, struct store *store, struct stage *stage,
    struct job *job, struct error *err)
{
	const struct options *opts = bulk->opts;

	bulk->store = store;
	bulk->stage = stage;
	bulk->job = job;
	bulk->http = (struct http_config){
		.retried = &job->retries,
		.key_header = opts->upstream_key_header,
		.ca_file = opts->ca_file,
		.retries = opts->retries,
		.timeout_ms = opts->timeout_ms,
	};
	if (opts->upstream_key != NULL)
		bulk->http.key = secret_text(opts->upstream_key);
	if (opts->bulk.group != NULL)
		bulk->level = xasprintf("Group/%s", opts->bulk.group);
	else
		bulk->level = xstrdup(opts->bulk.patients ? "Patient" : "");
	bulk->source = make_source(bulk);
	if (decide(bulk, err) == -1)
		return -1;
	return bulk->smart != NULL ? open_smart(bulk, err) : 0;
}

/* The job lives where the server says; what is secret goes to the origin of
 * the base alone. */
static struct http_config
job_config(const struct bulk *bulk)
{
	struct http_config config = bulk->http;

	if (!url_is_same_origin(bulk->opts->upstream, bulk->poll_url)) {
		config.key = NULL;
		config.authorize = NULL;
	}
	return config;
}

/* The job and what was fetched of it are of no use (any more). */
static int
drop_job(struct bulk *bulk, struct error *err)
{
	struct http_config config = job_config(bulk);

	log_info("deleting the export on the server");
	bulk_delete(&config, bulk->poll_url);
	free(bulk->poll_url);
	bulk->poll_url = NULL;
	bulk->is_resumed = false;
	if (bulk->spool != NULL)
		bulk_spool_clear(bulk->spool);
	return bulk->opts->dry_run ? 0 : bulk_journal_end(bulk->store, err);
}

/* Why a job that another run has left cannot be gone on with, or NULL. */
static const char *
find_fault(const struct bulk *bulk, const struct bulk_job_note *note)
{
	int64_t age_ms = clock_now_ms() - note->started_at_ms;

	if (bulk->opts->bulk.no_resume)
		return "--no-resume";
	if (strcmp(note->request, bulk->request) != 0)
		return "it has other parameters";
	if (age_ms > MAX_RESUME_AGE_MS || age_ms < -MAX_RESUME_AGE_MS)
		return "it is too old";
	return NULL;
}

/* Goes on with the job that a run before this one may have left. */
static int
resume(struct bulk *bulk, struct error *err)
{
	struct bulk_job_note note;
	const char	    *fault;
	int		     rc;

	rc = bulk_journal_read(bulk->store, &note, err);
	if (rc != 1)
		return rc;
	bulk->poll_url = note.poll_url;
	note.poll_url = NULL;
	bulk->is_resumed = true;
	fault = find_fault(bulk, &note);
	rc = 0;
	if (fault == NULL)
		log_info("going on with the export that another run has left"
		    " (%.*s)", (int)strcspn(bulk->poll_url, "?"),
		    bulk->poll_url);
	else {
		log_warn("an export that another run has left is given up:"
		    " %s", fault);
		rc = drop_job(bulk, err);
	}
	bulk_job_note_clear(&note);
	return rc;
}

static int
kick_off(struct bulk *bulk, struct error *err)
{
	struct bulk_job_note note = { .request = bulk->request };
	struct error	     ignored;

	if (bulk_kick_off(&bulk->http, &bulk->asked, &bulk->poll_url, err) ==
	    -1)
		return -1;
	if (bulk->opts->dry_run)
		return 0;
	note.poll_url = bulk->poll_url;
	note.started_at_ms = clock_now_ms();
	if (bulk_journal_begin(bulk->store, &note, err) == 0)
		return 0;
	/* No other run would know of it. */
	(void)drop_job(bulk, &ignored);
	return -1;
}

/* 0 = the manifest is there, 1 = the server does not know the job. */
static int
poll(struct bulk *bulk, struct bulk_manifest *manifest, struct error *err)
{
	struct http_config config = job_config(bulk);

	return bulk_poll(&config, bulk->poll_url,
	    bulk->opts->bulk.max_poll_wait_ms, manifest, err);
}

/* The server has given an answer that it had already. */
static int
fail_old(const struct bulk *bulk, struct error *err)
{
	char last[INSTANT_TEXT_BYTES];

	instant_format(bulk->mark.transaction_us, last);
	return error_set(err, STATUS_PROTOCOL, "the export's transactionTime"
	    " %s is not after that of the last run (%s): the server gave the"
	    " result of an old job, or its clock went back; nothing was"
	    " written", bulk->manifest.transaction_time, last);
}

/* A time that is far ahead would make every later export an old one. */
static bool
is_ahead(const struct bulk *bulk)
{
	return bulk->manifest.transaction_us / US_PER_MS >
	    clock_now_ms() + MAX_AHEAD_MS;
}

static int
fail_ahead(const struct bulk *bulk, struct error *err)
{
	return error_set(err, STATUS_PROTOCOL, "the export's transactionTime"
	    " %s is more than a day ahead of the clock here; one of the two is"
	    " wrong; nothing was written", bulk->manifest.transaction_time);
}

/* The manifest of a job that another run has left: 1 = it is of no use. */
static int
poll_resumed(struct bulk *bulk, struct error *err)
{
	int rc;

	rc = poll(bulk, &bulk->manifest, err);
	if (rc == 1)
		log_warn("%s; a new export is begun", err->text);
	else if (rc == 0 && bulk->mark.is_there &&
	    bulk->manifest.transaction_us <= bulk->mark.transaction_us) {
		/* That run was killed between its publication and the end. */
		log_info("the export that another run has left is published"
		    " already");
		bulk_manifest_clear(&bulk->manifest);
		rc = 1;
	}
	return rc != 1 ? rc : drop_job(bulk, err) == -1 ? -1 : 1;
}

/* The job's manifest: of one that was left, or of a new one. */
static int
get_manifest(struct bulk *bulk, struct error *err)
{
	struct error ignored;
	int	     rc;

	if (!bulk->opts->dry_run && resume(bulk, err) == -1)
		return -1;
	rc = bulk->poll_url != NULL ? poll_resumed(bulk, err) : 1;
	if (rc != 1)
		return rc;
	if (kick_off(bulk, err) == -1)
		return -1;
	rc = poll(bulk, &bulk->manifest, err);
	/* There is nothing to go on with. */
	if (rc == 1)
		(void)drop_job(bulk, &ignored);
	if (rc != 0)
		return -1;
	if (is_ahead(bulk))
		return fail_ahead(bulk, err);
	if (bulk->mark.is_there &&
	    bulk->manifest.transaction_us <= bulk->mark.transaction_us)
		return fail_old(bulk, err);
	return 0;
}

/* Do both speak of the same files? */
static bool
is_same_manifest(const struct bulk_manifest *one,
    const struct bulk_manifest *other)
{
	enum bulk_list list;
	const char    *type, *other_type;
	size_t	       i;

	if (one->transaction_us != other->transaction_us)
		return false;
	for (list = 0; list < BULK_LIST__MAX; list++) {
		if (one->lists[list].n != other->lists[list].n)
			return false;
		for (i = 0; i < one->lists[list].n; i++) {
			type = one->lists[list].files[i].type;
			other_type = other->lists[list].files[i].type;
			if ((type == NULL) != (other_type == NULL) ||
			    (type != NULL && strcmp(type, other_type) != 0))
				return false;
		}
	}
	return !bulk_links_moved(one, other);
}

int
bulk_refresh(struct bulk *bulk, struct error *err)
{
	struct bulk_manifest fresh;

	if (poll(bulk, &fresh, err) != 0)
		return -1;
	if (!is_same_manifest(&bulk->manifest, &fresh)) {
		bulk_manifest_clear(&fresh);
		return error_set(err, STATUS_PROTOCOL, "the manifest, read"
		    " again, is another one: its transactionTime or its files"
		    " differ, or their order");
	}
	bulk_manifest_clear(&bulk->manifest);
	bulk->manifest = fresh;
	return 0;
}

int
bulk_fetch(struct bulk *bulk, struct error *err)
{
	if (bulk_spool_open(bulk->opts, store_name(bulk->store), &bulk->spool,
	    err) == -1 || get_manifest(bulk, err) == -1)
		return -1;
	return bulk_download_all(bulk, err);
}

/* The store will have all resources of the types. */
static bool
is_proved(const struct bulk *bulk)
{
	return bulk->is_complete && bulk->bad == 0 && !bulk->is_unproved;
}

bool
bulk_is_convertible(const struct bulk *bulk, const char **why)
{
	if (bulk->bad > 0)
		*why = "there are bad records";
	else if (bulk->is_unproved)
		*why = "a file may lack its end";
	else
		*why = "the export is not of all their resources"
		    " (--full-refresh gets them)";
	return is_proved(bulk);
}

const bson_t *
bulk_note(struct bulk *bulk)
{
	bson_destroy(&bulk->note);
	bulk_mark_make(&(struct bulk_note){
		.source = bulk->source,
		.since = bulk->asked.since,
		.transaction = bulk->manifest.transaction_time,
		.overwrites = bulk->overwrites,
		.is_complete = is_proved(bulk),
		.has_gap = bulk->has_gap,
		.files = bulk->n_downloads,
		.bytes = bulk->bytes,
		.bad = bulk->bad,
		.messages = &bulk->messages,
	}, &bulk->note);
	return &bulk->note;
}

/* Can another run go on where this one has failed? */
static bool
is_resumable(const struct error *err)
{
	if (stop_remaining_ms() == 0)
		return false;
	/* Whoever presses Ctrl-C has had enough; what is terminated (a pod, a
	 * service) will be started again. */
	return err->status == STATUS_UNAVAILABLE ||
	    err->status == STATUS_STORE || err->status == STATUS_REFUSED ||
	    err->status == STATUS_INTERRUPTED + SIGTERM;
}

static void
free_bulk(struct bulk *bulk)
{
	size_t i;

	smart_close(bulk->smart);
	bulk_spool_close(bulk->spool);
	bulk_manifest_clear(&bulk->manifest);
	for (i = 0; i < bulk->n_types; i++)
		free(bulk->types[i].name);
	free(bulk->types);
	free(bulk->downloads);
	free(bulk->poll_url);
	free(bulk->source);
	free(bulk->request);
	free(bulk->level);
	bson_destroy(&bulk->messages);
	bson_destroy(&bulk->note);
	free(bulk);
}

void
bulk_end(struct bulk *bulk, int rc, const struct error *err)
{
	struct error late;

	if (bulk == NULL)
		return;
	if (bulk->poll_url != NULL && !bulk->opts->dry_run && rc == -1 &&
	    is_resumable(err)) {
		log_info("the next run with the same parameters goes on with"
		    " this export");
	} else {
		if (bulk->poll_url != NULL && drop_job(bulk, &late) == -1)
			log_warn("%s", late.text);
		if (bulk->spool != NULL)
			bulk_spool_remove(bulk->spool);
	}
	free_bulk(bulk);
}
