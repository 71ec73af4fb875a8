#include <bson/bson.h>
#include <string.h>

#include "text.h"

/* Never in UTF-8; libbson takes it for the start of an overlong NUL. */
#define NO_UTF8_BYTE 0xc0
/* Bytes of the longest character (RFC 3629, 3). */
#define MAX_CHARACTER_BYTES 4

bool
text_is_utf8(const uint8_t *data, size_t len)
{
	static const uint64_t highs = UINT64_C(0x8080808080808080);
	size_t		      i;

	for (i = 0; i + TEXT_WORD_BYTES <= len; i += TEXT_WORD_BYTES) {
		if ((text_word(data + i, TEXT_WORD_BYTES) & highs) != 0)
			break;
	}
	if (i + TEXT_WORD_BYTES > len && len - i >= TEXT_MIN_WORD_BYTES &&
	    (text_word(data + i, len - i) & highs) == 0)
		return true;
	while (i < len && data[i] < 0x80)
		i++;
	if (i == len)
		return true;
	return memchr(data + i, NO_UTF8_BYTE, len - i) == NULL &&
	    bson_utf8_validate((const char *)data + i, len - i, true);
}

/* U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069, without their first
 * byte, 0xe2. */
static bool
is_direction(uint8_t second, uint8_t third)
{
	if (second == 0x80)
		return third == 0x8e || third == 0x8f ||
		    (third >= 0xaa && third <= 0xae);
	return second == 0x81 && third >= 0xa6 && third <= 0xa9;
}

size_t
text_control_len(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	if (at[0] == '\0')
		return 0;
	if (at[0] < ' ' || at[0] == 0x7f)
		return 1;
	if (at[0] == 0xc2)
		return at[1] >= 0x80 && at[1] < 0xa0 ? 2 : 0;
	/* U+061C */
	if (at[0] == 0xd8)
		return at[1] == 0x9c ? 2 : 0;
	return at[0] == 0xe2 && at[1] != '\0' && is_direction(at[1], at[2]) ?
	    3 : 0;
}

bool
text_is_plain(const char *text)
{
	const char *at = text;

	while (*at != '\0' && text_control_len(at) == 0)
		at++;
	return *at == '\0' &&
	    text_is_utf8((const uint8_t *)text, (size_t)(at - text));
}

bool
text_is_blank(const uint8_t *data, size_t len)
{
	size_t i = 0;

	while (i < len && (data[i] == ' ' || data[i] == '\t' ||
	    data[i] == '\r' || data[i] == '\n'))
		i++;
	return i == len;
}

size_t
text_mark_bytes(const uint8_t *data, size_t len, size_t seen)
{
	static const uint8_t mark[TEXT_MARK_BYTES] = { 0xef, 0xbb, 0xbf };
	size_t		     i = 0;

	while (i < len && seen + i < sizeof(mark) && data[i] == mark[seen + i])
		i++;
	return i;
}

bool
text_is_label(const char *text, size_t len)
{
	static const char signs[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._-";
	size_t		  i;

	for (i = 0; i < len; i++) {
		if (memchr(signs, text[i], sizeof(signs) - 1) == NULL)
			return false;
	}
	return len > 0 && len <= MAX_LABEL_BYTES;
}

void
text_copy(char *out, size_t size, const char *text)
{
	size_t len = strlen(text), i;

	if (len > size - 1) {
		len = size - 1;
		/* Back to the start of a character, if it is one. */
		for (i = 1; i < MAX_CHARACTER_BYTES && len > 0 &&
		    ((unsigned char)text[len] & 0xc0) == 0x80; i++)
			len--;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	if (text_is_utf8((const uint8_t *)out, len))
		return;
	for (i = 0; i < len; i++) {
		if ((unsigned char)out[i] >= 0x80)
			out[i] = '?';
	}
}

void
text_make_plain(char *text)
{
	char  *out = text;
	size_t len;

	while (*text != '\0') {
		len = text_control_len(text);
		*out++ = len > 0 ? '?' : *text;
		text += len > 0 ? len : 1;
	}
	*out = '\0';
}

int
text_hex_value(uint8_t digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}
