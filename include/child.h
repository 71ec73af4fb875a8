/*
 * A command started beside us, without a shell: it gets the three standard
 * descriptors and no other, a session of its own, and an environment of names
 * that are known to be good.
 */
#ifndef NOMPD_CHILD_H
#define NOMPD_CHILD_H

#include <stdint.h>
#include <sys/types.h>

#include "error.h"

/* All is borrowed. */
struct child {
	char *const *command; /* NULL-terminated; found in PATH */
	char *const *environment;
	int	     in_fd;   /* its standard input; -1: nothing */
	int	     out_fd;  /* its standard output; its log goes on ours */
};

/* How waiting for a command ended. */
enum child_end {
	CHILD_ENDED,
	CHILD_LATE,	 /* the time is over, it goes on */
	CHILD_SIGNALLED, /* this process is to end, it goes on */
	CHILD_LOST,	 /* it cannot be waited for (errno) */
};

/*
 * What of our environment any program may want (PATH, LANG, proxies, ...), and
 * extra: a name, or a start of names that ends in *; NULL: no more.  Behind it
 * added, NULL-terminated entries; NULL: none.  The id that our own job was given
 * (NOMPD_JOB_ID) is not among them.  An array of borrowed entries;
 * the caller frees the array.
 */
char **child_environment(const char *extra, char *const *added);
/* Starts it.  -1 (STATUS_STORE): it could not be. */
int child_start(const struct child *child, pid_t *pid, struct error *err);
/*
 * Waits until the command has ended, until end_ms (clock_monotonic_ms()) or
 * until a signal has come.  *status is its exit status, or 128 and the
 * signal, when it has ended.
 */
enum child_end child_wait(pid_t pid, int64_t end_ms, int *status);
/* Ends what goes on, and the processes of its group: SIGTERM, and SIGKILL after
 * grace_ms or once the command itself has ended. */
void child_kill(pid_t pid, int64_t grace_ms);

#endif
