#include "compute/template/print.h"

#include "compute/template/glyph.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void print_format(struct run *run, struct text *text, const char *format, ...)
{
	char line[256];
	va_list arguments;
	va_start(arguments, format);
	const int size = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	text_add(run, text, line, (size_t)size < sizeof(line) ? (size_t)size : sizeof(line) - 1,
		 STRING_OWN);
}

/* ---- reals ---- */

/* Python's layout around digits: "1e+16", "0.0001", "1.0". */
static size_t lay_out(const char *printed, char out[40])
{
	char digits[24];
	size_t n = 0;
	const char *at = printed + (*printed == '-');
	for (; *at && *at != 'e'; at++)
		if (*at != '.')
			digits[n++] = *at;
	const int exponent = atoi(at + 1);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	const char *sign = *printed == '-' ? "-" : "";
	if (exponent < -4 || exponent >= 16)
		return (size_t)snprintf(out, 40, "%s%c%s%.*se%c%02d", sign, digits[0],
					n > 1 ? "." : "", (int)n - 1, digits + 1,
					exponent < 0 ? '-' : '+', abs(exponent));
	if (exponent < 0)
		return (size_t)snprintf(out, 40, "%s0.%.*s%.*s", sign, -exponent - 1, "0000",
					(int)n, digits);
	const int whole = exponent + 1;
	if ((int)n <= whole)
		return (size_t)snprintf(out, 40, "%s%.*s%.*s.0", sign, (int)n, digits,
					whole - (int)n, "0000000000000000");
	return (size_t)snprintf(out, 40, "%s%.*s.%.*s", sign, whole, digits, (int)n - whole,
				digits + whole);
}

size_t print_real(double real, char out[40])
{
	char printed[40];
	if (isnan(real))
		return (size_t)snprintf(out, 40, "nan");
	if (isinf(real))
		return (size_t)snprintf(out, 40, real < 0 ? "-inf" : "inf");
	/* the fewest digits that read back as the same number */
	for (int precision = 0; precision < 17; precision++) {
		snprintf(printed, sizeof(printed), "%.*e", precision, real);
		if (strtod(printed, NULL) == real)
			break;
	}
	return lay_out(printed, out);
}

/* ---- strings ---- */

/* "\n" for a character that Python writes so; 0 for others. */
static char short_escape(uint32_t character)
{
	return character == '\\'   ? '\\'
	       : character == '\n' ? 'n'
	       : character == '\r' ? 'r'
	       : character == '\t' ? 't'
				   : 0;
}

static void repr_character(struct run *run, struct text *text, uint32_t character,
			   enum string_mark mark)
{
	char escape[16] = { '\\', short_escape(character) };
	int size = 2;
	if (!escape[1])
		size = snprintf(escape, sizeof(escape),
				character < 0x100     ? "\\x%02" PRIx32
				: character < 0x10000 ? "\\u%04" PRIx32
						      : "\\U%08" PRIx32,
				character);
	text_add(run, text, escape, (size_t)size, mark);
}

static void repr_string(struct run *run, const struct string *string, struct text *text)
{
	const char *bytes = string_bytes(string);
	const bool single = memchr(bytes, '\'', string->size) && !memchr(bytes, '"', string->size);
	const char quote = single ? '"' : '\'';
	uint32_t size, kept = 0; /* what is kept as it is begins here */
	text_add(run, text, &quote, 1, STRING_OWN);
	for (uint32_t at = 0; at < string->size; at += size) {
		const uint32_t character = string_character(string, at, &size);
		if (glyph_is_printable(character) && character != '\\' &&
		    character != (uint32_t)quote)
			continue;
		text_add_part(run, text, string, kept, at - kept);
		kept = at + size;
		if (character == (uint32_t)quote) {
			text_add(run, text, "\\", 1, string_mark(string, at));
			kept = at;
		} else {
			repr_character(run, text, character, string_mark(string, at));
		}
	}
	text_add_part(run, text, string, kept, string->size - kept);
	text_add(run, text, &quote, 1, STRING_OWN);
}

/* ---- values ---- */

static void repr_sequence(struct run *run, const struct sequence *sequence, struct text *text)
{
	static const char *const brackets[][2] = {
		[SEQUENCE_LIST] = { "[", "]" },
		[SEQUENCE_TUPLE] = { "(", ")" },
		[SEQUENCE_KEYS] = { "dict_keys([", "])" },
		[SEQUENCE_VALUES] = { "dict_values([", "])" },
		[SEQUENCE_ITEMS] = { "dict_items([", "])" },
	};
	print_format(run, text, "%s", brackets[sequence->kind][0]);
	for (uint32_t i = 0; i < sequence->count; i++) {
		if (i > 0)
			text_add(run, text, ", ", 2, STRING_OWN);
		print_repr(run, sequence->items[i], text);
	}
	if (sequence->kind == SEQUENCE_TUPLE && sequence->count == 1)
		text_add(run, text, ",", 1, STRING_OWN);
	print_format(run, text, "%s", brackets[sequence->kind][1]);
}

/* The range's bounds are those of its numbers; a step of 1 is not shown. */
static void repr_range(struct run *run, const struct sequence *range, struct text *text)
{
	const uint32_t n = range->count;
	const int64_t first = n > 0 ? range->items[0].integer : 0;
	const int64_t step = n > 1 ? range->items[1].integer - first : 1;
	const int64_t end = n > 0 ? range->items[n - 1].integer + step : 0;
	print_format(run, text, "range(%" PRId64 ", %" PRId64, first, end);
	if (step != 1)
		print_format(run, text, ", %" PRId64, step);
	text_add(run, text, ")", 1, STRING_OWN);
}

static void repr_dict(struct run *run, const struct dict *dict, struct text *text)
{
	text_add(run, text, "{", 1, STRING_OWN);
	for (uint32_t i = 0; i < dict->count; i++) {
		if (i > 0)
			text_add(run, text, ", ", 2, STRING_OWN);
		print_repr(run, dict->pairs[i].key, text);
		text_add(run, text, ": ", 2, STRING_OWN);
		print_repr(run, dict->pairs[i].value, text);
	}
	text_add(run, text, "}", 1, STRING_OWN);
}

static void repr_real(struct run *run, double real, struct text *text)
{
	char printed[40];
	const size_t size = print_real(real, printed);
	text_add(run, text, printed, size, STRING_OWN);
}

static void repr_structure(struct run *run, struct value value, struct text *text)
{
	if (value.type == VALUE_DICT)
		repr_dict(run, value.dict, text);
	else if (value.type == VALUE_SEQUENCE && value.sequence->kind == SEQUENCE_RANGE)
		repr_range(run, value.sequence, text);
	else if (value.type == VALUE_SEQUENCE && value.sequence->kind != SEQUENCE_ITERATOR)
		repr_sequence(run, value.sequence, text);
	else /* Python prints an address there: no template means to */
		print_format(run, text, "<%s object>", value_type_name(value));
}

void print_repr(struct run *run, struct value value, struct text *text)
{
	run_step(run, 1);
	run_enter(run);
	switch (value.type) {
	case VALUE_UNDEFINED:
		text_add(run, text, "Undefined", 9, STRING_OWN);
		break;
	case VALUE_NONE:
		text_add(run, text, "None", 4, STRING_OWN);
		break;
	case VALUE_BOOL:
		print_format(run, text, "%s", value.truth ? "True" : "False");
		break;
	case VALUE_INTEGER:
		print_format(run, text, "%" PRId64, value.integer);
		break;
	case VALUE_REAL:
		repr_real(run, value.real, text);
		break;
	case VALUE_STRING:
		repr_string(run, value.string, text);
		break;
	case VALUE_SEQUENCE:
	case VALUE_DICT:
	case VALUE_NAMESPACE:
	case VALUE_LOOP:
	case VALUE_MACRO:
	case VALUE_FUNCTION:
	case VALUE_METHOD:
	case VALUE_MISSING:
	case VALUE_TYPES:
		repr_structure(run, value, text);
		break;
	}
	run_leave(run);
}

struct string *print_text(struct run *run, struct value value)
{
	if (value.type == VALUE_STRING)
		return value.string;
	struct text *text = text_create(run, 0);
	if (value.type != VALUE_UNDEFINED)
		print_repr(run, value, text);
	return string_whole(run, text);
}
