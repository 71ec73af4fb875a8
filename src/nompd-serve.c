#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "command_key.h"
#include "error.h"
#include "fcgi.h"
#include "log.h"
#include "options.h"
#include "route.h"
#include "standard.h"
#include "stop.h"
#include "workers.h"
#include "xalloc.h"

/* CGI/1.1 says so (RFC 3875, 4.1). */
static bool
is_cgi(void)
{
	return getenv("GATEWAY_INTERFACE") != NULL &&
	    getenv("REQUEST_METHOD") != NULL;
}

/* A FastCGI worker, from its start to its end; ctx is a struct service. */
static int
serve_socket(void *ctx, struct error *err)
{
	struct service *service = ctx;
	int		rc;

	if (stop_init(0, err) == -1)
		return -1;
	service->is_lasting = true;
	rc = fcgi_serve(STDIN_FILENO, route_serve, service, err);
	service_clear(service);
	return rc;
}

static int
command_serve(const struct options *opts, struct error *err)
{
	struct service service = { .opts = opts };
	int	       rc;

	if (is_cgi()) {
		rc = cgi_serve(route_serve, &service);
		service_clear(&service);
		return rc == 0 ? 0 : error_set(err, STATUS_STORE, "the answer"
		    " is broken off");
	}
	if (!fcgi_is_socket(STDIN_FILENO))
		return error_set(err, STATUS_USAGE, "a web server starts this"
		    " program (CGI), or standard input is a listening socket"
		    " (FastCGI); neither is so.  See --help, and `make serve`"
		    " to try it");
	if (opts->workers > 1)
		return workers_run(opts->workers, serve_socket, &service, err);
	return serve_socket(&service, err);
}

static int
carry_out(const struct options *opts, struct error *err)
{
	if (options_answer(opts, &program_serve, stdout))
		return command_flush(err);
	switch ((int)opts->command) {
	case COMMAND_KEY_ADD:
		return command_key_add(opts, err);
	case COMMAND_KEY_LIST:
		return command_key_list(opts, err);
	case COMMAND_KEY_REVOKE:
		return command_key_revoke(opts, err);
	default:
		return command_serve(opts, err);
	}
}

/* A configuration that is no good: the client learns that much. */
static void
serve_failure(void *ctx, struct cgi *cgi)
{
	struct request	request;
	struct response response;

	(void)ctx;
	request_read(&request, cgi);
	response_init(&response, cgi, &request);
	response_error(&response, 500, "Internal error.");
	response_end(&response);
	response_clear(&response);
}

int
main(int argc, char *argv[])
{
	struct options opts;
	struct error   err = { .status = STATUS_OK };
	int	       rc;

	standard_open();
	if (sodium_init() == -1)
		xalloc_end();
	/* That nobody reads is to be an error, not the end. */
	(void)signal(SIGPIPE, SIG_IGN);
	/* Whoever started this may not have wanted to know of its children. */
	(void)signal(SIGCHLD, SIG_DFL);
	/* A CGI program's arguments come from a client's query (RFC 3875,
	 * 4.4). */
	rc = options_parse(&opts, &program_serve, is_cgi() ? 1 : argc, argv,
	    &err);
	if (rc == 0)
		rc = carry_out(&opts, &err);
	else if (is_cgi())
		(void)cgi_serve(serve_failure, NULL);
	if (rc == -1)
		log_lines(err.text);
	options_clear(&opts);
	return rc == 0 ? EXIT_SUCCESS : (int)err.status;
}
