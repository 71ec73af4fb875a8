#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ticker.h"
#include "xalloc.h"

#define MS_PER_SECOND 1000
#define NS_PER_MS     1000000L
#define NS_PER_SECOND 1000000000L

struct ticker {
	void	      (*fn)(void *ctx);
	void	       *ctx;
	int64_t		every_ms;
	pthread_t	thread;
	pthread_mutex_t lock;
	pthread_cond_t	wake;
	bool		is_ending; /* under lock */
};

/* Waits for a turn; false when it is to end. */
static bool
rest(struct ticker *ticker)
{
	struct timespec until;
	bool		is_ending;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ticker->every_ms / MS_PER_SECOND;
	until.tv_nsec += ticker->every_ms % MS_PER_SECOND * NS_PER_MS;
	if (until.tv_nsec >= NS_PER_SECOND) {
		until.tv_sec++;
		until.tv_nsec -= NS_PER_SECOND;
	}
	(void)pthread_mutex_lock(&ticker->lock);
	while (!ticker->is_ending && pthread_cond_timedwait(&ticker->wake,
	    &ticker->lock, &until) != ETIMEDOUT)
		;
	is_ending = ticker->is_ending;
	(void)pthread_mutex_unlock(&ticker->lock);
	return !is_ending;
}

static void *
tick(void *ctx)
{
	struct ticker *ticker = ctx;

	while (rest(ticker))
		ticker->fn(ticker->ctx);
	return NULL;
}

static void
free_ticker(struct ticker *ticker)
{
	(void)pthread_cond_destroy(&ticker->wake);
	(void)pthread_mutex_destroy(&ticker->lock);
	free(ticker);
}

int
ticker_start(void (*fn)(void *ctx), void *ctx, int64_t every_ms,
    struct ticker **out, struct error *err)
{
	struct ticker	  *ticker;
	pthread_condattr_t attributes;
	sigset_t	   all, before;
	int		   code;

	*out = NULL;
	ticker = xcalloc(1, sizeof(*ticker));
	ticker->fn = fn;
	ticker->ctx = ctx;
	ticker->every_ms = every_ms;
	(void)pthread_mutex_init(&ticker->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&ticker->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	/* Signals are the main thread's. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&ticker->thread, NULL, tick, ticker);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code != 0) {
		free_ticker(ticker);
		return error_set(err, STATUS_STORE, "cannot start a thread:"
		    " %s", strerror(code));
	}
	*out = ticker;
	return 0;
}

void
ticker_stop(struct ticker *ticker)
{
	if (ticker == NULL)
		return;
	(void)pthread_mutex_lock(&ticker->lock);
	ticker->is_ending = true;
	(void)pthread_cond_signal(&ticker->wake);
	(void)pthread_mutex_unlock(&ticker->lock);
	(void)pthread_join(ticker->thread, NULL);
	free_ticker(ticker);
}
