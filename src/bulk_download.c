/* The files of an export into the spool, several side by side. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bulk_export_int.h"
#include "bulk_journal.h"
#include "log.h"
#include "ndjson.h"
#include "outcome.h"
#include "url.h"
#include "xalloc.h"

/* Bytes of a file's name in messages, but for its URL. */
#define MAX_FILE_TEXT 128

/* One of the chains side by side; it takes a file after the other. */
struct lane {
	struct http_request   *request;
	struct downloads      *all;
	struct bulk_download  *now;
	char		      *url;	   /* that was tried last */
	uint64_t	       line_start; /* of the last line */
	struct bulk_spool_file out;
	char		       name[MAX_FILE_TEXT];
};
struct downloads {
	struct bulk *bulk;
	size_t	     next; /* not given to a lane yet */
	size_t	     done;
	size_t	     fetched; /* of these, by this run */
	uint64_t     bytes;
};

const struct bulk_file *
bulk_file_of(const struct bulk *bulk, const struct bulk_download *download)
{
	return &bulk->manifest.lists[download->list].files[download->index];
}

const char *
bulk_file_type(const struct bulk *bulk, const struct bulk_download *download)
{
	static const char *const words[BULK_LIST__MAX] = {
		[BULK_DELETED] = "deleted",
		[BULK_OUTCOME] = "error",
	};

	return words[download->list] != NULL ? words[download->list] :
	    bulk_file_of(bulk, download)->type;
}

static void
show_progress(const struct downloads *all)
{
	log_progress("downloading: %zu of %zu files, %.1f MB", all->done,
	    all->bulk->n_downloads, (double)all->bytes / 1e6);
}

static int
begin_file(void *ctx, struct error *err)
{
	struct lane *lane = ctx;

	/* What an attempt before this one gave is void. */
	lane->all->bytes -= lane->out.bytes;
	lane->line_start = 0;
	return bulk_spool_begin(lane->all->bulk->spool, lane->now->number,
	    &lane->out, err);
}

static int
take_body(void *ctx, const uint8_t *data, size_t len, struct error *err)
{
	struct lane   *lane = ctx;
	const uint8_t *end;

	end = memrchr(data, '\n', len);
	if (end != NULL)
		lane->line_start = lane->out.bytes +
		    (uint64_t)(end - data) + 1;
	lane->all->bytes += len;
	show_progress(lane->all);
	return bulk_spool_write(lane->all->bulk->spool, &lane->out, data, len,
	    err);
}

/* A last line without its line break is fine, but half of one is not. */
static bool
is_last_line_cut(const struct lane *lane)
{
	uint64_t len = lane->out.bytes - lane->line_start;
	uint8_t *text;
	bool	 is_whole;

	if (len == 0 || len > MAX_LINE_BYTES)
		return false;
	text = xcalloc(1, len);
	is_whole = bulk_spool_tail(&lane->out, text, len) != (ssize_t)len ||
	    ndjson_is_whole(text, len);
	free(text);
	return !is_whole;
}

static void
unmeasured(void *ctx)
{
	struct lane *lane = ctx;

	lane->now->is_unmeasured = true;
}

static bool
is_cut(void *ctx)
{
	(void)ctx;
	/* Such a file is fetched again by its end; no other fault is cured by
	 * that. */
	return false;
}

/* The link that the manifest has for the lane's file.  Where the server says
 * so, or on another origin, the token is not sent, nor a key. */
static void
take_link(struct lane *lane)
{
	const struct bulk *bulk = lane->all->bulk;
	const char	  *url = bulk_file_of(bulk, lane->now)->url;

	lane->request->is_open = !bulk->manifest.requires_token ||
	    !url_is_same_origin(bulk->opts->upstream, url);
	free(lane->url);
	lane->url = xstrdup(url);
}

/* The file that the lane is to fetch next; false when there is none left. */
static bool
take_next(struct lane *lane)
{
	struct downloads *all = lane->all;
	struct bulk	 *bulk = all->bulk;

	while (all->next < bulk->n_downloads &&
	    bulk->downloads[all->next].is_here)
		all->next++;
	if (all->next == bulk->n_downloads)
		return false;
	lane->now = &bulk->downloads[all->next++];
	(void)snprintf(lane->name, sizeof(lane->name), "%s file %u",
	    bulk_file_type(bulk, lane->now), lane->now->number);
	lane->out.bytes = 0;
	take_link(lane);
	return true;
}

/* Perhaps it was still being written.  The way begins with the link again: what
 * a redirect led to is not to get the key. */
static int
fetch_again(struct lane *lane, char **next, struct error *err)
{
	static const char fault[] = "the file ends in the middle of its last"
				    " line";

	if (lane->now->was_cut)
		return error_set(err, STATUS_PROTOCOL, "%s, twice", fault);
	log_warn("%s: %s; fetching it again", lane->name, fault);
	lane->now->was_cut = true;
	*next = xstrdup(lane->url);
	return 0;
}

static int
end_file(void *ctx, const char *url, char **next, struct error *err)
{
	struct lane	     *lane = ctx;
	struct bulk	     *bulk = lane->all->bulk;
	struct bulk_file_note note = {
		.number = lane->now->number,
		.bytes = lane->out.bytes,
	};

	(void)url;
	if (is_last_line_cut(lane))
		return fetch_again(lane, next, err);
	if (bulk_spool_end(bulk->spool, &lane->out, note.digest, err) == -1)
		return -1;
	bulk_link_digest(lane->url, bulk->links_want_query, note.link);
	/* Whatever is not known to be whole another run fetches again. */
	if (!bulk->opts->dry_run && !lane->now->is_unmeasured &&
	    bulk_journal_add(bulk->store, &note, err) == -1)
		return -1;
	lane->now->is_here = true;
	lane->now->bytes = note.bytes;
	lane->all->done++;
	lane->all->fetched++;
	show_progress(lane->all);
	if (take_next(lane))
		*next = xstrdup(lane->url);
	return 0;
}

/* A link may have died of age: the manifest has fresh ones (D4). */
static int
refused(void *ctx, long status, char **url, struct error *err)
{
	struct lane *lane = ctx;
	struct bulk *bulk = lane->all->bulk;
	const char  *fresh = bulk_file_of(bulk, lane->now)->url;

	if (status != 401 && status != 403 && status != 404 && status != 410)
		return 0;
	if (lane->now->refreshes >= MAX_REFRESHES) {
		if (status != 401)
			err->status = STATUS_UNAVAILABLE;
		return error_prefix(err, "the links of %d fresh manifests are"
		    " refused as well", MAX_REFRESHES);
	}
	lane->now->refreshes++;
	/* Unless another lane has just read it. */
	if (strcmp(fresh, lane->url) == 0) {
		log_warn("%s: status %ld; reading the manifest again, for a"
		    " fresh link", lane->name, status);
		if (bulk_refresh(bulk, err) == -1)
			return -1;
	}
	take_link(lane);
	*url = xstrdup(lane->url);
	return 1;
}

static const struct http_sink sink = {
	.begin = begin_file,
	.body = take_body,
	.end = end_file,
	.unmeasured = unmeasured,
	.is_cut = is_cut,
	.describe = outcome_describe_body,
	.refused = refused,
};

/* bsearch() callback: downloads are in the order of their numbers. */
static int
compare_number(const void *number, const void *download)
{
	unsigned one = *(const unsigned *)number;
	unsigned other = ((const struct bulk_download *)download)->number;

	return one < other ? -1 : one > other;
}

/* A file that the journal knows, and the spool has, need not be fetched; unless
 * another one has its place in the manifest now. */
static int
take_note(void *ctx, const struct bulk_file_note *note, struct error *err)
{
	struct bulk	     *bulk = ctx;
	struct bulk_download *download;
	uint8_t		      link[HASH_BYTES];

	(void)err;
	download = bsearch(&note->number, bulk->downloads, bulk->n_downloads,
	    sizeof(*bulk->downloads), compare_number);
	if (download == NULL)
		return 0;
	bulk_link_digest(bulk_file_of(bulk, download)->url,
	    bulk->links_want_query, link);
	download->is_here = memcmp(link, note->link, HASH_BYTES) == 0 &&
	    bulk_spool_has(bulk->spool, note->number, note->bytes,
	    note->digest);
	download->bytes = note->bytes;
	return 0;
}

static void
list_downloads(struct bulk *bulk)
{
	const struct bulk_files *files;
	struct bulk_download	*download;
	enum bulk_list		 list;
	unsigned		 number = 0;
	size_t			 n = 0, i;

	for (list = 0; list < BULK_LIST__MAX; list++)
		n += bulk->manifest.lists[list].n;
	bulk->downloads = xcalloc(n + 1, sizeof(*bulk->downloads));
	for (list = 0; list < BULK_LIST__MAX; list++) {
		files = &bulk->manifest.lists[list];
		for (i = 0; i < files->n; i++) {
			number++;
			if (list == BULK_OUTPUT &&
			    !bulk_is_wanted(bulk, files->files[i].type)) {
				log_warn("the export has a file of %s, which"
				    " was not asked for; it is left out",
				    files->files[i].type);
				continue;
			}
			download = &bulk->downloads[bulk->n_downloads++];
			download->list = list;
			download->index = i;
			download->number = number;
		}
	}
}

static int
run_lanes(struct bulk *bulk, struct downloads *all, struct error *err)
{
	struct http_request requests[MAX_DOWNLOADS];
	struct lane	   *lanes;
	size_t		    limit = bulk->opts->bulk.max_downloads, n, i;
	int		    rc;

	lanes = xcalloc(limit, sizeof(*lanes));
	for (i = 0; i < limit; i++)
		lanes[i].out.fd = -1;
	for (n = 0; n < limit; n++) {
		requests[n] = (struct http_request){
			.name = lanes[n].name,
			.sink = &sink,
			.ctx = &lanes[n],
			.accept = "application/fhir+ndjson",
			.may_leave = true,
		};
		lanes[n].all = all;
		lanes[n].request = &requests[n];
		if (!take_next(&lanes[n]))
			break;
		requests[n].url = lanes[n].url;
	}
	rc = http_run(&bulk->http, requests, n, err);
	for (i = 0; i < limit; i++) {
		bulk_spool_abort(&lanes[i].out);
		free(lanes[i].url);
	}
	free(lanes);
	return rc;
}

int
bulk_download_all(struct bulk *bulk, struct error *err)
{
	struct downloads all = { .bulk = bulk };
	size_t		 i;
	int		 rc;

	list_downloads(bulk);
	bulk->links_want_query = bulk_links_want_query(&bulk->manifest);
	if (bulk->is_resumed && bulk_journal_each(bulk->store, take_note,
	    bulk, err) == -1)
		return -1;
	for (i = 0; i < bulk->n_downloads; i++)
		all.done += bulk->downloads[i].is_here;
	if (all.done > 0)
		log_info("%zu of %zu files are here already", all.done,
		    bulk->n_downloads);
	rc = run_lanes(bulk, &all, err);
	log_progress_end();
	if (rc == 0)
		log_info("%zu file%s, %" PRIu64 " bytes fetched", all.fetched,
		    all.fetched == 1 ? "" : "s", all.bytes);
	return rc;
}
