#include "command.h"

int
command_rollback(const struct options *opts, struct error *err)
{
	(void)opts;
	return error_set(err, STATUS_USAGE, "rollback: not built yet");
}
