#include "compute/template/filters.h"

#include "compute/template/access.h"
#include "compute/template/filters_list.h"
#include "compute/template/format.h"
#include "compute/template/json.h"
#include "compute/template/letters.h"
#include "compute/template/methods.h"
#include "compute/template/number.h"
#include "compute/template/print.h"
#include "compute/template/search.h"

#include <math.h>
#include <string.h>

/* ---- texts ---- */

static struct value upper(struct run *run, struct value input, const struct arguments *given)
{
	return value_string(letters_upper(run, print_text(run, input)));
}

static struct value lower(struct run *run, struct value input, const struct arguments *given)
{
	return value_string(letters_lower(run, print_text(run, input)));
}

static struct value capitalize(struct run *run, struct value input, const struct arguments *given)
{
	return value_string(letters_capitalize(run, print_text(run, input)));
}

static struct value title(struct run *run, struct value input, const struct arguments *given)
{
	return value_string(letters_title(run, print_text(run, input), true));
}

static struct value to_string(struct run *run, struct value input, const struct arguments *given)
{
	return value_string(print_text(run, input));
}

static struct value trim(struct run *run, struct value input, const struct arguments *given)
{
	return value_string(string_strip(run, print_text(run, input),
					 callable_string(run, given, 0), true, true));
}

static struct value plain(struct run *run, struct string *string)
{
	struct string *whole = string_part(run, string, 0, string->size);
	whole->safe = false;
	return value_string(whole);
}

static struct value replace(struct run *run, struct value input, const struct arguments *given)
{
	const struct string *old = print_text(run, given->items[0]);
	const struct string *new = print_text(run, given->items[1]);
	return plain(run, search_replace(run, print_text(run, input), old, new,
					 callable_whole(run, given, 2, -1)));
}

static struct value safe(struct run *run, struct value input, const struct arguments *given)
{
	struct value marked = plain(run, print_text(run, input));
	marked.string->safe = true;
	return marked;
}

static struct value escape(struct run *run, struct value input, const struct arguments *given)
{
	struct string *string = print_text(run, input);
	return string->safe ? value_string(string) : value_string(string_escape(run, string));
}

static void add_blanks(struct run *run, struct text *text, int64_t count)
{
	for (; count > 0; count--) {
		run_step(run, 1);
		text_add(run, text, " ", 1, STRING_OWN);
	}
}

/* indent(width, first, blank) */
static struct value indent(struct run *run, struct value input, const struct arguments *given)
{
	struct text *blanks = text_create(run, 0), *text = text_create(run, 0);
	struct value width = callable_argument(given, 0, value_integer(4));
	const bool blank = callable_truth(run, given, 2, false);
	if (input.type != VALUE_STRING)
		run_fail(run, FAIL_INVALID, "\"indent\" is given %s, no text",
			 value_type_name(input));
	if (width.type == VALUE_STRING)
		text_add_string(run, blanks, width.string);
	else
		add_blanks(run, blanks, callable_whole(run, given, 0, 4));
	const struct string *unit = string_whole(run, blanks);
	const struct string *newline = value_word(run, "\n").string;
	const struct sequence *lines =
		search_lines(run, string_concat(run, input.string, newline), false).sequence;
	for (uint32_t i = 0; i < lines->count; i++) {
		const struct string *line = lines->items[i].string;
		if (i > 0)
			text_add_string(run, text, newline);
		if (i == 0 ? callable_truth(run, given, 1, false) : blank || line->size > 0)
			text_add_string(run, text, unit);
		text_add_string(run, text, line);
	}
	struct string *indented = string_whole(run, text);
	indented->safe = input.string->safe;
	return value_string(indented);
}

static struct value format(struct run *run, struct value input, const struct arguments *given)
{
	struct value values = value_sequence(run, SEQUENCE_TUPLE);
	if (given->n_keywords > 0)
		run_fail(run, FAIL_UNSUPPORTED, "\"format\" with names is not known here");
	for (uint32_t i = 0; i < given->count; i++)
		value_append(run, values.sequence, given->items[i]);
	return value_string(format_percent(run, print_text(run, input), values));
}

static struct value count_words(struct run *run, struct value input, const struct arguments *given)
{
	return value_integer(number_of_words(run, print_text(run, input)));
}

/* ---- JSON ---- */

static void take_indent(struct run *run, struct value indent, struct json_style *style)
{
	struct text *blanks = text_create(run, 0);
	if (indent.type == VALUE_NONE || indent.type == VALUE_MISSING)
		return;
	style->indented = true;
	if (indent.type == VALUE_STRING) {
		style->indent = indent.string;
		return;
	}
	if (!value_is_integer(indent) || value_whole(indent) > 64)
		run_fail(run, FAIL_INVALID, "tojson: \"indent\" is a text, or a number up to 64");
	add_blanks(run, blanks, value_whole(indent));
	style->indent = string_whole(run, blanks);
}

/* tojson(ensure_ascii, indent, separators, sort_keys) */
static struct value to_json(struct run *run, struct value input, const struct arguments *given)
{
	struct json_style style = { .ascii = callable_truth(run, given, 0, false),
				    .sorted = callable_truth(run, given, 3, false) };
	take_indent(run, given->items[1], &style);
	if (callable_given(given, 2)) {
		const struct value pair = given->items[2];
		const bool fits = pair.type == VALUE_SEQUENCE && pair.sequence->count == 2 &&
				  pair.sequence->items[0].type == VALUE_STRING &&
				  pair.sequence->items[1].type == VALUE_STRING;
		if (!fits)
			run_fail(run, FAIL_INVALID, "tojson: \"separators\" are two texts");
		style.separator = pair.sequence->items[0].string;
		style.colon = pair.sequence->items[1].string;
	}
	return value_string(json_write(run, input, &style));
}

static struct value from_json(struct run *run, struct value input, const struct arguments *given)
{
	if (input.type != VALUE_STRING)
		run_fail(run, FAIL_INVALID, "from_json is given %s, no text",
			 value_type_name(input));
	return json_read(run, input.string);
}

/* ---- numbers ---- */

static struct value length(struct run *run, struct value input, const struct arguments *given)
{
	const int64_t size = value_length(input);
	if (size < 0)
		run_fail(run, FAIL_INVALID, "%s has no length", value_type_name(input));
	return value_integer(size);
}

/* int(default, base) */
static struct value to_integer(struct run *run, struct value input, const struct arguments *given)
{
	const int64_t base = callable_whole(run, given, 1, 10);
	struct value otherwise = given->items[0];
	if (otherwise.type == VALUE_MISSING)
		otherwise = value_integer(0);
	return number_to_integer(run, input, base, otherwise);
}

/* float(default) */
static struct value to_real(struct run *run, struct value input, const struct arguments *given)
{
	struct value otherwise = given->items[0];
	if (otherwise.type == VALUE_MISSING)
		otherwise = value_real(0);
	return number_to_real(run, input, otherwise);
}

static struct value absolute(struct run *run, struct value input, const struct arguments *given)
{
	if (!value_is_number(input) || (input.type == VALUE_INTEGER && input.integer == INT64_MIN))
		run_fail(run, FAIL_INVALID, "\"abs\" is given %s", value_type_name(input));
	if (input.type == VALUE_REAL)
		return value_real(fabs(input.real));
	const int64_t whole = value_whole(input);
	return value_integer(whole < 0 ? -whole : whole);
}

/* round(precision, method) */
static struct value round_off(struct run *run, struct value input, const struct arguments *given)
{
	const struct value method = callable_argument(given, 1, value_word(run, "common"));
	return number_round(run, input, callable_whole(run, given, 0, 0), method);
}

/* ---- others ---- */

static struct value or_default(struct run *run, struct value input, const struct arguments *given)
{
	const bool missing = input.type == VALUE_UNDEFINED ||
			     (callable_truth(run, given, 1, false) && !value_truth(run, input));
	if (!missing)
		return input;
	return given->items[0].type == VALUE_MISSING ? value_word(run, "") : given->items[0];
}

static struct value field(struct run *run, struct value input, const struct arguments *given)
{
	const struct string *name = callable_string(run, given, 0);
	const bool has = name && (input.type == VALUE_NAMESPACE || input.type == VALUE_LOOP ||
				  methods_find(run, input, name));
	if (has)
		return access_field(run, input, name);
	return value_undefined(run, "a value has no field \"%s\"", name);
}

static const struct callable filters[] = {
	{ "abs", absolute },
	{ "attr", field, 1, { "name" } },
	{ "capitalize", capitalize },
	{ "count", length },
	{ "d", or_default, 0, { "default_value", "boolean" } },
	{ "default", or_default, 0, { "default_value", "boolean" } },
	{ "dictsort", filters_list_sort_dict, 0, { "case_sensitive", "by", "reverse" } },
	{ "e", escape },
	{ "escape", escape },
	{ "first", filters_list_first },
	{ "float", to_real, 0, { "default" } },
	{ "format", format, .any = true },
	{ "from_json", from_json },
	{ "indent", indent, 0, { "width", "first", "blank" } },
	{ "int", to_integer, 0, { "default", "base" } },
	{ "items", filters_list_pairs },
	{ "join", filters_list_join, 0, { "d", "attribute" } },
	{ "last", filters_list_last },
	{ "length", length },
	{ "list", filters_list_all },
	{ "lower", lower },
	{ "map", filters_list_map, .any = true },
	{ "max", filters_list_max, 0, { "case_sensitive", "attribute" } },
	{ "min", filters_list_min, 0, { "case_sensitive", "attribute" } },
	{ "reject", filters_list_reject, .any = true },
	{ "rejectattr", filters_list_reject_field, .any = true },
	{ "replace", replace, 2, { "old", "new", "count" } },
	{ "reverse", filters_list_reverse },
	{ "round", round_off, 0, { "precision", "method" } },
	{ "safe", safe },
	{ "select", filters_list_select, .any = true },
	{ "selectattr", filters_list_select_field, .any = true },
	{ "sort", filters_list_sort, 0, { "reverse", "case_sensitive", "attribute" } },
	{ "string", to_string },
	{ "sum", filters_list_sum, 0, { "attribute", "start" } },
	{ "title", title },
	{ "tojson", to_json, 0, { "ensure_ascii", "indent", "separators", "sort_keys" } },
	{ "trim", trim, 0, { "chars" } },
	{ "unique", filters_list_unique, 0, { "case_sensitive", "attribute" } },
	{ "upper", upper },
	{ "wordcount", count_words },
	{ NULL },
};

bool filters_known(const struct string *name)
{
	return callable_find(filters, name) != NULL;
}

const struct callable *filters_find(struct run *run, const struct string *name)
{
	const struct callable *filter = callable_find(filters, name);
	if (!filter)
		run_fail(run, FAIL_UNSUPPORTED, "the filter \"%.*s\" is not known here",
			 (int)(name->size < 60 ? name->size : 60), string_bytes(name));
	return filter;
}
