#include "compute/template/format.h"

#include "compute/template/print.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- "%s" % value ---- */

struct place {
	char flags[8];
	uint32_t width;
	int precision; /* or -1 */
	char kind;
};

static uint32_t read_number(struct run *run, const struct string *format, uint32_t *at)
{
	uint32_t number = 0;
	for (; *at < format->size && isdigit((unsigned char)string_bytes(format)[*at]); ++*at)
		number = number * 10 + (uint32_t)(string_bytes(format)[*at] - '0');
	if (number > 1000)
		run_fail(run, FAIL_UNSUPPORTED,
			 "a format with a width over 1000 is not known here");
	return number;
}

/* Reads what follows a '%'; gives where the text goes on. */
static uint32_t read_place(struct run *run, const struct string *format, uint32_t at,
			   struct place *place)
{
	const char *bytes = string_bytes(format);
	size_t n_flags = 0;
	*place = (struct place){ .precision = -1 };
	while (at < format->size && n_flags < 6 && strchr("-+ 0#", bytes[at]))
		place->flags[n_flags++] = bytes[at++];
	place->width = read_number(run, format, &at);
	if (at < format->size && bytes[at] == '.') {
		at++;
		place->precision = (int)read_number(run, format, &at);
	}
	if (at == format->size)
		run_fail(run, FAIL_INVALID, "a format ends after its %%");
	place->kind = bytes[at];
	return at + 1;
}

static void fill_text(struct run *run, struct text *text, const struct place *place,
		      const struct string *string)
{
	uint32_t count = string_characters(string), size = string->size;
	if (place->precision >= 0 && (uint32_t)place->precision < count) {
		count = (uint32_t)place->precision;
		size = string_place(string, count);
	}
	const uint32_t blanks = place->width > count ? place->width - count : 0;
	const bool left = strchr(place->flags, '-') != NULL;
	for (uint32_t i = 0; !left && i < blanks; i++)
		text_add(run, text, " ", 1, STRING_OWN);
	text_add_part(run, text, string, 0, size);
	for (uint32_t i = 0; left && i < blanks; i++)
		text_add(run, text, " ", 1, STRING_OWN);
}

static void fill_number(struct run *run, struct text *text, const struct place *place,
			struct value value)
{
	char format[32], printed[1400];
	const bool real = place->kind == 'f';
	if (!value_is_number(value) || (value.type == VALUE_REAL && strchr("xX", place->kind)))
		run_fail(run, FAIL_INVALID, "the format %%%c stands for %s", place->kind,
			 value_type_name(value));
	const int64_t whole =
		value.type == VALUE_REAL
			? (value.real > -9e18 && value.real < 9e18 ? (int64_t)value.real : 0)
			: value_whole(value);
	snprintf(format, sizeof(format), "%%%s*.*%s%c", place->flags, real ? "" : "l",
		 place->kind == 'i' ? 'd' : place->kind);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	const int size = real ? snprintf(printed, sizeof(printed), format, (int)place->width,
					 place->precision, value_number(value))
			      : snprintf(printed, sizeof(printed), format, (int)place->width,
					 place->precision, (long)whole);
#pragma GCC diagnostic pop
	text_add(run, text, printed, (size_t)size < sizeof(printed) ? (size_t)size : 0, STRING_OWN);
}

static void fill(struct run *run, struct text *text, const struct place *place, struct value value)
{
	if (place->kind == 's') {
		fill_text(run, text, place, print_text(run, value));
	} else if (place->kind == 'r') {
		struct text *printed = text_create(run, 0);
		print_repr(run, value, printed);
		fill_text(run, text, place, string_whole(run, printed));
	} else if (strchr("difxX", place->kind)) {
		fill_number(run, text, place, value);
	} else {
		run_fail(run, FAIL_UNSUPPORTED, "the format %%%c is not known here",
			 (unsigned char)place->kind < 0x80 ? place->kind : '?');
	}
}

struct string *format_percent(struct run *run, const struct string *format, struct value values)
{
	const bool several =
		values.type == VALUE_SEQUENCE && values.sequence->kind == SEQUENCE_TUPLE;
	const uint32_t count = several ? values.sequence->count : 1;
	struct text *text = text_create(run, format->size);
	struct place place;
	uint32_t used = 0;
	for (uint32_t at = 0; at < format->size;) {
		if (string_bytes(format)[at] != '%') {
			text_add_part(run, text, format, at++, 1);
			continue;
		}
		at = read_place(run, format, at + 1, &place);
		if (place.kind == '%') {
			text_add(run, text, "%", 1, STRING_OWN);
			continue;
		}
		if (used == count)
			run_fail(run, FAIL_INVALID, "a format has more places than values");
		fill(run, text, &place, several ? values.sequence->items[used] : values);
		used++;
	}
	if (used < count && (several || values.type != VALUE_DICT))
		run_fail(run, FAIL_INVALID, "a format has fewer places than values");
	return string_whole(run, text);
}

/* ---- "{}".format(value) ---- */

static struct value find_value(struct run *run, const struct arguments *arguments,
			       const struct string *name, uint32_t *next)
{
	const char *bytes = string_bytes(name);
	uint32_t index = 0, at = 0;
	while (at < name->size && at < 6 && isdigit((unsigned char)bytes[at]))
		index = index * 10 + (uint32_t)(bytes[at++] - '0');
	if (at == name->size) {
		if (name->size == 0)
			index = (*next)++;
		if (index < arguments->count)
			return arguments->items[index];
		run_fail(run, FAIL_INVALID, "format() is given too few values");
	}
	for (uint32_t i = 0; i < arguments->n_keywords; i++)
		if (string_compare(arguments->keywords[i].name, name) == 0)
			return arguments->keywords[i].value;
	run_fail(run, FAIL_UNSUPPORTED, "format() with \"{%.*s}\" is not known here",
		 (int)(name->size < 60 ? name->size : 60), bytes);
}

struct string *format_braces(struct run *run, const struct string *format,
			     const struct arguments *arguments)
{
	struct text *text = text_create(run, format->size);
	const struct string *close = value_word(run, "}").string;
	uint32_t next = 0;
	for (uint32_t at = 0; at < format->size;) {
		const char *bytes = string_bytes(format) + at;
		const bool twice = at + 1 < format->size && bytes[1] == bytes[0];
		if ((*bytes != '{' && *bytes != '}') || twice) {
			text_add_part(run, text, format, at, 1);
			at += (*bytes == '{' || *bytes == '}') ? 2 : 1;
			continue;
		}
		const uint32_t end = string_find(format, close, at);
		if (*bytes == '}' || end == STRING_NONE)
			run_fail(run, FAIL_INVALID, "a format has a single brace");
		const struct string *name = string_part(run, format, at + 1, end - at - 1);
		text_add_string(run, text,
				print_text(run, find_value(run, arguments, name, &next)));
		at = end + 1;
	}
	return string_whole(run, text);
}
