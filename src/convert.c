#include <string.h>

#include "convert_int.h"
#include "limit.h"
#include "record.h"

/* Most outputs are smaller; spares the buffer its first steps of growth. */
#define USUAL_BYTES 4096

int
convert_shown_len(struct fhir_text text)
{
	size_t len = text.len;

	if (len <= MAX_KEY_BYTES)
		return (int)len;
	/* Back to the start of a character (UTF-8, RFC 3629). */
	for (len = MAX_KEY_BYTES; len > 0; len--)
		if (((unsigned char)text.text[len] & 0xc0) != 0x80)
			break;
	return (int)len;
}

int
convert_begin(struct bson_writer *writer, const bson_t *resource,
    struct fhir_text *key, bson_t *out, struct error *err)
{
	bson_init(out);
	*key = fhir_business_key(resource);
	if (key->text == NULL)
		return error_set(err, STATUS_PROTOCOL,
		    "a resource without an identifier cannot be converted");
	(void)buf_reserve(&writer->buf, USUAL_BYTES);
	bson_writer_open(writer, false);
	convert_text(writer, "id", *key);
	return 0;
}

int
convert_finish(struct bson_writer *writer, const char *what,
    struct fhir_text key, bson_t *out, struct error *err)
{
	bson_t view;
	size_t bytes;

	bson_writer_close(writer);
	bytes = record_bytes(key.len, writer->buf.len);
	if (bytes > MAX_RECORD_BYTES)
		return error_set(err, STATUS_PROTOCOL,
		    "%s %.*s: its record would take %zu bytes%s, a record may"
		    " take %d", what, CONVERT_SHOWN(key), bytes,
		    convert_has_room(writer) ? "" : " or more",
		    MAX_RECORD_BYTES);
	if (!bson_init_static(&view, writer->buf.data, writer->buf.len))
		return error_set(err, STATUS_PROTOCOL,
		    "%s %.*s: cannot be written as BSON", what,
		    CONVERT_SHOWN(key));
	bson_destroy(out);
	bson_copy_to(&view, out);
	return 0;
}

bool
convert_has_room(const struct bson_writer *writer)
{
	return writer->buf.len <= MAX_RECORD_BYTES;
}

static void
name_write(struct bson_writer *writer, const char *name)
{
	bson_writer_name(writer, name, strlen(name));
}

void
convert_text(struct bson_writer *writer, const char *name,
    struct fhir_text text)
{
	name_write(writer, name);
	if (text.text != NULL)
		bson_writer_text(writer, text.text, text.len);
	else
		bson_writer_null(writer);
}

void
convert_null(struct bson_writer *writer, const char *name)
{
	name_write(writer, name);
	bson_writer_null(writer);
}

void
convert_open_object(struct bson_writer *writer, const char *name)
{
	name_write(writer, name);
	bson_writer_open(writer, false);
}

void
convert_open_array(struct bson_writer *writer, const char *name)
{
	name_write(writer, name);
	bson_writer_open(writer, true);
}

void
convert_coding(struct bson_writer *writer, struct fhir_node coding)
{
	bson_writer_open(writer, false);
	convert_text(writer, "system", fhir_text_get(coding, "system"));
	convert_text(writer, "code", fhir_text_get(coding, "code"));
	convert_text(writer, "display", fhir_text_get(coding, "display"));
	bson_writer_close(writer);
}

void
convert_concept_element(struct bson_writer *writer, struct fhir_node concept)
{
	struct bson_members codings;
	struct fhir_node    coding;

	bson_writer_open(writer, false);
	convert_open_array(writer, "coding");
	fhir_walk(&codings, fhir_array_get(concept, "coding"));
	while (convert_has_room(writer) && fhir_next_object(&codings, &coding))
		convert_coding(writer, coding);
	bson_writer_close(writer);
	convert_text(writer, "text", fhir_text_get(concept, "text"));
	bson_writer_close(writer);
}

void
convert_concept(struct bson_writer *writer, const char *name,
    struct fhir_node concept)
{
	name_write(writer, name);
	if (concept.data != NULL)
		convert_concept_element(writer, concept);
	else
		bson_writer_null(writer);
}

static void
convert_literal(struct bson_writer *writer, const char *name, const char *text)
{
	convert_text(writer, name, (struct fhir_text){ text, strlen(text) });
}

/* False for no article number: an absent or empty one. */
static bool
medicine_write(struct bson_writer *writer, struct fhir_text number)
{
	if (!fhir_text_is_filled(number))
		return false;
	bson_writer_open(writer, false);
	convert_null(writer, "reference");
	convert_literal(writer, "type", "FEST/LegemiddelPakning");
	convert_open_object(writer, "identifier");
	convert_literal(writer, "system", "FEST/Varenummer");
	convert_text(writer, "value", number);
	bson_writer_close(writer);
	convert_null(writer, "display");
	bson_writer_close(writer);
	return true;
}

static bool
numbers_of_member(struct bson_writer *writer, struct fhir_node resource,
    const char *name)
{
	struct bson_members walk;
	struct fhir_text    number;
	bool		    has_any = false;

	fhir_walk(&walk, fhir_array_get(resource, name));
	while (convert_has_room(writer) && fhir_next_text(&walk, &number))
		has_any |= medicine_write(writer, number);
	return has_any;
}

/* The names are known, their place is not: see nompd-store(7). */
static bool
numbers_of_members(struct bson_writer *writer, struct fhir_node resource)
{
	return numbers_of_member(writer, resource, "articleNumbers") ||
	    numbers_of_member(writer, resource, "ArticleNumbers") ||
	    medicine_write(writer, fhir_text_get(resource, "articleNumber")) ||
	    medicine_write(writer, fhir_text_get(resource, "ArticleNumber"));
}

static bool
number_of_extension(struct bson_writer *writer, struct fhir_node extension)
{
	return medicine_write(writer,
	    fhir_text_get(extension, "valueString")) ||
	    medicine_write(writer, fhir_text_get(extension, "valueCode")) ||
	    medicine_write(writer, fhir_text_get(fhir_object_get(extension,
	    "valueIdentifier"), "value")) ||
	    medicine_write(writer, fhir_text_get(fhir_object_get(extension,
	    "valueCoding"), "code"));
}

static bool
numbers_of_extensions(struct bson_writer *writer, struct fhir_node resource)
{
	struct bson_members walk;
	struct fhir_node    extension;
	bool		    has_any = false;

	fhir_walk(&walk, fhir_array_get(resource, "extension"));
	while (convert_has_room(writer) &&
	    fhir_next_extension(&walk, "articleNumber", &extension))
		has_any |= number_of_extension(writer, extension);
	return has_any;
}

/* From an Identifier (member `value`) or a Coding (member `code`). */
static bool
number_of_system(struct bson_writer *writer, struct fhir_node object,
    const char *member)
{
	return fhir_text_contains(fhir_text_get(object, "system"),
	    "varenummer") &&
	    medicine_write(writer, fhir_text_get(object, member));
}

static bool
number_of_reference(struct bson_writer *writer, struct fhir_node reference)
{
	return number_of_system(writer,
	    fhir_object_get(reference, "identifier"), "value");
}

static bool
numbers_of_product(struct bson_writer *writer, struct fhir_node resource)
{
	struct bson_members walk;
	struct fhir_node    object;
	bool		    has_any;

	has_any = number_of_reference(writer,
	    fhir_object_get(resource, "productReference"));
	object = fhir_object_get(resource, "productCodeableConcept");
	fhir_walk(&walk, fhir_array_get(object, "coding"));
	while (convert_has_room(writer) && fhir_next_object(&walk, &object))
		has_any |= number_of_system(writer, object, "code");
	has_any |= number_of_reference(writer,
	    fhir_object_get(resource, "subject"));
	fhir_walk(&walk, fhir_array_get(resource, "subject"));
	while (convert_has_room(writer) && fhir_next_object(&walk, &object))
		has_any |= number_of_reference(writer, object);
	return has_any;
}

void
convert_medicines(struct bson_writer *writer, struct fhir_node resource)
{
	convert_open_array(writer, "medicines");
	(void)(numbers_of_members(writer, resource) ||
	    numbers_of_extensions(writer, resource) ||
	    numbers_of_product(writer, resource));
	bson_writer_close(writer);
}
