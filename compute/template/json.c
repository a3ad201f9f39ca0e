#include "compute/template/json.h"

#include "compute/template/print.h"
#include "compute/template/sort.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

struct writer {
	struct run *run;
	const struct json_style *style;
	struct text *text;
	uint32_t level;
};

static void put(struct writer *writer, const char *word)
{
	text_add(writer->run, writer->text, word, strlen(word), STRING_OWN);
}

static const char *short_escape(uint32_t character)
{
	static const struct {
		char character;
		const char *escape;
	} escapes[] = { { '"', "\\\"" }, { '\\', "\\\\" }, { '\n', "\\n" }, { '\r', "\\r" },
			{ '\t', "\\t" }, { '\f', "\\f" },  { '\b', "\\b" } };
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++)
		if (character == (uint32_t)escapes[i].character)
			return escapes[i].escape;
	return NULL;
}

static void write_escape(struct writer *writer, uint32_t character, enum string_mark mark)
{
	char escape[16];
	const char *known = short_escape(character);
	if (known)
		snprintf(escape, sizeof(escape), "%s", known);
	else if (character < 0x10000)
		snprintf(escape, sizeof(escape), "\\u%04" PRIx32, character);
	else
		snprintf(escape, sizeof(escape), "\\u%04" PRIx32 "\\u%04" PRIx32,
			 0xd800 + ((character - 0x10000) >> 10),
			 0xdc00 + ((character - 0x10000) & 0x3ff));
	text_add(writer->run, writer->text, escape, strlen(escape), mark);
}

static void write_string(struct writer *writer, const struct string *string)
{
	const bool ascii = writer->style->ascii;
	uint32_t size, kept = 0;
	put(writer, "\"");
	for (uint32_t at = 0; at < string->size; at += size) {
		const uint32_t character = string_character(string, at, &size);
		if (character >= 0x20 && character != '"' && character != '\\' &&
		    (!ascii || character < 0x7f))
			continue;
		text_add_part(writer->run, writer->text, string, kept, at - kept);
		kept = at + size;
		write_escape(writer, character, string_mark(string, at));
	}
	text_add_part(writer->run, writer->text, string, kept, string->size - kept);
	put(writer, "\"");
}

static void write_real(struct writer *writer, double real)
{
	char printed[40];
	if (isnan(real))
		put(writer, "NaN");
	else if (isinf(real))
		put(writer, real < 0 ? "-Infinity" : "Infinity");
	else
		text_add(writer->run, writer->text, printed, print_real(real, printed), STRING_OWN);
}

static bool write_plain(struct writer *writer, struct value value)
{
	switch (value.type) {
	case VALUE_NONE:
		put(writer, "null");
		return true;
	case VALUE_BOOL:
		put(writer, value.truth ? "true" : "false");
		return true;
	case VALUE_INTEGER:
		print_format(writer->run, writer->text, "%" PRId64, value.integer);
		return true;
	case VALUE_REAL:
		write_real(writer, value.real);
		return true;
	case VALUE_STRING:
		write_string(writer, value.string);
		return true;
	case VALUE_UNDEFINED:
		value_fail_undefined(writer->run, value);
	case VALUE_SEQUENCE:
	case VALUE_DICT:
	case VALUE_NAMESPACE:
	case VALUE_LOOP:
	case VALUE_MACRO:
	case VALUE_FUNCTION:
	case VALUE_METHOD:
	case VALUE_MISSING:
	case VALUE_TYPES:
		break;
	}
	return false;
}

static void new_line(struct writer *writer)
{
	put(writer, "\n");
	for (uint32_t i = 0; i < writer->level; i++)
		text_add_string(writer->run, writer->text, writer->style->indent);
}

/* What stands before item `index` of a list or object. */
static void begin_item(struct writer *writer, uint32_t index)
{
	const struct json_style *style = writer->style;
	if (index > 0 && style->separator)
		text_add_string(writer->run, writer->text, style->separator);
	else if (index > 0)
		put(writer, style->indented ? "," : ", ");
	if (style->indented)
		new_line(writer);
}

static void end_items(struct writer *writer, uint32_t count, const char *bracket)
{
	writer->level--;
	if (writer->style->indented && count > 0)
		new_line(writer);
	put(writer, bracket);
}

static void write_value(struct writer *writer, struct value value);

static void write_list(struct writer *writer, const struct sequence *sequence)
{
	put(writer, "[");
	writer->level++;
	for (uint32_t i = 0; i < sequence->count; i++) {
		begin_item(writer, i);
		write_value(writer, sequence->items[i]);
	}
	end_items(writer, sequence->count, "]");
}

static void write_key(struct writer *writer, struct value key)
{
	if (key.type == VALUE_STRING) {
		write_string(writer, key.string);
	} else if (key.type <= VALUE_UNDEFINED || key.type > VALUE_STRING) {
		run_fail(writer->run, FAIL_INVALID, "%s is no key in JSON", value_type_name(key));
	} else {
		put(writer, "\"");
		write_plain(writer, key);
		put(writer, "\"");
	}
	if (writer->style->colon)
		text_add_string(writer->run, writer->text, writer->style->colon);
	else
		put(writer, ": ");
}

static void write_object(struct writer *writer, const struct dict *dict)
{
	put(writer, "{");
	writer->level++;
	if (writer->style->sorted)
		dict = sort_dict(writer->run, dict);
	for (uint32_t i = 0; i < dict->count; i++) {
		begin_item(writer, i);
		write_key(writer, dict->pairs[i].key);
		write_value(writer, dict->pairs[i].value);
	}
	end_items(writer, dict->count, "}");
}

static void write_value(struct writer *writer, struct value value)
{
	run_step(writer->run, 1);
	run_enter(writer->run);
	if (value.type == VALUE_DICT)
		write_object(writer, value.dict);
	else if (value.type == VALUE_SEQUENCE && value.sequence->kind <= SEQUENCE_TUPLE)
		write_list(writer, value.sequence);
	else if (!write_plain(writer, value))
		run_fail(writer->run, FAIL_INVALID, "%s cannot be written as JSON",
			 value_type_name(value));
	run_leave(writer->run);
}

struct string *json_write(struct run *run, struct value value, const struct json_style *style)
{
	struct writer writer = { .run = run, .style = style, .text = text_create(run, 0) };
	write_value(&writer, value);
	return string_whole(run, writer.text);
}

/* ---- reading ---- */

struct json_reader {
	struct run *run;
	const struct string *string;
	uint32_t at;
};

_Noreturn static void malformed(const struct json_reader *reader)
{
	run_fail(reader->run, FAIL_INVALID, "from_json: byte %u is not JSON", reader->at);
}

static int peek(const struct json_reader *reader)
{
	return reader->at < reader->string->size
		       ? (unsigned char)string_bytes(reader->string)[reader->at]
		       : -1;
}

static int peek_past_space(struct json_reader *reader)
{
	while (peek(reader) > 0 && strchr(" \t\n\r", peek(reader)))
		reader->at++;
	return peek(reader);
}

static bool take_word(struct json_reader *reader, const char *word)
{
	const size_t size = strlen(word);
	if (reader->string->size - reader->at < size ||
	    memcmp(string_bytes(reader->string) + reader->at, word, size) != 0)
		return false;
	reader->at += (uint32_t)size;
	return true;
}

static uint32_t read_unit(struct json_reader *reader)
{
	uint32_t unit = 0;
	for (int i = 0; i < 4; i++) {
		const int digit = peek(reader);
		const int value = digit >= '0' && digit <= '9' ? digit - '0'
				  : (digit | 32) >= 'a' && (digit | 32) <= 'f'
					  ? (digit | 32) - 'a' + 10
					  : -1;
		if (value < 0)
			malformed(reader);
		unit = unit * 16 + (uint32_t)value;
		reader->at++;
	}
	return unit;
}

static void read_escape(struct json_reader *reader, struct text *text)
{
	static const char plain[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
	const enum string_mark mark = string_mark(reader->string, reader->at);
	reader->at++;
	for (size_t i = 0; i + 1 < sizeof(plain); i += 2) {
		if (peek(reader) != plain[i])
			continue;
		reader->at++;
		text_add(reader->run, text, &plain[i + 1], 1, mark);
		return;
	}
	if (!take_word(reader, "u"))
		malformed(reader);
	uint32_t character = read_unit(reader);
	if (character >= 0xd800 && character < 0xdc00 && take_word(reader, "\\u")) {
		const uint32_t low = read_unit(reader);
		character = 0x10000 + ((character - 0xd800) << 10) + (low - 0xdc00);
		if (low < 0xdc00 || low > 0xdfff)
			malformed(reader);
	}
	if (character >= 0xd800 && character < 0xe000)
		malformed(reader); /* half a pair is no character */
	text_add_character(reader->run, text, character, mark);
}

static struct value read_string(struct json_reader *reader)
{
	struct text *text = text_create(reader->run, 0);
	uint32_t kept = ++reader->at;
	for (;;) {
		const int next = peek(reader);
		if (next < 0x20)
			malformed(reader);
		if (next != '"' && next != '\\') {
			reader->at++;
			continue;
		}
		text_add_part(reader->run, text, reader->string, kept, reader->at - kept);
		if (next == '"')
			break;
		read_escape(reader, text);
		kept = reader->at;
	}
	reader->at++;
	return value_string(string_whole(reader->run, text));
}

static bool digit_next(const struct json_reader *reader)
{
	return peek(reader) >= '0' && peek(reader) <= '9';
}

static void skip_digits(struct json_reader *reader)
{
	if (!digit_next(reader))
		malformed(reader);
	while (digit_next(reader))
		reader->at++;
}

static struct value read_number(struct json_reader *reader)
{
	char digits[512];
	bool real = false;
	const uint32_t start = reader->at;
	take_word(reader, "-");
	if (!take_word(reader, "0"))
		skip_digits(reader);
	if (take_word(reader, ".")) {
		real = true;
		skip_digits(reader);
	}
	if (take_word(reader, "e") || take_word(reader, "E")) {
		real = true;
		if (!take_word(reader, "+"))
			take_word(reader, "-");
		skip_digits(reader);
	}
	const uint32_t size = reader->at - start;
	if (size >= sizeof(digits))
		malformed(reader);
	memcpy(digits, string_bytes(reader->string) + start, size);
	digits[size] = 0;
	if (real)
		return value_real(strtod(digits, NULL));
	errno = 0;
	const long long whole = strtoll(digits, NULL, 10);
	if (errno == ERANGE)
		run_fail(reader->run, FAIL_UNSUPPORTED, "a whole number needs more than 64 bits");
	return value_integer(whole);
}

static struct value read_value(struct json_reader *reader);

static struct value read_list(struct json_reader *reader)
{
	struct value list = value_sequence(reader->run, SEQUENCE_LIST);
	reader->at++;
	if (peek_past_space(reader) == ']') {
		reader->at++;
		return list;
	}
	for (;;) {
		value_append(reader->run, list.sequence, read_value(reader));
		const int next = peek_past_space(reader);
		if (next != ',' && next != ']')
			malformed(reader);
		reader->at++;
		if (next == ']')
			return list;
	}
}

static struct value read_object(struct json_reader *reader)
{
	struct value object = value_dict(reader->run);
	reader->at++;
	if (peek_past_space(reader) == '}') {
		reader->at++;
		return object;
	}
	for (;;) {
		if (peek_past_space(reader) != '"')
			malformed(reader);
		const struct value key = read_string(reader);
		if (peek_past_space(reader) != ':')
			malformed(reader);
		reader->at++;
		value_set(reader->run, object.dict, key, read_value(reader));
		const int next = peek_past_space(reader);
		if (next != ',' && next != '}')
			malformed(reader);
		reader->at++;
		if (next == '}')
			return object;
	}
}

static struct value read_plain(struct json_reader *reader)
{
	static const struct {
		const char *word;
		struct value value;
	} words[] = {
		{ "null", { .type = VALUE_NONE } },
		{ "true", { .type = VALUE_BOOL, .truth = true } },
		{ "false", { .type = VALUE_BOOL, .truth = false } },
		{ "NaN", { .type = VALUE_REAL, .real = (double)NAN } },
		{ "Infinity", { .type = VALUE_REAL, .real = (double)INFINITY } },
		{ "-Infinity", { .type = VALUE_REAL, .real = -(double)INFINITY } },
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (take_word(reader, words[i].word))
			return words[i].value;
	return read_number(reader);
}

static struct value read_value(struct json_reader *reader)
{
	struct value value;
	run_step(reader->run, 1);
	run_enter(reader->run);
	const int next = peek_past_space(reader);
	if (next == '"')
		value = read_string(reader);
	else if (next == '[')
		value = read_list(reader);
	else if (next == '{')
		value = read_object(reader);
	else
		value = read_plain(reader);
	run_leave(reader->run);
	return value;
}

struct value json_read(struct run *run, const struct string *string)
{
	struct json_reader reader = { .run = run, .string = string };
	const struct value value = read_value(&reader);
	if (peek_past_space(&reader) >= 0)
		malformed(&reader);
	return value;
}
