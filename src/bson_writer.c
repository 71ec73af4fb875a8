#include <string.h>

#include "bson_writer.h"

/* An element of an array is named by its index. */
#define MAX_INDEX_TEXT 12

void
bson_writer_name(struct bson_writer *writer, const void *text, size_t len)
{
	uint8_t *at;

	writer->name_at = writer->buf.len;
	at = buf_reserve(&writer->buf, len + 2);
	at[0] = 0;
	memcpy(at + 1, text, len);
	at[len + 1] = 0;
	writer->buf.len += len + 2;
}

void
bson_writer_unname(struct bson_writer *writer)
{
	writer->buf.len = writer->sound_len = writer->name_at;
}

/* The type and the name of a value. */
static void
begin_value(struct bson_writer *writer, bson_type_t type)
{
	char	    text[MAX_INDEX_TEXT];
	const char *name;
	size_t	    len, level = writer->depth - 1;

	if (!writer->levels[level].is_array) {
		writer->buf.data[writer->name_at] = (uint8_t)type;
		return;
	}
	len = bson_uint32_to_string(writer->levels[level].index++, &name, text,
	    sizeof(text));
	buf_append_byte(&writer->buf, (uint8_t)type);
	buf_append(&writer->buf, name, len + 1);
}

static void
end_value(struct bson_writer *writer)
{
	writer->sound_len = writer->buf.len;
}

static void
append_uint32(struct bson_writer *writer, uint32_t value)
{
	value = BSON_UINT32_TO_LE(value);
	buf_append(&writer->buf, &value, sizeof(value));
}

static void
append_uint64(struct bson_writer *writer, uint64_t value)
{
	value = BSON_UINT64_TO_LE(value);
	buf_append(&writer->buf, &value, sizeof(value));
}

void
bson_writer_null(struct bson_writer *writer)
{
	begin_value(writer, BSON_TYPE_NULL);
	end_value(writer);
}

void
bson_writer_bool(struct bson_writer *writer, bool value)
{
	begin_value(writer, BSON_TYPE_BOOL);
	buf_append_byte(&writer->buf, value);
	end_value(writer);
}

void
bson_writer_text(struct bson_writer *writer, const void *text, size_t len)
{
	uint32_t size = BSON_UINT32_TO_LE((uint32_t)len + 1);
	uint8_t *at;

	begin_value(writer, BSON_TYPE_UTF8);
	at = buf_reserve(&writer->buf, sizeof(size) + len + 1);
	memcpy(at, &size, sizeof(size));
	memcpy(at + sizeof(size), text, len);
	at[sizeof(size) + len] = 0;
	writer->buf.len += sizeof(size) + len + 1;
	end_value(writer);
}

void
bson_writer_number(struct bson_writer *writer, const struct json_number *number)
{
	begin_value(writer, number->type);
	if (number->type == BSON_TYPE_INT32)
		append_uint32(writer, (uint32_t)number->integer);
	else if (number->type == BSON_TYPE_INT64)
		append_uint64(writer, (uint64_t)number->integer);
	else {
		append_uint64(writer, number->decimal.low);
		append_uint64(writer, number->decimal.high);
	}
	end_value(writer);
}

void
bson_writer_open(struct bson_writer *writer, bool is_array)
{
	if (writer->depth > 0)
		begin_value(writer, is_array ? BSON_TYPE_ARRAY :
		    BSON_TYPE_DOCUMENT);
	else
		writer->start = writer->buf.len;
	writer->levels[writer->depth].start = writer->buf.len;
	writer->levels[writer->depth].index = 0;
	writer->levels[writer->depth].is_array = is_array;
	writer->depth++;
	append_uint32(writer, 0);
	end_value(writer);
}

void
bson_writer_close(struct bson_writer *writer)
{
	size_t	 start = writer->levels[--writer->depth].start;
	uint32_t len;

	buf_append_byte(&writer->buf, 0);
	len = BSON_UINT32_TO_LE((uint32_t)(writer->buf.len - start));
	memcpy(writer->buf.data + start, &len, sizeof(len));
	end_value(writer);
}

void
bson_writer_close_all(struct bson_writer *writer)
{
	writer->buf.len = writer->sound_len;
	while (writer->depth > 0)
		bson_writer_close(writer);
}
