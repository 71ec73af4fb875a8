#include <bson/bson.h>
#include <stdlib.h>
#include <string.h>

#include "bson_align.h"
#include "bson_diff.h"
#include "xalloc.h"

/*
 * Invariant: steps[0..depth) lead to the values that are compared.
 */
struct diff {
	bson_diff_fn	      fn;
	void		     *ctx;
	size_t		      depth;
	struct bson_diff_step steps[MAX_NESTING];
};

static int diff_values(struct diff *diff, const struct bson_member *from,
    const struct bson_member *to, struct error *err);

static int
fail(struct error *err)
{
	return error_set(err, STATUS_STORE, "the data is no sound BSON");
}

/* One of them may be NULL. */
static int
tell(struct diff *diff, const struct bson_member *from,
    const struct bson_member *to, struct error *err)
{
	struct bson_change change = {
		.kind = from == NULL ? BSON_ADDED : to == NULL ? BSON_REMOVED :
		    BSON_CHANGED,
		.steps = diff->steps,
		.depth = diff->depth,
		.from = from,
		.to = to,
	};

	return diff->fn(diff->ctx, &change, err);
}

/* The pair behind one step more; one of them may be NULL. */
static int
diff_step(struct diff *diff, const struct bson_diff_step *step,
    const struct bson_member *from, const struct bson_member *to,
    struct error *err)
{
	int rc;

	if (diff->depth == MAX_NESTING)
		return fail(err);
	diff->steps[diff->depth++] = *step;
	rc = from == NULL || to == NULL ? tell(diff, from, to, err) :
	    diff_values(diff, from, to, err);
	diff->depth--;
	return rc;
}

static struct bson_diff_step
step_of(const struct bson_member *member)
{
	return (struct bson_diff_step){
		.name = bson_member_name(member),
		.len = member->name_len,
	};
}

/* Both are in the order of their names. */
static int
merge_members(struct diff *diff, const struct bson_elements *from,
    const struct bson_elements *to, struct error *err)
{
	struct bson_diff_step step;
	size_t		      i = 0, j = 0;
	int		      order, rc = 0;

	while (rc == 0 && (i < from->n || j < to->n)) {
		order = i == from->n ? 1 : j == to->n ? -1 :
		    strcmp(bson_member_name(&from->items[i]),
		    bson_member_name(&to->items[j]));
		step = step_of(order > 0 ? &to->items[j] : &from->items[i]);
		rc = diff_step(diff, &step, order <= 0 ? &from->items[i] : NULL,
		    order >= 0 ? &to->items[j] : NULL, err);
		i += order <= 0;
		j += order >= 0;
	}
	return rc;
}

static int
diff_element(struct diff *diff, const struct bson_elements *from, size_t i,
    const struct bson_elements *to, size_t j, struct error *err)
{
	struct bson_diff_step step = { .from = i, .to = j };

	return diff_step(diff, &step, from != NULL ? &from->items[i] : NULL,
	    to != NULL ? &to->items[j] : NULL, err);
}

/*
 * Elements without a mate that stand between the same two pairs: as many as
 * there are on both sides belong together by their places.
 */
static int
diff_gap(struct diff *diff, const struct bson_elements *from, size_t *i,
    size_t i_end, const struct bson_elements *to, size_t *j, size_t j_end,
    struct error *err)
{
	int rc = 0;

	for (; rc == 0 && *i < i_end && *j < j_end; (*i)++, (*j)++)
		rc = diff_element(diff, from, *i, to, *j, err);
	for (; rc == 0 && *i < i_end; (*i)++)
		rc = diff_element(diff, from, *i, NULL, *j, err);
	for (; rc == 0 && *j < j_end; (*j)++)
		rc = diff_element(diff, NULL, *i, to, *j, err);
	return rc;
}

static int
merge_elements(struct diff *diff, const struct bson_elements *from,
    const struct bson_elements *to, const size_t *mates, struct error *err)
{
	size_t i = 0, j = 0, next;
	int    rc = 0;

	for (next = 0; rc == 0 && next < from->n; next++) {
		if (mates[next] == ALIGN_NONE)
			continue;
		rc = diff_gap(diff, from, &i, next, to, &j, mates[next], err);
		if (rc == 0)
			rc = diff_element(diff, from, i++, to, j++, err);
	}
	return rc == 0 ? diff_gap(diff, from, &i, from->n, to, &j, to->n,
	    err) : -1;
}

static int
diff_arrays(struct diff *diff, const struct bson_elements *from,
    const struct bson_elements *to, struct error *err)
{
	size_t *mates;
	int	rc;

	mates = xcalloc(from->n + 1, sizeof(*mates));
	rc = bson_align(from, to, mates) == -1 ? fail(err) :
	    merge_elements(diff, from, to, mates, err);
	free(mates);
	return rc;
}

static int
diff_levels(struct diff *diff, const uint8_t *from, size_t from_len,
    const uint8_t *to, size_t to_len, bool is_array, struct error *err)
{
	struct bson_elements old = { 0 }, new = { 0 };
	int		     rc;

	if (bson_elements_read(&old, from, from_len, !is_array) == -1 ||
	    bson_elements_read(&new, to, to_len, !is_array) == -1)
		rc = fail(err);
	else
		rc = is_array ? diff_arrays(diff, &old, &new, err) :
		    merge_members(diff, &old, &new, err);
	free(old.items);
	free(new.items);
	return rc;
}

static int
diff_values(struct diff *diff, const struct bson_member *from,
    const struct bson_member *to, struct error *err)
{
	const uint8_t *old = bson_member_value(from);
	const uint8_t *new = bson_member_value(to);
	uint8_t	       type = bson_member_type(from);

	if (type == bson_member_type(to) && from->value_len == to->value_len &&
	    memcmp(old, new, from->value_len) == 0)
		return 0;
	if (type != bson_member_type(to) ||
	    (type != BSON_TYPE_DOCUMENT && type != BSON_TYPE_ARRAY))
		return tell(diff, from, to, err);
	return diff_levels(diff, old, from->value_len, new, to->value_len,
	    type == BSON_TYPE_ARRAY, err);
}

int
bson_diff(const uint8_t *from, size_t from_len, const uint8_t *to,
    size_t to_len, bson_diff_fn fn, void *ctx, struct error *err)
{
	struct diff diff = { .fn = fn, .ctx = ctx };

	return diff_levels(&diff, from, from_len, to, to_len, false, err);
}
