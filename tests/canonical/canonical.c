/*
 * What the program makes canonical, for tests to compare with others.
 *
 *	canonical <NDJSON
 *	canonical -d <DOUBLES
 *
 * The first writes a line for each document: the SHA-256 of its canonical JSON,
 * fed piecewise, a space and that JSON; or "! " and the error, with "?" for a
 * newline.  The second reads lines of 16 hex digits, the bits of a double, and
 * writes each as a number, or "!".
 */
#include <err.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "hash.h"
#include "json_bson.h"
#include "json_canonical.h"
#include "json_ecma.h"

#define CHUNK_BYTES    (64 * 1024)
#define MAX_LINE_BYTES 64

struct reader {
	struct json_canonical *canonical;
	struct buf	       out;
};

/* A name in the sentence may have a newline. */
static void
fault_print(struct error *fault)
{
	char *at;

	for (at = fault->text; *at != '\0'; at++)
		if (*at == '\n')
			*at = '?';
	printf("! %s\n", fault->text);
}

static int
document_print(void *ctx, const struct json_part_info *info, struct error *err)
{
	struct reader *reader = ctx;
	struct error   fault;
	uint8_t	       hash[HASH_BYTES];
	char	       text[HASH_TEXT_BYTES];

	(void)err;
	reader->out.len = 0;
	if (json_canonical_append(reader->canonical, info->doc, info->len,
	    &reader->out, &fault) == -1) {
		fault_print(&fault);
		return 0;
	}
	if (json_canonical_hash(reader->canonical, info->doc, info->len,
	    hash, &fault) == -1)
		errx(1, "the hash failed, the text did not: %s", fault.text);
	hash_format(hash, text);
	printf("%s %.*s\n", text, (int)reader->out.len,
	    (const char *)reader->out.data);
	return 0;
}

static void
documents_print(void)
{
	static uint8_t	  chunk[CHUNK_BYTES];
	struct reader	  reader = { 0 };
	struct json_bson *json;
	struct error	  fault;
	size_t		  len;

	reader.canonical = json_canonical_new();
	json = json_bson_new(document_print, &reader, true);
	while ((len = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
		if (json_bson_feed(json, chunk, len, &fault) == -1)
			errx(1, "%s", fault.text);
	if (json_bson_finish(json, &fault) == -1)
		errx(1, "%s", fault.text);
	json_bson_free(json);
	json_canonical_free(reader.canonical);
	buf_clear(&reader.out);
}

static void
doubles_print(void)
{
	struct buf out = { 0 };
	char	   line[MAX_LINE_BYTES];
	uint64_t   bits;
	double	   number;

	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "%" SCNx64, &bits) != 1)
			errx(1, "no double: %s", line);
		memcpy(&number, &bits, sizeof(number));
		out.len = 0;
		if (json_ecma_append_double(&out, number) == -1)
			buf_append_byte(&out, '!');
		printf("%.*s\n", (int)out.len, (const char *)out.data);
	}
	buf_clear(&out);
}

int
main(int argc, char **argv)
{
	if (argc == 1)
		documents_print();
	else if (argc == 2 && strcmp(argv[1], "-d") == 0)
		doubles_print();
	else
		errx(1, "usage: canonical [-d]");
	return fflush(stdout) == 0 && !ferror(stdin) ? 0 : 1;
}
