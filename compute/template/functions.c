#include "compute/template/functions.h"

#include "compute/template/print.h"

#include <inttypes.h>
#include <time.h>

#define RANGE_MAX 100000 /* the sandbox's limit */

/* range(stop) or range(start, stop, step) */
static struct value range(struct run *run, struct value input, const struct arguments *given)
{
	const bool single = given->items[1].type == VALUE_MISSING;
	const int64_t start = single ? 0 : callable_whole(run, given, 0, 0);
	const int64_t stop = callable_whole(run, given, single ? 0 : 1, 0);
	const int64_t step = callable_whole(run, given, 2, 1);
	struct value numbers = value_sequence(run, SEQUENCE_RANGE);
	int64_t at = start;
	if (step == 0)
		run_fail(run, FAIL_INVALID, "range() steps by zero");
	while (step > 0 ? at < stop : at > stop) {
		if (numbers.sequence->count == RANGE_MAX)
			run_fail(run, FAIL_INVALID, "range() gives more than %d numbers",
				 RANGE_MAX);
		value_append(run, numbers.sequence, value_integer(at));
		if (__builtin_add_overflow(at, step, &at))
			break;
	}
	run_step(run, numbers.sequence->count / 4);
	return numbers;
}

static void set_pair(struct run *run, struct dict *dict, struct value pair)
{
	const struct sequence *items = value_items(run, pair);
	if (items->count != 2 || !value_hashable(items->items[0]))
		run_fail(run, FAIL_INVALID, "dict() is given what is no list of pairs");
	value_set(run, dict, items->items[0], items->items[1]);
}

/* dict(pairs or object, name=value...) */
static struct value dict(struct run *run, struct value input, const struct arguments *given)
{
	struct value made = value_dict(run);
	if (given->count > 1)
		run_fail(run, FAIL_INVALID, "dict() takes one argument without a name");
	if (given->count == 1 && given->items[0].type == VALUE_DICT) {
		const struct dict *from = given->items[0].dict;
		run_step(run, from->count);
		for (uint32_t i = 0; i < from->count; i++)
			value_add(run, made.dict, from->pairs[i].key, from->pairs[i].value);
	} else if (given->count == 1) {
		const struct sequence *pairs = value_items(run, given->items[0]);
		for (uint32_t i = 0; i < pairs->count; i++)
			set_pair(run, made.dict, pairs->items[i]);
	}
	for (uint32_t i = 0; i < given->n_keywords; i++) {
		struct string *name = (struct string *)(uintptr_t)given->keywords[i].name;
		value_set(run, made.dict, value_string(name), given->keywords[i].value);
	}
	return made;
}

static struct value namespace(struct run *run, struct value input, const struct arguments *given)
{
	struct value made = dict(run, input, given);
	made.type = VALUE_NAMESPACE;
	return made;
}

static struct value raise_exception(struct run *run, struct value input,
				    const struct arguments *given)
{
	const struct string *message = print_text(run, given->items[0]);
	run_raise(run, string_bytes(message), message->size);
}

static struct value strftime_now(struct run *run, struct value input, const struct arguments *given)
{
	char format[128], printed[256];
	const time_t now = (time_t)run->now_s;
	struct tm local = { 0 };
	const struct string *wanted = callable_string(run, given, 0);
	if (!wanted || wanted->size == 0 || wanted->size >= sizeof(format))
		run_fail(run, FAIL_INVALID, "strftime_now() is called with an unusual format");
	for (uint32_t i = 0; i < wanted->size; i++)
		format[i] = string_bytes(wanted)[i];
	format[wanted->size] = 0;
	localtime_r(&now, &local);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	const size_t size = strftime(printed, sizeof(printed), format, &local);
#pragma GCC diagnostic pop
	return value_string(string_create(run, printed, size, STRING_OWN));
}

static const struct callable functions[] = {
	{ "dict", dict, .any = true },
	{ "namespace", namespace, .any = true },
	{ "raise_exception", raise_exception, 1, { "message" } },
	{ "range", range, 1, { "start", "stop", "step" } },
	{ "strftime_now", strftime_now, 1, { "format" } },
	{ NULL },
};

const struct callable *functions_find(const struct string *name)
{
	return callable_find(functions, name);
}
