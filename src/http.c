#include <curl/curl.h>
#include <stdlib.h>

#include "clock.h"
#include "http.h"
#include "http_int.h"
#include "stop.h"
#include "xalloc.h"

/* How long the loop sleeps when nothing is due. */
#define MAX_SLEEP_MS 1000

/* What runs side by side.  The transfers before first are done. */
struct loop {
	struct transfer *transfers;
	size_t		 count;
	size_t		 first;
	CURLM		*multi;
};

/* Deals with what libcurl says has ended.  1: something has. */
static int
finish_ended(struct loop *loop, struct error *err)
{
	struct transfer *transfer;
	CURLMsg		*message;
	CURLcode	 code;
	int		 left, rc = 0;

	while ((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
		if (message->msg != CURLMSG_DONE)
			continue;
		code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
		    &transfer);
		curl_multi_remove_handle(loop->multi, transfer->handle);
		transfer->phase = PHASE_DONE;
		if (http_transfer_finish(transfer, code) == -1) {
			*err = *transfer->err;
			return http_transfer_prefix(transfer, err);
		}
		if (transfer->phase == PHASE_DONE)
			http_transfer_clear(transfer);
		rc = 1;
	}
	return rc;
}

/* Starts what is due. */
static int
start_due(struct loop *loop, struct error *err)
{
	struct transfer *transfer;
	int64_t		 now = clock_monotonic_ms();
	size_t		 i;

	while (loop->first < loop->count &&
	    loop->transfers[loop->first].phase == PHASE_DONE)
		loop->first++;
	for (i = loop->first; i < loop->count; i++) {
		transfer = &loop->transfers[i];
		if (transfer->phase != PHASE_WAITING || transfer->due_ms > now)
			continue;
		if (http_transfer_start(transfer, loop->multi, err) == -1)
			return http_transfer_prefix(transfer, err);
	}
	return 0;
}

/* Milliseconds until something may be due. */
static int64_t
sleep_ms(const struct loop *loop)
{
	int64_t wait, now = clock_monotonic_ms(), least = MAX_SLEEP_MS;
	size_t	i;

	wait = http_transfer_remaining_ms(&loop->transfers[0]);
	if (wait < least)
		least = wait;
	for (i = loop->first; i < loop->count; i++) {
		wait = loop->transfers[i].due_ms - now;
		if (loop->transfers[i].phase == PHASE_WAITING && wait < least)
			least = wait > 0 ? wait : 0;
	}
	return least;
}

static int
run_loop(struct loop *loop, struct error *err)
{
	struct curl_waitfd wake = {
		.fd = stop_fd(),
		.events = CURL_WAIT_POLLIN,
	};
	bool is_woken;
	int  running, ended;

	/* A signal that stops nothing would wake it again and again. */
	is_woken = wake.fd >= 0 &&
	    !http_transfer_outlives_stop(&loop->transfers[0]);
	for (;;) {
		if (http_transfer_check(&loop->transfers[0], err) == -1 ||
		    start_due(loop, err) == -1)
			return -1;
		if (loop->first == loop->count)
			return 0;
		if (curl_multi_perform(loop->multi, &running) != CURLM_OK)
			xalloc_end();
		ended = finish_ended(loop, err);
		if (ended == -1)
			return -1;
		if (ended == 0 && curl_multi_poll(loop->multi, &wake, is_woken,
		    (int)sleep_ms(loop), NULL) != CURLM_OK)
			xalloc_end();
	}
}

int
http_run_transfers(struct transfer *transfers, size_t count,
    struct error *err)
{
	struct loop loop = { .transfers = transfers, .count = count };
	size_t	    i;
	int	    rc;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(err, STATUS_UNAVAILABLE,
		    "cannot set up libcurl");
	loop.multi = curl_multi_init();
	if (loop.multi == NULL)
		xalloc_end();
	rc = count > 0 ? run_loop(&loop, err) : 0;
	for (i = 0; i < count; i++) {
		if (transfers[i].phase == PHASE_FLYING)
			curl_multi_remove_handle(loop.multi,
			    transfers[i].handle);
		http_transfer_clear(&transfers[i]);
	}
	curl_multi_cleanup(loop.multi);
	curl_global_cleanup();
	return rc;
}

int
http_run(const struct http_config *config, const struct http_request *requests,
    size_t count, struct error *err)
{
	struct transfer *transfers;
	size_t		 i;
	int		 rc;

	transfers = xcalloc(count, sizeof(*transfers));
	for (i = 0; i < count; i++)
		http_transfer_init(&transfers[i], config, &requests[i]);
	rc = http_run_transfers(transfers, count, err);
	free(transfers);
	return rc;
}
