#include "command.h"
#include "command_verify_history.h"

int
command_verify(const struct options *opts, struct error *err)
{
	if (opts->with_history)
		return command_verify_history(opts, err);
	return error_set(err, STATUS_USAGE, "verify: not built yet");
}
