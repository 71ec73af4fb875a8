/*
 * What differs between two BSON documents, member by member.
 *
 * Members are compared by name, in whatever order they stand, and values by
 * type and bytes: two documents differ when their ContentHash does.  Arrays are
 * aligned (bson_align.h), so that an element that comes or goes is one change
 * and not one of each element behind it.
 *
 * The changes come in the order in which they can be applied: each array from
 * its start, each object by the byte order of its names.  All of them, applied
 * one after the other to the earlier document, give the later one, but for the
 * order of members.
 */
#ifndef NOMPD_BSON_DIFF_H
#define NOMPD_BSON_DIFF_H

#include <stddef.h>
#include <stdint.h>

#include "bson_member.h"
#include "error.h"
#include "limit.h"

struct buf;

/* Bytes of a value that bson_diff_line() shows; longer ones are cut. */
#define MAX_DIFF_VALUE_BYTES 160

enum bson_change_kind { BSON_ADDED, BSON_REMOVED, BSON_CHANGED };

/* One step of the way to a change: a member's name or, name NULL, the place of
 * an element in the earlier array and in the later one. */
struct bson_diff_step {
	const char *name;
	size_t	    len;
	size_t	    from;
	size_t	    to;
};

/*
 * All is borrowed until the callback returns.
 *
 * Invariants: of what was added from is NULL, of what was removed to is; the
 * last step is the member or the element itself, so that depth is above 0.
 * Elements before the place `to` of a step are those of the later array
 * already, so that an element is removed from there.
 */
struct bson_change {
	enum bson_change_kind	     kind;
	const struct bson_diff_step *steps;
	size_t			     depth;
	const struct bson_member    *from;
	const struct bson_member    *to;
};

/* -1 ends it with the callback's error. */
typedef int (*bson_diff_fn)(void *ctx, const struct bson_change *change,
    struct error *err);

/*
 * Gives each change from the one document to the other to fn.  -1: what fn
 * said, or (STATUS_STORE) one of them is not sound, has two members of one
 * name, or is nested deeper than MAX_NESTING.
 */
int bson_diff(const uint8_t *from, size_t from_len, const uint8_t *to,
    size_t to_len, bson_diff_fn fn, void *ctx, struct error *err);

/*
 * Appends the change as an operation of a JSON Patch (RFC 6902): add, remove or
 * replace, the path a JSON Pointer (RFC 6901).  "was" beside them is the
 * earlier value, which who applies the patch leaves alone (RFC 6902, 4).  -1: a
 * value has no JSON text (bson_json.h).
 */
int bson_diff_patch(struct buf *out, const struct bson_change *change);
/*
 * Appends the change for people, without a newline:
 *
 *	treatmentAlternatives[2].rank: 3 -> 1	(with an arrow, U+2192)
 *	medicines[0] added: {"reference":null, ...
 *	description removed: "..."
 *
 * Places are those of the later document but, of what was removed, those of the
 * earlier one.  A name that could be taken for something else is quoted, as in
 * ["a.b"].  Control characters are shown as \xNN, and values are cut after
 * MAX_DIFF_VALUE_BYTES.  -1 as above.
 */
int bson_diff_line(struct buf *out, const struct bson_change *change);
/* The same for any text: appends it, its control characters as \xNN. */
void bson_diff_plain(struct buf *out, const char *text, size_t len);

#endif
