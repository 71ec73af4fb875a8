/* Options of the commands that look at jobs, and what the rows cannot say. */
#include <string.h>

#include "job.h"
#include "number.h"
#include "options_int.h"
#include "text.h"

/* The largest age of a finished run that can be asked for: ten years. */
#define MAX_AGE_MS (3650LL * 24 * 60 * 60 * 1000)

const char *
options_set_max_age(struct options *opts, const char *value)
{
	if (number_parse_duration(value, 0, MAX_AGE_MS, &opts->max_age_ms))
		return NULL;
	return "want a time such as 90m, 26h or 2d, at most 3650d";
}

const char *
options_set_watch(struct options *opts, const char *value)
{
	return options_set_switch(&opts->watch, value);
}

const char *
options_set_abort_wait(struct options *opts, const char *value)
{
	if (strcmp(value, "-") == 0)
		opts->wait_ms = INT64_MAX;
	else if (!number_parse_duration(value, 0, MAX_WAIT_MS, &opts->wait_ms))
		return "want a time such as 30s, 5m or 1h, from 0s to 7d";
	opts->waits = true;
	return NULL;
}

const char *
options_set_reason(struct options *opts, const char *value)
{
	if (strlen(value) > MAX_JOB_REASON || !text_is_plain(value))
		return "want a text in UTF-8 of at most "
		       TEXT_OF(MAX_JOB_REASON) " bytes, without control"
		       " characters";
	opts->reason = value;
	return NULL;
}

void
options_check_job(struct parse *parse)
{
	char	    shown[MAX_SHOWN_BYTES];
	const char *id;

	if (parse->n_arguments == 0)
		return;
	id = parse->arguments[0];
	parse->opts->job = id;
	if (!text_is_label(id, strlen(id)))
		options_fault(parse, "%s: want the id of a job, 1 to %d "
		    "letters, digits, '.', '_' and '-'; have \"%s\"",
		    command_rows[parse->command].name, MAX_JOB_ID,
		    options_shown(shown, id));
}
