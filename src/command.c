#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "json_text.h"
#include "log.h"
#include "store.h"

int
command_flush(struct error *err)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return 0;
	return error_set(err, STATUS_STORE, "cannot write to standard output:"
	    " %s", strerror(errno));
}

int
command_print(json_t *object, struct error *err)
{
	char *text = json_text(object);

	(void)printf("%s\n", text);
	free(text);
	return command_flush(err);
}

int
command_init(const struct options *opts, struct error *err)
{
	struct store_versions versions;
	struct store	     *store;
	int		      rc;

	if (store_open(&opts->store, STORE_WRITE, &store, err) == -1)
		return -1;
	rc = store_versions_get(store, &versions, err);
	if (rc == 0)
		log_info("store %s is ready, at version %lld",
		    store_name(store), (long long)versions.finished);
	store_close(store);
	return rc;
}
