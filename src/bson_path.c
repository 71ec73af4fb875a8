#include <stdio.h>

#include "bson_path.h"

/* Bytes of a member's name that a message shows. */
#define MAX_NAME_SHOWN 200

int
bson_path_name_len(const struct bson_member *member)
{
	size_t len = member->name_len;

	if (len <= MAX_NAME_SHOWN)
		return (int)len;
	/* Without half a character at the end (UTF-8, RFC 3629). */
	for (len = MAX_NAME_SHOWN; len > 0; len--)
		if ((bson_member_name(member)[len] & 0xc0) != 0x80)
			break;
	return (int)len;
}

void
bson_path_format(const struct bson_path *path, char text[MAX_PATH_SHOWN])
{
	const struct bson_member *member;
	size_t			  i, len = 0;
	bool			  is_element;
	int			  n;

	text[0] = '\0';
	for (i = 0; i < path->depth; i++) {
		member = &path->steps[i].member;
		is_element = path->steps[i].is_element;
		n = snprintf(text + len, MAX_PATH_SHOWN - len, "%s%.*s%s",
		    is_element ? "[" : i > 0 ? "." : "",
		    bson_path_name_len(member), bson_member_name(member),
		    is_element ? "]" : "");
		if (n < 0 || len + (size_t)n >= MAX_PATH_SHOWN) {
			text[len] = '\0';
			break;
		}
		len += (size_t)n;
	}
}
