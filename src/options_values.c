#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "number.h"
#include "options_int.h"
#include "text.h"
#include "words.h"

/* A base URL; what servers and proxies take in a request line, with room. */
#define MAX_UPSTREAM_BYTES 2048
/* The name of a request header; servers refuse longer ones. */
#define MAX_HEADER_BYTES 256
/* A count of deletions; more records than any upstream has. */
#define MAX_DELETE_COUNT 1000000000
#define MAX_PERCENT	 100
#define MAX_PORT	 65535
/* Tries after the first; with the backoff these are hours already. */
#define MAX_RETRIES 100
/* Entries that history shows. */
#define MAX_LIMIT 1000000
/* Processes that serve one socket; each has its own view of the store. */
#define MAX_WORKERS 64
/* Longest times: one request a day, a run a week. */
#define MAX_TIMEOUT_MS	(24LL * 60 * 60 * 1000)
#define MAX_DEADLINE_MS (7LL * MAX_TIMEOUT_MS)

const char *
options_set_switch(bool *out, const char *value)
{
	static const char *const on[] = { "1", "true", "yes" };
	static const char *const off[] = { "0", "false", "no" };
	size_t			 i;

	for (i = 0; i < LENGTH(on); i++) {
		if (strcasecmp(value, on[i]) == 0 ||
		    strcasecmp(value, off[i]) == 0)
			break;
	}
	if (i == LENGTH(on))
		return "want 1 or 0, true or false, yes or no";
	*out = strcasecmp(value, on[i]) == 0;
	return NULL;
}

unsigned
options_find_name(const char *const names[], unsigned n, const char *value)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (strcmp(names[i], value) == 0)
			break;
	}
	return i;
}

const char *
options_set_command(char ***out, const char *value)
{
	*out = words_parse(value);
	if (*out != NULL)
		return NULL;
	return "want a program and its arguments, at most "
	       TEXT_OF(MAX_COMMAND_WORDS) " words between blanks or a JSON "
	       "array of texts";
}

/* host or host:port, without a user. */
static bool
is_authority(const char *text, size_t len)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char digits[] = "0123456789.";
	const char	 *p = text;
	uint64_t	  port;

	if (*p == '[') {
		p += 1 + strspn(p + 1, "0123456789abcdefABCDEF:.");
		if (p == text + 1 || *p++ != ']')
			return false;
	} else {
		while (p < text + len && (strchr(letters, *p) != NULL ||
		    strchr(digits, *p) != NULL || *p == '-' || *p == '_'))
			p++;
	}
	if (p == text || p == text + len)
		return p != text;
	return *p++ == ':' && number_read(&p, MAX_PORT, &port) && port > 0 &&
	    p == text + len;
}

/*
 * No control characters; in an http URL also no spaces and nothing but ASCII,
 * which a path on this machine may well have.
 */
static bool
is_plain(const char *url, bool is_file)
{
	unsigned char byte;

	for (; *url != '\0'; url++) {
		byte = (unsigned char)*url;
		if (byte < ' ' || byte == 0x7f ||
		    (!is_file && (byte == ' ' || byte > 0x7f)))
			return false;
	}
	return true;
}

const char *
options_set_upstream(struct options *opts, const char *value)
{
	const char *rest;
	size_t	    len;
	bool	    is_file;

	is_file = strncasecmp(value, "file://", 7) == 0;
	if (!is_file && strncasecmp(value, "http://", 7) != 0 &&
	    strncasecmp(value, "https://", 8) != 0)
		return "want a URL that starts with https://, http:// or "
		       "file://";
	rest = strstr(value, "://") + strlen("://");
	len = strcspn(rest, "/?#");
	if (memchr(rest, '@', len) != NULL)
		return "want no user or password in the URL; put the key in "
		       KEY_FILE_VARIABLE " or " KEY_VARIABLE;
	if (strpbrk(rest, "?#") != NULL)
		return "want a URL without a query or fragment";
	if (is_file && (len != 0 || *rest != '/'))
		return "want file:///PATH, a path from the root";
	if (!is_file && !is_authority(rest, len))
		return "want a host, alone or with a port from 1 to "
		       TEXT_OF(MAX_PORT);
	if (!is_plain(value, is_file))
		return "want a URL without spaces, control characters and "
		       "what is not ASCII (write %XX)";
	if (strlen(value) > MAX_UPSTREAM_BYTES)
		return "want at most " TEXT_OF(MAX_UPSTREAM_BYTES) " bytes";
	opts->upstream = value;
	return NULL;
}

const char *
options_set_upstream_key_header(struct options *opts, const char *value)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789"
				    "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (strspn(value, token) != strlen(value) ||
	    strlen(value) > MAX_HEADER_BYTES)
		return "want the name of a request header";
	opts->upstream_key_header = value;
	return NULL;
}

const char *
options_set_no_upstream_key(struct options *opts, const char *value)
{
	return options_set_switch(&opts->no_upstream_key, value);
}

const char *
options_set_store(struct options *opts, const char *value)
{
	return store_place_set(&opts->store, value);
}

const char *
options_set_from(struct options *opts, const char *value)
{
	return store_place_set(&opts->from, value);
}

const char *
options_set_to(struct options *opts, const char *value)
{
	return store_place_set(&opts->to, value);
}

const char *
options_set_dry_run(struct options *opts, const char *value)
{
	return options_set_switch(&opts->dry_run, value);
}

const char *
options_set_plan(struct options *opts, const char *value)
{
	opts->plan = true;
	opts->plan_file = strcmp(value, "-") == 0 ? NULL : value;
	return NULL;
}

/* "20%" or "50". */
static bool
parse_max_delete(const char *value, struct max_delete *out)
{
	uint64_t number;
	bool	 is_percent;

	if (!number_read(&value, MAX_DELETE_COUNT, &number))
		return false;
	is_percent = *value == '%';
	if (is_percent)
		value++;
	if (*value != '\0' || (is_percent && number > MAX_PERCENT))
		return false;
	*out = (struct max_delete){ is_percent, number };
	return true;
}

const char *
options_set_max_delete(struct options *opts, const char *value)
{
	if (parse_max_delete(value, &opts->max_delete))
		return NULL;
	return "want a percentage from 0% to " TEXT_OF(MAX_PERCENT) "% or a "
	       "count from 0 to " TEXT_OF(MAX_DELETE_COUNT);
}

const char *
options_set_retries(struct options *opts, const char *value)
{
	if (number_parse(value, 0, MAX_RETRIES, &opts->retries))
		return NULL;
	return "want a number from 0 to " TEXT_OF(MAX_RETRIES);
}

const char *
options_set_timeout(struct options *opts, const char *value)
{
	if (number_parse_duration(value, 1, MAX_TIMEOUT_MS, &opts->timeout_ms))
		return NULL;
	return "want a time such as 30s, 5m or 1h, from 1ms to 1d";
}

const char *
options_set_deadline(struct options *opts, const char *value)
{
	if (number_parse_duration(value, 1, MAX_DEADLINE_MS,
	    &opts->deadline_ms))
		return NULL;
	return "want a time such as 30s, 5m or 1h, from 1ms to 7d";
}

const char *
options_set_wait(struct options *opts, const char *value)
{
	if (number_parse_duration(value, 0, MAX_WAIT_MS, &opts->wait_ms))
		return NULL;
	return "want a time such as 30s, 5m or 1h, from 0s to 7d";
}

const char *
options_set_queue(struct options *opts, const char *value)
{
	return options_set_switch(&opts->queue, value);
}

const char *
options_set_job_id(struct options *opts, const char *value)
{
	if (!text_is_label(value, strlen(value)))
		return "want 1 to " TEXT_OF(MAX_LABEL_BYTES) " letters, digits,"
		       " dots, dashes or underscores";
	opts->job_id = value;
	return NULL;
}

const char *
options_set_ca_file(struct options *opts, const char *value)
{
	struct stat info;

	if (stat(value, &info) == -1 || S_ISDIR(info.st_mode) ||
	    access(value, R_OK) == -1)
		return "want a file that can be read";
	opts->ca_file = value;
	return NULL;
}

const char *
options_set_log_level(struct options *opts, const char *value)
{
	static const char *const names[LOG_LEVEL__MAX] = { "error", "warn",
		"info", "debug" };
	unsigned		 i;

	i = options_find_name(names, LOG_LEVEL__MAX, value);
	if (i == LOG_LEVEL__MAX)
		return "want error, warn, info or debug";
	opts->log_level = (enum log_level)i;
	return NULL;
}

const char *
options_set_log_format(struct options *opts, const char *value)
{
	static const char *const names[LOG_FORMAT__MAX] = { "text", "json" };
	unsigned		 i;

	i = options_find_name(names, LOG_FORMAT__MAX, value);
	if (i == LOG_FORMAT__MAX)
		return "want text or json";
	opts->log_format = (enum log_format)i;
	return NULL;
}

const char *
options_set_progress(struct options *opts, const char *value)
{
	static const char *const names[PROGRESS__MAX] = { "auto", "always",
		"never" };
	unsigned		 i;

	i = options_find_name(names, PROGRESS__MAX, value);
	if (i == PROGRESS__MAX)
		return "want auto, always or never";
	opts->progress = (enum progress_mode)i;
	return NULL;
}

const char *
options_set_limit(struct options *opts, const char *value)
{
	if (number_parse(value, 1, MAX_LIMIT, &opts->limit))
		return NULL;
	return "want a number from 1 to " TEXT_OF(MAX_LIMIT);
}

const char *
options_set_format(struct options *opts, const char *value)
{
	static const char *const names[OUTPUT__MAX] = { "table", "json" };
	unsigned		 i;

	i = options_find_name(names, OUTPUT__MAX, value);
	if (i == OUTPUT__MAX)
		return "want table or json";
	opts->format = (enum output_format)i;
	return NULL;
}

const char *
options_set_api_keys_file(struct options *opts, const char *value)
{
	opts->api_keys_file = value;
	return NULL;
}

const char *
options_set_sync_command(struct options *opts, const char *value)
{
	return options_set_command(&opts->sync_command, value);
}

const char *
options_set_workers(struct options *opts, const char *value)
{
	if (number_parse(value, 1, MAX_WORKERS, &opts->workers))
		return NULL;
	return "want a number from 1 to " TEXT_OF(MAX_WORKERS);
}

const char *
options_set_scope(struct options *opts, const char *value)
{
	enum apikey_scope scope;

	scope = apikey_scope_find(value);
	if (scope == APIKEY_SCOPE__MAX)
		return "want read or sync";
	opts->scope = scope;
	return NULL;
}

const char *
options_set_version(struct options *opts, const char *value)
{
	return options_set_switch(&opts->version, value);
}

const char *
options_set_help(struct options *opts, const char *value)
{
	return options_set_switch(&opts->help, value);
}

const char *
options_variable(const char *name)
{
	const char *value;

	value = getenv(name);
	return value != NULL && value[0] != '\0' ? value : NULL;
}
