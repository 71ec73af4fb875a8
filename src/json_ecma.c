#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "json_ecma.h"

/* What a Decimal128 has; a double never needs more than 17. */
#define MAX_DIGITS	  34
#define MAX_DOUBLE_DIGITS 17
/* With so few digits, and in this range, a decimal number is the shortest one
 * of its double: the way there and back gives it again (C11, 5.2.4.2.2). */
#define MAX_SAFE_DIGITS	  DBL_DIG
#define MIN_SAFE_POINT	  (DBL_MIN_10_EXP + 1)
#define MAX_SAFE_POINT	  DBL_MAX_10_EXP
/* Integers below this have no more than MAX_SAFE_DIGITS. */
#define MAX_SAFE_INTEGER  INT64_C(1000000000000000)
/* Where the notation changes (ECMA-262, Number::toString), as `point`. */
#define MAX_PLAIN_POINT	  21
#define MIN_PLAIN_POINT	  (-5)
/* 34 digits with sign and exponent, or 17 with a radix character, too. */
#define MAX_NUMBER_TEXT	  64

_Static_assert(DBL_MANT_DIG == 53 && DBL_MAX_EXP == 1024,
    "RFC 8785 wants the doubles of IEEE 754");

/*
 * 0.d1d2d3... * 10^point.
 *
 * Invariants: n is 0 for zero; else the first digit is not '0'.
 */
struct decimal {
	bool is_negative;
	int  point;
	int  n;
	char digits[MAX_DIGITS];
};

static void
zeros_strip(struct decimal *decimal)
{
	while (decimal->n > 0 && decimal->digits[decimal->n - 1] == '0')
		decimal->n--;
}

/* The digits and the exponent of text, as printf() or libbson gives it.  The
 * radix character may be any. */
static void
decimal_read(const char *text, struct decimal *out)
{
	bool in_fraction = false;
	int  exponent = 0;

	out->is_negative = *text == '-';
	out->n = 0;
	for (text += out->is_negative; *text != '\0'; text++) {
		if (*text == 'e' || *text == 'E') {
			exponent += (int)strtol(text + 1, NULL, 10);
			break;
		}
		if (*text < '0' || *text > '9') {
			in_fraction = true;
			continue;
		}
		if (in_fraction)
			exponent--;
		if ((*text != '0' || out->n > 0) && out->n < MAX_DIGITS)
			out->digits[out->n++] = *text;
	}
	out->point = out->n + exponent;
	zeros_strip(out);
}

/* The nearest double, without its sign.  A text without a radix character is
 * the same in each locale. */
static double
decimal_double(const struct decimal *decimal)
{
	char text[MAX_NUMBER_TEXT];

	(void)snprintf(text, sizeof(text), "%.*se%d", decimal->n,
	    decimal->digits, decimal->point - decimal->n);
	return strtod(text, NULL);
}

/* One more in the last of count digits. */
static void
decimal_raise(struct decimal *decimal, int count)
{
	int i;

	for (i = decimal->n; i < count; i++)
		decimal->digits[i] = '0';
	for (i = count - 1; i >= 0 && decimal->digits[i] == '9'; i--)
		decimal->digits[i] = '0';
	decimal->n = count;
	if (i >= 0) {
		decimal->digits[i]++;
	} else {
		decimal->digits[0] = '1';
		decimal->point++;
	}
	zeros_strip(decimal);
}

/*
 * True when count digits are enough for value, a finite double above 0; gives
 * them.  The doubles below a power of two are nearer to it than those above:
 * where the nearest digits are below it and not near enough, the next ones
 * above may be.
 */
static bool
digits_find(double value, int count, struct decimal *out)
{
	char text[MAX_NUMBER_TEXT];
	int  exponent;

	(void)snprintf(text, sizeof(text), "%.*e", count - 1, value);
	decimal_read(text, out);
	if (decimal_double(out) == value)
		return true;
	if (frexp(value, &exponent) != 0.5)
		return false;
	decimal_raise(out, count);
	return decimal_double(out) == value;
}

static void
digits_shortest(double value, struct decimal *out)
{
	int count;

	/* Fewer digits of a normal double show as zeros at their end; a
	 * subnormal has less than DBL_DIG of them. */
	count = value >= DBL_MIN ? MAX_SAFE_DIGITS : 1;
	while (!digits_find(value, count, out) && count < MAX_DOUBLE_DIGITS)
		count++;
}

static void
zeros_append(struct buf *out, int count)
{
	while (count-- > 0)
		buf_append_byte(out, '0');
}

static void
exponent_append(struct buf *out, const struct decimal *decimal)
{
	char text[MAX_NUMBER_TEXT];
	int  len;

	buf_append(out, decimal->digits, 1);
	if (decimal->n > 1) {
		buf_append_byte(out, '.');
		buf_append(out, decimal->digits + 1, (size_t)decimal->n - 1);
	}
	len = snprintf(text, sizeof(text), "e%+d", decimal->point - 1);
	buf_append(out, text, (size_t)len);
}

static void
decimal_append(struct buf *out, const struct decimal *decimal)
{
	int whole = decimal->point;

	if (decimal->n == 0) {
		buf_append_byte(out, '0');
		return;
	}
	if (decimal->is_negative)
		buf_append_byte(out, '-');
	if (whole > MAX_PLAIN_POINT || whole < MIN_PLAIN_POINT) {
		exponent_append(out, decimal);
	} else if (whole <= 0) {
		buf_append(out, "0.", 2);
		zeros_append(out, -whole);
		buf_append(out, decimal->digits, (size_t)decimal->n);
	} else if (whole >= decimal->n) {
		buf_append(out, decimal->digits, (size_t)decimal->n);
		zeros_append(out, whole - decimal->n);
	} else {
		buf_append(out, decimal->digits, (size_t)whole);
		buf_append_byte(out, '.');
		buf_append(out, decimal->digits + whole,
		    (size_t)(decimal->n - whole));
	}
}

void
json_ecma_append_integer(struct buf *out, int64_t value)
{
	char	 text[MAX_SAFE_DIGITS];
	size_t	 at = sizeof(text);
	uint64_t rest;

	if (value <= -MAX_SAFE_INTEGER || value >= MAX_SAFE_INTEGER) {
		(void)json_ecma_append_double(out, (double)value);
		return;
	}
	rest = (uint64_t)(value < 0 ? -value : value);
	do
		text[--at] = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (value < 0)
		buf_append_byte(out, '-');
	buf_append(out, text + at, sizeof(text) - at);
}

int
json_ecma_append_double(struct buf *out, double value)
{
	struct decimal decimal;

	if (!isfinite(value))
		return -1;
	if (fabs(value) < (double)MAX_SAFE_INTEGER &&
	    value == (double)(int64_t)value) {
		json_ecma_append_integer(out, (int64_t)value);
		return 0;
	}
	digits_shortest(fabs(value), &decimal);
	decimal.is_negative = value < 0;
	decimal_append(out, &decimal);
	return 0;
}

int
json_ecma_append_decimal(struct buf *out, const bson_decimal128_t *value)
{
	struct decimal decimal;
	const char    *digits;
	char	       text[BSON_DECIMAL128_STRING];
	double	       nearest;

	bson_decimal128_to_string(value, text);
	digits = text[0] == '-' ? text + 1 : text;
	if (*digits < '0' || *digits > '9')
		return -1;
	decimal_read(text, &decimal);
	if (decimal.n <= MAX_SAFE_DIGITS && (decimal.n == 0 ||
	    (decimal.point >= MIN_SAFE_POINT &&
	    decimal.point <= MAX_SAFE_POINT))) {
		decimal_append(out, &decimal);
		return 0;
	}
	nearest = decimal_double(&decimal);
	return json_ecma_append_double(out, decimal.is_negative ? -nearest :
	    nearest);
}
