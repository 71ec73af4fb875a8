/*
 * The way to a place in a BSON document, for messages: "action[2].code".
 */
#ifndef NOMPD_BSON_PATH_H
#define NOMPD_BSON_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "bson_member.h"
#include "limit.h"

/* Bytes of a path that a message shows, its NUL included. */
#define MAX_PATH_SHOWN 1024

/*
 * Zeroed is the top of a document.  The members are borrowed from it.
 *
 * Invariant: steps[0..depth) are the members that lead there, outermost first.
 */
struct bson_path {
	size_t depth;
	struct {
		struct bson_member member;
		bool		   is_element; /* of an array */
	} steps[MAX_NESTING];
};

/* One step more, of at most MAX_NESTING; `depth--` takes it back. */
static inline void
bson_path_push(struct bson_path *path, const struct bson_member *member,
    bool is_element)
{
	path->steps[path->depth].member = *member;
	path->steps[path->depth].is_element = is_element;
	path->depth++;
}

/* The path as text; of a long one its first steps, of a long name its first
 * characters. */
void bson_path_format(const struct bson_path *path, char text[MAX_PATH_SHOWN]);

/* Bytes of the member's name that a message shows, for "%.*s". */
int bson_path_name_len(const struct bson_member *member);

#endif
