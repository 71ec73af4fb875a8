#include "json_number.h"
#include "testlib.h"

#define TEN_NINES "9999999999"
/* 34 digits: all that a Decimal128 has. */
#define DIGITS_34 "1" TEN_NINES TEN_NINES TEN_NINES "999"
#define ZEROS_100 \
	"0000000000000000000000000000000000000000000000000000000000000000" \
	"000000000000000000000000000000000000"
#define INT32 BSON_TYPE_INT32
#define INT64 BSON_TYPE_INT64
#define DECIMAL BSON_TYPE_DECIMAL128

static const struct {
	const char *text;
	bson_type_t type;
	const char *shown; /* by libbson; NULL: as text */
} numbers[] = {
	{ "0", INT32, NULL },
	{ "1", INT32, NULL },
	{ "-1", INT32, NULL },
	{ "2147483646", INT32, NULL },
	{ "2147483647", INT32, NULL },
	{ "2147483648", INT64, NULL },
	{ "-2147483647", INT32, NULL },
	{ "-2147483648", INT32, NULL },
	{ "-2147483649", INT64, NULL },
	{ "9223372036854775806", INT64, NULL },
	{ "9223372036854775807", INT64, NULL },
	{ "9223372036854775808", DECIMAL, NULL },
	{ "9223372036854775809", DECIMAL, NULL },
	{ "9223372036854775810", DECIMAL, NULL },
	{ "-9223372036854775807", INT64, NULL },
	{ "-9223372036854775808", INT64, NULL },
	{ "-9223372036854775809", DECIMAL, NULL },
	{ "-9223372036854775810", DECIMAL, NULL },
	{ "18446744073709551615", DECIMAL, NULL },
	{ "18446744073709551616", DECIMAL, NULL },
	{ "18446744073709551617", DECIMAL, NULL },
	{ "92233720368547758070", DECIMAL, NULL },
	{ "-0", DECIMAL, NULL },
	{ "0.0", DECIMAL, NULL },
	{ "-0.0", DECIMAL, NULL },
	{ "0.00", DECIMAL, NULL },
	{ "0e0", DECIMAL, "0" },
	{ "0e5", DECIMAL, "0E+5" },
	{ "-0e-5", DECIMAL, "-0.00000" },
	{ "1.5", DECIMAL, NULL },
	{ "1.50", DECIMAL, NULL },
	{ "1.500", DECIMAL, NULL },
	{ "-1.50", DECIMAL, NULL },
	{ "100.0", DECIMAL, NULL },
	{ "1e0", DECIMAL, "1" },
	{ "1E0", DECIMAL, "1" },
	{ "1e2", DECIMAL, "1E+2" },
	{ "1E+2", DECIMAL, "1E+2" },
	{ "1.0e2", DECIMAL, "1.0E+2" },
	{ "1.50e1", DECIMAL, "15.0" },
	{ "150e-2", DECIMAL, "1.50" },
	{ "1e010", DECIMAL, "1E+10" },
	{ "1e-010", DECIMAL, "1E-10" },
	{ "0.05", DECIMAL, NULL },
	{ "0.000001", DECIMAL, NULL },
	{ "0.0000001", DECIMAL, "1E-7" },
	{ "0.00000010", DECIMAL, "1.0E-7" },
	{ "1.00000000000000000000000000000000", DECIMAL, NULL },
	/* 33 and 34 digits, wherever the point is */
	{ "1" TEN_NINES TEN_NINES TEN_NINES "99", DECIMAL, NULL },
	{ DIGITS_34, DECIMAL, NULL },
	{ "-" DIGITS_34, DECIMAL, NULL },
	{ "9999999999999999999999999999999999", DECIMAL, NULL },
	{ "0." DIGITS_34, DECIMAL, NULL },
	{ "0.000" DIGITS_34, DECIMAL, NULL },
	{ "1." TEN_NINES TEN_NINES TEN_NINES "999", DECIMAL, NULL },
	{ "1." TEN_NINES TEN_NINES TEN_NINES "990", DECIMAL, NULL },
	{ "1000000000000000000000000000000000", DECIMAL, NULL },
	/* leading zeros of a fraction are no digits */
	{ "0." ZEROS_100 "1", DECIMAL, "1E-101" },
	{ "0." ZEROS_100 DIGITS_34, DECIMAL,
	    "1." TEN_NINES TEN_NINES TEN_NINES "999E-101" },
	/* exponents: that of the last digit counts */
	{ "1e-6176", DECIMAL, "1E-6176" },
	{ "1e6111", DECIMAL, "1E+6111" },
	{ "0e6111", DECIMAL, "0E+6111" },
	{ "0e-6176", DECIMAL, "0E-6176" },
	{ "1.0e-6175", DECIMAL, "1.0E-6175" },
	{ "1.0e6112", DECIMAL, "1.0E+6112" },
	{ "9.999999999999999999999999999999999e6144", DECIMAL,
	    "9.999999999999999999999999999999999E+6144" },
	{ "9999999999999999999999999999999999e-6176", DECIMAL,
	    "9.999999999999999999999999999999999E-6143" },
	{ "0." ZEROS_100 "1e101", DECIMAL, "1" },
	{ "0." ZEROS_100 "1e-6075", DECIMAL, "1E-6176" },
	{ "0." ZEROS_100 "1e6212", DECIMAL, "1E+6111" },
};

/* What no Decimal128 holds digit for digit. */
static const char *const refused[] = {
	"10000000000000000000000000000000000",
	DIGITS_34 "9",
	DIGITS_34 "0",
	"-" DIGITS_34 "0",
	DIGITS_34 ".0",
	"0." DIGITS_34 "0",
	"0." DIGITS_34 "1",
	"1.00000000000000000000000000000000000",
	"0." ZEROS_100 DIGITS_34 "1",
	DIGITS_34 "0e-1",
	"1e-6177",
	"1e6112",
	"10e6112",
	"0e6112",
	"0e-6177",
	"0.0e-6176",
	"1.0e-6176",
	"1.0e6113",
	"1.5e-6176",
	"1e6144",
	"1e6145",
	"1e99999",
	"1e100000",
	"-1e100001",
	"1e-100001",
	"1e2147483648",
	"1e4294967296",
	"1e-4294967296",
	"1e18446744073709551616",
	"1e" ZEROS_100 "6112",
	"0." ZEROS_100 "1e-6076",
	"0." ZEROS_100 "1e6213",
	"",
};

START_TEST(kept)
{
	struct json_number number;
	const char	  *text = numbers[_i].text;
	char		   shown[BSON_DECIMAL128_STRING];

	ck_assert_int_eq(json_number_parse(text, strlen(text), &number), 0);
	ck_assert_int_eq(number.type, numbers[_i].type);
	if (number.type == DECIMAL)
		bson_decimal128_to_string(&number.decimal, shown);
	else
		(void)snprintf(shown, sizeof(shown), "%lld",
		    (long long)number.integer);
	ck_assert_str_eq(shown,
	    numbers[_i].shown != NULL ? numbers[_i].shown : text);
}
END_TEST

START_TEST(not_kept)
{
	struct json_number number;

	ck_assert_int_eq(json_number_parse(refused[_i], strlen(refused[_i]),
	    &number), -1);
}
END_TEST

/* What stands behind the text is not read. */
START_TEST(length_counts)
{
	static const char *const texts[] = { "12345", "1.2345", "1e12345" };
	static const size_t	 lens[] = { 2, 3, 3 };
	static const char *const shown[] = { "12", "1.2", "1E+1" };
	struct json_number	 number;
	char			*copy, text[BSON_DECIMAL128_STRING];
	int			 i;

	for (i = 0; i < LENGTH_OF(texts); i++) {
		copy = xcalloc(1, lens[i]);
		memcpy(copy, texts[i], lens[i]);
		ck_assert_int_eq(json_number_parse(copy, lens[i], &number), 0);
		free(copy);
		if (number.type == DECIMAL)
			bson_decimal128_to_string(&number.decimal, text);
		else
			(void)snprintf(text, sizeof(text), "%lld",
			    (long long)number.integer);
		ck_assert_str_eq(text, shown[i]);
	}
}
END_TEST

/* 0.0…01 with the last digit at a place after the point. */
static int
parse_fraction(size_t places, struct json_number *number)
{
	char *text;
	int   rc;

	text = xcalloc(1, places + 2);
	memset(text, '0', places + 2);
	text[1] = '.';
	text[places + 1] = '1';
	rc = json_number_parse(text, places + 2, number);
	free(text);
	return rc;
}

START_TEST(longest_fraction)
{
	struct json_number number;
	char		   shown[BSON_DECIMAL128_STRING];

	ck_assert_int_eq(parse_fraction(6176, &number), 0);
	bson_decimal128_to_string(&number.decimal, shown);
	ck_assert_str_eq(shown, "1E-6176");
	ck_assert_int_eq(parse_fraction(6177, &number), -1);
	ck_assert_int_eq(parse_fraction(8189, &number), -1);
	ck_assert_int_eq(parse_fraction(8190, &number), -1);
	ck_assert_int_eq(parse_fraction(1000000, &number), -1);
}
END_TEST

/* Each power of two and its neighbours keep their digits. */
START_TEST(powers_of_two)
{
	struct json_number number;
	char		   text[32];
	int64_t		   value;
	int		   bit, step;

	for (bit = 0; bit < 63; bit++) {
		for (step = -1; step <= 1; step++) {
			value = (INT64_C(1) << bit) + step;
			if (_i == 1 && value == 0)
				continue;
			value = _i == 1 ? -value : value;
			(void)snprintf(text, sizeof(text), "%lld",
			    (long long)value);
			ck_assert_int_eq(json_number_parse(text, strlen(text),
			    &number), 0);
			ck_assert_int_eq(number.integer, value);
			ck_assert_int_eq(number.type, value == (int32_t)value ?
			    INT32 : INT64);
		}
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("json_number");
	TCase *tests = tcase_create("json_number");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, kept, 0, LENGTH_OF(numbers));
	tcase_add_loop_test(tests, not_kept, 0, LENGTH_OF(refused));
	tcase_add_test(tests, length_counts);
	tcase_add_test(tests, longest_fraction);
	tcase_add_loop_test(tests, powers_of_two, 0, 2);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
