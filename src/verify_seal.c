/* The chain of the history, and whether its newest seal is that of what the
 * store has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seal.h"
#include "verify_history.h"
#include "verify_int.h"

/* Bytes of the sentence of a finding. */
#define MAX_WHAT 300

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

/* What a seal says of a collection beside what the store has. */
static int
check_numbers(struct verify *verify, const char *name,
    const struct seal_numbers *sealed, struct error *err)
{
	struct seal_numbers is;
	char		    what[MAX_WHAT];

	if (seal_numbers_make(verify->store, name, &is, err) == -1)
		return -1;
	if (strcmp(is.records, sealed->records) == 0 &&
	    strcmp(is.data, sealed->data) == 0)
		return 0;
	(void)snprintf(what, sizeof(what), "its records have the digest %s, and"
	    " the last seal has %s: they are not those that the last run has"
	    " left", is.records, sealed->records);
	return verify_found(verify, &(struct finding){
	    .kind = FINDING_DATA, .collection = name, .what = what }, err);
}

static int
check_seal(struct verify *verify, const uint8_t *seal, size_t len,
    struct error *err)
{
	struct seal_numbers sealed;
	char		  **name;

	for (name = verify->collections; *name != NULL; name++) {
		/* What is wrong there was said in more words. */
		if (verify_is_faulty(verify, *name) ||
		    seal_numbers_get(seal, len, *name, &sealed) == 0)
			continue;
		if (check_numbers(verify, *name, &sealed, err) == -1)
			return -1;
	}
	return 0;
}

int
verify_seal(struct verify *verify, struct error *err)
{
	uint8_t *seal;
	size_t	 len;
	int	 rc;

	/* An unfinished run has changed it since. */
	if (verify->versions.finished == 0 ||
	    verify->counts->findings[FINDING_UNFINISHED] > 0)
		return 0;
	rc = store_seal_get(verify->store, verify->versions.finished, &seal,
	    &len, err);
	if (rc == 1 && seal != NULL)
		rc = check_seal(verify, seal, len, err);
	free(seal);
	return rc == -1 ? -1 : 0;
}
