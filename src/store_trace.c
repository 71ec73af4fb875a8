#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "log.h"
#include "store_int.h"

static uint64_t
read_step(const char *variable)
{
	const char *text = getenv(variable);

	return text != NULL ? strtoull(text, NULL, 10) : 0;
}

void
store_trace_init(struct store_trace *trace)
{
	const char *text;

	text = getenv("NOMPD_STORE_TRACE");
	trace->is_logging = text != NULL && text[0] == '1';
	trace->kill_at = read_step("NOMPD_STORE_KILL_AT");
	trace->stop_at = read_step("NOMPD_STORE_STOP_AT");
	trace->lose_at = read_step("NOMPD_STORE_LOSE_AT");
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
	if (trace->steps == trace->stop_at)
		(void)raise(SIGSTOP);
}

bool
store_trace_loses(const struct store *store)
{
	return store->trace.lose_at != 0 &&
	    store->trace.steps == store->trace.lose_at;
}
