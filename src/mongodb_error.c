/* Words for what a driver or a server says, and the status it leads to. */
#include <string.h>

#include "mongodb_client.h"

/* Codes of the server (MongoDB, error_codes.yml). */
#define CODE_UNAUTHORIZED	   13
#define CODE_AUTHENTICATION_FAILED 18
#define CODE_DISK_FULL		   14031
#define CODE_DUPLICATE_KEY	   11000

#define ANY_CODE 0

#define ADVICE_NOT_READY "the server starts, ends or is in trouble; its log" \
	" says more"

/* The first row that fits is taken; words NULL: whatever the text is. */
static const struct {
	uint32_t    domain;
	uint32_t    code;
	const char *words;
	enum status status;
	const char *advice;
} rules[] = {
	{ MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE,
	    "Unknown authentication mechanism", STATUS_USAGE,
	    "look at authMechanism in the URI" },
	/* The driver has one code for a login that failed, whatever it was:
	 * the network, a server that starts or ends (the third one is what
	 * PostgreSQL says, the fourth one FerretDB without it). */
	{ MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE,
	    "Failed to send", STATUS_STORE, "the connection is lost, or no"
	    " answer came in time" },
	{ MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, "shut",
	    STATUS_STORE, ADVICE_NOT_READY },
	{ MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE,
	    "the database system", STATUS_STORE, ADVICE_NOT_READY },
	{ MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE,
	    "failed to connect", STATUS_STORE, ADVICE_NOT_READY },
	{ MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, NULL,
	    STATUS_REFUSED, "the server refuses the user or the password;"
	    " look at the URI (user, authSource) and at"
	    " NOMPD_STORE_PASSWORD_FILE" },
	{ MONGOC_ERROR_SERVER, CODE_AUTHENTICATION_FAILED, NULL,
	    STATUS_REFUSED, "the server refuses the user or the password;"
	    " look at the URI (user, authSource) and at"
	    " NOMPD_STORE_PASSWORD_FILE" },
	{ MONGOC_ERROR_SERVER, CODE_UNAUTHORIZED, "requires authentication",
	    STATUS_REFUSED, "the server wants a user and a password; name the"
	    " user in the URI, and the password in the file of"
	    " NOMPD_STORE_PASSWORD_FILE" },
	{ MONGOC_ERROR_SERVER, CODE_UNAUTHORIZED, NULL, STATUS_STORE,
	    "the user lacks a right; nompd-store(7), ROLES, has what it"
	    " needs" },
	{ MONGOC_ERROR_SERVER, CODE_DUPLICATE_KEY, NULL, STATUS_STORE,
	    "somebody else has written what this run was to write; the next"
	    " run mends it" },
	/* FerretDB has another code for it at times. */
	{ MONGOC_ERROR_SERVER, ANY_CODE, "duplicate key", STATUS_STORE,
	    "somebody else has written what this run was to write; the next"
	    " run mends it" },
	{ MONGOC_ERROR_SERVER, CODE_DISK_FULL, NULL, STATUS_STORE,
	    "the server's disk is full; make room there, the next run mends"
	    " the rest" },
	{ MONGOC_ERROR_SERVER, ANY_CODE, "No space left", STATUS_STORE,
	    "the server's disk is full; make room there, the next run mends"
	    " the rest" },
	{ MONGOC_ERROR_SERVER, ANY_CODE, "shut", STATUS_STORE,
	    ADVICE_NOT_READY },
	/* What FerretDB says of its PostgreSQL. */
	{ MONGOC_ERROR_SERVER, ANY_CODE, "the database system", STATUS_STORE,
	    ADVICE_NOT_READY },
	{ MONGOC_ERROR_SERVER, ANY_CODE, "terminating connection",
	    STATUS_STORE, ADVICE_NOT_READY },
	{ MONGOC_ERROR_SERVER, ANY_CODE, "unexpected EOF", STATUS_STORE,
	    ADVICE_NOT_READY },
	{ MONGOC_ERROR_SERVER_SELECTION, ANY_CODE, "TLS handshake failed",
	    STATUS_STORE, "no TLS connection; does the server speak TLS, and"
	    " is its certificate signed by who the URI trusts (tlsCAFile)?" },
	{ MONGOC_ERROR_SERVER_SELECTION, ANY_CODE, "Failed to resolve",
	    STATUS_STORE, "no address for the server's name; look at the"
	    " URI" },
	{ MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NAME_RESOLUTION, NULL,
	    STATUS_STORE, "no address for the server's name; look at the"
	    " URI" },
	{ MONGOC_ERROR_SERVER_SELECTION, ANY_CODE, "connection refused",
	    STATUS_STORE, "nobody answers there; does the server run, on that"
	    " host and port?" },
	{ MONGOC_ERROR_SERVER_SELECTION, ANY_CODE, "Invalid reply",
	    STATUS_STORE, "something that is no MongoDB server answers there;"
	    " look at the host and the port" },
	{ MONGOC_ERROR_SERVER_SELECTION, ANY_CODE, "connection closed",
	    STATUS_STORE, "it closes the connection; does it speak TLS only"
	    " (tls=true), and is it a MongoDB server?" },
	{ MONGOC_ERROR_SERVER_SELECTION, ANY_CODE, "socket timeout",
	    STATUS_STORE, "it takes the connection, but says nothing; is it a"
	    " MongoDB server, and does it speak TLS when the URI has"
	    " tls=true?" },
	{ MONGOC_ERROR_SERVER_SELECTION, ANY_CODE, "connection timeout",
	    STATUS_STORE, "nobody answers there in time; does the server run,"
	    " and does a firewall let through to it?" },
	{ MONGOC_ERROR_SERVER_SELECTION, ANY_CODE, "connection error",
	    STATUS_STORE, "no TLS connection can be begun; the warning before"
	    " this tells what is wrong with a file of the URI (tlsCAFile,"
	    " tlsCertificateKeyFile)" },
	{ MONGOC_ERROR_SERVER_SELECTION, ANY_CODE, "NoPrimary", STATUS_STORE,
	    "the replica set has no primary; try again when it has elected"
	    " one" },
	{ MONGOC_ERROR_SERVER_SELECTION, ANY_CODE, NULL, STATUS_STORE,
	    "no server that fits answers; does it run, is it of the replica"
	    " set that the URI names, and does it speak TLS just when the URI"
	    " has tls=true?" },
	{ MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_BAD_WIRE_VERSION, NULL,
	    STATUS_STORE, "the server is too old or too new for this"
	    " program" },
	{ MONGOC_ERROR_WRITE_CONCERN, ANY_CODE, NULL, STATUS_STORE,
	    "the write did not reach as many servers as it has to; are the"
	    " others of the replica set there?" },
	{ MONGOC_ERROR_STREAM, ANY_CODE, NULL, STATUS_STORE,
	    "the connection is lost, or no answer came in time; what is"
	    " written so far the next run mends" },
};

/* The bytes of a message that say it all: the first line, and of the errors of
 * a batch the first one. */
static int
length_of(const char *message)
{
	const char *next;
	size_t	    len;

	len = strcspn(message, "\n");
	next = strstr(message, "\", \"");
	if (next != NULL && (size_t)(next - message) < len)
		len = (size_t)(next - message) + 1;
	return (int)len;
}

int
mongodb_fail(const bson_error_t *cause, const char *doing, struct error *err)
{
	size_t i, n = sizeof(rules) / sizeof(rules[0]);

	for (i = 0; i < n; i++) {
		if (rules[i].domain == cause->domain &&
		    (rules[i].code == ANY_CODE ||
		    rules[i].code == cause->code) && (rules[i].words == NULL ||
		    strcasestr(cause->message, rules[i].words) != NULL))
			break;
	}
	if (i == n)
		return error_set(err, STATUS_STORE, "%s: %.*s (code %u)",
		    doing, length_of(cause->message), cause->message,
		    (unsigned)cause->code);
	return error_set(err, rules[i].status, "%s: %s (%.*s)", doing,
	    rules[i].advice, length_of(cause->message), cause->message);
}

/* DocumentDB (FerretDB) says so under a code of its own. */
bool
mongodb_is_duplicate(const bson_error_t *cause)
{
	return cause->code == CODE_DUPLICATE_KEY ||
	    strcasestr(cause->message, "duplicate key") != NULL;
}
