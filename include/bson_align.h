/*
 * Which elements of two arrays belong together.
 *
 * What is equal at both ends is taken off.  In what is left between, pairs are
 * chosen so that as much as possible is equal: an element counts in full when
 * it is the same, and an object by its share of equal members, if that is half
 * of them or more.  So that an element that was inserted is found also where it
 * gave all elements behind it another rank.  Where that would be more than
 * MAX_ALIGN_CELLS combinations, or MAX_ALIGN_ELEMENTS on one side, nothing is
 * paired, and it is for the caller to go by the places.
 */
#ifndef NOMPD_BSON_ALIGN_H
#define NOMPD_BSON_ALIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bson_member.h"

/* Combinations of elements that are weighed: 512 by 512. */
#define MAX_ALIGN_CELLS (512 * 512)
#define MAX_ALIGN_ELEMENTS 4096
/* Members of an object that its likeness to another is judged by. */
#define MAX_ALIGN_PARTS 32

/* An element's mate when it has none. */
#define ALIGN_NONE SIZE_MAX

/* The elements of an array. */
struct bson_elements {
	struct bson_member *items;
	size_t		    n;
};

/*
 * Fills mates[0..from->n) with the places in to, ascending, or ALIGN_NONE.  -1:
 * one of the elements is not sound, or nested deeper than MAX_NESTING.
 */
int bson_align(const struct bson_elements *from,
    const struct bson_elements *to, size_t *mates);

/* 1 = the two values are the same whatever the order of members, 0 = they are
 * not, -1 = as above. */
int bson_align_equal(const struct bson_member *one,
    const struct bson_member *other);

/*
 * The elements or, by_name, the members in byte order of their names of the
 * document of len bytes at data.  The caller frees items, in any case.  -1: it
 * is not sound or, by_name, has two members of one name.
 */
int bson_elements_read(struct bson_elements *out, const uint8_t *data,
    size_t len, bool by_name);

#endif
