/* Questions to bytes that are to be text, and numbers as text. */
#ifndef NOMPD_TEXT_H
#define NOMPD_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A macro's value as a string literal: TEXT_OF(MAX_LABEL_BYTES) is "64". */
#define TEXT_OF(macro)	TEXT_OF_(macro)
#define TEXT_OF_(value) #value

/* Bytes of a byte order mark in UTF-8. */
#define TEXT_MARK_BYTES 3

/* How many bytes text_word() takes. */
#define TEXT_MIN_WORD_BYTES 4
#define TEXT_WORD_BYTES	    8

/* Bytes of a text as one word, to look at all of them at once; those in the
 * middle may be in it twice. */
static inline uint64_t
text_word(const uint8_t *data, size_t len)
{
	uint32_t first, last;

	memcpy(&first, data, sizeof(first));
	memcpy(&last, data + len - sizeof(last), sizeof(last));
	return (uint64_t)last << 32 | first;
}

/* True when the bytes are strict UTF-8 (RFC 3629: no overlong forms, no
 * surrogates); a NUL may be among them. */
bool text_is_utf8(const uint8_t *data, size_t len);
/*
 * The length of the control character at text, which a terminal obeys or by
 * which a reader is misled, or 0: C0, DEL, C1, and those that change the
 * direction of writing (Unicode: Bidi_Control).  The end of the text is none.
 */
size_t text_control_len(const char *text);
/* True when the text is UTF-8 without control characters: safe in a log line
 * and on a terminal. */
bool text_is_plain(const char *text);
/* True when there is nothing but JSON's white space (RFC 8259, 2). */
bool text_is_blank(const uint8_t *data, size_t len);
/* How many of the bytes go on with a byte order mark of which seen bytes came
 * before. */
size_t text_mark_bytes(const uint8_t *data, size_t len, size_t seen);

/*
 * Puts as much of text as fits into out (size bytes, with its NUL), and always
 * UTF-8: a character is not cut, and where text is none all bytes beyond ASCII
 * become '?'.
 */
void text_copy(char *out, size_t size, const char *text);
/* Puts a '?' in the place of each control character of a text in UTF-8. */
void text_make_plain(char *text);

/* The value of a hex digit of either case, or -1. */
int text_hex_value(uint8_t digit);

/* Bytes of a label. */
#define MAX_LABEL_BYTES 64
/* True when the text is 1 to MAX_LABEL_BYTES letters, digits, '.', '_' and '-'
 * of ASCII: safe in a log line, a header and a table. */
bool text_is_label(const char *text, size_t len);

#endif
