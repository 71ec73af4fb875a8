#include "convert.h"
#include "convert_int.h"

static void
legal_basis_write(struct bson_writer *writer, struct fhir_node authorization)
{
	struct bson_members walk;
	struct fhir_node    extension, concept = { 0 };

	fhir_walk(&walk, fhir_array_get(authorization, "extension"));
	while (concept.data == NULL &&
	    fhir_next_extension(&walk, "reimbursementRegulation", &extension))
		concept = fhir_object_get(extension, "valueCodeableConcept");
	convert_concept(writer, "legalBasis", concept);
}

/* Each coding of a basis is an indication of its own. */
static void
basis_write(struct bson_writer *writer, struct fhir_node basis)
{
	struct bson_members walk;
	struct fhir_node    coding;

	fhir_walk(&walk, fhir_array_get(basis, "coding"));
	while (convert_has_room(writer) && fhir_next_object(&walk, &coding)) {
		bson_writer_open(writer, false);
		convert_open_array(writer, "coding");
		convert_coding(writer, coding);
		bson_writer_close(writer);
		convert_null(writer, "text");
		bson_writer_close(writer);
	}
}

/* FHIR has an array of bases; one object is understood as well. */
static void
indications_write(struct bson_writer *writer, struct fhir_node authorization)
{
	struct bson_members walk;
	struct fhir_node    basis;

	convert_open_array(writer, "indications");
	basis_write(writer, fhir_object_get(authorization, "basis"));
	fhir_walk(&walk, fhir_array_get(authorization, "basis"));
	while (convert_has_room(writer) && fhir_next_object(&walk, &basis))
		basis_write(writer, basis);
	bson_writer_close(writer);
}

int
convert_reimbursement_group(const bson_t *authorization, bson_t *out,
    struct error *err)
{
	struct bson_writer writer = { 0 };
	struct fhir_node   root = fhir_root(authorization);
	struct fhir_text   key;
	int		   result = -1;

	if (convert_begin(&writer, authorization, &key, out, err) == -1)
		goto out;
	legal_basis_write(&writer, root);
	indications_write(&writer, root);
	convert_medicines(&writer, root);
	result = convert_finish(&writer, "ReimbursementGroup", key, out, err);
out:
	buf_clear(&writer.buf);
	return result;
}
