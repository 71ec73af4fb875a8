#include <zlib.h>

#include "gunzip.h"
#include "testlib.h"

#define TEXT "a text that is packed, packed, packed and packed again\n"
/* More than one chunk of output, and well packed. */
#define LARGE_BYTES (5 * 1024 * 1024)
/* Where the CRC and the length of a member stand, from its end. */
#define CRC_BACK 8
#define LENGTH_BACK 4

struct packed {
	uint8_t *data;
	size_t	 len;
};

/* One gzip member; the caller frees its data. */
static struct packed
pack(const void *text, size_t len, int level)
{
	struct packed packed;
	z_stream      stream = { 0 };

	ck_assert_int_eq(deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8,
	    Z_DEFAULT_STRATEGY), Z_OK);
	packed.len = deflateBound(&stream, len);
	packed.data = xcalloc(1, packed.len);
	stream.next_in = (z_const Bytef *)(uintptr_t)text;
	stream.avail_in = (uInt)len;
	stream.next_out = packed.data;
	stream.avail_out = (uInt)packed.len;
	ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
	packed.len -= stream.avail_out;
	(void)deflateEnd(&stream);
	return packed;
}

static int
take(void *ctx, const uint8_t *data, size_t len, struct error *err)
{
	(void)err;
	ck_assert_uint_gt(len, 0);
	buf_append(ctx, data, len);
	return 0;
}

/* Feeds all chunks, each from memory of just its size. */
static int
feed_chunks(struct gunzip *gunzip, struct buf *out, const uint8_t *data,
    size_t len, size_t cut, struct error *err)
{
	uint8_t *chunk;
	size_t	 at, end;
	int	 rc = 0;

	for (at = 0; at < len && rc == 0; at = end) {
		end = test_chunk_end(at, len, cut);
		chunk = xcalloc(1, end - at);
		memcpy(chunk, data + at, end - at);
		rc = gunzip_feed(gunzip, chunk, end - at, take, out, err);
		free(chunk);
	}
	return rc;
}

/* What is decoded, then how it ends; of a broken body only that. */
static void
feed(struct buf *out, const uint8_t *data, size_t len, size_t cut)
{
	struct gunzip *gunzip;
	struct error   err;

	gunzip = gunzip_new();
	ck_assert(!gunzip_is_whole(gunzip));
	if (feed_chunks(gunzip, out, data, len, cut, &err) == -1) {
		out->len = 0;
		buf_print(out, "%d %s", err.status, err.text);
	} else
		buf_print(out, "|%s", gunzip_is_whole(gunzip) ? "whole" :
		    "cut");
	gunzip_free(gunzip);
}

static void
check(const void *data, size_t len, const char *expected)
{
	char *found;

	found = test_each_cut(feed, data, len);
	ck_assert_str_eq(found, expected);
	free(found);
}

START_TEST(one_member)
{
	struct packed packed;
	int	      level;

	for (level = 0; level <= 9; level++) {
		packed = pack(TEXT, strlen(TEXT), level);
		check(packed.data, packed.len, TEXT "|whole");
		free(packed.data);
	}
	packed = pack("", 0, 9);
	check(packed.data, packed.len, "|whole");
	free(packed.data);
}
END_TEST

/* Each optional part of a header (RFC 1952, 2.3.1) in a member of "x". */
START_TEST(header_parts)
{
	static const uint8_t data[] = { 0x1f, 0x8b, 8, 0x1c, 1, 2, 3, 4, 2, 3,
		3, 0, 'e', 'x', 't', 'n', 'a', 'm', 'e', 0, 'n', 'o', 't', 'e',
		0, 0xab, 0x00, 0x00, 0x83, 0x16, 0xdc, 0x8c, 1, 0, 0, 0 };

	check(data, sizeof(data), "x|whole");
}
END_TEST

/* A body that ends anywhere before its last byte is not whole. */
START_TEST(cut_anywhere)
{
	struct packed packed;
	char	     *found;
	size_t	      i;

	packed = pack(TEXT, strlen(TEXT), 9);
	for (i = 0; i < packed.len; i++) {
		found = test_each_cut(feed, packed.data, i);
		ck_assert_ptr_nonnull(strstr(found, "|cut"));
		ck_assert_int_eq(strncmp(found, TEXT, strcspn(found, "|")), 0);
		free(found);
	}
	free(packed.data);
}
END_TEST

/* Two members, cut anywhere: whole only at the end of either. */
START_TEST(two_members)
{
	struct packed one, two;
	struct buf    both = { 0 };
	char	     *found;
	size_t	      i;

	one = pack("first,", 6, 9);
	two = pack("second", 6, 1);
	buf_append(&both, one.data, one.len);
	buf_append(&both, two.data, two.len);
	check(both.data, both.len, "first,second|whole");
	for (i = 0; i < both.len; i++) {
		found = test_each_cut(feed, both.data, i);
		ck_assert_ptr_nonnull(strstr(found,
		    i == one.len ? "first,|whole" : "|cut"));
		free(found);
	}
	buf_clear(&both);
	free(one.data);
	free(two.data);
}
END_TEST

/* Any byte of the CRC or the length that is another. */
START_TEST(broken_trailer)
{
	static const char *const messages[] = {
		"76 not sound gzip (incorrect data check)",
		"76 not sound gzip (incorrect length check)",
	};
	struct packed packed;
	size_t	      back;

	packed = pack(TEXT, strlen(TEXT), 9);
	for (back = 1; back <= CRC_BACK; back++) {
		packed.data[packed.len - back] ^= 0x10;
		check(packed.data, packed.len,
		    messages[back <= LENGTH_BACK ? 1 : 0]);
		packed.data[packed.len - back] ^= 0x10;
	}
	free(packed.data);
}
END_TEST

/* No byte may be another one unseen, but those of the header that say
 * nothing about the data: flag "text", time, extra flags, system. */
START_TEST(broken_anywhere)
{
	struct packed packed;
	char	     *found;
	size_t	      i;

	packed = pack(TEXT, strlen(TEXT), 9);
	for (i = 0; i < packed.len; i++) {
		packed.data[i] ^= 0xff;
		found = test_each_cut(feed, packed.data, packed.len);
		ck_assert_msg((strcmp(found, TEXT "|whole") == 0) ==
		    (i >= 4 && i < 10), "%zu: %s", i, found);
		free(found);
		packed.data[i] ^= 0xff;
	}
	free(packed.data);
}
END_TEST

START_TEST(trailing_garbage)
{
	static const struct {
		const char *garbage;
		size_t	    len;
		const char *expected;
	} cases[] = {
		/* one byte may begin a header */
		{ "x", 1, TEXT "|cut" },
		{ "{}", 2, "76 not sound gzip (incorrect header check)" },
		{ "\0", 1, TEXT "|cut" },
		{ "\0\0\0", 3, "76 not sound gzip (incorrect header check)" },
		{ "\x1f", 1, TEXT "|cut" },
		{ "\x1f\x8b", 2, TEXT "|cut" },
	};
	struct packed packed;
	struct buf    body = { 0 };
	char	     *found;

	packed = pack(TEXT, strlen(TEXT), 9);
	buf_append(&body, packed.data, packed.len);
	buf_append(&body, cases[_i].garbage, cases[_i].len);
	found = test_each_cut(feed, body.data, body.len);
	ck_assert_msg(strstr(found, "|whole") == NULL, "%s", found);
	ck_assert_str_eq(found, cases[_i].expected);
	free(found);
	buf_clear(&body);
	free(packed.data);
}
END_TEST

START_TEST(not_gzip)
{
	static const char *const bodies[] = {
		"{\"resourceType\":\"Bundle\"}", "[]", "xx", "\x1f\x8c",
		"\x1f\x8b\x07\xff", "\x78\x9c\x03\x00\x00\x00\x00\x01",
		"PK\x03\x04",
	};
	char *found;

	found = test_each_cut(feed, (const uint8_t *)bodies[_i],
	    strlen(bodies[_i]));
	ck_assert_int_eq(strncmp(found, "76 not sound gzip (", 19), 0);
	free(found);
}
END_TEST

/* Nothing is not whole; nothing after a member changes nothing. */
START_TEST(empty_chunks)
{
	struct gunzip *gunzip;
	struct packed  packed;
	struct buf     out = { 0 };
	struct error   err;
	size_t	       i;

	packed = pack(TEXT, strlen(TEXT), 9);
	gunzip = gunzip_new();
	for (i = 0; i <= packed.len; i++) {
		ck_assert_int_eq(gunzip_feed(gunzip, NULL, 0, take, &out,
		    &err), 0);
		ck_assert_int_eq(gunzip_is_whole(gunzip), i == packed.len);
		if (i < packed.len)
			ck_assert_int_eq(gunzip_feed(gunzip, packed.data + i,
			    1, take, &out, &err), 0);
	}
	ck_assert_uint_eq(out.len, strlen(TEXT));
	gunzip_free(gunzip);
	buf_clear(&out);
	free(packed.data);
}
END_TEST

struct meter {
	uint64_t bytes;
	uint64_t limit;
	size_t	 largest; /* given at once */
};

static int
measure(void *ctx, const uint8_t *data, size_t len, struct error *err)
{
	struct meter *meter = ctx;
	size_t	      i;

	for (i = 0; i < len && data[i] == 'x'; i++)
		;
	ck_assert_uint_eq(i, len);
	if (len > meter->largest)
		meter->largest = len;
	meter->bytes += len;
	if (meter->bytes > meter->limit)
		return error_set(err, STATUS_HELD, "too much");
	return 0;
}

/* What is packed a thousand times comes in small pieces and can be stopped
 * at any of them. */
START_TEST(huge_ratio)
{
	struct meter   meters[] = {
		{ .limit = LARGE_BYTES }, { .limit = 1024 * 1024 },
	};
	struct meter  *meter = &meters[_i];
	struct gunzip *gunzip;
	struct packed  packed;
	struct error   err;
	char	      *text;

	text = xcalloc(1, LARGE_BYTES);
	memset(text, 'x', LARGE_BYTES);
	packed = pack(text, LARGE_BYTES, 9);
	ck_assert_uint_lt(packed.len, LARGE_BYTES / 900);
	gunzip = gunzip_new();
	ck_assert_int_eq(gunzip_feed(gunzip, packed.data, packed.len, measure,
	    meter, &err), _i == 0 ? 0 : -1);
	ck_assert_int_eq(gunzip_is_whole(gunzip), _i == 0);
	if (_i == 0)
		ck_assert_uint_eq(meter->bytes, LARGE_BYTES);
	else
		ck_assert_str_eq(err.text, "too much");
	ck_assert_uint_le(meter->bytes, meter->limit + meter->largest);
	ck_assert_uint_le(meter->largest, 64 * 1024);
	gunzip_free(gunzip);
	free(packed.data);
	free(text);
}
END_TEST

/* Texts around the size of a chunk of output, by chunks of input. */
START_TEST(sizes)
{
	struct gunzip *gunzip;
	struct packed  packed;
	struct error   err;
	struct buf     out = { 0 };
	char	      *text;
	size_t	       len, i, more = 64 * 1024 * (size_t)(_i / 3 + 1);

	len = more + (size_t)(_i % 3) - 1;
	text = xcalloc(1, len);
	for (i = 0; i < len; i++)
		text[i] = (char)('a' + (i * i >> 7) % 26);
	packed = pack(text, len, 6);
	gunzip = gunzip_new();
	for (i = 0; i < packed.len; i += more) {
		more = packed.len - i < 1000 ? packed.len - i : 1000;
		ck_assert_int_eq(gunzip_feed(gunzip, packed.data + i, more,
		    take, &out, &err), 0);
		ck_assert_int_eq(gunzip_is_whole(gunzip),
		    i + more == packed.len);
	}
	ck_assert_uint_eq(out.len, len);
	ck_assert_int_eq(memcmp(out.data, text, len), 0);
	gunzip_free(gunzip);
	buf_clear(&out);
	free(packed.data);
	free(text);
}
END_TEST

/* After a reset it takes another body, whatever came before. */
START_TEST(reset)
{
	static const size_t  befores[] = { 0, 1, 5, 15, SIZE_MAX };
	static const uint8_t broken[] = "broken";
	struct gunzip	    *gunzip;
	struct packed	     packed;
	struct error	     err;
	struct buf	     out = { 0 };
	size_t		     before = befores[_i];

	packed = pack(TEXT, strlen(TEXT), 9);
	gunzip = gunzip_new();
	if (before == SIZE_MAX) {
		ck_assert_int_eq(gunzip_feed(gunzip, broken, sizeof(broken),
		    take, &out, &err), -1);
		ck_assert(!gunzip_is_whole(gunzip));
	} else
		ck_assert_int_eq(gunzip_feed(gunzip, packed.data, before, take,
		    &out, &err), 0);
	gunzip_reset(gunzip);
	ck_assert(!gunzip_is_whole(gunzip));
	out.len = 0;
	ck_assert_int_eq(gunzip_feed(gunzip, packed.data, packed.len, take,
	    &out, &err), 0);
	ck_assert(gunzip_is_whole(gunzip));
	ck_assert_uint_eq(out.len, strlen(TEXT));
	gunzip_reset(gunzip);
	ck_assert(!gunzip_is_whole(gunzip));
	gunzip_free(gunzip);
	gunzip_free(NULL);
	buf_clear(&out);
	free(packed.data);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("gunzip");
	TCase *tests = tcase_create("gunzip");

	/* Sanitizers and valgrind are slow. */
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, one_member);
	tcase_add_test(tests, header_parts);
	tcase_add_test(tests, cut_anywhere);
	tcase_add_test(tests, two_members);
	tcase_add_test(tests, broken_trailer);
	tcase_add_test(tests, broken_anywhere);
	tcase_add_loop_test(tests, trailing_garbage, 0, 6);
	tcase_add_loop_test(tests, not_gzip, 0, 7);
	tcase_add_test(tests, empty_chunks);
	tcase_add_loop_test(tests, huge_ratio, 0, 2);
	tcase_add_loop_test(tests, sizes, 0, 6);
	tcase_add_loop_test(tests, reset, 0, 5);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
