/* The commands of both programs. */
#include "options_int.h"

const struct command_row command_rows[COMMAND__MAX] = {
	[COMMAND_RUN] = { NULL, "", 0, 0, "one run: fetch, compare, write" },
	[COMMAND_INIT] = { "init", "", 0, 0, "make an empty store" },
	[COMMAND_HISTORY] = { "history", "", 0, 0, "list the last runs" },
	[COMMAND_SHOW] = { "show", " COLLECTION KEY", 2, 2,
	    "print one record as JSON" },
	[COMMAND_RECONVERT] = { "reconvert", "", 0, 0,
	    "convert the stored resources again" },
	[COMMAND_COPY] = { "copy", "", 0, 0,
	    "copy a whole store into another one" },
	[COMMAND_KEYGEN] = { "keygen", "", 0, 0,
	    "make a key pair for SMART Backend Services" },
	[COMMAND_STATUS] = { "status", " [JOB]", 0, 1,
	    "show the active job, or the last one, and whether the last "
	    "finished run is new enough" },
	[COMMAND_JOBS] = { "jobs", "", 0, 0, "list the last jobs" },
	[COMMAND_ABORT] = { "abort", " [JOB]", 0, 1,
	    "ask the active job to end" },
	[COMMAND_SERVE] = { NULL, "", 0, 0,
	    "answer a web server: CGI, or FastCGI when standard input is a "
	    "listening socket" },
	[COMMAND_KEY_ADD] = { "key add", " NAME", 1, 1,
	    "make a key for a consumer and print it, this once" },
	[COMMAND_KEY_LIST] = { "key list", "", 0, 0, "list the keys' names" },
	[COMMAND_KEY_REVOKE] = { "key revoke", " NAME", 1, 1,
	    "make a consumer's key worthless" },
};
