#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "command_list.h"
#include "job_print.h"
#include "jobs.h"
#include "json_text.h"
#include "store.h"

/*
 * The items, each with a NUL behind it.  Whoever reads them slowly does not
 * hold up the ledger, where jobs that run are written.
 */
struct listing {
	enum output_format format;
	int64_t		   now_ms;
	struct buf	   items;
};

/* job_fn */
static bool
add_item(void *ctx, const struct job *job)
{
	struct listing *listing = ctx;
	char	       *text;

	if (listing->format == OUTPUT_TABLE)
		job_print_row(&listing->items, job, listing->now_ms);
	else {
		text = json_text(job_to_json(job));
		buf_append(&listing->items, text, strlen(text));
		free(text);
	}
	buf_append_byte(&listing->items, '\0');
	return true;
}

static int
print_listing(const struct listing *listing, struct error *err)
{
	struct command_list list;
	struct buf	    head = { 0 };
	const char	   *item;
	size_t		    done;

	job_print_head(&head);
	buf_append_byte(&head, '\0');
	command_list_begin(&list, listing->format, (const char *)head.data);
	buf_clear(&head);
	for (done = 0; done < listing->items.len; done += strlen(item) + 1) {
		item = (const char *)listing->items.data + done;
		if (command_list_next(&list, err) == -1)
			return -1;
		(void)fputs(item, stdout);
	}
	command_list_end(&list);
	return command_flush(err);
}

int
command_jobs(const struct options *opts, struct error *err)
{
	struct listing listing = { .format = opts->format };
	struct store  *store;
	struct jobs   *jobs;
	int	       rc;

	/* A store that is not there is told from one without jobs. */
	if (store_open(&opts->store, STORE_READ, &store, err) == -1)
		return -1;
	store_close(store);
	if (jobs_open(&opts->store, false, &jobs, err) == -1)
		return -1;
	listing.now_ms = jobs_now_ms(jobs);
	rc = jobs_walk(jobs, opts->limit, add_item, &listing, err);
	jobs_close(jobs);
	if (rc == 0)
		rc = print_listing(&listing, err);
	buf_clear(&listing.items);
	return rc;
}
