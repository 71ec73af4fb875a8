/*
 * Read-only questions to a FHIR resource held as BSON.  Answers are borrowed
 * from the document.  A member of another type than FHIR gives it counts as
 * absent, and an entry of another type in an array is passed over.
 */
#ifndef NOMPD_FHIR_H
#define NOMPD_FHIR_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bson_members;

/* Text with its length (it may hold NULs); text is NULL when absent. */
struct fhir_text {
	const char *text;
	size_t	    len;
};

/* An object or array as BSON; data is NULL when absent. */
struct fhir_node {
	const uint8_t *data;
	size_t	       len;
};

/* resourceType, or an absent text. */
struct fhir_text fhir_resource_type(const bson_t *resource);
/*
 * The business key: identifier[0].value when identifier is an array whose
 * first entry is an object with a non-empty text value; else absent.
 */
struct fhir_text fhir_business_key(const bson_t *resource);

/* The resource itself. */
struct fhir_node fhir_root(const bson_t *resource);
/* The member of object when it is text, an object, an array; else absent.
 * So is every member of an absent object. */
struct fhir_text fhir_text_get(struct fhir_node object, const char *name);
struct fhir_node fhir_object_get(struct fhir_node object, const char *name);
struct fhir_node fhir_array_get(struct fhir_node object, const char *name);

/* Starts a walk over the entries of array; an absent one has none.  (The walk
 * itself is from bson_member.h.) */
void fhir_walk(struct bson_members *walk, struct fhir_node array);
/* The next entry that is an object, or text; false at the end. */
bool fhir_next_object(struct bson_members *walk, struct fhir_node *object);
bool fhir_next_text(struct bson_members *walk, struct fhir_text *text);
/* Of a walk over an extension array: the next extension whose url contains
 * part, as fhir_text_contains() has it; false at the end. */
bool fhir_next_extension(struct bson_members *walk, const char *part,
    struct fhir_node *extension);

/*
 * Whether the extension's value is an integer that fits *value: valueInteger,
 * valuePositiveInt, valueUnsignedInt, a valueDecimal without a fraction, or a
 * valueString of ASCII digits.
 */
bool fhir_extension_integer(struct fhir_node extension, int32_t *value);

/* Whether the text is there and not empty. */
bool fhir_text_is_filled(struct fhir_text text);
/* Whether both are the same bytes; an absent text equals nothing. */
bool fhir_text_equals(struct fhir_text text, const char *other);
/* Whether part stands in text, whatever the case of ASCII letters. */
bool fhir_text_contains(struct fhir_text text, const char *part);
/* The date part of a date-time; anything else as it is. */
struct fhir_text fhir_text_date(struct fhir_text text);

#endif
