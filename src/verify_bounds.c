/* What prunes have left, as the history says, and as the store does. */
#include <bson/bson.h>
#include <inttypes.h>
#include <stdio.h>

#include "verify_int.h"
#include "xalloc.h"

/* Bytes of the sentence of a finding. */
#define MAX_WHAT 200

static int64_t
number_of(const bson_t *doc, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, name) &&
	    BSON_ITER_HOLDS_INT64(&iter) ? bson_iter_int64(&iter) : 0;
}

void
verify_bounds_add(struct verify *verify, int64_t version, const bson_t *prune)
{
	verify->prunes = xrealloc(verify->prunes,
	    (verify->n_prunes + 1) * sizeof(*verify->prunes));
	verify->prunes[verify->n_prunes++] = (struct verify_prune){
		.version = version,
		.tombstones = number_of(prune, "Tombstones"),
		.history_to = number_of(prune, "HistoryTo"),
		.states_to = number_of(prune, "StatesTo"),
		.states_from = number_of(prune, "StatesFrom"),
		.horizon = number_of(prune, "Horizon"),
	};
}

/* A prune that died before the history went has not raised it for that. */
static int64_t
states_from_of(const struct verify *verify, const struct verify_prune *prune)
{
	return verify->oldest > prune->history_to ? prune->states_from :
	    prune->states_to;
}

static int
check(struct verify *verify, const char *name, int64_t is, int64_t want,
    int64_t version, struct error *err)
{
	char what[MAX_WHAT];

	if (is >= want)
		return 0;
	(void)snprintf(what, sizeof(what), "%s is %" PRId64 ", and the prune of"
	    " version %" PRId64 " has made it %" PRId64, name, is, version,
	    want);
	return verify_found(verify, &(struct finding){ .kind = FINDING_DATA,
	    .what = what }, err);
}

/* From when on seals have the tombstones that the store has: after the last
 * prune that took some, and the first that came as far as the last one. */
static int64_t
find_full(const struct verify *verify, const struct verify_prune *last)
{
	const struct verify_prune *prune;
	int64_t			   from = 0;
	bool			   has_come = false;
	size_t			   i;

	if (last == NULL && verify->versions.horizon == 0)
		return 0;
	/* One that died has no entry. */
	if (last == NULL || verify->versions.horizon > last->horizon)
		return verify->versions.finished;
	/* The newest one comes first. */
	for (i = verify->n_prunes; i-- > 0;) {
		prune = &verify->prunes[i];
		if (prune->tombstones > 0 || (!has_come && last->horizon > 0 &&
		    prune->horizon == last->horizon))
			from = prune->version;
		has_come = has_come || prune->horizon == last->horizon;
	}
	return from;
}

int
verify_bounds(struct verify *verify, struct error *err)
{
	const struct store_versions *versions = &verify->versions;
	const struct verify_prune   *prune, *last, *states;
	size_t			     i;

	last = states = verify->prunes;
	for (i = 1; i < verify->n_prunes; i++) {
		prune = &verify->prunes[i];
		if (prune->horizon > last->horizon)
			last = prune;
		if (states_from_of(verify, prune) >
		    states_from_of(verify, states))
			states = prune;
	}
	verify->full_from = find_full(verify, last);
	if (last == NULL)
		return 0;
	if (check(verify, "Horizon", versions->horizon, last->horizon,
	    last->version, err) == -1)
		return -1;
	return check(verify, "StatesFrom", versions->states_from,
	    states_from_of(verify, states), states->version, err);
}
