#include "compute/template/number.h"

#include "compute/template/glyph.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 400

/* A text without the blanks around it and the single underscores between its digits. False when it
 * is too long to be a number, or has an underscore elsewhere. */
static bool plain_digits(struct run *run, const struct string *string, char out[DIGITS_MAX])
{
	const struct string *core = string_strip(run, string, NULL, true, true);
	const char *bytes = string_bytes(core);
	size_t used = 0;
	if (core->size >= DIGITS_MAX)
		return false;
	for (uint32_t at = 0; at < core->size; at++) {
		const bool between = at > 0 && at + 1 < core->size &&
				     isalnum((unsigned char)bytes[at - 1]) &&
				     isalnum((unsigned char)bytes[at + 1]);
		if (bytes[at] == 0 || (bytes[at] == '_' && !between))
			return false;
		if (bytes[at] != '_')
			out[used++] = bytes[at];
	}
	out[used] = 0;
	return used > 0;
}

static bool read_whole(struct run *run, const struct string *string, int64_t base, int64_t *whole)
{
	char digits[DIGITS_MAX], *end;
	if (base < 2 || base > 36 || !plain_digits(run, string, digits))
		return false;
	errno = 0;
	*whole = strtoll(digits, &end, (int)base);
	if (errno == ERANGE)
		run_fail(run, FAIL_UNSUPPORTED, "a whole number needs more than 64 bits");
	return *end == 0 && end > digits;
}

/* C's hexadecimal reals and "nan(...)" are none of Python's. */
static bool read_real(struct run *run, const struct string *string, double *real)
{
	char digits[DIGITS_MAX], *end;
	if (!plain_digits(run, string, digits) || strpbrk(digits, "xX("))
		return false;
	*real = strtod(digits, &end);
	return *end == 0 && end > digits;
}

static struct value cut(struct run *run, double real, struct value otherwise)
{
	if (!isfinite(real))
		return otherwise;
	if (real >= 9223372036854775808.0 || real < -9223372036854775808.0)
		run_fail(run, FAIL_UNSUPPORTED, "a whole number needs more than 64 bits");
	return value_integer((int64_t)real);
}

struct value number_to_integer(struct run *run, struct value value, int64_t base,
			       struct value otherwise)
{
	int64_t whole;
	double real;
	if (value.type == VALUE_UNDEFINED)
		value_fail_undefined(run, value);
	if (value_is_integer(value))
		return value_integer(value_whole(value));
	if (value.type == VALUE_REAL)
		return cut(run, value.real, otherwise);
	if (value.type != VALUE_STRING)
		return otherwise;
	if (read_whole(run, value.string, base, &whole))
		return value_integer(whole);
	return read_real(run, value.string, &real) ? cut(run, real, otherwise) : otherwise;
}

struct value number_to_real(struct run *run, struct value value, struct value otherwise)
{
	double real;
	if (value.type == VALUE_UNDEFINED)
		value_fail_undefined(run, value);
	if (value_is_number(value))
		return value_real(value_number(value));
	if (value.type == VALUE_STRING && read_real(run, value.string, &real))
		return value_real(real);
	return otherwise;
}

/* To the nearest with so many decimals; the decimal printing of C does it correctly. */
static double nearest(double real, int64_t precision)
{
	char printed[400];
	if (precision <= 0) {
		const double unit = pow(10, (double)-precision);
		return precision == 0 ? nearbyint(real) : nearbyint(real / unit) * unit;
	}
	snprintf(printed, sizeof(printed), "%.*f", (int)precision, real);
	return strtod(printed, NULL);
}

struct value number_round(struct run *run, struct value value, int64_t precision,
			  struct value method)
{
	if (value.type == VALUE_UNDEFINED)
		value_fail_undefined(run, value);
	if (!value_is_number(value) || precision < -15 || precision > 15)
		run_fail(run, FAIL_INVALID, "\"round\" is given %s, or more than 15 places",
			 value_type_name(value));
	const double unit = pow(10, (double)precision), real = value_number(value);
	if (value_is_word(method, "ceil"))
		return value_real(ceil(real * unit) / unit);
	if (value_is_word(method, "floor"))
		return value_real(floor(real * unit) / unit);
	if (!value_is_word(method, "common"))
		run_fail(run, FAIL_INVALID, "\"round\" knows common, ceil and floor");
	if (value_is_integer(value) && precision >= 0)
		return value_integer(value_whole(value));
	const double rounded = nearest(real, precision);
	return value_is_integer(value) ? value_integer((int64_t)rounded) : value_real(rounded);
}

int64_t number_of_words(struct run *run, const struct string *string)
{
	int64_t count = 0;
	bool within = false;
	uint32_t size;
	run_step(run, string->size / 4);
	for (uint32_t at = 0; at < string->size; at += size) {
		const uint32_t character = string_character(string, at, &size);
		const bool word =
			character == '_' || glyph_is_letter(character) || glyph_is_digit(character);
		count += word && !within;
		within = word;
	}
	return count;
}
