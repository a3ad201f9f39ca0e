#include "compute/template/callable.h"

#include <string.h>

const struct callable *callable_find(const struct callable *table, const struct string *name)
{
	for (; table->name; table++)
		if (string_is(name, table->name))
			return table;
	return NULL;
}

static uint32_t parameter(struct run *run, const struct callable *callable,
			  const struct string *name)
{
	for (uint32_t i = 0; i < CALLABLE_PARAMETERS && callable->parameters[i]; i++)
		if (string_is(name, callable->parameters[i]))
			return i;
	run_fail(run, FAIL_UNSUPPORTED, "\"%s\" with an argument \"%.*s\" is not known here",
		 callable->name, (int)(name->size < 60 ? name->size : 60), string_bytes(name));
}

static void bind(struct run *run, const struct callable *callable,
		 const struct arguments *arguments, struct value *items)
{
	uint32_t n = 0;
	while (n < CALLABLE_PARAMETERS && callable->parameters[n])
		items[n++].type = VALUE_MISSING;
	if (arguments->count > n)
		run_fail(run, FAIL_INVALID, "\"%s\" takes at most %u arguments, not %u",
			 callable->name, n, arguments->count);
	for (uint32_t i = 0; i < arguments->count; i++)
		items[i] = arguments->items[i];
	for (uint32_t i = 0; i < arguments->n_keywords; i++) {
		const struct keyword *keyword = &arguments->keywords[i];
		struct value *item = &items[parameter(run, callable, keyword->name)];
		if (item->type != VALUE_MISSING)
			run_fail(run, FAIL_INVALID, "\"%s\" is given an argument twice",
				 callable->name);
		*item = keyword->value;
	}
	for (uint32_t i = 0; i < callable->required; i++)
		if (items[i].type == VALUE_MISSING)
			run_fail(run, FAIL_INVALID, "\"%s\" is called without its argument \"%s\"",
				 callable->name, callable->parameters[i]);
}

struct value callable_call(struct run *run, const struct callable *callable, struct value input,
			   const struct arguments *arguments)
{
	struct value items[CALLABLE_PARAMETERS];
	run_step(run, 1);
	if (callable->any)
		return callable->call(run, input, arguments);
	bind(run, callable, arguments, items);
	const struct arguments bound = { .items = items, .count = CALLABLE_PARAMETERS };
	return callable->call(run, input, &bound);
}

bool callable_given(const struct arguments *arguments, uint32_t index)
{
	return index < arguments->count && arguments->items[index].type != VALUE_MISSING &&
	       arguments->items[index].type != VALUE_NONE;
}

struct value callable_argument(const struct arguments *arguments, uint32_t index,
			       struct value otherwise)
{
	return callable_given(arguments, index) ? arguments->items[index] : otherwise;
}

int64_t callable_whole(struct run *run, const struct arguments *arguments, uint32_t index,
		       int64_t otherwise)
{
	const struct value value = callable_argument(arguments, index, value_integer(otherwise));
	if (!value_is_integer(value))
		run_fail(run, FAIL_INVALID, "%s stands where a whole number is expected",
			 value_type_name(value));
	return value_whole(value);
}

bool callable_truth(struct run *run, const struct arguments *arguments, uint32_t index,
		    bool otherwise)
{
	return value_truth(run, callable_argument(arguments, index, value_bool(otherwise)));
}

struct string *callable_string(struct run *run, const struct arguments *arguments, uint32_t index)
{
	if (!callable_given(arguments, index))
		return NULL;
	const struct value value = arguments->items[index];
	if (value.type == VALUE_UNDEFINED)
		value_fail_undefined(run, value);
	if (value.type != VALUE_STRING)
		run_fail(run, FAIL_INVALID, "%s stands where a text is expected",
			 value_type_name(value));
	return value.string;
}
