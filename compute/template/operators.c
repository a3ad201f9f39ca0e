#include "compute/template/operators.h"

#include "compute/template/format.h"
#include "compute/template/lexer.h"

#include <math.h>

_Noreturn static void refuse(struct run *run, int sign, struct value left, struct value right)
{
	if (left.type == VALUE_UNDEFINED)
		value_fail_undefined(run, left);
	if (right.type == VALUE_UNDEFINED)
		value_fail_undefined(run, right);
	run_fail(run, FAIL_INVALID, "%s %s %s cannot be computed", value_type_name(left),
		 lexer_sign((enum sign)sign), value_type_name(right));
}

_Noreturn static void overflow(struct run *run)
{
	run_fail(run, FAIL_UNSUPPORTED, "a whole number needs more than 64 bits");
}

/* ---- numbers ---- */

static int64_t whole_power(struct run *run, int64_t base, int64_t exponent)
{
	int64_t result = 1;
	if (base == 0 || base == 1)
		return exponent == 0 ? 1 : base;
	if (base == -1)
		return exponent % 2 ? -1 : 1;
	for (; exponent > 0; exponent--)
		if (__builtin_mul_overflow(result, base, &result))
			overflow(run);
	return result;
}

/* Quotients are rounded down, and remainders have the divisor's sign. */
static int64_t divide_down(struct run *run, int64_t left, int64_t right, int64_t *remainder)
{
	if (right == 0)
		run_fail(run, FAIL_INVALID, "it divides by zero");
	if (left == INT64_MIN && right == -1)
		overflow(run);
	int64_t quotient = left / right;
	*remainder = left % right;
	if (*remainder != 0 && (*remainder < 0) != (right < 0)) {
		quotient--;
		*remainder += right;
	}
	return quotient;
}

static struct value on_wholes(struct run *run, int sign, int64_t left, int64_t right)
{
	int64_t result = 0, remainder;
	bool over = false;
	switch (sign) {
	case SIGN_ADD:
		over = __builtin_add_overflow(left, right, &result);
		break;
	case SIGN_SUBTRACT:
		over = __builtin_sub_overflow(left, right, &result);
		break;
	case SIGN_MULTIPLY:
		over = __builtin_mul_overflow(left, right, &result);
		break;
	case SIGN_FLOOR_DIVIDE:
		result = divide_down(run, left, right, &remainder);
		break;
	case SIGN_MODULO:
		divide_down(run, left, right, &result);
		break;
	default: /* SIGN_POWER */
		result = whole_power(run, left, right);
		break;
	}
	if (over)
		overflow(run);
	return value_integer(result);
}

static struct value on_reals(struct run *run, int sign, double left, double right)
{
	if (right == 0 && sign != SIGN_ADD && sign != SIGN_SUBTRACT && sign != SIGN_MULTIPLY &&
	    sign != SIGN_POWER)
		run_fail(run, FAIL_INVALID, "it divides by zero");
	double remainder;
	switch (sign) {
	case SIGN_ADD:
		return value_real(left + right);
	case SIGN_SUBTRACT:
		return value_real(left - right);
	case SIGN_MULTIPLY:
		return value_real(left * right);
	case SIGN_DIVIDE:
		return value_real(left / right);
	case SIGN_FLOOR_DIVIDE:
		return value_real(floor(left / right));
	case SIGN_MODULO:
		remainder = fmod(left, right);
		return value_real(remainder != 0 && (remainder < 0) != (right < 0)
					  ? remainder + right
					  : remainder);
	default: /* SIGN_POWER */
		return value_real(pow(left, right));
	}
}

static struct value on_numbers(struct run *run, int sign, struct value left, struct value right)
{
	const bool whole = value_is_integer(left) && value_is_integer(right) &&
			   sign != SIGN_DIVIDE && (sign != SIGN_POWER || value_whole(right) >= 0);
	if (whole)
		return on_wholes(run, sign, value_whole(left), value_whole(right));
	return on_reals(run, sign, value_number(left), value_number(right));
}

/* ---- texts and lists ---- */

struct string *operators_join(struct run *run, struct string *left, struct string *right)
{
	if (left->safe && !right->safe)
		right = string_escape(run, right);
	else if (right->safe && !left->safe)
		left = string_escape(run, left);
	return string_concat(run, left, right);
}

static struct value repeat_string(struct run *run, const struct string *string, int64_t times)
{
	struct text *text = text_create(run, 0);
	for (int64_t i = 0; string->size > 0 && i < times; i++) {
		run_step(run, 1);
		text_add_string(run, text, string);
	}
	struct string *whole = string_whole(run, text);
	whole->safe = string->safe;
	return value_string(whole);
}

static struct value repeat_sequence(struct run *run, const struct sequence *sequence, int64_t times)
{
	struct value result = value_sequence(run, sequence->kind);
	for (int64_t i = 0; sequence->count > 0 && i < times; i++) {
		run_step(run, 1 + sequence->count / 4);
		for (uint32_t k = 0; k < sequence->count; k++)
			value_append(run, result.sequence, sequence->items[k]);
	}
	return result;
}

static bool is_list(struct value value)
{
	return value.type == VALUE_SEQUENCE && value.sequence->kind <= SEQUENCE_TUPLE;
}

static struct value join_sequences(struct run *run, const struct sequence *left,
				   const struct sequence *right)
{
	struct value result = value_sequence(run, left->kind);
	run_step(run, (left->count + right->count) / 4);
	for (uint32_t i = 0; i < left->count; i++)
		value_append(run, result.sequence, left->items[i]);
	for (uint32_t i = 0; i < right->count; i++)
		value_append(run, result.sequence, right->items[i]);
	return result;
}

struct value operators_apply(struct run *run, int sign, struct value left, struct value right)
{
	if (value_is_number(left) && value_is_number(right))
		return on_numbers(run, sign, left, right);
	if (sign == SIGN_MODULO && left.type == VALUE_STRING)
		return value_string(format_percent(run, left.string, right));
	if (sign == SIGN_ADD && left.type == VALUE_STRING && right.type == VALUE_STRING)
		return value_string(operators_join(run, left.string, right.string));
	if (sign == SIGN_ADD && is_list(left) && is_list(right) &&
	    left.sequence->kind == right.sequence->kind)
		return join_sequences(run, left.sequence, right.sequence);
	if (sign == SIGN_MULTIPLY && value_is_integer(left)) {
		const struct value times = left;
		left = right;
		right = times;
	}
	if (sign == SIGN_MULTIPLY && value_is_integer(right) && left.type == VALUE_STRING)
		return repeat_string(run, left.string, value_whole(right));
	if (sign == SIGN_MULTIPLY && value_is_integer(right) && is_list(left))
		return repeat_sequence(run, left.sequence, value_whole(right));
	refuse(run, sign, left, right);
}

struct value operators_negate(struct run *run, struct value value)
{
	if (value.type == VALUE_UNDEFINED)
		value_fail_undefined(run, value);
	if (!value_is_number(value))
		run_fail(run, FAIL_INVALID, "%s has no negative", value_type_name(value));
	if (value.type == VALUE_REAL)
		return value_real(-value.real);
	return operators_apply(run, SIGN_SUBTRACT, value_integer(0), value);
}

bool operators_compare(struct run *run, int sign, struct value left, struct value right)
{
	if (sign == SIGN_NONE)
		return value_contains(run, right, left);
	if (sign == SIGN_EQUAL || sign == SIGN_UNEQUAL)
		return value_equal(run, left, right) == (sign == SIGN_EQUAL);
	if (left.type == VALUE_UNDEFINED || right.type == VALUE_UNDEFINED)
		refuse(run, sign, left, right);
	const int order = value_compare(run, left, right);
	return (sign == SIGN_LESS && order == -1) || (sign == SIGN_GREATER && order == 1) ||
	       (sign == SIGN_LESS_EQUAL && order <= 0) ||
	       (sign == SIGN_GREATER_EQUAL && (order == 0 || order == 1));
}
