#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command_keygen.h"
#include "jwk.h"
#include "log.h"
#include "private_file.h"
#include "seal_key.h"

/* Where the private key goes when no file is named. */
#define DEFAULT_KEY_FILE      "nompd-key.json"
#define DEFAULT_SEAL_KEY_FILE "nompd-seal-key.json"

#define PRIVATE_MODE 0600
#define PUBLIC_MODE  0644

/* Both files or none. */
static int
write_files(const char *private_file, const char *public_file,
    const char *text, const char *set, struct error *err)
{
	if (private_file_make(private_file, PRIVATE_MODE, text, strlen(text),
	    err) == -1)
		return -1;
	if (private_file_make(public_file, PUBLIC_MODE, set, strlen(set),
	    err) == 0)
		return 0;
	(void)unlink(private_file);
	return -1;
}

/* A key to sign the history with. */
static int
make_seal_key(const struct bulk_options *bulk, const char *private_file,
    struct error *err)
{
	struct seal_key *key = NULL;
	char		*text = NULL, *set = NULL;
	int		 rc;

	rc = seal_key_make(&key, err);
	if (rc == 0)
		rc = seal_key_private_text(key, &text, err);
	if (rc == 0) {
		set = seal_key_public_set(key);
		rc = write_files(private_file, bulk->public_jwks_file, text,
		    set, err);
	}
	if (rc == 0) {
		log_info("%s: the private key (%s, kid %s); it stays here:"
		    " --seal-key-file names it for runs, and nobody else may"
		    " read it", private_file, bulk->alg, seal_key_id(key));
		log_info("%s: the public JWK Set; whoever is to check the"
		    " history gets it, for nompd-sync verify --history"
		    " --seal-key-file", bulk->public_jwks_file);
	}
	sodium_free(text);
	free(set);
	seal_key_free(key);
	return rc;
}

/* A key for SMART Backend Services. */
static int
make_client_key(const struct bulk_options *bulk, const char *private_file,
    struct error *err)
{
	struct jwk *key = NULL;
	char	   *set = NULL;
	int	    rc;

	rc = jwk_make(jwk_alg_find(bulk->alg), &key, err);
	if (rc == 0)
		rc = jwk_public_set(key, &set, err);
	if (rc == 0)
		rc = write_files(private_file, bulk->public_jwks_file,
		    jwk_private_text(key), set, err);
	if (rc == 0) {
		log_info("%s: the private key (%s, kid %s); it stays here:"
		    " --private-key-file names it, and nobody else may read"
		    " it", private_file, bulk->alg, jwk_kid(key));
		log_info("%s: the public JWK Set; register it at the server,"
		    " best as a URL that answers with it, and get a client id"
		    " for --client-id", bulk->public_jwks_file);
	}
	free(set);
	jwk_free(key);
	return rc;
}

int
command_keygen(const struct options *opts, struct error *err)
{
	const struct bulk_options *bulk = &opts->bulk;
	const char		  *file = bulk->private_key_file;
	bool			   is_seal;
	int			   rc;

	is_seal = strcmp(bulk->alg, SEAL_KEY_ALG) == 0;
	if (file == NULL)
		file = is_seal ? DEFAULT_SEAL_KEY_FILE : DEFAULT_KEY_FILE;
	rc = is_seal ? make_seal_key(bulk, file, err) :
	    make_client_key(bulk, file, err);
	return rc == 0 ? 0 : error_prefix(err, "keygen");
}
