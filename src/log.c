#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "error.h"
#include "log.h"
#include "secret.h"
#include "stop.h"
#include "text.h"
#include "xalloc.h"

/* At most ten progress lines in a second. */
#define PROGRESS_EVERY_MS 100
/* The width of a terminal that does not tell its own. */
#define DEFAULT_COLUMNS 80
/* A text that was cut anywhere may end in the middle of the secret: so many
 * bytes of its start are not shown either. */
#define MIN_SECRET_PART 8

/* Back to the first column, and the line wiped from there. */
#define ERASE "\r\033[K"
#define BLOT  "[secret]"

static const char *const level_names[LOG_LEVEL__MAX] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

/* The one global beside the stop flag: anything may have to say something. */
static struct {
	enum log_level	level;
	enum log_format format;
	bool		progress;
	bool		is_shown; /* a progress line stands there */
	int64_t		next_ms;  /* no new one before this time */
	char		job[MAX_LABEL_BYTES + 1]; /* empty: none */
	const char     *stage;
	const char     *secret;	  /* borrowed; NULL: none */
	struct secret  *tokens[MAX_LOG_TOKENS]; /* NULL: none */
	unsigned	next_token;
} state = { .level = LOG_LEVEL_INFO };

void
log_init(enum log_level level, enum log_format format, bool progress)
{
	log_progress_end();
	state.level = level;
	state.format = format;
	state.progress = progress;
	state.next_ms = 0;
}

void
log_set_job(const char *id, const char *stage)
{
	text_copy(state.job, sizeof(state.job), id != NULL ? id : "");
	state.stage = stage;
}

void
log_hide_secret(const char *secret)
{
	if (secret != NULL && secret[0] != '\0')
		state.secret = secret;
}

void
log_hide_token(const char *token)
{
	struct secret **place;
	struct error	ignored;

	if (token[0] == '\0')
		return;
	place = &state.tokens[state.next_token++ % MAX_LOG_TOKENS];
	secret_free(*place);
	if (secret_from_token("token", token, place, &ignored) == -1)
		xalloc_end();
}

void
log_forget_secret(void)
{
	int i;

	state.secret = NULL;
	for (i = 0; i < MAX_LOG_TOKENS; i++) {
		secret_free(state.tokens[i]);
		state.tokens[i] = NULL;
	}
}

/* The i-th secret or NULL, for i up to MAX_LOG_TOKENS. */
static const char *
secret_at(int i)
{
	if (i == MAX_LOG_TOKENS)
		return state.secret;
	return state.tokens[i] != NULL ? secret_text(state.tokens[i]) : NULL;
}

static void
append_text(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

/* How many bytes of the secret text begins with. */
static size_t
common_len(const char *secret, const char *text)
{
	size_t len = 0;

	while (secret[len] != '\0' && text[len] == secret[len])
		len++;
	return len;
}

/*
 * How many bytes at the start of text belong to a secret, which may be cut off.
 * A sentence that was cut to fit a struct error may end in the middle of one.
 */
static size_t
hidden_len(const char *text, bool may_be_cut)
{
	const char *secret;
	size_t	    len;
	int	    i;

	for (i = 0; i <= MAX_LOG_TOKENS; i++) {
		secret = secret_at(i);
		if (secret == NULL)
			continue;
		len = common_len(secret, text);
		if (secret[len] == '\0' || len >= MIN_SECRET_PART ||
		    (may_be_cut && text[len] == '\0'))
			return len;
	}
	return 0;
}

/*
 * Appends text to out with the secrets blotted out, and what is left of one
 * where a longer text was cut.
 */
static void
append_redacted(struct buf *out, const char *text)
{
	bool   may_be_cut = strlen(text) >= MAX_ERROR_TEXT - 1;
	size_t len;

	while (text[0] != '\0') {
		len = hidden_len(text, may_be_cut);
		if (len > 0)
			append_text(out, BLOT);
		else
			buf_append_byte(out, (uint8_t)text[len++]);
		text += len;
	}
}

/*
 * The length of the UTF-8 character at text (len > 0 bytes), or 0 when it is
 * not sound UTF-8 or a control character, which a terminal might obey.
 */
static size_t
visible_len(const uint8_t *text, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	uint32_t	      code;
	size_t		      want, i;

	if (text[0] < 0x80)
		return text[0] >= 0x20 && text[0] != 0x7f ? 1 : 0;
	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	want = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	if (want > len)
		return 0;
	code = text[0] & (0xffU >> (want + 1));
	for (i = 1; i < want; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least[want] || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return want;
}

static void
append_hex(struct buf *out, uint8_t byte, const char *backslash)
{
	char hex[8];

	if (byte == '\n')
		(void)snprintf(hex, sizeof(hex), "%sn", backslash);
	else
		(void)snprintf(hex, sizeof(hex), "%sx%02x", backslash, byte);
	append_text(out, hex);
}

/*
 * Appends text with all that is not visible written as \n or \xNN; stops after
 * max characters.  With json it is fit to stand inside a JSON string, and
 * reads back as the very same text.
 */
static void
append_visible(struct buf *out, const struct buf *text, size_t max, bool json)
{
	const uint8_t *data = text->data;
	size_t	       i, n, len;

	for (i = n = 0; i < text->len && n < max; i += len, n++) {
		len = visible_len(data + i, text->len - i);
		if (len == 0) {
			append_hex(out, data[i], json ? "\\\\" : "\\");
			len = 1;
			continue;
		}
		if (json && (data[i] == '"' || data[i] == '\\'))
			buf_append_byte(out, '\\');
		buf_append(out, data + i, len);
	}
}

/* All of it in one write, so that lines of several programs stay whole. */
static void
write_out(const struct buf *out)
{
	size_t	done = 0;
	ssize_t n;

	while (done < out->len) {
		n = write(STDERR_FILENO, out->data + done, out->len - done);
		if (n == -1 && errno == EINTR && !stop_is_signalled())
			continue;
		if (n <= 0)
			return; /* There is nobody left to tell. */
		done += (size_t)n;
	}
}

/* Starts an output: the progress line goes first. */
static void
append_erase(struct buf *out)
{
	if (state.is_shown)
		append_text(out, ERASE);
	state.is_shown = false;
}

/* The message, redacted; the caller clears out. */
static void __attribute__((format(printf, 2, 0)))
format_message(struct buf *out, const char *fmt, va_list ap)
{
	struct buf text = { 0 };
	va_list	   again;
	int	   len;

	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	if (len >= 0) {
		(void)buf_reserve(&text, (size_t)len + 1);
		(void)vsnprintf((char *)text.data, (size_t)len + 1, fmt, again);
	}
	va_end(again);
	append_redacted(out, len >= 0 ? (const char *)text.data : fmt);
	buf_clear(&text);
}

/* {"time":..., up to the text of the message. */
static void
append_json_head(struct buf *out, enum log_level level, const char *time)
{
	buf_print(out, "{\"time\":\"%s\",\"level\":\"%s\",", time,
	    level_names[level]);
	/* Words of ours, and a label. */
	if (state.job[0] != '\0')
		buf_print(out, "\"job\":\"%s\",\"stage\":\"%s\",", state.job,
		    state.stage);
	append_text(out, "\"message\":\"");
}

static void __attribute__((format(printf, 2, 0)))
log_line(enum log_level level, const char *fmt, va_list ap)
{
	struct buf message = { 0 }, out = { 0 };
	char	   time[CLOCK_TEXT_BYTES];
	bool	   is_json = state.format == LOG_FORMAT_JSON;

	if (level > state.level)
		return;
	clock_format_seconds(clock_now_ms(), time);
	format_message(&message, fmt, ap);
	append_erase(&out);
	if (is_json)
		append_json_head(&out, level, time);
	else
		buf_print(&out, "%s %-5s ", time, level_names[level]);
	append_visible(&out, &message, SIZE_MAX, is_json);
	append_text(&out, is_json ? "\"}\n" : "\n");
	write_out(&out);
	buf_clear(&message);
	buf_clear(&out);
}

void
log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERROR, fmt, ap);
	va_end(ap);
}

void
log_lines(const char *text)
{
	size_t len;

	while (*text != '\0') {
		len = strcspn(text, "\n");
		log_error("%.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_WARN, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_INFO, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_DEBUG, fmt, ap);
	va_end(ap);
}

bool
log_is_debug(void)
{
	return state.level >= LOG_LEVEL_DEBUG;
}

bool
log_has_progress(void)
{
	return state.progress;
}

/* A line that wraps could not be erased, so it ends before the last column. */
static size_t
progress_width(void)
{
	struct winsize size = { 0 };

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == -1 || size.ws_col < 2)
		return DEFAULT_COLUMNS - 1;
	return size.ws_col - 1U;
}

void
log_progress(const char *fmt, ...)
{
	struct buf message = { 0 }, out = { 0 };
	va_list	   ap;
	int64_t	   now;

	now = clock_monotonic_ms();
	if (!state.progress || now < state.next_ms)
		return;
	state.next_ms = now + PROGRESS_EVERY_MS;
	va_start(ap, fmt);
	format_message(&message, fmt, ap);
	va_end(ap);
	append_text(&out, ERASE);
	append_visible(&out, &message, progress_width(), false);
	state.is_shown = true;
	write_out(&out);
	buf_clear(&message);
	buf_clear(&out);
}

void
log_progress_end(void)
{
	struct buf out = { 0 };

	append_erase(&out);
	write_out(&out);
	buf_clear(&out);
}

void
log_clean(char *out, size_t size, const char *text)
{
	struct buf redacted = { 0 }, visible = { 0 };

	append_redacted(&redacted, text);
	append_visible(&visible, &redacted, SIZE_MAX, false);
	buf_append_byte(&visible, '\0');
	text_copy(out, size, (const char *)visible.data);
	buf_clear(&redacted);
	buf_clear(&visible);
}

void
log_raw(const char *text)
{
	struct buf out = { 0 };

	append_erase(&out);
	append_redacted(&out, text);
	write_out(&out);
	buf_clear(&out);
}
