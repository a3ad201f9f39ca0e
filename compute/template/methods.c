#include "compute/template/methods.h"

#include "compute/template/access.h"
#include "compute/template/format.h"
#include "compute/template/glyph.h"
#include "compute/template/letters.h"
#include "compute/template/search.h"

/* ---- of texts ---- */

static struct value safe_as(struct value value, const struct string *from)
{
	value.string->safe = from->safe;
	return value;
}

static struct value string_upper(struct run *run, struct value input, const struct arguments *given)
{
	return value_string(letters_upper(run, input.string));
}

static struct value string_lower(struct run *run, struct value input, const struct arguments *given)
{
	return value_string(letters_lower(run, input.string));
}

static struct value string_capitalize(struct run *run, struct value input,
				      const struct arguments *given)
{
	return value_string(letters_capitalize(run, input.string));
}

static struct value string_title(struct run *run, struct value input, const struct arguments *given)
{
	return value_string(letters_title(run, input.string, false));
}

static struct value string_strip_both(struct run *run, struct value input,
				      const struct arguments *given)
{
	return value_string(
		string_strip(run, input.string, callable_string(run, given, 0), true, true));
}

static struct value string_strip_left(struct run *run, struct value input,
				      const struct arguments *given)
{
	return value_string(
		string_strip(run, input.string, callable_string(run, given, 0), true, false));
}

static struct value string_strip_right(struct run *run, struct value input,
				       const struct arguments *given)
{
	return value_string(
		string_strip(run, input.string, callable_string(run, given, 0), false, true));
}

static struct value string_split(struct run *run, struct value input, const struct arguments *given)
{
	return search_split(run, input.string, callable_string(run, given, 0),
			    callable_whole(run, given, 1, -1));
}

static struct value string_split_last(struct run *run, struct value input,
				      const struct arguments *given)
{
	return search_split_last(run, input.string, callable_string(run, given, 0),
				 callable_whole(run, given, 1, -1));
}

static struct value string_lines(struct run *run, struct value input, const struct arguments *given)
{
	return search_lines(run, input.string, callable_truth(run, given, 0, false));
}

static struct string *want_string(struct run *run, const struct arguments *given, uint32_t index)
{
	struct string *string = callable_string(run, given, index);
	if (!string)
		run_fail(run, FAIL_INVALID, "none stands where a text is expected");
	return string;
}

static struct value string_partition(struct run *run, struct value input,
				     const struct arguments *given)
{
	return search_partition(run, input.string, want_string(run, given, 0), false);
}

static struct value string_partition_last(struct run *run, struct value input,
					  const struct arguments *given)
{
	return search_partition(run, input.string, want_string(run, given, 0), true);
}

static struct value string_replace(struct run *run, struct value input,
				   const struct arguments *given)
{
	struct string *new = want_string(run, given, 1);
	if (input.string->safe && !new->safe)
		new = string_escape(run, new);
	return safe_as(value_string(search_replace(run, input.string, want_string(run, given, 0),
						   new, callable_whole(run, given, 2, -1))),
		       input.string);
}

typedef bool ends_fn(const struct string *string, const struct string *with);

/* A text, or a tuple of them: any will do. */
static struct value has_end(struct run *run, struct value input, const struct arguments *given,
			    ends_fn *ends)
{
	const struct value with = given->items[0];
	if (with.type != VALUE_SEQUENCE || with.sequence->kind != SEQUENCE_TUPLE)
		return value_bool(ends(input.string, want_string(run, given, 0)));
	for (uint32_t i = 0; i < with.sequence->count; i++) {
		const struct arguments one = { .items = &with.sequence->items[i], .count = 1 };
		if (ends(input.string, want_string(run, &one, 0)))
			return value_bool(true);
	}
	return value_bool(false);
}

static struct value string_starts_with(struct run *run, struct value input,
				       const struct arguments *given)
{
	return has_end(run, input, given, string_starts);
}

static struct value string_ends_with(struct run *run, struct value input,
				     const struct arguments *given)
{
	return has_end(run, input, given, string_ends);
}

static struct value string_remove_prefix(struct run *run, struct value input,
					 const struct arguments *given)
{
	const struct string *prefix = want_string(run, given, 0);
	const uint32_t size = string_starts(input.string, prefix) ? prefix->size : 0;
	return value_string(string_part(run, input.string, size, input.string->size - size));
}

static struct value string_remove_suffix(struct run *run, struct value input,
					 const struct arguments *given)
{
	const struct string *suffix = want_string(run, given, 0);
	const uint32_t size = string_ends(input.string, suffix) ? suffix->size : 0;
	return value_string(string_part(run, input.string, 0, input.string->size - size));
}

/* The place of the text in characters, or -1. */
static int64_t place_of(struct run *run, struct value input, const struct arguments *given,
			bool last)
{
	struct string *needle = want_string(run, given, 0), *string = input.string;
	run_step(run, (uint64_t)string->size * (1 + (last ? needle->size : 0)) / 16);
	const uint32_t at = last ? string_find_last(string, needle, string->size)
				 : string_find(string, needle, 0);
	return at == STRING_NONE ? -1 : (int64_t)string_characters(string_part(run, string, 0, at));
}

static struct value string_find_first(struct run *run, struct value input,
				      const struct arguments *given)
{
	return value_integer(place_of(run, input, given, false));
}

static struct value string_find_end(struct run *run, struct value input,
				    const struct arguments *given)
{
	return value_integer(place_of(run, input, given, true));
}

static struct value string_index(struct run *run, struct value input, const struct arguments *given)
{
	const int64_t place = place_of(run, input, given, false);
	if (place < 0)
		run_fail(run, FAIL_INVALID, "index() does not find its text");
	return value_integer(place);
}

static struct value string_count(struct run *run, struct value input, const struct arguments *given)
{
	return value_integer(search_count(run, input.string, want_string(run, given, 0)));
}

static struct value string_join(struct run *run, struct value input, const struct arguments *given)
{
	return value_string(
		search_join(run, input.string, value_items(run, given->items[0]), true));
}

static struct value string_format(struct run *run, struct value input,
				  const struct arguments *given)
{
	return value_string(format_braces(run, input.string, given));
}

static struct value string_is_alpha(struct run *run, struct value input,
				    const struct arguments *given)
{
	return value_bool(letters_all(input.string, glyph_is_letter));
}

static bool is_letter_or_digit(uint32_t character)
{
	return glyph_is_letter(character) || glyph_is_digit(character);
}

static struct value string_is_alnum(struct run *run, struct value input,
				    const struct arguments *given)
{
	return value_bool(letters_all(input.string, is_letter_or_digit));
}

static struct value string_is_digit(struct run *run, struct value input,
				    const struct arguments *given)
{
	return value_bool(letters_all(input.string, glyph_is_digit));
}

static struct value string_is_space(struct run *run, struct value input,
				    const struct arguments *given)
{
	return value_bool(letters_all(input.string, glyph_is_space));
}

static struct value string_is_upper(struct run *run, struct value input,
				    const struct arguments *given)
{
	return value_bool(letters_are_upper(input.string));
}

static struct value string_is_lower(struct run *run, struct value input,
				    const struct arguments *given)
{
	return value_bool(letters_are_lower(input.string));
}

/* ---- of objects ---- */

static struct value dict_get(struct run *run, struct value input, const struct arguments *given)
{
	const struct pair *pair = value_find(run, input.dict, given->items[0]);
	if (pair)
		return pair->value;
	return given->items[1].type == VALUE_MISSING ? value_none() : given->items[1];
}

static struct value dict_view(struct run *run, struct value input, enum sequence_kind kind)
{
	struct value view = value_sequence(run, kind);
	for (uint32_t i = 0; i < input.dict->count; i++) {
		const struct pair *pair = &input.dict->pairs[i];
		run_step(run, 1);
		value_append(run, view.sequence,
			     kind == SEQUENCE_KEYS     ? pair->key
			     : kind == SEQUENCE_VALUES ? pair->value
						       : value_pair(run, pair->key, pair->value));
	}
	return view;
}

static struct value dict_items(struct run *run, struct value input, const struct arguments *given)
{
	return dict_view(run, input, SEQUENCE_ITEMS);
}

static struct value dict_keys(struct run *run, struct value input, const struct arguments *given)
{
	return dict_view(run, input, SEQUENCE_KEYS);
}

static struct value dict_values(struct run *run, struct value input, const struct arguments *given)
{
	return dict_view(run, input, SEQUENCE_VALUES);
}

static struct value dict_copy(struct run *run, struct value input, const struct arguments *given)
{
	struct value copy = value_dict(run);
	run_step(run, input.dict->count / 4);
	for (uint32_t i = 0; i < input.dict->count; i++)
		value_add(run, copy.dict, input.dict->pairs[i].key, input.dict->pairs[i].value);
	return copy;
}

/* ---- of lists ---- */

static struct value list_append(struct run *run, struct value input, const struct arguments *given)
{
	value_append(run, input.sequence, given->items[0]);
	return value_none();
}

static struct value list_pop(struct run *run, struct value input, const struct arguments *given)
{
	struct sequence *list = input.sequence;
	int64_t index = callable_whole(run, given, 0, -1);
	if (index < 0)
		index += list->count;
	if (index < 0 || index >= list->count)
		run_fail(run, FAIL_INVALID, "pop() from a list that has no such item");
	const struct value popped = list->items[index];
	run_step(run, list->count / 4);
	for (uint32_t i = (uint32_t)index; i + 1 < list->count; i++)
		list->items[i] = list->items[i + 1];
	list->count--;
	return popped;
}

static int64_t list_place(struct run *run, struct value input, struct value item, int64_t *count)
{
	int64_t first = -1;
	*count = 0;
	for (uint32_t i = 0; i < input.sequence->count; i++) {
		if (!value_equal(run, input.sequence->items[i], item))
			continue;
		first = first < 0 ? i : first;
		++*count;
	}
	return first;
}

static struct value list_index(struct run *run, struct value input, const struct arguments *given)
{
	int64_t count;
	const int64_t place = list_place(run, input, given->items[0], &count);
	if (place < 0)
		run_fail(run, FAIL_INVALID, "index() does not find its item");
	return value_integer(place);
}

static struct value list_count(struct run *run, struct value input, const struct arguments *given)
{
	int64_t count;
	list_place(run, input, given->items[0], &count);
	return value_integer(count);
}

static struct value list_copy(struct run *run, struct value input, const struct arguments *given)
{
	struct value copy = value_sequence(run, SEQUENCE_LIST);
	run_step(run, input.sequence->count / 4);
	for (uint32_t i = 0; i < input.sequence->count; i++)
		value_append(run, copy.sequence, input.sequence->items[i]);
	return copy;
}

/* ---- of loops ---- */

static struct value loop_cycle(struct run *run, struct value input, const struct arguments *given)
{
	if (given->count == 0)
		run_fail(run, FAIL_INVALID, "loop.cycle() is given nothing to choose from");
	return given->items[input.loop->index % given->count];
}

static struct value loop_changed(struct run *run, struct value input, const struct arguments *given)
{
	struct value now = value_sequence(run, SEQUENCE_TUPLE);
	for (uint32_t i = 0; i < given->count; i++)
		value_append(run, now.sequence, given->items[i]);
	const bool same = input.loop->has_last && value_equal(run, input.loop->last, now);
	input.loop->has_last = true;
	input.loop->last = now;
	return value_bool(!same);
}

/* ---- those that Python has and templates do not need ---- */

static struct value unknown_method(struct run *run, struct value input,
				   const struct arguments *given)
{
	run_fail(run, FAIL_UNSUPPORTED, "a method of %s that it calls is not known here",
		 value_type_name(input));
}

static struct value changing_method(struct run *run, struct value input,
				    const struct arguments *given)
{
	run_fail(run, FAIL_INVALID, "it may not change %s in this way", value_type_name(input));
}

#define UNKNOWN(name)                                                                              \
	{                                                                                          \
		name, unknown_method, .any = true                                                  \
	}
#define CHANGING(name)                                                                             \
	{                                                                                          \
		name, changing_method, .any = true                                                 \
	}

static const struct callable string_methods[] = {
	{ "capitalize", string_capitalize },
	{ "count", string_count, 1, { "sub" } },
	{ "endswith", string_ends_with, 1, { "suffix" } },
	{ "find", string_find_first, 1, { "sub" } },
	{ "format", string_format, .any = true },
	{ "index", string_index, 1, { "sub" } },
	{ "isalnum", string_is_alnum },
	{ "isalpha", string_is_alpha },
	{ "isdecimal", string_is_digit },
	{ "isdigit", string_is_digit },
	{ "isnumeric", string_is_digit },
	{ "islower", string_is_lower },
	{ "isspace", string_is_space },
	{ "isupper", string_is_upper },
	{ "join", string_join, 1, { "iterable" } },
	{ "lower", string_lower },
	{ "casefold", string_lower },
	{ "lstrip", string_strip_left, 0, { "chars" } },
	{ "partition", string_partition, 1, { "sep" } },
	{ "removeprefix", string_remove_prefix, 1, { "prefix" } },
	{ "removesuffix", string_remove_suffix, 1, { "suffix" } },
	{ "replace", string_replace, 2, { "old", "new", "count" } },
	{ "rfind", string_find_end, 1, { "sub" } },
	{ "rpartition", string_partition_last, 1, { "sep" } },
	{ "rsplit", string_split_last, 0, { "sep", "maxsplit" } },
	{ "rstrip", string_strip_right, 0, { "chars" } },
	{ "split", string_split, 0, { "sep", "maxsplit" } },
	{ "splitlines", string_lines, 0, { "keepends" } },
	{ "startswith", string_starts_with, 1, { "prefix" } },
	{ "strip", string_strip_both, 0, { "chars" } },
	{ "title", string_title },
	{ "upper", string_upper },
	UNKNOWN("center"),
	UNKNOWN("encode"),
	UNKNOWN("expandtabs"),
	UNKNOWN("format_map"),
	UNKNOWN("isascii"),
	UNKNOWN("isidentifier"),
	UNKNOWN("isprintable"),
	UNKNOWN("istitle"),
	UNKNOWN("ljust"),
	UNKNOWN("maketrans"),
	UNKNOWN("rindex"),
	UNKNOWN("rjust"),
	UNKNOWN("swapcase"),
	UNKNOWN("translate"),
	UNKNOWN("zfill"),
	{ NULL },
};

static const struct callable dict_methods[] = {
	{ "copy", dict_copy },     { "get", dict_get, 1, { "key", "default" } },
	{ "items", dict_items },   { "keys", dict_keys },
	{ "values", dict_values }, UNKNOWN("fromkeys"),
	CHANGING("clear"),         CHANGING("pop"),
	CHANGING("popitem"),       CHANGING("setdefault"),
	CHANGING("update"),        { NULL },
};

static const struct callable list_methods[] = {
	{ "append", list_append, 1, { "object" } },
	{ "copy", list_copy },
	{ "count", list_count, 1, { "value" } },
	{ "index", list_index, 1, { "value" } },
	{ "pop", list_pop, 0, { "index" } },
	CHANGING("clear"),
	CHANGING("extend"),
	CHANGING("insert"),
	CHANGING("remove"),
	CHANGING("reverse"),
	CHANGING("sort"),
	{ NULL },
};

static const struct callable tuple_methods[] = {
	{ "count", list_count, 1, { "value" } },
	{ "index", list_index, 1, { "value" } },
	{ NULL },
};

static const struct callable loop_methods[] = {
	{ "changed", loop_changed, .any = true },
	{ "cycle", loop_cycle, .any = true },
	{ NULL },
};

const struct callable *methods_find(struct run *run, struct value object, const struct string *name)
{
	const struct callable *table = NULL;
	if (object.type == VALUE_STRING)
		table = string_methods;
	else if (object.type == VALUE_DICT)
		table = dict_methods;
	else if (object.type == VALUE_LOOP)
		table = loop_methods;
	else if (object.type == VALUE_SEQUENCE && object.sequence->kind == SEQUENCE_LIST)
		table = list_methods;
	else if (object.type == VALUE_SEQUENCE && object.sequence->kind == SEQUENCE_TUPLE)
		table = tuple_methods;
	return table ? callable_find(table, name) : NULL;
}
