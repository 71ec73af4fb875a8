#include <inttypes.h>

#include "clock.h"
#include "past.h"

static int
fail_never(const struct store *store, const char *flag, struct error *err)
{
	return error_set(err, STATUS_NOT_FOUND, "%s: store %s has no finished"
	    " version yet", flag, store_name(store));
}

static int
fail_above(const struct store *store, const struct store_versions *versions,
    int64_t version, const char *flag, struct error *err)
{
	return error_set(err, STATUS_NOT_FOUND, "%s: the last finished version"
	    " of store %s is %" PRId64 "; have %" PRId64, flag,
	    store_name(store), versions->finished, version);
}

/*
 * The oldest finished run whose version is above that one: 1 = found, 0 = there
 * is none.  It is between two bounds that come closer, for the entries with
 * their key lists may be too many to be read.
 */
static int
find_above(struct store *store, int64_t version, struct store_run *out,
    struct error *err)
{
	struct store_run found;
	int64_t		 below = version, middle;
	int		 rc;

	rc = store_run_find(store, INT64_MAX, INT64_MAX, out, err);
	if (rc != 1 || out->version <= version)
		return rc == -1 ? -1 : 0;
	while (out->version - below > 1) {
		middle = below + (out->version - below) / 2;
		rc = store_run_find(store, middle, INT64_MAX, &found, err);
		if (rc == -1)
			return -1;
		if (rc == 1 && found.version > version)
			*out = found;
		else
			below = middle;
	}
	return 1;
}

static int
fail_unfinished(struct store *store, int64_t version, int64_t below,
    const char *flag, struct error *err)
{
	struct store_run above;
	int		 rc;

	rc = find_above(store, version, &above, err);
	if (rc == -1)
		return -1;
	if (below > 0 && rc == 1)
		return error_set(err, STATUS_NOT_FOUND, "%s: store %s has no"
		    " finished version %" PRId64 "; the nearest are %" PRId64
		    " and %" PRId64, flag, store_name(store), version, below,
		    above.version);
	return error_set(err, STATUS_NOT_FOUND, "%s: store %s has no finished"
	    " version %" PRId64 "; the nearest is %" PRId64, flag,
	    store_name(store), version, below > 0 ? below : above.version);
}

int
past_check_finished(struct store *store,
    const struct store_versions *versions, int64_t version, const char *flag,
    struct error *err)
{
	struct store_run run;

	if (versions->finished == 0)
		return fail_never(store, flag, err);
	if (version > versions->finished)
		return fail_above(store, versions, version, flag, err);
	if (store_run_find(store, version, INT64_MAX, &run, err) == -1)
		return -1;
	return run.version == version ? 0 : fail_unfinished(store, version,
	    run.version, flag, err);
}

int
past_check_shown(const struct store *store,
    const struct store_versions *versions, int64_t version, const char *flag,
    struct error *err)
{
	if (version >= versions->states_from)
		return 0;
	if (versions->states_from > versions->finished)
		return error_set(err, STATUS_NOT_FOUND, "%s: store %s keeps no"
		    " former states yet, so that version %" PRId64 " cannot be"
		    " shown; the next run begins to keep them", flag,
		    store_name(store), version);
	return error_set(err, STATUS_NOT_FOUND, "%s: version %" PRId64 " cannot"
	    " be shown any more: store %s keeps former states from version %"
	    PRId64 " on; name that one or a later one, or restore a backup"
	    " beside this store", flag, version, store_name(store),
	    versions->states_from);
}

int
past_check_complete(const struct store *store,
    const struct store_versions *versions, int64_t version, const char *flag,
    const char *hint, struct error *err)
{
	if (version > versions->finished)
		return fail_above(store, versions, version, flag, err);
	if (version >= versions->horizon)
		return 0;
	return error_set(err, STATUS_NOT_FOUND, "%s: changes since version %"
	    PRId64 " are not complete any more: store %s has lost tombstones"
	    " up to version %" PRId64 ", its horizon (nompd-sync prune); %s",
	    flag, version, store_name(store), versions->horizon, hint);
}

static int
fail_before(struct store *store, const struct store_versions *versions,
    const char *flag, struct error *err)
{
	struct store_run first;
	char		 time[CLOCK_TEXT_BYTES];

	if (versions->finished == 0)
		return fail_never(store, flag, err);
	if (find_above(store, 0, &first, err) == -1)
		return -1;
	clock_format(first.synced_at_ms, time);
	return error_set(err, STATUS_NOT_FOUND, "%s: no run had finished by"
	    " then; the first one that store %s tells of is version %" PRId64
	    ", finished at %s", flag, store_name(store), first.version, time);
}

int
past_find(struct store *store, const struct store_versions *versions,
    int64_t version, int64_t at_ms, const char *flag, struct store_run *out,
    struct error *err)
{
	int rc;

	if (version != INT64_MAX && versions->finished == 0)
		return fail_never(store, flag, err);
	if (version != INT64_MAX && version > versions->finished)
		return fail_above(store, versions, version, flag, err);
	rc = store_run_find(store, version, at_ms, out, err);
	return rc == 0 ? fail_before(store, versions, flag, err) :
	    rc == -1 ? -1 : 0;
}
