/* The chain of the history. */
#include "verify_history.h"
#include "verify_int.h"

struct chain {
	struct verify *verify;
	struct error  *err;
	int	       rc;
};

/* verify_found_fn */
static void
take_finding(void *ctx, int64_t version, const char *text)
{
	struct chain *chain = ctx;

	if (chain->rc == -1)
		return;
	chain->rc = verify_found(chain->verify, &(struct finding){
	    .kind = FINDING_HISTORY, .version = version, .what = text },
	    chain->err);
}

int
verify_chain(struct verify *verify, struct error *err)
{
	struct verify_history_result result;
	struct error		     own = { .status = STATUS_OK };
	struct chain		     chain = { .verify = verify, .err = &own };
	struct verify_history	     what = {
		.store = verify->store,
		.keys = verify->keys,
		.head = verify->opts->head,
		.found = take_finding,
		.ctx = &chain,
	};

	if (verify_history(&what, &result, err) == -1)
		return -1;
	if (chain.rc == -1)
		*err = own;
	return chain.rc;
}
