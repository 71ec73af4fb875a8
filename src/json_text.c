#include "json_text.h"
#include "xalloc.h"

char *
json_text(json_t *value)
{
	char *text;

	text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
	if (text == NULL)
		xalloc_end();
	json_decref(value);
	return text;
}
