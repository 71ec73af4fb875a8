#include <stdlib.h>
#include <string.h>

#include "bson_member.h"
#include "fhir.h"

/* "YYYY-MM-DD" */
#define DATE_BYTES 10
/* Counting stops above this: far enough beyond int32, far from int64. */
#define MAX_COUNTED ((int64_t)INT32_MAX * 10)

static struct fhir_text
text_of(const struct bson_member *member)
{
	struct fhir_text text = { 0 };

	if (bson_member_type(member) != BSON_TYPE_UTF8)
		return text;
	text.text = (const char *)bson_member_value(member) +
	    BSON_LENGTH_BYTES;
	text.len = member->value_len - BSON_LENGTH_BYTES - 1;
	return text;
}

static struct fhir_node
node_of(const struct bson_member *member, bson_type_t type)
{
	struct fhir_node node = { 0 };

	if (bson_member_type(member) != type)
		return node;
	node.data = bson_member_value(member);
	node.len = member->value_len;
	return node;
}

/* False when object has no such member, whatever its type. */
static bool
member_find(struct bson_member *member, struct fhir_node object,
    const char *name)
{
	struct bson_members members;
	size_t		    len = strlen(name);

	fhir_walk(&members, object);
	while (bson_members_next(&members, member) == 1)
		if (member->name_len == len &&
		    memcmp(bson_member_name(member), name, len) == 0)
			return true;
	return false;
}

struct fhir_node
fhir_root(const bson_t *resource)
{
	struct fhir_node node;

	node.data = bson_get_data(resource);
	node.len = resource->len;
	return node;
}

struct fhir_text
fhir_resource_type(const bson_t *resource)
{
	return fhir_text_get(fhir_root(resource), "resourceType");
}

struct fhir_text
fhir_business_key(const bson_t *resource)
{
	struct bson_members walk;
	struct bson_member  first;
	struct fhir_text    key = { 0 };

	fhir_walk(&walk, fhir_array_get(fhir_root(resource), "identifier"));
	if (bson_members_next(&walk, &first) == 1)
		key = fhir_text_get(node_of(&first, BSON_TYPE_DOCUMENT),
		    "value");
	return fhir_text_is_filled(key) ? key : (struct fhir_text){ 0 };
}

struct fhir_text
fhir_text_get(struct fhir_node object, const char *name)
{
	struct bson_member member;

	if (!member_find(&member, object, name))
		return (struct fhir_text){ 0 };
	return text_of(&member);
}

struct fhir_node
fhir_object_get(struct fhir_node object, const char *name)
{
	struct bson_member member;

	if (!member_find(&member, object, name))
		return (struct fhir_node){ 0 };
	return node_of(&member, BSON_TYPE_DOCUMENT);
}

struct fhir_node
fhir_array_get(struct fhir_node object, const char *name)
{
	struct bson_member member;

	if (!member_find(&member, object, name))
		return (struct fhir_node){ 0 };
	return node_of(&member, BSON_TYPE_ARRAY);
}

void
fhir_walk(struct bson_members *walk, struct fhir_node array)
{
	(void)bson_members_init(walk, array.data, array.len);
}

bool
fhir_next_object(struct bson_members *walk, struct fhir_node *object)
{
	struct bson_member member;

	while (bson_members_next(walk, &member) == 1) {
		*object = node_of(&member, BSON_TYPE_DOCUMENT);
		if (object->data != NULL)
			return true;
	}
	return false;
}

bool
fhir_next_text(struct bson_members *walk, struct fhir_text *text)
{
	struct bson_member member;

	while (bson_members_next(walk, &member) == 1) {
		*text = text_of(&member);
		if (text->text != NULL)
			return true;
	}
	return false;
}

bool
fhir_next_extension(struct bson_members *walk, const char *part,
    struct fhir_node *extension)
{
	while (fhir_next_object(walk, extension))
		if (fhir_text_contains(fhir_text_get(*extension, "url"), part))
			return true;
	return false;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
integer_fits(int64_t wide, int32_t *value)
{
	if (wide < INT32_MIN || wide > INT32_MAX)
		return false;
	*value = (int32_t)wide;
	return true;
}

/* -1 when text is not digits only; large values stop at MAX_COUNTED. */
static int64_t
digits_value(struct fhir_text text)
{
	int64_t value = 0;
	size_t	i;

	for (i = 0; i < text.len; i++) {
		if (!is_digit(text.text[i]))
			return -1;
		if (value <= MAX_COUNTED)
			value = value * 10 + (text.text[i] - '0');
	}
	return text.len > 0 ? value : -1;
}

/*
 * Splits an unsigned decimal as libbson writes it ("12.50", "1E+1",
 * "1.25E+2") into its digits and the power of ten behind the last of them.
 * Returns how many digits there are: none for infinity and not-a-number.
 */
static size_t
decimal_split(const char *text, char digits[BSON_DECIMAL128_STRING],
    long *exponent)
{
	size_t n = 0;
	bool   is_fraction = false;

	*exponent = 0;
	for (; is_digit(*text) || *text == '.'; text++) {
		if (*text == '.') {
			is_fraction = true;
			continue;
		}
		digits[n++] = *text;
		if (is_fraction)
			(*exponent)--;
	}
	if (*text == 'E')
		*exponent += strtol(text + 1, NULL, 10);
	return n;
}

static bool
decimal_integer(const bson_decimal128_t *decimal, int32_t *value)
{
	char	text[BSON_DECIMAL128_STRING], digits[BSON_DECIMAL128_STRING];
	bool	is_negative;
	long	exponent;
	size_t	n;
	int64_t wide;

	bson_decimal128_to_string(decimal, text);
	is_negative = text[0] == '-';
	n = decimal_split(text + is_negative, digits, &exponent);
	if (n == 0)
		return false;
	for (; exponent < 0 && n > 0 && digits[n - 1] == '0'; exponent++)
		n--;
	wide = n > 0 ? digits_value((struct fhir_text){ digits, n }) : 0;
	if (exponent < 0 && wide != 0)
		return false;
	for (; exponent > 0 && wide != 0 && wide <= MAX_COUNTED; exponent--)
		wide *= 10;
	return integer_fits(is_negative ? -wide : wide, value);
}

/* A whole number as FHIR's integer types have it: no fraction, no exponent. */
static bool
whole_of(const struct bson_member *member, int32_t *value)
{
	const uint8_t *data = bson_member_value(member);
	int64_t	       wide;
	int32_t	       narrow;

	switch (bson_member_type(member)) {
	case BSON_TYPE_INT32:
		memcpy(&narrow, data, sizeof(narrow));
		*value = (int32_t)BSON_UINT32_FROM_LE((uint32_t)narrow);
		return true;
	case BSON_TYPE_INT64:
		memcpy(&wide, data, sizeof(wide));
		return integer_fits((int64_t)BSON_UINT64_FROM_LE(
		    (uint64_t)wide), value);
	default:
		return false;
	}
}

static bool
decimal_of(const struct bson_member *member, int32_t *value)
{
	const uint8_t	 *data = bson_member_value(member);
	bson_decimal128_t decimal;

	if (bson_member_type(member) != BSON_TYPE_DECIMAL128)
		return whole_of(member, value);
	memcpy(&decimal.low, data, sizeof(decimal.low));
	memcpy(&decimal.high, data + sizeof(decimal.low),
	    sizeof(decimal.high));
	decimal.low = BSON_UINT64_FROM_LE(decimal.low);
	decimal.high = BSON_UINT64_FROM_LE(decimal.high);
	return decimal_integer(&decimal, value);
}

static bool
digits_of(const struct bson_member *member, int32_t *value)
{
	int64_t wide;

	wide = digits_value(text_of(member));
	return wide >= 0 && integer_fits(wide, value);
}

bool
fhir_extension_integer(struct fhir_node extension, int32_t *value)
{
	static const struct {
		const char *name;
		bool	    (*read)(const struct bson_member *member,
				int32_t *value);
	} kinds[] = {
		{ "valueInteger", whole_of },
		{ "valuePositiveInt", whole_of },
		{ "valueUnsignedInt", whole_of },
		{ "valueDecimal", decimal_of },
		{ "valueString", digits_of },
	};
	struct bson_member member;
	size_t		   i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (member_find(&member, extension, kinds[i].name) &&
		    kinds[i].read(&member, value))
			return true;
	return false;
}

bool
fhir_text_is_filled(struct fhir_text text)
{
	return text.text != NULL && text.len > 0;
}

bool
fhir_text_equals(struct fhir_text text, const char *other)
{
	return text.text != NULL && text.len == strlen(other) &&
	    memcmp(text.text, other, text.len) == 0;
}

/* Not tolower(): what a locale takes for a letter must not matter. */
static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
fhir_text_contains(struct fhir_text text, const char *part)
{
	size_t part_len = strlen(part);
	size_t i, matched;

	if (text.text == NULL)
		return false;
	for (i = 0; i + part_len <= text.len; i++) {
		for (matched = 0; matched < part_len; matched++)
			if (lower(text.text[i + matched]) !=
			    lower(part[matched]))
				break;
		if (matched == part_len)
			return true;
	}
	return false;
}

struct fhir_text
fhir_text_date(struct fhir_text text)
{
	static const char form[] = "dddd-dd-dd";
	size_t		  i;

	if (text.len <= DATE_BYTES)
		return text;
	for (i = 0; i < DATE_BYTES; i++)
		if (form[i] == 'd' ? !is_digit(text.text[i]) :
				     text.text[i] != form[i])
			return text;
	text.len = DATE_BYTES;
	return text;
}
