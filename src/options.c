#include <regex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "collection.h"
#include "options.h"
#include "options_int.h"
#include "secret.h"
#include "url.h"
#include "xalloc.h"

/* Bytes of a value that a fault shows. */
#define MAX_SHOWN_BYTES 64
/* Faults that do not fit an error's text are counted; room for that number. */
#define MAX_FAULTS_BYTES (MAX_ERROR_TEXT - 64)
/* The command and its arguments; one more, to show what is too much. */
#define MAX_WORDS 4

/* Variables that others read: the sibling program, the tests. */
static const char *const other_variables[] = { KEY_VARIABLE, KEY_FILE_VARIABLE,
	"NOMPD_API_KEYS_FILE", "NOMPD_SYNC_COMMAND", "NOMPD_STORE_TRACE",
	"NOMPD_STORE_KILL_AT" };

/*
 * What Kubernetes sets in every pod beside a service whose name starts with
 * nompd (Kubernetes documentation: Service, Environment variables).
 */
static const char kubernetes_variable[] = "^NOMPD(_[A-Z0-9_]+)?_"
	"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|"
	"PORT(_[0-9]+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)?)$";

/*
 * One parse of the command line and the environment.
 *
 * Invariants: flags[i] is NULL or the value of row i's flag; n_words may pass
 * MAX_WORDS, words does not; command is COMMAND__MAX when it is not known.
 */
struct parse {
	struct options *opts;
	const char     *flags[MAX_OPTIONS];
	const char     *words[MAX_WORDS];
	int		n_words;
	enum command	command;
	struct buf	faults;	  /* whole lines */
	unsigned	n_unsaid; /* faults that did not fit */
};

static void __attribute__((format(printf, 2, 3)))
fault(struct parse *parse, const char *fmt, ...)
{
	char	line[MAX_FAULTS_BYTES];
	va_list ap;
	int	len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (len < 0 || parse->faults.len + (size_t)len >= sizeof(line)) {
		parse->n_unsaid++;
		return;
	}
	if (parse->faults.len > 0)
		buf_append_byte(&parse->faults, '\n');
	buf_append(&parse->faults, line, (size_t)len);
}

/*
 * A value fit for a fault: the start of it, on one line, and of a URL nothing
 * that may be a password or a token.
 */
static const char *
show(char shown[MAX_SHOWN_BYTES], const char *value)
{
	const char *host, *at;
	size_t	    head = 0, i;

	host = strstr(value, "://");
	host = host != NULL ? host + strlen("://") : value;
	at = strrchr(host, '@');
	if (at != NULL)
		head = (size_t)(host - value);
	(void)snprintf(shown, MAX_SHOWN_BYTES, "%.*s%s%s", (int)head, value,
	    at != NULL ? "..." : "", at != NULL ? at : value);
	if (host != value)
		shown[strcspn(shown, "?#")] = '\0';
	for (i = 0; shown[i] != '\0'; i++) {
		if ((unsigned char)shown[i] < ' ')
			shown[i] = '?';
	}
	return shown;
}

/* The row with the flag of len bytes, or option_count. */
static size_t
find_flag(const char *flag, size_t len)
{
	size_t i;

	for (i = 0; i < option_count; i++) {
		if (strlen(option_rows[i].flag) == len &&
		    memcmp(option_rows[i].flag, flag, len) == 0)
			break;
	}
	return i;
}

static enum command
find_command(const char *word)
{
	int i;

	for (i = 0; i < COMMAND__MAX; i++) {
		if (command_rows[i].name != NULL &&
		    strcmp(command_rows[i].name, word) == 0)
			break;
	}
	return (enum command)i;
}

static void
add_word(struct parse *parse, const char *word)
{
	if (parse->n_words < MAX_WORDS)
		parse->words[parse->n_words] = word;
	parse->n_words++;
}

/*
 * An unknown flag.  The word behind it is most likely its value, perhaps a
 * secret; it is neither shown nor taken for a command.  Gives the number of
 * words used.
 */
static int
refuse_flag(struct parse *parse, const char *flag, size_t len,
    const char *next)
{
	char shown[MAX_SHOWN_BYTES], *name;

	name = xstrndup(flag, len);
	fault(parse, "%s: no such option; see --help", show(shown, name));
	free(name);
	if (flag[len] == '=' || next == NULL || strncmp(next, "--", 2) == 0 ||
	    find_command(next) != COMMAND__MAX)
		return 1;
	return 2;
}

/* Reads a flag; next is the word behind it.  The number of words used. */
static int
read_flag(struct parse *parse, const char *flag, const char *next)
{
	const struct option_row *row;
	const char		*value = NULL;
	size_t			 i, len;
	int			 used = 1;

	len = strcspn(flag, "=");
	i = find_flag(flag, len);
	if (i == option_count)
		return refuse_flag(parse, flag, len, next);
	row = &option_rows[i];
	if (flag[len] == '=')
		value = flag + len + 1;
	if (row->argument == NULL) {
		if (value != NULL)
			fault(parse, "%s: want no value", row->flag);
		value = "1";
	} else if (value == NULL && row->argument[0] == '[') {
		value = "-";
	} else if (value == NULL && next != NULL &&
	    strncmp(next, "--", 2) != 0) {
		value = next;
		used = 2;
	}
	if (value == NULL || value[0] == '\0')
		fault(parse, "%s: want a value; have none", row->flag);
	else
		parse->flags[i] = value;
	return used;
}

static void
read_arguments(struct parse *parse, int argc, char *argv[])
{
	int i = 1;

	while (i < argc) {
		if (strcmp(argv[i], "--") == 0)
			break;
		if (argv[i][0] == '-' && argv[i][1] != '\0')
			i += read_flag(parse, argv[i],
			    i + 1 < argc ? argv[i + 1] : NULL);
		else
			add_word(parse, argv[i++]);
	}
	for (i++; i < argc; i++)
		add_word(parse, argv[i]);
}

/* The two words behind show. */
static void
read_show(struct parse *parse)
{
	struct buf names = { 0 };
	char	   shown[MAX_SHOWN_BYTES];
	int	   i;

	parse->opts->show_collection = parse->words[1];
	parse->opts->show_key = parse->words[2];
	/* Both are there: n_words says so. NOLINTNEXTLINE */
	if (parse->words[2][0] == '\0')
		fault(parse, "show: want a key; have \"\"");
	if (collection_find(parse->words[1]) != COLLECTION__MAX)
		return;
	for (i = 0; i < COLLECTION__MAX; i++) {
		buf_append(&names, i > 0 ? ", " : "", i > 0 ? 2 : 0);
		buf_append(&names, collection_name(i),
		    strlen(collection_name(i)));
	}
	fault(parse, "show: want a collection (%.*s); have \"%s\"",
	    (int)names.len, (const char *)names.data,
	    show(shown, parse->words[1]));
	buf_clear(&names);
}

static void
read_words(struct parse *parse)
{
	char shown[MAX_SHOWN_BYTES];
	int  want, have;

	parse->command = COMMAND_RUN;
	have = parse->n_words - 1;
	if (parse->n_words > 0)
		parse->command = find_command(parse->words[0]);
	if (parse->command == COMMAND__MAX) {
		fault(parse, "\"%s\": no such command; see --help",
		    show(shown, parse->words[0]));
		return;
	}
	parse->opts->command = parse->command;
	if (parse->command == COMMAND_RUN)
		return;
	want = command_rows[parse->command].n_arguments;
	if (have > want && want == 0)
		fault(parse, "%s: want nothing behind it; have \"%s\"",
		    parse->words[0], show(shown, parse->words[1]));
	else if (have != want)
		fault(parse, "%s: want%s behind it; have %d",
		    parse->words[0], command_rows[parse->command].arguments,
		    have);
	else if (parse->command == COMMAND_SHOW)
		read_show(parse);
}

static const char *
read_variable(const char *name)
{
	const char *value;

	value = getenv(name);
	return value != NULL && value[0] != '\0' ? value : NULL;
}

/*
 * What was given for row i, or NULL, and the *name of the flag or variable it
 * came from.
 */
static const char *
find_given(const struct parse *parse, size_t i, const char **name)
{
	const struct option_row *row = &option_rows[i];

	*name = row->flag;
	if (parse->flags[i] != NULL)
		return parse->flags[i];
	if (row->variable == NULL || parse->command == COMMAND__MAX ||
	    (row->commands & FOR(parse->command)) == 0)
		return NULL;
	*name = row->variable;
	return read_variable(row->variable);
}

static void
check_applies(struct parse *parse, const struct option_row *row)
{
	const char *command;

	if (parse->command == COMMAND__MAX ||
	    (row->commands & FOR(parse->command)) != 0)
		return;
	command = command_rows[parse->command].name;
	if (command == NULL)
		fault(parse, "%s does not apply to a run", row->flag);
	else
		fault(parse, "%s does not apply to '%s'", row->flag, command);
}

static void
set_values(struct parse *parse)
{
	const struct option_row *row;
	const char		*name, *value, *want = NULL;
	char			 shown[MAX_SHOWN_BYTES];
	size_t			 i;

	for (i = 0; i < option_count; i++) {
		row = &option_rows[i];
		if (parse->flags[i] != NULL)
			check_applies(parse, row);
		if (row->fallback != NULL)
			(void)row->set(parse->opts, row->fallback);
		value = find_given(parse, i, &name);
		if (value != NULL)
			want = row->set(parse->opts, value);
		if (value == NULL || want == NULL)
			continue;
		/* A header given with its value would show the key. */
		if ((row->commands & HIDE_VALUE) != 0)
			fault(parse, "%s: %s", name, want);
		else
			fault(parse, "%s: %s; have \"%s\"", name, want,
			    show(shown, value));
	}
}

static void
start_log(const struct options *opts)
{
	bool progress;

	progress = opts->progress == PROGRESS_ALWAYS ||
	    (opts->progress == PROGRESS_AUTO &&
	    opts->log_format == LOG_FORMAT_TEXT && isatty(STDERR_FILENO));
	log_init(opts->log_level, opts->log_format, progress);
}

/* The key from the variable, or the file that file names. */
static void
read_key(struct parse *parse, const char *file)
{
	struct error err;
	int	     rc;

	if (file != NULL)
		rc = secret_from_file(KEY_FILE_VARIABLE, file,
		    &parse->opts->upstream_key, &err);
	else
		rc = secret_from_variable(KEY_VARIABLE,
		    &parse->opts->upstream_key, &err);
	if (rc == -1)
		fault(parse, "%s", err.text);
	else if (parse->opts->upstream_key != NULL)
		log_hide_secret(secret_text(parse->opts->upstream_key));
}

/* A key is needed, or said not to be; a folder takes none. */
static void
check_key(struct parse *parse)
{
	const struct options *opts = parse->opts;
	const char	     *file;
	bool		      has_key;

	file = read_variable(KEY_FILE_VARIABLE);
	has_key = file != NULL || read_variable(KEY_VARIABLE) != NULL;
	if (file != NULL && read_variable(KEY_VARIABLE) != NULL) {
		fault(parse, "%s: want one key; %s is set as well",
		    KEY_FILE_VARIABLE, KEY_VARIABLE);
		return;
	}
	if (has_key && opts->no_upstream_key) {
		fault(parse, "--no-upstream-key: want no key beside it; %s is "
		    "set", file != NULL ? KEY_FILE_VARIABLE : KEY_VARIABLE);
		return;
	}
	if (opts->upstream != NULL && url_is_file(opts->upstream))
		return;
	if (has_key)
		read_key(parse, file);
	else if (opts->upstream != NULL && !opts->no_upstream_key)
		fault(parse, "%s: want the upstream's key, there or in a file "
		    "named by %s; say --no-upstream-key if it takes none",
		    KEY_VARIABLE, KEY_FILE_VARIABLE);
}

static void
check_run(struct parse *parse)
{
	const char *name;

	if (find_given(parse, find_flag("--upstream", strlen("--upstream")),
	    &name) == NULL)
		fault(parse, "--upstream: want the upstream's base URL, there "
		    "or in NOMPD_UPSTREAM_URL; have none");
	check_key(parse);
}

static bool
is_known_variable(const char *name)
{
	size_t i;

	for (i = 0; i < option_count; i++) {
		if (option_rows[i].variable != NULL &&
		    strcmp(option_rows[i].variable, name) == 0)
			return true;
	}
	for (i = 0; i < LENGTH(other_variables); i++) {
		if (strcmp(other_variables[i], name) == 0)
			return true;
	}
	return false;
}

/* A misspelt variable would otherwise be a setting that silently is not. */
static void
warn_unknown_variables(void)
{
	regex_t	    kubernetes;
	char	   *name, **entry;
	const char *value;

	if (regcomp(&kubernetes, kubernetes_variable,
	    REG_EXTENDED | REG_NOSUB) != 0)
		return;
	for (entry = environ; entry != NULL && *entry != NULL; entry++) {
		value = strchr(*entry, '=');
		if (strncmp(*entry, "NOMPD_", strlen("NOMPD_")) != 0 ||
		    value == NULL || value[1] == '\0')
			continue;
		name = xstrndup(*entry, (size_t)(value - *entry));
		if (!is_known_variable(name) &&
		    regexec(&kubernetes, name, 0, NULL, 0) != 0)
			log_warn("%s: no such variable, it does nothing; see "
			    "--help", name);
		free(name);
	}
	regfree(&kubernetes);
}

static int
give_faults(struct parse *parse, struct error *err)
{
	char more[64] = "";

	if (parse->faults.len == 0 && parse->n_unsaid == 0)
		return 0;
	if (parse->n_unsaid > 0)
		(void)snprintf(more, sizeof(more), "\nand %u more faults",
		    parse->n_unsaid);
	return error_set(err, STATUS_USAGE, "%.*s%s", (int)parse->faults.len,
	    parse->faults.data != NULL ? (const char *)parse->faults.data :
	    "", more);
}

int
options_parse(struct options *opts, int argc, char *argv[], struct error *err)
{
	struct parse parse = { .opts = opts };
	int	     rc = 0;

	*opts = (struct options){ 0 };
	read_arguments(&parse, argc, argv);
	opts->help = parse.flags[find_flag("--help", 6)] != NULL;
	opts->version = parse.flags[find_flag("--version", 9)] != NULL;
	if (opts->help || opts->version)
		goto out;
	read_words(&parse);
	set_values(&parse);
	start_log(opts);
	if (parse.command == COMMAND_RUN)
		check_run(&parse);
	warn_unknown_variables();
	rc = give_faults(&parse, err);
out:
	buf_clear(&parse.faults);
	return rc;
}

void
options_clear(struct options *opts)
{
	log_forget_secret();
	secret_free(opts->upstream_key);
	*opts = (struct options){ 0 };
}
