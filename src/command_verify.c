#include "command.h"

int
command_verify(const struct options *opts, struct error *err)
{
	(void)opts;
	return error_set(err, STATUS_USAGE, "verify: not built yet");
}
