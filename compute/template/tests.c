#include "compute/template/tests.h"

#include "compute/template/filters.h"
#include "compute/template/letters.h"
#include "compute/template/lexer.h"
#include "compute/template/operators.h"
#include "compute/template/print.h"

static struct value is_defined(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type != VALUE_UNDEFINED);
}

static struct value is_undefined(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_UNDEFINED);
}

static struct value is_none(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_NONE);
}

static struct value is_boolean(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_BOOL);
}

static struct value is_true(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_BOOL && input.truth);
}

static struct value is_false(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_BOOL && !input.truth);
}

static struct value is_integer(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_INTEGER);
}

static struct value is_float(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_REAL);
}

static struct value is_number(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(value_is_number(input));
}

static struct value is_string(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_STRING);
}

static struct value is_mapping(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_DICT);
}

static struct value is_iterable(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(value_iterable(input));
}

/* What has a length and can be indexed: so Python asks, and gets a yes for objects too. */
static struct value is_sequence(struct run *run, struct value input, const struct arguments *given)
{
	if (input.type == VALUE_SEQUENCE)
		return value_bool(input.sequence->kind <= SEQUENCE_RANGE);
	return value_bool(input.type == VALUE_STRING || input.type == VALUE_DICT ||
			  input.type == VALUE_UNDEFINED);
}

static struct value is_callable(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type >= VALUE_MACRO && input.type <= VALUE_METHOD);
}

static struct value is_escaped(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_STRING && input.string->safe);
}

static struct value is_lower(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(letters_are_lower(print_text(run, input)));
}

static struct value is_upper(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(letters_are_upper(print_text(run, input)));
}

static struct value remainder_is(struct run *run, struct value input, int64_t divisor,
				 int64_t wanted)
{
	const struct value remainder =
		operators_apply(run, SIGN_MODULO, input, value_integer(divisor));
	return value_bool(value_equal(run, remainder, value_integer(wanted)));
}

static struct value is_even(struct run *run, struct value input, const struct arguments *given)
{
	return remainder_is(run, input, 2, 0);
}

static struct value is_odd(struct run *run, struct value input, const struct arguments *given)
{
	return remainder_is(run, input, 2, 1);
}

static struct value is_divisible(struct run *run, struct value input, const struct arguments *given)
{
	return remainder_is(run, input, callable_whole(run, given, 0, 0), 0);
}

static struct value is_equal(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(operators_compare(run, SIGN_EQUAL, input, given->items[0]));
}

static struct value is_unequal(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(operators_compare(run, SIGN_UNEQUAL, input, given->items[0]));
}

static struct value is_less(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(operators_compare(run, SIGN_LESS, input, given->items[0]));
}

static struct value is_at_most(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(operators_compare(run, SIGN_LESS_EQUAL, input, given->items[0]));
}

static struct value is_greater(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(operators_compare(run, SIGN_GREATER, input, given->items[0]));
}

static struct value is_at_least(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(operators_compare(run, SIGN_GREATER_EQUAL, input, given->items[0]));
}

static struct value is_within(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(operators_compare(run, SIGN_NONE, input, given->items[0]));
}

/* The same object, in Python; values without an identity of their own are compared. */
static struct value is_same(struct run *run, struct value input, const struct arguments *given)
{
	const struct value other = given->items[0];
	if (input.type != other.type)
		return value_bool(false);
	if (input.type == VALUE_SEQUENCE)
		return value_bool(input.sequence == other.sequence);
	if (input.type == VALUE_DICT)
		return value_bool(input.dict == other.dict);
	return value_bool(value_equal(run, input, other));
}

static struct value is_filter(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_STRING && filters_known(input.string));
}

static struct value is_test(struct run *run, struct value input, const struct arguments *given);

static const struct callable tests[] = {
	{ "boolean", is_boolean },
	{ "callable", is_callable },
	{ "defined", is_defined },
	{ "divisibleby", is_divisible, 1, { "other" } },
	{ "eq", is_equal, 1, { "other" } },
	{ "equalto", is_equal, 1, { "other" } },
	{ "escaped", is_escaped },
	{ "even", is_even },
	{ "false", is_false },
	{ "filter", is_filter },
	{ "float", is_float },
	{ "ge", is_at_least, 1, { "other" } },
	{ "greaterthan", is_greater, 1, { "other" } },
	{ "gt", is_greater, 1, { "other" } },
	{ "in", is_within, 1, { "other" } },
	{ "integer", is_integer },
	{ "iterable", is_iterable },
	{ "le", is_at_most, 1, { "other" } },
	{ "lessthan", is_less, 1, { "other" } },
	{ "lower", is_lower },
	{ "lt", is_less, 1, { "other" } },
	{ "mapping", is_mapping },
	{ "ne", is_unequal, 1, { "other" } },
	{ "none", is_none },
	{ "number", is_number },
	{ "odd", is_odd },
	{ "sameas", is_same, 1, { "other" } },
	{ "sequence", is_sequence },
	{ "string", is_string },
	{ "test", is_test },
	{ "true", is_true },
	{ "undefined", is_undefined },
	{ "upper", is_upper },
	{ "==", is_equal, 1, { "other" } },
	{ "!=", is_unequal, 1, { "other" } },
	{ "<", is_less, 1, { "other" } },
	{ "<=", is_at_most, 1, { "other" } },
	{ ">", is_greater, 1, { "other" } },
	{ ">=", is_at_least, 1, { "other" } },
	{ NULL },
};

static struct value is_test(struct run *run, struct value input, const struct arguments *given)
{
	return value_bool(input.type == VALUE_STRING && callable_find(tests, input.string));
}

const struct callable *tests_find(struct run *run, const struct string *name)
{
	const struct callable *test = callable_find(tests, name);
	if (!test)
		run_fail(run, FAIL_UNSUPPORTED, "the test \"%.*s\" is not known here",
			 (int)(name->size < 60 ? name->size : 60), string_bytes(name));
	return test;
}
