#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "guard.h"

#define ALL_PERCENT 100
/* Bytes of a value of --max-delete as text. */
#define MAX_VALUE_TEXT 24

static bool
is_all(struct max_delete max_delete)
{
	return max_delete.is_percent && max_delete.value >= ALL_PERCENT;
}

/* Of outputs their raw records are judged, where there are some. */
static bool
is_judged(const struct tally *tally)
{
	return tally->is_remade || (!tally->is_output && !tally->is_aside);
}

/* The upstream, or the version to go back to, has nothing although there is
 * something. */
static bool
is_emptied(const struct tally *tally)
{
	return !tally->is_merged && tally->live > 0 && tally->added +
	    tally->updated + tally->unchanged + tally->stale == 0;
}

static bool
is_over(const struct tally *tally, struct max_delete max_delete)
{
	if (!max_delete.is_percent)
		return tally->deleted > max_delete.value;
	/* deleted / live > value / 100, without rounding */
	return tally->deleted > GUARD_FLOOR &&
	    tally->deleted * ALL_PERCENT > max_delete.value * tally->live;
}

static void
describe(const struct tally *tally, struct max_delete max_delete, char *text,
    size_t size)
{
	size_t len = strlen(text);

	if (is_emptied(tally))
		(void)snprintf(text + len, size - len, "%s: %s, the store"
		    " holds %" PRIu64 " live ones\n", tally->name,
		    tally->is_restored ? "that version has no record of it" :
		    tally->is_remade ? "its raw records give none" :
		    "the upstream gave no usable record", tally->live);
	else
		(void)snprintf(text + len, size - len, "%s: %" PRIu64 " of %"
		    PRIu64 " live records would be deleted (allowed are %"
		    PRIu64 "%s)\n", tally->name,
		    tally->deleted, tally->live, max_delete.value,
		    max_delete.is_percent ? " %" : "");
}

/* The smallest value that lets all of the run through. */
static void
advise(const struct tally *tallies, size_t count, char *text, size_t size)
{
	uint64_t most = 0;
	size_t	 i;

	for (i = 0; i < count; i++) {
		if (!is_judged(&tallies[i]))
			continue;
		if (is_emptied(&tallies[i])) {
			(void)snprintf(text, size, "100%%");
			return;
		}
		if (tallies[i].deleted > most)
			most = tallies[i].deleted;
	}
	(void)snprintf(text, size, "%" PRIu64, most);
}

int
guard_check(const struct tally *tallies, size_t count,
    struct max_delete max_delete, struct error *err)
{
	char   text[MAX_ERROR_TEXT / 2] = "", value[MAX_VALUE_TEXT];
	size_t i;

	if (is_all(max_delete))
		return 0;
	for (i = 0; i < count; i++) {
		if (is_judged(&tallies[i]) && (is_emptied(&tallies[i]) ||
		    is_over(&tallies[i], max_delete)))
			describe(&tallies[i], max_delete, text, sizeof(text));
	}
	if (text[0] == '\0')
		return 0;
	advise(tallies, count, value, sizeof(value));
	if (tallies[0].is_remade)
		return error_set(err, STATUS_HELD, "the guard held the repair;"
		    " no output was written\n%sif the raw records are right,"
		    " --max-delete %s lets this repair through", text, value);
	return error_set(err, STATUS_HELD, "the guard held the run; nothing"
	    " was written\n%ssee what would be deleted with --dry-run --plan;"
	    " if %s, --max-delete %s lets this run through", text,
	    tallies[0].is_restored ? "that is meant" :
	    "the upstream means it", value);
}
