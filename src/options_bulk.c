/* What belongs to the bulk mode among the options. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "collection.h"
#include "instant.h"
#include "number.h"
#include "options_int.h"
#include "text.h"
#include "url.h"
#include "words.h"
#include "xalloc.h"

/* Runs from one full reconcile to the next. */
#define MAX_RECONCILE_EVERY 10000
/* Bad records that a run may put aside. */
#define MAX_BAD_COUNT 1000000
/* Bytes of an option's text that goes to the server in a URL. */
#define MAX_PARAMETER_BYTES 4096
/* Longest times: a poll's wait a day, an overlap thirty. */
#define MAX_POLL_WAIT_MS (24LL * 60 * 60 * 1000)
#define MAX_OVERLAP_MS	 (30 * MAX_POLL_WAIT_MS)
#define US_PER_MS	 1000

static const char resource_type_rule[] =
    "want FHIR resource types between commas, as in Patient,Condition";

/* Printable ASCII, without blanks, that may go into a URL or a form. */
static bool
is_parameter(const char *value)
{
	size_t len = strlen(value), i;

	for (i = 0; i < len; i++) {
		if (value[i] <= ' ' || value[i] > '~')
			return false;
	}
	return len > 0 && len <= MAX_PARAMETER_BYTES;
}

const char *
options_set_mode(struct options *opts, const char *value)
{
	static const char *const names[MODE__MAX] = { "api", "bulk" };
	unsigned		 i;

	i = options_find_name(names, MODE__MAX, value);
	if (i == MODE__MAX)
		return "want api or bulk";
	opts->mode = (enum mode)i;
	return NULL;
}

static int
compare_texts(const void *one, const void *other)
{
	return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* Sorts the words, and drops those that stand there twice. */
static void
sort_words(char **words)
{
	size_t n = 0, kept = 0, i;

	while (words[n] != NULL)
		n++;
	qsort(words, n, sizeof(*words), compare_texts);
	for (i = 0; i < n; i++) {
		if (kept > 0 && strcmp(words[kept - 1], words[i]) == 0)
			free(words[i]);
		else
			words[kept++] = words[i];
	}
	words[kept] = NULL;
}

/* What stands between commas; NULL when a part is empty. */
static char **
split_commas(const char *value)
{
	char **words;
	size_t n = 1, len, i;

	for (i = 0; value[i] != '\0'; i++)
		n += value[i] == ',';
	words = xcalloc(n + 1, sizeof(*words));
	for (i = 0; i < n; i++) {
		len = strcspn(value, ",");
		if (len == 0) {
			words_free(words);
			return NULL;
		}
		words[i] = xstrndup(value, len);
		value += len + (value[len] == ',');
	}
	return words;
}

const char *
options_set_type(struct options *opts, const char *value)
{
	char **types;
	size_t i;

	types = split_commas(value);
	for (i = 0; types != NULL && types[i] != NULL; i++) {
		if (collection_is_extra(types[i]) &&
		    strcmp(types[i], COLLECTION_QUARANTINE) != 0)
			continue;
		words_free(types);
		types = NULL;
		break;
	}
	if (types == NULL)
		return resource_type_rule;
	sort_words(types);
	words_free(opts->bulk.types);
	opts->bulk.types = types;
	return NULL;
}

const char *
options_set_patients(struct options *opts, const char *value)
{
	return options_set_switch(&opts->bulk.patients, value);
}

const char *
options_set_group(struct options *opts, const char *value)
{
	/* FHIR R4, 2.24.0.1: id */
	if (!text_is_label(value, strlen(value)) || strchr(value, '_') != NULL)
		return "want the id of a Group: 1 to 64 letters, digits, '-' "
		       "and '.'";
	opts->bulk.group = value;
	return NULL;
}

const char *
options_set_type_filter(struct options *opts, const char *value)
{
	static const char rule[] = "want FHIR searches between blanks, as in "
				   "Observation?code=1234 Patient?active=true";
	char	  **filters;
	const char *query;
	size_t	    i;

	filters = strlen(value) <= MAX_PARAMETER_BYTES ? words_parse(value) :
	    NULL;
	if (filters == NULL)
		return rule;
	for (i = 0; filters[i] != NULL; i++) {
		query = strchr(filters[i], '?');
		if (is_parameter(filters[i]) && query != NULL &&
		    query != filters[i] && query[1] != '\0')
			continue;
		words_free(filters);
		return rule;
	}
	words_free(opts->bulk.filters);
	opts->bulk.filters = filters;
	return NULL;
}

const char *
options_set_elements(struct options *opts, const char *value)
{
	char **elements;

	elements = is_parameter(value) ? split_commas(value) : NULL;
	if (elements == NULL)
		return "want names of elements between commas, as in "
		       "id,Patient.name";
	words_free(opts->bulk.elements);
	opts->bulk.elements = elements;
	return NULL;
}

const char *
options_set_kick_off(struct options *opts, const char *value)
{
	static const char *const names[BULK_KICK_OFF__MAX] = { "auto", "get",
		"post" };
	unsigned		 i;

	i = options_find_name(names, BULK_KICK_OFF__MAX, value);
	if (i == BULK_KICK_OFF__MAX)
		return "want auto, get or post";
	opts->bulk.kick_off = (enum bulk_kick_off)i;
	return NULL;
}

const char *
options_set_max_downloads(struct options *opts, const char *value)
{
	if (number_parse(value, 1, MAX_DOWNLOADS, &opts->bulk.max_downloads))
		return NULL;
	return "want a number from 1 to " TEXT_OF(MAX_DOWNLOADS);
}

const char *
options_set_max_poll_wait(struct options *opts, const char *value)
{
	if (number_parse_duration(value, 1, MAX_POLL_WAIT_MS,
	    &opts->bulk.max_poll_wait_ms))
		return NULL;
	return "want a time such as 30s, 5m or 1h, from 1ms to 1d";
}

const char *
options_set_save(struct options *opts, const char *value)
{
	static const char *const names[SAVE__MAX] = {
		[SAVE_BY_EXPORT] = "auto",
		[SAVE_OVERWRITE] = "overwrite",
		[SAVE_MERGE] = "merge",
	};
	unsigned i;

	i = options_find_name(names, SAVE__MAX, value);
	if (i == SAVE__MAX)
		return "want auto, overwrite or merge";
	opts->bulk.save = (enum save)i;
	return NULL;
}

const char *
options_set_since(struct options *opts, const char *value)
{
	int64_t us;

	if (strcmp(value, "auto") != 0 && (!instant_parse(value, &us) ||
	    us / US_PER_MS > clock_now_ms()))
		return "want auto, or an instant that is past, with its zone, "
		       "as in 2025-04-10T08:30:00Z";
	opts->bulk.since = value;
	return NULL;
}

const char *
options_set_full_refresh(struct options *opts, const char *value)
{
	return options_set_switch(&opts->bulk.full_refresh, value);
}

const char *
options_set_overlap(struct options *opts, const char *value)
{
	if (number_parse_duration(value, 0, MAX_OVERLAP_MS,
	    &opts->bulk.overlap_ms))
		return NULL;
	return "want a time such as 30s, 10m or 1h, from 0s to 30d";
}

const char *
options_set_reconcile_every(struct options *opts, const char *value)
{
	if (number_parse(value, 0, MAX_RECONCILE_EVERY,
	    &opts->bulk.reconcile_every))
		return NULL;
	return "want a number from 0 to " TEXT_OF(MAX_RECONCILE_EVERY);
}

const char *
options_set_on_bad_record(struct options *opts, const char *value)
{
	static const char *const names[] = { "fail", "quarantine" };
	unsigned		 i;

	i = options_find_name(names, LENGTH(names), value);
	if (i == LENGTH(names))
		return "want fail or quarantine";
	opts->bulk.quarantines = i == 1;
	return NULL;
}

const char *
options_set_max_bad(struct options *opts, const char *value)
{
	if (number_parse(value, 0, MAX_BAD_COUNT, &opts->bulk.max_bad))
		return NULL;
	return "want a number from 0 to " TEXT_OF(MAX_BAD_COUNT);
}

const char *
options_set_no_resume(struct options *opts, const char *value)
{
	return options_set_switch(&opts->bulk.no_resume, value);
}

const char *
options_set_spool(struct options *opts, const char *value)
{
	opts->bulk.spool = value;
	return NULL;
}

const char *
options_set_client_id(struct options *opts, const char *value)
{
	if (!is_parameter(value))
		return "want the id under which the key is registered";
	opts->bulk.client_id = value;
	return NULL;
}

const char *
options_set_private_key_file(struct options *opts, const char *value)
{
	opts->bulk.private_key_file = value;
	return NULL;
}

const char *
options_set_public_jwks_file(struct options *opts, const char *value)
{
	opts->bulk.public_jwks_file = value;
	return NULL;
}

const char *
options_set_token_url(struct options *opts, const char *value)
{
	if (!is_parameter(value) || !url_has_scheme(value) ||
	    strchr(value, '@') != NULL || strchr(value, '#') != NULL ||
	    (strncmp(value, "https://", 8) != 0 &&
	    strncmp(value, "http://", 7) != 0))
		return "want the URL of the token endpoint, https, without "
		       "user, password and fragment";
	opts->bulk.token_url = value;
	return NULL;
}

const char *
options_set_token_scope(struct options *opts, const char *value)
{
	size_t i;

	for (i = 0; value[i] != '\0'; i++) {
		if (value[i] < ' ' || value[i] > '~')
			return "want scopes between blanks, as in "
			       "system/Patient.rs";
	}
	opts->bulk.token_scope = value;
	return NULL;
}

const char *
options_set_alg(struct options *opts, const char *value)
{
	if (strcmp(value, "ES384") != 0 && strcmp(value, "RS384") != 0 &&
	    strcmp(value, "Ed25519") != 0)
		return "want ES384, RS384 or Ed25519";
	opts->bulk.alg = value;
	return NULL;
}

/* The options that mean nothing to the three lists. */
static void
check_api(struct parse *parse)
{
	static const char *const flags[] = { "--type", "--patients", "--group",
		"--type-filter", "--elements", "--kick-off", "--max-downloads",
		"--max-poll-wait", "--save", "--since", "--full-refresh",
		"--overlap", "--reconcile-every", "--on-bad-record",
		"--max-bad", "--no-resume", "--spool", "--client-id",
		"--private-key-file", "--token-url", "--token-scope" };
	size_t			 i;

	for (i = 0; i < LENGTH(flags); i++) {
		if (options_is_flag(parse, flags[i]))
			options_fault(parse, "%s: want --mode bulk with it",
			    flags[i]);
	}
}

/* A filter of a type that is not asked for narrows nothing. */
static void
check_filters(struct parse *parse)
{
	const struct bulk_options *bulk = &parse->opts->bulk;
	char			  *type, shown[MAX_SHOWN_BYTES];
	size_t			   i;

	if (bulk->types == NULL)
		return;
	for (i = 0; bulk->filters != NULL && bulk->filters[i] != NULL; i++) {
		type = xstrndup(bulk->filters[i],
		    strcspn(bulk->filters[i], "?"));
		if (!words_has(bulk->types, type))
			options_fault(parse, "--type-filter: want filters of"
			    " the types of --type; have \"%s\"",
			    options_shown(shown, type));
		free(type);
	}
}

static void
check_smart(struct parse *parse)
{
	const struct bulk_options *bulk = &parse->opts->bulk;
	bool			   has_client;

	/* One that is no good has its fault already. */
	has_client = options_is_given(parse, "--client-id");
	if (has_client && bulk->private_key_file == NULL)
		options_fault(parse, "--private-key-file: want the key that is"
		    " registered for --client-id; see nompd-sync keygen");
	if (!has_client && bulk->private_key_file != NULL)
		options_fault(parse, "--client-id: want the id under which the"
		    " key is registered");
	if (!has_client && (bulk->token_url != NULL ||
	    bulk->token_scope != NULL))
		options_fault(parse, "%s: want --client-id with it",
		    bulk->token_url != NULL ? "--token-url" : "--token-scope");
}

void
options_check_bulk(struct parse *parse)
{
	const struct options	  *opts = parse->opts;
	const struct bulk_options *bulk = &opts->bulk;

	if (opts->mode == MODE_API) {
		check_api(parse);
		return;
	}
	if (opts->upstream != NULL && url_is_file(opts->upstream))
		options_fault(parse, "--upstream: want http or https for"
		    " --mode bulk");
	if (bulk->patients && bulk->group != NULL)
		options_fault(parse, "--group: want it without --patients: a"
		    " group is of patients");
	if (bulk->since != NULL && !bulk->full_refresh &&
	    bulk->save == SAVE_OVERWRITE)
		options_fault(parse, "--save overwrite: want a full export"
		    " with it, not --since; what an incremental one leaves out"
		    " is not deleted (see --reconcile-every)");
	if (bulk->reconcile_every > 0 && (bulk->since == NULL ?
	    !options_is_given(parse, "--since") :
	    strcmp(bulk->since, "auto") != 0))
		options_fault(parse, "--reconcile-every: want --since auto"
		    " with it");
	check_filters(parse);
	check_smart(parse);
}
