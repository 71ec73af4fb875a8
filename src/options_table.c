/* The options of both programs, in the order that --help shows them. */
#include "job.h"
#include "options_int.h"

#define FOR_RUN	     FOR(COMMAND_RUN)
#define FOR_COPY     FOR(COMMAND_COPY)
#define FOR_DIFF     FOR(COMMAND_DIFF)
#define FOR_ROLLBACK FOR(COMMAND_ROLLBACK)
#define FOR_PRUNE    FOR(COMMAND_PRUNE)
#define FOR_VERIFY   FOR(COMMAND_VERIFY)
#define FOR_EXPORT   FOR(COMMAND_EXPORT)
#define FOR_WRITERS \
	(FOR(COMMAND_RUN) | FOR(COMMAND_RECONVERT) | FOR_ROLLBACK | FOR_PRUNE)
#define FOR_LEASE    (FOR_WRITERS | FOR_COPY | FOR_VERIFY)
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

const struct option_row option_rows[] = {
	{ "--mode", "NOMPD_MODE", " MODE", "api", options_set_mode, FOR_RUN,
	    "How to fetch: api (the three lists) or bulk (FHIR Bulk Data "
	    "Export)." },
	{ "--upstream", "NOMPD_UPSTREAM_URL", " URL", NULL,
	    options_set_upstream,
	    FOR_RUN, "The upstream's base URL: https, http or file." },
	{ "--upstream-key-header", "NOMPD_UPSTREAM_KEY_HEADER", " NAME",
	    "X-API-KEY", options_set_upstream_key_header, FOR_RUN | HIDE_VALUE,
	    "The request header that carries the key." },
	{ "--no-upstream-key", "NOMPD_NO_UPSTREAM_KEY", NULL, NULL,
	    options_set_no_upstream_key, FOR_RUN,
	    "The upstream takes no key; without this a missing one is an "
	    "error." },
	{ "--store", "NOMPD_STORE", " URI", "sqlite:nompd.db",
	    options_set_store,
	    FOR_STORE, "The store: sqlite:PATH or mongodb://HOST/DATABASE." },
	{ "--from", "NOMPD_COPY_FROM", " URI", NULL, options_set_from, FOR_COPY,
	    "copy: the store to copy." },
	{ "--to", "NOMPD_COPY_TO", " URI", NULL, options_set_to, FOR_COPY,
	    "copy: the store to make of it." },
	{ "--dry-run", "NOMPD_DRY_RUN", NULL, NULL,
	    options_set_dry_run, FOR_WRITERS,
	    "Print the result there would be; write nothing." },
	{ "--plan", "NOMPD_PLAN", "[=FILE]", NULL,
	    options_set_plan, FOR_WRITERS & ~FOR_PRUNE,
	    "List every change as a JSON line, in FILE or, without FILE or "
	    "with -, on standard error." },
	{ "--max-delete", "NOMPD_MAX_DELETE", " N|N%", "20%",
	    options_set_max_delete,
	    FOR_RUN | FOR_ROLLBACK | FOR_VERIFY,
	    "Hold a run that would delete more than 10 records and more than "
	    "this share of a collection; a plain number: more than this many "
	    "records.  100% lets everything through." },
	{ "--retries", "NOMPD_RETRIES", " N", "4", options_set_retries, FOR_RUN,
	    "How often a request that failed is tried again." },
	{ "--timeout", "NOMPD_TIMEOUT", " TIME", "5m",
	    options_set_timeout, FOR_RUN,
	    "The longest that one request may take: 500ms, 30s, 5m, 1h, 2d, "
	    "or plain seconds." },
	{ "--deadline", "NOMPD_DEADLINE", " TIME", "1h", options_set_deadline,
	    FOR_LEASE, "The longest that the whole run may take." },
	{ "--wait", "NOMPD_WAIT", " TIME", "0s", options_set_wait, FOR_LEASE,
	    "How long to wait for another run to end." },
	{ "--wait", "NOMPD_ABORT_WAIT", "[=TIME]", NULL,
	    options_set_abort_wait, FOR_ABORT,
	    "abort: wait until the job has ended, without TIME as long as it "
	    "takes." },
	{ "--reason", "NOMPD_ABORT_REASON", " TEXT", NULL, options_set_reason,
	    FOR_ABORT, "abort: why, for those who look at the job." },
	{ "--from", NULL, " VERSION", NULL, options_set_from_version, FOR_DIFF,
	    "diff: the earlier version." },
	{ "--to", NULL, " VERSION", NULL, options_set_to_version,
	    FOR_DIFF | FOR_ROLLBACK,
	    "diff: the later version, by default the last one; rollback: the "
	    "version whose data is to be live again." },
	{ "--reason", NULL, " TEXT", NULL, options_set_reason, FOR_ROLLBACK,
	    "rollback: why, for the history." },
	{ "--as-of", NULL, " WHEN", NULL, options_set_as_of,
	    FOR(COMMAND_SHOW),
	    "show: the record as it was at a version, or on a day or at an "
	    "instant (UTC)." },
	{ "--history", NULL, NULL, NULL, options_set_with_history,
	    FOR(COMMAND_SHOW) | FOR_VERIFY,
	    "show: all states of the record that are kept; verify: the chain "
	    "of the history alone." },
	{ "--history-older-than", "NOMPD_PRUNE_HISTORY", " AGE", NULL,
	    options_set_history_age, FOR_PRUNE,
	    "prune: remove older history entries." },
	{ "--tombstones-older-than", "NOMPD_PRUNE_TOMBSTONES", " AGE", NULL,
	    options_set_tombstones_age, FOR_PRUNE,
	    "prune: remove older tombstones." },
	{ "--states-older-than", "NOMPD_PRUNE_STATES", " AGE", NULL,
	    options_set_states_age, FOR_PRUNE,
	    "prune: remove former states that were replaced longer ago." },
	{ "--repair", NULL, NULL, NULL, options_set_repair, FOR_VERIFY,
	    "verify: mend what can be derived: hashes, indexes, outputs." },
	{ "--head", NULL, " DIGEST", NULL, options_set_head, FOR_VERIFY,
	    "verify --history: the digest of an entry, which the history must "
	    "have." },
	{ "--since", NULL, " VERSION", NULL, options_set_since_version,
	    FOR_EXPORT,
	    "export: only what changed since a version, tombstones "
	    "included." },
	{ "--seal-key-file", "NOMPD_SEAL_KEY_FILE", " FILE", NULL,
	    options_set_seal_key_file, FOR_WRITERS | FOR_VERIFY,
	    "The key (JWK, Ed25519) that signs each history entry; verify "
	    "checks them with it, or with its public half." },
	{ "--queue", "NOMPD_QUEUE", NULL, NULL, options_set_queue, FOR_WRITERS,
	    "Wait for other runs to end, in order of arrival, until "
	    "--deadline, or as long as --wait says." },
	{ "--job-id", "NOMPD_JOB_ID", " ID", NULL,
	    options_set_job_id, FOR_WRITERS,
	    "The id of this run's job; without it a new one is made." },
	{ "--ca-file", "NOMPD_CA_FILE", " FILE", NULL,
	    options_set_ca_file, FOR_RUN,
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
	    "to nompd-key.json by default, one for Ed25519 to "
	    "nompd-seal-key.json." },
	{ "--public-jwks-file", "NOMPD_PUBLIC_JWKS_FILE", " FILE",
	    "nompd-jwks.json", options_set_public_jwks_file, FOR_KEYGEN,
	    "keygen: the public JWK Set, to be registered at the server, or "
	    "to check signatures with." },
	{ "--alg", "NOMPD_ALG", " ALG", "ES384", options_set_alg, FOR_KEYGEN,
	    "keygen: the key's algorithm: ES384 or RS384 for a client of SMART "
	    "Backend Services, Ed25519 for --seal-key-file." },
	{ "--token-url", "NOMPD_TOKEN_URL", " URL", NULL,
	    options_set_token_url, FOR_RUN,
	    "bulk: the token endpoint; without it what the server's "
	    ".well-known/smart-configuration names." },
	{ "--token-scope", "NOMPD_TOKEN_SCOPE", " SCOPES", NULL,
	    options_set_token_scope, FOR_RUN,
	    "bulk: the scopes to ask for; without it reading the wanted "
	    "types." },
	{ "--log-level", "NOMPD_LOG_LEVEL", " LEVEL", "info",
	    options_set_log_level,
	    FOR_ALL, "Log this and what is worse: error, warn, info, debug." },
	{ "--log-format", "NOMPD_LOG_FORMAT", " FORMAT", "text",
	    options_set_log_format, FOR_ALL, "Log lines as text or json." },
	{ "--progress", "NOMPD_PROGRESS", " WHEN", "auto", options_set_progress,
	    FOR_SYNC, "Show a progress line: auto (on a terminal, text log), "
	    "always, never." },
	{ "--limit", "NOMPD_LIMIT", " N", "10", options_set_limit, FOR_LISTS,
	    "history, jobs: how many to list." },
	{ "--format", "NOMPD_FORMAT", " FORMAT", "table", options_set_format,
	    FOR_LISTS | FOR_STATUS | FOR_ABORT | FOR_DIFF | FOR_VERIFY,
	    "history, jobs, status, abort, diff, verify: what to print: table "
	    "or json." },
	{ "--max-age", "NOMPD_MAX_AGE", " TIME", "26h", options_set_max_age,
	    FOR_STATUS, "status: how old the last finished run may be." },
	{ "--watch", "NOMPD_WATCH", NULL, NULL, options_set_watch, FOR_STATUS,
	    "status: follow the job until it ends." },
	{ "--api-keys-file", "NOMPD_API_KEYS_FILE", " FILE", NULL,
	    options_set_api_keys_file, FOR_SERVE | FOR_KEYS,
	    "The keys of the API, as hashes; others may not read it." },
	{ "--sync-command", "NOMPD_SYNC_COMMAND", " COMMAND", NULL,
	    options_set_sync_command, FOR_SERVE | HIDE_VALUE,
	    "What POST /api/internal/sync and POST /api/v1/jobs start: words "
	    "between blanks, or a JSON array of texts; no shell.  Without it "
	    "nothing can be started.  NOMPD_JOB_ID tells it the id of its "
	    "job." },
	{ "--workers", "NOMPD_WORKERS", " N", "1",
	    options_set_workers, FOR_SERVE,
	    "FastCGI: how many processes serve the socket." },
	{ "--scope", NULL, " SCOPE", "read",
	    options_set_scope, FOR(COMMAND_KEY_ADD),
	    "key add: what the key may do: read, or sync (read, and start a "
	    "run)." },
	{ "--version", NULL, NULL, NULL, options_set_version, FOR_ALL,
	    "Print the version and end." },
	{ "--help", NULL, NULL, NULL, options_set_help, FOR_ALL,
	    "Print this text and end." },
};
const size_t option_count = LENGTH(option_rows);
