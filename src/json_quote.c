#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "json_quote.h"
#include "text.h"

/* What RFC 8259, 7 wants escaped: controls, the quote and the backslash. */
static bool
is_plain(uint8_t byte)
{
	return byte >= 0x20 && byte != '"' && byte != '\\';
}

/* True when each of the eight bytes of a word is plain. */
static bool
are_plain(uint64_t word)
{
	static const uint64_t ones = UINT64_C(0x0101010101010101);
	static const uint64_t highs = UINT64_C(0x8080808080808080);
	uint64_t	      quote, backslash;

	quote = word ^ ones * '"';
	backslash = word ^ ones * '\\';
	/* Taking n off a byte below n sets its highest bit; one that had it
	 * set before is plain.  What a borrow does to the byte above is of no
	 * account, for then the answer is false already. */
	return (((word - ones * 0x20) | (quote - ones) |
	    (backslash - ones)) & ~word & highs) == 0;
}

static size_t
plain_len(const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i + TEXT_WORD_BYTES <= len; i += TEXT_WORD_BYTES) {
		if (!are_plain(text_word(data + i, TEXT_WORD_BYTES)))
			break;
	}
	/* Most often all of it is, the last few bytes, too. */
	if (i + TEXT_WORD_BYTES > len && len - i >= TEXT_MIN_WORD_BYTES &&
	    are_plain(text_word(data + i, len - i)))
		return len;
	while (i < len && is_plain(data[i]))
		i++;
	return i;
}

static void
escape_append(struct buf *out, uint8_t byte)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
		['\r'] = 'r', ['"'] = '"', ['\\'] = '\\',
	};
	char text[] = { '\\', letters[byte], '0', '0', '0', '0' };

	if (text[1] != '\0') {
		buf_append(out, text, 2);
		return;
	}
	text[1] = 'u';
	text[4] = hex[byte >> 4];
	text[5] = hex[byte & 0xf];
	buf_append(out, text, sizeof(text));
}

void
json_quote_append(struct buf *out, const char *text, size_t len)
{
	const uint8_t *data = (const uint8_t *)text;
	size_t	       run;

	/* Room for the whole of it, unless something has to be escaped. */
	(void)buf_reserve(out, len + 2);
	buf_append_byte(out, '"');
	for (;;) {
		run = plain_len(data, len);
		buf_append(out, data, run);
		if (run == len)
			break;
		escape_append(out, data[run]);
		data += run + 1;
		len -= run + 1;
	}
	buf_append_byte(out, '"');
}
