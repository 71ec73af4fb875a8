/*
 * NDJSON (newline-delimited JSON) in chunks in, one BSON document a line out.
 * Each line stands for itself: one that is no good is told of, and the next
 * ones are read all the same.  Blank lines and CR LF are fine.
 * (HL7 FHIR Bulk Data Access 2.0.0, File Request)
 */
#ifndef NOMPD_NDJSON_H
#define NOMPD_NDJSON_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Bytes of a line; a resource of 16 MiB as BSON fits even with many escapes. */
#define MAX_LINE_BYTES (64 * 1024 * 1024)

/* One line that is not blank; all of it is borrowed until the call returns. */
struct ndjson_line {
	uint64_t	    number; /* from 1, blank lines counted */
	const uint8_t	   *text;   /* without its line break */
	size_t		    len;
	const bson_t	   *doc;    /* NULL: no sound JSON object ... */
	const struct error *why;    /* ... for this reason */
};
/* -1 ends it with the callback's error. */
typedef int (*ndjson_fn)(void *ctx, const struct ndjson_line *line,
    struct error *err);

struct ndjson;

/* fn and ctx are borrowed.  The caller frees the result. */
struct ndjson *ndjson_new(ndjson_fn fn, void *ctx);
/* NULL is fine. */
void ndjson_free(struct ndjson *ndjson);

/*
 * Takes the next len bytes.  -1 (STATUS_PROTOCOL): it is a JSON array, not
 * lines, or a line is too long; or what fn said.
 */
int ndjson_feed(struct ndjson *ndjson, const uint8_t *data, size_t len,
    struct error *err);
/* The text is at its end; its last line may lack a line break.  -1 as above. */
int ndjson_finish(struct ndjson *ndjson, struct error *err);

/*
 * True when the text of a last line without line break is a whole JSON value;
 * one that is not was cut.
 */
bool ndjson_is_whole(const uint8_t *text, size_t len);

#endif
