#include <jansson.h>

#include "command.h"
#include "log.h"
#include "run.h"

int
command_prune(const struct options *opts, struct error *err)
{
	struct prune_result result = { 0 };
	json_t		   *object;

	if (run_prune(opts, &result, err) == -1)
		return -1;
	object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	    "version", (json_int_t)result.run.version,
	    "tombstones", (json_int_t)result.tombstones,
	    "states", (json_int_t)result.states,
	    "entries", (json_int_t)result.entries,
	    "horizon", (json_int_t)result.horizon,
	    "statesFrom", (json_int_t)result.states_from,
	    "durationMs", (json_int_t)result.run.duration_ms);
	if (command_print(object, err) == 0)
		return 0;
	if (opts->dry_run)
		return -1;
	/* What is done is done: that is no failure. */
	log_error("%s; version %lld is the last one all the same (see"
	    " nompd-sync history)", err->text, (long long)result.run.version);
	return 0;
}
