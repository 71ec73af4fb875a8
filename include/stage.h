/*
 * The stage: a private temporary database (gone with the process) that holds
 * what a run fetched and what was converted from it until all of it is there,
 * and then the plan: what is to be done to each collection.  Nothing else of a
 * run grows with the data.  Where it lies: SQLITE_TMPDIR, TMPDIR, /var/tmp,
 * /tmp.
 */
#ifndef NOMPD_STAGE_H
#define NOMPD_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collection.h"
#include "error.h"
#include "hash.h"
#include "resource_age.h"

struct stage;

/* Lists of one stage: the five, and a resource type each. */
#define MAX_LISTS 512

/* The lists of the five collections are there, numbered as these are. */
int stage_open(struct stage **out, struct error *err);
void stage_close(struct stage *stage);
/* Adds a list: its number, or -1. */
int stage_add_list(struct stage *stage, struct error *err);

/* What a document in a list stands for. */
enum staged_kind {
	STAGED_PUT,    /* a resource or an output */
	STAGED_DELETE, /* a wish to delete what has its key; no data */
};

/* A fetched resource or an output (BSON). */
struct stage_doc {
	const char	   *key;
	size_t		    len;
	const uint8_t	   *hash; /* HASH_BYTES; none for a deletion */
	const uint8_t	   *data;
	size_t		    data_len;
	enum staged_kind    kind;
	struct resource_age age; /* zero: the last one with a key counts */
};
/* Adds it to a list. */
int stage_add(struct stage *stage, int list, const struct stage_doc *doc,
    struct error *err);
/* Drops all but the first count documents that were added to the list. */
int stage_rewind(struct stage *stage, int list, int64_t count,
    struct error *err);
/* How many were added and not dropped again: counted as they came, not read
 * from the list. */
uint64_t stage_count(const struct stage *stage, int list);
/* True when url was not seen before in that list, and remembers it. */
int stage_see_url(struct stage *stage, int list,
    const char *url, bool *is_new, struct error *err);
/* The list is complete: makes it readable by key. */
int stage_finish(struct stage *stage, int list,
    struct error *err);

bool stage_is_finished(const struct stage *stage, int list);
/*
 * A key of a finished list that another finished one does not have: 1 = *key
 * is one of them (the caller frees it), 0 = there is none, -1 = failed.
 */
int stage_find_missing(struct stage *stage, int list, int other, char **key,
    struct error *err);

/*
 * A list in ascending byte order of its keys; of documents with the same key
 * only the newest one or, when their ages do not tell, the last one added.
 */
struct staged {
	const char *key;  /* NUL-terminated; borrowed until the next call */
	size_t	    len;
	uint8_t	    hash[HASH_BYTES];
	int64_t	    row;	/* for stage_data() */
	uint64_t    duplicates; /* others with this key */
	bool	    is_delete;	/* a wish to delete it ... */
	bool	    is_put;	/* ... and, or, the resource itself */
	struct resource_age age;
};
struct stage_cursor;
int stage_cursor_open(struct stage *stage, int list,
    struct stage_cursor **out, struct error *err);
/* 1 = *staged filled, 0 = end, -1 = failed. */
int stage_cursor_next(struct stage_cursor *cursor, struct staged *staged,
    struct error *err);
void stage_cursor_close(struct stage_cursor *cursor);

/* The document of a row; borrowed until the next call for that collection. */
int stage_data(struct stage *stage, int list, int64_t row,
    const uint8_t **data, size_t *len, struct error *err);
/* The last document with that key: 1 = found (borrowed as above), 0 = none. */
int stage_find(struct stage *stage, int list,
    const char *key, size_t key_len, const uint8_t **data, size_t *len,
    struct error *err);

enum act { ACT_ADD, ACT_UPDATE, ACT_DELETE, ACT__MAX };

/* One planned change.  To add it, name the row; a cursor gives the data. */
struct planned {
	enum act       act;
	const char    *key;
	size_t	       len;
	uint8_t	       hash[HASH_BYTES];
	int64_t	       row;  /* in its list; 0 for a deletion */
	const uint8_t *data; /* NULL for a deletion, and when keys are asked
			      * for */
	size_t	       data_len;
};
int stage_plan_add(struct stage *stage, int list,
    const struct planned *planned, struct error *err);
/* The plan of a collection in the order it was made: all acts with their
 * data or, of the keys only, one act. */
int stage_plan_open(struct stage *stage, int list,
    enum act only, struct stage_cursor **out, struct error *err);
/* The same of all acts, without their data. */
int stage_plan_open_keys(struct stage *stage, int list,
    struct stage_cursor **out, struct error *err);
/* 1 = *planned filled (borrowed until the next call), 0 = end, -1. */
int stage_plan_next(struct stage_cursor *cursor, struct planned *planned,
    struct error *err);

#endif
