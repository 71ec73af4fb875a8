/*
 * The floor under the benchmark: the least that any such program does.  Reads
 * the lists with yajl, cuts each resource of a Bundle, or of a file of NDJSON,
 * out of the text and inserts it as it is, with its key, into a fresh SQLite
 * file, in one transaction and with SQLite's settings.  No BSON, no hash, no
 * comparison.
 *
 *	floor STORE LIST ...
 *
 * Prints how many resources there were.
 */
#include <err.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yajl/yajl_parse.h>

#define CHUNK_BYTES	   (64 * 1024)
#define MAX_RESOURCE_BYTES (1024 * 1024)
#define MAX_KEY_BYTES	   1024
/* Objects and arrays that are open in {entry: [{resource: {. */
#define RESOURCE_DEPTH	   4
/* ... and in identifier: [{ within it. */
#define IDENTIFIER_DEPTH   (RESOURCE_DEPTH + 2)

struct reader {
	yajl_handle	     parser;
	sqlite3_stmt	    *insert;
	const unsigned char *chunk;
	size_t		     start;	    /* of the text not yet copied */
	size_t		     depth;
	bool		     is_lines;	    /* NDJSON: the key is the id */
	size_t		     resource_depth;
	size_t		     key_depth;
	bool		     is_resource;   /* inside of one */
	bool		     is_identifier; /* the last name in it */
	bool		     is_value;	    /* the last name in that */
	long		     count;
	size_t		     key_len;
	size_t		     text_len;
	unsigned char	     key[MAX_KEY_BYTES];
	unsigned char	     text[MAX_RESOURCE_BYTES];
};

static void
check(sqlite3 *db, int code)
{
	if (code != SQLITE_OK && code != SQLITE_DONE)
		errx(1, "%s", sqlite3_errmsg(db));
}

/* Copies the text of the resource up to end, an offset in the chunk. */
static void
keep(struct reader *reader, size_t end)
{
	size_t len = end - reader->start;

	if (len > MAX_RESOURCE_BYTES - reader->text_len)
		errx(1, "a resource over %d bytes", MAX_RESOURCE_BYTES);
	memcpy(reader->text + reader->text_len, reader->chunk + reader->start,
	    len);
	reader->text_len += len;
	reader->start = end;
}

static int
on_open(void *ctx)
{
	struct reader *reader = ctx;

	reader->depth++;
	return 1;
}

static int
on_start_map(void *ctx)
{
	struct reader *reader = ctx;

	if (++reader->depth == reader->resource_depth && reader->is_resource) {
		reader->start = yajl_get_bytes_consumed(reader->parser) - 1;
		reader->text_len = reader->key_len = 0;
	}
	return 1;
}

static int
on_end_map(void *ctx)
{
	struct reader *reader = ctx;

	if (reader->depth-- != reader->resource_depth || !reader->is_resource)
		return 1;
	keep(reader, yajl_get_bytes_consumed(reader->parser));
	reader->is_resource = reader->is_lines;
	reader->is_identifier = false;
	sqlite3_bind_text(reader->insert, 1, (const char *)reader->key,
	    (int)reader->key_len, SQLITE_STATIC);
	sqlite3_bind_blob(reader->insert, 2, reader->text,
	    (int)reader->text_len, SQLITE_STATIC);
	check(sqlite3_db_handle(reader->insert),
	    sqlite3_step(reader->insert));
	sqlite3_reset(reader->insert);
	reader->count++;
	return 1;
}

static int
on_end_array(void *ctx)
{
	struct reader *reader = ctx;

	reader->depth--;
	return 1;
}

static bool
is_word(const unsigned char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

static int
on_name(void *ctx, const unsigned char *text, size_t len)
{
	struct reader *reader = ctx;

	if (reader->is_lines) {
		if (reader->depth == reader->key_depth)
			reader->is_value = is_word(text, len, "id");
		return 1;
	}
	if (reader->depth == RESOURCE_DEPTH - 1)
		reader->is_resource = is_word(text, len, "resource");
	else if (reader->depth == RESOURCE_DEPTH)
		reader->is_identifier = is_word(text, len, "identifier");
	else if (reader->depth == IDENTIFIER_DEPTH)
		reader->is_value = reader->is_identifier &&
		    is_word(text, len, "value");
	return 1;
}

static int
on_string(void *ctx, const unsigned char *text, size_t len)
{
	struct reader *reader = ctx;

	if (reader->depth == reader->key_depth && reader->is_value &&
	    reader->key_len == 0 && len <= MAX_KEY_BYTES) {
		memcpy(reader->key, text, len);
		reader->key_len = len;
	}
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_name,
	.yajl_end_map = on_end_map,
	.yajl_start_array = on_open,
	.yajl_end_array = on_end_array,
};

/* What the file's name says of its form. */
static void
begin(struct reader *reader, const char *path)
{
	const char *dot = strrchr(path, '.');

	reader->is_lines = dot != NULL && strcmp(dot, ".ndjson") == 0;
	reader->is_resource = reader->is_lines;
	reader->resource_depth = reader->is_lines ? 1 : RESOURCE_DEPTH;
	reader->key_depth = reader->is_lines ? 1 : IDENTIFIER_DEPTH;
	reader->parser = yajl_alloc(&callbacks, NULL, reader);
	(void)yajl_config(reader->parser, yajl_dont_validate_strings, 1);
	(void)yajl_config(reader->parser, yajl_allow_multiple_values,
	    reader->is_lines);
}

static void
read_list(struct reader *reader, const char *path)
{
	static unsigned char chunk[CHUNK_BYTES];
	ssize_t		     len;
	int		     fd;

	fd = open(path, O_RDONLY);
	if (fd == -1)
		err(1, "%s", path);
	begin(reader, path);
	reader->chunk = chunk;
	while ((len = read(fd, chunk, sizeof(chunk))) > 0) {
		reader->start = 0;
		if (yajl_parse(reader->parser, chunk, (size_t)len) !=
		    yajl_status_ok)
			errx(1, "%s: not JSON", path);
		if (reader->is_resource &&
		    reader->depth >= reader->resource_depth)
			keep(reader, (size_t)len);
	}
	if (len == -1)
		err(1, "%s", path);
	if (yajl_complete_parse(reader->parser) != yajl_status_ok)
		errx(1, "%s: cut off", path);
	yajl_free(reader->parser);
	(void)close(fd);
}

int
main(int argc, char **argv)
{
	static struct reader reader;
	sqlite3		    *db;
	int		     i;

	if (argc < 3)
		errx(64, "usage: floor STORE LIST ...");
	check(NULL, sqlite3_open(argv[1], &db));
	check(db, sqlite3_exec(db, "CREATE TABLE records (key TEXT,"
	    " data BLOB); BEGIN", NULL, NULL, NULL));
	check(db, sqlite3_prepare_v2(db, "INSERT INTO records VALUES (?1, ?2)",
	    -1, &reader.insert, NULL));
	for (i = 2; i < argc; i++)
		read_list(&reader, argv[i]);
	sqlite3_finalize(reader.insert);
	check(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
	check(db, sqlite3_close(db));
	printf("%ld\n", reader.count);
	return 0;
}
