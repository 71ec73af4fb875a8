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

#define FOR_RUN	     FOR(COMMAND_RUN)
#define FOR_COPY     FOR(COMMAND_COPY)
#define FOR_WRITERS  (FOR(COMMAND_RUN) | FOR(COMMAND_RECONVERT))
#define FOR_LEASE    (FOR_WRITERS | FOR_COPY)
#define FOR_STATUS   FOR(COMMAND_STATUS)
#define FOR_ABORT    FOR(COMMAND_ABORT)
#define FOR_LISTS    (FOR(COMMAND_HISTORY) | FOR(COMMAND_JOBS))
#define FOR_KEYGEN   FOR(COMMAND_KEYGEN)
#define FOR_SERVE    FOR(COMMAND_SERVE)
#define FOR_ALL	     (FOR(COMMAND__MAX) - 1)
#define FOR_KEYS \
	(FOR(COMMAND_KEY_ADD) | FOR(COMMAND_KEY_LIST) | \
	FOR(COMMAND_KEY_REVOKE))
#define FOR_STORE    (FOR_ALL & ~FOR_KEYS & ~FOR_COPY & ~FOR_KEYGEN)
#define FOR_SYNC     (FOR_ALL & ~FOR_KEYS & ~FOR_SERVE)

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

static const char *
set_upstream(struct options *opts, const char *value)
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

static const char *
set_upstream_key_header(struct options *opts, const char *value)
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

static const char *
set_no_upstream_key(struct options *opts, const char *value)
{
	return options_set_switch(&opts->no_upstream_key, value);
}

static const char *
set_store(struct options *opts, const char *value)
{
	return store_place_set(&opts->store, value);
}

static const char *
set_from(struct options *opts, const char *value)
{
	return store_place_set(&opts->from, value);
}

static const char *
set_to(struct options *opts, const char *value)
{
	return store_place_set(&opts->to, value);
}

static const char *
set_dry_run(struct options *opts, const char *value)
{
	return options_set_switch(&opts->dry_run, value);
}

static const char *
set_plan(struct options *opts, const char *value)
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

static const char *
set_max_delete(struct options *opts, const char *value)
{
	if (parse_max_delete(value, &opts->max_delete))
		return NULL;
	return "want a percentage from 0% to " TEXT_OF(MAX_PERCENT) "% or a "
	       "count from 0 to " TEXT_OF(MAX_DELETE_COUNT);
}

static const char *
set_retries(struct options *opts, const char *value)
{
	if (number_parse(value, 0, MAX_RETRIES, &opts->retries))
		return NULL;
	return "want a number from 0 to " TEXT_OF(MAX_RETRIES);
}

static const char *
set_timeout(struct options *opts, const char *value)
{
	if (number_parse_duration(value, 1, MAX_TIMEOUT_MS, &opts->timeout_ms))
		return NULL;
	return "want a time such as 30s, 5m or 1h, from 1ms to 1d";
}

static const char *
set_deadline(struct options *opts, const char *value)
{
	if (number_parse_duration(value, 1, MAX_DEADLINE_MS,
	    &opts->deadline_ms))
		return NULL;
	return "want a time such as 30s, 5m or 1h, from 1ms to 7d";
}

static const char *
set_wait(struct options *opts, const char *value)
{
	if (number_parse_duration(value, 0, MAX_WAIT_MS, &opts->wait_ms))
		return NULL;
	return "want a time such as 30s, 5m or 1h, from 0s to 7d";
}

static const char *
set_queue(struct options *opts, const char *value)
{
	return options_set_switch(&opts->queue, value);
}

static const char *
set_job_id(struct options *opts, const char *value)
{
	if (!text_is_label(value, strlen(value)))
		return "want 1 to " TEXT_OF(MAX_LABEL_BYTES) " letters, digits,"
		       " dots, dashes or underscores";
	opts->job_id = value;
	return NULL;
}

static const char *
set_ca_file(struct options *opts, const char *value)
{
	struct stat info;

	if (stat(value, &info) == -1 || S_ISDIR(info.st_mode) ||
	    access(value, R_OK) == -1)
		return "want a file that can be read";
	opts->ca_file = value;
	return NULL;
}

static const char *
set_log_level(struct options *opts, const char *value)
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

static const char *
set_log_format(struct options *opts, const char *value)
{
	static const char *const names[LOG_FORMAT__MAX] = { "text", "json" };
	unsigned		 i;

	i = options_find_name(names, LOG_FORMAT__MAX, value);
	if (i == LOG_FORMAT__MAX)
		return "want text or json";
	opts->log_format = (enum log_format)i;
	return NULL;
}

static const char *
set_progress(struct options *opts, const char *value)
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

static const char *
set_limit(struct options *opts, const char *value)
{
	if (number_parse(value, 1, MAX_LIMIT, &opts->limit))
		return NULL;
	return "want a number from 1 to " TEXT_OF(MAX_LIMIT);
}

static const char *
set_format(struct options *opts, const char *value)
{
	static const char *const names[OUTPUT__MAX] = { "table", "json" };
	unsigned		 i;

	i = options_find_name(names, OUTPUT__MAX, value);
	if (i == OUTPUT__MAX)
		return "want table or json";
	opts->format = (enum output_format)i;
	return NULL;
}

static const char *
set_api_keys_file(struct options *opts, const char *value)
{
	opts->api_keys_file = value;
	return NULL;
}

static const char *
set_sync_command(struct options *opts, const char *value)
{
	return options_set_command(&opts->sync_command, value);
}

static const char *
set_workers(struct options *opts, const char *value)
{
	if (number_parse(value, 1, MAX_WORKERS, &opts->workers))
		return NULL;
	return "want a number from 1 to " TEXT_OF(MAX_WORKERS);
}

static const char *
set_scope(struct options *opts, const char *value)
{
	enum apikey_scope scope;

	scope = apikey_scope_find(value);
	if (scope == APIKEY_SCOPE__MAX)
		return "want read or sync";
	opts->scope = scope;
	return NULL;
}

static const char *
set_version(struct options *opts, const char *value)
{
	return options_set_switch(&opts->version, value);
}

static const char *
set_help(struct options *opts, const char *value)
{
	return options_set_switch(&opts->help, value);
}

const struct option_row option_rows[] = {
	{ "--mode", "NOMPD_MODE", " MODE", "api", options_set_mode, FOR_RUN,
	    "How to fetch: api (the three lists) or bulk (FHIR Bulk Data "
	    "Export)." },
	{ "--upstream", "NOMPD_UPSTREAM_URL", " URL", NULL, set_upstream,
	    FOR_RUN, "The upstream's base URL: https, http or file." },
	{ "--upstream-key-header", "NOMPD_UPSTREAM_KEY_HEADER", " NAME",
	    "X-API-KEY", set_upstream_key_header, FOR_RUN | HIDE_VALUE,
	    "The request header that carries the key." },
	{ "--no-upstream-key", "NOMPD_NO_UPSTREAM_KEY", NULL, NULL,
	    set_no_upstream_key, FOR_RUN,
	    "The upstream takes no key; without this a missing one is an "
	    "error." },
	{ "--store", "NOMPD_STORE", " URI", "sqlite:nompd.db", set_store,
	    FOR_STORE, "The store: sqlite:PATH or mongodb://HOST/DATABASE." },
	{ "--from", "NOMPD_COPY_FROM", " URI", NULL, set_from, FOR_COPY,
	    "copy: the store to copy." },
	{ "--to", "NOMPD_COPY_TO", " URI", NULL, set_to, FOR_COPY,
	    "copy: the store to make of it." },
	{ "--dry-run", "NOMPD_DRY_RUN", NULL, NULL, set_dry_run, FOR_WRITERS,
	    "Print the result there would be; write nothing." },
	{ "--plan", "NOMPD_PLAN", "[=FILE]", NULL, set_plan, FOR_WRITERS,
	    "List every change as a JSON line, in FILE or, without FILE or "
	    "with -, on standard error." },
	{ "--max-delete", "NOMPD_MAX_DELETE", " N|N%", "20%", set_max_delete,
	    FOR_RUN,
	    "Hold a run that would delete more than 10 records and more than "
	    "this share of a collection; a plain number: more than this many "
	    "records.  100% lets everything through." },
	{ "--retries", "NOMPD_RETRIES", " N", "4", set_retries, FOR_RUN,
	    "How often a request that failed is tried again." },
	{ "--timeout", "NOMPD_TIMEOUT", " TIME", "5m", set_timeout, FOR_RUN,
	    "The longest that one request may take: 500ms, 30s, 5m, 1h, 2d, "
	    "or plain seconds." },
	{ "--deadline", "NOMPD_DEADLINE", " TIME", "1h", set_deadline,
	    FOR_LEASE, "The longest that the whole run may take." },
	{ "--wait", "NOMPD_WAIT", " TIME", "0s", set_wait, FOR_LEASE,
	    "How long to wait for another run to end." },
	{ "--wait", "NOMPD_ABORT_WAIT", "[=TIME]", NULL,
	    options_set_abort_wait, FOR_ABORT,
	    "abort: wait until the job has ended, without TIME as long as it "
	    "takes." },
	{ "--reason", "NOMPD_ABORT_REASON", " TEXT", NULL, options_set_reason,
	    FOR_ABORT, "abort: why, for those who look at the job." },
	{ "--queue", "NOMPD_QUEUE", NULL, NULL, set_queue, FOR_WRITERS,
	    "Wait for other runs to end, in order of arrival, until "
	    "--deadline, or as long as --wait says." },
	{ "--job-id", "NOMPD_JOB_ID", " ID", NULL, set_job_id, FOR_WRITERS,
	    "The id of this run's job; without it a new one is made." },
	{ "--ca-file", "NOMPD_CA_FILE", " FILE", NULL, set_ca_file, FOR_RUN,
	    "Certificates (PEM) to trust instead of the system's." },
	{ "--metrics-file", "NOMPD_METRICS_FILE", " FILE", NULL,
	    options_set_metrics_file, FOR_WRITERS,
	    "Replace FILE by the metrics of the run when it has ended; for "
	    "node_exporter a name that ends in .prom." },
	{ "--notify-command", "NOMPD_NOTIFY_COMMAND", " COMMAND", NULL,
	    options_set_notify_command, FOR_WRITERS | HIDE_VALUE,
	    "What is started when a run has ended, with the job as JSON on "
	    "its standard input: words between blanks, or a JSON array of "
	    "texts; no shell." },
	{ "--type", "NOMPD_TYPE", " TYPES", NULL, options_set_type, FOR_RUN,
	    "bulk: the resource types, between commas; without it all that the"
	    " server gives." },
	{ "--patients", "NOMPD_PATIENTS", NULL, NULL, options_set_patients,
	    FOR_RUN, "bulk: export the data of all patients." },
	{ "--group", "NOMPD_GROUP", " ID", NULL, options_set_group, FOR_RUN,
	    "bulk: export the data of the patients of a Group." },
	{ "--type-filter", "NOMPD_TYPE_FILTER", " FILTERS", NULL,
	    options_set_type_filter, FOR_RUN,
	    "bulk: FHIR searches that narrow types, between blanks." },
	{ "--elements", "NOMPD_ELEMENTS", " NAMES", NULL, options_set_elements,
	    FOR_RUN, "bulk: only these elements of the resources." },
	{ "--kick-off", "NOMPD_KICK_OFF", " METHOD", "auto",
	    options_set_kick_off, FOR_RUN,
	    "bulk: ask for the export by get, post, or whichever the server"
	    " takes (auto)." },
	{ "--max-downloads", "NOMPD_MAX_DOWNLOADS", " N", "4",
	    options_set_max_downloads, FOR_RUN,
	    "bulk: how many files to fetch side by side." },
	{ "--max-poll-wait", "NOMPD_MAX_POLL_WAIT", " TIME", "10m",
	    options_set_max_poll_wait, FOR_RUN,
	    "bulk: the longest wait that the server's Retry-After may cause "
	    "between two questions for the export's state." },
	{ "--save", "NOMPD_SAVE", " HOW", "auto", options_set_save, FOR_RUN,
	    "bulk: overwrite (what is absent is deleted), merge (only what the "
	    "server names as deleted is) or auto: merge for an incremental "
	    "export, overwrite for a full one." },
	{ "--since", "NOMPD_SINCE", " WHEN", NULL, options_set_since, FOR_RUN,
	    "bulk: only what changed since the last run (auto) or an instant; "
	    "without it all." },
	{ "--full-refresh", "NOMPD_FULL_REFRESH", NULL, NULL,
	    options_set_full_refresh, FOR_RUN,
	    "bulk: export all, whatever --since says." },
	{ "--overlap", "NOMPD_OVERLAP", " TIME", "10m", options_set_overlap,
	    FOR_RUN,
	    "bulk: how far before the last export's time --since auto asks." },
	{ "--reconcile-every", "NOMPD_RECONCILE_EVERY", " N", "0",
	    options_set_reconcile_every, FOR_RUN,
	    "bulk: with --since auto, make every Nth run a full one that "
	    "overwrites; 0: none." },
	{ "--on-bad-record", "NOMPD_ON_BAD_RECORD", " WHAT", "fail",
	    options_set_on_bad_record, FOR_RUN,
	    "bulk: fail, or quarantine: keep the line with the reason, and go "
	    "on." },
	{ "--max-bad", "NOMPD_MAX_BAD", " N", "100", options_set_max_bad,
	    FOR_RUN, "bulk: how many lines a run may put into quarantine." },
	{ "--no-resume", "NOMPD_NO_RESUME", NULL, NULL, options_set_no_resume,
	    FOR_RUN,
	    "bulk: do not go on with an export that a killed run left." },
	{ "--spool", "NOMPD_SPOOL", " DIR", NULL, options_set_spool, FOR_RUN,
	    "bulk: the folder for files until they are published; without it "
	    "one beside the store." },
	{ "--client-id", "NOMPD_CLIENT_ID", " ID", NULL, options_set_client_id,
	    FOR_RUN, "bulk: the client of SMART Backend Services." },
	{ "--private-key-file", "NOMPD_PRIVATE_KEY_FILE", " FILE", NULL,
	    options_set_private_key_file, FOR_RUN | FOR_KEYGEN,
	    "The client's private key (JWK, ES384 or RS384); keygen writes it, "
	    "to nompd-key.json by default." },
	{ "--public-jwks-file", "NOMPD_PUBLIC_JWKS_FILE", " FILE",
	    "nompd-jwks.json", options_set_public_jwks_file, FOR_KEYGEN,
	    "keygen: the public JWK Set, to be registered at the server." },
	{ "--alg", "NOMPD_ALG", " ALG", "ES384", options_set_alg, FOR_KEYGEN,
	    "keygen: the key's algorithm: ES384 or RS384." },
	{ "--token-url", "NOMPD_TOKEN_URL", " URL", NULL,
	    options_set_token_url, FOR_RUN,
	    "bulk: the token endpoint; without it what the server's "
	    ".well-known/smart-configuration names." },
	{ "--token-scope", "NOMPD_TOKEN_SCOPE", " SCOPES", NULL,
	    options_set_token_scope, FOR_RUN,
	    "bulk: the scopes to ask for; without it reading the wanted "
	    "types." },
	{ "--log-level", "NOMPD_LOG_LEVEL", " LEVEL", "info", set_log_level,
	    FOR_ALL, "Log this and what is worse: error, warn, info, debug." },
	{ "--log-format", "NOMPD_LOG_FORMAT", " FORMAT", "text",
	    set_log_format, FOR_ALL, "Log lines as text or json." },
	{ "--progress", "NOMPD_PROGRESS", " WHEN", "auto", set_progress,
	    FOR_SYNC, "Show a progress line: auto (on a terminal, text log), "
	    "always, never." },
	{ "--limit", "NOMPD_LIMIT", " N", "10", set_limit, FOR_LISTS,
	    "history, jobs: how many to list." },
	{ "--format", "NOMPD_FORMAT", " FORMAT", "table", set_format,
	    FOR_LISTS | FOR_STATUS | FOR_ABORT,
	    "history, jobs, status, abort: what to print: table or json." },
	{ "--max-age", "NOMPD_MAX_AGE", " TIME", "26h", options_set_max_age,
	    FOR_STATUS, "status: how old the last finished run may be." },
	{ "--watch", "NOMPD_WATCH", NULL, NULL, options_set_watch, FOR_STATUS,
	    "status: follow the job until it ends." },
	{ "--api-keys-file", "NOMPD_API_KEYS_FILE", " FILE", NULL,
	    set_api_keys_file, FOR_SERVE | FOR_KEYS,
	    "The keys of the API, as hashes; others may not read it." },
	{ "--sync-command", "NOMPD_SYNC_COMMAND", " COMMAND", NULL,
	    set_sync_command, FOR_SERVE | HIDE_VALUE,
	    "What POST /api/internal/sync and POST /api/v1/jobs start: words "
	    "between blanks, or a JSON array of texts; no shell.  Without it "
	    "nothing can be started.  NOMPD_JOB_ID tells it the id of its "
	    "job." },
	{ "--workers", "NOMPD_WORKERS", " N", "1", set_workers, FOR_SERVE,
	    "FastCGI: how many processes serve the socket." },
	{ "--scope", NULL, " SCOPE", "read", set_scope, FOR(COMMAND_KEY_ADD),
	    "key add: what the key may do: read, or sync (read, and start a "
	    "run)." },
	{ "--version", NULL, NULL, NULL, set_version, FOR_ALL,
	    "Print the version and end." },
	{ "--help", NULL, NULL, NULL, set_help, FOR_ALL,
	    "Print this text and end." },
};
const size_t option_count = LENGTH(option_rows);
