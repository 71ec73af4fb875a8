#include "command.h"

int
command_diff(const struct options *opts, struct error *err)
{
	(void)opts;
	return error_set(err, STATUS_USAGE, "diff: not built yet");
}
