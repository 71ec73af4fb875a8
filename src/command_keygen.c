#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command_keygen.h"
#include "jwk.h"
#include "log.h"
#include "private_file.h"

/* Where the private key goes when no file is named. */
#define DEFAULT_KEY_FILE "nompd-key.json"

#define PRIVATE_MODE 0600
#define PUBLIC_MODE  0644

/* Both files or none. */
static int
write_files(const char *private_file, const char *public_file,
    const struct jwk *key, const char *set, struct error *err)
{
	const char *text = jwk_private_text(key);

	if (private_file_make(private_file, PRIVATE_MODE, text, strlen(text),
	    err) == -1)
		return -1;
	if (private_file_make(public_file, PUBLIC_MODE, set, strlen(set),
	    err) == 0)
		return 0;
	(void)unlink(private_file);
	return -1;
}

int
command_keygen(const struct options *opts, struct error *err)
{
	const struct bulk_options *bulk = &opts->bulk;
	const char		  *private_file = bulk->private_key_file;
	struct jwk		  *key = NULL;
	char			  *set = NULL;
	int			   rc;

	if (private_file == NULL)
		private_file = DEFAULT_KEY_FILE;
	rc = jwk_make(jwk_alg_find(bulk->alg), &key, err);
	if (rc == 0)
		rc = jwk_public_set(key, &set, err);
	if (rc == 0)
		rc = write_files(private_file, bulk->public_jwks_file, key,
		    set, err);
	if (rc == 0) {
		log_info("%s: the private key (%s, kid %s); it stays here:"
		    " --private-key-file names it, and nobody else may read"
		    " it", private_file, bulk->alg, jwk_kid(key));
		log_info("%s: the public JWK Set; register it at the server,"
		    " best as a URL that answers with it, and get a client id"
		    " for --client-id", bulk->public_jwks_file);
	} else
		(void)error_prefix(err, "keygen");
	free(set);
	jwk_free(key);
	return rc;
}
