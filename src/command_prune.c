#include "command.h"

int
command_prune(const struct options *opts, struct error *err)
{
	(void)opts;
	return error_set(err, STATUS_USAGE, "prune: not built yet");
}
