#include "compute/template/eval.h"

#include "compute/template/access.h"
#include "compute/template/filters.h"
#include "compute/template/functions.h"
#include "compute/template/operators.h"
#include "compute/template/print.h"
#include "compute/template/tests.h"

/* ---- names and literals ---- */

static struct value eval_name(struct eval *eval, struct scope *scope, const struct string *name)
{
	struct string *key = (struct string *)(uintptr_t)name;
	const struct value *set = scope_find(eval->run, scope, name);
	if (set)
		return *set;
	const struct pair *given = value_find(eval->run, eval->variables, value_string(key));
	if (given)
		return given->value;
	const struct callable *function = functions_find(name);
	if (function)
		return (struct value){ .type = VALUE_FUNCTION, .function = function };
	return value_undefined(eval->run, "\"%s\" is undefined", name);
}

static struct value eval_list(struct eval *eval, struct scope *scope, const struct node *node)
{
	struct value list =
		value_sequence(eval->run, node->kind == NODE_LIST ? SEQUENCE_LIST : SEQUENCE_TUPLE);
	for (const struct node *item = node->list; item; item = item->next)
		value_append(eval->run, list.sequence, eval_expression(eval, scope, item));
	return list;
}

static struct value eval_dict(struct eval *eval, struct scope *scope, const struct node *node)
{
	struct value dict = value_dict(eval->run);
	for (const struct node *pair = node->list; pair; pair = pair->next) {
		const struct value key = eval_expression(eval, scope, pair->a);
		if (!value_hashable(key))
			run_fail(eval->run, FAIL_INVALID, "%s is no key of an object",
				 value_type_name(key));
		value_set(eval->run, dict.dict, key, eval_expression(eval, scope, pair->b));
	}
	return dict;
}

/* ---- operators ---- */

static struct value eval_compare(struct eval *eval, struct scope *scope, const struct node *node)
{
	struct value left = eval_expression(eval, scope, node->a);
	for (const struct node *operand = node->list; operand; operand = operand->next) {
		const struct value right = eval_expression(eval, scope, operand->a);
		if (operators_compare(eval->run, operand->sign, left, right) == operand->negated)
			return value_bool(false);
		left = right;
	}
	return value_bool(true);
}

static struct value eval_concat(struct eval *eval, struct scope *scope, const struct node *node)
{
	struct string *joined = print_text(eval->run, eval_expression(eval, scope, node->list));
	for (const struct node *item = node->list->next; item; item = item->next) {
		const struct value value = eval_expression(eval, scope, item);
		joined = string_concat(eval->run, joined, print_text(eval->run, value));
	}
	joined = string_part(eval->run, joined, 0, joined->size);
	joined->safe = false;
	return value_string(joined);
}

static struct value eval_choice(struct eval *eval, struct scope *scope, const struct node *node)
{
	const bool truth = value_truth(eval->run, eval_expression(eval, scope, node->a));
	const struct node *chosen = truth ? node->b : node->c;
	if (chosen)
		return eval_expression(eval, scope, chosen);
	return value_undefined(eval->run, "an `if` without `else` gave nothing", NULL);
}

static struct value eval_either(struct eval *eval, struct scope *scope, const struct node *node)
{
	const struct value left = eval_expression(eval, scope, node->a);
	const bool decided = value_truth(eval->run, left) == (node->kind == NODE_OR);
	return decided ? left : eval_expression(eval, scope, node->b);
}

static struct value eval_positive(struct eval *eval, struct value value)
{
	if (value.type == VALUE_UNDEFINED)
		value_fail_undefined(eval->run, value);
	if (!value_is_number(value))
		run_fail(eval->run, FAIL_INVALID, "%s is no number", value_type_name(value));
	return value.type == VALUE_BOOL ? value_integer(value.truth) : value;
}

/* ---- fields, items ---- */

static struct value bound(struct eval *eval, struct scope *scope, const struct node *node)
{
	return node ? eval_expression(eval, scope, node) : value_none();
}

static struct value eval_item(struct eval *eval, struct scope *scope, const struct node *node)
{
	const struct value object = eval_expression(eval, scope, node->a);
	const struct node *key = node->b;
	if (key->kind != NODE_SLICE)
		return access_item(eval->run, object, eval_expression(eval, scope, key));
	const struct value start = bound(eval, scope, key->a), stop = bound(eval, scope, key->b);
	return access_slice(eval->run, object, start, stop, bound(eval, scope, key->c));
}

/* ---- calls ---- */

static uint32_t count(const struct node *list)
{
	uint32_t n = 0;
	for (; list; list = list->next)
		n++;
	return n;
}

static struct arguments eval_arguments(struct eval *eval, struct scope *scope,
				       const struct node *node)
{
	struct arguments arguments = { .count = count(node->list),
				       .n_keywords = count(node->keywords) };
	if (arguments.count > 0)
		arguments.items = run_take(eval->run, arguments.count * sizeof(struct value));
	if (arguments.n_keywords > 0)
		arguments.keywords =
			run_take(eval->run, arguments.n_keywords * sizeof(struct keyword));
	uint32_t i = 0;
	for (const struct node *item = node->list; item; item = item->next)
		arguments.items[i++] = eval_expression(eval, scope, item);
	i = 0;
	for (const struct node *item = node->keywords; item; item = item->next)
		arguments.keywords[i++] =
			(struct keyword){ item->name, eval_expression(eval, scope, item->a) };
	return arguments;
}

struct value eval_call(struct eval *eval, struct scope *scope, const struct node *call,
		       const struct value *caller)
{
	const struct value callee = eval_expression(eval, scope, call->a);
	const struct arguments arguments = eval_arguments(eval, scope, call);
	struct run *run = eval->run;
	run->line = call->line;
	if (callee.type == VALUE_MACRO)
		return eval_macro(eval, callee.macro, &arguments, caller);
	if (callee.type == VALUE_FUNCTION)
		return callable_call(run, callee.function, value_none(), &arguments);
	if (callee.type == VALUE_METHOD)
		return callable_call(run, callee.method->callable, callee.method->object,
				     &arguments);
	if (callee.type == VALUE_UNDEFINED)
		value_fail_undefined(run, callee);
	run_fail(run, FAIL_INVALID, "%s is called, which is no function", value_type_name(callee));
}

static struct value apply_filter(struct eval *eval, struct scope *scope, const struct node *node,
				 struct value input)
{
	const struct arguments arguments = eval_arguments(eval, scope, node);
	eval->run->line = node->line;
	return callable_call(eval->run, filters_find(eval->run, node->name), input, &arguments);
}

struct value eval_filters(struct eval *eval, struct scope *scope, const struct node *filters,
			  struct value input)
{
	run_enter(eval->run);
	if (filters->a)
		input = eval_filters(eval, scope, filters->a, input);
	const struct value output = apply_filter(eval, scope, filters, input);
	run_leave(eval->run);
	return output;
}

static struct value eval_test(struct eval *eval, struct scope *scope, const struct node *node)
{
	const struct value input = eval_expression(eval, scope, node->a);
	const struct arguments arguments = eval_arguments(eval, scope, node);
	eval->run->line = node->line;
	const struct value result =
		callable_call(eval->run, tests_find(eval->run, node->name), input, &arguments);
	return value_bool(result.truth != node->negated);
}

/* ---- macros ---- */

/* The value of parameter `index`, or false when the call does not give it. */
static bool find_argument(const struct arguments *arguments, uint32_t index,
			  const struct string *name, struct value *value)
{
	if (index < arguments->count) {
		*value = arguments->items[index];
		return true;
	}
	for (uint32_t i = 0; i < arguments->n_keywords; i++) {
		if (string_compare(arguments->keywords[i].name, name) != 0)
			continue;
		*value = arguments->keywords[i].value;
		return true;
	}
	return false;
}

static bool has_parameter(const struct node *macro, const struct string *name)
{
	for (const struct node *at = macro->keywords; at; at = at->next)
		if (string_compare(at->name, name) == 0)
			return true;
	return false;
}

static void set_word(struct run *run, struct scope *scope, const char *name, struct value value)
{
	scope_set(run, scope, value_word(run, name).string, value);
}

/* What the parameters do not take goes to `varargs` and `kwargs`, if the macro reads them. */
static void bind_rest(struct run *run, struct scope *scope, const struct node *macro,
		      const struct arguments *arguments, uint32_t n_parameters)
{
	struct value more = value_sequence(run, SEQUENCE_TUPLE), named = value_dict(run);
	for (uint32_t i = n_parameters; i < arguments->count; i++)
		value_append(run, more.sequence, arguments->items[i]);
	for (uint32_t i = 0; i < arguments->n_keywords; i++) {
		const struct keyword *keyword = &arguments->keywords[i];
		struct string *name = (struct string *)(uintptr_t)keyword->name;
		if (!has_parameter(macro, name) && !string_is(name, "caller"))
			value_set(run, named.dict, value_string(name), keyword->value);
	}
	if (macro->takes_more)
		set_word(run, scope, "varargs", more);
	else if (more.sequence->count > 0)
		run_fail(run, FAIL_INVALID, "the macro \"%.*s\" is given %u arguments too many",
			 (int)macro->name->size, string_bytes(macro->name), more.sequence->count);
	if (macro->takes_names)
		set_word(run, scope, "kwargs", named);
	else if (named.dict->count > 0)
		run_fail(run, FAIL_INVALID, "the macro \"%.*s\" is given an argument it has not",
			 (int)macro->name->size, string_bytes(macro->name));
}

struct value eval_macro(struct eval *eval, const struct macro *macro,
			const struct arguments *arguments, const struct value *caller)
{
	struct run *run = eval->run;
	struct scope *scope = scope_create(run, macro->scope);
	uint32_t index = 0;
	run_enter(run);
	if (caller)
		set_word(run, scope, "caller", *caller);
	for (const struct node *at = macro->node->keywords; at; at = at->next, index++) {
		struct value value;
		if (!find_argument(arguments, index, at->name, &value))
			value = at->a ? eval_expression(eval, scope, at->a)
				      : value_undefined(run, "the argument \"%s\" was not given",
							at->name);
		scope_set(run, scope, at->name, value);
	}
	bind_rest(run, scope, macro->node, arguments, index);
	const struct value text = value_string(eval_capture(eval, scope, macro->node->list));
	run_leave(run);
	return text;
}

/* ---- any ---- */

static struct value eval_kind(struct eval *eval, struct scope *scope, const struct node *node)
{
	struct run *run = eval->run;
	switch (node->kind) {
	case NODE_CONSTANT:
		return node->value;
	case NODE_NAME:
		return eval_name(eval, scope, node->name);
	case NODE_LIST:
	case NODE_TUPLE:
		return eval_list(eval, scope, node);
	case NODE_DICT:
		return eval_dict(eval, scope, node);
	case NODE_CHOICE:
		return eval_choice(eval, scope, node);
	case NODE_OR:
	case NODE_AND:
		return eval_either(eval, scope, node);
	case NODE_NOT:
		return value_bool(!value_truth(run, eval_expression(eval, scope, node->a)));
	case NODE_COMPARE:
		return eval_compare(eval, scope, node);
	case NODE_CONCAT:
		return eval_concat(eval, scope, node);
	case NODE_NEGATIVE:
		return operators_negate(run, eval_expression(eval, scope, node->a));
	case NODE_POSITIVE:
		return eval_positive(eval, eval_expression(eval, scope, node->a));
	case NODE_FIELD:
		return access_field(run, eval_expression(eval, scope, node->a), node->name);
	case NODE_ITEM:
		return eval_item(eval, scope, node);
	case NODE_CALL:
		return eval_call(eval, scope, node, NULL);
	case NODE_FILTER:
		return apply_filter(eval, scope, node, eval_expression(eval, scope, node->a));
	case NODE_TEST:
		return eval_test(eval, scope, node);
	default: /* NODE_BINARY: statements are never here */
		break;
	}
	const struct value left = eval_expression(eval, scope, node->a);
	const struct value right = eval_expression(eval, scope, node->b);
	run->line = node->line;
	return operators_apply(run, node->sign, left, right);
}

struct value eval_expression(struct eval *eval, struct scope *scope, const struct node *node)
{
	run_step(eval->run, 1);
	run_enter(eval->run);
	eval->run->line = node->line;
	const struct value value = eval_kind(eval, scope, node);
	run_leave(eval->run);
	return value;
}
