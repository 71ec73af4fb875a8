#include "json_ecma.h"
#include "testlib.h"

static void
is_text(struct buf *out, const char *expected)
{
	buf_append_byte(out, 0);
	ck_assert_str_eq((const char *)out->data, expected);
	buf_clear(out);
}

/* RFC 8785, appendix B. */
static const struct {
	uint64_t    bits;
	const char *text; /* NULL: an error */
} appendix_b[] = {
	{ 0x0000000000000000, "0" },
	{ 0x8000000000000000, "0" },
	{ 0x0000000000000001, "5e-324" },
	{ 0x8000000000000001, "-5e-324" },
	{ 0x7fefffffffffffff, "1.7976931348623157e+308" },
	{ 0xffefffffffffffff, "-1.7976931348623157e+308" },
	{ 0x4340000000000000, "9007199254740992" },
	{ 0xc340000000000000, "-9007199254740992" },
	{ 0x4430000000000000, "295147905179352830000" },
	{ 0x7fffffffffffffff, NULL },
	{ 0x7ff0000000000000, NULL },
	{ 0xfff0000000000000, NULL },
	{ 0x44b52d02c7e14af5, "9.999999999999997e+22" },
	{ 0x44b52d02c7e14af6, "1e+23" },
	{ 0x44b52d02c7e14af7, "1.0000000000000001e+23" },
	{ 0x444b1ae4d6e2ef4e, "999999999999999700000" },
	{ 0x444b1ae4d6e2ef4f, "999999999999999900000" },
	{ 0x444b1ae4d6e2ef50, "1e+21" },
	{ 0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7" },
	{ 0x3eb0c6f7a0b5ed8d, "0.000001" },
	{ 0x41b3de4355555553, "333333333.3333332" },
	{ 0x41b3de4355555554, "333333333.33333325" },
	{ 0x41b3de4355555555, "333333333.3333333" },
	{ 0x41b3de4355555556, "333333333.3333334" },
	{ 0x41b3de4355555557, "333333333.33333343" },
	{ 0xbecbf647612f3696, "-0.0000033333333333333333" },
	{ 0x43143ff3c1cb0959, "1424953923781206.2" },
};

START_TEST(rfc_numbers)
{
	struct buf out = { 0 };
	double	   number;

	memcpy(&number, &appendix_b[_i].bits, sizeof(number));
	if (appendix_b[_i].text == NULL) {
		ck_assert_int_eq(json_ecma_append_double(&out, number), -1);
		ck_assert_uint_eq(out.len, 0);
		return;
	}
	ck_assert_int_eq(json_ecma_append_double(&out, number), 0);
	is_text(&out, appendix_b[_i].text);
}
END_TEST

/* What Node.js 20 says: powers of two whose nearest 16 digits are another
 * double, and what is about the smallest normal one. */
static const struct {
	double	    number;
	const char *text;
} doubles[] = {
	{ 0x1p-44, "5.684341886080802e-14" },
	{ -0x1p-44, "-5.684341886080802e-14" },
	{ 0x1p-1017, "7.120236347223045e-307" },
	{ 0x1p-791, "7.678447687145631e-239" },
	{ 0x1p956, "6.090821257125e+287" },
	{ 0x1p976, "6.386688990511104e+293" },
	{ 0x1p-24, "5.960464477539063e-8" },
	{ 0x1p89, "6.189700196426902e+26" },
	{ 0x1p-1022, "2.2250738585072014e-308" },
	{ 0x0.fffffffffffffp-1022, "2.225073858507201e-308" },
	{ 0x1p-1073, "1e-323" },
	{ 0.1, "0.1" },
	{ -1.5, "-1.5" },
	{ 1e20, "100000000000000000000" },
	{ 123456789012345.6, "123456789012345.6" },
	{ 0.00000123, "0.00000123" },
	{ 1e-7, "1e-7" },
	{ 1.5e300, "1.5e+300" },
};

START_TEST(edge_doubles)
{
	struct buf out = { 0 };

	ck_assert_int_eq(json_ecma_append_double(&out, doubles[_i].number), 0);
	is_text(&out, doubles[_i].text);
}
END_TEST

static const struct {
	int64_t	    number;
	const char *text;
} integers[] = {
	{ 0, "0" },
	{ 7, "7" },
	{ -1, "-1" },
	{ INT32_MIN, "-2147483648" },
	{ 999999999999999, "999999999999999" },
	{ -999999999999999, "-999999999999999" },
	{ 1000000000000000, "1000000000000000" },
	{ 1000000000000001, "1000000000000001" },
	{ -1000000000000000, "-1000000000000000" },
	{ 9007199254740991, "9007199254740991" },
	{ 9007199254740993, "9007199254740992" },
	{ 9007199254740995, "9007199254740996" },
	{ INT64_MAX, "9223372036854776000" },
	{ INT64_MIN, "-9223372036854776000" },
};

START_TEST(nearest_to_integer)
{
	struct buf out = { 0 };

	json_ecma_append_integer(&out, integers[_i].number);
	is_text(&out, integers[_i].text);
}
END_TEST

static const struct {
	const char *decimal;
	const char *text; /* NULL: an error */
} decimals[] = {
	{ "0", "0" },
	{ "-0", "0" },
	{ "-0.000", "0" },
	{ "0E+6111", "0" },
	{ "1.50", "1.5" },
	{ "-100.00", "-100" },
	{ "1E+2", "100" },
	{ "1E+20", "100000000000000000000" },
	{ "1E+21", "1e+21" },
	{ "12E+20", "1.2e+21" },
	{ "0.000001", "0.000001" },
	{ "0.0000010", "0.000001" },
	{ "1E-7", "1e-7" },
	{ "-1.20E-7", "-1.2e-7" },
	{ "0.00000123", "0.00000123" },
	{ "123456789012345678901", "123456789012345680000" },
	{ "123456789012345678901234567890.1234", "1.2345678901234568e+29" },
	{ "0.1234567890123456789012345678901234", "0.12345678901234568" },
	{ "-0.1234567890123456789012345678901234", "-0.12345678901234568" },
	{ "0.3000000000000000000000000000000001", "0.3" },
	/* half way between two doubles, and just above */
	{ "9007199254740993", "9007199254740992" },
	{ "9007199254740993.00000000000000001", "9007199254740994" },
	/* where digits are no longer safe */
	{ "999999999999999E+293", "9.99999999999999e+307" },
	{ "1.00000000000001E-307", "1.00000000000001e-307" },
	{ "1.23456789012345E-320", "1.2347e-320" },
	{ "2.2250738585072011E-308", "2.225073858507201e-308" },
	{ "1.78005908680576E-307", "1.78005908680576e-307" },
	/* the smallest and the largest ones */
	{ "2.4703282292062327E-324", "0" },
	{ "2.4703282292062328E-324", "5e-324" },
	{ "1E-400", "0" },
	{ "-1E-6176", "0" },
	{ "1.797693134862315807E+308", "1.7976931348623157e+308" },
	{ "1.797693134862315808E+308", NULL },
	{ "-1E+309", NULL },
	{ "1E+400", NULL },
	{ "9.999999999999999999999999999999999E+6144", NULL },
	{ "NaN", NULL },
	{ "Infinity", NULL },
	{ "-Infinity", NULL },
};

START_TEST(nearest_to_decimal)
{
	struct buf	  out = { 0 };
	bson_decimal128_t decimal;

	ck_assert(bson_decimal128_from_string(decimals[_i].decimal, &decimal));
	if (decimals[_i].text == NULL) {
		ck_assert_int_eq(json_ecma_append_decimal(&out, &decimal), -1);
		ck_assert_uint_eq(out.len, 0);
		return;
	}
	ck_assert_int_eq(json_ecma_append_decimal(&out, &decimal), 0);
	is_text(&out, decimals[_i].text);
}
END_TEST

/* Bits by chance: the next ones (Knuth, MMIX). */
static uint64_t
bits_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return *state;
}

/* Whatever the bits are, they are a number or none. */
START_TEST(any_decimal)
{
	struct buf	  out = { 0 };
	bson_decimal128_t decimal;
	uint64_t	  state = 8785;
	int		  i, sound = 0;

	for (i = 0; i < 10000; i++) {
		decimal.high = bits_next(&state);
		decimal.low = bits_next(&state);
		out.len = 0;
		if (json_ecma_append_decimal(&out, &decimal) == 0) {
			ck_assert_uint_gt(out.len, 0);
			sound++;
		} else {
			ck_assert_uint_eq(out.len, 0);
		}
	}
	ck_assert_int_gt(sound, 0);
	buf_clear(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("json_ecma");
	TCase *tests = tcase_create("json_ecma");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, rfc_numbers, 0, LENGTH_OF(appendix_b));
	tcase_add_loop_test(tests, edge_doubles, 0, LENGTH_OF(doubles));
	tcase_add_loop_test(tests, nearest_to_integer, 0, LENGTH_OF(integers));
	tcase_add_loop_test(tests, nearest_to_decimal, 0, LENGTH_OF(decimals));
	tcase_add_test(tests, any_decimal);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
