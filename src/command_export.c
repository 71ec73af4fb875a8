#include "command.h"

int
command_export(const struct options *opts, struct error *err)
{
	(void)opts;
	return error_set(err, STATUS_USAGE, "export: not built yet");
}
