/* A run on request: what the command's end means to a client. */
#include <jansson.h>
#include <string.h>

#include "log.h"
#include "page_int.h"
#include "service.h"
#include "trigger.h"

/* Each way a run may end (nompd-sync(1), EXIT STATUS); the last row is any
 * other. */
static const struct {
	int	    status;
	int	    code;
	const char *sentence;
} answers[] = {
	{ STATUS_BUSY, 409, "Another run is active." },
	{ STATUS_HELD, 422,
	    "The guard held the run: it would delete too much." },
	{ STATUS_UNAVAILABLE, 502, "The upstream gave no usable answer." },
	{ STATUS_PROTOCOL, 502, "The upstream gave a wrong answer." },
	{ STATUS_REFUSED, 502, "The key or password was refused." },
	{ STATUS_UNBALANCED, 500,
	    "The run did not add up; nothing was published." },
	{ STATUS_STORE, 500, "The store failed." },
	{ STATUS_ABORTED, 500, "The run was asked to end." },
	{ -1, 500, "The run failed." },
};

void
page_sync_failed(struct exchange *exchange, int status)
{
	size_t i = 0;

	while (answers[i].status != -1 && answers[i].status != status)
		i++;
	response_error(&exchange->response, answers[i].code,
	    answers[i].sentence);
}

/* Is it the one line of a SyncResult? */
static bool
is_result(const struct buf *text)
{
	json_error_t ignored;
	json_t	    *object;
	bool	     is_one;

	object = json_loadb((const char *)text->data, text->len, 0, &ignored);
	is_one = json_is_integer(json_object_get(object, "version"));
	json_decref(object);
	return is_one;
}

int
page_sync(struct exchange *exchange, struct error *err)
{
	struct buf text = { 0 };
	int	   status, rc;

	rc = trigger_run(exchange->service->opts->sync_command, &text,
	    &status, err);
	if (rc == -1) {
		/* A 500, not the 503 that says to try again later: whether
		 * there was a run is not known. */
		err->status = STATUS_USAGE;
		goto out;
	}
	log_info("request %s: the run ended with status %d",
	    exchange->request->id, status);
	if (status != STATUS_OK) {
		page_sync_failed(exchange, status);
	} else if (text.len == 0 || !is_result(&text)) {
		rc = error_set(err, STATUS_USAGE, "the command ended well, but"
		    " printed no SyncResult (NOMPD_SYNC_COMMAND is to run"
		    " nompd-sync)");
	} else {
		while (text.len > 0 && text.data[text.len - 1] == '\n')
			text.len--;
		response_json(&exchange->response, 200,
		    (const char *)text.data, text.len);
	}
out:
	buf_clear(&text);
	return rc;
}
