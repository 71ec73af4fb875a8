/* The files of an export, from the spool into the stage. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bson_member.h"
#include "buf.h"
#include "bulk_export_int.h"
#include "collection.h"
#include "fhir.h"
#include "hash.h"
#include "limit.h"
#include "log.h"
#include "ndjson.h"
#include "outcome.h"
#include "record.h"
#include "resource_age.h"
#include "stop.h"
#include "words.h"
#include "xalloc.h"

/* Bytes of a file's name in messages. */
#define MAX_FILE_TEXT  256
/* The same without its URL. */
#define MAX_SHORT_TEXT 96

/* A file that is being read. */
struct reader {
	struct bulk		   *bulk;
	const struct bulk_download *download;
	const struct bulk_file	   *file;
	struct bulk_type	   *type; /* of an output file */
	struct ndjson		   *ndjson;
	struct hasher		   *hasher;
	struct buf		    key;
	uint64_t		    lines; /* that are not blank */
	struct job_count	   *count; /* of an output file */
	bool			    is_named; /* an error names the file */
	char			    short_name[MAX_SHORT_TEXT];
	char			    name[MAX_FILE_TEXT]; /* with its URL */
};

bool
bulk_is_wanted(const struct bulk *bulk, const char *type)
{
	char *const *types = bulk->opts->bulk.types;

	return types == NULL || words_has(types, type);
}

struct bulk_type *
bulk_find_type(const struct bulk *bulk, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < bulk->n_types; i++) {
		if (strncmp(bulk->types[i].name, name, len) == 0 &&
		    bulk->types[i].name[len] == '\0')
			return &bulk->types[i];
	}
	return NULL;
}

static int
add_type(struct bulk *bulk, const char *name, struct error *err)
{
	size_t i;
	int    list;

	if (bulk_find_type(bulk, name, strlen(name)) != NULL)
		return 0;
	if (!collection_is_extra(name) ||
	    strcmp(name, COLLECTION_QUARANTINE) == 0)
		return error_set(err, STATUS_PROTOCOL, "the manifest has a"
		    " file of \"%.64s\", which is no resource type", name);
	for (i = 0; i < bulk->n_types; i++) {
		if (strcasecmp(bulk->types[i].name, name) == 0)
			return error_set(err, STATUS_PROTOCOL, "\"%s\" and"
			    " \"%s\" are no two resource types",
			    bulk->types[i].name, name);
	}
	list = stage_add_list(bulk->stage, err);
	if (list == -1)
		return -1;
	bulk->types = xrealloc(bulk->types,
	    (bulk->n_types + 1) * sizeof(*bulk->types));
	bulk->types[bulk->n_types++] = (struct bulk_type){
		.name = xstrdup(name),
		.list = list,
	};
	return 0;
}

static int
compare_types(const void *one, const void *other)
{
	return strcmp(((const struct bulk_type *)one)->name,
	    ((const struct bulk_type *)other)->name);
}

/* Without --type: what the store has as well, for it may be gone now, or be
 * named as deleted. */
static int
add_stored_types(struct bulk *bulk, struct error *err)
{
	char **names;
	size_t i;
	int    rc = 0;

	if (store_collections_get(bulk->store, &names, err) == -1)
		return -1;
	for (i = 0; names[i] != NULL && rc == 0; i++) {
		if (collection_is_extra(names[i]) &&
		    strcmp(names[i], COLLECTION_QUARANTINE) != 0)
			rc = add_type(bulk, names[i], err);
	}
	words_free(names);
	return rc;
}

static int
add_types(struct bulk *bulk, struct error *err)
{
	char *const *asked = bulk->opts->bulk.types;
	size_t	     i;

	for (i = 0; asked != NULL && asked[i] != NULL; i++) {
		if (add_type(bulk, asked[i], err) == -1)
			return -1;
	}
	for (i = 0; i < bulk->n_downloads; i++) {
		if (bulk->downloads[i].list == BULK_OUTPUT && add_type(bulk,
		    bulk_file_of(bulk, &bulk->downloads[i])->type, err) == -1)
			return -1;
	}
	if (asked == NULL && add_stored_types(bulk, err) == -1)
		return -1;
	if (bulk->n_types > 0)
		qsort(bulk->types, bulk->n_types, sizeof(*bulk->types),
		    compare_types);
	if (bulk->opts->bulk.quarantines)
		bulk->quarantine = stage_add_list(bulk->stage, err);
	return bulk->opts->bulk.quarantines && bulk->quarantine == -1 ? -1 : 0;
}

/* A line that cannot be taken: the end, or one for the quarantine. */
static int
take_bad(struct reader *reader, const struct ndjson_line *line,
    const char *reason, struct error *err)
{
	struct bulk *bulk = reader->bulk;

	reader->is_named = true;
	if (!bulk->opts->bulk.quarantines)
		return error_set(err, STATUS_PROTOCOL, "%s, line %" PRIu64
		    ": %s (--on-bad-record quarantine keeps such lines aside"
		    " and goes on)", reader->name, line->number, reason);
	if (++bulk->bad > bulk->opts->bulk.max_bad)
		return error_set(err, STATUS_PROTOCOL, "%s, line %" PRIu64
		    ": %s; these are more bad records than --max-bad %u allows",
		    reader->name, line->number, reason,
		    bulk->opts->bulk.max_bad);
	reader->is_named = false;
	/* It is none of the type's. */
	if (reader->download->list == BULK_OUTPUT)
		reader->type->came--;
	log_warn("%s, line %" PRIu64 ": %s; it goes to the quarantine",
	    reader->name, line->number, reason);
	return bulk_quarantine_add(bulk, &(struct bulk_bad){
	    .kind = bulk_file_type(bulk, reader->download),
	    .file = reader->short_name, .line = line, .reason = reason }, err);
}

/* The key of a resource, as in "Patient/123"; -1: it has none. */
static int
make_key(struct reader *reader, const bson_t *resource, struct error *err)
{
	struct fhir_text id;

	id = fhir_text_get(fhir_root(resource), "id");
	if (!fhir_text_is_filled(id))
		return error_set(err, STATUS_PROTOCOL, "a %s without an id",
		    reader->type->name);
	if (memchr(id.text, '/', id.len) != NULL ||
	    memchr(id.text, 0, id.len) != NULL)
		return error_set(err, STATUS_PROTOCOL,
		    "an id with a slash or a NUL in it");
	reader->key.len = 0;
	buf_append(&reader->key, reader->type->name,
	    strlen(reader->type->name));
	buf_append_byte(&reader->key, '/');
	buf_append(&reader->key, id.text, id.len);
	if (reader->key.len > MAX_KEY_BYTES)
		return error_set(err, STATUS_PROTOCOL, "a key (type and id) of"
		    " %zu bytes; the limit is %d", reader->key.len,
		    MAX_KEY_BYTES);
	return 0;
}

/* Is it a resource that the file may hold?  Fills the key and the hash. */
static int
check_resource(struct reader *reader, const bson_t *resource,
    uint8_t hash[HASH_BYTES], struct error *err)
{
	struct fhir_text type;

	type = fhir_resource_type(resource);
	if (type.text == NULL)
		return error_set(err, STATUS_PROTOCOL, "an object without a"
		    " resourceType in a file of %s", reader->type->name);
	if (!fhir_text_equals(type, reader->type->name))
		return error_set(err, STATUS_PROTOCOL, "a \"%.64s\" in a file"
		    " of %s", type.text, reader->type->name);
	if (make_key(reader, resource, err) == -1 ||
	    hash_document(reader->hasher, bson_get_data(resource),
	    resource->len, hash, err) == -1)
		return -1;
	return record_check_size(reader->key.len, resource->len, err);
}

static int
take_resource(struct reader *reader, const struct ndjson_line *line,
    struct error *err)
{
	struct stage_doc doc = { .kind = STAGED_PUT };
	struct error	 why;
	uint8_t		 hash[HASH_BYTES];

	if (check_resource(reader, line->doc, hash, &why) == -1)
		return take_bad(reader, line, why.text, err);
	doc.key = (const char *)reader->key.data;
	doc.len = reader->key.len;
	doc.hash = hash;
	doc.data = bson_get_data(line->doc);
	doc.data_len = line->doc->len;
	doc.age = resource_age_get(line->doc);
	return stage_add(reader->bulk->stage, reader->type->list, &doc, err);
}

/* A deletion; of a type that is not the run's it is none of its business. */
static int
stage_deletion(struct reader *reader, struct fhir_text reference,
    struct error *err)
{
	struct bulk_type *type;
	struct stage_doc  doc = { .kind = STAGED_DELETE };
	const char	 *slash;

	slash = memchr(reference.text, '/', reference.len);
	type = bulk_find_type(reader->bulk, reference.text,
	    (size_t)(slash - reference.text));
	if (type == NULL)
		return 0;
	doc.key = reference.text;
	doc.len = reference.len;
	type->came++;
	return stage_add(reader->bulk->stage, type->list, &doc, err);
}

/* An entry of a transaction: request.method DELETE, request.url Type/id. */
static int
take_deletion(struct reader *reader, struct fhir_node entry,
    const struct ndjson_line *line, struct error *err)
{
	struct fhir_node request = fhir_object_get(entry, "request");
	struct fhir_text url = fhir_text_get(request, "url");
	const char	*slash;

	if (!fhir_text_equals(fhir_text_get(request, "method"), "DELETE"))
		return take_bad(reader, line, "an entry whose request is not"
		    " DELETE", err);
	slash = url.text != NULL ? memchr(url.text, '/', url.len) : NULL;
	if (slash == NULL || slash == url.text || slash[1] == '\0' ||
	    strlen(url.text) != url.len || url.len > MAX_KEY_BYTES ||
	    strpbrk(slash + 1, "/?") != NULL)
		return take_bad(reader, line, "an entry whose request.url is"
		    " not Type/id", err);
	return stage_deletion(reader, url, err);
}

/* Is what the Bundle has a list of objects, if anything?  None is to be
 * overlooked, for it would be a deletion. */
static bool
has_sound_entries(const bson_t *bundle)
{
	bson_iter_t iter, entries;

	if (!bson_iter_init_find(&iter, bundle, "entry"))
		return true;
	if (!BSON_ITER_HOLDS_ARRAY(&iter) ||
	    !bson_iter_recurse(&iter, &entries))
		return false;
	while (bson_iter_next(&entries)) {
		if (!BSON_ITER_HOLDS_DOCUMENT(&entries))
			return false;
	}
	return true;
}

static int
take_deletions(struct reader *reader, const struct ndjson_line *line,
    struct error *err)
{
	struct bson_members walk;
	struct fhir_node    bundle = fhir_root(line->doc), entry;

	if (!fhir_text_equals(fhir_resource_type(line->doc), "Bundle") ||
	    !fhir_text_equals(fhir_text_get(bundle, "type"), "transaction"))
		return take_bad(reader, line, "not a Bundle of type"
		    " transaction, as a file of deletions has them", err);
	if (!has_sound_entries(line->doc))
		return take_bad(reader, line, "a Bundle whose entry is not a"
		    " list of objects", err);
	fhir_walk(&walk, fhir_array_get(bundle, "entry"));
	while (fhir_next_object(&walk, &entry)) {
		if (take_deletion(reader, entry, line, err) == -1)
			return -1;
	}
	return 0;
}

/* A message of the server: an error means that something is missing. */
static int
take_outcome(struct reader *reader, const struct ndjson_line *line,
    struct error *err)
{
	struct bulk *bulk = reader->bulk;
	char	     text[MAX_OUTCOME_TEXT];

	if (!fhir_text_equals(fhir_resource_type(line->doc),
	    "OperationOutcome"))
		return take_bad(reader, line, "not an OperationOutcome", err);
	outcome_describe(line->doc, text);
	bulk_note_message(bulk, text);
	if (outcome_is_error(line->doc))
		return take_bad(reader, line, text, err);
	/* Some servers have one for each resource. */
	if (bulk->n_messages <= MAX_MESSAGES)
		log_info("%s, line %" PRIu64 ": %s%s", reader->name,
		    line->number, text, bulk->n_messages == MAX_MESSAGES ?
		    " (there may be more, which are not shown)" : "");
	return 0;
}

static int
take_line(void *ctx, const struct ndjson_line *line, struct error *err)
{
	struct reader *reader = ctx;

	reader->lines++;
	/* Before anything is done with it, so that the end-of-run check sees
	 * what is lost on its way to the stage. */
	if (reader->download->list == BULK_OUTPUT) {
		reader->type->came++;
		reader->count->fetched++;
	}
	if (stop_check(STATUS_UNAVAILABLE, err) == -1)
		return -1;
	if (line->doc == NULL)
		return take_bad(reader, line, line->why->text, err);
	switch (reader->download->list) {
	case BULK_OUTPUT:
		return take_resource(reader, line, err);
	case BULK_DELETED:
		return take_deletions(reader, line, err);
	case BULK_OUTCOME:
	case BULK_LIST__MAX:
		break;
	}
	return take_outcome(reader, line, err);
}

static int
take_piece(void *ctx, const uint8_t *data, size_t len, struct error *err)
{
	struct reader *reader = ctx;

	return ndjson_feed(reader->ndjson, data, len, err);
}

/* A count or size that agrees proves that nothing is missing. */
static void
check_end(const struct reader *reader)
{
	if (!reader->download->is_unmeasured || reader->file->count >= 0 ||
	    reader->file->size >= 0)
		return;
	log_warn("%s came without its length, and the manifest has no count:"
	    " nothing tells whether it is whole, so nothing is deleted because"
	    " it is absent", reader->name);
	reader->bulk->is_unproved = true;
}

/*
 * Does the manifest tell the same of the file as the file itself?  Where
 * absence is deletion it must; else it is a server's slip in counting.
 */
static int
check_size(const struct reader *reader, struct error *err)
{
	const struct bulk_file *file = reader->file;
	uint64_t		bytes = reader->download->bytes;
	char			text[128];

	if (file->count >= 0 && (uint64_t)file->count != reader->lines)
		(void)snprintf(text, sizeof(text), "%" PRIu64 " lines, the"
		    " manifest's count is %" PRId64, reader->lines,
		    file->count);
	else if (file->size >= 0 && (uint64_t)file->size != bytes)
		(void)snprintf(text, sizeof(text), "%" PRIu64 " bytes, the"
		    " manifest's fileSize is %" PRId64, bytes, file->size);
	else {
		check_end(reader);
		return 0;
	}
	if (reader->bulk->overwrites &&
	    reader->download->list == BULK_OUTPUT)
		return error_set(err, STATUS_PROTOCOL, "%s has %s; what is"
		    " absent would be deleted (--save merge takes it as it"
		    " is)", reader->name, text);
	log_warn("%s has %s", reader->name, text);
	return 0;
}

static int
read_file(struct reader *reader, struct error *err)
{
	struct bulk *bulk = reader->bulk;

	reader->file = bulk_file_of(bulk, reader->download);
	reader->type = reader->download->list == BULK_OUTPUT ?
	    bulk_find_type(bulk, reader->file->type,
	    strlen(reader->file->type)) : NULL;
	reader->count = reader->download->list == BULK_OUTPUT ?
	    job_count_of(bulk->job, reader->file->type) : NULL;
	reader->lines = 0;
	(void)snprintf(reader->short_name, sizeof(reader->short_name),
	    "%s file %u", bulk_file_type(bulk, reader->download),
	    reader->download->number);
	(void)snprintf(reader->name, sizeof(reader->name), "%s (%.*s)",
	    reader->short_name, (int)strcspn(reader->file->url, "?"),
	    reader->file->url);
	log_progress("reading: file %u of %zu", reader->download->number,
	    bulk->n_downloads);
	if (bulk_spool_read(bulk->spool, reader->download->number, take_piece,
	    reader, err) == -1 || ndjson_finish(reader->ndjson, err) == -1) {
		return reader->is_named ? -1 : error_prefix(err, "%s",
		    reader->name);
	}
	bulk->bytes += reader->download->bytes;
	return check_size(reader, err);
}

/* How many resources the manifest speaks of, where it does so for all files of
 * a type. */
static void
note_expected(const struct bulk *bulk)
{
	const struct bulk_file *file;
	struct job_count       *count;
	size_t			i;

	for (i = 0; i < bulk->n_types; i++)
		job_count_of(bulk->job, bulk->types[i].name)->expected = 0;
	for (i = 0; i < bulk->n_downloads; i++) {
		if (bulk->downloads[i].list != BULK_OUTPUT)
			continue;
		file = bulk_file_of(bulk, &bulk->downloads[i]);
		count = job_count_of(bulk->job, file->type);
		if (file->count < 0 || count->expected == -1 ||
		    file->count > INT64_MAX - count->expected)
			count->expected = -1;
		else
			count->expected += file->count;
	}
}

static int
read_files(struct bulk *bulk, struct error *err)
{
	struct reader reader = { .bulk = bulk };
	size_t	      i;
	int	      rc = 0;

	reader.hasher = hasher_new();
	for (i = 0; i < bulk->n_downloads && rc == 0; i++) {
		reader.download = &bulk->downloads[i];
		reader.ndjson = ndjson_new(take_line, &reader);
		rc = read_file(&reader, err);
		ndjson_free(reader.ndjson);
	}
	hasher_free(reader.hasher);
	buf_clear(&reader.key);
	return rc;
}

static void
fill_tally(const struct bulk *bulk, const char *name, int list,
    struct tally *tally)
{
	*tally = (struct tally){
		.name = name,
		.list = list,
		/* Where something was put aside, absence proves nothing. */
		.is_merged = !bulk->overwrites || bulk->bad > 0 ||
		    bulk->is_unproved,
	};
}

int
bulk_stage(struct bulk *bulk, struct tally *tallies, size_t *count,
    struct error *err)
{
	size_t i;

	*count = 0;
	if (add_types(bulk, err) == -1)
		return -1;
	note_expected(bulk);
	if (read_files(bulk, err) == -1)
		return -1;
	if (bulk->overwrites && bulk->bad == 0 &&
	    bulk_quarantine_empty(bulk, err) == -1)
		return -1;
	for (i = 0; i < bulk->n_types; i++) {
		fill_tally(bulk, bulk->types[i].name, bulk->types[i].list,
		    &tallies[*count]);
		tallies[(*count)++].came = bulk->types[i].came;
	}
	if (bulk->quarantine != -1) {
		fill_tally(bulk, COLLECTION_QUARANTINE, bulk->quarantine,
		    &tallies[*count]);
		tallies[*count].is_merged = true;
		tallies[(*count)++].is_aside = true;
	}
	for (i = 0; i < *count; i++) {
		if (stage_finish(bulk->stage, tallies[i].list, err) == -1)
			return -1;
	}
	return 0;
}
