/*
 * What the conversions share.  Each writes its output with a bson_writer:
 *
 *	convert_begin, the members in their order, convert_finish
 *
 * An output may be far larger than its source (an ActivityDefinition that many
 * actions refer to), so a loop that writes asks convert_has_room() each time.
 */
#ifndef NOMPD_CONVERT_INT_H
#define NOMPD_CONVERT_INT_H

#include <bson/bson.h>
#include <stdbool.h>

#include "bson_member.h"
#include "bson_writer.h"
#include "error.h"
#include "fhir.h"

/* How much of a text a message shows: at most MAX_KEY_BYTES. */
int convert_shown_len(struct fhir_text text);
/* What "%.*s" takes. */
#define CONVERT_SHOWN(foreign) convert_shown_len(foreign), (foreign).text

/*
 * Initialises out and starts the output of resource with its first member, the
 * id; *key is the business key.  -1: the resource has none.  The caller clears
 * writer->buf, also after -1.
 */
int convert_begin(struct bson_writer *writer, const bson_t *resource,
    struct fhir_text *key, bson_t *out, struct error *err);
/*
 * Ends the output and copies it to out.  -1 with STATUS_PROTOCOL when its
 * record would not fit MAX_RECORD_BYTES; what names the output in the message.
 */
int convert_finish(struct bson_writer *writer, const char *what,
    struct fhir_text key, bson_t *out, struct error *err);
/* False when there is already more than a record can hold. */
bool convert_has_room(const struct bson_writer *writer);

/* Members.  An absent text or concept is written as null. */
void convert_text(struct bson_writer *writer, const char *name,
    struct fhir_text text);
void convert_null(struct bson_writer *writer, const char *name);
void convert_open_object(struct bson_writer *writer, const char *name);
void convert_open_array(struct bson_writer *writer, const char *name);
void convert_concept(struct bson_writer *writer, const char *name,
    struct fhir_node concept);
/* `medicines`: a MedicinalReference for each article number of resource. */
void convert_medicines(struct bson_writer *writer, struct fhir_node resource);

/* The next element of an array, from a Coding or a CodeableConcept. */
void convert_coding(struct bson_writer *writer, struct fhir_node coding);
void convert_concept_element(struct bson_writer *writer,
    struct fhir_node concept);

#endif
