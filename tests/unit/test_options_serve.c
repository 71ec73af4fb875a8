/* The options of nompd-serve; what both programs share is in the other two. */
#include "optionslib.h"

/* A keys file need not be there: only its name is looked at here. */
#define FILE_OF_KEYS "--api-keys-file=/k "
#define N16 "abcdefghijkl.N_-"
#define N64 N16 N16 N16 N16

static void
serve_setup(void)
{
	setup();
	program = &program_serve;
}

START_TEST(defaults)
{
	assert_good("");
	ck_assert_int_eq(opts.command, COMMAND_SERVE);
	ck_assert(!opts.help && !opts.version);
	ck_assert_str_eq(opts.store.uri, "sqlite:nompd.db");
	ck_assert_ptr_null(opts.api_keys_file);
	ck_assert_ptr_null(opts.sync_command);
	ck_assert_uint_eq(opts.workers, 1);
	ck_assert_int_eq(opts.log_level, LOG_LEVEL_INFO);
	ck_assert_int_eq(opts.log_format, LOG_FORMAT_TEXT);
	ck_assert_ptr_null(opts.key_name);
	ck_assert_ptr_null(opts.upstream_key);
	assert_good(FILE_OF_KEYS "key add a");
	ck_assert_int_eq(opts.scope, APIKEY_READ);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(all_flags)
{
	assert_good("--store sqlite:s --api-keys-file k --workers 3 "
	    "--sync-command [\"a\",\"b\"] --log-level debug "
	    "--log-format json");
	ck_assert_int_eq(opts.command, COMMAND_SERVE);
	ck_assert_str_eq(opts.store.uri, "sqlite:s");
	ck_assert_str_eq(opts.api_keys_file, "k");
	ck_assert_uint_eq(opts.workers, 3);
	ck_assert_str_eq(opts.sync_command[0], "a");
	ck_assert_str_eq(opts.sync_command[1], "b");
	ck_assert_ptr_null(opts.sync_command[2]);
	ck_assert_int_eq(opts.log_level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(opts.log_format, LOG_FORMAT_JSON);
	options_clear(&opts);
	ck_assert_ptr_null(opts.sync_command);
}
END_TEST

/* Each variable alone, the flag over it, and an empty one, which is unset. */
START_TEST(variables)
{
	setenv("NOMPD_STORE", "sqlite:v", 1);
	setenv("NOMPD_API_KEYS_FILE", "v", 1);
	setenv("NOMPD_SYNC_COMMAND", "a 'b  c'", 1);
	setenv("NOMPD_WORKERS", "5", 1);
	setenv("NOMPD_LOG_LEVEL", "warn", 1);
	setenv("NOMPD_LOG_FORMAT", "json", 1);
	assert_good("");
	ck_assert_str_eq(opts.store.uri, "sqlite:v");
	ck_assert_str_eq(opts.api_keys_file, "v");
	ck_assert_str_eq(opts.sync_command[0], "a");
	ck_assert_str_eq(opts.sync_command[1], "'b");
	ck_assert_str_eq(opts.sync_command[2], "c'");
	ck_assert_ptr_null(opts.sync_command[3]);
	ck_assert_uint_eq(opts.workers, 5);
	ck_assert_int_eq(opts.log_level, LOG_LEVEL_WARN);
	ck_assert_int_eq(opts.log_format, LOG_FORMAT_JSON);
	assert_good("--store=sqlite:f --api-keys-file=f --sync-command=f "
	    "--workers=6 --log-level=error --log-format=text");
	ck_assert_str_eq(opts.store.uri, "sqlite:f");
	ck_assert_str_eq(opts.api_keys_file, "f");
	ck_assert_str_eq(opts.sync_command[0], "f");
	ck_assert_ptr_null(opts.sync_command[1]);
	ck_assert_uint_eq(opts.workers, 6);
	ck_assert_int_eq(opts.log_level, LOG_LEVEL_ERROR);
	ck_assert_int_eq(opts.log_format, LOG_FORMAT_TEXT);
	setenv("NOMPD_SYNC_COMMAND", "", 1);
	setenv("NOMPD_API_KEYS_FILE", "", 1);
	setenv("NOMPD_WORKERS", "", 1);
	assert_good("");
	ck_assert_ptr_null(opts.sync_command);
	ck_assert_ptr_null(opts.api_keys_file);
	ck_assert_uint_eq(opts.workers, 1);
}
END_TEST

static const struct {
	const char	 *words;
	enum command	  command;
	const char	 *name; /* NULL: none */
	enum apikey_scope scope;
} commands[] = {
	{ "key add a", COMMAND_KEY_ADD, "a", APIKEY_READ },
	{ "key add a --scope read", COMMAND_KEY_ADD, "a", APIKEY_READ },
	{ "key add a --scope sync", COMMAND_KEY_ADD, "a", APIKEY_SYNC },
	{ "--scope=sync key add a", COMMAND_KEY_ADD, "a", APIKEY_SYNC },
	{ "key --scope sync add a", COMMAND_KEY_ADD, "a", APIKEY_SYNC },
	{ "key add --scope sync --scope read a", COMMAND_KEY_ADD, "a",
	    APIKEY_READ },
	{ "key add " N64, COMMAND_KEY_ADD, N64, APIKEY_READ },
	{ "key add -", COMMAND_KEY_ADD, "-", APIKEY_READ },
	{ "key add key", COMMAND_KEY_ADD, "key", APIKEY_READ },
	{ "key add list", COMMAND_KEY_ADD, "list", APIKEY_READ },
	{ "key add -- -a", COMMAND_KEY_ADD, "-a", APIKEY_READ },
	{ "-- key add --help", COMMAND_KEY_ADD, "--help", APIKEY_READ },
	{ "key list", COMMAND_KEY_LIST, NULL, APIKEY_READ },
	{ "key list --log-level debug", COMMAND_KEY_LIST, NULL, APIKEY_READ },
	{ "key revoke a", COMMAND_KEY_REVOKE, "a", APIKEY_READ },
	{ "key revoke " N64, COMMAND_KEY_REVOKE, N64, APIKEY_READ },
};

START_TEST(command_values)
{
	char words[256];

	(void)snprintf(words, sizeof(words), FILE_OF_KEYS "%s",
	    commands[_i].words);
	assert_good(words);
	ck_assert_int_eq(opts.command, commands[_i].command);
	ck_assert_str_eq(opts.api_keys_file, "/k");
	if (commands[_i].name == NULL)
		ck_assert_ptr_null(opts.key_name);
	else
		ck_assert_str_eq(opts.key_name, commands[_i].name);
	if (opts.command == COMMAND_KEY_ADD)
		ck_assert_int_eq(opts.scope, commands[_i].scope);
	/* The file may be named by its variable as well. */
	setenv("NOMPD_API_KEYS_FILE", "/v", 1);
	assert_good(commands[_i].words);
	ck_assert_str_eq(opts.api_keys_file, "/v");
	ck_assert_str_eq(read_log(), "");
}
END_TEST

static const char *const good_words[] = {
	"--workers 1",
	"--workers 64",
	"--workers 064",
	"--sync-command a",
	"--sync-command [\"a\",\"\"]",
	"--store sqlite:/a:b/c.db",
	"--workers 2 --workers 3",
	"--",
	FILE_OF_KEYS,
};

START_TEST(good)
{
	assert_good(good_words[_i]);
	ck_assert_int_eq(opts.command, COMMAND_SERVE);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

static const struct {
	const char *words;
	const char *name;
	const char *part;
} faults[] = {
	/* Values at their borders. */
	{ "--workers 0", "--workers: ", "1 to 64; have \"0\"" },
	{ "--workers 65", "--workers: ", "1 to 64; have \"65\"" },
	{ "--workers -1", "--workers: ", "1 to 64" },
	{ "--workers 1x", "--workers: ", "1 to 64" },
	{ "--workers 4294967297", "--workers: ", "1 to 64" },
	{ "--workers 18446744073709551617", "--workers: ", "1 to 64" },
	{ "--workers", "--workers: want a value", "have none" },
	{ "--workers=", "--workers: want a value", "have none" },
	{ "--sync-command []", "--sync-command: ", "at most 64 words" },
	{ "--sync-command [\"\"]", "--sync-command: ", "a program" },
	{ "--sync-command [1]", "--sync-command: ", "a JSON array of texts" },
	{ "--sync-command [\"a\"", "--sync-command: ", "a JSON array" },
	{ "--sync-command ''", "--sync-command: want a value", "have none" },
	{ "--sync-command", "--sync-command: want a value", "have none" },
	{ "--api-keys-file=", "--api-keys-file: want a value", "have none" },
	{ "--store mysql:x", "--store: ", "have \"mysql:x\"" },
	{ "--store nompd.db", "--store: ", "write sqlite:PATH" },
	{ "--log-level INFO", "--log-level: ", "error, warn" },
	{ FILE_OF_KEYS "key add a --scope both", "--scope: ",
	    "want read or sync; have \"both\"" },
	{ FILE_OF_KEYS "key add a --scope READ", "--scope: ", "read or sync" },
	{ FILE_OF_KEYS "key add a --scope read,sync", "--scope: ", "sync" },
	{ FILE_OF_KEYS "key add a --scope=", "--scope: want a value", "none" },
	/* Names. */
	{ FILE_OF_KEYS "key add " N64 "a", "key add: want a name", "1 to 64" },
	{ FILE_OF_KEYS "key revoke " N64 "a", "key revoke: want a name",
	    "1 to 64" },
	{ FILE_OF_KEYS "key add ''", "key add: want a name", "have \"\"" },
	{ FILE_OF_KEYS "key add a,b", "key add: want a name", "\"a,b\"" },
	{ FILE_OF_KEYS "key add a\nb", "key add: want a name", "\"a?b\"" },
	{ FILE_OF_KEYS "key add #a", "key add: want a name", "\"#a\"" },
	{ FILE_OF_KEYS "key add \xc3\xb8", "key add: want a name", "letters" },
	{ FILE_OF_KEYS "key revoke a/b", "key revoke: want a name", "a/b" },
	/* The keys file. */
	{ "key add a", "--api-keys-file: ", "NOMPD_API_KEYS_FILE" },
	{ "key list", "--api-keys-file: ", "have none" },
	{ "key revoke a", "--api-keys-file: ", "have none" },
	/* Commands. */
	{ "serve", "\"serve\": no such command", "--help" },
	{ "''", "\"\": no such command", "--help" },
	{ "keys", "\"keys\": no such command", "--help" },
	{ "ke list", "\"ke\": no such command", "--help" },
	{ "init", "\"init\": no such command", "--help" },
	{ "history", "\"history\": no such command", "--help" },
	{ "add a", "\"add\": no such command", "--help" },
	{ "a key list", "\"a\": no such command", "--help" },
	{ "key", "key: want one of add, list, revoke behind it", "" },
	{ "key del a", "key: want one of add, list, revoke behind it", "" },
	{ "key LIST", "key: want one of add, list, revoke behind it", "" },
	{ "key ''", "key: want one of add, list, revoke behind it", "" },
	{ FILE_OF_KEYS "key add", "key add: want NAME behind it", "have none" },
	{ FILE_OF_KEYS "key add a b", "key add: want NAME", "have 2" },
	{ FILE_OF_KEYS "key add a b c d e f g", "key add: want NAME",
	    "have 7" },
	{ FILE_OF_KEYS "key revoke", "key revoke: want NAME", "have none" },
	{ FILE_OF_KEYS "key revoke a b", "key revoke: want NAME", "have 2" },
	{ FILE_OF_KEYS "key list a", "key list: want nothing behind it",
	    "\"a\"" },
	{ FILE_OF_KEYS "key list a b c d", "key list: want nothing", "\"a\"" },
	/* Flags of other commands. */
	{ "--scope read", "--scope does not apply", "" },
	{ FILE_OF_KEYS "key list --scope read", "--scope does not apply to "
	    "'key list'", "" },
	{ FILE_OF_KEYS "key revoke a --scope read", "--scope does not apply "
	    "to 'key revoke'", "" },
	{ FILE_OF_KEYS "key list --store sqlite:x", "--store does not apply "
	    "to 'key list'", "" },
	{ FILE_OF_KEYS "key add a --workers 2", "--workers does not apply to "
	    "'key add'", "" },
	{ FILE_OF_KEYS "key add a --sync-command x", "--sync-command does not "
	    "apply to 'key add'", "" },
	/* Flags of the other program. */
	{ "--upstream file:///u", "--upstream: no such option", "--help" },
	{ "--dry-run", "--dry-run: no such option", "--help" },
	{ "--plan", "--plan: no such option", "--help" },
	{ "--limit 3", "--limit: no such option", "--help" },
	{ "--progress never", "--progress: no such option", "--help" },
	{ "--key=tOpSeCrEt", "--key: no such option", "--help" },
	{ "--api-key tOpSeCrEt", "--api-key: no such option", "--help" },
	{ FILE_OF_KEYS "key add a --key tOpSeCrEt", "--key: no such option",
	    "--help" },
	{ FILE_OF_KEYS "--verbose key list", "--verbose: no such option",
	    "--help" },
};

START_TEST(one_fault)
{
	assert_fault(faults[_i].words, faults[_i].name, faults[_i].part);
	ck_assert_ptr_null(strstr(err.text, "tOpSeCrEt"));
	ck_assert_str_eq(read_log(), "");
}
END_TEST

/* Serving is no run of anything. */
START_TEST(serving_is_no_run)
{
	assert_fault("--scope read", "--scope does not apply", "");
	ck_assert_ptr_null(strstr(err.text, "a run"));
}
END_TEST

START_TEST(all_faults_at_once)
{
	setenv("NOMPD_WORKERS", "many", 1);
	setenv("NOMPD_SYNC_COMMAND", "[", 1);
	ck_assert_int_eq(parse("--bogus --store=x --log-format= --scope=read"),
	    -1);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_int_eq(count_lines(err.text), 6);
	ck_assert_ptr_eq(strstr(err.text, "--bogus: "), err.text);
	ck_assert_ptr_nonnull(strstr(err.text, "\n--store: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\n--log-format: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\n--scope does not apply"));
	ck_assert_ptr_nonnull(strstr(err.text, "\nNOMPD_WORKERS: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\nNOMPD_SYNC_COMMAND: "));
	/* A name and a file that are both no good. */
	ck_assert_int_eq(parse("key add a/b"), -1);
	ck_assert_int_eq(count_lines(err.text), 2);
	ck_assert_ptr_nonnull(strstr(err.text, "--api-keys-file: "));
	ck_assert_ptr_nonnull(strstr(err.text, "key add: want a name"));
}
END_TEST

/* What a command does not use is not looked at. */
START_TEST(variables_of_other_commands)
{
	setenv("NOMPD_WORKERS", "many", 1);
	setenv("NOMPD_SYNC_COMMAND", "[", 1);
	setenv("NOMPD_STORE", "x", 1);
	assert_good(FILE_OF_KEYS "key list");
	ck_assert_ptr_null(opts.sync_command);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

static const struct {
	const char *name;
	bool	    is_warned;
} names[] = {
	/* Of the other program: one environment may serve both. */
	{ "NOMPD_UPSTREAM_URL", false },
	{ "NOMPD_UPSTREAM_API_KEY", false },
	{ "NOMPD_UPSTREAM_API_KEY_FILE", false },
	{ "NOMPD_MAX_DELETE", false },
	{ "NOMPD_PROGRESS", false },
	{ "NOMPD_API_KEYS_FILE", false },
	{ "NOMPD_SERVE_SERVICE_HOST", false },
	{ "NOMPD_SERVE_PORT_80_TCP", false },
	/* Scope, help and version have no variable. */
	{ "NOMPD_SCOPE", true },
	{ "NOMPD_HELP", true },
	{ "NOMPD_VERSION", true },
	{ "NOMPD_API_KEY_FILE", true },
	{ "NOMPD_API_KEYS", true },
	{ "NOMPD_WORKER", true },
};

START_TEST(unknown_variables)
{
	assert_warned("", names[_i].name, names[_i].is_warned);
}
END_TEST

/* The flags of this program are none of the other's. */
START_TEST(sync_has_none_of_it)
{
	static const char *const flags[] = { "--workers", "--sync-command",
		"--api-keys-file", "--scope" };
	char			 words[64], want[64];
	int			 i;

	program = &program_sync;
	for (i = 0; i < LENGTH(flags); i++) {
		(void)snprintf(words, sizeof(words), GOOD "%s 1", flags[i]);
		(void)snprintf(want, sizeof(want), "%s: no such", flags[i]);
		assert_fault(words, want, "--help");
	}
	assert_fault(GOOD "key list", "\"key\": no such command", "");
	assert_fault("serve", "\"serve\": no such command", "");
}
END_TEST

START_TEST(help_and_version_win)
{
	setenv("NOMPD_WORKERS", "many", 1);
	setenv("NOMPD_BOGUS", "1", 1);
	assert_good("--bogus --help nonsense --workers");
	ck_assert(opts.help && !opts.version);
	assert_good("key --version");
	ck_assert(opts.version && !opts.help);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(no_arguments_at_all)
{
	char *argv[] = { NULL };

	ck_assert_int_eq(options_parse(&opts, program, 0, argv, &err), 0);
	ck_assert_int_eq(opts.command, COMMAND_SERVE);
}
END_TEST

/* What a print function writes; borrowed until the next call. */
static const char *
printed(void (*print)(const struct program *, FILE *),
    const struct program *of)
{
	static char text[MAX_TEXT];
	FILE	   *file;

	file = tmpfile();
	ck_assert_ptr_nonnull(file);
	print(of, file);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

START_TEST(help_text)
{
	static const char *const parts[] = { "nompd-serve [OPTION ...]\n",
		"nompd-serve key add [OPTION ...] NAME\n",
		"nompd-serve key list [OPTION ...]\n",
		"nompd-serve key revoke [OPTION ...] NAME\n",
		"  --store URI", " NOMPD_STORE, default sqlite:nompd.db\n",
		"  --api-keys-file FILE", " NOMPD_API_KEYS_FILE\n",
		"  --sync-command COMMAND", " NOMPD_SYNC_COMMAND\n",
		"  --workers N", " NOMPD_WORKERS, default 1\n",
		"  --scope SCOPE", "  --log-level LEVEL",
		"  --log-format FORMAT", "  --version\n", "  --help\n",
		"\n    0  ", "\n   64  ", "\n   66  ", "\n   71  ",
		"\n   74  ", "\n  130  ", "\n  143  " };
	static const char *const others[] = { "--upstream", "--dry-run",
		"--progress", "NOMPD_UPSTREAM", "nompd-sync", "\n   65  " };
	const char		*text, *at, *end;
	int			 i;

	text = printed(options_help, &program_serve);
	for (at = text; (end = strchr(at, '\n')) != NULL; at = end + 1)
		ck_assert_int_lt(end - at, 80);
	ck_assert_int_eq(*at, '\0');
	for (i = 0; i < LENGTH(parts); i++)
		ck_assert_msg(strstr(text, parts[i]) != NULL, "%s", parts[i]);
	for (i = 0; i < LENGTH(others); i++)
		ck_assert_msg(strstr(text, others[i]) == NULL, "%s",
		    others[i]);
}
END_TEST

static void
answer_version(const struct program *asked, FILE *out)
{
	struct options wanted = { .version = true };

	ck_assert(options_answer(&wanted, asked, out));
}

static void
answer_help(const struct program *asked, FILE *out)
{
	struct options wanted = { .help = true };

	ck_assert(options_answer(&wanted, asked, out));
}

static void
answer_nothing(const struct program *asked, FILE *out)
{
	struct options wanted = { .help = false };

	ck_assert(!options_answer(&wanted, asked, out));
}

START_TEST(answers)
{
	char *help;

	ck_assert_str_eq(printed(answer_version, &program_serve),
	    "nompd-serve " NOMPD_VERSION "\n");
	ck_assert_str_eq(printed(answer_version, &program_sync),
	    "nompd-sync " NOMPD_VERSION "\n");
	help = xstrdup(printed(options_help, &program_serve));
	ck_assert_str_eq(printed(answer_help, &program_serve), help);
	free(help);
	ck_assert_str_eq(printed(answer_nothing, &program_serve), "");
}
END_TEST

/* Neither a key for a name nor a command with a token in it is shown. */
START_TEST(secrets)
{
	assert_fault(FILE_OF_KEYS "key revoke nompd_SeCrEt", "key revoke: ",
	    "a key, as it seems");
	ck_assert_ptr_null(strstr(err.text, "SeCrEt"));
	assert_fault(FILE_OF_KEYS "key add x:nompd_SeCrEt", "key add: ",
	    "a key, as it seems");
	ck_assert_ptr_null(strstr(err.text, "SeCrEt"));
	assert_fault("--sync-command [\"SeCrEt\",1]", "--sync-command: ",
	    "JSON array");
	ck_assert_ptr_null(strstr(err.text, "SeCrEt"));
}
END_TEST

static TCase *
cases(void)
{
	TCase *tcase = tcase_create("serve");

	tcase_add_checked_fixture(tcase, serve_setup, teardown);
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, all_flags);
	tcase_add_test(tcase, secrets);
	tcase_add_test(tcase, variables);
	tcase_add_loop_test(tcase, command_values, 0, LENGTH(commands));
	tcase_add_loop_test(tcase, good, 0, LENGTH(good_words));
	tcase_add_loop_test(tcase, one_fault, 0, LENGTH(faults));
	tcase_add_test(tcase, serving_is_no_run);
	tcase_add_test(tcase, all_faults_at_once);
	tcase_add_test(tcase, variables_of_other_commands);
	tcase_add_loop_test(tcase, unknown_variables, 0, LENGTH(names));
	tcase_add_test(tcase, sync_has_none_of_it);
	tcase_add_test(tcase, help_and_version_win);
	tcase_add_test(tcase, no_arguments_at_all);
	tcase_add_test(tcase, help_text);
	tcase_add_test(tcase, answers);
	return tcase;
}

int
main(void)
{
	Suite *suite = suite_create("options_serve");

	suite_add_tcase(suite, cases());
	return test_run(suite);
}
