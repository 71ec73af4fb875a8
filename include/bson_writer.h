/*
 * Writes one BSON document member by member into a buffer, without knowing its
 * size beforehand (bsonspec.org, 1.1).  libbson's own append functions adjust
 * the lengths of all open levels at each member; this writes a length once,
 * when its level is closed.
 *
 * Invariants: levels[0..depth) are open, outermost first, each with room for
 * its length at its start.  Up to sound_len everything is whole members.
 */
#ifndef NOMPD_BSON_WRITER_H
#define NOMPD_BSON_WRITER_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "json_number.h"
#include "limit.h"

/* A Bundle's entry holds its resource one level down. */
#define MAX_WRITER_LEVELS (MAX_NESTING + 1)

struct bson_writer {
	struct buf buf;
	size_t	   start;     /* of the outermost level in buf */
	size_t	   depth;
	size_t	   name_at;   /* of the member whose value is due */
	size_t	   sound_len;
	struct {
		size_t	 start;
		uint32_t index; /* of an array's next element */
		bool	 is_array;
	} levels[MAX_WRITER_LEVELS];
};

/* The name of the next member of the object that is open. */
void bson_writer_name(struct bson_writer *writer, const void *text,
    size_t len);
/* Takes the name back. */
void bson_writer_unname(struct bson_writer *writer);
/* Values: of the name just given or, in an array, of its next element. */
void bson_writer_null(struct bson_writer *writer);
void bson_writer_bool(struct bson_writer *writer, bool value);
void bson_writer_text(struct bson_writer *writer, const void *text,
    size_t len);
void bson_writer_number(struct bson_writer *writer,
    const struct json_number *number);
/* An object or array; the first one opened is the document itself.  The
 * caller has seen that depth is below MAX_WRITER_LEVELS. */
void bson_writer_open(struct bson_writer *writer, bool is_array);
void bson_writer_close(struct bson_writer *writer);
/* Drops what is not whole and closes all levels: sound BSON from start on. */
void bson_writer_close_all(struct bson_writer *writer);

#endif
