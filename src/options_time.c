/* Options of the commands that ask for other times, or for proof. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collection.h"
#include "hash.h"
#include "instant.h"
#include "job.h"
#include "number.h"
#include "options_int.h"
#include "text.h"

/* The largest age that prune can be asked for: a hundred years. */
#define MAX_PRUNE_AGE_MS (36500LL * 24 * 60 * 60 * 1000)
/* "2025-04-10", and the last millisecond of that day. */
#define DAY_BYTES 10
#define DAY_END	  "T23:59:59.999Z"
#define US_PER_MS 1000

#define VERSION_RULE "want a version, a whole number from 1 to " \
	"9223372036854775807"

static const char *
set_version(int64_t *out, uint64_t min, const char *value)
{
	uint64_t number;

	if (!number_read(&value, INT64_MAX, &number) || *value != '\0' ||
	    number < min)
		return min > 0 ? VERSION_RULE : "want a version, a whole number"
		    " from 0 to 9223372036854775807";
	*out = (int64_t)number;
	return NULL;
}

const char *
options_set_from_version(struct options *opts, const char *value)
{
	return set_version(&opts->from_version, 1, value);
}

const char *
options_set_to_version(struct options *opts, const char *value)
{
	return set_version(&opts->to_version, 1, value);
}

const char *
options_set_since_version(struct options *opts, const char *value)
{
	return set_version(&opts->since_version, 0, value);
}

/* The moment that text names, a day up to its end. */
static bool
parse_moment(const char *text, int64_t *ms)
{
	char	day[DAY_BYTES + sizeof(DAY_END)];
	int64_t us;

	if (strlen(text) == DAY_BYTES) {
		(void)snprintf(day, sizeof(day), "%s" DAY_END, text);
		text = day;
	}
	if (!instant_parse(text, &us))
		return false;
	*ms = us / US_PER_MS;
	return true;
}

const char *
options_set_as_of(struct options *opts, const char *value)
{
	int64_t version, ms;

	if (set_version(&version, 1, value) == NULL) {
		opts->as_of_version = version;
		opts->as_of_ms = INT64_MAX;
		return NULL;
	}
	if (!parse_moment(value, &ms))
		return "want a version (17), a day (2025-04-10) or an instant"
		       " (2025-04-10T08:30:00Z)";
	opts->as_of_version = INT64_MAX;
	opts->as_of_ms = ms;
	return NULL;
}

const char *
options_set_with_history(struct options *opts, const char *value)
{
	return options_set_switch(&opts->with_history, value);
}

/* What is pruned is gone: a plain number, elsewhere seconds, may well be meant
 * as days or years. */
static const char *
set_age(int64_t *out, const char *value)
{
	size_t len = strlen(value);

	if (len > 0 && strchr("0123456789", value[len - 1]) == NULL &&
	    number_parse_duration(value, 1, MAX_PRUNE_AGE_MS, out))
		return NULL;
	return "want an age with its unit, such as 90d or 2y, at most 100y";
}

const char *
options_set_history_age(struct options *opts, const char *value)
{
	return set_age(&opts->history_age_ms, value);
}

const char *
options_set_tombstones_age(struct options *opts, const char *value)
{
	return set_age(&opts->tombstones_age_ms, value);
}

const char *
options_set_states_age(struct options *opts, const char *value)
{
	return set_age(&opts->states_age_ms, value);
}

const char *
options_set_repair(struct options *opts, const char *value)
{
	return options_set_switch(&opts->repair, value);
}

const char *
options_set_seal_key_file(struct options *opts, const char *value)
{
	opts->seal_key_file = value;
	return NULL;
}

const char *
options_set_head(struct options *opts, const char *value)
{
	uint8_t hash[HASH_BYTES];
	char	text[HASH_TEXT_BYTES];

	if (hash_parse(value, strlen(value), hash) == -1)
		return "want a digest of 64 hex digits";
	hash_format(hash, text);
	if (strcmp(text, value) != 0)
		return "want a digest of 64 hex digits, lower case";
	opts->head = value;
	return NULL;
}

/* Can a store have a collection of that name? */
static void
check_collection(struct parse *parse, const char *name)
{
	struct buf names = { 0 };
	char	   shown[MAX_SHOWN_BYTES];
	int	   i;

	if (collection_find(name) != COLLECTION__MAX ||
	    collection_is_extra(name))
		return;
	for (i = 0; i < COLLECTION__MAX; i++) {
		buf_append(&names, i > 0 ? ", " : "", i > 0 ? 2 : 0);
		buf_append(&names, collection_name(i),
		    strlen(collection_name(i)));
	}
	options_fault(parse, "%s: want a collection (%.*s, or a FHIR type); "
	    "have \"%s\"", command_rows[parse->command].name,
	    (int)names.len, (const char *)names.data,
	    options_shown(shown, name));
	buf_clear(&names);
}

void
options_check_show(struct parse *parse)
{
	parse->opts->show_collection = parse->arguments[0];
	parse->opts->show_key = parse->arguments[1];
	if (parse->opts->show_key[0] == '\0')
		options_fault(parse, "show: want a key; have \"\"");
	check_collection(parse, parse->arguments[0]);
	if (options_is_given(parse, "--as-of") && parse->opts->with_history)
		options_fault(parse, "--history: want it without --as-of");
}

void
options_check_diff(struct parse *parse)
{
	const struct options *opts = parse->opts;

	if (!options_is_given(parse, "--from"))
		options_fault(parse, "--from: want the earlier version; have"
		    " none");
	if (opts->to_version != 0 && opts->to_version < opts->from_version)
		options_fault(parse, "--to: want a version that is not below"
		    " --from %" PRId64 "; have %" PRId64, opts->from_version,
		    opts->to_version);
	if (parse->n_arguments == 0)
		return;
	parse->opts->diff_collection = parse->arguments[0];
	check_collection(parse, parse->arguments[0]);
}

void
options_check_rollback(struct parse *parse)
{
	if (!options_is_given(parse, "--to"))
		options_fault(parse, "--to: want the version to go back to;"
		    " have none");
	if (!options_is_given(parse, "--reason"))
		options_fault(parse, "--reason: want the reason, for the"
		    " history; have none");
}

void
options_check_prune(struct parse *parse)
{
	if (options_is_given(parse, "--history-older-than") ||
	    options_is_given(parse, "--tombstones-older-than") ||
	    options_is_given(parse, "--states-older-than"))
		return;
	options_fault(parse, "prune: want at least one of --history-older-than,"
	    " --tombstones-older-than and --states-older-than");
}

void
options_check_verify(struct parse *parse)
{
	const struct options *opts = parse->opts;

	if (options_is_given(parse, "--head") && !opts->with_history)
		options_fault(parse, "--head: want --history with it");
	if (opts->repair && opts->with_history)
		options_fault(parse, "--repair: want it without --history:"
		    " the history cannot be repaired");
}

void
options_check_export(struct parse *parse)
{
	parse->opts->folder = parse->arguments[0];
	if (parse->opts->folder[0] == '\0')
		options_fault(parse, "export: want a folder; have \"\"");
}
