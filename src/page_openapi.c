/* The description of all answers, as it lies in openapi.json. */
#include "service.h"

static const unsigned char openapi[] = {
#include "openapi.inc"
};

int
page_openapi(struct exchange *exchange, struct error *err)
{
	(void)err;
	response_json(&exchange->response, 200, (const char *)openapi,
	    sizeof(openapi));
	return 0;
}
