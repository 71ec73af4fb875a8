#include <regex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "options_int.h"
#include "secret.h"
#include "text.h"
#include "words.h"
#include "xalloc.h"

/* Faults that do not fit an error's text are counted; room for that number. */
#define MAX_FAULTS_BYTES (MAX_ERROR_TEXT - 64)

/* Variables without a flag: the upstream's key, switches of the tests. */
static const char *const other_variables[] = { KEY_VARIABLE, KEY_FILE_VARIABLE,
	PASSWORD_FILE_VARIABLE, FROM_FILE_VARIABLE, TO_FILE_VARIABLE,
	"NOMPD_STORE_TRACE", "NOMPD_STORE_KILL_AT", "NOMPD_STORE_STOP_AT",
	"NOMPD_STORE_LOSE_AT" };

/*
 * What Kubernetes sets in every pod beside a service whose name starts with
 * nompd (Kubernetes documentation: Service, Environment variables).
 */
static const char kubernetes_variable[] = "^NOMPD(_[A-Z0-9_]+)?_"
	"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|"
	"PORT(_[0-9]+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)?)$";

void
options_fault(struct parse *parse, const char *fmt, ...)
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

const char *
options_shown(char shown[MAX_SHOWN_BYTES], const char *value)
{
	const char *host, *at;
	size_t	    head = 0, i, len;

	host = strstr(value, "://");
	host = host != NULL ? host + strlen("://") : value;
	at = strrchr(host, '@');
	if (at != NULL)
		head = (size_t)(host - value);
	(void)snprintf(shown, MAX_SHOWN_BYTES, "%.*s%s%s", (int)head, value,
	    at != NULL ? "..." : "", at != NULL ? at : value);
	if (host != value)
		shown[strcspn(shown, "?#")] = '\0';
	for (i = 0; shown[i] != '\0'; i += len > 0 ? len : 1) {
		len = text_control_len(shown + i);
		memset(shown + i, '?', len);
	}
	return shown;
}

/* Does the row belong to a command of the program? */
static bool
is_of_program(const struct parse *parse, const struct option_row *row)
{
	return (row->commands & parse->program->commands) != 0;
}

static bool
is_of_command(const struct parse *parse, const struct option_row *row)
{
	return parse->command != COMMAND__MAX &&
	    (row->commands & FOR(parse->command)) != 0;
}

/* The row with the flag of len bytes: the command's own, else the program's
 * first, or option_count. */
static size_t
find_flag(const struct parse *parse, const char *flag, size_t len)
{
	size_t found = option_count, i;

	for (i = 0; i < option_count; i++) {
		if (!is_of_program(parse, &option_rows[i]) ||
		    strlen(option_rows[i].flag) != len ||
		    memcmp(option_rows[i].flag, flag, len) != 0)
			continue;
		if (is_of_command(parse, &option_rows[i]))
			return i;
		if (found == option_count)
			found = i;
	}
	return found;
}

/* Is word the first of the name?  *rest is the second one, or empty. */
static bool
begins_with(const struct program *program, int command, const char *word,
    const char **rest)
{
	const char *name = command_rows[command].name;
	size_t	    len;

	if ((program->commands & FOR(command)) == 0 || name == NULL)
		return false;
	len = strcspn(name, " ");
	*rest = name + len + (name[len] == ' ');
	return strlen(word) == len && memcmp(name, word, len) == 0;
}

/* The program's command that the words begin with, or COMMAND__MAX, and how
 * many of them it takes. */
static enum command
find_command(const struct program *program, const char *const words[], int n,
    int *used)
{
	const char *rest;
	int	    i;

	*used = 0;
	if (n == 0)
		return program->unnamed;
	for (i = 0; i < COMMAND__MAX; i++) {
		if (!begins_with(program, i, words[0], &rest))
			continue;
		*used = rest[0] == '\0' ? 1 : 2;
		if (*used == 1 || (n > 1 && strcmp(words[1], rest) == 0))
			break;
	}
	return (enum command)i;
}

/* Is it the first word of a command's name? */
static bool
begins_command(const struct program *program, const char *word)
{
	const char *rest;
	int	    i;

	for (i = 0; i < COMMAND__MAX; i++) {
		if (begins_with(program, i, word, &rest))
			return true;
	}
	return false;
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
	options_fault(parse, "%s: no such option; see --help",
	    options_shown(shown, name));
	free(name);
	if (flag[len] == '=' || next == NULL || strncmp(next, "--", 2) == 0 ||
	    begins_command(parse->program, next))
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
	i = find_flag(parse, flag, len);
	if (i == option_count)
		return refuse_flag(parse, flag, len, next);
	row = &option_rows[i];
	if (flag[len] == '=')
		value = flag + len + 1;
	if (row->argument == NULL) {
		if (value != NULL)
			options_fault(parse, "%s: want no value", row->flag);
		value = "1";
	} else if (value == NULL && row->argument[0] == '[') {
		value = "-";
	} else if (value == NULL && next != NULL &&
	    strncmp(next, "--", 2) != 0) {
		value = next;
		used = 2;
	}
	if (value == NULL || value[0] == '\0')
		options_fault(parse, "%s: want a value; have none", row->flag);
	else
		parse->flags[i] = value;
	return used;
}

static void
read_line(struct parse *parse, int argc, char *argv[])
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

/*
 * Twice: whether the word behind a flag is its value depends on its row, and
 * the row on the command, which may come last.
 */
static void
read_arguments(struct parse *parse, int argc, char *argv[])
{
	int used;

	parse->command = COMMAND__MAX;
	read_line(parse, argc, argv);
	used = parse->n_words < MAX_WORDS ? parse->n_words : MAX_WORDS;
	parse->command = find_command(parse->program, parse->words, used,
	    &used);
	memset((void *)parse->flags, 0, sizeof(parse->flags));
	parse->n_words = 0;
	parse->n_unsaid = 0;
	buf_clear(&parse->faults);
	read_line(parse, argc, argv);
}

/* What a word that begins no command should have been. */
static void
refuse_word(struct parse *parse, const char *word)
{
	char	    shown[MAX_SHOWN_BYTES], list[MAX_SHOWN_BYTES] = "";
	const char *rest;
	size_t	    len;
	int	    i;

	for (i = 0; i < COMMAND__MAX; i++) {
		if (!begins_with(parse->program, i, word, &rest))
			continue;
		len = strlen(list);
		(void)snprintf(list + len, sizeof(list) - len, "%s%s",
		    len > 0 ? ", " : "", rest);
	}
	if (list[0] != '\0')
		options_fault(parse, "%s: want one of %s behind it", word,
		    list);
	else
		options_fault(parse, "\"%s\": no such command; see --help",
		    options_shown(shown, word));
}

/* The command and as many arguments as it wants. */
static void
read_words(struct parse *parse)
{
	const struct command_row *row;
	char			  shown[MAX_SHOWN_BYTES];
	int			  used, have;

	used = parse->n_words < MAX_WORDS ? parse->n_words : MAX_WORDS;
	parse->command = find_command(parse->program, parse->words, used,
	    &used);
	if (parse->command == COMMAND__MAX) {
		refuse_word(parse, parse->words[0]);
		return;
	}
	parse->opts->command = parse->command;
	row = &command_rows[parse->command];
	have = parse->n_words - used;
	parse->arguments = parse->words + used;
	if (have >= row->min_arguments && have <= row->max_arguments)
		parse->n_arguments = have;
	else if (row->max_arguments == 0)
		options_fault(parse, "%s: want nothing behind it; have \"%s\"",
		    row->name, options_shown(shown, parse->arguments[0]));
	else if (have == 0)
		options_fault(parse, "%s: want%s behind it; have none",
		    row->name, row->arguments);
	else
		options_fault(parse, "%s: want%s behind it; have %d",
		    row->name, row->arguments, have);
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
	if (row->variable == NULL || !is_of_command(parse, row))
		return NULL;
	*name = row->variable;
	return options_variable(row->variable);
}

/* Of several rows with one flag, a flag that applies to none of them is the
 * first one's, whose rule then says nothing. */
static bool
is_alone(const struct option_row *row)
{
	size_t i, n = 0;

	for (i = 0; i < option_count; i++)
		n += strcmp(option_rows[i].flag, row->flag) == 0;
	return n == 1;
}

/* Faults a flag of another command; false: its value means nothing. */
static bool
check_applies(struct parse *parse, const struct option_row *row)
{
	const char *command;

	if (is_of_command(parse, row))
		return true;
	if (parse->command == COMMAND__MAX)
		return is_alone(row);
	command = command_rows[parse->command].name;
	if (command == NULL)
		options_fault(parse, "%s does not apply to %s", row->flag,
		    parse->program->unnamed_text);
	else
		options_fault(parse, "%s does not apply to '%s'", row->flag,
		    command);
	return is_alone(row);
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
		if (!is_of_program(parse, row))
			continue;
		if (row->fallback != NULL)
			(void)row->set(parse->opts, row->fallback);
		if (parse->flags[i] != NULL && !check_applies(parse, row))
			continue;
		value = find_given(parse, i, &name);
		if (value != NULL)
			want = row->set(parse->opts, value);
		if (value == NULL || want == NULL)
			continue;
		/* A header given with its value would show the key. */
		if ((row->commands & HIDE_VALUE) != 0)
			options_fault(parse, "%s: %s", name, want);
		else
			options_fault(parse, "%s: %s; have \"%s\"", name, want,
			    options_shown(shown, value));
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

bool
options_is_given(const struct parse *parse, const char *flag)
{
	const char *name;

	return find_given(parse, find_flag(parse, flag, strlen(flag)),
	    &name) != NULL;
}

bool
options_is_flag(const struct parse *parse, const char *flag)
{
	return parse->flags[find_flag(parse, flag, strlen(flag))] != NULL;
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

/*
 * The command line with its passwords, of which argv has none any more: other
 * users of the machine can read that.
 */
static char **
take_words(struct options *opts, int argc, char *argv[])
{
	char **words;
	int    i, n = 0;

	words = xcalloc((size_t)argc + 1, sizeof(*words));
	opts->blanked = xcalloc((size_t)argc + 1, sizeof(*opts->blanked));
	for (i = 0; i < argc; i++) {
		words[i] = xstrdup(argv[i]);
		store_place_blank(argv[i]);
		if (strcmp(words[i], argv[i]) != 0) {
			opts->blanked[n++] = words[i];
			continue;
		}
		free(words[i]);
		words[i] = argv[i];
	}
	return words;
}

static void
free_blanked(struct options *opts)
{
	size_t i;

	for (i = 0; opts->blanked != NULL && opts->blanked[i] != NULL; i++) {
		secret_wipe(opts->blanked[i]);
		free(opts->blanked[i]);
	}
	free((void *)opts->blanked);
}

int
options_parse(struct options *opts, const struct program *program, int argc,
    char *argv[], struct error *err)
{
	struct parse parse = {
		.opts = opts,
		.program = program,
		.words = { "" },
	};
	char	   **words;
	int	     rc = 0;

	*opts = (struct options){
		.since_version = -1,
		.as_of_version = INT64_MAX,
		.as_of_ms = INT64_MAX,
		.history_age_ms = -1,
		.tombstones_age_ms = -1,
		.states_age_ms = -1,
	};
	words = take_words(opts, argc, argv);
	read_arguments(&parse, argc, words);
	opts->help = options_is_flag(&parse, "--help");
	opts->version = options_is_flag(&parse, "--version");
	if (opts->help || opts->version)
		goto out;
	read_words(&parse);
	set_values(&parse);
	start_log(opts);
	if (parse.command != COMMAND__MAX && parse.n_arguments >=
	    command_rows[parse.command].min_arguments)
		program->check(&parse);
	warn_unknown_variables();
	rc = give_faults(&parse, err);
out:
	free((void *)words);
	buf_clear(&parse.faults);
	return rc;
}

void
options_read_password(struct parse *parse, const char *flag,
    const char *variable, struct store_place *place)
{
	const char  *file;
	struct error err;

	file = options_variable(variable);
	if (file == NULL || place->uri == NULL ||
	    !store_place_wants_password(place))
		return;
	if (secret_from_file(variable, file, SECRET_PASSWORD,
	    &place->password, &err) == -1)
		options_fault(parse, "%s: %s", flag, err.text);
}

void
options_clear(struct options *opts)
{
	log_forget_secret();
	secret_free(opts->upstream_key);
	store_place_clear(&opts->store);
	store_place_clear(&opts->from);
	store_place_clear(&opts->to);
	words_free(opts->sync_command);
	words_free(opts->notify_command);
	words_free(opts->bulk.types);
	words_free(opts->bulk.filters);
	words_free(opts->bulk.elements);
	free_blanked(opts);
	*opts = (struct options){
		.since_version = -1,
		.as_of_version = INT64_MAX,
		.as_of_ms = INT64_MAX,
		.history_age_ms = -1,
		.tombstones_age_ms = -1,
		.states_age_ms = -1,
	};
}
