#include <stddef.h>
#include <string.h>

#include "etag.h"

/* What web servers add to the tag of an answer that they compress. */
static const char *const codings[] = { "", "-gzip", "-br", "-deflate",
	"-zstd" };

static bool
is_same(const char *tag, size_t len, const char *opaque)
{
	size_t own = strlen(opaque), i;

	if (len < own || memcmp(tag, opaque, own) != 0)
		return false;
	for (i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
		if (strlen(codings[i]) == len - own &&
		    memcmp(tag + own, codings[i], len - own) == 0)
			return true;
	}
	return false;
}

bool
etag_matches(const char *header, const char *opaque)
{
	const char *end;

	if (header == NULL)
		return false;
	header += strspn(header, " \t");
	if (header[0] == '*')
		return header[1 + strspn(header + 1, " \t")] == '\0';
	for (;;) {
		header = strchr(header, '"');
		end = header != NULL ? strchr(header + 1, '"') : NULL;
		if (end == NULL)
			return false;
		if (is_same(header + 1, (size_t)(end - header - 1), opaque))
			return true;
		header = end + 1;
	}
}
