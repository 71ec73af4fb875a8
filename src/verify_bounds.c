/* What prunes have left, as the history says, and as the store does. */
#include <inttypes.h>
#include <stdio.h>

#include "verify_int.h"
#include "xalloc.h"

/* Bytes of the sentence of a finding. */
#define MAX_WHAT 200

void
verify_bounds_add(struct verify *verify, const struct history_prune *prune)
{
	verify->prunes = xrealloc(verify->prunes,
	    (verify->n_prunes + 1) * sizeof(*verify->prunes));
	verify->prunes[verify->n_prunes++] = *prune;
}

/* A prune that died before the history went has not raised it for that. */
static int64_t
states_from_of(const struct verify *verify, const struct history_prune *prune)
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

int
verify_bounds(struct verify *verify, struct error *err)
{
	const struct store_versions *versions = &verify->versions;
	const struct history_prune  *prune, *last, *states;
	struct history_full	     full;
	size_t			     i;

	history_full_init(&full, versions);
	for (i = 0; i < verify->n_prunes; i++)
		history_full_add(&full, &verify->prunes[i]);
	verify->full_from = full.from;
	last = states = verify->prunes;
	for (i = 1; i < verify->n_prunes; i++) {
		prune = &verify->prunes[i];
		if (prune->horizon > last->horizon)
			last = prune;
		if (states_from_of(verify, prune) >
		    states_from_of(verify, states))
			states = prune;
	}
	if (last == NULL)
		return 0;
	if (check(verify, "Horizon", versions->horizon, last->horizon,
	    last->version, err) == -1)
		return -1;
	return check(verify, "StatesFrom", versions->states_from,
	    states_from_of(verify, states), states->version, err);
}
