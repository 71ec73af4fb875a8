#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "log.h"
#include "store_int.h"

void
store_trace_init(struct store_trace *trace)
{
	const char *text;

	text = getenv("NOMPD_STORE_TRACE");
	trace->is_logging = text != NULL && text[0] == '1';
	text = getenv("NOMPD_STORE_KILL_AT");
	if (text != NULL)
		trace->kill_at = strtoull(text, NULL, 10);
}

void
store_trace_step(struct store *store, const char *what, const char *on)
{
	struct store_trace *trace = &store->trace;

	trace->steps++;
	if (trace->is_logging)
		log_info("store step %" PRIu64 ": %s %s", trace->steps, what,
		    on);
	if (trace->steps == trace->kill_at)
		(void)raise(SIGKILL);
}
