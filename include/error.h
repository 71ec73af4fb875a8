/*
 * An error is a value: the exit status it leads to and one sentence that says
 * what was being done, to what, what went wrong, and what to do about it.  It
 * is filled where the fault is found, prefixed on its way up and printed once,
 * by main().
 */
#ifndef NOMPD_ERROR_H
#define NOMPD_ERROR_H

/* Bytes of an error's sentence, its NUL included; longer ones are cut. */
#define MAX_ERROR_TEXT 4096

/* How the program ends; the numbers are its exit statuses (nompd-sync(1)). */
enum status {
	STATUS_OK = 0,
	STATUS_STALE = 1,	  /* status: the last finished run is too old */
	STATUS_FINDINGS = 1,	  /* verify: something is not as it must be */
	STATUS_USAGE = 64,	  /* flag, variable or configuration */
	STATUS_HELD = 65,	  /* the guard held the run */
	STATUS_NOT_FOUND = 66,	  /* the record asked for is not there */
	STATUS_UNAVAILABLE = 69,  /* no usable answer from upstream */
	STATUS_UNBALANCED = 70,	  /* the run does not add up */
	STATUS_STORE = 74,	  /* the store failed or is not ours */
	STATUS_BUSY = 75,	  /* another run is active */
	STATUS_PROTOCOL = 76,	  /* a complete answer, but not what we asked */
	STATUS_REFUSED = 77,	  /* upstream refused the key */
	STATUS_ABORTED = 79,	  /* the run was asked to end */
	STATUS_INTERRUPTED = 128, /* plus the signal's number */
};

struct error {
	enum status status;
	char	    text[MAX_ERROR_TEXT];
};

static inline int
error_result(void)
{
	return -1;
}

/*
 * error_set(err, status, fmt, ...) fills err and is -1, so that a caller can
 * write `return error_set(err, ...)`.  A macro, for the compiler to see the -1.
 */
#define error_set(err, ...) (error_fill((err), __VA_ARGS__), error_result())
void error_fill(struct error *err, enum status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * error_prefix(err, fmt, ...) puts "<text>: " before the sentence; status is
 * kept.  It is -1 as well.
 */
#define error_prefix(err, ...) \
	(error_put_before((err), __VA_ARGS__), error_result())
void error_put_before(struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
