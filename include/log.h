/*
 * What the program says on standard error: log lines, as text or JSON, and on
 * a terminal one transient progress line.  This is the only border that text
 * crosses on its way out, so two things happen here: control characters of
 * foreign text are made visible, and secrets are blotted out.
 */
#ifndef NOMPD_LOG_H
#define NOMPD_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG, LOG_LEVEL__MAX };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT__MAX };

/* Tokens that are kept out of the log at a time. */
#define MAX_LOG_TOKENS 4

/* Before this call: level info, text, no progress. */
void log_init(enum log_level level, enum log_format format, bool progress);

/*
 * From now on each JSON line names the job, a label, and what it is at, a word
 * of ours (borrowed).  NULL: there is no job.
 */
void log_set_job(const char *id, const char *stage);

/*
 * From now on every occurrence of secret in anything logged reads "[secret]".
 * The text is borrowed until log_forget_secret(); NULL or empty is ignored.
 */
void log_hide_secret(const char *secret);
/*
 * The same for a token, of which there are several in a run: the log keeps
 * copies of the last MAX_LOG_TOKENS (in guarded memory), because a message may
 * tell of one that is gone.
 */
void log_hide_token(const char *token);
/* Of all of them. */
void log_forget_secret(void);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* An error of several lines: one log line each. */
void log_lines(const char *text);
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* True when debug lines are shown: a caller may then spend time on them. */
bool log_is_debug(void);

/* True when progress is shown: a caller may then spend time on its text. */
bool log_has_progress(void);
/*
 * Replaces the transient line on the terminal, at most ten times a second
 * (calls in between do nothing); the next log line erases it first.
 */
void log_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Erases the transient line. */
void log_progress_end(void);

/*
 * What the log would show of text, for those who are told as well: secrets
 * blotted out, what is not visible as \\xNN.  At most size bytes with the NUL;
 * out and text may be the same.
 */
void log_clean(char *out, size_t size, const char *text);

/*
 * Writes raw lines that were asked for (the plan) to standard error, redacted
 * like a log line; text ends in a newline.
 */
void log_raw(const char *text);

#endif
